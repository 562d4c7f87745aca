//! Copies of messages that are no storm yet: a few of each, so that a storm's trace begins with them.

use std::collections::BTreeMap;

use quell_mail::key::LedgerKey;

use super::{OVERHEAD_BYTES, seed_of};
use crate::facts::Ms;
use crate::trace::{Bounds, Seen, Trace};

/// Copies kept of a key; further ones are not, until its storm opens.
const MAX_COPIES: u64 = 8;
/// Bytes over all keys; beyond it the key whose last copy is the oldest goes.
const MAX_BYTES: usize = 8 << 20;
/// As many copies as the trace of a storm may hold: nothing is left out here, so that all goes over
/// into that trace.
const BOUNDS: Bounds = Bounds { copies: Bounds::LIVE.copies, copy_bytes: 4 << 10 };

/// The copies of keys that have no storm.
#[derive(Debug, Default)]
pub(super) struct Early {
    keys: BTreeMap<LedgerKey, Held>,
    /// By the time of the last copy, and the order in which they came.
    by_age: BTreeMap<(Ms, u64), LedgerKey>,
    turn: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    trace: Trace,
    age: (Ms, u64),
    bytes: usize,
}

impl Early {
    /// Remembers a copy.
    pub(super) fn add(&mut self, key: LedgerKey, seen: &Seen<'_>, now: Ms) {
        let held = self.keys.remove(&key);
        let (mut trace, bytes) = match held {
            Some(held) => {
                self.by_age.remove(&held.age);
                (held.trace, held.bytes)
            }
            None => (Trace::seeded(BOUNDS, seed_of(&key)), 0),
        };
        if trace.messages() < MAX_COPIES {
            trace.add(seen);
        }
        self.turn += 1;
        let held = Held { bytes: trace.bytes() + OVERHEAD_BYTES, trace, age: (now, self.turn) };
        self.bytes = self.bytes - bytes + held.bytes;
        self.by_age.insert(held.age, key);
        self.keys.insert(key, held);
        while self.bytes > MAX_BYTES && self.keys.len() > 1 {
            let Some((_, coldest)) = self.by_age.first_key_value() else { return };
            let coldest = *coldest;
            self.take(&coldest);
        }
    }

    /// What is remembered of a key; it is forgotten here.
    pub(super) fn take(&mut self, key: &LedgerKey) -> Option<Trace> {
        let held = self.keys.remove(key)?;
        self.by_age.remove(&held.age);
        self.bytes -= held.bytes;
        Some(held.trace)
    }

    /// Forgets keys whose last copy came before `before`.
    pub(super) fn forget(&mut self, before: Ms) {
        while let Some((&(at, _), key)) = self.by_age.first_key_value()
            && at < before
        {
            let key = *key;
            self.take(&key);
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> LedgerKey {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&n.to_le_bytes());
        LedgerKey(key)
    }

    fn add(early: &mut Early, n: u32, id: u64, now: Ms) {
        let header = format!("Received: by a{id}.example; x\r\nSubject: {}\r\n", "x".repeat(3_000));
        let seen = Seen {
            header: header.as_bytes(),
            own_stamp: None,
            recipient: "jane@firm.example",
            arrived_ms: Some(now),
            id,
            place: None,
        };
        early.add(key(n), &seen, now);
    }

    #[test]
    fn keeps_a_few_copies_of_each_key_and_forgets_the_coldest() {
        let mut early = Early::default();
        for n in 0..5_000u32 {
            for id in 0..20 {
                add(&mut early, n, id, Ms::from(n));
            }
            add(&mut early, 0, u64::from(n) + 100, Ms::from(n));
            assert!(early.bytes() <= MAX_BYTES, "{}", early.bytes());
        }
        let held: usize = early.keys.values().map(|held| held.bytes).sum();
        assert_eq!((early.bytes(), early.keys.len()), (held, early.by_age.len()));
        assert!(early.keys.len() > 50 && early.keys.len() < 5_000, "{}", early.keys.len());
        assert!(early.take(&key(1)).is_none(), "the coldest is gone");
        let (busy, last) = (early.take(&key(0)), early.take(&key(4_999)));
        assert_eq!(busy.map(|trace| trace.messages()), Some(MAX_COPIES));
        assert_eq!(last.map(|trace| trace.messages()), Some(MAX_COPIES));
        assert!(early.take(&key(0)).is_none());
    }

    #[test]
    fn old_ones_are_forgotten() {
        let mut early = Early::default();
        for n in 0..10 {
            add(&mut early, n, 1, Ms::from(n));
        }
        early.forget(9);
        assert!(early.take(&key(8)).is_none() && early.take(&key(9)).is_some());
        assert_eq!((early.bytes(), early.by_age.len()), (0, 0));
    }
}
