//! POP3 from outside: what a client may say and is told, what a server may say, and the two against
//! each other, also when the connection is lost at any byte.

// Helpers of tests are tests: what is not there may panic.
#![allow(clippy::unwrap_used, clippy::panic)]

mod both;
mod client;
mod properties;
mod server;
mod sign_in;
mod tls;
