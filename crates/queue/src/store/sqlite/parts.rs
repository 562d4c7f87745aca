//! Which days there are, their filters, and which keys have moved to a later day.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;

use super::fresh::Fresh;
use crate::filter::Filter;
use crate::store::{KeyRow, StoreError};

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// The day a key belongs to before it moves.
pub fn day_of(kid: &QueueId) -> i64 {
    kid.ms() / DAY_MS
}

/// Shared by the writer and all readers.
#[derive(Clone, Default)]
pub struct Parts(Arc<RwLock<State>>);

/// At most one entry per day kept, and one per key that outlived its day.
#[derive(Default)]
pub struct State {
    /// Day number → its filter, once the day is closed and the filter built.
    pub days: BTreeMap<i64, Option<Arc<Filter>>>,
    /// Days without a filter → their new keys.
    pub fresh: BTreeMap<i64, Fresh>,
    /// Keys that outlived their day, and where they are now.
    pub moved: HashMap<QueueId, i64>,
    /// The day that keys are just moving out of: they are there or in their new place.
    pub leaving: Option<i64>,
    /// Grows before and after each change of where rows lie ([`Parts::changes`]).
    changes: u64,
}

/// Where rows of a key may lie: look in the first, then in the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    pub first: Option<i64>,
    pub second: Option<i64>,
}

impl Places {
    pub fn iter(self) -> impl Iterator<Item = i64> {
        self.first.into_iter().chain(self.second)
    }
}

impl Parts {
    pub fn read(&self) -> Result<RwLockReadGuard<'_, State>, StoreError> {
        self.0.read().map_err(|_| poisoned())
    }

    /// Grows whenever rows may be looked for in other places than before. A look-up between two
    /// equal numbers has seen all there is.
    pub fn changes(&self) -> Result<u64, StoreError> {
        Ok(self.read()?.changes)
    }

    /// Changes where rows are looked for.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        let mut state = self.write()?;
        state.changes += 1;
        Ok(change(&mut state))
    }

    pub fn write(&self) -> Result<RwLockWriteGuard<'_, State>, StoreError> {
        self.0.write().map_err(|_| poisoned())
    }

    /// Days newest first.
    pub fn days(&self) -> Result<Vec<i64>, StoreError> {
        Ok(self.read()?.days.keys().rev().copied().collect())
    }

    /// Days whose table of keys may have `key`, newest first: those are left out whose filters say
    /// no. And the key itself, if it is new: it counts where no table has it.
    pub fn days_for(&self, key: &LedgerKey) -> Result<(Vec<i64>, Option<KeyRow>), StoreError> {
        let state = self.read()?;
        let maybe = |(day, filter): &(&i64, &Option<Arc<Filter>>)| match filter {
            Some(filter) => filter.may_contain(key),
            // A key that is just being moved may come into an open day before its memory says so to
            // a look-up that began earlier: both places are then read in one transaction.
            None => {
                state.leaving.is_some() || state.fresh.get(day).is_none_or(|fresh| fresh.table_may_have(key))
            }
        };
        let days = state.days.iter().rev().filter(maybe).map(|(day, _)| *day).collect();
        Ok((days, state.fresh.values().rev().find_map(|fresh| fresh.get(key))))
    }

    /// Where the rows of `kid` lie. While a key is being moved they may still be in the old place:
    /// hence two, to be read in one transaction.
    pub fn places(&self, kid: &QueueId) -> Result<Places, StoreError> {
        let state = self.read()?;
        let home = Some(day_of(kid)).filter(|d| state.days.contains_key(d));
        Ok(match state.moved.get(kid) {
            Some(day) => Places { first: Some(*day), second: state.leaving },
            None => Places { first: home, second: None },
        })
    }
}

impl State {
    /// True: the day has no filter yet.
    pub fn is_open(&self, day: i64) -> bool {
        self.days.get(&day).is_some_and(Option::is_none)
    }

    /// Where new rows of `kid` are written.
    pub fn home(&self, kid: &QueueId) -> i64 {
        self.moved.get(kid).copied().unwrap_or_else(|| day_of(kid))
    }
}

fn poisoned() -> StoreError {
    StoreError::Broken("a thread died while it changed the list of days".to_owned())
}
