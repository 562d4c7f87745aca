//! Users who may sign in to send mail: who they are, and what their passwords are checked against.
//!
//! They stand in a file of their own beside the ledger, behind a small trait of their own. The ledger
//! has one writer, which closes it and writes it anew after a failed sync; whoever loses it loses what
//! was delivered, and may begin a new one: the users must not go with it. A sign-in then asks nobody
//! who decides about mail, so that guessing passwords costs the desk nothing; and a copy of the ledger,
//! made to look into a fault, holds nothing that passwords could be guessed from.

mod contract;
mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(all(test, feature = "sqlite"))]
mod tests;

use quell_storm::facts::Ms;
use serde::{Deserialize, Serialize};

pub use self::contract::check;
pub use self::memory::MemoryUsers;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteUsers;
use crate::store::StoreError;

/// Users of one store; one more is refused.
pub const MAX_USERS: usize = 100_000;
/// Longest name, in bytes: a local part of 64, an @ and a domain of 255 (RFC 5321 §4.5.3.1).
pub const MAX_NAME_BYTES: usize = 320;
/// Addresses beside the name that one user may send as.
pub const MAX_ADDRESSES: usize = 100;

/// One user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name to sign in with: an address in lower case.
    pub name: String,
    /// What the user may send as beside the name: addresses, and `*@domain` for all of a domain.
    pub addresses: Vec<String>,
    /// May not sign in, nor send over what is signed in.
    pub disabled: bool,
    /// When the user was made.
    pub made_ms: Ms,
    /// When the user last signed in, to the hour; None: never.
    pub last_sign_in_ms: Option<Ms>,
    /// What passwords are checked against.
    pub verifier: Verifier,
}

/// What a password is checked against. It cannot be turned back into the password, but guesses can be
/// tried on it, so it shows itself to nobody.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verifier {
    /// Argon2id as a PHC string, for PLAIN and LOGIN.
    pub argon2: String,
    /// For SCRAM-SHA-256.
    pub scram: Scram,
}

/// What a server keeps for SCRAM-SHA-256 (RFC 5802 §3, RFC 7677).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scram {
    /// Salt.
    pub salt: [u8; 16],
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// H(ClientKey).
    pub stored_key: [u8; 32],
    /// ServerKey.
    pub server_key: [u8; 32],
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(…)")
    }
}

impl std::fmt::Debug for Scram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scram(…)")
    }
}

/// Why a store of users did not do it.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// There is a user of that name.
    #[error("there is a user {0}")]
    There(String),
    /// There is none.
    #[error("there is no user {0}")]
    NotThere(String),
    /// [`MAX_USERS`].
    #[error("there are {MAX_USERS} users, and no more can be kept")]
    TooMany,
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A store of users. What it says it has done is durable when it returns Ok; after an error it may be
/// used on, and has either all of the change or nothing. Names are compared byte by byte: whoever asks
/// brings them into lower case.
pub trait UserStore: Send {
    /// The user of that name.
    ///
    /// # Errors
    /// [`UsersError::Store`].
    fn get(&mut self, name: &str) -> Result<Option<User>, UsersError>;

    /// Users in the order of their names, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`UsersError::Store`].
    fn list(&mut self, after: Option<&str>, limit: usize) -> Result<Vec<User>, UsersError>;

    /// A new user.
    ///
    /// # Errors
    /// [`UsersError::There`], [`UsersError::TooMany`].
    fn add(&mut self, user: &User) -> Result<(), UsersError>;

    /// Puts `user` in the place of the one of that name.
    ///
    /// # Errors
    /// [`UsersError::NotThere`].
    fn change(&mut self, user: &User) -> Result<(), UsersError>;

    /// Takes a user out.
    ///
    /// # Errors
    /// [`UsersError::NotThere`].
    fn remove(&mut self, name: &str) -> Result<(), UsersError>;

    /// The user has signed in at `at_ms`. It changes nothing else, and nothing where there is none of
    /// that name any more.
    ///
    /// # Errors
    /// [`UsersError::Store`].
    fn signed_in(&mut self, name: &str, at_ms: Ms) -> Result<(), UsersError>;
}
