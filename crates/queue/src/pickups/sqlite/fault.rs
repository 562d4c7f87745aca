//! What fails below the trait, before it is known in which file.

use std::path::Path;

use crate::pickups::PickupError;
use crate::store::StoreError;
use crate::store::sqlite::broken;

/// Why it failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite, the disk, or the file as a whole.
    Store(StoreError),
    /// An entry of that uid.
    Message { account: String, uid: String, what: &'static str },
    /// An account's mark.
    Mark { account: String, what: &'static str },
    /// Nothing is wrong with the file: it was asked too much.
    Refused(PickupError),
}

impl Fault {
    /// The same, with the name of the file.
    pub fn of(self, file: &Path) -> PickupError {
        let file = file.to_owned();
        match self {
            Self::Store(why) => PickupError::Store { file, why },
            Self::Message { account, uid, what } => PickupError::Message { file, account, uid, what },
            Self::Mark { account, what } => PickupError::Mark { file, account, what },
            Self::Refused(why) => why,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(broken(error))
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<PickupError> for Fault {
    fn from(error: PickupError) -> Self {
        Self::Refused(error)
    }
}
