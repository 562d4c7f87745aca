//! The crate from outside: dialogues as data, content against a slow and obvious decoder, all
//! published kinds of smuggling, and any bytes at all.

// Helpers of tests are tests: what is not there may panic.
#![allow(clippy::unwrap_used, clippy::panic)]

mod calls;
mod content;
mod dialogues;
mod properties;
mod smuggling;
