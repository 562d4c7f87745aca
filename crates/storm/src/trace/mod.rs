//! The trace: from many copies of a message to the servers that made them.

pub mod report;
