//! Reports that are due (DESIGN.md, "DSNs"): which, to whom, and no more of them than are allowed.
//!
//! A row that owes a report says so on the disk. The line here is only the order in which such
//! messages are looked at, and is made anew from the rows whenever the store is opened. What a
//! report tells is read from the rows when it is made. The debt is cleared in the very batch that
//! stores the report; a report that was composed before the store failed is refused, since its job
//! is given out again.

mod line;
mod owed;

use std::collections::HashSet;
use std::sync::Arc;

use quell_mail::dsn::Action;
use quell_mail::id::QueueId;
use quell_storm::facts::{Ms, RowState};
use quell_storm::verdict::Reason;

use self::line::Job;
pub(super) use self::line::Line;
use self::owed::{Owed, mark, owed, told_today};
use super::Door;
use crate::body::BodyRef;
use crate::clock::Now;
use crate::ledger::{LIFETIME_MS, life_began};
use crate::store::{Arrival, Envelope, MAX_ENVELOPES, Reader, RefusedCopy, Row, RowId, StoreError};

/// What becomes of a message within this time is told in one report.
pub const SHARE_MS: Ms = 5 * 60_000;
/// A sender is told of a delay after this time.
pub const DELAY_MS: Ms = 4 * 3_600_000;
/// Recipients in one report; the rest of a message's come in the next.
pub const MAX_ROWS_PER_REPORT: usize = 1_000;
/// Reports in all of one message; what is due beyond that is counted and not told.
pub const MAX_REPORTS_PER_MESSAGE: u32 = 20;
/// Messages looked at in one call.
const MESSAGES_AT_ONCE: usize = 100;
/// Rows that owe something, read at a time.
const ROWS_AT_ONCE: usize = 1_000;
/// The same, at first: what comes after the rows of a message is read for nothing, and most messages
/// have few.
const ROWS_AT_FIRST: usize = 8;
/// A report that could not be made now is tried again after this time.
const LATER_MS: Ms = 5 * 60_000;

/// A message as its rows share it: its key's number and the arrival.
pub(super) type Message = (QueueId, QueueId);

/// The right to tell what a [`ReportJob`] says, once.
#[derive(Debug, PartialEq, Eq)]
pub struct ReportToken(u64);

impl ReportToken {
    pub(super) fn number(&self) -> u64 {
        self.0
    }
}

/// What one report has to tell of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedRow {
    /// Recipient identity.
    pub identity: String,
    /// The address that goes out.
    pub as_given: String,
    /// ORCPT as given.
    pub orcpt: Option<String>,
    /// What happened.
    pub action: Action,
    /// The row's status.
    pub status: String,
    /// It may have been delivered all the same.
    pub maybe_delivered: bool,
    /// When it was tried last, if that is known.
    pub last_attempt_ms: Option<Ms>,
    /// Until when it is tried further.
    pub will_retry_until_ms: Option<Ms>,
}

/// A report to be made: of one message, to one reverse-path.
#[derive(Debug, PartialEq, Eq)]
pub struct ReportJob {
    /// The key's number.
    pub kid: QueueId,
    /// The arrival.
    pub queue_id: QueueId,
    /// Whom to tell; never empty.
    pub reverse_path: String,
    /// ENVID as given.
    pub envid: Option<String>,
    /// RET: FULL is true, HDRS false.
    pub ret_full: Option<bool>,
    /// The message came with SMTPUTF8.
    pub smtputf8: bool,
    /// Where the body lies, our `Received` in front. None: it is no longer kept.
    pub body: Option<BodyRef>,
    /// When the message arrived.
    pub received_ms: Ms,
    /// Its bytes, without our `Received`.
    pub size_bytes: u64,
    /// It was collected: whoever is told did not send it.
    pub collected: bool,
    /// What is told, at most [`MAX_ROWS_PER_REPORT`].
    pub rows: Vec<ReportedRow>,
    /// To be given back: with the report ([`super::Incoming`]), or to [`Door::report_dropped`] or
    /// [`Door::report_later`]. One that is not comes again.
    pub token: ReportToken,
}

/// Numbers since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportCounts {
    /// Reports accepted at the door.
    pub made: u64,
    /// Reports that were not made since nothing was to be told to that address
    /// ([`Door::report_dropped`]).
    pub dropped: u64,
    /// Recipients of whom a sender was not told: it had been told of them that day, or had
    /// [`MAX_REPORTS_PER_MESSAGE`].
    pub suppressed: u64,
}

impl<R: Reader, T> Door<R, T> {
    /// Reports that are due by now, at most `limit`. Of one message one is out at a time.
    pub fn reports_due(&mut self, now: &Now, limit: usize) -> Vec<ReportJob> {
        let mut jobs = Vec::new();
        self.reports.take_back_lost(now.ms);
        for _ in 0..MESSAGES_AT_ONCE {
            if jobs.len() >= limit || self.is_shut() {
                break;
            }
            let Some(message) = self.reports.next(now.ms) else { break };
            let made = self.make_report(message, now);
            jobs.extend(self.check(made).flatten());
        }
        jobs
    }

    /// Numbers of reports since the start.
    pub fn report_counts(&self) -> ReportCounts {
        self.reports.counts
    }

    /// The report of a job is not to be made: nobody can be told, or need be. Its debt is cleared. A
    /// digest ([`super::DigestJob`]) is never dropped: it comes again later.
    pub fn report_dropped(&mut self, token: ReportToken, now: &Now) {
        if self.ends.is_out(&token) {
            self.digest_later(&token, now);
        } else if self.end_job(&token, now).is_some() {
            self.reports.counts.dropped += 1;
        }
    }

    /// The report, or the digest, of a job cannot be made now. It comes again in a few minutes.
    pub fn report_later(&mut self, token: ReportToken, now: &Now) {
        if self.ends.is_out(&token) {
            self.digest_later(&token, now);
        } else if let Some(job) = self.reports.take_job(&token) {
            self.reports.ended(job.message, Some(now.ms + LATER_MS));
        }
    }

    pub(super) fn is_report_out(&mut self, token: &ReportToken) -> bool {
        self.reports.is_out(token) || self.is_digest_due(token)
    }

    /// The report of a job goes into the batch being gathered: so does what it pays.
    pub(super) fn report_made(&mut self, token: &ReportToken, now: &Now) {
        if self.ends.is_out(token) {
            return self.digest_made(token, now);
        }
        let Some((kid, queue_id)) = self.end_job(token, now) else { return };
        self.reports.counts.made += 1;
        let found = self.counting_arrival(&kid, &queue_id);
        if let Some(Some(arrival)) = self.check(found) {
            let mut arrival = Arc::unwrap_or_clone(arrival);
            arrival.reports = arrival.reports.saturating_add(1);
            self.put_arrival(arrival);
        }
    }

    /// Marks what a job has told, and puts its message in line for the rest.
    fn end_job(&mut self, token: &ReportToken, now: &Now) -> Option<Message> {
        if self.is_shut() {
            return None;
        }
        let job = self.reports.take_job(token)?;
        for (rcpt, action) in &job.rows {
            let id = RowId { kid: job.message.0, rcpt: rcpt.clone() };
            let told = self.told(&id, &job, *action, now);
            self.check(told)?;
        }
        self.reports.ended(job.message, job.more.then_some(now.ms));
        Some(job.message)
    }

    fn told(&mut self, id: &RowId, job: &Job, action: Action, now: &Now) -> Result<(), StoreError> {
        let Some(row) = self.row(id)? else { return Ok(()) };
        let mut row = Arc::unwrap_or_clone(row);
        let arrival = self.arrival(&id.kid, &row.queue_id)?;
        mark(&mut row, &job.to, action, job.made_ms);
        row.extra.report_due = arrival.is_some_and(|a| !owed(&row, &a, now.ms).owed.is_empty());
        if !row.extra.report_due {
            row.extra.refused.clear();
        }
        self.put_row(Some(row.state), row);
        Ok(())
    }

    /// The arrival at which reports of a key are counted.
    fn counting_arrival(
        &mut self,
        kid: &QueueId,
        queue_id: &QueueId,
    ) -> Result<Option<Arc<Arrival>>, StoreError> {
        match self.arrival(kid, kid)? {
            Some(first) => Ok(Some(first)),
            None => self.arrival(kid, queue_id),
        }
    }

    /// The next report of a message, if it owes one; debts that are none are cleared.
    fn make_report(&mut self, message: Message, now: &Now) -> Result<Option<ReportJob>, StoreError> {
        let (rows, more) = self.rows_owing(message)?;
        let Some(arrival) = self.arrival(&message.0, &message.1)? else {
            rows.into_iter().for_each(|row| self.clear_debt(row, 0));
            self.reports.ended(message, more.then_some(now.ms));
            return Ok(None);
        };
        let counted = self.counting_arrival(&message.0, &message.1)?;
        let at_limit = counted.is_some_and(|a| a.reports >= MAX_REPORTS_PER_MESSAGE);
        let mut draft = Draft { more, ..Draft::default() };
        for row in rows {
            let debts = owed(&row, &arrival, now.ms);
            let untold = debts.suppressed + if at_limit { debts.owed.len() } else { 0 };
            if at_limit || debts.owed.is_empty() {
                self.clear_debt(row, untold);
            } else {
                draft.add(&row, debts.owed);
            }
        }
        let Some(first) = draft.first else {
            self.reports.ended(message, draft.more.then_some(now.ms));
            return Ok(None);
        };
        let told = draft.rows.iter().map(|r| (r.identity.clone(), r.action)).collect();
        let job = Job { message, to: first.to.clone(), rows: told, more: draft.more, made_ms: now.ms };
        let token = self.reports.give_out(job);
        Ok(Some(ReportJob {
            kid: message.0,
            queue_id: message.1,
            reverse_path: first.to,
            envid: first.envid,
            ret_full: first.ret_full,
            smtputf8: arrival.smtputf8,
            body: arrival.body,
            received_ms: arrival.received_ms,
            size_bytes: arrival.size_bytes,
            collected: draft.collected,
            rows: draft.rows,
            token,
        }))
    }

    /// Rows of a message that owe something, as they will stand, at most one report full. True:
    /// there may be more.
    fn rows_owing(&self, (kid, queue_id): Message) -> Result<(Vec<Row>, bool), StoreError> {
        let (mut found, mut from) = (Vec::new(), RowId { kid, rcpt: String::new() });
        let mut limit = ROWS_AT_FIRST;
        loop {
            let page = self.reader()?.owing(&from, limit)?;
            let full = page.len() == limit;
            limit = ROWS_AT_ONCE;
            for row in page {
                if row.id.kid != kid {
                    return Ok((found, false));
                }
                from = after(&row.id);
                // What is not durable yet may already have paid.
                let row =
                    self.rows.get(&row.id).map_or(Some(row), |newer| newer.map(|row| row.as_ref().clone()));
                found.extend(row.filter(|r| r.extra.report_due && r.queue_id == queue_id));
                if found.len() == MAX_ROWS_PER_REPORT {
                    return Ok((found, true));
                }
            }
            if !full {
                return Ok((found, false));
            }
        }
    }

    fn clear_debt(&mut self, mut row: Row, untold: usize) {
        self.reports.counts.suppressed += untold as u64;
        row.extra.report_due = false;
        row.extra.refused.clear();
        self.put_row(Some(row.state), row);
    }

    /// A row goes on waiting: after [`DELAY_MS`] its senders are told, who want to be.
    pub(super) fn note_delay(&mut self, row: &mut Row, now: &Now) {
        if now.ms - life_began(row) < DELAY_MS {
            return;
        }
        let found = self.arrival(&row.id.kid, &row.queue_id);
        if let Some(Some(arrival)) = self.check(found) {
            row.extra.report_due |= !owed(row, &arrival, now.ms).owed.is_empty();
        }
    }

    /// A copy is refused, and no reply will tell its sender: a report has to, unless the sender was
    /// told of this recipient today.
    pub(super) fn note_refused(&mut self, mut row: Row, envelope: Envelope, reason: &Reason, now: &Now) {
        let waiting = &row.extra.refused;
        let waits = waiting.iter().any(|r| r.envelope.reverse_path == envelope.reverse_path);
        let Some((_, code, text)) = reason.sender_reply() else { return };
        if !envelope.wants_failure() || waits || waiting.len() >= MAX_ENVELOPES {
            return;
        }
        if told_today(&row, &envelope.reverse_path, now.ms) {
            self.reports.counts.suppressed += 1;
            return;
        }
        row.extra.refused.push(RefusedCopy { envelope, status: format!("{code} {text}"), at_ms: now.ms });
        row.extra.report_due = true;
        self.put_row(Some(row.state), row);
    }

    /// A batch is durable: messages of which rows owe something wait for others to share the report,
    /// or, where no row is open any more, for nothing.
    pub(super) fn owing_durable(&mut self, owing: HashSet<Message>, settled: HashSet<Message>, now: &Now) {
        let in_line: Vec<_> =
            settled.difference(&owing).filter(|m| self.reports.contains(m)).copied().collect();
        for message in owing.iter().copied() {
            self.put_in_line(message, now.ms + SHARE_MS, now);
        }
        for message in in_line {
            self.put_in_line(message, Ms::MAX, now);
        }
    }

    fn put_in_line(&mut self, message: Message, due_ms: Ms, now: &Now) {
        let found = self.arrival(&message.0, &message.1);
        let Some(found) = self.check(found) else { return };
        let due_ms = if found.is_none_or(|a| a.open == 0) { now.ms } else { due_ms };
        self.reports.note(message, due_ms);
    }

    /// Looks through the next rows that owe something from before.
    pub(super) fn fetch_owing(&mut self, now: &Now) {
        let Some(from) = self.reports.rest_from() else { return };
        let found = self.reader().and_then(|reader| reader.owing(&from, ROWS_AT_ONCE));
        let Some(rows) = self.check(found) else { return };
        let rest = rows.last().filter(|_| rows.len() == ROWS_AT_ONCE).map(|row| after(&row.id));
        self.reports.fetched_up_to(rest);
        for row in rows {
            self.put_in_line((row.id.kid, row.queue_id), row.since_ms + SHARE_MS, now);
        }
    }
}

/// The row id next to `id`.
fn after(id: &RowId) -> RowId {
    RowId { kid: id.kid, rcpt: format!("{}\0", id.rcpt) }
}

/// A report as it is put together.
#[derive(Default)]
struct Draft {
    /// Whom the first row has to tell: the report is for them.
    first: Option<Owed>,
    rows: Vec<ReportedRow>,
    /// There is more to tell to others.
    more: bool,
    /// A row is for the house only.
    collected: bool,
}

impl Draft {
    fn add(&mut self, row: &Row, owed: Vec<Owed>) {
        self.collected |= row.extra.house_only;
        let others = owed.len();
        let first = self.first.get_or_insert_with(|| owed[0].clone());
        let same = |o: &Owed| (&o.to, &o.envid) == (&first.to, &first.envid);
        let mine = owed.into_iter().find(same);
        self.more |= others > usize::from(mine.is_some());
        self.rows.extend(mine.map(|mine| reported(row, mine)));
    }
}

fn reported(row: &Row, owed: Owed) -> ReportedRow {
    let delayed = owed.action == Action::Delayed;
    let removed = row.state == RowState::Discarded;
    let (status, at_ms) = match owed.refused {
        Some((status, at_ms)) => (status, Some(at_ms)),
        None if removed => (REMOVED.to_owned(), None),
        // Of a row that waits it is not kept when it was tried last.
        None => (row.status.clone(), Some(row.since_ms).filter(|_| !delayed)),
    };
    ReportedRow {
        identity: row.id.rcpt.clone(),
        as_given: row.extra.as_given.clone().unwrap_or_else(|| row.id.rcpt.clone()),
        orcpt: owed.orcpt,
        action: owed.action,
        status,
        maybe_delivered: row.extra.maybe_delivered,
        last_attempt_ms: at_ms,
        will_retry_until_ms: delayed.then(|| life_began(row) + LIFETIME_MS),
    }
}

/// What a report says of a row that a person took out of the queue.
const REMOVED: &str = "5.3.0 taken out of the queue by the postmaster";
