//! What to make of an arrival: facts, counters, the judge and its rules, storms.
//!
//! This crate reads no clock and opens nothing; the same input always gives the same verdict.

pub mod book;
pub mod evidence;
pub mod exceptions;
pub mod explain;
pub mod facts;
pub mod judge;
pub mod limits;
pub mod live;
pub mod policy;
pub mod recent;
pub mod rhythm;
mod rules;
pub mod said;
pub mod signs;
pub mod sources;
pub mod stored;
pub mod storm;
pub mod storm_id;
pub mod table;
pub mod tell;
pub mod trace;
pub mod verdict;
pub mod window;
