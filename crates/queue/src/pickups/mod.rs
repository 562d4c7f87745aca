//! What was collected from accounts at providers: which of the messages that lie there were taken.
//!
//! A message has a uid there and a digest of ours. Both are remembered until the provider lists the
//! message no more, for it may be listed for years, and again after any crash. The ledger cannot do that:
//! it forgets what it delivered after two weeks. So this stands in a file of its own beside it, behind a
//! small trait of its own; whoever loses it has the ledger left, which absorbs what it still knows.

mod contract;
mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use quell_mail::id::QueueId;
use quell_storm::facts::Ms;

pub use self::contract::check;
pub use self::memory::MemoryPickups;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqlitePickups;
use crate::store::StoreError;

/// Messages of one account; a [`Pickups::note`] that would make more of them is refused.
pub const MAX_MESSAGES: usize = 1_000_000;
/// Accounts of one store; one more is refused.
pub const MAX_ACCOUNTS: usize = 10_000;
/// Longest name of an account, in bytes: a user of 255, an @ and a host of 255.
pub const MAX_ACCOUNT_BYTES: usize = 511;
/// Longest uid, in bytes: a unique-id has 70 (RFC 1939 §7), UIDVALIDITY and UID with a dot 21.
pub const MAX_UID_BYTES: usize = 80;
/// Longest text for people, in characters; a longer one is cut.
pub const MAX_WORDS_CHARS: usize = 300;

/// One message of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// What the provider calls it, 1 to [`MAX_UID_BYTES`] of `!` to `~`: its unique-id (RFC 1939 §7), or
    /// UIDVALIDITY, a dot and the UID (RFC 3501 §2.3.1.1).
    pub uid: String,
    /// Its size, as the provider says it.
    pub size_bytes: u64,
    /// What we know it by, keyed: its exact key, or its content.
    pub digest: [u8; 16],
    /// What became of it.
    pub fate: Fate,
    /// When it came to that fate.
    pub at_ms: Ms,
    /// When the provider last listed it.
    pub seen_ms: Ms,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is about to be handed in under this id; after a crash the ledger says whether it was.
    Taking(QueueId),
    /// It is ours.
    Taken,
    /// It stays at the provider; why, for people, cut after [`MAX_WORDS_CHARS`].
    Refused(String),
}

/// What is known of an account as a whole, for the next start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// UIDVALIDITY of the mailbox (RFC 3501 §2.3.1.1).
    pub uid_validity: Option<u32>,
    /// The highest UID that was listed.
    pub listed_to: Option<u32>,
    /// When it was first collected.
    pub first_ms: Option<Ms>,
    /// When it was last collected without trouble.
    pub last_good_ms: Option<Ms>,
    /// The trouble that the operator was told of, cut after [`MAX_WORDS_CHARS`].
    pub told: Option<String>,
    /// Messages that were taken, ever.
    pub taken: u64,
    /// What they had together, in bytes.
    pub bytes: u64,
}

/// Why a store of pickups did not do it.
#[derive(Debug, thiserror::Error)]
pub enum PickupError {
    /// Not a name of 1 to [`MAX_ACCOUNT_BYTES`] without control characters.
    #[error("{0:?} is no name of an account")]
    Account(String),
    /// Not a uid of 1 to [`MAX_UID_BYTES`] characters of `!` to `~`.
    #[error("account {account}: {uid:?} is no uid of a message")]
    Uid {
        /// The account.
        account: String,
        /// What was given as its uid.
        uid: String,
    },
    /// [`MAX_MESSAGES`].
    #[error("account {0}: no more than {MAX_MESSAGES} messages can be remembered")]
    TooMany(String),
    /// [`MAX_ACCOUNTS`].
    #[error("no more than {MAX_ACCOUNTS} accounts can be remembered")]
    TooManyAccounts,
    /// A message whose entry is not what was written.
    #[error("{}: account {account}, message {uid}: damaged: {what}", .file.display())]
    Message {
        /// The file.
        file: PathBuf,
        /// The account.
        account: String,
        /// The message.
        uid: String,
        /// What of it.
        what: &'static str,
    },
    /// An account whose mark is not what was written.
    #[error("{}: account {account}: damaged: {what}", .file.display())]
    Mark {
        /// The file.
        file: PathBuf,
        /// The account.
        account: String,
        /// What of it.
        what: &'static str,
    },
    /// The store itself.
    #[error("{}: {why}", .file.display())]
    Store {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        why: StoreError,
    },
}

/// A store of pickups. What it says it has done is durable when it returns Ok; after an error it may be
/// used on, and has either all of the change or nothing. Names of accounts and uids are compared byte by
/// byte.
///
/// All of its answers may be [`PickupError::Store`].
pub trait Pickups: Send {
    /// All messages of the account, in the order of their uids' bytes.
    ///
    /// # Errors
    /// [`PickupError::Message`] for the first that is damaged.
    fn remembered(&self, account: &str) -> Result<Vec<Remembered>, PickupError>;

    /// The messages of the account with that digest, in the order of their uids' bytes.
    ///
    /// # Errors
    /// [`PickupError::Message`].
    fn find(&self, account: &str, digest: &[u8; 16]) -> Result<Vec<Remembered>, PickupError>;

    /// Remembers the messages, each in the place of one of that uid, the last of several with one uid.
    /// An account that there is not is made.
    ///
    /// # Errors
    /// [`PickupError::Account`], [`PickupError::Uid`], [`PickupError::TooMany`],
    /// [`PickupError::TooManyAccounts`]; then none of them is remembered.
    fn note(&mut self, account: &str, messages: &[Remembered]) -> Result<(), PickupError>;

    /// The provider listed these at `now`; those that are not remembered are left out. It writes each of
    /// them: for what is to be forgotten after weeks, once a day is enough.
    ///
    /// # Errors
    /// [`PickupError::Store`].
    fn seen(&mut self, account: &str, uids: &[&str], now: Ms) -> Result<(), PickupError>;

    /// Forgets the messages that were last listed before `before`, and says how many. What is being taken
    /// stays.
    ///
    /// # Errors
    /// [`PickupError::Store`].
    fn forget_unseen(&mut self, account: &str, before: Ms) -> Result<u64, PickupError>;

    /// What is known of the account; nothing of one that there is not.
    ///
    /// # Errors
    /// [`PickupError::Mark`].
    fn mark(&self, account: &str) -> Result<Mark, PickupError>;

    /// Puts `mark` in the place of the account's. An account that there is not is made.
    ///
    /// # Errors
    /// [`PickupError::Account`], [`PickupError::TooManyAccounts`].
    fn set_mark(&mut self, account: &str, mark: &Mark) -> Result<(), PickupError>;

    /// The accounts that there are, in the order of their names' bytes.
    ///
    /// # Errors
    /// [`PickupError::Store`].
    fn accounts(&self) -> Result<Vec<String>, PickupError>;

    /// Forgets the account with its mark, and says how many messages it had.
    ///
    /// # Errors
    /// [`PickupError::Store`].
    fn forget_account(&mut self, account: &str) -> Result<u64, PickupError>;
}

fn check_account(name: &str) -> Result<(), PickupError> {
    let fits = (1..=MAX_ACCOUNT_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(PickupError::Account(cut(name))) }
}

fn check_uids(account: &str, messages: &[Remembered]) -> Result<(), PickupError> {
    match messages.iter().find(|message| !is_uid(&message.uid)) {
        Some(bad) => Err(PickupError::Uid { account: account.to_owned(), uid: cut(&bad.uid) }),
        None => Ok(()),
    }
}

fn is_uid(uid: &str) -> bool {
    (1..=MAX_UID_BYTES).contains(&uid.len()) && uid.bytes().all(|b| b.is_ascii_graphic())
}

fn cut(words: &str) -> String {
    words.chars().take(MAX_WORDS_CHARS).collect()
}
