//! Where the keys of a batch go: new ones into their arrivals' rows, the others into the table.

use std::collections::{HashMap, HashSet};

use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::fresh::{Fresh, NewKey};
use super::parts::{DAY_MS, Parts, State, day_of};
use super::statements::{Kind, Statements};
use super::{broken, learn};
use crate::store::{Arrival, Batch, KeyRow, StoreError};

/// What is true of keys once the batch is durable.
#[derive(Debug, Default)]
pub struct Keys {
    /// New ones, by the arrival whose row has them.
    new: HashMap<QueueId, (LedgerKey, NewKey)>,
    /// Of these days so many more are in the table.
    moved: Vec<(i64, usize)>,
}

impl Keys {
    /// The key that the row of `arrival` is to have.
    pub fn of_arrival(&self, arrival: &QueueId) -> Option<[u8; 26]> {
        self.new.get(arrival).map(|(key, new)| new.to_bytes(key))
    }

    /// The batch is durable.
    pub fn are_durable(self, state: &mut State) {
        for (day, moved) in self.moved {
            if let Some(fresh) = state.fresh.get_mut(&day) {
                fresh.moved(moved);
            }
        }
        for (kid, (key, new)) in self.new {
            if let Some(fresh) = state.fresh.get_mut(&day_of(&kid)) {
                fresh.put(key, new);
            }
        }
    }
}

/// Writes the keys that belong into the tables, and says which are to stand with their arrivals.
pub fn put(
    tx: &Transaction<'_>,
    statements: &mut Statements<'_>,
    parts: &Parts,
    batch: &Batch,
) -> Result<Keys, StoreError> {
    // First: it raises borders, below which nothing may wait any more.
    let mut keys = Keys { moved: move_some(tx, statements, parts, batch)?, new: HashMap::new() };
    let first = |a: &&Arrival| a.kid == a.queue_id;
    let first: HashSet<QueueId> = batch.arrivals.iter().filter(first).map(|a| a.kid).collect();
    for key in &batch.keys {
        let mut state = parts.write()?;
        let day = state.home(&key.kid);
        if state.has_new(day, key) {
            continue;
        }
        match NewKey::of(key).filter(|_| first.contains(&key.kid) && state.takes_new(day, &key.kid)) {
            Some(new) => drop(keys.new.insert(key.kid, (key.key, new))),
            None => {
                if let Some(fresh) = state.fresh.get_mut(&day) {
                    fresh.goes_into_table(&key.key);
                }
                drop(state);
                put_key(statements, Kind::PutKey, day, key)?;
            }
        }
    }
    Ok(keys)
}

impl State {
    /// True: the key is kept already, just so.
    fn has_new(&self, day: i64, key: &KeyRow) -> bool {
        NewKey::of(key).is_some()
            && self.fresh.get(&day).and_then(|fresh| fresh.get(&key.key)).as_ref() == Some(key)
    }

    /// True: a new key of `kid` may wait in its arrival's row.
    fn takes_new(&self, day: i64, kid: &QueueId) -> bool {
        let is_open = self.days.get(&day).is_none_or(Option::is_none);
        is_open && day == day_of(kid) && self.fresh.get(&day).is_some_and(|fresh| fresh.takes(kid))
    }
}

/// Some of the keys that wait go into their tables.
fn move_some(
    tx: &Transaction<'_>,
    statements: &mut Statements<'_>,
    parts: &Parts,
    batch: &Batch,
) -> Result<Vec<(i64, usize)>, StoreError> {
    let mut state = parts.write()?;
    let next = |(day, fresh): (&i64, &mut Fresh)| Some((*day, fresh.next_move(batch.keys.len(), false)?));
    let moves: Vec<_> = state.fresh.iter_mut().filter_map(next).collect();
    drop(state);
    let mut moved = Vec::new();
    for (day, some) in moves {
        for (key, new) in &some.keys {
            put_key(statements, Kind::NewKey, day, &new.row(*key))?;
        }
        set_border(tx, day, some.border)?;
        moved.push((day, some.keys.len()));
    }
    Ok(moved)
}

/// One step of moving all keys of `day`, which gets no more, into its table. False: they are.
pub fn move_last(db: &mut Connection, parts: &Parts, day: i64) -> Result<bool, StoreError> {
    let next = parts.write()?.fresh.get_mut(&day).and_then(|fresh| fresh.next_move(0, true));
    let Some(some) = next else { return Ok(false) };
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(broken)?;
    let mut statements = Statements::new(&tx);
    for (key, new) in &some.keys {
        put_key(&mut statements, Kind::NewKey, day, &new.row(*key))?;
    }
    drop(statements);
    set_border(&tx, day, some.border)?;
    tx.commit().map_err(broken)?;
    if let Some(fresh) = parts.write()?.fresh.get_mut(&day) {
        fresh.moved(some.keys.len());
    }
    Ok(true)
}

fn set_border(tx: &Transaction<'_>, day: i64, border: Option<QueueId>) -> Result<(), StoreError> {
    if let Some(border) = border {
        let sql = "UPDATE part SET border = ?1 WHERE day = ?2";
        tx.execute(sql, (&border.bytes()[..], day)).map_err(broken)?;
    }
    Ok(())
}

/// An arrival is to be forgotten: a key that only its row has goes into the table before.
pub fn keep_key(
    tx: &Transaction<'_>,
    parts: &Parts,
    day: i64,
    kid: &QueueId,
    queue_id: &QueueId,
) -> Result<(), StoreError> {
    let sql = format!("SELECT new_key FROM arr_{day} WHERE kid = ?1 AND qid = ?2 AND new_key IS NOT NULL");
    let mut statement = tx.prepare_cached(&sql).map_err(broken)?;
    let mut rows = statement.query((&kid.bytes()[..], &queue_id.bytes()[..])).map_err(broken)?;
    let Some(row) = rows.next().map_err(broken)? else { return Ok(()) };
    let (key, new) = NewKey::from_bytes(*kid, &row.get(0).map_err(broken)?);
    if let Some(fresh) = parts.write()?.fresh.get_mut(&day) {
        fresh.goes_into_table(&key);
    }
    put_key(&mut Statements::new(tx), Kind::NewKey, day, &new.row(key))
}

fn put_key(statements: &mut Statements<'_>, kind: Kind, day: i64, key: &KeyRow) -> Result<(), StoreError> {
    let values = params![
        &key.key.0[..],
        &key.kid.bytes()[..],
        key.key_version,
        key.secret_id,
        key.last_seen_ms,
        key.copies as i64,
        key.times,
        key.base_copies as i64,
        key.storm_ended_ms
    ];
    statements.run(kind, day, values).map(drop)
}

/// Reads the new keys of a day that has no filter.
pub fn load(db: &Connection, day: i64, border: Option<QueueId>) -> Result<Fresh, StoreError> {
    let sql = format!("SELECT NOT EXISTS (SELECT 1 FROM key_{day})");
    let empty = db.query_row(&sql, [], |row| row.get(0)).map_err(broken)?;
    let mut fresh = Fresh::new(border, empty);
    if !empty {
        let keys = learn::read(db, day, None, learn::AT_START)?;
        fresh.learn(&keys, keys.len() < learn::AT_START);
    }
    // What has moved here from an older day came with its key.
    let before = QueueId::new((day * DAY_MS - 1).unsigned_abs(), u8::MAX, u32::MAX);
    let sql = format!("SELECT kid, new_key FROM arr_{day} WHERE kid > ?1 AND new_key IS NOT NULL");
    let mut arrivals = db.prepare(&sql).map_err(broken)?;
    let mut rows = arrivals.query([&border.unwrap_or(before).bytes()[..]]).map_err(broken)?;
    while let Some(row) = rows.next().map_err(broken)? {
        let (key, new) = NewKey::from_bytes(super::read::queue_id(row, 0)?, &row.get(1).map_err(broken)?);
        fresh.put(key, new);
    }
    Ok(fresh)
}
