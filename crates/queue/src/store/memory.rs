//! A store without a disk: for the simulator, for tests, and as the contract's second witness.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;
use quell_storm::facts::{Ms, RowState};

use super::{
    Arrival, Batch, KeptBody, KeyRow, Reader, Retention, Row, RowId, RowWrite, Store, StoreError,
    StoredEvidence, StoredStorm, Tally,
};
use crate::body::BodyRef;
use crate::ledger::is_final;

/// Milliseconds of a day.
const DAY: Ms = 86_400_000;

#[derive(Default, Clone)]
struct Tables {
    keys: BTreeMap<LedgerKey, KeyRow>,
    arrivals: BTreeMap<(QueueId, QueueId), Arrival>,
    rows: BTreeMap<RowId, Row>,
    storms: BTreeMap<String, StoredStorm>,
    evidence: BTreeMap<(String, u8), StoredEvidence>,
    high_water: Ms,
}

/// The store in memory. Clones share their contents, so that a test can "restart" on it.
#[derive(Default, Clone)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
}

/// Its reader.
pub struct MemoryReader {
    tables: Arc<Mutex<Tables>>,
}

fn lock(tables: &Mutex<Tables>) -> Result<MutexGuard<'_, Tables>, StoreError> {
    tables.lock().map_err(|_| StoreError::Broken("a thread died while it wrote".to_owned()))
}

impl MemoryStore {
    /// Forgets a key with its rows and arrivals, as if they had never been. For those who know that it will
    /// not be asked for again.
    ///
    /// # Errors
    /// A thread died while it wrote.
    pub fn forget(&mut self, key: &LedgerKey, kid: &QueueId) -> Result<(), StoreError> {
        let mut tables = lock(&self.tables)?;
        tables.keys.remove(key);
        let rows: Vec<RowId> = tables.rows_of(kid).map(|row| row.id.clone()).collect();
        for id in rows {
            tables.rows.remove(&id);
        }
        let all = (*kid, QueueId::from_bytes([0; 10]))..=(*kid, QueueId::from_bytes([u8::MAX; 10]));
        let arrivals: Vec<_> = tables.arrivals.range(all).map(|(id, _)| *id).collect();
        for id in arrivals {
            tables.arrivals.remove(&id);
        }
        Ok(())
    }
}

impl Store for MemoryStore {
    type Reader = MemoryReader;

    fn reader(&self) -> Result<MemoryReader, StoreError> {
        Ok(MemoryReader { tables: Arc::clone(&self.tables) })
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut shared = lock(&self.tables)?;
        let mut fresh = HashSet::new();
        for write in &batch.rows {
            let id = &write.row().id;
            match write {
                RowWrite::ByPermit(..) => drop(fresh.insert(id)),
                RowWrite::Step(_) if fresh.contains(id) || shared.rows.contains_key(id) => {}
                RowWrite::Step(_) => return Err(StoreError::NoRow(id.clone())),
            }
        }
        shared.apply(batch);
        Ok(())
    }

    fn move_bodies(&mut self, moves: &[(KeptBody, BodyRef)]) -> Result<(), StoreError> {
        let mut tables = lock(&self.tables)?;
        for (kept, to) in moves {
            if let Some(arrival) = tables.arrivals.get_mut(&(kept.kid, kept.queue_id)) {
                arrival.body = arrival.body.map(|_| *to);
            }
        }
        Ok(())
    }

    fn upkeep(&mut self, now: Ms, retention: &Retention) -> Result<bool, StoreError> {
        lock(&self.tables)?.forget_old(now, retention);
        Ok(false)
    }
}

impl Tables {
    fn apply(&mut self, batch: &Batch) {
        self.keys.extend(batch.keys.iter().map(|k| (k.key, k.clone())));
        self.arrivals.extend(batch.arrivals.iter().map(|a| ((a.kid, a.queue_id), a.clone())));
        self.rows.extend(batch.rows.iter().map(|w| (w.row().id.clone(), w.row().clone())));
        for touch in &batch.touches {
            if let Some(row) = self.rows.get_mut(&touch.id) {
                (row.copies, row.last_copy_ms) = (touch.copies, touch.last_copy_ms);
                row.times.clone_from(&touch.times);
            }
        }
        for id in &batch.forget {
            self.rows.remove(id);
        }
        for id in &batch.forget_arrivals {
            self.arrivals.remove(id);
        }
        self.storms.extend(batch.storms.iter().map(|s| (s.id.clone(), s.clone())));
        let evidence = batch.evidence.iter();
        self.evidence.extend(evidence.map(|e| ((e.storm.clone(), e.place), e.clone())));
        self.high_water = batch.high_water.unwrap_or(self.high_water);
    }

    fn rows_of(&self, kid: &QueueId) -> impl Iterator<Item = &Row> {
        let from = RowId { kid: *kid, rcpt: String::new() };
        self.rows.range(from..).map(|(_, row)| row).take_while(move |row| row.id.kid == *kid)
    }

    fn forget_old(&mut self, now: Ms, retention: &Retention) {
        let cut = now - Ms::from(retention.rows_days) * DAY;
        let arrivals = &self.arrivals;
        self.rows.retain(|id, row| {
            let body = arrivals.get(&(id.kid, row.queue_id)).is_some_and(|a| a.body.is_some());
            body || !is_final(row.state) || row.since_ms.max(row.last_copy_ms) >= cut
        });
        let rows = &self.rows;
        let used = |kid: &QueueId| {
            let from = RowId { kid: *kid, rcpt: String::new() };
            rows.range(from..).next().is_some_and(|(id, _)| id.kid == *kid)
        };
        self.keys.retain(|_, key| used(&key.kid) || key.kid.ms() >= cut);
        self.arrivals.retain(|(kid, _), a| a.body.is_some() || used(kid) || a.received_ms >= cut);
        let cut = now - Ms::from(retention.evidence_days) * DAY;
        self.evidence.retain(|_, e| e.at_ms >= cut);
        self.storms.retain(|_, s| s.open || s.last_seen_ms >= cut);
    }
}

fn is_tried(row: &Row) -> bool {
    matches!(row.state, RowState::Waiting | RowState::Dot | RowState::Unknown)
}

impl MemoryReader {
    fn rows_where(&self, limit: usize, wanted: impl Fn(&Row) -> bool) -> Result<Vec<Row>, StoreError> {
        Ok(lock(&self.tables)?.rows.values().filter(|r| wanted(r)).take(limit).cloned().collect())
    }
}

impl Reader for MemoryReader {
    fn key(&self, key: &LedgerKey) -> Result<Option<KeyRow>, StoreError> {
        Ok(lock(&self.tables)?.keys.get(key).cloned())
    }

    fn row(&self, id: &RowId) -> Result<Option<Row>, StoreError> {
        Ok(lock(&self.tables)?.rows.get(id).cloned())
    }

    fn arrival(&self, kid: &QueueId, queue_id: &QueueId) -> Result<Option<Arrival>, StoreError> {
        Ok(lock(&self.tables)?.arrivals.get(&(*kid, *queue_id)).cloned())
    }

    fn find_arrival(&self, queue_id: &QueueId) -> Result<Option<Arrival>, StoreError> {
        let tables = lock(&self.tables)?;
        Ok(tables.arrivals.values().find(|a| a.queue_id == *queue_id).cloned())
    }

    fn rows_of_key(&self, kid: &QueueId, after: Option<&str>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let tables = lock(&self.tables)?;
        let of_key = tables.rows_of(kid).filter(|r| after.is_none_or(|a| r.id.rcpt.as_str() > a));
        Ok(of_key.take(limit).cloned().collect())
    }

    fn due_from(&self, from: (Ms, RowId), limit: usize) -> Result<Vec<Row>, StoreError> {
        let tables = lock(&self.tables)?;
        let place = |r: &Row| (r.next_ms, r.id.clone());
        let mut rows: Vec<_> = tables.rows.values().filter(|r| is_tried(r) && place(r) >= from).collect();
        rows.sort_by(|a, b| (a.next_ms, &a.id).cmp(&(b.next_ms, &b.id)));
        Ok(rows.into_iter().take(limit).cloned().collect())
    }

    fn held_from(&self, from: (Ms, RowId), limit: usize) -> Result<Vec<Row>, StoreError> {
        let tables = lock(&self.tables)?;
        let place = |r: &Row| (r.since_ms, r.id.clone());
        let held = |r: &&Row| r.state == RowState::Held && place(r) >= from;
        let mut rows: Vec<_> = tables.rows.values().filter(held).collect();
        rows.sort_by(|a, b| (a.since_ms, &a.id).cmp(&(b.since_ms, &b.id)));
        Ok(rows.into_iter().take(limit).cloned().collect())
    }

    fn due(&self, until: Ms, limit: usize) -> Result<Vec<Row>, StoreError> {
        let mut rows = self.rows_where(usize::MAX, |r| is_tried(r) && r.next_ms <= until)?;
        rows.sort_by(|a, b| (a.next_ms, &a.id).cmp(&(b.next_ms, &b.id)));
        rows.truncate(limit);
        Ok(rows)
    }

    fn list(&self, states: &[RowState], after: Option<&RowId>, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.rows_where(limit, |r| states.contains(&r.state) && after.is_none_or(|a| r.id > *a))
    }

    fn open_counts(&self) -> Result<Vec<(RowState, u64)>, StoreError> {
        let mut counts = BTreeMap::new();
        for row in lock(&self.tables)?.rows.values().filter(|r| !is_final(r.state)) {
            *counts.entry(row.state).or_insert(0) += 1;
        }
        Ok(counts.into_iter().collect())
    }

    fn held_counts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut counts = BTreeMap::new();
        let tables = lock(&self.tables)?;
        let held = tables.rows.values().filter(|row| row.state == RowState::Held);
        held.filter_map(|row| row.extra.storm.clone()).for_each(|id| *counts.entry(id).or_insert(0) += 1);
        Ok(counts.into_iter().collect())
    }

    fn bodies(&self) -> Result<Vec<KeptBody>, StoreError> {
        let tables = lock(&self.tables)?;
        let kept = tables
            .arrivals
            .values()
            .filter_map(|a| a.body.map(|body| KeptBody { kid: a.kid, queue_id: a.queue_id, body }));
        Ok(kept.collect())
    }

    fn bodies_due(&self, until: Ms, limit: usize) -> Result<Vec<KeptBody>, StoreError> {
        let tables = lock(&self.tables)?;
        let due = |a: &&Arrival| a.open == 0 && a.release_ms.is_some_and(|at| at <= until);
        let mut due: Vec<_> = tables.arrivals.values().filter(due).collect();
        due.sort_by_key(|a| (a.release_ms, a.kid, a.queue_id));
        let kept = |a: &Arrival| a.body.map(|body| KeptBody { kid: a.kid, queue_id: a.queue_id, body });
        Ok(due.into_iter().filter_map(kept).take(limit).collect())
    }

    fn owing(&self, from: &RowId, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.rows_where(limit, |r| r.extra.report_due && r.id >= *from)
    }

    fn tally(&self, kid: &QueueId) -> Result<Tally, StoreError> {
        let mut tally = Tally::default();
        for row in lock(&self.tables)?.rows_of(kid) {
            tally.recipients += 1;
            tally.delivered += u64::from(matches!(row.state, RowState::Delivered | RowState::Relayed));
        }
        Ok(tally)
    }

    fn storms(&self, open_only: bool, limit: usize) -> Result<Vec<StoredStorm>, StoreError> {
        let tables = lock(&self.tables)?;
        let mut storms: Vec<_> = tables.storms.values().filter(|s| s.open || !open_only).cloned().collect();
        storms.sort_by(|a, b| (b.last_seen_ms, &b.id).cmp(&(a.last_seen_ms, &a.id)));
        storms.truncate(limit);
        Ok(storms)
    }

    fn storm(&self, id: &str) -> Result<Option<StoredStorm>, StoreError> {
        Ok(lock(&self.tables)?.storms.get(id).cloned())
    }

    fn evidence(&self, storm: &str) -> Result<Vec<StoredEvidence>, StoreError> {
        let tables = lock(&self.tables)?;
        Ok(tables.evidence.values().filter(|e| e.storm == storm).cloned().collect())
    }

    fn high_water(&self) -> Result<Ms, StoreError> {
        Ok(lock(&self.tables)?.high_water)
    }
}
