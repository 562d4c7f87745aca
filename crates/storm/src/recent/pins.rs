//! Which entries open storms keep.

use std::collections::HashMap;
use std::mem::size_of;

use quell_mail::key::LedgerKey;

use super::Kind;

/// Most entries that one storm keeps.
const MAX_PINNED: usize = 1_000;

/// An entry of one of the tables.
pub(super) type Entry = (Kind, u64);

/// The entries of each open storm. Two storms may keep the same one: it stays until both are over.
#[derive(Debug, Default)]
pub(super) struct Pins {
    of_storm: HashMap<LedgerKey, Vec<Entry>>,
    holders: HashMap<Entry, u32>,
}

impl Pins {
    /// Whether `storm` may keep `entry`, and does not yet.
    pub(super) fn wants(&self, storm: &LedgerKey, entry: Entry) -> bool {
        let pinned = self.of_storm.get(storm);
        pinned.is_none_or(|pinned| pinned.len() < MAX_PINNED && !pinned.contains(&entry))
    }

    /// `storm` keeps `entry`, which is pinned in its table.
    pub(super) fn add(&mut self, storm: &LedgerKey, entry: Entry) {
        self.of_storm.entry(*storm).or_default().push(entry);
        *self.holders.entry(entry).or_default() += 1;
    }

    /// The storm is over: its entries that no other storm keeps.
    pub(super) fn over(&mut self, storm: &LedgerKey) -> Vec<Entry> {
        let mut entries = self.of_storm.remove(storm).unwrap_or_default();
        entries.retain(|entry| {
            let Some(holders) = self.holders.get_mut(entry) else { return true };
            *holders -= 1;
            let is_free = *holders == 0;
            if is_free {
                self.holders.remove(entry);
            }
            is_free
        });
        entries
    }

    /// Memory it occupies.
    pub(super) fn bytes(&self) -> usize {
        let lists: usize = self.of_storm.values().map(Vec::capacity).sum();
        lists * size_of::<Entry>()
            + self.of_storm.capacity() * size_of::<(LedgerKey, Vec<Entry>)>()
            + self.holders.capacity() * size_of::<(Entry, u32)>()
    }
}
