//! Collecting mail from mailboxes at providers, by POP3 and IMAP.
//!
//! ```text
//! keeper ─ task of each account ─ round: link, secret, pop3 │ imap ─ relay::collect ─ hand_in ─ the door
//!                                                  ▲                                │ answer: durable
//!                                                  └── may be deleted ── memory ◄───┘
//! ```
//!
//! Nothing is deleted on a server that was not read whole in the same session and found to be durable here
//! (by IMAP, whose UIDs last, in an earlier one). What was taken is remembered ([`memory`]) before the server
//! is told to delete it, so that neither a lost QUIT nor a provider that gives all messages new names brings a second delivery.

pub mod account;
mod backoff;
mod hand_in;
mod imap;
mod keeper;
mod link;
mod listing;
pub mod memory;
mod pop3;
pub mod preview;
mod round;
mod secret;
mod status;
mod talk;
mod task;
#[cfg(test)]
mod tests;
mod trouble;
mod world;

pub use account::{Account, Keep, Protocol, Secret, Server, Tls};
pub use hand_in::Became;
pub use keeper::{Keeper, Means};
pub use status::{Counts, Phase, Status};
pub use trouble::{Kind, Trouble};
