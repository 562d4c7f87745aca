//! Outcomes in.

use std::sync::Arc;

use quell_mail::id::QueueId;
use quell_storm::facts::{Ms, RowState};

use super::claims::{Phase, is_tried};
use super::{Door, GivenUp};
use crate::claim::Claim;
use crate::clock::Now;
use crate::ledger::{self, Event, Outcome, Report};
use crate::store::{Arrival, Reader, Row, RowId, StoreError};

/// Bodies let go in one step; the rest comes with the next tick.
const RELEASES_AT_ONCE: usize = 1000;
/// How often bodies are looked for that nobody asks for any more.
const RELEASE_EVERY_MS: Ms = 60_000;

impl<R: Reader, T> Door<R, T> {
    /// Writes the outcome of a claim. Nothing else happens with the row before that is durable.
    pub fn settle(&mut self, claim: Claim, mut outcome: Outcome, now: &Now) {
        if let Outcome::Relayed { reports } = &mut outcome {
            // What a copy that joined meanwhile wants was not passed on.
            *reports &= claim.notify.is_some_and(|n| n.success);
        }
        if self.is_shut() {
            return self.gathering.outcomes.push((claim, outcome));
        }
        let found = self.row(&claim.id);
        let Some(found) = self.check(found) else {
            return self.gathering.outcomes.push((claim, outcome));
        };
        // Written already, by a commit that was believed lost: what it was is known.
        if let Some(row) = found.filter(|row| row.attempts == claim.attempts) {
            self.ended(Arc::unwrap_or_clone(row), &claim, &outcome, now);
        }
        self.gathering.outcomes.push((claim, outcome));
    }

    fn ended(&mut self, mut row: Row, claim: &Claim, outcome: &Outcome, now: &Now) {
        let before = row.state;
        let out = self.claimed.get(&claim.id).map(|out| (out.phase, out.destination.clone()));
        let dot = out.as_ref().is_some_and(|(phase, _)| *phase == Phase::Dot).then_some(Event::Dot);
        for event in dot.into_iter().chain([Event::Ended(outcome.clone())]) {
            if ledger::step(&mut row, &event, now.ms, now.may_expire).is_err() {
                return;
            }
        }
        if let (Outcome::Temporary { .. }, Some((_, destination))) = (outcome, &out)
            && is_tried(&row)
        {
            self.spread(&mut row, destination, now);
        }
        if row.state == RowState::Failed && !matches!(outcome, Outcome::Failed { .. }) {
            self.note_given_up(&row, now);
        }
        self.stepped(before, row, now);
    }

    /// Nobody has refused it, so no attempt's outcome says in the log that it has failed.
    pub(super) fn note_given_up(&mut self, row: &Row, now: &Now) {
        let found = self.arrival(&row.id.kid, &row.queue_id);
        let Some(arrival) = self.check(found) else { return };
        self.gathering.given_up.push(GivenUp {
            queue_id: row.queue_id,
            identity: row.id.rcpt.clone(),
            reverse_path: arrival.map(|a| a.reverse_path.clone()).unwrap_or_default(),
            next_hop: (self.destination_of)(&row.id.rcpt).to_string(),
            status: row.status.clone(),
            age_ms: now.ms - ledger::life_began(row),
            sendings: row.sendings,
            maybe_delivered: row.extra.maybe_delivered,
        });
    }

    /// Writes a row that an attempt has changed.
    pub(super) fn stepped(&mut self, before: RowState, mut row: Row, now: &Now) {
        if !ledger::needs_body(row.state) {
            self.note_report(&mut row);
            let keep = ledger::keeps_body_until(&row);
            self.let_body_go(&row.id.kid, &row.queue_id, keep, now.ms);
        } else {
            self.row_waits(&mut row, now);
        }
        self.put_row(Some(before), row);
    }

    /// Called for each row that goes on waiting after an attempt, or after a probe of its
    /// destination that failed when the row was four hours old or more.
    pub(super) fn row_waits(&mut self, row: &mut Row, now: &Now) {
        self.note_delay(row, now);
    }

    /// A row that has come into a final state by an attempt owes those a report who want one.
    pub(super) fn note_report(&mut self, row: &mut Row) {
        let report = match row.state {
            RowState::Delivered | RowState::Relayed => Report::Success,
            RowState::Failed => Report::Failure,
            _ => return,
        };
        let wanted = self.is_wanted(row, report);
        // What was due before tells of a state that is over, unless it is about refused copies.
        row.extra.report_due = self.check(wanted).unwrap_or(false) || !row.extra.refused.is_empty();
    }

    pub(super) fn is_wanted(&mut self, row: &Row, report: Report) -> Result<bool, StoreError> {
        let arrival = self.arrival(&row.id.kid, &row.queue_id)?;
        Ok(ledger::wants(row, arrival.as_ref().map_or("", |a| &a.reverse_path), report))
    }

    /// After its outcome or its new life is durable: a row that is to be tried waits for its time.
    pub(super) fn wait_again(&mut self, id: &RowId, now: &Now) {
        self.wait_until(id, |row| row.next_ms, now);
    }

    /// Its destination became another during its attempt: a row that goes on waiting is ready there,
    /// and one that is Unknown waits for its time.
    pub(super) fn wait_elsewhere(&mut self, id: &RowId, now: &Now) {
        let ready = |row: &Row| if row.state == RowState::Waiting { now.ms } else { row.next_ms };
        self.wait_until(id, ready, now);
    }

    fn wait_until(&mut self, id: &RowId, until: impl Fn(&Row) -> Ms, now: &Now) {
        let found = self.row(id);
        if let Some(Some(row)) = self.check(found)
            && self.may_be_in_line(&row)
        {
            self.in_line(&row, until(&row), now);
        }
    }

    /// It is to be tried. A new life that began meanwhile waits for its own answer.
    pub(super) fn may_be_in_line(&self, row: &Row) -> bool {
        is_tried(row) && !self.unanswered.contains_key(&row.queue_id)
    }

    /// One row less needs the body of an arrival; until `keep_until` it asks for it. The last lets
    /// it go.
    pub(super) fn let_body_go(&mut self, kid: &QueueId, queue_id: &QueueId, keep_until: Option<Ms>, now: Ms) {
        let found = self.arrival(kid, queue_id);
        let Some(Some(arrival)) = self.check(found) else { return };
        let mut arrival = Arc::unwrap_or_clone(arrival);
        if arrival.give_up(keep_until, now) {
            self.release_body(&mut arrival);
        }
        self.put_arrival(arrival);
    }

    fn release_body(&mut self, arrival: &mut Arrival) {
        (arrival.asking, arrival.release_ms) = (0, None);
        match arrival.body.take() {
            Some(body) => self.gathering.releases.push(body),
            // Not written yet: released as soon as its place is known.
            None => {
                self.release_when_known.insert(arrival.queue_id);
            }
        }
    }

    /// Lets go of bodies whose time is over, a bounded number at a time. The door does it, and not
    /// the store's upkeep: a row that takes its body back may be decided and not durable yet.
    pub(super) fn release_bodies_due(&mut self, now: &Now) {
        if now.ms < self.next_release_ms || !now.may_expire {
            return;
        }
        let found = self.reader().and_then(|reader| reader.bodies_due(now.ms, RELEASES_AT_ONCE));
        let Some(due) = self.check(found) else { return };
        let more = due.len() == RELEASES_AT_ONCE;
        self.next_release_ms = if more { now.ms } else { now.ms + RELEASE_EVERY_MS };
        for kept in due {
            let found = self.arrival(&kept.kid, &kept.queue_id);
            let Some(found) = self.check(found) else { return };
            let over = |a: &Arc<Arrival>| a.body.is_some() && a.may_be_released(now.ms);
            if let Some(arrival) = found.filter(over) {
                let mut arrival = Arc::unwrap_or_clone(arrival);
                self.release_body(&mut arrival);
                self.put_arrival(arrival);
            }
        }
    }
}
