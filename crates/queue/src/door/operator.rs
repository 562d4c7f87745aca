//! What a person may do and see.

use std::sync::Arc;

use quell_mail::id::QueueId;
use quell_storm::facts::{Ms, RowState};

use super::{Door, Verdicts};
use crate::clock::Now;
use crate::ledger::{self, Event, IllegalStep, Report};
use crate::store::{Arrival, Reader, Row, RowId, StoreError};

/// Why a person's wish was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such row.
    #[error("there is no row {0} in the ledger")]
    NoRow(RowId),
    /// It is being delivered at this moment.
    #[error("{0} is being delivered at this moment; try again shortly")]
    Claimed(RowId),
    /// Its state does not allow it.
    #[error(transparent)]
    Illegal(#[from] IllegalStep),
    /// Its body is gone, so it cannot be tried again.
    #[error("the body of {0} is no longer kept")]
    NoBody(RowId),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<R: Reader, T> Door<R, T> {
    /// Lists rows in `states`, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn list(
        &self,
        states: &[RowState],
        after: Option<&RowId>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.reader()?.list(states, after, limit)
    }

    /// An arrival and the rows kept under its key, at most `limit`.
    ///
    /// # Errors
    /// Those of the store.
    pub fn show(&self, queue_id: &QueueId, limit: usize) -> Result<Option<(Arrival, Vec<Row>)>, StoreError> {
        let Some(arrival) = self.reader()?.find_arrival(queue_id)? else { return Ok(None) };
        let rows = self.reader()?.rows_of_key(&arrival.kid, None, limit)?;
        Ok(Some((arrival, rows)))
    }

    /// True while a delivery has the row, also one of an earlier life of the server, until it is
    /// durable that its outcome is Unknown: the store still shows the row as it was before.
    pub fn is_claimed(&self, id: &RowId) -> bool {
        self.claimed.contains_key(id) || self.restoring.contains_key(id)
    }

    /// Tries a row now: Waiting, Unknown, or Failed (a new life, as long as its body is kept:
    /// [`ledger::KEEP_FAILED_MS`]). A destination that is down is tried now, too.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn retry(&mut self, id: &RowId, now: &Now) -> Result<(), Refusal> {
        self.wake(id, &Event::Retry, now)
    }

    /// Lets a row go on: Held, or Discarded as long as its body is kept
    /// ([`ledger::KEEP_DISCARDED_MS`]). It is exempt from `rule` from then on.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn release(&mut self, id: &RowId, rule: &str, now: &Now) -> Result<(), Refusal> {
        self.wake(id, &Event::Release { rule: rule.to_owned() }, now)
    }

    fn wake(&mut self, id: &RowId, event: &Event, now: &Now) -> Result<(), Refusal> {
        let mut row = self.unclaimed(id)?;
        let (before, next_ms) = (row.state, row.next_ms);
        let asked = ledger::keeps_body_until(&row).is_some();
        ledger::step(&mut row, event, now.ms, now.may_expire)?;
        // A body that no row wants is gone, or about to go.
        let arrival = self.arrival(&id.kid, &row.queue_id)?.filter(|a| a.is_wanted());
        let Some(arrival) = arrival else { return Err(Refusal::NoBody(id.clone())) };
        let mut arrival = Arc::unwrap_or_clone(arrival);
        if !ledger::needs_body(before) {
            arrival.take_back(asked);
            self.put_arrival(arrival);
        }
        self.turns.forget_later(id, next_ms);
        let answered = !self.unanswered.contains_key(&row.queue_id);
        if *event == Event::Retry {
            let destination = (self.destination_of)(&id.rcpt);
            self.destination_due(&destination, now);
        }
        self.put_row(Some(before), row.clone());
        if !matches!(before, RowState::Waiting | RowState::Unknown) {
            // A delivery must not begin before its new life is durable.
            self.gathering.woken.push(id.clone());
        } else if answered {
            self.in_line(&row, now.ms, now);
        }
        Ok(())
    }

    /// Takes a row out of the queue. The next copy of it is new. `report`: a report of the failure
    /// is due to those senders who want one.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn remove(&mut self, id: &RowId, report: bool, now: &Now) -> Result<(), Refusal> {
        self.take_out(id, &Event::Remove, report, now)
    }

    /// Throws a held row away. Its copies are absorbed for a time, and its body is kept for
    /// [`Door::release`].
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn discard(&mut self, id: &RowId, now: &Now) -> Result<(), Refusal> {
        self.take_out(id, &Event::Discard, false, now)
    }

    fn take_out(&mut self, id: &RowId, event: &Event, report: bool, now: &Now) -> Result<(), Refusal> {
        let mut row = self.unclaimed(id)?;
        let (before, next_ms) = (row.state, row.next_ms);
        ledger::step(&mut row, event, now.ms, now.may_expire)?;
        // A notice of its delay that was not sent yet is over with it.
        row.extra.report_due = report && self.is_wanted(&row, Report::Failure)?;
        if !row.extra.report_due {
            row.extra.refused.clear();
        }
        self.turns.forget_later(id, next_ms);
        if ledger::needs_body(before) {
            self.let_body_go(&id.kid, &row.queue_id, ledger::keeps_body_until(&row), now.ms);
        }
        self.put_row(Some(before), row);
        Ok(())
    }

    fn unclaimed(&mut self, id: &RowId) -> Result<Row, Refusal> {
        if self.is_claimed(id) {
            return Err(Refusal::Claimed(id.clone()));
        }
        let row = self.row(id)?.ok_or_else(|| Refusal::NoRow(id.clone()))?;
        Ok(Arc::unwrap_or_clone(row))
    }

    /// Forgets delivered rows, so that their messages can be delivered again. Rows in other states
    /// or delivered before `since` stay. Returns how many were forgotten.
    ///
    /// # Errors
    /// Those of the store.
    pub fn forget(&mut self, ids: &[RowId], since: Ms) -> Result<usize, StoreError> {
        let mut forgotten = 0;
        for id in ids {
            let row = self.row(id)?;
            let had = |r: &Arc<Row>| {
                matches!(r.state, RowState::Delivered | RowState::Relayed) && r.since_ms >= since
            };
            if row.as_ref().is_some_and(had) {
                self.rows.put(id.clone(), None, self.gathering.number);
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }

    /// The verdicts on an arrival, if they are still remembered (the last 10,000).
    pub fn verdicts(&self, queue_id: &QueueId) -> Option<&Verdicts> {
        self.remembered.iter().rev().find(|v| v.queue_id == *queue_id).map(Arc::as_ref)
    }

    /// The last verdicts that concern `wanted` (a Message-ID or the 32 hex digits of a key),
    /// newest first, at most `limit`.
    pub fn verdicts_about(&self, wanted: &str, limit: usize) -> Vec<&Verdicts> {
        let about = |v: &&Verdicts| {
            v.message_id.as_deref() == Some(wanted) || v.key.is_some_and(|k| k.to_string() == wanted)
        };
        self.remembered.iter().rev().map(Arc::as_ref).filter(about).take(limit).collect()
    }
}
