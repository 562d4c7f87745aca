//! The dot: from the moment at which a message's terminator goes out until the answer is known, a
//! stop of the server leaves the row Unknown.

use std::collections::HashMap;
use std::sync::Arc;

use quell_storm::facts::RowState;

use super::Door;
use super::claims::{Phase, is_tried};
use crate::clock::Now;
use crate::dots::DotRecord;
use crate::ledger::{self, Event};
use crate::store::{Reader, Row, RowId, StoreError};

use super::Effect;

impl<R: Reader, T> Door<R, T> {
    /// The terminator is about to go out for claimed rows: their records must be written
    /// ([`crate::dots::DotLog::append`]) before it does. Rows that are not claimed get none. All get
    /// none while the store is away: the caller must not send, since the outcome could not be
    /// written.
    pub fn at_dot(&mut self, rows: &[RowId], now: &Now) -> Vec<DotRecord> {
        if self.is_shut() {
            return Vec::new();
        }
        let mut records = Vec::with_capacity(rows.len());
        for id in rows {
            let Some(out) = self.claimed.get_mut(id) else { continue };
            out.phase = Phase::Dot;
            let (queue_id, attempts) = (out.queue_id, out.attempts);
            records.push(DotRecord { row: id.clone(), queue_id, attempts, at_ms: now.ms });
        }
        records
    }

    /// The records of [`Door::at_dot`] could not be written, so nothing goes out: no sending is used
    /// up. Half a record that is in the file all the same makes the row Unknown only if the process is
    /// killed before its next outcome.
    pub fn dot_undone(&mut self, rows: &[RowId]) {
        for id in rows {
            if let Some(out) = self.claimed.get_mut(id) {
                out.phase = Phase::Opened;
            }
        }
    }

    /// At the start, before any claim: what an earlier life of the server left at the dot. Rows whose
    /// outcome was not committed are Unknown from now on; of the others, and of these once that is
    /// durable, [`Effect::DotsOver`] tells.
    pub fn restore_dots(&mut self, records: Vec<DotRecord>, now: &Now) {
        for record in records {
            self.restoring.entry(record.row.clone()).or_default().push(record);
        }
        let rows = self.restoring.keys().cloned().collect();
        // Those that are not at the dot any more come back into line with the others.
        self.turns.forget(&rows);
        self.restore(now);
    }

    /// Judges all records that are left, anew after the store was away.
    pub(super) fn restore(&mut self, now: &Now) {
        let mut over = Vec::new();
        for (id, records) in std::mem::take(&mut self.restoring) {
            let found = if self.is_shut() { None } else { Some(self.left_at_dot(&id, &records)) };
            match found.map(|found| self.check(found)) {
                Some(Some(Some(row))) => {
                    self.sent_and_unanswered(row, now);
                    self.gathering.restored.push(id.clone());
                    self.restoring.insert(id, records);
                }
                Some(Some(None)) => over.push(id),
                _ => drop(self.restoring.insert(id, records)),
            }
        }
        for id in &over {
            if !self.is_shut() {
                self.wait_again(id, now);
            }
        }
        if !over.is_empty() {
            self.effects.push(Effect::DotsOver(over));
        }
    }

    /// The row, if one of its records was written in the attempt that has no outcome yet.
    fn left_at_dot(&mut self, id: &RowId, records: &[DotRecord]) -> Result<Option<Row>, StoreError> {
        let of_this_attempt = |row: &Row| {
            let same = |r: &DotRecord| r.attempts == row.attempts && r.queue_id == row.queue_id;
            let same_life = |r: &DotRecord| row.extra.life_ms.is_none_or(|began| r.at_ms >= began);
            records.iter().any(|r| same(r) && same_life(r))
        };
        let found = self.row(id)?.filter(|row| is_tried(row) && of_this_attempt(row));
        Ok(found.map(Arc::unwrap_or_clone))
    }

    fn sent_and_unanswered(&mut self, mut row: Row, now: &Now) {
        let before = row.state;
        let steps = [Event::Dot, Event::Restarted];
        if steps.iter().all(|event| ledger::step(&mut row, event, now.ms, now.may_expire).is_ok()) {
            if row.state == RowState::Failed {
                self.note_given_up(&row, now);
            }
            self.stepped(before, row, now);
        }
    }

    /// That they are Unknown is durable.
    pub(super) fn restored(&mut self, rows: Vec<RowId>, now: &Now) {
        rows.iter().for_each(|id| drop(self.restoring.remove(id)));
        rows.iter().for_each(|id| self.wait_again(id, now));
        if !rows.is_empty() {
            self.effects.push(Effect::DotsOver(rows));
        }
    }
}

/// Rows that an earlier life left at the dot and that are not settled yet, with their records.
pub(super) type Restoring = HashMap<RowId, Vec<DotRecord>>;
