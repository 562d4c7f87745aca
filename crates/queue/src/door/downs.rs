//! Destinations that are down: a next hop that cannot be reached is tried as a destination, by one
//! attempt at a time, and not once for each message that waits for it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::Bound;

use quell_storm::facts::Ms;

use super::Door;
use crate::clock::Now;
use crate::destination::Destination;
use crate::ledger;
use crate::store::{Reader, RowId};

/// Destinations remembered as down. At the limit the one that is to be tried first is forgotten: it
/// is merely tried a little early, and its waits begin anew.
const MAX_DOWN: usize = 10_000;
/// Of these, looked at in one tick whether anything still waits for them.
const LOOKED_AT: usize = 500;
/// Bytes kept of the words in which a destination failed.
const MAX_STATUS_BYTES: usize = 500;

/// What is known of a destination that is down.
#[derive(Debug)]
struct Down {
    since_ms: Ms,
    until_ms: Ms,
    failures: u32,
    status: String,
    /// An attempt is under way that will tell.
    probing: bool,
}

/// The destinations that are down.
#[derive(Debug, Default)]
pub(super) struct Downs {
    down: BTreeMap<Destination, Down>,
    /// The last of these that was looked at whether anything still waits for it.
    looked_at: Option<Destination>,
    /// Rows that waited while a probe failed: each may expire by that. No more than are in line.
    pub to_look_at: VecDeque<(Destination, RowId)>,
}

/// A destination, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationView {
    /// Which.
    pub destination: Destination,
    /// Rows that could be tried now. Rows beyond the first 200,000 are not counted.
    pub ready: usize,
    /// Rows that wait for their next time.
    pub waiting: usize,
    /// Rows that are being delivered.
    pub claimed: usize,
    /// It is down.
    pub down: Option<DownView>,
}

/// Since when and why a destination is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownView {
    /// When it failed first.
    pub since_ms: Ms,
    /// When it is tried next.
    pub until_ms: Ms,
    /// How often it has failed in a row.
    pub failures: u32,
    /// How it failed last: enhanced status code and text.
    pub status: String,
    /// It is being tried at this moment.
    pub probing: bool,
}

impl Downs {
    /// None: it is up. Some(true): it is down, and it is time to try it.
    fn due(&self, destination: &Destination, now: Ms) -> Option<bool> {
        self.down.get(destination).map(|down| now >= down.until_ms && !down.probing)
    }

    fn set_probing(&mut self, destination: &Destination, probing: bool) {
        if let Some(down) = self.down.get_mut(destination) {
            down.probing = probing;
        }
    }

    /// When it is tried next, if it is down until a time to come.
    pub fn until(&self, destination: &Destination, now: Ms) -> Option<Ms> {
        self.down.get(destination).map(|down| down.until_ms).filter(|until| *until > now)
    }

    /// How it failed last.
    pub fn status(&self, destination: &Destination) -> Option<&str> {
        self.down.get(destination).map(|down| down.status.as_str())
    }

    /// The next ones in the order of their names, and again from the first after the last.
    fn next_to_look_at(&mut self) -> Vec<Destination> {
        let from = self.looked_at.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.down.range((from, Bound::Unbounded)).take(LOOKED_AT);
        let next: Vec<_> = next.map(|(destination, _)| destination.clone()).collect();
        self.looked_at = next.last().filter(|_| next.len() == LOOKED_AT).cloned();
        next
    }

    fn keep_bounded(&mut self) {
        let first = self.down.iter().min_by_key(|(_, down)| down.until_ms).map(|(d, _)| d.clone());
        if let Some(first) = first.filter(|_| self.down.len() >= MAX_DOWN) {
            self.down.remove(&first);
        }
    }
}

fn cut(status: &str) -> String {
    status[..status.floor_char_boundary(MAX_STATUS_BYTES)].to_owned()
}

impl<R: Reader, T> Door<R, T> {
    /// The destination whose turn it is, of those for which rows are ready and which `wanted` takes;
    /// it is told `true` for one that is down and would be tried only to see if it still is. Others
    /// that are down are not offered before their time. None: there is none.
    ///
    /// Whoever takes one goes on with [`Door::claim_for`]. One that was offered as down is not offered
    /// again before [`Door::destination_down`], [`Door::destination_up`], or the end of all claims on
    /// it.
    pub fn next_destination(
        &mut self,
        now: &Now,
        wanted: &mut dyn FnMut(&Destination, bool) -> bool,
    ) -> Option<Destination> {
        if self.is_shut() {
            return None;
        }
        let downs = &self.downs;
        let found = self.turns.next_destination(now.ms, |destination| {
            let due = downs.due(destination, now.ms);
            due != Some(false) && wanted(destination, due.is_some())
        })?;
        self.downs.set_probing(&found, true);
        Some(found)
    }

    /// No claim on `destination` is out any more: if one of them was its probe, it has told nothing.
    pub(super) fn probe_may_be_over(&mut self, destination: &Destination) {
        let probing = self.downs.down.get(destination).is_some_and(|down| down.probing);
        if probing && !self.claimed.values().any(|out| out.destination == *destination) {
            self.downs.set_probing(destination, false);
        }
    }

    /// No host of the destination could be reached; `status` (enhanced status code and text) says
    /// why. It is tried again after a wait that grows as that of a row does. Told while it is down
    /// already, this changes nothing. To be called before the outcomes are settled: they then wait
    /// for the same time.
    pub fn destination_down(&mut self, destination: &Destination, status: &str, now: &Now) {
        if self.downs.until(destination, now.ms).is_some() {
            return;
        }
        if !self.downs.down.contains_key(destination) {
            self.downs.keep_bounded();
        }
        let random = (self.rng)();
        let down = self.downs.down.entry(destination.clone()).or_insert_with(|| Down {
            since_ms: now.ms,
            until_ms: now.ms,
            failures: 0,
            status: String::new(),
            probing: false,
        });
        down.failures = down.failures.saturating_add(1);
        down.until_ms = now.ms + with_jitter(ledger::retry_wait(down.failures), random);
        down.status = cut(status);
        down.probing = false;
        if down.failures > 1 {
            self.note_who_waited(destination, now);
        }
    }

    /// A host of the destination has taken part in a session: what waited for it is ready.
    pub fn destination_up(&mut self, destination: &Destination, _now: &Now) {
        if let Some(down) = self.downs.down.remove(destination) {
            self.turns.wake_at(destination, down.until_ms);
            self.downs.to_look_at.retain(|(d, _)| d != destination);
        }
    }

    /// A person wants the destination tried now: if it is down, its time has come, and its waiting
    /// rows (not those that were sent before) are ready. Rows that wait in the store alone come in
    /// their time. It stays down, as long and as often as it is, until it has been reached.
    pub fn retry_destination(&mut self, destination: &Destination, now: &Now) {
        self.destination_due(destination, now);
        self.turns.wake_all(destination);
    }

    /// A destination that is down is tried now, and what waits for its time with it.
    pub(super) fn destination_due(&mut self, destination: &Destination, now: &Now) {
        let Some(down) = self.downs.down.get_mut(destination) else { return };
        let until_ms = down.until_ms;
        down.until_ms = until_ms.min(now.ms);
        self.turns.wake_at(destination, until_ms);
    }

    /// Forgets destinations that are down and for which no mail is any more, as after another route
    /// or the end of the last row; a bounded number of them are looked at. None while rows may wait
    /// in the store alone.
    pub(super) fn forget_unused_downs(&mut self) {
        if self.is_shut() || self.downs.down.is_empty() || self.turns.rest_from().is_some() {
            return;
        }
        let mut unused = self.downs.next_to_look_at();
        unused.retain(|destination| !self.turns.has_rows(destination));
        if unused.is_empty() {
            return;
        }
        let claimed: HashSet<&Destination> = self.claimed.values().map(|out| &out.destination).collect();
        for destination in unused.iter().filter(|destination| !claimed.contains(destination)) {
            self.downs.down.remove(destination);
        }
    }

    /// The destinations for which rows wait or are being delivered, and those that are down, in the
    /// order of their names.
    pub fn destinations(&self, _now: &Now) -> Vec<DestinationView> {
        let mut views: HashMap<&Destination, DestinationView> = HashMap::new();
        let empty = |d: &Destination| DestinationView {
            destination: d.clone(),
            ready: 0,
            waiting: 0,
            claimed: 0,
            down: None,
        };
        for (d, ready, waiting) in self.turns.destinations() {
            let view = views.entry(d).or_insert_with(|| empty(d));
            (view.ready, view.waiting) = (ready, waiting);
        }
        for out in self.claimed.values() {
            views.entry(&out.destination).or_insert_with(|| empty(&out.destination)).claimed += 1;
        }
        for (d, down) in &self.downs.down {
            views.entry(d).or_insert_with(|| empty(d)).down = Some(DownView {
                since_ms: down.since_ms,
                until_ms: down.until_ms,
                failures: down.failures,
                status: down.status.clone(),
                probing: down.probing,
            });
        }
        let mut views: Vec<_> = views.into_values().filter(|v| v.is_of_interest()).collect();
        views.sort_by(|a, b| a.destination.cmp(&b.destination));
        views
    }

    /// How many destinations are known to be down.
    pub fn destinations_down(&self) -> usize {
        self.downs.down.len()
    }

    /// Where mail for a recipient goes.
    pub fn destination_of(&self, identity: &str) -> Destination {
        (self.destination_of)(identity)
    }

    /// Other destinations from now on; what waits is grouped anew. A row whose destination is another
    /// than before is ready: its wait came from the old one. A row that was sent before keeps its
    /// time, and so do those that wait in the store alone.
    pub fn set_destinations(&mut self, destinations: Destinations) {
        self.destination_of = destinations;
        let destination_of = &self.destination_of;
        self.turns.regroup(|row| destination_of(&row.rcpt));
        self.downs.to_look_at.clear();
    }
}

impl DestinationView {
    fn is_of_interest(&self) -> bool {
        self.ready + self.waiting + self.claimed > 0 || self.down.is_some()
    }
}

/// A wait, and up to a quarter of it besides.
pub(super) fn with_jitter(wait: Ms, random: u64) -> Ms {
    let most = u64::try_from(wait / 4).unwrap_or(0) + 1;
    wait + i64::try_from(random % most).unwrap_or(0)
}

/// Where the row of a recipient identity goes.
pub type Destinations = Box<dyn Fn(&str) -> Destination + Send>;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use quell_mail::key::Secret;
    use quell_storm::limits::Limits;

    use super::*;
    use crate::door::DoorSettings;
    use crate::door::turns::Turns;
    use crate::store::Store;
    use crate::store::memory::MemoryStore;

    fn down(until_ms: Ms) -> Down {
        Down { since_ms: 0, until_ms, failures: 1, status: String::new(), probing: false }
    }

    #[test]
    fn while_rows_may_wait_in_the_store_alone_none_is_forgotten() {
        let store = MemoryStore::default();
        let settings = DoorSettings { limits: Limits::default(), gateway: 1 };
        let (to, now) = (Destination::new("d"), Now { ms: 1, wall_ms: 1, mono_ms: 1, may_expire: true });
        let destinations = Box::new(|_: &str| Destination::new("d"));
        let reader = store.reader().unwrap();
        let secret = Secret::new(1, [9; 32]);
        let mut door: Door<_, ()> =
            Door::open(reader, secret, settings, destinations, Box::new(|| 0), &now).unwrap();
        door.turns = Turns::holding(4);
        door.destination_down(&to, "4.4.1 nobody is there", &now);
        door.forget_unused_downs();
        assert_eq!(door.destinations_down(), 1);
        door.turns.fetched_up_to(None);
        door.forget_unused_downs();
        assert_eq!(door.destinations_down(), 0);
    }

    #[test]
    fn all_are_looked_at_in_turn_a_bounded_number_at_a_time() {
        let mut downs = Downs::default();
        for n in 0..2 * LOOKED_AT + 7 {
            downs.down.insert(Destination::new(&format!("d{n}")), down(0));
        }
        let all: Vec<_> = downs.down.keys().cloned().collect();
        for _ in 0..2 {
            let turns: Vec<_> = (0..3).map(|_| downs.next_to_look_at()).collect();
            assert_eq!(turns.iter().map(Vec::len).collect::<Vec<_>>(), [LOOKED_AT, LOOKED_AT, 7]);
            assert_eq!(turns.concat(), all);
        }
    }

    #[test]
    fn the_map_is_bounded_and_forgets_whom_is_tried_first() {
        let mut downs = Downs::default();
        for n in 0..MAX_DOWN as Ms + 5 {
            downs.keep_bounded();
            downs.down.insert(Destination::new(&format!("d{n}")), down(n));
        }
        assert_eq!(downs.down.len(), MAX_DOWN);
        let is_down = |n: usize| downs.due(&Destination::new(&format!("d{n}")), 0).is_some();
        assert!(!is_down(4) && is_down(5) && is_down(MAX_DOWN + 4));
    }

    proptest! {
        #[test]
        fn jitter_is_never_less_than_the_wait_nor_more_than_a_quarter_above(wait in 0..1i64 << 40, random: u64) {
            let jittered = with_jitter(wait, random);
            prop_assert!((wait..=wait + wait / 4).contains(&jittered));
        }

        #[test]
        fn words_are_cut_between_characters(status in ".{0,700}") {
            prop_assert!(cut(&status).len() <= MAX_STATUS_BYTES && status.starts_with(&cut(&status)));
        }
    }
}
