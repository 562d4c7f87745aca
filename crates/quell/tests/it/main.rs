//! quell as a whole: the built program, real peers, real disks.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod crash;
mod faults;
mod limits;
mod operate;
mod power;
mod smuggling;
mod storm;
