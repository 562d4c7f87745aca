//! Why an account could not be collected.

use std::fmt;

/// What went wrong, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What sort.
    pub kind: Kind,
    /// In words.
    pub why: String,
}

/// Sorts of trouble: they decide when to try again, and whether to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The server does not let us in: to try again without a change is hammering.
    SignIn,
    /// There is no password or token to be had.
    Secret,
    /// The connection cannot be protected as it must be.
    Tls,
    /// It cannot be reached, or the connection was lost.
    Net,
    /// It says that it is busy.
    Busy,
    /// What it says cannot be right.
    Server,
    /// The mailbox, or what is wanted of it, is not there.
    Mailbox,
    /// Trouble of our own: no room, no store.
    Here,
    /// The server stops, or the account was taken out of the configuration.
    Stopping,
}

impl Trouble {
    /// Of this sort.
    pub fn new(kind: Kind, why: impl Into<String>) -> Self {
        Self { kind, why: why.into() }
    }

    /// The server stops.
    pub fn stopping() -> Self {
        Self::new(Kind::Stopping, "quell is stopping")
    }

    /// A person has to do something: it does not pass by itself.
    pub fn needs_a_person(&self) -> bool {
        matches!(self.kind, Kind::SignIn | Kind::Secret | Kind::Tls | Kind::Mailbox)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Trouble {}
