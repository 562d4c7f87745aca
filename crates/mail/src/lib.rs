//! What a message says: headers, addresses, dates, hops, keys.
//!
//! This crate reads no clock, opens no file and no socket: bytes in, facts out.

pub mod id;
pub mod key;
