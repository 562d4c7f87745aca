//! The trace: from many copies of a message to the servers that made them.
//!
//! ```text
//! header ─ copy (fields that tell of the way) ─ sample (bounded, mergeable) ─ Trace
//!    Trace::group ─ chain (stamps, oldest first) ─ graph (where copies part, and who sent them)
//!                 ─ convict (classes, confidence, who made which copy) ─ report
//! ```
//!
//! Nothing here trusts a name: a machine is its address as the next server saw it. Nothing here grows
//! with the storm.

mod actor;
mod case;
mod chain;
mod charge;
mod convict;
mod copy;
mod graph;
mod group;
pub mod grouping;
mod mark;
pub(crate) mod names;
mod origin;
mod picture;
mod reason;
pub mod report;
mod rounds;
mod sample;
mod side;
pub mod whole;
mod words;

use std::collections::BTreeSet;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

pub use self::case::FileName;
pub use self::copy::{Copy, Place, Seen};
use self::sample::Sample;
use crate::facts::Ms;

/// Recipients told apart exactly; of more than these the number is an estimate (within some 4 %).
const MAX_EXACT_RECIPIENTS: usize = 1_024;

/// What a trace may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Copies kept for the ways they went, as many for their recipients, and as many of all alike.
    pub copies: usize,
    /// Bytes kept of one copy.
    pub copy_bytes: usize,
}

impl Bounds {
    /// For an archive that is looked through once.
    pub const ARCHIVE: Self = Self { copies: 2_048, copy_bytes: 32 << 10 };
    /// For a storm in a running server.
    pub const LIVE: Self = Self { copies: 48, copy_bytes: 8 << 10 };
}

/// What is remembered of the copies of one message. Two traces of different copies of it can be merged,
/// in any order, with the same result as one that has seen all.
#[derive(Debug, Clone)]
pub struct Trace {
    bounds: Bounds,
    seed: u64,
    messages: u64,
    first_ms: Option<Ms>,
    last_ms: Option<Ms>,
    by_path: Sample,
    by_recipient: Sample,
    /// Of all copies alike: what shares are counted by.
    of_all: Sample,
    /// The lowest hashes of recipients (k minimum values: Bar-Yossef et al., "Counting Distinct
    /// Elements in a Data Stream", RANDOM 2002).
    recipients: BTreeSet<u64>,
}

impl Trace {
    /// Of no copy yet, for mail that lies there already.
    pub fn new(bounds: Bounds) -> Self {
        Self::seeded(bounds, 0)
    }

    /// Of no copy yet. Which copies are kept depends on `seed`: senders who do not know it cannot see to it
    /// that theirs are, or are not. Traces that are to be merged have the same.
    pub fn seeded(bounds: Bounds, seed: u64) -> Self {
        Self {
            bounds,
            seed,
            messages: 0,
            first_ms: None,
            last_ms: None,
            by_path: Sample::new(bounds.copies),
            by_recipient: Sample::new(bounds.copies),
            of_all: Sample::new(bounds.copies),
            recipients: BTreeSet::new(),
        }
    }

    /// One more copy. Time and memory do not depend on how many there were.
    pub fn add(&mut self, seen: &Seen<'_>) {
        let cells = copy::cells(seen, self.seed);
        self.messages += 1;
        let at = seen.arrived_ms;
        self.first_ms = self.first_ms.into_iter().chain(at).min();
        self.last_ms = self.last_ms.into_iter().chain(at).max();
        keep_lowest(&mut self.recipients, cells.recipient);
        // Recipients of low hash first: the same ones on every way, so that there are pairs to compare.
        let by_path = u128::from(cells.recipient) << 64 | u128::from(cells.copy);
        let alone = u128::from(cells.copy);
        let for_path = self.by_path.count(cells.path, by_path);
        let for_recipient = self.by_recipient.count(cells.recipient, alone);
        let of_all = self.of_all.count(0, alone);
        if !(for_path || for_recipient || of_all) {
            return;
        }
        let copy = Arc::new(Copy::new(seen, self.bounds.copy_bytes));
        if for_path {
            self.by_path.keep(cells.path, by_path, Arc::clone(&copy));
        }
        if for_recipient {
            self.by_recipient.keep(cells.recipient, alone, Arc::clone(&copy));
        }
        if of_all {
            self.of_all.keep(0, alone, copy);
        }
    }

    /// Takes in what another gateway, or another worker, has seen of the same message. One with another
    /// seed keeps other copies, and is left out.
    pub fn merge(&mut self, other: &Self) {
        if self.seed != other.seed {
            return;
        }
        self.messages += other.messages;
        self.first_ms = self.first_ms.into_iter().chain(other.first_ms).min();
        self.last_ms = self.last_ms.into_iter().chain(other.last_ms).max();
        self.by_path.merge(&other.by_path);
        self.by_recipient.merge(&other.by_recipient);
        self.of_all.merge(&other.of_all);
        other.recipients.iter().for_each(|hash| keep_lowest(&mut self.recipients, *hash));
    }

    /// The seed it was made with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Copies seen.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Distinct recipients; beyond [`MAX_EXACT_RECIPIENTS`] estimated.
    pub fn recipients(&self) -> u64 {
        let known = self.recipients.len();
        match self.recipients.last() {
            Some(highest) if known >= MAX_EXACT_RECIPIENTS => {
                let part = *highest as f64 / u64::MAX as f64;
                ((known as f64 - 1.0) / part) as u64
            }
            _ => known as u64,
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.by_path.bytes() + self.by_recipient.bytes() + self.of_all.bytes() + self.recipients.len() * 16
    }
}

fn keep_lowest(hashes: &mut BTreeSet<u64>, hash: u64) {
    hashes.insert(hash);
    if hashes.len() > MAX_EXACT_RECIPIENTS {
        hashes.pop_last();
    }
}

impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |t: &Self| (t.seed, t.messages, t.first_ms, t.last_ms);
        numbers(self) == numbers(other)
            && self.by_path == other.by_path
            && self.by_recipient == other.by_recipient
            && self.of_all == other.of_all
            && self.recipients == other.recipients
    }
}

/// A number for the copy that lies at `place`, for [`Seen::id`].
pub fn id_of(place: Place) -> u64 {
    xxh3_64(&[&place.file.to_le_bytes()[..], &place.offset.to_le_bytes()].concat())
}
