//! Counts of copies. The ledger has them for every exact key; here are those of keys that copies
//! came for lately, so that a storm costs no write per copy: they are written at most once a
//! minute for each key. A crash may lose a minute of counts, never a row.

use std::collections::HashMap;

use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;
use quell_storm::book::{Fate, KeyTotals};
use quell_storm::facts::Ms;
use quell_storm::limits::Limits;
use quell_storm::window::CopyTimes;

use crate::store::{KeyRow, Row, RowId, Touch};

/// Pairs of key and recipient kept here. At the limit the idlest of a few is written and let go.
const MAX_PAIRS: usize = 100_000;
/// Keys looked at to find one to let go.
const LOOKED_AT: usize = 16;
/// Counts of a key that was idle for this long are let go.
const IDLE_MS: Ms = 600_000;
/// How often the counts of one key are written at most.
const WRITE_EVERY_MS: Ms = 60_000;

#[derive(Debug)]
struct OfRcpt {
    copies: u32,
    last_ms: Ms,
    times: CopyTimes,
    dirty: bool,
}

#[derive(Debug)]
struct OfKey {
    row: KeyRow,
    times: CopyTimes,
    totals: KeyTotals,
    rcpts: HashMap<String, OfRcpt>,
    dirty_since_ms: Option<Ms>,
}

/// Counts of the keys that are hot.
#[derive(Debug, Default)]
pub(super) struct Counters {
    keys: HashMap<LedgerKey, OfKey>,
    kids: HashMap<QueueId, LedgerKey>,
    pairs: usize,
}

/// Numbers of one copy, itself included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub of_key: u32,
    pub of_rcpt: u32,
    pub totals: KeyTotals,
}

impl Counters {
    /// What the window holds before this arrival: for the key, and for one of its recipients.
    pub fn in_window(&self, key: &KeyRow, row: &Row, limits: &Limits, now: Ms) -> (u32, u32) {
        let within = |times: &CopyTimes| times.count_within(limits.window_ms, now);
        let hot = self.keys.get(&key.key);
        let of_key = hot.map(|k| within(&k.times));
        let of_rcpt = hot.and_then(|k| k.rcpts.get(&row.id.rcpt)).map(|r| within(&r.times));
        (
            of_key.unwrap_or_else(|| within(&stored(&key.times, limits.storm_key_copies))),
            of_rcpt.unwrap_or_else(|| within(&stored(&row.times, limits.storm_rcpt_copies))),
        )
    }

    /// Counts one copy. Returns its numbers, and what had to make room for it.
    pub fn count(
        &mut self,
        key: &KeyRow,
        row: &Row,
        fate: Fate,
        limits: &Limits,
        now: Ms,
    ) -> (Counted, Vec<(KeyRow, Vec<Touch>)>) {
        let evicted = if self.pairs >= MAX_PAIRS { self.let_one_go(&key.key) } else { Vec::new() };
        let hot = self.keys.entry(key.key).or_insert_with(|| OfKey::new(key, limits, now));
        self.kids.insert(key.kid, key.key);
        let before = hot.rcpts.len();
        let rcpt = hot.rcpts.entry(row.id.rcpt.clone()).or_insert_with(|| OfRcpt::new(row, limits));
        rcpt.copies = rcpt.copies.saturating_add(1);
        rcpt.last_ms = now;
        rcpt.times.push(now);
        rcpt.dirty = true;
        let of_rcpt = rcpt.times.count_within(limits.window_ms, now);
        self.pairs += hot.rcpts.len() - before;
        hot.row.copies += 1;
        hot.row.last_seen_ms = now;
        hot.times.push(now);
        hot.dirty_since_ms.get_or_insert(now);
        hot.totals.copies += 1;
        hot.totals.absorbed += u64::from(fate == Fate::Absorbed);
        hot.totals.held += u64::from(fate == Fate::Held);
        let of_key = hot.times.count_within(limits.window_ms, now);
        (Counted { of_key, of_rcpt, totals: hot.totals }, evicted)
    }

    /// Puts the counts of `row` into it, if they are hotter than those stored with it.
    pub fn refresh(&self, row: &mut Row) {
        let hot = self.kids.get(&row.id.kid).and_then(|key| self.keys.get(key));
        if let Some(hot) = hot.and_then(|k| k.rcpts.get(&row.id.rcpt)) {
            (row.copies, row.last_copy_ms, row.times) = (hot.copies, hot.last_ms, hot.times.to_bytes());
        }
    }

    /// The key's row with its latest counts. Those of a number that the key no longer has are forgotten:
    /// retention has dropped what they are of, and written they would bring that number back.
    pub fn refreshed_key(&mut self, row: KeyRow) -> KeyRow {
        match self.keys.get(&row.key) {
            Some(hot) if hot.row.kid == row.kid => {
                return KeyRow { times: hot.times.to_bytes(), ..hot.row.clone() };
            }
            Some(_) => drop(self.forget_key(&row.key)),
            None => {}
        }
        row
    }

    fn forget_key(&mut self, key: &LedgerKey) -> Option<OfKey> {
        let gone = self.keys.remove(key)?;
        self.kids.remove(&gone.row.kid);
        self.pairs -= gone.rcpts.len();
        Some(gone)
    }

    /// Forgets all counts not yet written. After a failure of the store: a key that was lost with
    /// its batch must not be written under the number it had.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// A storm of the key has ended: the numbers of the next one begin here.
    pub fn storm_over(&mut self, key: &LedgerKey, now: Ms) {
        if let Some(hot) = self.keys.get_mut(key) {
            hot.totals = KeyTotals { first_seen_ms: now, copies: 0, absorbed: 0, held: 0 };
            hot.row.base_copies = hot.row.copies;
            hot.row.storm_ended_ms = Some(now);
        }
    }

    /// Counts that are due to be written, and all of them if `all`.
    pub fn due(&mut self, now: Ms, all: bool) -> Vec<(KeyRow, Vec<Touch>)> {
        let due = |k: &OfKey| k.dirty_since_ms.is_some_and(|since| all || now - since >= WRITE_EVERY_MS);
        let written = self.keys.values_mut().filter(|k| due(k)).map(OfKey::write).collect();
        self.keys.retain(|_, k| k.dirty_since_ms.is_some() || now - k.row.last_seen_ms < IDLE_MS);
        self.kids.retain(|_, key| self.keys.contains_key(key));
        self.pairs = self.keys.values().map(|k| k.rcpts.len()).sum();
        written
    }

    fn let_one_go(&mut self, not: &LedgerKey) -> Vec<(KeyRow, Vec<Touch>)> {
        let some = self.keys.iter().filter(|(k, _)| *k != not).take(LOOKED_AT);
        let Some(key) = some.min_by_key(|(_, hot)| hot.row.last_seen_ms).map(|(k, _)| *k) else {
            return Vec::new();
        };
        let mut gone = self.forget_key(&key);
        gone.iter_mut().filter(|hot| hot.dirty_since_ms.is_some()).map(OfKey::write).collect()
    }
}

impl OfKey {
    fn new(key: &KeyRow, limits: &Limits, now: Ms) -> Self {
        // Which of them were held is not stored; no rule of this version holds.
        let copies = key.copies.saturating_sub(key.base_copies);
        let first_seen_ms = if copies == 0 { now } else { key.last_seen_ms };
        let totals = KeyTotals { first_seen_ms, copies, absorbed: copies, held: 0 };
        let times = stored(&key.times, limits.storm_key_copies);
        Self { row: key.clone(), times, totals, rcpts: HashMap::new(), dirty_since_ms: None }
    }

    fn write(&mut self) -> (KeyRow, Vec<Touch>) {
        self.dirty_since_ms = None;
        self.row.times = self.times.to_bytes();
        let kid = self.row.kid;
        let dirty = self.rcpts.iter_mut().filter(|(_, r)| r.dirty);
        let touches = dirty.map(|(rcpt, r)| {
            r.dirty = false;
            let (copies, last_copy_ms, times) = (r.copies, r.last_ms, r.times.to_bytes());
            Touch { id: RowId { kid, rcpt: rcpt.clone() }, copies, last_copy_ms, times }
        });
        (self.row.clone(), touches.collect())
    }
}

impl OfRcpt {
    fn new(row: &Row, limits: &Limits) -> Self {
        let times = stored(&row.times, limits.storm_rcpt_copies);
        Self { copies: row.copies, last_ms: row.last_copy_ms, times, dirty: false }
    }
}

/// Times as the ledger stores them. Damaged ones only lose a count.
fn stored(bytes: &[u8], n: u32) -> CopyTimes {
    if bytes.is_empty() {
        return CopyTimes::new(n);
    }
    CopyTimes::from_bytes(bytes, n).unwrap_or_else(|_| CopyTimes::new(n))
}
