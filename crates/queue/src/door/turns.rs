//! Whose turn it is: rows ready to be delivered, in fair turns between their sources, and rows
//! that wait for their next time.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use quell_storm::facts::{Ms, SourceId};

use crate::store::RowId;

/// Rows remembered here. Beyond that they wait in the store and are fetched when there is room.
pub(super) const MAX_ROWS: usize = 200_000;

/// Ready and waiting rows.
#[derive(Debug, Default)]
pub(super) struct Turns {
    ready: HashMap<SourceId, VecDeque<RowId>>,
    ring: VecDeque<SourceId>,
    later: BTreeMap<(Ms, RowId), SourceId>,
    known: HashSet<RowId>,
    left_in_store: bool,
}

impl Turns {
    /// Remembers a row that may be tried from `next_ms` on. A row that is known already (ready,
    /// waiting or claimed) is not taken twice.
    pub fn add(&mut self, row: RowId, source: SourceId, next_ms: Ms, now: Ms) {
        if self.known.len() >= MAX_ROWS {
            self.left_in_store = true;
            return;
        }
        if !self.known.insert(row.clone()) {
            return;
        }
        if next_ms > now {
            self.later.insert((next_ms, row), source);
        } else {
            self.make_ready(row, source);
        }
    }

    fn make_ready(&mut self, row: RowId, source: SourceId) {
        let queue = self.ready.entry(source.clone()).or_default();
        if queue.is_empty() {
            self.ring.push_back(source);
        }
        queue.push_back(row);
    }

    /// The next row, one from each source in turn. It stays known until [`Turns::done`].
    pub fn next(&mut self, now: Ms) -> Option<(RowId, SourceId)> {
        while self.later.first_key_value().is_some_and(|((due, _), _)| *due <= now) {
            let ((_, row), source) = self.later.pop_first()?;
            self.make_ready(row, source);
        }
        let source = self.ring.pop_front()?;
        let queue = self.ready.get_mut(&source)?;
        let row = queue.pop_front();
        if queue.is_empty() {
            self.ready.remove(&source);
        } else {
            self.ring.push_back(source.clone());
        }
        row.map(|row| (row, source))
    }

    /// The row is not to be tried any more, or will be added again.
    pub fn done(&mut self, row: &RowId) {
        self.known.remove(row);
    }

    /// Forgets a waiting row, so that it can be added with another time. A ready one stays.
    pub fn forget_later(&mut self, row: &RowId, next_ms: Ms) {
        if self.later.remove(&(next_ms, row.clone())).is_some() {
            self.known.remove(row);
        }
    }

    /// Rows were left in the store and there is room again.
    pub fn wants_more(&mut self) -> bool {
        let wants = self.left_in_store && self.known.len() < MAX_ROWS / 2;
        if wants {
            self.left_in_store = false;
        }
        wants
    }

    /// The store has more rows than were fetched.
    pub fn leave_in_store(&mut self) {
        self.left_in_store = true;
    }

    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// When the next waiting row falls due.
    pub fn next_due(&self) -> Option<Ms> {
        self.later.first_key_value().map(|((due, _), _)| *due)
    }

    /// True if a row is ready now.
    pub fn any_ready(&self, now: Ms) -> bool {
        !self.ring.is_empty() || self.next_due().is_some_and(|due| due <= now)
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
