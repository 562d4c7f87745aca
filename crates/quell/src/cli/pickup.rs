//! `quell pickup`: the accounts at providers.

mod run_now;
mod status;
mod test;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::Failure;
use crate::config::Config;
use crate::control::{Client, ClientError};
use crate::data::Paths;
use crate::ops::{PickupRequest, Request, Response};
use crate::pickup::{Account, Status};

/// See, try and collect accounts at providers
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What.
    #[command(subcommand)]
    pub what: What,
}

/// What is wanted.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum What {
    /// How the accounts are: last look, next look, what is wrong, how far a collection is
    Status {
        /// Only this account
        account: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make the running server collect now, and wait until it is done
    Run {
        /// Only this account
        account: Option<String>,
        /// Show no progress, only what came of it
        #[arg(long, short)]
        quiet: bool,
    },
    /// Sign in, list, and say what would be delivered to whom; changes nothing, here or there
    Test {
        /// Only this account
        account: Option<String>,
        /// Show so many messages of each account, the newest first
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Carries it out. `file` is the configuration.
pub fn run(args: &Args, file: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.what {
        What::Status { account, json } => {
            let config = Config::load_for_command(file)?;
            let accounts = chosen(&config, account.as_deref())?;
            status::run(&config, &accounts, *json, out)
        }
        What::Run { account, quiet } => {
            let config = Config::load_for_command(file)?;
            let accounts = chosen(&config, account.as_deref())?;
            run_now::run(&config, &accounts, *quiet, out)
        }
        What::Test { account, limit, json } => {
            let config = Config::load(file)?;
            let accounts = chosen(&config, account.as_deref())?;
            test::run(&config, &accounts, *limit, *json, out)
        }
    }
}

/// The account of that name, or all.
fn chosen(config: &Config, name: Option<&str>) -> Result<Vec<Arc<Account>>, Failure> {
    if config.pickup.is_empty() {
        let why = format!("{}: no account is configured: write a [[pickup]]", config.file.display());
        return Err(Failure::Failed(why));
    }
    let Some(name) = name else { return Ok(config.pickup.clone()) };
    let found: Vec<_> = config.pickup.iter().filter(|account| account.name() == name).cloned().collect();
    if found.is_empty() {
        let names: Vec<_> = config.pickup.iter().map(|account| account.name()).collect();
        return Err(Failure::Usage(format!(
            "there is no account \"{name}\"; there are: {}",
            names.join(", ")
        )));
    }
    Ok(found)
}

/// The way to the running server.
struct Server(Client);

impl Server {
    fn connect(config: &Config) -> Result<Option<Self>, Failure> {
        match Client::connect(&Paths::new(&config.data).control()) {
            Ok(client) => Ok(Some(Self(client))),
            Err(ClientError::NobodyThere) => Ok(None),
            Err(other) => Err(Failure::Failed(other.to_string())),
        }
    }

    fn ask(&mut self, ask: PickupRequest) -> Result<Response, Failure> {
        self.0.ask(&Request::Pickup { ask }).map_err(|why| Failure::Failed(why.to_string()))
    }

    fn statuses(&mut self) -> Result<Vec<Status>, Failure> {
        match self.ask(PickupRequest::Status {})? {
            Response::Pickup { accounts } => Ok(accounts),
            other => Err(super::ask::refused(other)),
        }
    }
}
