//! What the benches of all crates share.

#![allow(dead_code, reason = "not every bench uses all of it")]

pub mod cpu;
pub mod letter;
