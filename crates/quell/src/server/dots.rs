//! Placeholder until the queue's dot log is there.
use quell_queue::dots::DotRecord;
use quell_queue::store::RowId;

/// Keeps nothing.
pub struct DotLog;

impl DotLog {
    /// Nothing.
    pub fn open(_folder: &std::path::Path) -> std::io::Result<(Self, Vec<DotRecord>)> {
        Ok((Self, Vec::new()))
    }
    /// Nothing.
    pub fn append(&mut self, _records: &[DotRecord]) -> std::io::Result<()> {
        Ok(())
    }
    /// Nothing.
    pub fn over(&mut self, _rows: &[RowId]) {}
}
