//! Claims out, outcomes in.

use quell_mail::id::QueueId;
use quell_storm::facts::{Ms, Notify, RowState, SourceId};

use super::Door;
use super::accept::united;
use crate::claim::Claim;
use crate::clock::Now;
use crate::ledger::{self, Event, Outcome, Report};
use crate::store::{Arrival, Envelope, Reader, Row, RowId, StoreError};

/// Bodies let go in one step; the rest comes with the next tick.
const RELEASES_AT_ONCE: usize = 1000;
/// How often bodies are looked for that nobody asks for any more.
const RELEASE_EVERY_MS: Ms = 60_000;

impl<R: Reader, T> Door<R, T> {
    /// Gives out claims on rows whose turn it is, at most `limit`.
    pub fn claim(&mut self, limit: usize, now: &Now) -> Vec<Claim> {
        let mut claims = Vec::new();
        while claims.len() < limit && !self.is_shut() {
            let Some((id, _)) = self.turns.next(now.ms) else { break };
            let made = self.make_claim(&id);
            match self.check(made).flatten() {
                Some(claim) => {
                    self.claimed.insert(id);
                    claims.push(claim);
                }
                None => self.turns.done(&id),
            }
        }
        claims
    }

    fn make_claim(&self, id: &RowId) -> Result<Option<Claim>, StoreError> {
        let Some(row) = self.row(id)? else { return Ok(None) };
        if !matches!(row.state, RowState::Waiting | RowState::Unknown) || self.claimed.contains(id) {
            return Ok(None);
        }
        // Removed and given a new life before its first answer was out: it waits for the second.
        if self.unanswered.contains_key(&row.queue_id) {
            return Ok(None);
        }
        // A new life that is not durable yet: its turn comes with the commit. (The row may be in
        // line still from an earlier one.)
        if self.rows.batch(id).is_some() {
            let durable = self.reader()?.row(id)?;
            if durable.is_none_or(|r| !matches!(r.state, RowState::Waiting | RowState::Unknown)) {
                return Ok(None);
            }
        }
        let Some(arrival) = self.arrival(&id.kid, &row.queue_id)? else { return Ok(None) };
        let Some(body) = arrival.body else { return Ok(None) };
        let (notify, orcpt) = wishes(&row, &arrival.reverse_path);
        Ok(Some(Claim {
            id: id.clone(),
            queue_id: row.queue_id,
            reverse_path: arrival.reverse_path,
            as_given: row.extra.as_given,
            tenant: row.tenant,
            body,
            received_ms: arrival.received_ms,
            size_bytes: arrival.size_bytes,
            smtputf8: arrival.smtputf8,
            envid: arrival.envid,
            ret_full: arrival.ret_full,
            notify,
            orcpt,
            sendings: row.sendings,
            attempts: row.attempts,
            search_first: row.attempts > 0
                || row.extra.maybe_delivered
                || row.extra.life_ms.is_some()
                || row.queue_id.ms() < self.started_ms,
        }))
    }

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
        if let Some(mut row) = found {
            let before = row.state;
            let settled = ledger::step(&mut row, &Event::Ended(outcome.clone()), now.ms, now.may_expire);
            if settled.is_ok() {
                if ledger::needs_body(before) && !ledger::needs_body(row.state) {
                    self.note_report(&mut row);
                    let keep = ledger::keeps_body_until(&row);
                    self.let_body_go(&row.id.kid, &row.queue_id, keep, now.ms);
                }
                self.put_row(Some(before), row);
            }
        }
        self.gathering.outcomes.push((claim, outcome));
    }

    /// A row that has come into a final state by an attempt owes those a report who want one.
    pub(super) fn note_report(&mut self, row: &mut Row) {
        let report = match row.state {
            RowState::Delivered | RowState::Relayed => Report::Success,
            RowState::Failed => Report::Failure,
            _ => return,
        };
        let wanted = self.is_wanted(row, report);
        row.extra.report_due |= self.check(wanted).unwrap_or(false);
    }

    pub(super) fn is_wanted(&self, row: &Row, report: Report) -> Result<bool, StoreError> {
        let arrival = self.arrival(&row.id.kid, &row.queue_id)?;
        Ok(ledger::wants(row, arrival.as_ref().map_or("", |a| &a.reverse_path), report))
    }

    /// After its outcome or its new life is durable: a row that is to be tried waits for its time.
    pub(super) fn wait_again(&mut self, id: &RowId, now: &Now) {
        let found = self.row(id);
        if let Some(Some(row)) = self.check(found)
            && matches!(row.state, RowState::Waiting | RowState::Unknown)
            // A new life that began meanwhile waits for its own answer.
            && !self.unanswered.contains_key(&row.queue_id)
        {
            let source = self.source_of(&row);
            if let Some(source) = self.check(source) {
                self.turns.add(row.id, source, row.next_ms, now.ms);
            }
        }
    }

    /// Whose turn a row takes.
    pub(super) fn source_of(&self, row: &Row) -> Result<SourceId, StoreError> {
        let arrival = self.arrival(&row.id.kid, &row.queue_id)?;
        Ok(arrival.map_or_else(|| SourceId(String::new()), |a| a.source))
    }

    /// One row less needs the body of an arrival; until `keep_until` it asks for it. The last lets
    /// it go.
    pub(super) fn let_body_go(&mut self, kid: &QueueId, queue_id: &QueueId, keep_until: Option<Ms>, now: Ms) {
        let found = self.arrival(kid, queue_id);
        let Some(Some(mut arrival)) = self.check(found) else { return };
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
            let over = |a: &Arrival| a.body.is_some() && a.may_be_released(now.ms);
            if let Some(mut arrival) = found.filter(over) {
                self.release_body(&mut arrival);
                self.put_arrival(arrival);
            }
        }
    }
}

/// What the copies with `reverse_path` want of the next hop: NOTIFY united, the first ORCPT.
fn wishes(row: &Row, reverse_path: &str) -> (Option<Notify>, Option<String>) {
    let own = || row.extra.envelopes.iter().filter(|e| e.reverse_path == reverse_path);
    let notify = own().map(Envelope::wishes).reduce(united).flatten();
    (notify, own().find_map(|e| e.orcpt.clone()))
}
