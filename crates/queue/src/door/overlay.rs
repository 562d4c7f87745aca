//! What has been decided and is not yet durable, laid over what the store says.

use std::collections::HashMap;
use std::hash::Hash;

/// One value as it will stand, and the batch that makes it so. `None`: it will be forgotten.
#[derive(Debug)]
struct Entry<V> {
    value: Option<V>,
    batch: u64,
}

/// Values of one kind. Holds what two batches have changed: the one being gathered and the one
/// being written; both are bounded by the door's batch limits.
#[derive(Debug)]
pub(super) struct Layer<K, V> {
    entries: HashMap<K, Entry<V>>,
    dirty: Vec<K>,
}

impl<K, V> Default for Layer<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), dirty: Vec::new() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Layer<K, V> {
    /// None: ask the store. Some(None): it is gone.
    pub fn get(&self, key: &K) -> Option<Option<&V>> {
        self.entries.get(key).map(|e| e.value.as_ref())
    }

    /// The batch that a value waits for.
    pub fn batch(&self, key: &K) -> Option<u64> {
        self.entries.get(key).map(|e| e.batch)
    }

    pub fn put(&mut self, key: K, value: Option<V>, batch: u64) {
        let fresh = self.entries.get(&key).is_none_or(|e| e.batch != batch);
        if fresh {
            self.dirty.push(key.clone());
        }
        self.entries.insert(key, Entry { value, batch });
    }

    /// Changes a value that is here, without making it part of a batch.
    pub fn patch(&mut self, key: &K, change: impl FnOnce(&mut V)) {
        if let Some(value) = self.entries.get_mut(key).and_then(|e| e.value.as_mut()) {
            change(value);
        }
    }

    /// What the batch being gathered changes; the values stay here until it is durable.
    pub fn take_dirty(&mut self) -> Vec<(K, Option<V>)> {
        let keys = std::mem::take(&mut self.dirty);
        let value = |key: &K| self.entries.get(key).and_then(|e| e.value.clone());
        keys.into_iter().map(|key| (key.clone(), value(&key))).collect()
    }

    pub fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// `batch` is durable: what it changed last can be read from the store.
    pub fn durable(&mut self, batch: u64) {
        self.entries.retain(|_, e| e.batch > batch);
    }

    /// The store has failed: nothing here came to be.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.dirty.clear();
    }
}
