//! The way to the users: the running server, or their file under the lock.

use std::os::unix::fs::{MetadataExt, chown};

use quell_queue::users::SqliteUsers;

use super::Failure;
use crate::cli::ask::wall_ms;
use crate::config::Config;
use crate::control::{Client, ClientError, LinkError};
use crate::data::{Data, DataError, Paths};
use crate::ops::{self, Request, Response, UsersRequest};
use crate::sign_in::accounts::Accounts;

/// Who is asked.
pub(super) enum Way {
    /// The server.
    Live(Client),
    /// The file itself, and the lock as long as this lives.
    Stopped(Accounts, Data),
}

impl Way {
    /// Connects to the server of `config`; where none listens, opens the users' file.
    pub fn open(config: &Config) -> Result<Self, Failure> {
        match Client::connect(&Paths::new(&config.data).control()) {
            Ok(client) => return Ok(Self::Live(client)),
            Err(ClientError::NobodyThere) => {}
            Err(other) => return Err(Failure::Failed(other.to_string())),
        }
        let failed = |why: DataError| Failure::Failed(why.to_string());
        let data = match Data::open_existing(&config.data) {
            Err(DataError::Locked { holder, .. }) => return Err(LinkError::Deaf(holder).into()),
            opened => opened.map_err(failed)?,
        };
        let path = data.users().map_err(failed)?;
        let users = SqliteUsers::open(&path).map_err(|why| Failure::Failed(why.to_string()))?;
        // What root makes before the first start, the server must be able to open.
        if nix::unistd::geteuid().is_root() {
            let folder = std::fs::metadata(&config.data)?;
            for file in [path, data.paths().lock()] {
                chown(file, Some(folder.uid()), Some(folder.gid()))?;
            }
        }
        Ok(Self::Stopped(Accounts::new(users), data))
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, ask: UsersRequest) -> Result<Response, Failure> {
        match self {
            Self::Live(client) => {
                client.ask(&Request::Users { ask }).map_err(|why| Failure::Failed(why.to_string()))
            }
            Self::Stopped(accounts, _lock) => Ok(ops::users::run(accounts, &ask, wall_ms())),
        }
    }
}
