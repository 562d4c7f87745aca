//! Who failed how often lately: a bounded table.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Failures are counted by pieces of time so long.
const SLOT_MS: u64 = 5 * 60_000;
/// The piece that is running and three before it: 15 minutes at the least, 20 at the most.
const SLOTS: usize = 4;

/// What is known of one address, network, or user in a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Entry {
    slots: [u16; SLOTS],
    slot: u64,
    /// Tries that are being checked at the moment.
    pub pending: u16,
    /// Refused until then; 0: not.
    pub until_ms: u64,
    /// When a success last took failures away; 0: never.
    pub forgiven_ms: u64,
    /// When the operator was last told; 0: never.
    pub told_ms: u64,
    order_ms: u64,
}

impl Entry {
    fn turn(&mut self, now_ms: u64) {
        let slot = now_ms / SLOT_MS;
        let steps = usize::try_from(slot.saturating_sub(self.slot)).unwrap_or(SLOTS).min(SLOTS);
        self.slots.rotate_right(steps % SLOTS);
        self.slots[..steps].fill(0);
        self.slot = self.slot.max(slot);
    }

    /// Failures within the window.
    pub fn failures(&mut self, now_ms: u64) -> u32 {
        self.turn(now_ms);
        self.slots.iter().map(|n| u32::from(*n)).sum()
    }

    /// One more failure; returns how many there are within the window.
    pub fn fail(&mut self, now_ms: u64) -> u32 {
        self.turn(now_ms);
        self.slots[0] = self.slots[0].saturating_add(1);
        self.failures(now_ms)
    }

    /// Half of the failures are forgotten.
    pub fn halve(&mut self) {
        self.slots = self.slots.map(|n| n / 2);
    }

    /// All failures are forgotten.
    pub fn clear(&mut self) {
        self.slots = [0; SLOTS];
    }

    /// Whether it says nothing any more.
    fn is_over(&mut self, now_ms: u64) -> bool {
        let never = [self.forgiven_ms, self.told_ms].iter().all(|at| *at == 0);
        never && self.pending == 0 && !self.is_blocked(now_ms) && self.failures(now_ms) == 0
    }

    /// Whether it is refused.
    pub fn is_blocked(&self, now_ms: u64) -> bool {
        self.until_ms > now_ms
    }
}

/// A table of at most so many entries. At its end the entry that was changed longest ago gives way to
/// a new one; one that is refused counts as changed when that ends, so that nobody comes free early
/// while there is anybody else.
#[derive(Debug)]
pub(super) struct Table<K> {
    most: usize,
    entries: HashMap<K, Entry>,
    order: BTreeSet<(u64, K)>,
}

impl<K: Copy + Ord + Hash> Table<K> {
    pub fn holding(most: usize) -> Self {
        Self { most: most.max(1), entries: HashMap::new(), order: BTreeSet::new() }
    }

    /// The entry as it is; an empty one where there is none.
    pub fn get(&self, key: &K) -> Entry {
        self.entries.get(key).copied().unwrap_or_default()
    }

    /// Changes the entry, making it where there is none.
    pub fn change<T>(&mut self, key: K, now_ms: u64, change: impl FnOnce(&mut Entry) -> T) -> T {
        if let Some(entry) = self.entries.get(&key) {
            self.order.remove(&(entry.order_ms, key));
        } else if self.entries.len() >= self.most
            && let Some((_, coldest)) = self.order.pop_first()
        {
            self.entries.remove(&coldest);
        }
        let entry = self.entries.entry(key).or_default();
        let done = change(entry);
        // Whoever signs in at once, as nearly everybody does, leaves nothing behind.
        if entry.is_over(now_ms) {
            self.entries.remove(&key);
            return done;
        }
        entry.order_ms = now_ms.max(entry.until_ms);
        self.order.insert((entry.order_ms, key));
        done
    }

    /// Changes the entry if there is one.
    pub fn change_if_there(&mut self, key: K, now_ms: u64, change: impl FnOnce(&mut Entry)) {
        if self.entries.contains_key(&key) {
            self.change(key, now_ms, change);
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.order.len());
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_for_fifteen_minutes_at_least() {
        let (mut entry, begun) = (Entry::default(), 7 * SLOT_MS + 299_000);
        assert_eq!((entry.fail(begun), entry.fail(begun + 1_000)), (1, 2));
        assert_eq!(entry.failures(begun + 15 * 60_000), 2);
        assert_eq!(entry.failures(begun + 15 * 60_000 + 2_000), 1);
        assert_eq!(entry.failures(begun + 21 * 60_000), 0);
        assert_eq!(entry.failures(begun), 0, "time that goes back brings nothing back");
        entry.fail(begun + 30 * 60_000);
        assert_eq!(entry.failures(begun + 1_000_000 * SLOT_MS), 0);
    }

    #[test]
    fn the_coldest_gives_way_and_the_refused_last() {
        let mut table = Table::holding(3);
        table.change(1u32, 10, |e| e.until_ms = 1_000);
        for (key, at) in [(2, 11), (3, 12), (2, 13)] {
            table.change(key, at, |e| e.fail(at));
        }
        table.change(4, 14, |e| e.fail(14));
        assert_eq!(table.get(&3), Entry::default());
        assert!(table.get(&1).is_blocked(14));
        for key in 5..100 {
            table.change(key, u64::from(key) + 10, |e| e.fail(u64::from(key) + 10));
            assert_eq!(table.len(), 3);
        }
        assert!(table.get(&1).is_blocked(100));
    }
}
