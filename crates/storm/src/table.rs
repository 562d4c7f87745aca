//! A bounded table from a 64-bit key to what a statistical class of the judge counts under it.
//!
//! **What a sender cannot do.** However many keys he makes up, the table does not grow beyond its
//! maximum, and once he is the source with the most entries each further key displaces one of his
//! own. Entries of open storms are pinned: nobody displaces them. No operation takes longer the
//! more there is in the table, apart from its doublings on the way to the maximum. Keys and
//! sources are hashes that the caller makes with a secret seed, so nobody can aim at collisions.
//!
//! **What remains possible.** A sender with very many networks is as many sources. With `n` of them
//! he can press everybody else down to about `max / n` entries each, the largest first; with as
//! many networks as the table has entries, to one entry each, and in the end to none that is not
//! pinned: those last touched go last. The judge then misses what it would have counted, and mail
//! passes; none is held for it. [`Table::evicted`] shows it. Somebody who opens many storms can
//! use up the pins, as [`Table::pins_refused`] shows; storms after that run the risk of being
//! displaced like the rest.

use std::mem::size_of;

use crate::facts::Ms;

mod index;
mod list;
mod sources;

#[cfg(test)]
mod tests;

use index::Index;
use list::{Link, Linked, List};
use sources::Sources;

/// At most one entry in this many can be pinned: the rest stays open to new keys, so that storms
/// cannot blind the classes to everything else.
pub const PINNED_SHARE: usize = 4;

/// No table has more entries than this, whatever it is asked for.
pub const MOST_ENTRIES: usize = 1 << 30;

/// Entries that the first allocation has room for.
const FIRST_ROOM: usize = 64;

/// All of a slot but its value: what displacing and searching look at lies together.
#[derive(Debug)]
struct Slot {
    key: u64,
    touched: Ms,
    /// Its neighbours in order of touch, or among the free slots.
    order: Link,
    /// Its neighbours among the entries of its source.
    of_source: Link,
    source: u32,
    pinned: bool,
}

/// The slots by their places in order of touch.
struct InOrder<'a>(&'a mut [Slot]);

impl Linked for InOrder<'_> {
    fn link(&mut self, id: u32) -> &mut Link {
        &mut self.0[id as usize].order
    }
}

/// The slots by their places among those of one source.
struct OfSource<'a>(&'a mut [Slot]);

impl Linked for OfSource<'_> {
    fn link(&mut self, id: u32) -> &mut Link {
        &mut self.0[id as usize].of_source
    }
}

/// A hash table of at most `max` entries, each of which belongs to a source: who brought it first
/// (the caller groups addresses, IPv4 by /24, IPv6 by /48). When it is full, a new key displaces
/// the coldest entry of the source with the most. Memory doubles on the way to the maximum and is
/// then flat.
#[derive(Debug)]
pub struct Table<V> {
    max: usize,
    /// The latest time seen: what is touched later is never older than what was touched before.
    now: Ms,
    index: Index,
    slots: Vec<Slot>,
    /// By the numbers of their slots. None: the slot is free.
    values: Vec<Option<V>>,
    /// Every entry that is not pinned, in order of touch; the free slots use the same links.
    order: List,
    free: List,
    sources: Sources,
    room: usize,
    len: usize,
    pinned: usize,
    evicted: u64,
    no_room: u64,
    pins_refused: u64,
}

impl<V> Table<V> {
    /// An empty table for at most `max` entries (no more than [`MOST_ENTRIES`]). Allocates nothing
    /// until the first entry.
    pub fn new(max: usize) -> Self {
        Self {
            max: max.min(MOST_ENTRIES),
            now: Ms::MIN,
            index: Index::with_room(0),
            slots: Vec::new(),
            values: Vec::new(),
            order: List::EMPTY,
            free: List::EMPTY,
            sources: Sources::new(),
            room: 0,
            len: 0,
            pinned: 0,
            evicted: 0,
            no_room: 0,
            pins_refused: 0,
        }
    }

    /// The value of `key`. Does not count as a touch.
    pub fn get(&self, key: u64) -> Option<&V> {
        self.values[self.find(key)? as usize].as_ref()
    }

    /// The value of `key`, touched at `now`; if there is none, `new` makes it, for `source`, and
    /// somebody gives way if the table is full. An entry that exists stays with its first source. A
    /// `now` before the last one counts as the last one.
    ///
    /// None: nobody can give way, and [`Table::no_room`] grows. Since only a part can be pinned
    /// ([`PINNED_SHARE`]), that is a table of no entries.
    pub fn entry(&mut self, key: u64, source: u64, now: Ms, new: impl FnOnce() -> V) -> Option<&mut V> {
        self.now = self.now.max(now);
        let id = match self.find(key) {
            Some(id) => {
                self.touch(id);
                id
            }
            None => self.insert(key, source, new)?,
        };
        self.values[id as usize].as_mut()
    }

    /// Looks at what [`Table::entry`] will touch for `key`, and changes nothing. A full table is larger than any
    /// cache, and an insertion follows one link after the other: whoever asks this of all tables first waits
    /// for all of them at once.
    pub fn fetch(&self, key: u64, source: u64) {
        let slot = |id: u32| self.slots.get(id as usize);
        let mut seen = self.index.at_home(key);
        seen ^= slot(self.sources.near(source)).map_or(0, |slot| slot.of_source.both()[0]);
        if self.len == self.max
            && let Some(coldest) = self.sources.coldest_of_most().and_then(slot)
        {
            seen ^= self.index.at_home(coldest.key);
            for neighbour in coldest.order.both() {
                seen ^= slot(neighbour).map_or(0, |slot| slot.order.both()[0]);
            }
            seen ^= slot(coldest.of_source.both()[0]).map_or(0, |slot| slot.of_source.both()[0]);
        }
        std::hint::black_box(seen);
    }

    /// Keeps the entry of `key` until [`Table::unpin`]: it is neither displaced nor expires. False:
    /// there is no such entry, or too many are pinned ([`PINNED_SHARE`]). Pinned again is pinned
    /// once.
    pub fn pin(&mut self, key: u64) -> bool {
        let Some(id) = self.find(key) else { return false };
        if self.slots[id as usize].pinned {
            return true;
        }
        if self.pinned >= self.max / PINNED_SHARE {
            self.pins_refused += 1;
            return false;
        }
        let slot = &mut self.slots[id as usize];
        slot.pinned = true;
        let source = slot.source;
        self.pinned += 1;
        self.order.unlink(id, &mut InOrder(&mut self.slots));
        self.sources.pin(source, id, &mut OfSource(&mut self.slots));
        true
    }

    /// The entry of `key` may be displaced again, as one touched just now. False: it was not pinned.
    pub fn unpin(&mut self, key: u64) -> bool {
        let Some(id) = self.find(key) else { return false };
        let slot = &mut self.slots[id as usize];
        if !slot.pinned {
            return false;
        }
        slot.pinned = false;
        slot.touched = self.now;
        let source = slot.source;
        self.pinned -= 1;
        self.order.push(id, &mut InOrder(&mut self.slots));
        self.sources.unpin(source, id, &mut OfSource(&mut self.slots));
        true
    }

    /// Removes entries last touched `older_than_ms` or longer before `now`, the coldest first, at
    /// most `at_most` of them. Returns how many.
    pub fn expire(&mut self, now: Ms, older_than_ms: Ms, at_most: usize) -> usize {
        let mut removed = 0;
        while removed < at_most
            && let Some(id) = self.order.oldest()
            && now.saturating_sub(self.slots[id as usize].touched) >= older_than_ms
        {
            self.remove(id);
            removed += 1;
        }
        removed
    }

    /// All values, in no order. Takes as long as there is room in the table.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.values.iter().flatten()
    }

    /// Entries, pinned ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Entries that are pinned.
    pub fn pinned(&self) -> usize {
        self.pinned
    }

    /// Sources that have an entry.
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Entries that had to give way to new ones; those expired are not counted.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// New keys that found no room.
    pub fn no_room(&self) -> u64 {
        self.no_room
    }

    /// Entries that could not be pinned because too many were.
    pub fn pins_refused(&self) -> u64 {
        self.pins_refused
    }

    /// Memory it occupies, indexes and room not yet used included; what values keep on the heap is
    /// not.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.index.bytes()
            + self.sources.bytes()
            + self.slots.capacity() * size_of::<Slot>()
            + self.values.capacity() * size_of::<Option<V>>()
    }

    fn find(&self, key: u64) -> Option<u32> {
        self.index.find(key, |id| self.slots[id as usize].key == key)
    }

    fn touch(&mut self, id: u32) {
        let slot = &mut self.slots[id as usize];
        slot.touched = self.now;
        let source = slot.source;
        if !slot.pinned {
            self.order.renew(id, &mut InOrder(&mut self.slots));
            self.sources.touch(source, id, &mut OfSource(&mut self.slots));
        }
    }

    fn insert(&mut self, key: u64, source: u64, new: impl FnOnce() -> V) -> Option<u32> {
        if self.len == self.max {
            let Some(coldest) = self.sources.coldest_of_most() else {
                self.no_room += 1;
                return None;
            };
            self.remove(coldest);
            self.evicted += 1;
        }
        let value = Some(new());
        let id = self.free_slot();
        let source = self.sources.of(source);
        let (touched, order, of_source) = (self.now, Link::ALONE, Link::ALONE);
        self.slots[id as usize] = Slot { key, touched, order, of_source, source, pinned: false };
        self.values[id as usize] = value;
        self.len += 1;
        self.index.insert(key, id);
        self.order.push(id, &mut InOrder(&mut self.slots));
        self.sources.join(source, id, &mut OfSource(&mut self.slots));
        Some(id)
    }

    /// A slot in no list, for an entry that comes at once.
    fn free_slot(&mut self) -> u32 {
        if let Some(id) = self.free.oldest() {
            self.free.unlink(id, &mut InOrder(&mut self.slots));
            return id;
        }
        if self.slots.len() == self.room {
            self.grow();
        }
        let (order, of_source) = (Link::ALONE, Link::ALONE);
        self.slots.push(Slot { key: 0, touched: 0, order, of_source, source: 0, pinned: false });
        self.values.push(None);
        (self.slots.len() - 1) as u32
    }

    /// Doubles the room, of everything at once and exactly: at the maximum nothing grows any more,
    /// whoever the entries belong to. Called when every slot is taken.
    fn grow(&mut self) {
        self.room = (self.room * 2).max(FIRST_ROOM).min(self.max);
        let more = self.room - self.slots.len();
        self.slots.reserve_exact(more);
        self.values.reserve_exact(more);
        self.sources.grow(self.room);
        self.index = Index::with_room(self.room);
        for (id, slot) in self.slots.iter().enumerate() {
            self.index.insert(slot.key, id as u32);
        }
    }

    /// Takes out an entry that is not pinned.
    fn remove(&mut self, id: u32) {
        self.values[id as usize] = None;
        let Slot { key, source, .. } = self.slots[id as usize];
        self.len -= 1;
        self.index.remove(key, id);
        self.order.unlink(id, &mut InOrder(&mut self.slots));
        self.sources.leave(source, id, &mut OfSource(&mut self.slots));
        self.free.push(id, &mut InOrder(&mut self.slots));
    }
}
