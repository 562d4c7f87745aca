//! The last step: moving a message's bytes to where they stay, or to the next hop.
//!
//! Maildirs have threads of their own (`worker`). To next hops go sessions (`session`), tasks on the
//! network threads, which only move bytes: `quell_relay::attempt` decides.

mod bounds;
mod content;
mod filter;
mod link;
mod log;
pub mod maildir;
pub mod remote;
pub mod resolver;
mod session;
mod slots;
pub mod sts;
pub mod tls;
pub mod verify;
pub mod worker;

pub use log::sender;
