//! From a 64-bit key to the number of its slot.

use std::mem::size_of;

use super::list::NONE;

/// One place: a part of the key's hash, and whose it is. [`NONE`]: empty.
#[derive(Debug, Clone, Copy)]
struct Place {
    tag: u32,
    id: u32,
}

const EMPTY: Place = Place { tag: 0, id: NONE };

/// Open addressing with linear probing, at most two thirds full. Deletion closes the gap, so there
/// are no tombstones: no stream of insertions and deletions makes it grow or slow (the map of the
/// standard library may double once under such a stream).
#[derive(Debug)]
pub(super) struct Index {
    places: Vec<Place>,
}

/// The keys are hashes already; the multiplication (Fibonacci hashing) only makes the upper half,
/// which we use, depend on all of the lower bits.
fn tag(key: u64) -> u32 {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

impl Index {
    /// Empty, with room for `entries`.
    pub(super) fn with_room(entries: usize) -> Self {
        Self { places: vec![EMPTY; entries + entries / 2 + 1] }
    }

    pub(super) fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<Place>()
    }

    /// Where a tag would stand in an empty index.
    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.places.len() as u64) >> 32) as usize
    }

    fn after(&self, place: usize) -> usize {
        if place + 1 == self.places.len() { 0 } else { place + 1 }
    }

    /// Steps from `from` on to `to`, around the end.
    fn steps(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.places.len() - from }
    }

    /// The slot of `key`; `is_it` compares the whole key.
    pub(super) fn find(&self, key: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let place = self.place(key, is_it)?;
        Some(self.places[place].id)
    }

    /// What stands where `key` would: one look into memory.
    pub(super) fn at_home(&self, key: u64) -> u32 {
        self.places.get(self.home(tag(key))).map_or(NONE, |place| place.id)
    }

    fn place(&self, key: u64, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        let tag = tag(key);
        let mut at = self.home(tag);
        while self.places[at].id != NONE {
            if self.places[at].tag == tag && is_it(self.places[at].id) {
                return Some(at);
            }
            at = self.after(at);
        }
        None
    }

    /// Adds `key`, which is not in it; the caller keeps to the room.
    pub(super) fn insert(&mut self, key: u64, id: u32) {
        let tag = tag(key);
        let mut at = self.home(tag);
        while self.places[at].id != NONE {
            at = self.after(at);
        }
        self.places[at] = Place { tag, id };
    }

    /// Takes `key`, whose slot is `id`, out. Those behind move up, save past their home.
    pub(super) fn remove(&mut self, key: u64, id: u32) {
        let Some(mut gap) = self.place(key, |other| other == id) else { return };
        let mut at = self.after(gap);
        while self.places[at].id != NONE {
            let home = self.home(self.places[at].tag);
            if self.steps(home, at) >= self.steps(gap, at) {
                self.places[gap] = self.places[at];
                gap = at;
            }
            at = self.after(at);
        }
        self.places[gap] = EMPTY;
    }
}
