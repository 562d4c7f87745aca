//! Where a row goes: rows of one destination share its sessions, its failures and its turn.

use std::fmt;
use std::sync::Arc;

/// A destination in its canonical form: `maildir`, the URL of a next hop (`smtp://10.0.0.2:25`,
/// `lmtp://127.0.0.1:24`, `lmtp:///run/dovecot/lmtp`), a domain whose MX is asked (`example.org`),
/// or an address literal (`[192.0.2.1]`). The queue only compares it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination(Arc<str>);

/// [`Destination::maildir`].
const MAILDIR: &str = "maildir";

impl Destination {
    /// The destination of that name, taken as it is.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The mailboxes of this server.
    pub fn maildir() -> Self {
        Self::new(MAILDIR)
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for [`Destination::maildir`].
    pub fn is_maildir(&self) -> bool {
        &*self.0 == MAILDIR
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
