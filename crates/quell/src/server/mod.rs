//! The running server's threads: the desk, where everything is decided; the committer, where it
//! becomes durable; the clock that both go by.

pub mod committer;
pub mod desk;
pub mod time;
