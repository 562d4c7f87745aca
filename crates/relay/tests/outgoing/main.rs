//! Outgoing mail from outside: attempts in a scripted network, and a house with a door and a clock.

// Helpers of tests are tests: what is not there may panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod house;
mod properties;
mod table;
