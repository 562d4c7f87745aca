//! Storms: what the book says is told and kept.

use std::sync::Arc;

use quell_mail::key::LedgerKey;
use quell_storm::book::BookEvent;
use quell_storm::evidence::{Sample, Slot};
use quell_storm::facts::Ms;
use quell_storm::stored::StoredStorm as Numbers;
use quell_storm::storm::Storm;
use quell_storm::storm_id::StormId;
use quell_storm::tell::Alert;

use super::{Door, Effect, Ended};
use crate::clock::Now;
use crate::store::{KeyRow, Reader, StoreError, StoredEvidence, StoredStorm, Touch};

/// Storms whose culprits are brought up to date when many are shown or written at once, those last seen
/// first; the others say what was found when they were last written. At a millisecond each, that keeps
/// the desk for a blink.
const NAMED_ANEW: usize = 64;
/// Open storms read back after a restart: the book's own default limit.
const MAX_RESTORED: usize = 10_000;

impl<R: Reader, T> Door<R, T> {
    pub(super) fn storm_events(&mut self, events: Vec<BookEvent>, now: &Now) {
        for event in events {
            match event {
                BookEvent::Closed(storm) => self.storm_ended(storm, now),
                BookEvent::Opened(id) => {
                    self.refresh_rows(&id);
                    let alert = Alert::of(&BookEvent::Opened(id), &self.book);
                    self.effects.extend(alert.map(|a| Effect::Tell(Box::new(a))));
                }
                BookEvent::Reopened(_) | BookEvent::Quiet(_) => {}
            }
        }
    }

    fn storm_ended(&mut self, mut storm: Box<Storm>, now: &Now) {
        self.count_rows(&mut storm);
        self.counters.storm_over(&storm.key, now.ms);
        self.recent.storm_over(&storm.key);
        self.note_end(&storm.key, now.ms);
        self.put_storm(&storm, now.ms);
        let changed = storm.evidence.take_changed();
        self.put_samples(&storm.id, changed, now.ms);
        self.effects.push(Effect::Tell(Box::new(Alert::ended(&storm))));
    }

    /// The key remembers the end of its storm: the next one's numbers begin there, and copies of what
    /// was discarded are absorbed for a time after it.
    pub(super) fn note_end(&mut self, key: &LedgerKey, ended_ms: Ms) {
        if let Ok(Some(key)) = self.key(key) {
            let key = self.counters.refreshed_key(Arc::unwrap_or_clone(key));
            let key = KeyRow { base_copies: key.copies, storm_ended_ms: Some(ended_ms), ..key };
            self.put_key(key);
        }
    }

    /// Brings the book's numbers of recipients up to what the ledger says.
    fn refresh_rows(&mut self, id: &StormId) {
        let Some(key) = self.book.get(id).map(|storm| storm.key) else { return };
        if let Some((delivered, recipients)) = self.rows_of(&key) {
            self.book.set_rows(id, delivered, recipients);
        }
    }

    pub(super) fn tick_storms(&mut self, now: &Now) {
        let events = self.book.tick(now.ms);
        self.storm_events(events, now);
        self.persist_storms(now, false);
    }

    /// Writes storms that have changed: each at most once a minute, or at once if `all`.
    pub(super) fn persist_storms(&mut self, now: &Now, all: bool) {
        let due = if all { self.book.iter().map(|s| s.id).collect() } else { self.book.dirty(now.ms) };
        for (n, id) in due.into_iter().enumerate() {
            self.refresh_rows(&id);
            match all && n < NAMED_ANEW {
                true => self.book.name_culprits(&id),
                false => self.book.name_culprits_if_grown(&id),
            }
            self.persist_storm(&id, now);
        }
    }

    /// Writes a storm as it is, if it has not ended.
    pub(super) fn persist_storm(&mut self, id: &StormId, now: &Now) {
        let Some(storm) = self.book.get(id).cloned() else { return };
        self.put_storm(&storm, now.ms);
        let changed = self.book.take_evidence(id);
        self.put_samples(id, changed, now.ms);
    }

    /// What only the ledger knows: how many recipients there are, and how many have it.
    fn count_rows(&mut self, storm: &mut Storm) {
        if let Some((delivered, recipients)) = self.rows_of(&storm.key) {
            (storm.delivered, storm.recipients) = (Some(delivered), Some(recipients));
        }
    }

    fn rows_of(&mut self, key: &LedgerKey) -> Option<(u64, u64)> {
        let tally = self.key(key).and_then(|key| match key {
            Some(key) => self.reader()?.tally(&key.kid).map(Some),
            None => Ok(None),
        });
        tally.ok().flatten().map(|tally| (tally.delivered, tally.recipients))
    }

    fn put_storm(&mut self, storm: &Storm, now: Ms) {
        let Ok(json) = serde_json::to_string(&Numbers::from(storm)) else { return };
        let (id, open) = (storm.id.to_string(), storm.closed_ms.is_none());
        let stored = StoredStorm { id, open, last_seen_ms: storm.last_seen_ms.min(now), json };
        if !open {
            self.gathering.ended.push(Ended { key: storm.key, ended_ms: now, stored: stored.clone() });
        }
        // The last one written stands, so an earlier one of the same batch does no harm.
        self.gathering.rest.storms.push(stored);
    }

    fn put_samples(&mut self, id: &StormId, samples: Vec<(Slot, Vec<u8>)>, now: Ms) {
        for (slot, sample) in samples {
            let evidence = StoredEvidence { storm: id.to_string(), place: slot.0, at_ms: now, sample };
            self.gathering.rest.evidence.push(evidence);
        }
    }

    pub(super) fn write_counts(&mut self, key: KeyRow, touches: Vec<Touch>) {
        self.put_key(key);
        for touch in touches {
            self.rows.patch(&touch.id, |row| {
                let row = Arc::make_mut(row);
                (row.copies, row.last_copy_ms) = (touch.copies, touch.last_copy_ms);
                row.times.clone_from(&touch.times);
            });
            self.gathering.rest.touches.push(touch);
            self.gathering.counts = true;
        }
    }

    pub(super) fn restore_storms(&mut self, reader: &R) -> Result<(), StoreError> {
        let stored = reader.storms(true, MAX_RESTORED)?;
        let storms: Result<Vec<_>, _> = stored.iter().map(|s| read_storm(reader, s)).collect();
        self.book.restore(storms?.into_iter().flatten());
        Ok(())
    }

    /// Storms for people: those of the book as they are now, then ended ones, newest first.
    ///
    /// # Errors
    /// Those of the store.
    pub fn storms(&mut self, limit: usize) -> Result<Vec<Storm>, StoreError> {
        let mut storms = self.latest(limit);
        for stored in self.reader()?.storms(false, limit)? {
            if !storms.iter().any(|s| s.id.as_str() == stored.id) {
                storms.extend(read_storm(self.reader()?, &stored)?);
            }
        }
        storms.sort_by_key(|s| std::cmp::Reverse(s.last_seen_ms));
        storms.truncate(limit);
        // Ended ones keep the numbers of their end; of the others only those shown are counted.
        for storm in storms.iter_mut().filter(|s| s.closed_ms.is_none()) {
            self.count_rows(storm);
        }
        Ok(storms)
    }

    /// Those of the book, the last seen first, with their culprits.
    fn latest(&mut self, limit: usize) -> Vec<Storm> {
        let mut latest: Vec<(Ms, StormId)> = self.book.iter().map(|s| (s.last_seen_ms, s.id)).collect();
        latest.sort_unstable_by(|a, b| b.cmp(a));
        latest.truncate(limit);
        latest.iter().take(NAMED_ANEW).for_each(|(_, id)| self.book.name_culprits(id));
        latest.iter().filter_map(|(_, id)| self.book.get(id).cloned()).collect()
    }

    /// One storm for people, with its evidence.
    ///
    /// # Errors
    /// Those of the store.
    pub fn storm(&mut self, id: &StormId) -> Result<Option<Storm>, StoreError> {
        self.book.name_culprits(id);
        if let Some(mut storm) = self.book.get(id).cloned() {
            self.count_rows(&mut storm);
            return Ok(Some(storm));
        }
        let reader = self.reader()?;
        let stored = reader.storm(id.as_str())?;
        Ok(stored.map(|s| read_storm(reader, &s)).transpose()?.flatten())
    }

    /// Number of storms that have not ended.
    pub fn storms_open(&self) -> usize {
        self.book.len()
    }

    /// Copies that should have opened a storm when the book was full.
    pub fn storms_not_opened(&self) -> u64 {
        self.book.not_opened()
    }
}

/// A storm that cannot be read back is left out: it is about mail that is safe either way.
pub(super) fn read_storm<R: Reader>(reader: &R, stored: &StoredStorm) -> Result<Option<Storm>, StoreError> {
    let Ok(numbers) = serde_json::from_str::<Numbers>(&stored.json) else { return Ok(None) };
    let evidence = reader.evidence(&stored.id)?;
    let samples = evidence.iter().filter_map(|e| Some((Slot(e.place), Sample::from_bytes(&e.sample).ok()?)));
    Ok(numbers.with_evidence(samples).ok())
}
