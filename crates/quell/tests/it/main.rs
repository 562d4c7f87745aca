//! quell as a whole: the built program, real peers, real disks.

// Test code: panics and prints are what it speaks with.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::print_stderr, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod crash;
mod demo;
mod faults;
mod limits;
mod operate;
mod outward;
mod pickup;
mod pop3;
mod power;
mod replay;
mod service;
mod sign_in;
mod smuggling;
mod storm;
mod submission;
mod tls;
mod trace;
