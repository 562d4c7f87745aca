//! The mail server without I/O: session events to facts to the door.

pub mod directory;
pub mod reception;
