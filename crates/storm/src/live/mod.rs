//! The traces of a running server: of the storms in the book, and of copies that may become one.
//!
//! ```text
//! copy ─ early (a few copies of each key, before a storm opens) ─┐
//!      ─ one   (the trace of an open storm, what it last said) ◄─┘ at the opening
//! ```
//!
//! All of them together keep to [`Limits::trace_book_bytes`]. What is beyond is taken from the storms
//! whose last copy is the oldest: first most of the copies kept, and if that is not enough, all of them.
//! Whom a trace had named by then stays named.

mod early;
mod one;

use std::collections::BTreeMap;

use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use self::early::Early;
use self::one::Live;
use crate::book::CopySeen;
use crate::evidence::MAX_RECIPIENT_BYTES;
use crate::facts::Ms;
use crate::limits::Limits;
use crate::sources::cut;
use crate::storm::{Culprit, Storm};
use crate::trace::{Bounds, Seen};

/// What a trace may hold where the book's room is scarce: with half a dozen stamps some 40 KiB, where
/// [`Bounds::LIVE`] takes up to 250.
pub const NARROW: Bounds = Bounds { copies: 8, copy_bytes: 4 << 10 };

/// What a trace takes beside its copies: its own fields, maps and sets.
const OVERHEAD_BYTES: usize = 2 << 10;

/// The seed of the trace of a key. Keys are made with the installation's secret, which gateways of one firm
/// share: nobody else can tell which copies are kept.
fn seed_of(key: &LedgerKey) -> u64 {
    let [low, ..] = key.0.as_chunks::<8>().0 else { return 0 };
    u64::from_le_bytes(*low)
}

/// The traces of the storms in the book.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    early: Early,
    live: BTreeMap<LedgerKey, Live>,
    bytes: usize,
}

impl Traces {
    /// A copy of a key without a storm.
    pub(crate) fn before(&mut self, copy: &CopySeen<'_>) {
        self.early.add(copy.key, &seen(copy), copy.now);
    }

    /// A storm has opened with this copy. Its trace begins with the copies that were remembered.
    /// Returns whom they convict.
    pub(crate) fn open(&mut self, copy: &CopySeen<'_>, limits: &Limits) -> Vec<Culprit> {
        let is_scarce = self.bytes > limits.trace_book_bytes / 4 * 3;
        let bounds = if is_scarce && !self.live.is_empty() { NARROW } else { Bounds::LIVE };
        let live = Live::new(bounds, seed_of(&copy.key), self.early.take(&copy.key).as_ref());
        self.put(copy.key, live);
        self.add(copy, limits);
        self.look(&copy.key).unwrap_or_default()
    }

    /// A copy of a storm that is in the book.
    pub(crate) fn add(&mut self, copy: &CopySeen<'_>, limits: &Limits) {
        let Some(live) = self.live.get_mut(&copy.key) else { return };
        let grown = live.add(&seen(copy), copy.now);
        self.bytes = self.bytes.saturating_add_signed(grown);
        if self.bytes > limits.trace_book_bytes {
            self.make_room(&copy.key, limits.trace_book_bytes);
        }
    }

    /// Makes a good deal of room at once, so that it is not to be done for each copy. The trace of
    /// `at_hand` is made narrow like the others, but never dropped.
    fn make_room(&mut self, at_hand: &LedgerKey, limit: usize) {
        let goal = limit - limit / 8;
        let mut coldest: Vec<(Ms, LedgerKey)> = self.live.iter().map(|(k, l)| (l.last_ms(), *k)).collect();
        coldest.sort_unstable();
        let others = coldest.iter().filter(|(_, key)| key != at_hand);
        let thinned = coldest.iter().map(|(_, key)| (key, false));
        for (key, drop) in thinned.chain(others.map(|(_, key)| (key, true))) {
            if self.bytes <= goal {
                return;
            }
            if let Some(live) = self.live.get_mut(key) {
                let freed = if drop { live.begin_anew() } else { live.make_narrow() };
                self.bytes = self.bytes.saturating_add_signed(freed);
            }
        }
    }

    /// Whom the copies of this storm convict; None: nothing has come since this was last asked.
    pub(crate) fn look(&mut self, key: &LedgerKey) -> Option<Vec<Culprit>> {
        self.live.get_mut(key)?.look()
    }

    /// The same, but only if so much has come that it is worth the time: what this costs is then a
    /// small part of what the copies cost.
    pub(crate) fn look_if_grown(&mut self, key: &LedgerKey) -> Option<Vec<Culprit>> {
        self.live.get_mut(key).filter(|live| live.has_grown())?.look()
    }

    /// The storm leaves the book. Its last word.
    pub(crate) fn close(&mut self, key: &LedgerKey) -> Option<Vec<Culprit>> {
        let mut live = self.live.remove(key)?;
        self.bytes = self.bytes.saturating_sub(live.bytes());
        live.look()
    }

    /// A storm comes back after a restart: its trace begins with the header sets that were kept.
    pub(crate) fn restore(&mut self, storm: &Storm, limits: &Limits) {
        let bounds = if self.bytes > limits.trace_book_bytes / 4 * 3 { NARROW } else { Bounds::LIVE };
        self.put(storm.key, Live::restored(bounds, seed_of(&storm.key), storm));
        if self.bytes > limits.trace_book_bytes {
            self.make_room(&storm.key, limits.trace_book_bytes);
        }
    }

    fn put(&mut self, key: LedgerKey, live: Live) {
        self.bytes += live.bytes();
        self.live.insert(key, live);
    }

    /// Forgets copies from before `before` of keys that have no storm.
    pub(crate) fn forget_early(&mut self, before: Ms) {
        self.early.forget(before);
    }

    /// Bytes held for storms.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes held for keys without a storm.
    pub(crate) fn early_bytes(&self) -> usize {
        self.early.bytes()
    }
}

fn seen<'a>(copy: &CopySeen<'a>) -> Seen<'a> {
    let recipient = cut(copy.recipient, MAX_RECIPIENT_BYTES);
    Seen {
        header: copy.header,
        own_stamp: copy.received,
        recipient,
        arrived_ms: Some(copy.now),
        id: id(copy.queue_id, recipient),
        place: None,
    }
}

/// What no other copy has: one arrival is one copy for each recipient.
fn id(queue_id: QueueId, recipient: &str) -> u64 {
    xxh3_64_with_seed(recipient.as_bytes(), xxh3_64(queue_id.bytes()))
}
