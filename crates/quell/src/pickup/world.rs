//! The world as a message that is collected sees it.

use quell_mail::id::QueueId;
use quell_queue::body::{LargeWriter, SpoolError};
use quell_queue::clock::Now;
use quell_relay::directory::CannotTell;
use quell_relay::reception::{Refused, RefusedRecipient, World};

use crate::receive::smtp::Outer;

/// What connections do with the world, for a message of at most so many bytes.
pub struct Around<'a> {
    /// The rest of the server.
    pub outer: &'a Outer,
    /// Largest message.
    pub max_message_bytes: u64,
}

impl World for Around<'_> {
    fn exists(&self, domain: &str, local: &str) -> Result<bool, CannotTell> {
        self.outer.maildirs.told_exists(domain, local)
    }

    fn room(&self, declared_bytes: Option<u64>) -> bool {
        self.outer.room.enough(declared_bytes.unwrap_or(self.max_message_bytes))
    }

    fn now(&self) -> Now {
        self.outer.time.now()
    }

    fn queue_id(&self, now: &Now) -> Option<QueueId> {
        self.outer.time.queue_id(now)
    }

    fn begin_large(&self) -> Result<LargeWriter, SpoolError> {
        self.outer.large.begin()
    }

    // Whoever collects says what was refused, for each message.
    fn refused(&self, _what: Refused) {}

    fn recipient_refused(&self, _refused: &RefusedRecipient<'_>) {}

    fn blocking<V>(&self, work: impl FnOnce() -> V) -> V {
        tokio::task::block_in_place(work)
    }
}
