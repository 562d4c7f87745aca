//! Rows that go on waiting: when they are tried again, and how they expire behind a destination that
//! is down.

use std::collections::HashSet;
use std::sync::Arc;

use quell_storm::facts::Ms;

use super::Door;
use super::claims::is_tried;
use super::downs::with_jitter;
use crate::clock::Now;
use crate::destination::Destination;
use crate::ledger::{self, Event, Outcome};
use crate::store::{Reader, Row, RowId};

/// Rows looked through in one tick after a probe has failed.
const LOOKED_AT: usize = 500;
/// Younger rows neither expire behind a dead destination, nor is their sender told of a delay.
const LOOKED_AT_FROM_MS: Ms = 4 * 3_600_000;

impl<R: Reader, T> Door<R, T> {
    /// After a failed probe: its ready rows go on waiting, or have waited too long.
    pub(super) fn note_who_waited(&mut self, destination: &Destination, now: &Now) {
        self.turns.promote(now.ms);
        let old = |row: &&RowId| row.kid.ms() <= now.ms - LOOKED_AT_FROM_MS;
        let rows = self.turns.ready_rows(destination).filter(old);
        let rows: Vec<_> = rows.map(|row| (destination.clone(), row.clone())).collect();
        self.downs.to_look_at.retain(|(d, _)| d != destination);
        self.downs.to_look_at.extend(rows);
    }

    /// Looks through rows behind dead destinations, a bounded number at a time.
    pub(super) fn look_at_who_waited(&mut self, now: &Now) {
        if !now.may_expire {
            return;
        }
        let mut gone = HashSet::new();
        for _ in 0..LOOKED_AT {
            let Some((destination, id)) = self.downs.to_look_at.pop_front() else { break };
            let Some(status) = self.downs.status(&destination).map(str::to_owned) else { continue };
            if self.claimed.contains_key(&id) || self.restoring.contains_key(&id) {
                continue;
            }
            let found = self.row(&id);
            let Some(found) = self.check(found) else { return };
            if let Some(row) = found.filter(|row| is_tried(row))
                && self.waited(Arc::unwrap_or_clone(row), status, now)
            {
                gone.insert(id);
            }
        }
        if !gone.is_empty() {
            self.turns.forget(&gone);
        }
    }

    /// True if the row has waited too long, and failed now.
    fn waited(&mut self, mut row: Row, status: String, now: &Now) -> bool {
        let before = row.clone();
        let expires = now.ms - ledger::life_began(&row) > ledger::LIFETIME_MS;
        if expires
            && ledger::step(&mut row, &Event::Ended(Outcome::Temporary { status }), now.ms, true).is_ok()
        {
            self.note_given_up(&row, now);
            self.stepped(before.state, row, now);
            return true;
        }
        self.row_waits(&mut row, now);
        if row != before {
            self.put_row(Some(before.state), row);
        }
        false
    }

    /// The time at which a row is tried again whose attempt failed for now: that of its destination,
    /// if it is down, so that all wake together; else its own, and a little later, so that what
    /// failed together does not come back all at once. Rows of one message stay together.
    pub(super) fn spread(&self, row: &mut Row, destination: &Destination, now: &Now) {
        match self.downs.until(destination, now.ms) {
            Some(until) => row.next_ms = until,
            None => {
                let wait = row.next_ms - now.ms;
                let random = mixed(self.jitter_seed, row.queue_id.bytes(), row.attempts);
                row.next_ms = now.ms + with_jitter(wait, random);
            }
        }
    }
}

/// The same number for all rows of an arrival that failed together.
fn mixed(seed: u64, queue_id: &[u8], attempts: u32) -> u64 {
    let sum = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .update(queue_id)
        .update(&attempts.to_le_bytes())
        .finalize();
    sum.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
