//! Who brought the entries, and who has the most.

use std::mem::size_of;

use super::index::Index;
use super::list::{Link, Linked, List, NONE};

/// One source. Its record lives as long as it has an entry, pinned or not.
#[derive(Debug)]
struct Source {
    hash: u64,
    /// Entries that may be displaced.
    loose: u32,
    /// Entries that may not.
    pinned: u32,
    /// The loose ones, in order of touch.
    entries: List,
    /// Its neighbours of one rank; among the free ones, of those.
    link: Link,
}

impl Linked for Vec<Source> {
    fn link(&mut self, id: u32) -> &mut Link {
        &mut self[id as usize].link
    }
}

/// The sources of a table, ranked by their loose entries. `ranks[n]` lists those with n, in the
/// order of their last turn (an entry came, was touched or went), so that each step up or down is
/// one move between neighbouring lists.
#[derive(Debug)]
pub(super) struct Sources {
    index: Index,
    all: Vec<Source>,
    free: List,
    ranks: Vec<List>,
    most: u32,
    count: usize,
}

impl Sources {
    pub(super) fn new() -> Self {
        Self {
            index: Index::with_room(0),
            all: Vec::new(),
            free: List::EMPTY,
            ranks: Vec::new(),
            most: 0,
            count: 0,
        }
    }

    /// Makes room for `entries`, all of which may be of one source or each of another.
    pub(super) fn grow(&mut self, entries: usize) {
        self.all.reserve_exact(entries - self.all.len());
        self.ranks.reserve_exact(entries + 1 - self.ranks.len());
        self.ranks.resize(entries + 1, List::EMPTY);
        self.index = Index::with_room(entries);
        for (id, source) in self.all.iter().enumerate().filter(|(_, source)| source.loose + source.pinned > 0)
        {
            self.index.insert(source.hash, id as u32);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.index.bytes()
            + self.all.capacity() * size_of::<Source>()
            + self.ranks.capacity() * size_of::<List>()
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The record of `hash`, made if there is none. The caller gives it an entry at once.
    pub(super) fn of(&mut self, hash: u64) -> u32 {
        if let Some(id) = self.index.find(hash, |id| self.all[id as usize].hash == hash) {
            return id;
        }
        let fresh = Source { hash, loose: 0, pinned: 0, entries: List::EMPTY, link: Link::ALONE };
        let id = match self.free.oldest() {
            Some(id) => {
                self.free.unlink(id, &mut self.all);
                self.all[id as usize] = fresh;
                id
            }
            None => {
                self.all.push(fresh);
                (self.all.len() - 1) as u32
            }
        };
        self.count += 1;
        self.index.insert(hash, id);
        id
    }

    /// An entry joins the loose ones of source `id`, as the newest.
    pub(super) fn join(&mut self, id: u32, entry: u32, links: &mut impl Linked) {
        self.all[id as usize].entries.push(entry, links);
        self.rank(id, self.all[id as usize].loose + 1);
    }

    /// A loose entry of source `id` goes; the record too if it was the last.
    pub(super) fn leave(&mut self, id: u32, entry: u32, links: &mut impl Linked) {
        self.part(id, entry, links);
        let source = &self.all[id as usize];
        if source.loose + source.pinned == 0 {
            self.index.remove(source.hash, id);
            self.free.push(id, &mut self.all);
            self.count -= 1;
        }
    }

    /// A loose entry of source `id` was touched.
    pub(super) fn touch(&mut self, id: u32, entry: u32, links: &mut impl Linked) {
        let source = &mut self.all[id as usize];
        source.entries.renew(entry, links);
        self.ranks[source.loose as usize].renew(id, &mut self.all);
    }

    /// A loose entry of source `id` becomes a pinned one.
    pub(super) fn pin(&mut self, id: u32, entry: u32, links: &mut impl Linked) {
        self.all[id as usize].pinned += 1;
        self.part(id, entry, links);
    }

    /// A pinned entry of source `id` becomes a loose one, as the newest.
    pub(super) fn unpin(&mut self, id: u32, entry: u32, links: &mut impl Linked) {
        self.all[id as usize].pinned -= 1;
        self.join(id, entry, links);
    }

    /// The entry that gives way next: the coldest of the source with the most; of several such
    /// sources, the one whose last turn is the longest ago.
    pub(super) fn coldest_of_most(&self) -> Option<u32> {
        let source = self.ranks.get(self.most as usize)?.oldest()?;
        self.all[source as usize].entries.oldest()
    }

    /// What an entry of `hash` will touch, and the newest entry it has: a look into memory, no more.
    pub(super) fn near(&self, hash: u64) -> u32 {
        let source = self.all.get(self.index.at_home(hash) as usize);
        source.map_or(NONE, |source| source.entries.newest())
    }

    fn part(&mut self, id: u32, entry: u32, links: &mut impl Linked) {
        self.all[id as usize].entries.unlink(entry, links);
        self.rank(id, self.all[id as usize].loose - 1);
    }

    /// Moves source `id` to the list of those with `loose` entries, one more or one fewer than it
    /// had. Those with none stand in no list.
    fn rank(&mut self, id: u32, loose: u32) {
        let before = std::mem::replace(&mut self.all[id as usize].loose, loose);
        if before > 0 {
            self.ranks[before as usize].unlink(id, &mut self.all);
        }
        if loose > 0 {
            self.ranks[loose as usize].push(id, &mut self.all);
        }
        // One step down from the top, and nobody else was there: the top is one lower.
        if loose > self.most || self.ranks[self.most as usize] == List::EMPTY {
            self.most = loose;
        }
    }
}
