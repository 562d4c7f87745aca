//! Whose turn it is: rows ready to be delivered, in fair turns between their destinations and
//! within those between their sources, and rows that wait for their next time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use quell_mail::id::QueueId;
use quell_storm::facts::Ms;

use super::lane::Lane;
pub(super) use super::lane::{Due, Place};
use crate::destination::Destination;
use crate::store::RowId;

/// Rows remembered here. A destination remembers no more rows than there is room left besides (so
/// one alone has half of it, two a third each, and one that comes new always finds some); those of
/// its rows that fall due last wait in the store, and are fetched when half of its room is free.
pub(super) const MAX_ROWS: usize = 200_000;

/// Ready and waiting rows.
#[derive(Debug)]
pub(super) struct Turns {
    lanes: HashMap<Destination, Lane>,
    /// Destinations with ready rows, the next one first.
    ring: BTreeMap<u64, Destination>,
    turns_given: u64,
    /// When the first waiting row of each destination falls due.
    dues: BTreeSet<(Ms, Destination)>,
    known: HashMap<RowId, Destination>,
    max_rows: usize,
    /// Rows due here or later may be in the store only; None: all were looked at.
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

fn earlier(a: Option<Due>, b: Option<Due>) -> Option<Due> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// What becomes of a row that was read from the store.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admit {
    /// It is to be added.
    Takes,
    /// Its destination has no room for it: it stays in the store for now. Others may have.
    Leaves,
    /// There is no room, and the time has not come for this row and those after it.
    Stops,
}

impl Turns {
    /// Nothing known yet, room for `max_rows`.
    pub fn holding(max_rows: usize) -> Self {
        Self {
            lanes: HashMap::new(),
            ring: BTreeMap::new(),
            turns_given: 0,
            dues: BTreeSet::new(),
            known: HashMap::new(),
            max_rows,
            rest: Some(beginning()),
        }
    }

    /// Changes a destination's rows, and keeps its turn and its time.
    fn change<V>(&mut self, destination: &Destination, change: impl FnOnce(&mut Lane) -> V) -> V {
        let lane = self.lanes.entry(destination.clone()).or_default();
        let before = lane.first_due();
        let value = change(lane);
        let after = lane.first_due();
        if before != after {
            before.map(|due| self.dues.remove(&(due, destination.clone())));
            after.map(|due| self.dues.insert((due, destination.clone())));
        }
        match (lane.turn, lane.ready()) {
            (None, 1..) => {
                self.turns_given += 1;
                lane.turn = Some(self.turns_given);
                self.ring.insert(self.turns_given, destination.clone());
            }
            (Some(turn), 0) => {
                lane.turn = None;
                self.ring.remove(&turn);
            }
            _ => {}
        }
        if lane.is_idle() {
            self.lanes.remove(destination);
        }
        value
    }

    /// True if the row is ready, waiting or claimed.
    pub fn knows(&self, row: &RowId) -> bool {
        self.known.contains_key(row)
    }

    /// What becomes of a row that was read from the store, in the order in which they fall due.
    pub fn admit(&mut self, destination: &Destination, due: &Due, now: Ms) -> Admit {
        let left = self.lanes.get(destination).and_then(|lane| lane.left.as_ref());
        if self.has_room(destination) && left.is_none_or(|left| due < left) {
            return Admit::Takes;
        }
        if due.0 > now {
            self.rest = Some(due.clone());
            return Admit::Stops;
        }
        self.leave(destination, due.clone());
        Admit::Leaves
    }

    /// True if there is room for one more row of `destination`.
    pub fn has_room(&self, destination: &Destination) -> bool {
        let held = self.lanes.get(destination).map_or(0, Lane::len);
        held < self.max_rows.saturating_sub(self.known.len())
    }

    /// Remembers a row that may be tried from `next_ms` on. A row that is known already (ready,
    /// waiting or claimed) is not taken twice.
    pub fn add(&mut self, row: RowId, place: Place, next_ms: Ms, now: Ms) {
        if self.known.contains_key(&row) {
            return;
        }
        let due = (next_ms, row);
        // What is fetched anyway in its time need not fill the room now.
        let fetched_later = self.rest.as_ref().is_some_and(|rest| due > *rest);
        if next_ms > now && fetched_later && self.known.len() >= self.max_rows / 2 {
            return;
        }
        if !self.has_room(&place.destination) && !self.make_room(&place.destination, &due, now) {
            return self.leave(&place.destination, due);
        }
        self.put((next_ms > now).then_some(next_ms), due.1, place);
    }

    /// `waits_until`: None for a row that is ready.
    fn put(&mut self, waits_until: Option<Ms>, row: RowId, place: Place) {
        self.known.insert(row.clone(), place.destination.clone());
        let destination = place.destination.clone();
        self.change(&destination, |lane| match waits_until {
            Some(next_ms) => lane.push_later((next_ms, row), place),
            None => lane.push_ready(row, place.source, place.queue_id),
        });
    }

    fn make_room(&mut self, destination: &Destination, due: &Due, now: Ms) -> bool {
        let Some(gone) = self.change(destination, |lane| lane.give_way(due, now)) else { return false };
        self.known.remove(&gone.1);
        self.leave(destination, gone);
        true
    }

    /// A row that is due then stays in the store.
    pub fn leave(&mut self, destination: &Destination, due: Due) {
        self.change(destination, |lane| lane.left = earlier(lane.left.take(), Some(due)));
    }

    /// The destination whose turn it is, the first that `wanted` takes. Those that it does not take
    /// keep their turn.
    pub fn next_destination(
        &mut self,
        now: Ms,
        mut wanted: impl FnMut(&Destination) -> bool,
    ) -> Option<Destination> {
        self.promote(now);
        let (turn, destination) = self.ring.iter().find(|(_, d)| wanted(d))?;
        let (turn, destination) = (*turn, destination.clone());
        self.ring.remove(&turn);
        self.change(&destination, |lane| lane.turn = None);
        Some(destination)
    }

    /// The next rows of a destination: at most `limit` of one arrival. They stay known until
    /// [`Turns::done`].
    pub fn take(&mut self, destination: &Destination, limit: usize, now: Ms) -> Vec<RowId> {
        self.promote(now);
        self.change(destination, |lane| lane.take(limit))
    }

    /// Rows whose time has come are ready.
    pub fn promote(&mut self, now: Ms) {
        while let Some((_, destination)) = self.dues.first().filter(|(due, _)| *due <= now).cloned() {
            self.change(&destination, |lane| lane.promote(now));
        }
    }

    /// Rows of `destination` that wait for exactly this time are ready now.
    pub fn wake_at(&mut self, destination: &Destination, ms: Ms) {
        self.change(destination, |lane| lane.promote_if(|due, _| due.0 == ms));
    }

    /// All rows of `destination` that wait are ready now, but for those that were sent before.
    pub fn wake_all(&mut self, destination: &Destination) {
        self.change(destination, |lane| lane.promote_if(|_, place| !place.sent));
    }

    /// The row is not to be tried any more, or will be added again.
    pub fn done(&mut self, row: &RowId) {
        if let Some(destination) = self.known.remove(row) {
            self.change(&destination, Lane::done);
        }
    }

    /// A row that was taken has not been tried: it waits until then. It keeps the room that it had.
    pub fn put_back(&mut self, row: &RowId, place: Place, until: Ms) {
        self.done(row);
        self.put(Some(until), row.clone(), place);
    }

    /// Forgets a waiting row, so that it can be added with another time. A ready one stays.
    pub fn forget_later(&mut self, row: &RowId, next_ms: Ms) {
        let Some(destination) = self.known.get(row).cloned() else { return };
        if self.change(&destination, |lane| lane.remove_later(&(next_ms, row.clone()))) {
            self.known.remove(row);
        }
    }

    /// Forgets rows that are ready or waiting.
    pub fn forget(&mut self, rows: &HashSet<RowId>) {
        let gone: HashSet<Destination> = rows.iter().filter_map(|row| self.known.remove(row)).collect();
        gone.iter().for_each(|destination| self.change(destination, |lane| lane.remove(rows)));
    }

    /// The ready rows of a destination.
    pub fn ready_rows(&self, destination: &Destination) -> impl Iterator<Item = &RowId> {
        self.lanes.get(destination).into_iter().flat_map(Lane::ready_rows)
    }

    /// True if rows of `destination` are ready, waiting or out, or wait in the store for lack of room.
    pub fn has_rows(&self, destination: &Destination) -> bool {
        self.lanes.contains_key(destination)
    }

    /// The destinations of which rows are known: ready ones, waiting ones.
    pub fn destinations(&self) -> impl Iterator<Item = (&Destination, usize, usize)> {
        self.lanes.iter().map(|(d, lane)| (d, lane.ready(), lane.waiting()))
    }

    /// All rows go where `destination_of` says now; those that are out stay where they are. What
    /// waited because of another destination than that is ready, but for rows that were sent before.
    pub fn regroup(&mut self, destination_of: impl Fn(&RowId) -> Destination) {
        let mut out = std::mem::take(&mut self.known);
        let lanes = std::mem::take(&mut self.lanes);
        let rest = lanes.values().fold(self.rest.take(), |rest, lane| earlier(rest, lane.left.clone()));
        *self = Self { rest, ..Self::holding(self.max_rows) };
        for (destination, lane) in lanes {
            for (waits_until, row, mut place) in lane.into_rows(&destination) {
                out.remove(&row);
                place.destination = destination_of(&row);
                let moved = place.destination != destination && !place.sent;
                self.put(waits_until.filter(|_| !moved), row, place);
            }
        }
        for (row, destination) in out {
            self.change(&destination, Lane::went_out);
            self.known.insert(row, destination);
        }
    }

    /// True if rows in the store are to be looked at now: there is room again, or some that may be
    /// another destination's are due.
    pub fn wants_more(&mut self, now: Ms) -> bool {
        let room = self.max_rows.saturating_sub(self.known.len()) / 2;
        let refill: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, l)| l.left.is_some() && l.len() < room)
            .map(|(d, _)| d.clone())
            .collect();
        for destination in refill {
            let left = self.change(&destination, |lane| lane.left.take());
            self.rest = earlier(self.rest.take(), left);
        }
        let empty = self.known.len() < self.max_rows / 4;
        self.rest.as_ref().is_some_and(|rest| empty || rest.0 <= now)
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
        self.dues.first().map(|(due, _)| *due)
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
mod tests;
