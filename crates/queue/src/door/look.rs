//! Look-ups of what stands or will stand, and what is put into the batch being gathered.

use std::sync::Arc;

use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;
use quell_storm::facts::RowState;

use super::Door;
use super::overlay::Bulk;
use crate::clock::Now;
use crate::ledger;
use crate::store::{Arrival, Envelope, KeyRow, Reader, Row, RowId, StoreError};

impl<R: Reader, T> Door<R, T> {
    pub(super) fn reader(&self) -> Result<&R, StoreError> {
        self.reader.as_ref().ok_or_else(|| StoreError::Broken("the store is being reopened".to_owned()))
    }

    /// What was written or read too long ago is read anew.
    pub(super) fn time_passes(&mut self, now: &Now) {
        self.mono_ms = now.mono_ms;
        self.keys.forget_old(now.mono_ms);
        self.rows.forget_old(now.mono_ms);
        self.arrivals.forget_old(now.mono_ms);
    }

    /// A row as it will stand when all that was decided is durable.
    pub(super) fn row(&mut self, id: &RowId) -> Result<Option<Arc<Row>>, StoreError> {
        if let Some(row) = self.rows.get(id) {
            return Ok(row.cloned());
        }
        let found = self.reader()?.row(id)?.map(Arc::new);
        // Counts under way are in no row that is read from the store, and would be lost with it.
        let gathered = [Some(&self.gathering), self.writing.as_ref()];
        let counts = gathered.into_iter().flatten().any(|batch| batch.counts);
        if let Some(row) = found.as_ref().filter(|_| !counts) {
            self.rows.keep(id.clone(), Arc::clone(row), self.mono_ms);
        }
        Ok(found)
    }

    /// Whether there is an arrival of that id without an exact key: it was stored, however it fared since.
    ///
    /// # Errors
    /// Those of the store.
    pub fn knows_arrival(&mut self, queue_id: &QueueId) -> Result<bool, StoreError> {
        Ok(self.arrival(queue_id, queue_id)?.is_some())
    }

    pub(super) fn arrival(
        &mut self,
        kid: &QueueId,
        queue_id: &QueueId,
    ) -> Result<Option<Arc<Arrival>>, StoreError> {
        let id = (*kid, *queue_id);
        if let Some(arrival) = self.arrivals.get(&id) {
            return Ok(arrival.cloned());
        }
        let found = self.reader()?.arrival(kid, queue_id)?.map(Arc::new);
        if let Some(arrival) = &found {
            self.arrivals.keep(id, Arc::clone(arrival), self.mono_ms);
        }
        Ok(found)
    }

    pub(super) fn key(&mut self, key: &LedgerKey) -> Result<Option<Arc<KeyRow>>, StoreError> {
        if let Some(row) = self.keys.get(key) {
            return Ok(row.cloned());
        }
        let found = self.reader()?.key(key)?.map(Arc::new);
        if let Some(row) = &found {
            self.keys.keep(*key, Arc::clone(row), self.mono_ms);
        }
        Ok(found)
    }

    /// Puts a row into the batch being gathered, and keeps the gauges.
    pub(super) fn put_row(&mut self, before: Option<RowState>, mut row: Row) {
        // Counts already handed to a batch in flight are in no row that was read from the store.
        self.counters.refresh(&mut row);
        if let Some(count) = before.and_then(|state| self.open_rows.get_mut(&state)) {
            *count = count.saturating_sub(1);
        }
        if before == Some(RowState::Held) {
            self.was_held(&row);
        }
        if let Some(storm) = row.extra.storm.as_ref().filter(|_| row.state == RowState::Held) {
            self.ends.held_now.add(storm);
        }
        if !ledger::is_final(row.state) {
            *self.open_rows.entry(row.state).or_insert(0) += 1;
        }
        if row.extra.report_due {
            self.gathering.owing.insert((row.id.kid, row.queue_id));
        }
        self.rows.put(row.id.clone(), Some(Arc::new(row)), self.gathering.number);
    }

    /// `row` takes the place of one that was held. Unless the same body stays held, its storm may hold so much
    /// more. (What several recipients share is counted once and given back for each: the bound errs towards
    /// holding.)
    fn was_held(&mut self, row: &Row) {
        let Ok(Some(former)) = self.row(&row.id) else { return };
        let Some(storm) = &former.extra.storm else { return };
        self.ends.held_now.take_away(storm);
        if row.state == RowState::Held && row.queue_id == former.queue_id {
            return;
        }
        let found = self.arrival(&former.id.kid, &former.queue_id);
        if let (Ok(id), Ok(Some(arrival))) = (storm.parse(), found) {
            self.book.holds_less(&id, arrival.size_bytes);
        }
    }

    pub(super) fn put_arrival(&mut self, arrival: Arrival) {
        let id = (arrival.kid, arrival.queue_id);
        self.arrivals.put(id, Some(Arc::new(arrival)), self.gathering.number);
    }

    pub(super) fn put_key(&mut self, key: KeyRow) {
        self.keys.put(key.key, Some(Arc::new(key)), self.gathering.number);
    }
}

impl<V: Bulk> Bulk for Arc<V> {
    fn bytes(&self) -> usize {
        self.as_ref().bytes()
    }
}

fn bytes_of(text: &Option<String>) -> usize {
    text.as_ref().map_or(0, String::len)
}

impl Bulk for KeyRow {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.times.len()
    }
}

impl Bulk for Arrival {
    fn bytes(&self) -> usize {
        let texts = self.source.0.len() + self.reverse_path.len();
        size_of::<Self>() + texts + bytes_of(&self.envid) + bytes_of(&self.message_id)
    }
}

impl Bulk for Row {
    fn bytes(&self) -> usize {
        let of_envelope = |e: &Envelope| {
            let texts = [&e.envid, &e.notify, &e.orcpt];
            size_of::<Envelope>() + e.reverse_path.len() + texts.into_iter().map(bytes_of).sum::<usize>()
        };
        let extra = &self.extra;
        let told: usize = extra.told.iter().map(|t| size_of_val(t) + t.to.len()).sum();
        let refused = extra.refused.iter().map(|r| r.status.len() + 32 + of_envelope(&r.envelope));
        let envelopes = extra.envelopes.iter().map(of_envelope).chain(refused).sum::<usize>();
        let texts =
            [&extra.as_given, &extra.exempt, &extra.held_for, &extra.why, &extra.storm, &extra.author]
                .map(bytes_of)
                .iter()
                .sum::<usize>();
        let texts = texts + bytes_of(&extra.subject);
        // Its identity stands in its name thrice: in the row, and twice in the layer.
        let own = 3 * self.id.rcpt.len() + self.tenant.len() + self.times.len() + self.status.len();
        size_of::<Self>() + own + texts + told + envelopes + 8 * extra.lives_ms.len()
    }
}
