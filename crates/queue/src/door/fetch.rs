//! Rows that wait in the store come into line.

use quell_storm::facts::RowState;

use super::Door;
use super::turns::Admit;
use crate::clock::Now;
use crate::ledger::{self, Event};
use crate::store::{Reader, Row, StoreError};

/// Rows fetched from the store at a time.
const FETCH: usize = 10_000;

impl<R: Reader, T> Door<R, T> {
    /// Fetches the next rows to be tried from the store, those that fall due first.
    pub(super) fn fetch(&mut self, now: &Now) -> Result<(), StoreError> {
        let (Some(reader), Some(from)) = (&self.reader, self.turns.rest_from()) else { return Ok(()) };
        let rows = reader.due_from(from, FETCH)?;
        let rest = rows.last().filter(|_| rows.len() == FETCH).map(|r| (r.next_ms, r.id.clone()));
        self.turns.fetched_up_to(rest);
        for row in rows {
            let busy = self.claimed.contains_key(&row.id) || self.restoring.contains_key(&row.id);
            if busy || self.unanswered.contains_key(&row.queue_id) || self.turns.knows(&row.id) {
                continue;
            }
            let destination = (self.destination_of)(&row.id.rcpt);
            let due = (row.next_ms, row.id.clone());
            match self.turns.admit(&destination, &due, now.ms) {
                Admit::Leaves if row.state != RowState::Dot => continue,
                Admit::Stops => break,
                Admit::Takes | Admit::Leaves => {}
            }
            let row = self.found_at_dot(row, now);
            let place = self.place_of(&row)?;
            self.turns.add(row.id, place, row.next_ms, now.ms);
        }
        Ok(())
    }

    /// Nobody claims this row, so one at the dot is left from an earlier life: it is Unknown now.
    fn found_at_dot(&mut self, mut row: Row, now: &Now) -> Row {
        if row.state != RowState::Dot {
            return row;
        }
        if ledger::step(&mut row, &Event::Restarted, now.ms, now.may_expire).is_ok() {
            if !ledger::needs_body(row.state) {
                self.note_report(&mut row);
                self.let_body_go(&row.id.kid, &row.queue_id, ledger::keeps_body_until(&row), now.ms);
            }
            self.put_row(Some(RowState::Dot), row.clone());
        }
        row
    }
}
