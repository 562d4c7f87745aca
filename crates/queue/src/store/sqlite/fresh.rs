//! Keys that are not yet in their day's table of keys. That table is ordered by key, and keys are
//! random: every new one would dirty a page of its own, which is then written twice. So a new key
//! stands in its arrival's row, where all that is new lies together, and here in memory; when many
//! have come, they go into the table in its order, a few with each commit, so that several share a
//! page.
//!
//! Keys up to the *border* are in the table or on their way there; after a restart those above it are
//! read from the arrivals again. A key that comes late, below the border, goes into the table at once.

use std::collections::HashMap;

use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;
use quell_storm::facts::Ms;

use crate::filter::Filter;
use crate::store::KeyRow;

/// New keys of a day in memory before they begin to move into the table: as many as a hash map of
/// 2^16 places takes. With those on their way there are at most twice as many, and those of the last
/// batch: 5 MiB together, as a rule.
pub const FRESH_KEYS: usize = if cfg!(test) { 100 } else { 57_344 };
/// Keys put into the table with one commit, for each new one in it: they must go faster than they come.
const MOVED_PER_NEW: usize = 2;
/// And so many at the least.
const MOVED_AT_LEAST: usize = 32;
/// Keys put into the table by one step of upkeep, when the day is closed.
const MOVED_BY_UPKEEP: usize = 2048;
/// Filters of one open day, 112 KiB each. A day with more keys in its table than they hold is asked
/// itself, for every new key.
const FILTERS: usize = 64;
/// Bytes of a key in its arrival's row.
const STORED_BYTES: usize = 26;

/// What a key that was never met again has beside itself. Copies are counted in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewKey {
    pub kid: QueueId,
    pub key_version: u8,
    pub secret_id: u8,
    pub last_seen_ms: Ms,
}

impl NewKey {
    /// The key as it is when it comes with its first arrival. None: it has more to say.
    pub fn of(row: &KeyRow) -> Option<Self> {
        let KeyRow { kid, key_version, secret_id, last_seen_ms, .. } = *row;
        let plain =
            row.copies == 0 && row.base_copies == 0 && row.storm_ended_ms.is_none() && row.times.is_empty();
        plain.then_some(Self { kid, key_version, secret_id, last_seen_ms })
    }

    /// The row that the table will have.
    pub fn row(&self, key: LedgerKey) -> KeyRow {
        KeyRow {
            key,
            kid: self.kid,
            key_version: self.key_version,
            secret_id: self.secret_id,
            last_seen_ms: self.last_seen_ms,
            copies: 0,
            base_copies: 0,
            storm_ended_ms: None,
            times: Vec::new(),
        }
    }

    /// As it stands in its arrival's row: key, version, secret, time.
    pub fn to_bytes(self, key: &LedgerKey) -> [u8; STORED_BYTES] {
        let mut bytes = [0; STORED_BYTES];
        bytes[..16].copy_from_slice(&key.0);
        bytes[16] = self.key_version;
        bytes[17] = self.secret_id;
        bytes[18..].copy_from_slice(&self.last_seen_ms.to_be_bytes());
        bytes
    }

    /// Reads what [`NewKey::to_bytes`] made of the arrival `kid`.
    pub fn from_bytes(kid: QueueId, bytes: &[u8; STORED_BYTES]) -> (LedgerKey, Self) {
        let (mut key, mut ms) = ([0; 16], [0; 8]);
        key.copy_from_slice(&bytes[..16]);
        ms.copy_from_slice(&bytes[18..]);
        let last_seen_ms = Ms::from_be_bytes(ms);
        (LedgerKey(key), Self { kid, key_version: bytes[16], secret_id: bytes[17], last_seen_ms })
    }
}

/// The new keys of one day that is not closed, or is being closed.
#[derive(Debug)]
pub struct Fresh {
    new: HashMap<LedgerKey, NewKey>,
    /// In the table's order; the first `moved` of them are in it.
    moving: Vec<(LedgerKey, NewKey)>,
    moved: usize,
    /// The highest number among `moving`, and among all that moved before.
    border: Option<QueueId>,
    in_table: InTable,
}

/// Which keys the table may have.
#[derive(Debug)]
enum InTable {
    /// Nobody knows: the day is closed, or the table is too full.
    Unknown,
    /// It was filled before this start, and is read up to this key. What comes into it meanwhile is
    /// known, too.
    Read(Option<LedgerKey>, Filters),
    /// At most those that a filter may contain.
    Known(Filters),
}

#[derive(Debug, Default)]
struct Filters {
    filters: Vec<Filter>,
    /// The last one takes so many more.
    room: usize,
}

impl Filters {
    fn may_contain(&self, key: &LedgerKey) -> bool {
        self.filters.iter().any(|filter| filter.may_contain(key))
    }

    /// False: there are too many keys.
    fn insert(&mut self, key: &LedgerKey) -> bool {
        // The key of a storm comes with its counts each minute, and takes no more room by it.
        if self.may_contain(key) {
            return true;
        }
        if self.room == 0 {
            if self.filters.len() == FILTERS {
                return false;
            }
            self.filters.push(Filter::with_capacity(FRESH_KEYS));
            self.room = FRESH_KEYS;
        }
        self.room -= 1;
        if let Some(filter) = self.filters.last_mut() {
            filter.insert(key);
        }
        true
    }
}

/// Some keys that go into the table next.
#[derive(Debug)]
pub struct Move {
    pub keys: Vec<(LedgerKey, NewKey)>,
    /// With these all keys up to here are in the table.
    pub border: Option<QueueId>,
}

impl Fresh {
    /// A day whose table is empty, or (`empty` false) is to be read.
    pub fn new(border: Option<QueueId>, empty: bool) -> Self {
        let none = Filters::default();
        let in_table = if empty { InTable::Known(none) } else { InTable::Read(None, none) };
        Self { new: HashMap::new(), moving: Vec::new(), moved: 0, border, in_table }
    }

    /// A day that is closed, or is just being opened again for a late key: nothing waits in it.
    pub fn closed() -> Self {
        let border = Some(QueueId::from_bytes([u8::MAX; 10]));
        Self { in_table: InTable::Unknown, ..Self::new(border, false) }
    }

    /// True: `kid` comes in time to wait here.
    pub fn takes(&self, kid: &QueueId) -> bool {
        self.border.is_none_or(|border| *kid > border)
    }

    /// Takes a key that its arrival's row has now.
    pub fn put(&mut self, key: LedgerKey, new: NewKey) {
        self.new.insert(key, new);
    }

    /// The key, if it is not in the table; the table's row counts if there is one all the same.
    pub fn get(&self, key: &LedgerKey) -> Option<KeyRow> {
        let moving = || self.moving.binary_search_by_key(&key.0, |(k, _)| k.0).ok();
        let new = self.new.get(key).or_else(|| self.moving.get(moving()?).map(|(_, new)| new));
        new.map(|new| new.row(*key))
    }

    /// False: the table certainly does not have `key`.
    pub fn table_may_have(&self, key: &LedgerKey) -> bool {
        match &self.in_table {
            InTable::Unknown | InTable::Read(..) => true,
            InTable::Known(known) => known.may_contain(key),
        }
    }

    /// The key after which the table is to be read (`Some(None)`: from its beginning). None: there is
    /// nothing to be learnt from it.
    pub fn unread_after(&self) -> Option<Option<LedgerKey>> {
        match &self.in_table {
            InTable::Read(after, _) => Some(*after),
            _ => None,
        }
    }

    /// The next keys of the table; `all`: the last.
    pub fn learn(&mut self, keys: &[LedgerKey], all: bool) {
        keys.iter().for_each(|key| self.goes_into_table(key));
        self.in_table = match std::mem::replace(&mut self.in_table, InTable::Unknown) {
            InTable::Read(_, known) if all => InTable::Known(known),
            InTable::Read(after, known) => InTable::Read(keys.last().copied().or(after), known),
            other => other,
        };
    }

    /// To be called before the table gets `key`.
    pub fn goes_into_table(&mut self, key: &LedgerKey) {
        if let InTable::Known(known) | InTable::Read(_, known) = &mut self.in_table
            && !known.insert(key)
        {
            self.in_table = InTable::Unknown;
        }
    }

    /// Which keys the next commit puts into the table, if it brings so many new ones: no key, until
    /// many have come or the day is `closing`. To be called before it is asked what the day takes.
    pub fn next_move(&mut self, new: usize, closing: bool) -> Option<Move> {
        if self.moving.is_empty() {
            let begins = if closing { 1 } else { FRESH_KEYS };
            if self.new.len() < begins {
                return None;
            }
            self.begin_move();
        }
        let most = if closing { MOVED_BY_UPKEEP } else { MOVED_AT_LEAST.max(new * MOVED_PER_NEW) };
        let end = self.moving.len().min(self.moved + most);
        let keys = self.moving.get(self.moved..end).unwrap_or_default().to_vec();
        keys.iter().for_each(|(key, _)| self.goes_into_table(key));
        Some(Move { keys, border: self.border.filter(|_| end == self.moving.len()) })
    }

    fn begin_move(&mut self) {
        self.moving = self.new.drain().collect();
        self.moving.sort_unstable_by_key(|(key, _)| key.0);
        self.border = self.border.max(self.moving.iter().map(|(_, new)| new.kid).max());
    }

    /// The table durably has so many more.
    pub fn moved(&mut self, keys: usize) {
        self.moved += keys;
        if self.moved >= self.moving.len() {
            (self.moving, self.moved) = (Vec::new(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_the_same_keys_use_up_no_room() {
        let key = |n: u16| LedgerKey(blake3::hash(&n.to_le_bytes()).as_bytes()[..16].try_into().unwrap());
        let mut fresh = Fresh::new(None, true);
        for _ in 0..2 * FILTERS {
            (0..FRESH_KEYS as u16).for_each(|n| fresh.goes_into_table(&key(n)));
        }
        assert!((0..FRESH_KEYS as u16).all(|n| fresh.table_may_have(&key(n))));
        assert!((1000..2000).filter(|n| fresh.table_may_have(&key(*n))).count() < 10);
        (0..u16::MAX).for_each(|n| fresh.goes_into_table(&key(n)));
        assert!((1000..2000).all(|n| fresh.table_may_have(&key(n))), "a full table is asked for every key");
    }
}
