//! What is done with each message that a server lists.

use quell_storm::facts::Ms;

use super::account::Keep;
use super::memory::{Known, Memory};

const DAY_MS: Ms = 86_400_000;

/// A message as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What it is called in this session: a POP3 number, an IMAP UID.
    pub number: u32,
    /// What it is called for good; None: the server has no such names.
    pub uid: Option<String>,
    /// Its size, says the server.
    pub size_bytes: u64,
}

/// What is to be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Nothing: it was taken and stays, or it could not be taken a short time ago.
    Nothing,
    /// Fetch it: it is new, or its time there is over and it must be seen once more before it is deleted.
    Fetch,
    /// Delete it: it was taken in an earlier session, and names last for good there.
    Delete,
}

/// What is to be done with a message. `names_last`: the server never gives its names twice (IMAP); by POP3 it should not, and
/// it happens. `again`: a person wants what we refused to be tried again; what a server does not
/// give would only keep the others waiting.
pub fn what(
    message: &Listed,
    memory: &Memory,
    keep: Keep,
    (names_last, again): (bool, bool),
    now: Ms,
) -> What {
    let Some(uid) = &message.uid else { return What::Fetch };
    let size_bytes = (!names_last).then_some(message.size_bytes);
    match memory.of(uid, size_bytes, now) {
        Known::No => What::Fetch,
        Known::Refused { was_read } if was_read && again => What::Fetch,
        Known::Refused { .. } => What::Nothing,
        Known::Taken(at) if !is_over(keep, at, now) => What::Nothing,
        Known::Taken(_) if names_last => What::Delete,
        Known::Taken(_) if memory.was_deleted(uid, now) => What::Nothing,
        Known::Taken(_) => What::Fetch,
    }
}

/// Whether the time is over that a message stays which was taken then.
pub fn is_over(keep: Keep, taken_ms: Ms, now: Ms) -> bool {
    match keep {
        Keep::No => true,
        Keep::Yes => false,
        Keep::Days(days) => now - taken_ms >= Ms::from(days) * DAY_MS,
    }
}
