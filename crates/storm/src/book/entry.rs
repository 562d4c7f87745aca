//! One storm in the book.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

use super::{BookEvent, CopySeen, Fate};
use crate::evidence::Evidence;
use crate::facts::Ms;
use crate::sources::Sources;
use crate::storm::{ClassCounts, Storm, StormState};
use crate::storm_id::StormId;

/// Recipients that are counted of one storm; of more it has so many at least.
const MAX_RECIPIENTS: usize = 10_000;
/// The same over all storms: some 16 MB.
const MAX_ALL_RECIPIENTS: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) storm: Storm,
    /// Hashes of the recipients of a storm that is no message's, which the ledger cannot count.
    pub(super) recipients: HashSet<u64>,
    /// Bytes that were held for it since the start.
    pub(super) held_bytes: u64,
    pub(super) dirty: bool,
    pub(super) stored_ms: Option<Ms>,
}

impl Entry {
    pub(super) fn count(&mut self, copy: &CopySeen<'_>) -> Option<BookEvent> {
        let storm = &mut self.storm;
        storm.last_seen_ms = storm.last_seen_ms.max(copy.now);
        storm.copies += 1;
        storm.absorbed += u64::from(copy.fate == Fate::Absorbed);
        storm.held += u64::from(copy.fate == Fate::Held);
        storm.by_class.add(copy.class);
        storm.sources.add(copy.source);
        self.dirty = true;
        let again = storm.state == StormState::Quiet;
        again.then(|| {
            storm.state = StormState::Open;
            BookEvent::Reopened(storm.id)
        })
    }

    /// After a restart the count begins anew, and never falls. `all` are remembered over all storms; how many
    /// more there are.
    pub(super) fn count_recipient(&mut self, copy: &CopySeen<'_>, all: usize) -> usize {
        let has_room = self.recipients.len() < MAX_RECIPIENTS && all < MAX_ALL_RECIPIENTS;
        if !copy.class.suspects() || !has_room {
            return 0;
        }
        let is_new = self.recipients.insert(xxh3_64(copy.recipient.as_bytes()));
        self.storm.recipients = self.storm.recipients.max(Some(self.recipients.len() as u64));
        usize::from(is_new)
    }

    pub(super) fn quieten(&mut self, quiet_after_ms: Ms, now: Ms) -> Option<BookEvent> {
        let silent_ms = now.saturating_sub(self.storm.last_seen_ms);
        (self.storm.state == StormState::Open && silent_ms >= quiet_after_ms).then(|| {
            self.storm.state = StormState::Quiet;
            self.dirty = true;
            BookEvent::Quiet(self.storm.id)
        })
    }

    pub(super) fn due(&mut self, every_ms: Ms, now: Ms) -> Option<StormId> {
        let long_ago = self.stored_ms.is_none_or(|at| now.saturating_sub(at) >= every_ms);
        (self.dirty && long_ago).then(|| {
            self.dirty = false;
            self.stored_ms = Some(now);
            self.storm.id
        })
    }
}

pub(super) fn new_storm(id: StormId, copy: &CopySeen<'_>) -> Storm {
    let mut by_class = ClassCounts::default();
    by_class.add(copy.class);
    let mut sources = Sources::default();
    sources.add(copy.source);
    Storm {
        id,
        state: StormState::Open,
        first_seen_ms: copy.totals.first_seen_ms,
        last_seen_ms: copy.now,
        closed_ms: None,
        copies: copy.totals.copies,
        absorbed: copy.totals.absorbed,
        held: copy.totals.held,
        delivered: None,
        recipients: None,
        keys: vec![copy.public],
        key: copy.key,
        by_class,
        released: false,
        sources,
        culprits: Vec::new(),
        evidence: Evidence::default(),
    }
}
