//! What has been decided, laid over what the store says: first all that is not durable yet, and of
//! what is, what was written or read a moment ago, so that the next step of a row asks no disk.
//!
//! A value that stays when its batch is durable is *clean*: it says what the store says. The store
//! has three writers beside the door's batches, none of which can be missed for long or do harm:
//!
//! - moved bodies (compaction): the place here is an old one. The body store finds a body by every
//!   place it ever had, until the door itself lets it go, and a commit of the arrival keeps the new
//!   place ([`crate::store::Store::move_bodies`]). After a rescue the store was away, and all here is
//!   forgotten.
//! - upkeep: what it moves to a later day says the same as before; what it drops was final, without
//!   a body and without a copy for the whole retention, and is taken for there for up to
//!   [`KEPT_MS`] longer. A step on such a row is left out of its batch, as one is that was decided
//!   before upkeep came.
//! - counts of copies (`Touch`): the door patches what is here when it gathers them, and keeps
//!   nothing that it reads while some are under way.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry as Slot, HashMap};
use std::hash::Hash;

/// Clean values are kept for so long after they were written, or read from the store.
pub(super) const KEPT_MS: u64 = 60_000;
/// Bytes of clean values kept in a layer, about 15,000 rows; the oldest give way.
const KEPT_BYTES: usize = 8 << 20;

/// How much memory a value takes.
pub(super) trait Bulk {
    /// Bytes, roughly.
    fn bytes(&self) -> usize;
}

/// What a value waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The batch that makes it so.
    Batch(u64),
    /// Nothing: it is durable. Names its place among the clean ones.
    Clean(u64),
}

/// One value as it will stand. `None`: it will be forgotten.
#[derive(Debug)]
struct Entry<V> {
    value: Option<V>,
    standing: Standing,
}

/// A value that became clean. It may have changed since.
#[derive(Debug)]
struct Kept<K> {
    key: K,
    number: u64,
    bytes: usize,
    at_ms: u64,
}

/// Values of one kind: what two batches have changed, the one being gathered and the one being
/// written (both are bounded by the door's batch limits), and clean ones, bounded by [`KEPT_BYTES`]
/// and [`KEPT_MS`].
#[derive(Debug)]
pub(super) struct Layer<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// Changed by the batch being gathered.
    dirty: Vec<K>,
    /// Changed by the batch being written.
    writing: Vec<K>,
    /// In the order in which they became clean.
    clean: VecDeque<Kept<K>>,
    clean_bytes: usize,
    /// Of the last clean one.
    number: u64,
}

impl<K, V> Default for Layer<K, V> {
    fn default() -> Self {
        let (entries, dirty, writing, clean) = Default::default();
        Self { entries, dirty, writing, clean, clean_bytes: 0, number: 0 }
    }
}

impl<K: Eq + Hash + Clone, V: Clone + Bulk> Layer<K, V> {
    /// None: ask the store. Some(None): it is gone.
    pub fn get(&self, key: &K) -> Option<Option<&V>> {
        self.entries.get(key).map(|e| e.value.as_ref())
    }

    /// The batch that a value waits for; None: it is durable, or not here.
    pub fn batch(&self, key: &K) -> Option<u64> {
        match self.entries.get(key)?.standing {
            Standing::Batch(batch) => Some(batch),
            Standing::Clean(_) => None,
        }
    }

    pub fn put(&mut self, key: K, value: Option<V>, batch: u64) {
        let entry = Entry { value, standing: Standing::Batch(batch) };
        match self.entries.entry(key) {
            Slot::Occupied(mut there) => {
                if there.get().standing != entry.standing {
                    self.dirty.push(there.key().clone());
                }
                there.insert(entry);
            }
            Slot::Vacant(free) => {
                self.dirty.push(free.key().clone());
                free.insert(entry);
            }
        }
    }

    /// Changes a value that is here, without making it part of a batch.
    pub fn patch(&mut self, key: &K, change: impl FnOnce(&mut V)) {
        if let Some(value) = self.entries.get_mut(key).and_then(|e| e.value.as_mut()) {
            change(value);
        }
    }

    /// What the store has said of a key that is not here, to be answered from here for a while.
    pub fn keep(&mut self, key: K, value: V, now_ms: u64) {
        if !self.entries.contains_key(&key) {
            let (bytes, number) = (value.bytes(), self.number + 1);
            let standing = Standing::Clean(number);
            self.entries.insert(key.clone(), Entry { value: Some(value), standing });
            self.note_clean(key, bytes, now_ms);
        }
    }

    /// Hands out what the batch being gathered changes; the values stay here.
    pub fn take_dirty(&mut self, mut take: impl FnMut(&K, Option<V>)) {
        self.writing = std::mem::take(&mut self.dirty);
        for key in &self.writing {
            take(key, self.entries.get(key).and_then(|e| e.value.clone()));
        }
    }

    pub fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// How many values the batch being gathered changes.
    pub fn dirty(&self) -> usize {
        self.dirty.len()
    }

    /// `batch`, the one whose changes were taken last, is durable. What has not changed again since
    /// is clean.
    pub fn durable(&mut self, batch: u64, now_ms: u64) {
        for key in std::mem::take(&mut self.writing) {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            match &entry.value {
                _ if entry.standing != Standing::Batch(batch) => {}
                Some(value) => {
                    entry.standing = Standing::Clean(self.number + 1);
                    let bytes = value.bytes();
                    self.note_clean(key, bytes, now_ms);
                }
                None => drop(self.entries.remove(&key)),
            }
        }
        self.forget_old(now_ms);
    }

    fn note_clean(&mut self, key: K, value_bytes: usize, at_ms: u64) {
        self.number += 1;
        let bytes = value_bytes + 2 * size_of::<K>() + size_of::<Kept<K>>();
        self.clean.push_back(Kept { key, number: self.number, bytes, at_ms });
        self.clean_bytes += bytes;
        while self.clean_bytes > KEPT_BYTES {
            self.let_oldest_go();
        }
    }

    /// Forgets clean values whose time is over.
    pub fn forget_old(&mut self, now_ms: u64) {
        while self.clean.front().is_some_and(|kept| kept.at_ms.saturating_add(KEPT_MS) <= now_ms) {
            self.let_oldest_go();
        }
    }

    fn let_oldest_go(&mut self) {
        let Some(kept) = self.clean.pop_front() else { return };
        self.clean_bytes -= kept.bytes;
        if let Slot::Occupied(there) = self.entries.entry(kept.key)
            && there.get().standing == Standing::Clean(kept.number)
        {
            there.remove();
        }
    }

    /// The store has failed: nothing here came to be, and what is clean may have another place.
    pub fn clear(&mut self) {
        *self = Self { number: self.number, ..Self::default() };
    }
}

#[cfg(test)]
mod tests;
