//! The store: what must survive. A trait whose comments are its contract; [`memory`] and
//! [`sqlite`] keep it, and [`crate::contract`] runs one suite on both.
//!
//! The store decides nothing. The door hands it whole batches; it makes each batch durable, all of
//! it or nothing.

pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod types;

pub use types::*;

use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;
use quell_storm::facts::{Ms, RowState};

use crate::body::BodyRef;

/// What a store can answer with instead.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. Nothing of the batch was kept; the store may be used on.
    #[error("no room left on the disk of the data directory: {0}")]
    Full(String),
    /// Anything else that fails while writing or syncing. What became durable is not known: the
    /// store must be closed, reopened and recovered before the next 250.
    #[error("the store failed: {0}")]
    Broken(String),
    /// Bytes that are not what was written.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// Written by a newer quell.
    #[error(
        "the store has format {found}, this quell knows up to {known}: use the newer quell that wrote it"
    )]
    Newer {
        /// `user_version` of the file.
        found: i64,
        /// The newest we know.
        known: i64,
    },
    /// A step on a row that is not there. The whole batch was thrown away.
    #[error("no ledger row {0}")]
    NoRow(RowId),
}

/// Look-ups. A reader sees every batch whose commit has returned, and no part of one that has not.
pub trait Reader {
    /// The key's row, if any arrival with this key was ever kept and is not yet forgotten.
    fn key(&self, key: &LedgerKey) -> Result<Option<KeyRow>, StoreError>;
    /// One ledger row.
    fn row(&self, id: &RowId) -> Result<Option<Row>, StoreError>;
    /// An arrival kept under the key `kid`.
    fn arrival(&self, kid: &QueueId, queue_id: &QueueId) -> Result<Option<Arrival>, StoreError>;
    /// An arrival by its queue id alone; slower.
    fn find_arrival(&self, queue_id: &QueueId) -> Result<Option<Arrival>, StoreError>;
    /// Rows of one key in the order of their identities, those after `after`, at most `limit`.
    fn rows_of_key(&self, kid: &QueueId, after: Option<&str>, limit: usize) -> Result<Vec<Row>, StoreError>;
    /// Rows to be tried (Waiting, Unknown, and Dot after a restart) in the order in which they fall
    /// due (`next_ms`, then id), from `from` on, itself included, at most `limit`. Costs time linear
    /// in what is returned.
    fn due_from(&self, from: (Ms, RowId), limit: usize) -> Result<Vec<Row>, StoreError>;
    /// Rows to be tried (Waiting, Unknown, and Dot after a restart) that fall due by `until`,
    /// earliest first, at most `limit`.
    fn due(&self, until: Ms, limit: usize) -> Result<Vec<Row>, StoreError>;
    /// Rows in any of `states`, oldest key first, those after `after`, at most `limit`. Costs time
    /// linear in what is listed for open states, in the whole ledger for final ones.
    fn list(&self, states: &[RowState], after: Option<&RowId>, limit: usize) -> Result<Vec<Row>, StoreError>;
    /// Held rows in the order in which they were held (`since_ms`, then id), from `from` on, itself
    /// included, at most `limit`. Costs time linear in what is returned.
    fn held_from(&self, from: (Ms, RowId), limit: usize) -> Result<Vec<Row>, StoreError>;
    /// Open rows (Waiting, Dot, Held, Unknown) by state.
    fn open_counts(&self) -> Result<Vec<(RowState, u64)>, StoreError>;
    /// Held rows by the storm that they are held for ([`Extra::storm`]); those of none are left out. Costs
    /// time linear in what is held.
    fn held_counts(&self) -> Result<Vec<(String, u64)>, StoreError>;
    /// Every body that is still kept. Linear in what is returned.
    fn bodies(&self) -> Result<Vec<KeptBody>, StoreError>;
    /// Bodies that no row needs and whose `release_ms` is `until` or earlier, the earliest first, at
    /// most `limit`. Costs time linear in what is returned.
    fn bodies_due(&self, until: Ms, limit: usize) -> Result<Vec<KeptBody>, StoreError>;
    /// Rows that owe a report ([`Extra::report_due`]), by key and identity, from `from` on, itself
    /// included, at most `limit`. Costs time linear in what is returned.
    fn owing(&self, from: &RowId, limit: usize) -> Result<Vec<Row>, StoreError>;
    /// How many rows the key has, and how many of them are Delivered or Relayed.
    fn tally(&self, kid: &QueueId) -> Result<Tally, StoreError>;
    /// Stored storms, newest first, those that `open_only` allows, at most `limit`.
    fn storms(&self, open_only: bool, limit: usize) -> Result<Vec<StoredStorm>, StoreError>;
    /// One stored storm.
    fn storm(&self, id: &str) -> Result<Option<StoredStorm>, StoreError>;
    /// Evidence of a storm, in the order it was kept.
    fn evidence(&self, storm: &str) -> Result<Vec<StoredEvidence>, StoreError>;
    /// The wall clock's high-water mark, 0 if none.
    fn high_water(&self) -> Result<Ms, StoreError>;
}

/// A store: one writer, any number of readers.
pub trait Store {
    /// Its reader.
    type Reader: Reader;

    /// A new reader, for one thread.
    fn reader(&self) -> Result<Self::Reader, StoreError>;

    /// Makes the whole batch durable, or none of it. When it returns Ok the batch survives a power
    /// cut. Applied in this order: keys, arrivals, rows, touches, row deletions, arrival deletions, storms,
    /// evidence, high water. A [`RowWrite::Step`] on a row that does not exist fails the batch.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Sets other bodies for arrivals, durably: compaction and rescue move them. A later commit of
    /// such an arrival may still name the old place: the store keeps the new one, unless the commit
    /// lets the body go.
    fn move_bodies(&mut self, moves: &[(KeptBody, BodyRef)]) -> Result<(), StoreError>;

    /// One bounded step of upkeep (day filters, retention of 14 days after the last copy or final
    /// state, and of a row as long as its arrival's body is kept, evidence older than `evidence_ms`). True: there is more to do.
    fn upkeep(&mut self, now: Ms, retention: &Retention) -> Result<bool, StoreError>;
}

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Rows: after their final state or last copy, whichever is later.
    pub rows_days: u32,
    /// Evidence and header sets.
    pub evidence_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { rows_days: 14, evidence_days: 30 }
    }
}
