//! One destination's rows: those ready, in fair turns between their sources, and those that wait.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use quell_mail::id::QueueId;
use quell_storm::facts::{Ms, SourceId};

use crate::destination::Destination;
use crate::store::RowId;

/// A place in the order in which rows fall due.
pub(super) type Due = (Ms, RowId);

/// Where a row stands in line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub destination: Destination,
    pub source: SourceId,
    /// The arrival whose body it has: rows of one arrival go out together.
    pub queue_id: QueueId,
    /// It was sent before and the answer is not known: trying it early is a sending more.
    pub sent: bool,
}

/// Rows of one arrival that came in line together.
#[derive(Debug)]
struct Group {
    queue_id: QueueId,
    rows: VecDeque<RowId>,
}

/// The rows of one destination.
#[derive(Debug, Default)]
pub(super) struct Lane {
    sources: HashMap<SourceId, VecDeque<Group>>,
    /// Sources with ready rows, the next one first.
    ring: VecDeque<SourceId>,
    later: BTreeMap<Due, Place>,
    ready: usize,
    /// Rows taken and not yet done.
    out: usize,
    /// Rows due here or later may be in the store only, for lack of room.
    pub left: Option<Due>,
    /// Its turn among the destinations, while rows are ready.
    pub turn: Option<u64>,
}

impl Lane {
    pub fn ready(&self) -> usize {
        self.ready
    }

    pub fn waiting(&self) -> usize {
        self.later.len()
    }

    /// All rows that it remembers.
    pub fn len(&self) -> usize {
        self.ready + self.later.len() + self.out
    }

    pub fn is_idle(&self) -> bool {
        self.len() == 0 && self.left.is_none()
    }

    pub fn first_due(&self) -> Option<Ms> {
        self.later.first_key_value().map(|((due, _), _)| *due)
    }

    pub fn push_ready(&mut self, row: RowId, source: SourceId, queue_id: QueueId) {
        let groups = self.sources.entry(source.clone()).or_default();
        if groups.is_empty() {
            self.ring.push_back(source);
        }
        match groups.back_mut().filter(|g| g.queue_id == queue_id) {
            Some(group) => group.rows.push_back(row),
            None => groups.push_back(Group { queue_id, rows: [row].into() }),
        }
        self.ready += 1;
    }

    pub fn push_later(&mut self, due: Due, place: Place) {
        self.later.insert(due, place);
    }

    /// The next rows: at most `limit` of one arrival, from the source whose turn it is. They count
    /// as out until [`Lane::done`].
    pub fn take(&mut self, limit: usize) -> Vec<RowId> {
        let Some(source) = self.ring.pop_front() else { return Vec::new() };
        let Some(groups) = self.sources.get_mut(&source) else { return Vec::new() };
        let mut rows = Vec::new();
        if let Some(group) = groups.front_mut() {
            rows.extend(group.rows.drain(..limit.min(group.rows.len())));
            if group.rows.is_empty() {
                groups.pop_front();
            }
        }
        if groups.is_empty() {
            self.sources.remove(&source);
        } else {
            self.ring.push_back(source);
        }
        self.ready -= rows.len();
        self.out += rows.len();
        rows
    }

    /// A row that was out is not.
    pub fn done(&mut self) {
        self.out = self.out.saturating_sub(1);
    }

    /// A row that is out when all rows are remembered anew.
    pub fn went_out(&mut self) {
        self.out += 1;
    }

    /// Rows whose time has come are ready.
    pub fn promote(&mut self, now: Ms) {
        while self.first_due().is_some_and(|due| due <= now) {
            let Some(((_, row), place)) = self.later.pop_first() else { return };
            self.push_ready(row, place.source, place.queue_id);
        }
    }

    /// Rows that wait and are `wanted` are ready now.
    pub fn promote_if(&mut self, mut wanted: impl FnMut(&Due, &Place) -> bool) {
        let woken: Vec<_> = self.later.extract_if(.., |due, place| wanted(due, place)).collect();
        for ((_, row), place) in woken {
            self.push_ready(row, place.source, place.queue_id);
        }
    }

    /// Lets go of the row that falls due last, if that is after `due` and in the future.
    pub fn give_way(&mut self, due: &Due, now: Ms) -> Option<Due> {
        let (last, _) = self.later.last_key_value()?;
        if *last <= *due || last.0 <= now {
            return None;
        }
        self.later.pop_last().map(|(last, _)| last)
    }

    pub fn remove_later(&mut self, due: &Due) -> bool {
        self.later.remove(due).is_some()
    }

    /// Forgets `rows`, ready or waiting.
    pub fn remove(&mut self, rows: &HashSet<RowId>) {
        self.later.retain(|(_, row), _| !rows.contains(row));
        self.sources.retain(|_, groups| {
            for group in groups.iter_mut() {
                group.rows.retain(|row| !rows.contains(row));
            }
            groups.retain(|g| !g.rows.is_empty());
            !groups.is_empty()
        });
        self.ring.retain(|source| self.sources.contains_key(source));
        self.ready = self.sources.values().flatten().map(|g| g.rows.len()).sum();
    }

    /// The ready rows.
    pub fn ready_rows(&self) -> impl Iterator<Item = &RowId> {
        self.sources.values().flatten().flat_map(|g| &g.rows)
    }

    /// All rows but those that are out, ready ones in the order of their turns.
    pub fn into_rows(self, destination: &Destination) -> Vec<(Option<Ms>, RowId, Place)> {
        let Self { mut sources, ring, later, .. } = self;
        let mut rows = Vec::new();
        for source in ring {
            for group in sources.remove(&source).unwrap_or_default() {
                let place = Place {
                    destination: destination.clone(),
                    source: source.clone(),
                    queue_id: group.queue_id,
                    sent: false,
                };
                rows.extend(group.rows.into_iter().map(|row| (None, row, place.clone())));
            }
        }
        rows.extend(later.into_iter().map(|((due, row), place)| (Some(due), row, place)));
        rows
    }
}
