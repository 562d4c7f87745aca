//! How an account is, for people.

use std::sync::{Arc, Mutex, PoisonError};

use quell_storm::facts::Ms;
use serde::{Deserialize, Serialize};

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing, until the next look.
    #[default]
    Waiting,
    /// The connection is made, somebody signs in, the mailbox is listed.
    Connecting,
    /// Messages come.
    Collecting,
    /// The server tells when there is new mail (IDLE).
    Idle,
    /// Something is wrong; it is tried again.
    Trouble,
}

/// What came of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Bytes fetched.
    pub bytes: u64,
    /// Taken: durable here.
    pub taken: u64,
    /// Known already, and not taken again.
    pub known: u64,
    /// That cannot be taken, and stay there.
    pub refused: u64,
    /// Deleted on the server.
    pub deleted: u64,
}

impl Counts {
    /// What came since `before`; nothing, where an account that has changed counts anew.
    pub fn since(self, before: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(before.bytes),
            taken: self.taken.saturating_sub(before.taken),
            known: self.known.saturating_sub(before.known),
            refused: self.refused.saturating_sub(before.refused),
            deleted: self.deleted.saturating_sub(before.deleted),
        }
    }
}

/// How an account is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub account: String,
    /// Its server.
    pub server: String,
    /// What is going on.
    pub phase: Phase,
    /// What is wrong; null: nothing.
    pub trouble: Option<String>,
    /// Since when, since 1970.
    pub trouble_since_ms: Option<Ms>,
    /// Messages that cannot be taken and stay there, as far as is known.
    pub stay: u64,
    /// When it was last collected without trouble, since 1970; null: never.
    pub last_good_ms: Option<Ms>,
    /// When it is looked at next; null: now, or when the server tells.
    pub next_ms: Option<Ms>,
    /// Looks that have ended, since the server's start.
    pub rounds: u64,
    /// Of the present or last look: messages the server lists.
    pub listed: u64,
    /// Of these to be fetched.
    pub to_fetch: u64,
    /// Fetched so far.
    pub fetched: u64,
    /// All that was fetched since the server's start, and what became of it.
    pub counts: Counts,
    /// When that look began, since 1970.
    pub began_ms: Ms,
    /// Taken in all, ever.
    pub taken_ever: u64,
    /// Bytes taken in all, ever.
    pub bytes_ever: u64,
}

/// A status that its account's task writes and others read.
#[derive(Debug, Clone, Default)]
pub struct Shown(Arc<Mutex<Status>>);

impl Shown {
    /// Of an account whose first look is about to begin.
    pub fn new(account: &str, server: &str) -> Self {
        let (account, server, phase) = (account.to_owned(), server.to_owned(), Phase::Connecting);
        let status = Status { account, server, phase, ..Status::default() };
        Self(Arc::new(Mutex::new(status)))
    }

    /// Changes it.
    pub fn set<V>(&self, change: impl FnOnce(&mut Status) -> V) -> V {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// As it is.
    pub fn get(&self) -> Status {
        self.set(|status| status.clone())
    }
}
