//! Bodies that lie in another place than the one they were known by.

use std::collections::HashMap;

use super::BodyRef;

/// Old places and new ones. A place is never used twice, so an old one still says which body is
/// meant. Bounded by the bodies that were moved and still live: what is released is forgotten.
#[derive(Debug, Default)]
pub(super) struct Moved {
    to: HashMap<BodyRef, BodyRef>,
    from: HashMap<BodyRef, BodyRef>,
}

impl Moved {
    /// Where the body lies now.
    pub(super) fn place(&self, body: &BodyRef) -> BodyRef {
        let mut place = *body;
        while let Some(next) = self.to.get(&place) {
            place = *next;
        }
        place
    }

    /// The body at `old` lies at `new` from now on.
    pub(super) fn note(&mut self, old: BodyRef, new: BodyRef) {
        self.to.insert(old, new);
        self.from.insert(new, old);
    }

    /// Forgets all earlier places of the body at `place`.
    pub(super) fn forget(&mut self, place: &BodyRef) {
        let mut place = *place;
        while let Some(old) = self.from.remove(&place) {
            self.to.remove(&old);
            place = old;
        }
    }
}
