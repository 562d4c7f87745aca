//! What a message says: headers, addresses, dates, hops, keys.
//!
//! This crate reads no clock, opens no file and no socket: bytes in, facts out.

pub mod address;
pub mod automatic;
pub mod canon;
mod cfws;
pub mod content;
pub mod date;
pub mod digest;
pub mod dsn;
pub mod exact;
pub mod header;
pub mod hop;
pub mod id;
pub mod key;
pub mod letter;
pub mod mailbox_list;
pub mod maildir;
pub mod mbox;
pub mod message_id;
pub mod reading;
pub mod trace;
