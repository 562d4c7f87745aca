//! Claims out: the right to deliver a row, for one attempt.

use quell_mail::id::QueueId;
use quell_storm::facts::{Ms, Notify, RowState};

use super::Door;
use super::distinct::united;
use super::turns::Place;
use crate::claim::{Claim, ClaimId};
use crate::clock::Now;
use crate::destination::Destination;
use crate::ledger::Outcome;
use crate::store::{Envelope, Reader, Row, RowId, StoreError};

/// So long a row that was given back waits for its next turn: what we could not do now we hardly can
/// at once.
pub const GIVEN_BACK_WAIT_MS: Ms = 30_000;

/// How far an attempt has come. Kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A stop of the server now leaves the row as it was.
    Opened,
    /// The terminator is about to go out, or has: a stop of the server now leaves the row Unknown.
    Dot,
}

/// Which rows are claimed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together {
    /// Rows of one arrival: they go out in one transaction.
    OneMessage,
    /// Any, in turns between their sources.
    Any,
}

/// A claim that is out.
#[derive(Debug)]
pub(super) struct Out {
    pub number: u64,
    pub destination: Destination,
    pub phase: Phase,
    pub queue_id: QueueId,
    pub attempts: u32,
    /// The row is Unknown in the store, and not Waiting.
    pub unknown: bool,
}

impl<R: Reader, T> Door<R, T> {
    /// Gives out claims on rows of `destination` whose turn it is, at most `limit`. May be less than
    /// there are; empty: there is none.
    pub fn claim_for(
        &mut self,
        destination: &Destination,
        limit: usize,
        together: Together,
        now: &Now,
    ) -> Vec<Claim> {
        let mut claims: Vec<Claim> = Vec::new();
        while claims.len() < limit && !self.is_shut() {
            let at_once = if together == Together::Any { 1 } else { limit };
            let rows = self.turns.take(destination, at_once, now.ms);
            if rows.is_empty() {
                break;
            }
            for id in rows {
                self.try_claim(id, destination, together, &mut claims, now);
            }
            if together == Together::OneMessage && !claims.is_empty() {
                break;
            }
        }
        if claims.is_empty() {
            self.probe_may_be_over(destination);
        }
        claims
    }

    fn try_claim(
        &mut self,
        id: RowId,
        destination: &Destination,
        together: Together,
        claims: &mut Vec<Claim>,
        now: &Now,
    ) {
        self.claims_given += 1;
        let made = self.make_claim(&id);
        let Some(claim) = self.check(made).flatten() else { return self.turns.done(&id) };
        let other = claims.first().is_some_and(|first| first.queue_id != claim.queue_id);
        if together == Together::OneMessage && other {
            // It came in line with an earlier arrival than the one whose body it has now.
            let found = self.row(&id);
            self.turns.done(&id);
            if let Some(Some(row)) = self.check(found) {
                self.in_line(&row, now.ms, now);
            }
            return;
        }
        let out = Out {
            number: claim.number,
            destination: destination.clone(),
            phase: Phase::Opened,
            queue_id: claim.queue_id,
            attempts: claim.attempts,
            unknown: claim.unknown,
        };
        self.claimed.insert(id, out);
        claims.push(claim);
    }

    fn make_claim(&mut self, id: &RowId) -> Result<Option<Claim>, StoreError> {
        let Some(row) = self.row(id)? else { return Ok(None) };
        if !is_tried(&row) || self.claimed.contains_key(id) || self.restoring.contains_key(id) {
            return Ok(None);
        }
        // Removed and given a new life before its first answer was out: it waits for the second.
        if self.unanswered.contains_key(&row.queue_id) {
            return Ok(None);
        }
        // A new life that is not durable yet: its turn comes with the commit. (The row may be in
        // line still from an earlier one.)
        if self.rows.batch(id).is_some() && !self.reader()?.row(id)?.as_ref().is_some_and(is_tried) {
            return Ok(None);
        }
        let Some(arrival) = self.arrival(&id.kid, &row.queue_id)? else { return Ok(None) };
        let Some(body) = arrival.body else { return Ok(None) };
        let (notify, orcpt) = wishes(&row, &arrival.reverse_path);
        Ok(Some(Claim {
            id: id.clone(),
            number: self.claims_given,
            queue_id: row.queue_id,
            reverse_path: arrival.reverse_path.clone(),
            tenant: row.tenant.clone(),
            body,
            received_ms: arrival.received_ms,
            size_bytes: arrival.size_bytes,
            smtputf8: arrival.smtputf8,
            envid: arrival.envid.clone(),
            ret_full: arrival.ret_full,
            notify,
            orcpt,
            sendings: row.sendings,
            attempts: row.attempts,
            unknown: row.state == RowState::Unknown,
            search_first: row.attempts > 0
                || row.extra.maybe_delivered
                || row.extra.life_ms.is_some()
                || row.queue_id.ms() < self.started_ms,
            as_given: row.extra.as_given.clone(),
            house_only: row.extra.house_only,
        }))
    }

    /// The attempt of a claim was not made, for trouble of our own: nothing was sent, and no next hop
    /// has said anything of the row. The ledger learns nothing of it: the row neither counts an
    /// attempt nor expires by it, and a restart finds it as it was. Here it waits for
    /// [`GIVEN_BACK_WAIT_MS`]. One that stands at the dot has a record, which only an outcome ends:
    /// it counts as a temporary failure.
    pub fn give_back(&mut self, claim: Claim, now: &Now) {
        if self.phase(&claim.id) == Some(Phase::Dot) {
            let status = "4.3.0 the end of the message was not sent".to_owned();
            return self.settle(claim, Outcome::Temporary { status }, now);
        }
        self.not_tried(&claim.id, now);
    }

    /// Nobody has these claims any more: the task that had them has died. What stands at the dot is
    /// Unknown; the rest is given back. Those with an outcome are left alone.
    pub fn abandoned(&mut self, claims: Vec<ClaimId>, now: &Now) {
        for id in claims {
            let is_out = self.claimed.get(&id.row).is_some_and(|out| out.number == id.number);
            if !is_out || self.has_outcome(&id.row) {
                continue;
            }
            let dead = if self.phase(&id.row) == Some(Phase::Dot) { self.claim_anew(&id.row) } else { None };
            match dead {
                _ if self.is_shut() => self.abandoned.push(id),
                Some(claim) => {
                    let status = "4.4.2 quell's session ended while the answer was awaited".to_owned();
                    self.settle(claim, Outcome::Unknown { status }, now);
                }
                None => self.not_tried(&id.row, now),
            }
        }
    }

    fn has_outcome(&self, id: &RowId) -> bool {
        let batches = [Some(&self.gathering), self.writing.as_ref()];
        batches.into_iter().flatten().any(|batch| batch.outcomes.iter().any(|(claim, _)| claim.id == *id))
    }

    /// The claim that is lost, once more.
    fn claim_anew(&mut self, id: &RowId) -> Option<Claim> {
        let out = self.claimed.remove(id)?;
        let made = self.make_claim(id);
        self.claimed.insert(id.clone(), out);
        self.check(made).flatten()
    }

    fn not_tried(&mut self, id: &RowId, now: &Now) {
        let Some(out) = self.claimed.remove(id) else { return };
        let found = if self.is_shut() { Ok(None) } else { self.row(id) };
        let found = self.check(found).flatten().filter(|row| self.may_be_in_line(row));
        let placed = found.map(|row| self.place_of(&row).map(|place| (place, row.next_ms)));
        let placed = placed.and_then(|placed| self.check(placed));
        match placed {
            Some((place, next_ms)) => {
                self.turns.put_back(id, place, next_ms.max(now.ms + GIVEN_BACK_WAIT_MS));
            }
            // While the store is away nothing stands in line; then all that waits is fetched.
            None => self.turns.done(id),
        }
        self.probe_may_be_over(&out.destination);
    }

    /// How far the attempt has come that has the row; None: no attempt has it. The row itself shows
    /// as Waiting or Unknown until its outcome.
    pub fn phase(&self, id: &RowId) -> Option<Phase> {
        self.claimed.get(id).map(|out| out.phase)
    }

    /// Rows that are being delivered at this moment: how many of those that [`Door::open_rows`] counts
    /// as Waiting, and how many of those that it counts as Unknown.
    pub fn claimed_rows(&self) -> (u64, u64) {
        let unknown = self.claimed.values().filter(|out| out.unknown).count();
        ((self.claimed.len() - unknown) as u64, unknown as u64)
    }

    /// Puts a row in line, for `next_ms`.
    pub(super) fn in_line(&mut self, row: &Row, next_ms: Ms, now: &Now) {
        let place = self.place_of(row);
        if let Some(place) = self.check(place) {
            self.turns.add(row.id.clone(), place, next_ms, now.ms);
        }
    }

    /// Where a row stands in line.
    pub(super) fn place_of(&mut self, row: &Row) -> Result<Place, StoreError> {
        let arrival = self.arrival(&row.id.kid, &row.queue_id)?;
        Ok(Place {
            destination: (self.destination_of)(&row.id.rcpt),
            source: arrival.map(|a| a.source.clone()).unwrap_or_default(),
            queue_id: row.queue_id,
            sent: row.state == RowState::Unknown,
        })
    }
}

pub(super) fn is_tried(row: &Row) -> bool {
    matches!(row.state, RowState::Waiting | RowState::Unknown)
}

/// What the copies with `reverse_path` want of the next hop: NOTIFY united, the first ORCPT.
fn wishes(row: &Row, reverse_path: &str) -> (Option<Notify>, Option<String>) {
    let own = || row.extra.envelopes.iter().filter(|e| e.reverse_path == reverse_path);
    let notify = own().map(Envelope::wishes).reduce(united).flatten();
    (notify, own().find_map(|e| e.orcpt.clone()))
}
