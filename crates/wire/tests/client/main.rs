//! The client session from outside: dialogues as data, any replies, any bytes.

// Helpers of tests are tests: what is not there may panic.
#![allow(clippy::unwrap_used, clippy::panic)]

mod dialogues;
mod lmtp;
mod properties;
