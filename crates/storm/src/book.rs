//! The storm book: which storms there are, when they open, grow quiet, close, and what is kept.

mod entry;

use std::collections::{BTreeMap, HashSet};

use quell_mail::id::QueueId;
use quell_mail::key::{ExactKey, LedgerKey};

use self::entry::{Entry, new_storm};
use crate::evidence::Seen;
use crate::facts::{Ms, SourceId};
use crate::limits::Limits;
use crate::live::Traces;
use crate::storm::{Culprit, Storm, StormState};
use crate::storm_id::StormId;
use crate::verdict::{Class, Verdict};

/// What became of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Counted, not stored again.
    Absorbed,
    /// Stored for a person.
    Held,
    /// Refused.
    Refused,
    /// Let through: a row that failed, was held from elsewhere, or was discarded long ago.
    Passed,
}

impl Fate {
    /// The fate that `verdict` means.
    pub fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Pass(..) => Self::Passed,
            Verdict::Absorb(_) => Self::Absorbed,
            Verdict::Hold(..) => Self::Held,
            Verdict::Refuse(_) => Self::Refused,
        }
    }
}

/// What the ledger has counted of a key since it was first seen, or since its last storm closed
/// (the caller starts anew at [`BookEvent::Closed`]); the copy at hand included. A storm that
/// opens takes its numbers from here, so that it counts the copies before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTotals {
    /// When it was first seen.
    pub first_seen_ms: Ms,
    /// Copies.
    pub copies: u64,
    /// Of these, absorbed.
    pub absorbed: u64,
    /// Of these, held.
    pub held: u64,
}

/// One copy: an arrival and a recipient whose row existed.
#[derive(Debug, Clone, Copy)]
pub struct CopySeen<'a> {
    /// The key in the ledger.
    pub key: LedgerKey,
    /// The key as people see it.
    pub public: ExactKey,
    /// The recipient identity.
    pub recipient: &'a str,
    /// The class of the verdict ([`crate::verdict::Reason::class`]).
    pub class: Class,
    /// What became of it.
    pub fate: Fate,
    /// Copies of the key over all recipients within `window_ms`, this one included.
    pub key_copies: u32,
    /// Copies for this recipient within `window_ms`, this one included.
    pub rcpt_copies: u32,
    /// The key's numbers so far.
    pub totals: KeyTotals,
    /// Who brought it.
    pub source: &'a SourceId,
    /// Its header as it came; any length, cut when kept.
    pub header: &'a [u8],
    /// The stamp we gave it, if one was made.
    pub received: Option<&'a str>,
    /// The arrival.
    pub queue_id: QueueId,
    /// When.
    pub now: Ms,
}

/// What has happened to a storm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookEvent {
    /// It is new: the operator is told.
    Opened(StormId),
    /// A copy came while it was quiet: nobody is told again.
    Reopened(StormId),
    /// No copy for `quiet_after_ms`.
    Quiet(StormId),
    /// No copy for `closed_after_ms`: it has left the book, the caller keeps it, and the operator
    /// is told. Its state is Closed, or Discarded if a person had discarded it.
    Closed(Box<Storm>),
}

/// The storms in memory, at most [`Limits::max_open_storms`]: open, quiet, and discarded ones that
/// have not ended. None of them is ever evicted.
#[derive(Debug)]
pub struct Book {
    limits: Limits,
    entries: BTreeMap<LedgerKey, Entry>,
    ids: BTreeMap<StormId, LedgerKey>,
    evidence_bytes: usize,
    /// Storms that a person released.
    released: usize,
    /// Recipients remembered over all storms.
    recipients: usize,
    traces: Traces,
    not_opened: u64,
}

impl Book {
    /// An empty book.
    pub fn new(limits: Limits) -> Self {
        let (entries, ids, traces) = (BTreeMap::new(), BTreeMap::new(), Traces::default());
        Self { limits, entries, ids, evidence_bytes: 0, released: 0, recipients: 0, traces, not_opened: 0 }
    }

    /// Other settings from now on. Storms beyond a lowered limit stay until they end.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Counts one copy: called once for each pair of an arrival and a recipient whose row existed.
    /// With its storm open, nothing is allocated unless the copy is sampled. `rng` names storms
    /// and draws the sample.
    pub fn copy(&mut self, copy: &CopySeen<'_>, rng: &mut dyn FnMut() -> u64) -> Vec<BookEvent> {
        let mut events = Vec::new();
        // Whether or not `tick` came in time, a storm that has ended takes no more copies.
        events.extend(self.close_if_over(&copy.key, copy.now));
        match self.entries.get_mut(&copy.key) {
            Some(entry) => {
                events.extend(entry.count(copy));
                self.recipients += entry.count_recipient(copy, self.recipients);
                if copy.class.is_of_one_message() {
                    self.traces.add(copy, &self.limits);
                }
            }
            None => match self.open(copy, rng) {
                Some(opened) => events.push(opened),
                None => {
                    self.traces.before(copy);
                    return events;
                }
            },
        }
        self.keep_evidence(copy, rng);
        events
    }

    fn open(&mut self, copy: &CopySeen<'_>, rng: &mut dyn FnMut() -> u64) -> Option<BookEvent> {
        let is_few = copy.rcpt_copies < self.limits.storm_rcpt_copies
            && copy.key_copies < self.limits.storm_key_copies;
        if is_few && !copy.class.suspects() {
            return None;
        }
        let id = StormId::random(rng);
        // Two equal ids mean a broken source of randomness: counted as no room, never mixed up.
        if self.entries.len() >= self.limits.max_open_storms || self.ids.contains_key(&id) {
            self.not_opened += 1;
            return None;
        }
        let is_traced = copy.class.is_of_one_message();
        let culprits = if is_traced { self.traces.open(copy, &self.limits) } else { Vec::new() };
        let storm = Storm { culprits, ..new_storm(id, copy) };
        let mut entry =
            Entry { storm, recipients: HashSet::new(), held_bytes: 0, dirty: true, stored_ms: None };
        self.recipients += entry.count_recipient(copy, self.recipients);
        self.entries.insert(copy.key, entry);
        self.ids.insert(id, copy.key);
        Some(BookEvent::Opened(id))
    }

    fn keep_evidence(&mut self, copy: &CopySeen<'_>, rng: &mut dyn FnMut() -> u64) {
        let Some(entry) = self.entries.get_mut(&copy.key) else {
            return;
        };
        let room = self.limits.evidence_book_bytes.saturating_sub(self.evidence_bytes);
        let seen = Seen {
            queue_id: copy.queue_id,
            time_ms: copy.now,
            source: copy.source,
            recipient: copy.recipient,
            received: copy.received,
            header: copy.header,
        };
        let change = entry.storm.evidence.add(&seen, &self.limits, room, rng);
        self.evidence_bytes = self.evidence_bytes.saturating_add_signed(change);
    }

    /// What time alone does: to be called every few seconds, whether or not mail comes.
    pub fn tick(&mut self, now: Ms) -> Vec<BookEvent> {
        let mut events = Vec::new();
        self.traces.forget_early(now.saturating_sub(self.limits.window_ms));
        let over: Vec<LedgerKey> =
            self.entries.iter().filter(|(_, e)| self.is_over(e, now)).map(|(k, _)| *k).collect();
        events.extend(over.iter().filter_map(|key| self.close_if_over(key, now)));
        let quiet_after_ms = self.limits.quiet_after_ms;
        events.extend(self.entries.values_mut().filter_map(|e| e.quieten(quiet_after_ms, now)));
        events
    }

    fn is_over(&self, entry: &Entry, now: Ms) -> bool {
        now.saturating_sub(entry.storm.last_seen_ms) >= self.limits.closed_after_ms
    }

    fn close_if_over(&mut self, key: &LedgerKey, now: Ms) -> Option<BookEvent> {
        if !self.is_over(self.entries.get(key)?, now) {
            return None;
        }
        let Entry { mut storm, recipients, .. } = self.entries.remove(key)?;
        self.ids.remove(&storm.id);
        self.recipients -= recipients.len();
        self.released -= usize::from(storm.released);
        self.evidence_bytes = self.evidence_bytes.saturating_sub(storm.evidence.bytes());
        storm.culprits = self.traces.close(key).unwrap_or(storm.culprits);
        storm.closed_ms = Some(now);
        if storm.state != StormState::Discarded {
            storm.state = StormState::Closed;
        }
        Some(BookEvent::Closed(Box::new(storm)))
    }

    /// Storms whose numbers have changed and were not handed out here within the last
    /// [`Limits::persist_every_ms`]: the caller writes them now (with [`Book::get`]).
    pub fn dirty(&mut self, now: Ms) -> Vec<StormId> {
        let every = self.limits.persist_every_ms;
        let due = self.entries.values_mut().filter_map(|e| e.due(every, now));
        due.collect()
    }

    /// The stored forms of the evidence of `id` that has changed since this was last asked: to be
    /// written with the numbers.
    pub fn take_evidence(&mut self, id: &StormId) -> Vec<(crate::evidence::Slot, Vec<u8>)> {
        let entry = self.ids.get(id).and_then(|key| self.entries.get_mut(key));
        entry.map(|e| e.storm.evidence.take_changed()).unwrap_or_default()
    }

    /// Brings [`Storm::culprits`] up to the copies that have come: to be called before the storm is shown.
    /// Takes about a millisecond if any have, else nothing.
    pub fn name_culprits(&mut self, id: &StormId) {
        self.put_culprits(id, Traces::look);
    }

    /// The same before it is written, but only if enough copies have come to make it worth the time.
    pub fn name_culprits_if_grown(&mut self, id: &StormId) {
        self.put_culprits(id, Traces::look_if_grown);
    }

    fn put_culprits(
        &mut self,
        id: &StormId,
        look: impl FnOnce(&mut Traces, &LedgerKey) -> Option<Vec<Culprit>>,
    ) {
        if let Some(entry) = self.ids.get(id).and_then(|key| self.entries.get_mut(key))
            && let Some(culprits) = look(&mut self.traces, &entry.storm.key)
        {
            entry.storm.culprits = culprits;
        }
    }

    /// Takes back what was stored before a restart. Returns those it does not take: ended ones,
    /// ones whose key or id is there already, and what is beyond the limit.
    pub fn restore(&mut self, storms: impl IntoIterator<Item = Storm>) -> Vec<Storm> {
        storms.into_iter().filter_map(|storm| self.take_back(storm)).collect()
    }

    fn take_back(&mut self, storm: Storm) -> Option<Storm> {
        let known = self.ids.contains_key(&storm.id) || self.entries.contains_key(&storm.key);
        let full = self.entries.len() >= self.limits.max_open_storms;
        if storm.closed_ms.is_some() || storm.state == StormState::Closed || known || full {
            return Some(storm);
        }
        self.evidence_bytes += storm.evidence.bytes();
        if storm.class().is_of_one_message() {
            self.traces.restore(&storm, &self.limits);
        }
        self.ids.insert(storm.id, storm.key);
        self.released += usize::from(storm.released);
        let stored_ms = Some(storm.last_seen_ms);
        self.entries.insert(
            storm.key,
            Entry { storm, recipients: HashSet::new(), held_bytes: 0, dirty: false, stored_ms },
        );
        None
    }

    /// The storm of this id.
    pub fn get(&self, id: &StormId) -> Option<&Storm> {
        self.by_key(self.ids.get(id)?)
    }

    /// The storm of this key. While there is one, rows of it that are Discarded absorb.
    pub fn by_key(&self, key: &LedgerKey) -> Option<&Storm> {
        self.entries.get(key).map(|e| &e.storm)
    }

    /// All storms in memory, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Storm> {
        self.entries.values().map(|e| &e.storm)
    }

    /// Sets what the ledger knows of a storm: rows delivered, and distinct recipients. False: no
    /// such storm.
    pub fn set_rows(&mut self, id: &StormId, delivered: u64, recipients: u64) -> bool {
        self.change(id, |storm| {
            let new = (Some(delivered), Some(recipients));
            let changed = (storm.delivered, storm.recipients) != new;
            (storm.delivered, storm.recipients) = new;
            changed
        })
    }

    /// A person discards the storm: its state says so until it ends. The rows are the ledger's
    /// business. False: no such storm.
    pub fn discard(&mut self, id: &StormId) -> bool {
        self.change(id, |storm| {
            std::mem::replace(&mut storm.state, StormState::Discarded) != StormState::Discarded
        })
    }

    /// A person releases all of the storm: what still comes of it is not suspected again. False: no such
    /// storm.
    pub fn release(&mut self, id: &StormId) -> bool {
        let is_new = self.get(id).is_some_and(|storm| !storm.released);
        self.released += usize::from(is_new);
        self.change(id, |storm| !std::mem::replace(&mut storm.released, true))
    }

    /// The storm of this key holds so many bytes more.
    pub fn holds(&mut self, key: &LedgerKey, bytes: u64) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.held_bytes = entry.held_bytes.saturating_add(bytes);
        }
    }

    /// So many bytes of it are no longer held.
    pub fn holds_less(&mut self, id: &StormId, bytes: u64) {
        if let Some(entry) = self.ids.get(id).and_then(|key| self.entries.get_mut(key)) {
            entry.held_bytes = entry.held_bytes.saturating_sub(bytes);
        }
    }

    /// Whether a storm of this key is there, or could be opened.
    pub fn has_room_for(&self, key: &LedgerKey) -> bool {
        self.entries.contains_key(key) || self.entries.len() < self.limits.max_open_storms
    }

    /// Whether the storm of this key holds as much as it may.
    pub fn is_full(&self, key: &LedgerKey) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.held_bytes >= self.limits.held_storm_bytes)
    }

    /// Whether any storm in memory was released.
    pub fn has_released(&self) -> bool {
        self.released > 0
    }

    fn change(&mut self, id: &StormId, change: impl FnOnce(&mut Storm) -> bool) -> bool {
        let Some(entry) = self.ids.get(id).and_then(|key| self.entries.get_mut(key)) else {
            return false;
        };
        entry.dirty |= change(&mut entry.storm);
        true
    }

    /// Storms in memory.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Copies that should have opened a storm and found the book full: one for each such copy.
    pub fn not_opened(&self) -> u64 {
        self.not_opened
    }

    /// Bytes of evidence in memory: at most [`Limits::evidence_book_bytes`], and beyond it some
    /// 12 KiB for each storm (first and last header set, cut to
    /// [`crate::evidence::ALWAYS_BYTES`] each, with recipient, source and stamp). Buffers that are
    /// used again may hold as much once more in reserve.
    pub fn evidence_bytes(&self) -> usize {
        self.evidence_bytes
    }

    /// Bytes of traces in memory: at most [`Limits::trace_book_bytes`], and beyond it one of
    /// [`crate::live::NARROW`], that of the storm whose copy came last.
    pub fn trace_bytes(&self) -> usize {
        self.traces.bytes()
    }

    /// Bytes kept of copies of messages that are no storm yet: at most 8 MiB.
    pub fn early_bytes(&self) -> usize {
        self.traces.early_bytes()
    }
}
