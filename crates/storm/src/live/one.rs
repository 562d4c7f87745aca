//! The trace of one storm, and what it was last found to say.

use std::collections::BTreeSet;

use super::{NARROW, OVERHEAD_BYTES, id};
use crate::evidence::Sample;
use crate::facts::Ms;
use crate::storm::{Culprit, MAX_CULPRITS, Storm};
use crate::trace::{Bounds, Seen, Trace};

/// Below so many copies a trace is read again whenever one has come.
const FEW: u64 = 16;

/// A storm's trace.
#[derive(Debug)]
pub(super) struct Live {
    trace: Trace,
    is_narrow: bool,
    /// Whom copies convicted that the trace does not have: from before a restart, or before it had to
    /// begin anew.
    known: Vec<Culprit>,
    /// Copies of the trace that those counted already.
    counted: u64,
    /// Whom it convicts, as of `read` copies.
    found: Vec<Culprit>,
    read: u64,
    /// [`Live::look`] has said so.
    is_told: bool,
    last_ms: Ms,
    bytes: usize,
}

impl Live {
    /// Of a storm that opens; `early` are the copies remembered from before.
    pub(super) fn new(bounds: Bounds, seed: u64, early: Option<&Trace>) -> Self {
        let mut trace = Trace::seeded(bounds, seed);
        early.into_iter().for_each(|early| trace.merge(early));
        Self::of(trace, bounds == NARROW)
    }

    /// Of a storm that was stored: from its header sets, as far as they go.
    pub(super) fn restored(bounds: Bounds, seed: u64, storm: &Storm) -> Self {
        let evidence = &storm.evidence;
        let samples = evidence.first().into_iter().chain(evidence.random()).chain(evidence.last());
        let (mut trace, mut ids) = (Trace::seeded(bounds, seed), BTreeSet::new());
        for sample in samples {
            let id = id(sample.queue_id, &sample.recipient);
            // The last copy may stand in the random sample as well.
            if ids.insert(id) {
                trace.add(&seen(sample, id));
            }
        }
        let counted = trace.messages();
        // Where culprits are known, these few copies have nothing to add to what all had said.
        let read = if storm.culprits.is_empty() { 0 } else { counted };
        let known = storm.culprits.clone();
        let found = known.clone();
        let last_ms = storm.last_seen_ms;
        Self { known, counted, found, read, is_told: read > 0, last_ms, ..Self::of(trace, bounds == NARROW) }
    }

    fn of(trace: Trace, is_narrow: bool) -> Self {
        let (known, found) = (Vec::new(), Vec::new());
        let bytes = trace.bytes() + OVERHEAD_BYTES;
        Self { trace, is_narrow, known, counted: 0, found, read: 0, is_told: true, last_ms: 0, bytes }
    }

    /// One more copy. Returns by how much the bytes held have changed.
    pub(super) fn add(&mut self, seen: &Seen<'_>, now: Ms) -> isize {
        self.trace.add(seen);
        self.last_ms = self.last_ms.max(now);
        self.weigh()
    }

    fn weigh(&mut self) -> isize {
        let before = std::mem::replace(&mut self.bytes, self.trace.bytes() + OVERHEAD_BYTES);
        self.bytes as isize - before as isize
    }

    /// Whom the copies convict; None: none has come since this was last asked.
    pub(super) fn look(&mut self) -> Option<Vec<Culprit>> {
        self.read();
        (!std::mem::replace(&mut self.is_told, true)).then(|| self.found.clone())
    }

    fn read(&mut self) {
        let messages = self.trace.messages();
        if messages == self.read {
            return;
        }
        (self.read, self.is_told) = (messages, false);
        let new = messages.saturating_sub(self.counted) as f64 / messages as f64;
        self.found = together(&self.known, self.trace.culprits(), new);
    }

    /// Whether there are few copies, or a quarter more than were read last.
    pub(super) fn has_grown(&self) -> bool {
        let messages = self.trace.messages();
        messages < FEW || messages >= self.read.saturating_add(self.read / 4)
    }

    /// Keeps only the [`NARROW`] part. Returns by how much the bytes held have changed.
    pub(super) fn make_narrow(&mut self) -> isize {
        if !std::mem::replace(&mut self.is_narrow, true) {
            // What is left over could say less than all did.
            self.read();
            let mut narrow = Trace::seeded(NARROW, self.trace.seed());
            narrow.merge(&self.trace);
            self.trace = narrow;
        }
        self.weigh()
    }

    /// Drops all copies. Whom they convicted is remembered.
    pub(super) fn begin_anew(&mut self) -> isize {
        self.read();
        self.known.clone_from(&self.found);
        self.trace = Trace::seeded(NARROW, self.trace.seed());
        (self.is_narrow, self.counted, self.read) = (true, 0, 0);
        self.weigh()
    }

    /// When its last copy came.
    pub(super) fn last_ms(&self) -> Ms {
        self.last_ms
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn seen(sample: &Sample, id: u64) -> Seen<'_> {
    Seen {
        header: &sample.header,
        own_stamp: sample.received.as_deref(),
        recipient: &sample.recipient,
        arrived_ms: Some(sample.time_ms),
        id,
        place: None,
    }
}

/// Who was known and who was found, each machine once, most copies first. What was found now stands,
/// but a machine keeps its first copy and those it was counted before; `new` is the part of what was
/// found that had not been.
fn together(known: &[Culprit], found: Vec<Culprit>, new: f64) -> Vec<Culprit> {
    let mut all = found;
    for old in known {
        match all.iter_mut().find(|culprit| culprit.is_same_machine(old)) {
            Some(again) => {
                let more = again.copies.map(|n| (n as f64 * new).round() as u64);
                again.copies = old.copies.map(|n| n + more.unwrap_or(0)).or(again.copies);
                again.first_seen_ms = old.first_seen_ms.into_iter().chain(again.first_seen_ms).min();
                again.last_seen_ms = again.last_seen_ms.max(old.last_seen_ms);
            }
            None => all.push(old.clone()),
        }
    }
    all.sort_by_key(|culprit| std::cmp::Reverse(culprit.copies));
    all.truncate(MAX_CULPRITS);
    all
}
