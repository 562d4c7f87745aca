//! Doubly linked lists in order of touch, over the numbers of slots.

use std::mem::size_of;

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// The neighbours of one slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    newer: u32,
    older: u32,
}

impl Link {
    pub(super) const ALONE: Self = Self { newer: NONE, older: NONE };
    pub(super) const BYTES: usize = size_of::<Self>();
}

/// The two ends of a list. Its links stand elsewhere, so that many lists share one vector; a slot
/// is in one list of a vector at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct List {
    newest: u32,
    oldest: u32,
}

impl List {
    pub(super) const EMPTY: Self = Self { newest: NONE, oldest: NONE };

    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// Puts `id`, in no list so far, at the newest end.
    pub(super) fn push(&mut self, id: u32, links: &mut [Link]) {
        links[id as usize] = Link { newer: NONE, older: self.newest };
        match self.newest {
            NONE => self.oldest = id,
            before => links[before as usize].newer = id,
        }
        self.newest = id;
    }

    /// Takes `id`, which is in this list, out of it.
    pub(super) fn unlink(&mut self, id: u32, links: &mut [Link]) {
        let Link { newer, older } = links[id as usize];
        match newer {
            NONE => self.newest = older,
            newer => links[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => links[older as usize].newer = newer,
        }
    }

    /// Moves `id`, which is in this list, to the newest end.
    pub(super) fn renew(&mut self, id: u32, links: &mut [Link]) {
        if self.newest != id {
            self.unlink(id, links);
            self.push(id, links);
        }
    }
}
