//! The last step: moving a message's bytes to where they stay.

mod filter;
pub mod maildir;
pub mod verify;
pub mod worker;
