//! The mail server without I/O: session events to facts to the door; claims to routes, client
//! sessions and outcomes.

pub mod attempt;
pub mod collect;
pub mod directory;
pub mod own_mail;
pub mod reception;
pub mod report;
pub mod route;
pub mod submission;
pub mod tls;
