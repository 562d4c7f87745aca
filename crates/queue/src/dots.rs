//! The dot log: which rows' terminators went out and are not answered yet, in a way that survives a
//! killed process.

use quell_mail::id::QueueId;
use quell_storm::facts::Ms;

use crate::store::RowId;

/// One row at the dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DotRecord {
    /// Which row.
    pub row: RowId,
    /// The arrival whose body goes out.
    pub queue_id: QueueId,
    /// Attempts of the row before this one: a row that has more of them has an outcome of this one.
    pub attempts: u32,
    /// When its terminator was about to go out.
    pub at_ms: Ms,
}
