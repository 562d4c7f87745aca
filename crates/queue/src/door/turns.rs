//! Whose turn it is: rows ready to be delivered, in fair turns between their sources, and rows
//! that wait for their next time.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use quell_mail::id::QueueId;
use quell_storm::facts::{Ms, SourceId};

use crate::store::RowId;

/// Rows remembered here. Beyond that those that fall due last wait in the store, and are fetched
/// when half of the room is free.
pub(super) const MAX_ROWS: usize = 200_000;

/// A place in the order in which rows fall due.
pub(super) type Due = (Ms, RowId);

/// Ready and waiting rows.
#[derive(Debug)]
pub(super) struct Turns {
    ready: HashMap<SourceId, VecDeque<RowId>>,
    ring: VecDeque<SourceId>,
    later: BTreeMap<Due, SourceId>,
    known: HashSet<RowId>,
    max_rows: usize,
    /// Rows due here or later may be in the store only; None: all are known.
    rest: Option<Due>,
}

impl Default for Turns {
    fn default() -> Self {
        Self::holding(MAX_ROWS)
    }
}

/// Before all rows.
fn beginning() -> Due {
    (Ms::MIN, RowId { kid: QueueId::from_bytes([0; 10]), rcpt: String::new() })
}

impl Turns {
    /// Nothing known yet, room for `max_rows`.
    pub fn holding(max_rows: usize) -> Self {
        Self {
            ready: HashMap::new(),
            ring: VecDeque::new(),
            later: BTreeMap::new(),
            known: HashSet::new(),
            max_rows,
            rest: Some(beginning()),
        }
    }

    /// Remembers a row that may be tried from `next_ms` on. A row that is known already (ready,
    /// waiting or claimed) is not taken twice.
    pub fn add(&mut self, row: RowId, source: SourceId, next_ms: Ms, now: Ms) {
        if self.known.contains(&row) {
            return;
        }
        let due = (next_ms, row);
        // What is fetched anyway in its time need not fill the room now.
        let fetched_later = self.rest.as_ref().is_some_and(|rest| due > *rest);
        if next_ms > now && fetched_later && self.known.len() >= self.max_rows / 2 {
            return;
        }
        if self.known.len() >= self.max_rows && !self.make_room(&due, now) {
            return self.leave(due);
        }
        let (_, row) = due;
        self.known.insert(row.clone());
        if next_ms > now {
            self.later.insert((next_ms, row), source);
        } else {
            self.make_ready(row, source);
        }
    }

    /// Lets go of the row that falls due last, if that is after `due`.
    fn make_room(&mut self, due: &Due, now: Ms) -> bool {
        let after = |last: &Due| *last > *due && last.0 > now;
        if !self.later.last_key_value().is_some_and(|(last, _)| after(last)) {
            return false;
        }
        if let Some((last, _)) = self.later.pop_last() {
            self.known.remove(&last.1);
            self.leave(last);
        }
        true
    }

    fn leave(&mut self, due: Due) {
        if self.rest.as_ref().is_none_or(|rest| due < *rest) {
            self.rest = Some(due);
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
    pub fn wants_more(&self) -> bool {
        self.rest.is_some() && self.known.len() < self.max_rows / 2
    }

    /// From where on rows are to be fetched.
    pub fn rest_from(&self) -> Option<Due> {
        self.rest.clone()
    }

    /// All rows due before `rest` have been fetched; None: all there are.
    pub fn fetched_up_to(&mut self, rest: Option<Due>) {
        self.rest = rest;
    }

    /// When the next waiting row falls due.
    pub fn next_due(&self) -> Option<Ms> {
        self.later.first_key_value().map(|((due, _), _)| *due)
    }

    /// True if a row is ready now.
    pub fn any_ready(&self, now: Ms) -> bool {
        !self.ring.is_empty() || self.next_due().is_some_and(|due| due <= now)
    }

    /// Forgets all rows; they are fetched from the beginning.
    pub fn start_anew(&mut self) {
        *self = Self::holding(self.max_rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u32) -> RowId {
        RowId { kid: QueueId::new(1, 1, n), rcpt: "jane@firm.example".to_owned() }
    }

    fn source(name: &str) -> SourceId {
        SourceId(name.to_owned())
    }

    /// A store with more rows than there is room for: all get their turn, in the order of their
    /// times, and each is fetched about once.
    #[test]
    fn rows_beyond_the_room_come_in_their_time_and_are_read_once() {
        let mut store: Vec<Due> = (0..1000).map(|n| (Ms::from(n), row(n))).collect();
        let mut turns = Turns::holding(100);
        let (mut tried, mut read) = (Vec::new(), 0);
        for now in 0..1100 {
            if turns.wants_more()
                && let Some(from) = turns.rest_from()
            {
                let found: Vec<Due> = store.iter().filter(|d| **d >= from).take(20).cloned().collect();
                read += found.len();
                turns.fetched_up_to(found.last().filter(|_| found.len() == 20).cloned());
                found.into_iter().for_each(|(due, row)| turns.add(row, source("a"), due, now));
            }
            while let Some((row, _)) = turns.next(now) {
                turns.done(&row);
                store.retain(|(_, r)| *r != row);
                tried.push(row);
            }
            assert!(turns.known.len() <= 100);
        }
        assert_eq!(tried.len(), 1000);
        assert!(tried.is_sorted());
        assert!(read < 1200, "{read} rows read for 1000");
    }

    #[test]
    fn rows_that_wait_for_hours_leave_room_for_new_ones() {
        let mut turns = Turns::holding(10);
        turns.fetched_up_to(None);
        (0..10).for_each(|n| turns.add(row(n), source("a"), 1000 + Ms::from(n), 0));
        turns.add(row(99), source("b"), 0, 0);
        assert_eq!(turns.next(0).map(|(row, _)| row), Some(row(99)));
        assert_eq!(turns.rest_from(), Some((1009, row(9))), "the last is in the store only");
    }

    #[test]
    fn one_from_each_source_in_turn() {
        let mut turns = Turns::holding(10);
        (0..4).for_each(|n| turns.add(row(n), source("flood"), 0, 0));
        turns.add(row(7), source("b"), 0, 0);
        turns.add(row(7), source("b"), 0, 0);
        let order: Vec<_> = std::iter::from_fn(|| turns.next(0)).map(|(_, s)| s.0).collect();
        assert_eq!(order, ["flood", "b", "flood", "flood", "flood"]);
    }
}
