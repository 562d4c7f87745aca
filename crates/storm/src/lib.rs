//! What to make of an arrival: facts, counters, the judge and its rules, storms.
//!
//! This crate reads no clock and opens nothing; the same input always gives the same verdict.

pub mod facts;
pub mod verdict;
