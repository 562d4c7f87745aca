//! What the queue promises: one suite over the stores, the door's table row by row, and random
//! histories against an oracle.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests stop where a promise breaks"
)]

mod door_collected;
mod door_copies;
mod door_dots;
mod door_down;
mod door_failures;
mod door_given_back;
mod door_kept;
mod door_operator;
mod door_random;
mod door_refused;
mod door_report_jobs;
mod door_report_random;
mod door_reports;
mod door_storms;
#[cfg(test)]
mod door_suspicion;
mod held;
mod held_random;
mod ledger_steps;
mod make;
mod stores;
