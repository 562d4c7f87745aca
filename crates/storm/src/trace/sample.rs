//! A fair sample of the copies of a storm, spread over cells, in bounded room.
//!
//! Each copy belongs to a cell (the way it went; or its recipient). Kept are the copies of lowest rank:
//! first one of each cell, then the second of each, and so on; within a cell those of lowest hash, and
//! among cells of which one more finds no room those of lowest hash. What is kept so depends on the set
//! of copies alone, not on their order, and the samples of two gateways put together are the sample of
//! both (bottom-k sampling: Cohen, Kaplan, "Summarizing Data Using Bottom-k Sketches", PODC 2007).
//!
//! Why a copy that once was left out is never missed later: with more copies the number of those that
//! stand before it can only grow. For the same reason the count of a cell that is in the sample is
//! exact: it has been in it since its first copy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::copy::Copy;

/// The sample. At most `room` copies, and as many cells.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    room: usize,
    kept: usize,
    cells: BTreeMap<u64, Cell>,
    /// The cells by what their last copy weighs: (copies kept, cell).
    by_last: BTreeSet<(usize, u64)>,
}

#[derive(Debug, Clone, Default)]
struct Cell {
    count: u64,
    /// By hash of the copy, lowest first.
    copies: Vec<(u128, Arc<Copy>)>,
}

impl Sample {
    pub(super) fn new(room: usize) -> Self {
        let room = room.max(1);
        Self { room, kept: 0, cells: BTreeMap::new(), by_last: BTreeSet::new() }
    }

    /// Counts a copy. True: it is to be kept, [`Sample::keep`] has to follow.
    pub(super) fn count(&mut self, cell: u64, hash: u128) -> bool {
        let rank = match self.cells.get_mut(&cell) {
            Some(known) => {
                known.count += 1;
                known.copies.partition_point(|(other, _)| *other < hash)
            }
            None => 0,
        };
        self.has_room_for(rank, cell)
    }

    fn has_room_for(&self, rank: usize, cell: u64) -> bool {
        self.kept < self.room || self.by_last.last().is_some_and(|last| (rank + 1, cell) <= *last)
    }

    /// Keeps a copy that [`Sample::count`] has counted and found worth it.
    pub(super) fn keep(&mut self, cell: u64, hash: u128, copy: Arc<Copy>) {
        let fresh = !self.cells.contains_key(&cell);
        if self.put(cell, hash, copy) && fresh {
            self.cells.entry(cell).or_default().count = 1;
        }
        self.shrink();
    }

    /// False: it is there already.
    fn put(&mut self, id: u64, hash: u128, copy: Arc<Copy>) -> bool {
        let cell = self.cells.entry(id).or_default();
        let at = cell.copies.partition_point(|(other, _)| *other < hash);
        if cell.copies.get(at).is_some_and(|(other, _)| *other == hash) {
            return false;
        }
        self.by_last.remove(&(cell.copies.len(), id));
        cell.copies.insert(at, (hash, copy));
        self.by_last.insert((cell.copies.len(), id));
        self.kept += 1;
        true
    }

    /// Drops the copies of highest rank until the rest fits.
    fn shrink(&mut self) {
        while self.kept > self.room {
            let Some((len, id)) = self.by_last.pop_last() else { return };
            let Some(cell) = self.cells.get_mut(&id) else { return };
            cell.copies.pop();
            self.kept -= 1;
            if len > 1 {
                self.by_last.insert((len - 1, id));
            } else {
                self.cells.remove(&id);
            }
        }
    }

    /// Takes in what another has seen. The copies of the two are different ones.
    pub(super) fn merge(&mut self, other: &Self) {
        self.room = self.room.min(other.room);
        for (id, theirs) in &other.cells {
            for (hash, copy) in &theirs.copies {
                self.put(*id, *hash, Arc::clone(copy));
            }
            if let Some(cell) = self.cells.get_mut(id) {
                cell.count += theirs.count;
            }
        }
        self.shrink();
    }

    /// The copies kept, in no order that says anything.
    pub(super) fn copies(&self) -> impl Iterator<Item = &Arc<Copy>> {
        self.cells.values().flat_map(|cell| cell.copies.iter().map(|(_, copy)| copy))
    }

    /// Copies seen for each one kept, where all are in one cell.
    pub(super) fn weight(&self) -> f64 {
        let seen: u64 = self.cells.values().map(|cell| cell.count).sum();
        if self.kept > 0 { seen as f64 / self.kept as f64 } else { 0.0 }
    }

    /// Bytes held by the copies kept.
    pub(super) fn bytes(&self) -> usize {
        self.cells.values().flat_map(|cell| &cell.copies).map(|(_, copy)| copy.bytes()).sum()
    }
}

impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): ((&u64, &Cell), (&u64, &Cell))| a.0 == b.0 && a.1 == b.1;
        self.cells.len() == other.cells.len() && self.cells.iter().zip(&other.cells).all(same)
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.copies == other.copies
    }
}
