//! What a command asks: the running server, or the store itself where none runs.

use std::path::Path;

use quell_queue::door::{Destinations, DoorSettings};
use quell_queue::store::StoreError;

use super::{Client, ClientError};
use crate::data::{Data, DataError, Paths};
use crate::ops::offline::{Offline, OfflineError};
use crate::ops::{Request, Response};

/// Why nothing can be asked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Something has the store, and does not listen.
    #[error(
        "quell ({0}) is stopping or starting: it does not answer at its control socket; try again \
         shortly (a stop waits up to [server] stop_secs for answers to what was sent out; another \
         command may have the store, too)"
    )]
    Deaf(String),
    /// The store of a stopped server.
    #[error(transparent)]
    Offline(#[from] OfflineError),
    /// That store, while it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A way to ask.
pub enum Link {
    /// By the control socket.
    Live(Client),
    /// By the store itself, under the lock.
    Stopped(Box<Offline>),
}

impl Link {
    /// Connects to the server of `data`; where none listens, opens the store.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn open(
        data: &Path,
        secret_file: Option<&Path>,
        settings: DoorSettings,
        destinations: Destinations,
    ) -> Result<Self, LinkError> {
        match Client::connect(&Paths::new(data).control()) {
            Ok(client) => return Ok(Self::Live(client)),
            Err(ClientError::NobodyThere) => {}
            Err(other) => return Err(other.into()),
        }
        let data = match Data::open_existing(data) {
            Ok(data) => data,
            Err(DataError::Locked { holder, .. }) => return Err(LinkError::Deaf(holder)),
            Err(other) => return Err(OfflineError::from(other).into()),
        };
        Ok(Self::Stopped(Box::new(Offline::open(data, secret_file, settings, destinations)?)))
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn ask(&mut self, request: &Request) -> Result<Response, LinkError> {
        match self {
            Self::Live(client) => Ok(client.ask(request)?),
            Self::Stopped(offline) => Ok(offline.ask(request)?),
        }
    }
}
