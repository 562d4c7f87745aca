//! Doubly linked lists in order of touch, over the numbers of slots.

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

    /// The neighbours' numbers.
    pub(super) fn both(self) -> [u32; 2] {
        [self.newer, self.older]
    }
}

/// Where the links of slots stand.
pub(super) trait Linked {
    /// That of slot `id`.
    fn link(&mut self, id: u32) -> &mut Link;
}

/// The two ends of a list. Its links stand with the slots, so that many lists share them; a slot
/// is in one list of a kind at a time.
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

    pub(super) fn newest(&self) -> u32 {
        self.newest
    }

    /// Puts `id`, in no list so far, at the newest end.
    pub(super) fn push(&mut self, id: u32, links: &mut impl Linked) {
        *links.link(id) = Link { newer: NONE, older: self.newest };
        match self.newest {
            NONE => self.oldest = id,
            before => links.link(before).newer = id,
        }
        self.newest = id;
    }

    /// Takes `id`, which is in this list, out of it.
    pub(super) fn unlink(&mut self, id: u32, links: &mut impl Linked) {
        let Link { newer, older } = *links.link(id);
        match newer {
            NONE => self.newest = older,
            newer => links.link(newer).older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => links.link(older).newer = newer,
        }
    }

    /// Moves `id`, which is in this list, to the newest end.
    pub(super) fn renew(&mut self, id: u32, links: &mut impl Linked) {
        if self.newest != id {
            self.unlink(id, links);
            self.push(id, links);
        }
    }
}
