//! Accounts at providers: how they are, and looking at them now.

use serde::{Deserialize, Serialize};

use super::{ErrorKind, Response, shown};
use crate::pickup::Keeper;

/// What can be asked of the accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PickupRequest {
    /// How they are, by name.
    Status {},
    /// Look at this one now.
    Run {
        /// Its name.
        account: String,
    },
}

/// Carries out a request.
pub fn run(keeper: &Keeper, request: &PickupRequest) -> Response {
    match request {
        PickupRequest::Status {} => Response::Pickup { accounts: keeper.statuses() },
        PickupRequest::Run { account } if keeper.wake(account) => Response::Done,
        PickupRequest::Run { account } => {
            let why = format!("there is no account {} in the running server's configuration", shown(account));
            Response::error(ErrorKind::NotFound, why)
        }
    }
}
