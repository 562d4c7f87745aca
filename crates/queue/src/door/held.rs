//! Held mail that nobody decides on: the operator is reminded, and at the end of its time it is told
//! in digests, never set free (DESIGN.md, "The judge").
//!
//! Nothing of this is kept beside the rows: which are due is found in the store, by the time since
//! which they are held. A digest is given out as a job, like a report ([`super::reports`]); the very
//! batch that stores it discards the rows that it tells of. A digest is refused if one of them is no
//! longer held as it was when the job was made, so that what a person releases meanwhile is not in
//! it as well. One that is lost on its way leaves its rows held, and is made again.

mod decide;
mod now;
mod remind;
mod walk;

use std::collections::HashMap;
use std::sync::Arc;

use quell_mail::id::QueueId;
use quell_storm::facts::{Ms, RowState};
use quell_storm::verdict::Class;

use self::decide::class_of;
use self::now::HeldNow;
use self::remind::Reminders;
use self::walk::{Found, Walk};
use super::Door;
use super::reports::ReportToken;
use crate::body::BodyRef;
use crate::clock::Now;
use crate::ledger::{self, Event};
use crate::store::{Reader, Row, RowId, StoreError};

/// Messages in one digest; of more than that the rest comes in a further one.
pub const MAX_ROWS_PER_DIGEST: usize = 1_000;
/// Rows looked at in one call.
const LOOKED_AT: usize = 1_000;
/// How often it is looked whether something is due.
const LOOK_EVERY_MS: u64 = 60_000;
/// A job that was not given back within this time is given out again.
const LOST_MS: Ms = 10 * 60_000;
/// After a digest was not taken nothing is given out for this long.
const LATER_MS: u64 = 5 * 60_000;
/// Wishes for a digest now that are remembered; one more is refused.
const MAX_WISHES: usize = 100;
/// Classes of which only the operator gets a digest: the held messages are no mail of people.
const FOR_OPERATOR_ONLY: [Class; 2] = [Class::AutoReply, Class::Bounces];

/// What is to happen with held mail, and when.
pub struct HoldRules<'a> {
    /// So long a message is held.
    pub keep_ms: Ms,
    /// The operator is reminded so long after a storm has held mail that is still held.
    pub remind_ms: &'a [Ms],
    /// Whether a recipient identity or a reverse-path lies in one of our domains.
    pub is_ours: &'a dyn Fn(&str) -> bool,
}

/// Whom a digest is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DigestFor {
    /// The recipient, in one of our domains: its identity.
    Recipient(String),
    /// The sender of outgoing mail, in one of our domains, and the operator.
    Sender(String),
    /// The operator alone.
    Operator,
}

/// One held message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldMessage {
    /// The key's number.
    pub kid: QueueId,
    /// The arrival.
    pub queue_id: QueueId,
    /// Recipient identity.
    pub recipient: String,
    /// Reverse-path; empty for `<>`.
    pub sender: String,
    /// Name of the reason.
    pub reason: String,
    /// When it was received.
    pub received_ms: Ms,
    /// Since when it is held.
    pub since_ms: Ms,
    /// Bytes as received.
    pub size_bytes: u64,
    /// Where the body lies, our `Received` in front. None: it is no longer kept.
    pub body: Option<BodyRef>,
}

/// A digest to be made: of one storm, for one recipient or sender, or for the operator.
#[derive(Debug, PartialEq, Eq)]
pub struct DigestJob {
    /// The storm; None: the messages were held for none.
    pub storm: Option<String>,
    /// Its class.
    pub class: Option<Class>,
    /// Whom it is for.
    pub to: DigestFor,
    /// What it tells of, the longest held first; at most [`MAX_ROWS_PER_DIGEST`].
    pub messages: Vec<HeldMessage>,
    /// To be given back: with the digest ([`super::Incoming`]), or to [`Door::report_later`]. One
    /// that is not comes again.
    pub token: ReportToken,
}

/// Numbers since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldCounts {
    /// Rows that a person let go.
    pub released: u64,
    /// Rows that a person threw away.
    pub discarded: u64,
    /// Rows that ended in a digest.
    pub in_digests: u64,
    /// Digests accepted at the door.
    pub digests: u64,
    /// Reminders of the operator.
    pub reminders: u64,
}

/// Too many digests are wished for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_WISHES} digests are asked for already: try again in a minute")]
pub struct WishRefused;

/// What is known of held mail beside its rows; made anew whenever the store is opened.
#[derive(Debug)]
pub(super) struct Ends {
    walk: Option<Walk>,
    ready: Vec<Found>,
    jobs: HashMap<u64, Job>,
    /// Digests that a person wants now: of a storm, or of what it holds for one recipient.
    wishes: Vec<Wish>,
    /// On the monotonic clock.
    next_look_ms: u64,
    reminders: Reminders,
    counts: HeldCounts,
    /// How much each storm holds.
    pub held_now: HeldNow,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    storm: String,
    recipient: Option<String>,
}

/// A digest that is out.
#[derive(Debug)]
struct Job {
    storm: Option<String>,
    /// A person has asked for it: if it is not taken, that is to be done again.
    wish: Option<Wish>,
    /// Rows, and the arrival whose body each had.
    rows: Vec<(RowId, QueueId)>,
    made_ms: Ms,
}

impl Ends {
    /// `lived_until_ms`: the stored high-water mark. What fell due before it was told by an earlier
    /// life.
    pub fn new(lived_until_ms: Ms) -> Self {
        Self {
            walk: None,
            ready: Vec::new(),
            jobs: HashMap::new(),
            wishes: Vec::new(),
            next_look_ms: 0,
            reminders: Reminders::new(lived_until_ms),
            counts: HeldCounts::default(),
            held_now: HeldNow::default(),
        }
    }

    /// Tokens that are out are worth nothing from now on: their rows are looked at anew.
    pub fn start_anew(&mut self) {
        self.next_look_ms = 0;
        self.wishes.extend(self.walk.take().into_iter().flat_map(|walk| walk.wishes));
        self.wishes.extend(self.ready.drain(..).filter_map(|found| found.wish()));
        self.wishes.extend(self.jobs.drain().filter_map(|(_, job)| job.wish));
        self.wishes.truncate(MAX_WISHES);
    }

    /// A job ends without its digest.
    fn give_up(&mut self, number: u64) {
        let wish = self.jobs.remove(&number).and_then(|job| job.wish);
        self.wishes.extend(wish.filter(|_| self.wishes.len() < MAX_WISHES));
    }

    pub fn is_out(&self, token: &ReportToken) -> bool {
        self.jobs.contains_key(&token.number())
    }
}

impl<R: Reader, T> Door<R, T> {
    /// Looks at held mail: reminds the operator ([`super::Effect::Tell`]) and gives out digests that
    /// are due, at most `limit` at a time; to be called about once a second. Each call looks at a
    /// bounded number of rows. After a jump of the clock only what a person has asked for is due.
    pub fn digests_due(&mut self, rules: &HoldRules<'_>, now: &Now, limit: usize) -> Vec<DigestJob> {
        let mut made = Vec::new();
        if self.is_shut() {
            return made;
        }
        let reminded = self.remind(rules, now);
        self.check(reminded);
        let lost = self.ends.jobs.iter().filter(|(_, job)| now.ms - job.made_ms >= LOST_MS);
        let lost: Vec<u64> = lost.map(|(number, _)| *number).collect();
        lost.into_iter().for_each(|number| self.ends.give_up(number));
        if self.ends.ready.is_empty() && self.ends.jobs.is_empty() {
            let walked = self.walk_on(rules, now);
            self.check(walked);
        }
        // Each message of a job is looked up: what is due beyond that has its turn in the next call.
        let told = |made: &[DigestJob]| made.iter().map(|job| job.messages.len()).sum::<usize>();
        while self.ends.jobs.len() < limit && told(&made) < LOOKED_AT && !self.is_shut() {
            let Some(found) = self.ends.ready.pop() else { break };
            let job = self.give_out(found, now);
            made.extend(self.check(job).flatten());
        }
        made
    }

    /// True if [`Door::digests_due`] has not looked at all rows yet, and may be called again shortly.
    pub fn looks_at_held(&self) -> bool {
        self.ends.walk.is_some()
    }

    /// An earlier life ended at `ms`, as the stored mark had it: what fell due before was told by that
    /// one. To be called once after [`Door::open`] where the mark has been written anew meanwhile.
    pub fn lived_until(&mut self, ms: Ms) {
        self.ends.reminders = Reminders::new(ms);
    }

    /// A person wants the digest of what `storm` holds (for `recipient`: an identity) now.
    ///
    /// # Errors
    /// [`WishRefused`].
    pub fn wish_digest(&mut self, storm: &str, recipient: Option<&str>) -> Result<(), WishRefused> {
        let wish = Wish { storm: storm.to_owned(), recipient: recipient.map(str::to_owned) };
        if !self.ends.wishes.contains(&wish) {
            if self.ends.wishes.len() >= MAX_WISHES {
                return Err(WishRefused);
            }
            self.ends.wishes.push(wish);
        }
        self.ends.next_look_ms = 0;
        Ok(())
    }

    /// Rows that a storm holds at this moment; None: more storms hold mail than are counted.
    pub fn held_now(&self, storm: &str) -> Option<u64> {
        self.ends.held_now.of(storm)
    }

    /// Numbers of held mail since the start.
    pub fn held_counts(&self) -> HeldCounts {
        self.ends.counts
    }

    fn give_out(&mut self, found: Found, now: &Now) -> Result<Option<DigestJob>, StoreError> {
        let wish = found.wish();
        let (storm, to) = found.group;
        let (mut rows, mut messages, mut class) = (Vec::new(), Vec::new(), None);
        for id in &found.rows {
            let Some(row) = self.row(id)?.filter(|row| is_held_for(row, storm.as_deref())) else { continue };
            let arrival = self.arrival(&id.kid, &row.queue_id)?;
            rows.push((id.clone(), row.queue_id));
            class = class.or_else(|| class_of(&row));
            messages.push(HeldMessage {
                kid: id.kid,
                queue_id: row.queue_id,
                recipient: id.rcpt.clone(),
                sender: arrival.as_ref().map_or_else(String::new, |a| a.reverse_path.clone()),
                reason: row.extra.held_for.clone().unwrap_or_default(),
                received_ms: arrival.as_ref().map_or_else(|| row.queue_id.ms(), |a| a.received_ms),
                since_ms: row.since_ms,
                size_bytes: arrival.as_ref().map_or(0, |a| a.size_bytes),
                body: arrival.and_then(|a| a.body),
            });
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let class = match (class, &storm) {
            (None, Some(storm)) => self.storm_class(storm)?,
            (class, _) => class,
        };
        let token = self.reports.new_token();
        self.ends.jobs.insert(token.number(), Job { storm: storm.clone(), wish, rows, made_ms: now.ms });
        Ok(Some(DigestJob { storm, class, to, messages, token }))
    }

    /// True if the job is out, and every row of it is still held as it was.
    pub(super) fn is_digest_due(&mut self, token: &ReportToken) -> bool {
        let Some(job) = self.ends.jobs.remove(&token.number()) else { return false };
        let as_it_was = job.rows.iter().all(|(id, queue_id)| {
            let row = self.row(id);
            let held = |row: &Arc<Row>| is_held_for(row, job.storm.as_deref()) && row.queue_id == *queue_id;
            self.check(row).flatten().as_ref().is_some_and(held)
        });
        self.ends.jobs.insert(token.number(), job);
        if !as_it_was {
            self.ends.give_up(token.number());
        }
        as_it_was
    }

    pub(super) fn digest_later(&mut self, token: &ReportToken, now: &Now) {
        self.ends.give_up(token.number());
        self.ends.next_look_ms = now.mono_ms + LATER_MS;
    }

    /// The digest of a job goes into the batch being gathered: so does the end of its rows.
    pub(super) fn digest_made(&mut self, token: &ReportToken, now: &Now) {
        let Some(job) = self.ends.jobs.remove(&token.number()) else { return };
        for (id, _) in &job.rows {
            let ended = self.end_row(id, now);
            if self.check(ended).is_none() {
                return;
            }
            self.ends.counts.in_digests += 1;
        }
        self.ends.counts.digests += 1;
    }

    fn end_row(&mut self, id: &RowId, now: &Now) -> Result<(), StoreError> {
        let Some(row) = self.row(id)? else { return Ok(()) };
        let mut row = Arc::unwrap_or_clone(row);
        let before = row.state;
        // `is_digest_due` has found it held, in the same call.
        if ledger::step(&mut row, &Event::Discard, now.ms, now.may_expire).is_ok() {
            let why = row.extra.held_for.as_deref().unwrap_or("unknown");
            row.status = format!("held ({why}) until its time was over, and told in a digest");
            self.let_body_go(&id.kid, &row.queue_id, ledger::keeps_body_until(&row), now.ms);
            self.put_row(Some(before), row);
        }
        Ok(())
    }
}

fn is_held_for(row: &Row, storm: Option<&str>) -> bool {
    row.state == RowState::Held && row.extra.storm.as_deref() == storm
}
