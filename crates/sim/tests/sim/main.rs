//! The simulated network: storms as they were, honest mail as it is, and hosts that nothing can break.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod copies;
mod office;
mod properties;
mod refusals;
mod storm;
mod support;
