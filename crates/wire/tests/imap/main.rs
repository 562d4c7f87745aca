//! IMAP from outside: what the guard lets by, and what comes before TLS.

// Helpers of tests are tests: what is not there may panic.
#![allow(clippy::unwrap_used, clippy::panic)]

mod guard;
mod opening;
mod properties;
