//! IMAP.
use std::time::Duration;

use super::round::Look;
use super::task::Done;
use super::trouble::{Kind, Trouble};

/// An open session.
pub struct Open;

impl Open {
    /// Whether the server tells of new mail.
    pub fn can_idle(&self) -> bool {
        false
    }

    /// Waits for news. False: the session is lost.
    pub async fn idle(&mut self, _within: Duration) -> bool {
        false
    }
}

/// Looks once.
pub async fn collect(_look: &Look, _open: &mut Option<Open>) -> Result<Done, Trouble> {
    Err(Trouble::new(Kind::Server, "IMAP"))
}
