use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// What the table says it is, without its structures.
#[derive(Default)]
struct Model {
    max: usize,
    now: Ms,
    turn: u64,
    entries: Vec<Known>,
    source_turns: HashMap<u64, u64>,
    evicted: u64,
    no_room: u64,
}

struct Known {
    key: u64,
    source: u64,
    value: u32,
    touched: Ms,
    turn: u64,
    pinned: bool,
}

impl Model {
    fn turn(&mut self, source: u64) -> u64 {
        self.turn += 1;
        self.source_turns.insert(source, self.turn);
        self.turn
    }

    fn at(&self, key: u64) -> Option<usize> {
        self.entries.iter().position(|e| e.key == key)
    }

    fn loose(&self, source: u64) -> usize {
        self.entries.iter().filter(|e| e.source == source && !e.pinned).count()
    }

    fn remove(&mut self, at: usize) {
        let source = self.entries.remove(at).source;
        self.turn(source);
    }

    fn coldest_of_most(&self) -> Option<usize> {
        let loose = self.entries.iter().filter(|e| !e.pinned).map(|e| e.source);
        let most = loose.max_by_key(|s| (self.loose(*s), u64::MAX - self.source_turns[s]))?;
        let of_most = self.entries.iter().enumerate().filter(|(_, e)| e.source == most && !e.pinned);
        of_most.min_by_key(|(_, e)| e.turn).map(|(at, _)| at)
    }

    fn entry(&mut self, key: u64, source: u64, now: Ms, value: u32) -> Option<u32> {
        self.now = self.now.max(now);
        if let Some(at) = self.at(key) {
            if !self.entries[at].pinned {
                self.entries[at].turn = self.turn(self.entries[at].source);
            }
            self.entries[at].touched = self.now;
            return Some(self.entries[at].value);
        }
        if self.entries.len() == self.max {
            let Some(at) = self.coldest_of_most() else {
                self.no_room += 1;
                return None;
            };
            self.remove(at);
            self.evicted += 1;
        }
        let turn = self.turn(source);
        self.entries.push(Known { key, source, value, touched: self.now, turn, pinned: false });
        Some(value)
    }

    fn pin(&mut self, key: u64) -> bool {
        let pinned = self.entries.iter().filter(|e| e.pinned).count();
        let Some(at) = self.at(key) else { return false };
        if self.entries[at].pinned || pinned >= self.max / PINNED_SHARE {
            return self.entries[at].pinned;
        }
        self.entries[at].pinned = true;
        self.turn(self.entries[at].source);
        true
    }

    fn unpin(&mut self, key: u64) -> bool {
        let Some(at) = self.at(key).filter(|at| self.entries[*at].pinned) else { return false };
        self.entries[at].turn = self.turn(self.entries[at].source);
        self.entries[at].pinned = false;
        self.entries[at].touched = self.now;
        true
    }

    fn expire(&mut self, now: Ms, older_than: Ms, at_most: usize) -> usize {
        for removed in 0..at_most {
            let loose = self.entries.iter().enumerate().filter(|(_, e)| !e.pinned);
            match loose.min_by_key(|(_, e)| e.turn) {
                Some((at, e)) if now - e.touched >= older_than => self.remove(at),
                _ => return removed,
            }
        }
        at_most
    }
}

#[derive(Debug, Clone)]
enum Do {
    Entry(u64, u64, Ms),
    Pin(u64),
    Unpin(u64),
    Expire(Ms, usize),
}

const KEYS: u64 = 300;

/// Few sources of very unequal weight, and keys that come back.
fn what() -> impl Strategy<Value = Do> {
    let key = 0..KEYS;
    prop_oneof![
        12 => (key.clone(), 0u64..12, -2i64..20).prop_map(|(k, s, t)| Do::Entry(k, s * s / 14, t)),
        2 => key.clone().prop_map(Do::Pin),
        1 => key.prop_map(Do::Unpin),
        1 => (0i64..900, 0usize..6).prop_map(|(age, n)| Do::Expire(age, n)),
    ]
}

fn contents(table: &Table<u32>) -> Vec<(u64, u32)> {
    (0..KEYS).filter_map(|k| table.get(k).map(|v| (k, *v))).collect()
}

/// The inverse of the index's multiplier: what makes keys with tags of our choice.
const UNMULTIPLIED: u64 = 0xf1de_83e1_9937_733d;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn does_what_the_model_does(max in 0usize..90, all in prop::collection::vec(what(), 0..600)) {
        let mut table = Table::new(max);
        let mut model = Model { max, now: Ms::MIN, ..Model::default() };
        let mut now = 1_700_000_000_000;
        for (value, what) in (0u32..).zip(all) {
            match what {
                Do::Entry(k, s, t) => {
                    now += t;
                    let got = table.entry(k, s, now, || value).copied();
                    prop_assert_eq!(got, model.entry(k, s, now, value));
                }
                Do::Pin(k) => prop_assert_eq!(table.pin(k), model.pin(k)),
                Do::Unpin(k) => prop_assert_eq!(table.unpin(k), model.unpin(k)),
                Do::Expire(age, n) => {
                    prop_assert_eq!(table.expire(now, age, n), model.expire(now, age, n));
                }
            }
            prop_assert!(table.len() <= max && table.pinned() <= max / PINNED_SHARE);
            prop_assert_eq!(table.len(), model.entries.len());
        }
        let mut expected: Vec<_> = model.entries.iter().map(|e| (e.key, e.value)).collect();
        expected.sort_unstable();
        prop_assert_eq!(contents(&table), expected);
        prop_assert_eq!((table.evicted(), table.no_room()), (model.evicted, model.no_room));
        let mut sources: Vec<_> = model.entries.iter().map(|e| e.source).collect();
        sources.sort_unstable();
        sources.dedup();
        prop_assert_eq!(table.sources(), sources.len());
        prop_assert_eq!(table.pinned(), model.entries.iter().filter(|e| e.pinned).count());
    }

    #[test]
    fn the_index_finds_what_was_put_in_and_not_taken_out(
        keys in prop::collection::vec((any::<bool>(), 0u64..60), 0..400)
    ) {
        // Few tags, and those that begin at the end: long runs, around the end too.
        let tags = [0xffff_ffff, 0xfb00_0000, 0xfff0_0000, 0x0000_0001, 0x0a00_0000];
        let key = |n: u64| (tags[n as usize % 5] << 32 | n).wrapping_mul(UNMULTIPLIED);
        let (mut index, mut model) = (Index::with_room(60), HashMap::new());
        let known: Vec<u64> = (0..60).map(key).collect();
        for (put, n) in keys {
            let is_it = |id: u32| known[id as usize] == key(n);
            let found = index.find(key(n), is_it);
            prop_assert_eq!(found, model.get(&key(n)).copied());
            match found {
                None if put => {
                    index.insert(key(n), n as u32);
                    model.insert(key(n), n as u32);
                }
                Some(id) if !put => {
                    index.remove(key(n), id);
                    model.remove(&key(n));
                }
                _ => {}
            }
        }
    }
}

/// Keys as the caller makes them: well mixed (SplitMix64).
fn hash(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

/// A table that `firms` sources have filled with `each` entries.
fn filled(max: usize, firms: u64, each: u64) -> Table<u64> {
    let mut table = Table::new(max);
    for n in 0..firms * each {
        table.entry(hash(n), hash(n / each), n as Ms, || n);
    }
    table
}

#[test]
fn a_flood_displaces_its_own_once_it_has_the_most() {
    let mut table = filled(1000, 20, 40);
    for n in 0..100_000 {
        table.entry(hash(1 << 40 | n), 7, 10_000, || n);
    }
    let kept = (0..800).filter(|n| table.get(hash(*n)).is_some()).count();
    assert_eq!((kept, table.len(), table.no_room()), (800, 1000, 0));
    assert_eq!(table.evicted(), 100_000 - 200);
}

#[test]
fn a_newcomer_takes_from_the_largest_its_coldest() {
    let mut table = filled(100, 2, 50);
    table.entry(hash(0), 0, 1000, || 0);
    // Both have 50, and the second had the earlier turn: its coldest goes; then the first has the
    // most, whose coldest is no longer entry 0.
    table.entry(hash(900), 9, 1001, || 0);
    table.entry(hash(901), 9, 1001, || 0);
    let gone: Vec<u64> = (0..100).filter(|n| table.get(hash(*n)).is_none()).collect();
    assert_eq!(gone, [1, 50]);
}

#[test]
fn pinned_entries_survive_a_million_new_keys_of_as_many_sources() {
    let mut table = filled(4000, 40, 100);
    assert!((0..1000).all(|n| table.pin(hash(n))));
    assert!(!table.pin(hash(1000)) && table.pins_refused() == 1);
    for n in 0..1_000_000 {
        table.entry(hash(1 << 40 | n), hash(2 << 40 | n), 5000 + n as Ms, || n);
    }
    assert!((0..1000).all(|n| table.get(hash(n)) == Some(&n)));
    assert_eq!((table.len(), table.pinned(), table.no_room()), (4000, 1000, 0));
    assert_eq!(table.expire(Ms::MAX, 0, usize::MAX), 3000);
    assert!(table.unpin(hash(5)) && table.pin(hash(6)));
    assert_eq!(table.expire(Ms::MAX, 0, usize::MAX), 1);
}

#[test]
fn memory_is_flat_at_the_maximum_whatever_comes() {
    let mut table = filled(5000, 1, 5000);
    let full = table.bytes();
    for n in 0..20_000 {
        table.entry(hash(1 << 40 | n), hash(n), 6000, || n);
    }
    for n in 0..20_000 {
        table.entry(hash(2 << 40 | n), 3, 7000, || n);
    }
    table.expire(Ms::MAX, 0, 4000);
    for n in 0..20_000 {
        table.entry(hash(3 << 40 | n), hash(n % 7), 8000, || n);
    }
    assert_eq!(table.bytes(), full);
    // DESIGN: memory has a figure. Values of 8 bytes; slots, links, sources, ranks, two indexes.
    assert!(full / 5000 <= 136, "{} bytes an entry", full / 5000);
}

#[test]
fn memory_grows_on_demand() {
    let mut table = Table::new(1 << 30);
    let empty = table.bytes();
    table.entry(1, 1, 0, || 0u64);
    assert!(empty < 1000 && table.bytes() < 20_000, "{empty}, {}", table.bytes());
}

#[test]
fn a_time_before_the_last_counts_as_the_last() {
    let mut table = Table::new(4);
    table.entry(1, 1, 1000, || ());
    table.entry(2, 1, 10, || ());
    assert_eq!(table.expire(1999, 1000, 9), 0);
    assert_eq!(table.expire(2000, 1000, 9), 2);
    assert!(table.is_empty() && table.evicted() == 0);
}

#[test]
fn a_table_of_nothing_says_that_there_is_no_room() {
    let mut table = Table::new(0);
    assert!(table.entry(1, 1, 0, || ()).is_none() && !table.pin(1) && !table.unpin(1));
    assert_eq!((table.no_room(), table.expire(9, 0, 9)), (1, 0));
}
