//! Why an account could not be collected.

use std::fmt;

use quell_wire::pop3::Password;

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

    /// Without this password: there are servers that repeat what was said to them, and the words go into log and mail.
    #[must_use]
    pub fn without(mut self, secret: &Password) -> Self {
        // One that short is found in any words.
        if let Some(secret) = std::str::from_utf8(secret.as_bytes()).ok().filter(|secret| secret.len() > 3) {
            self.why = self.why.replace(secret, "***");
        }
        self
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_a_server_repeats_is_not_shown() {
        for (secret, shown) in [("a good one", "no user \"***\""), ("a", "no user \"a good one\"")] {
            let trouble = Trouble::new(Kind::SignIn, "no user \"a good one\"");
            assert_eq!(trouble.without(&Password::new(secret).unwrap()).why, shown);
        }
    }
}
