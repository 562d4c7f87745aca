//! Which keys an open day's table had before this start: read from it some at a time, so that from
//! then on no new key is looked for there. Until all are read, every new key is.

use quell_mail::key::LedgerKey;
use rusqlite::Connection;

use super::broken;
use super::parts::{Parts, State};
use crate::store::StoreError;

/// Keys read at the start: about a tenth of a second.
pub const AT_START: usize = if cfg!(test) { 8 } else { 1 << 18 };
/// Keys read in one step of upkeep: bounds how long the writer is away from acceptance.
const PER_STEP: usize = if cfg!(test) { 8 } else { 1 << 16 };

/// Reads on in the table of the first open day that is not read to its end. True: it read some.
pub fn step(db: &Connection, parts: &Parts) -> Result<bool, StoreError> {
    let next = |state: &State| {
        let mut unread = state.fresh.iter().filter(|(day, _)| state.is_open(**day));
        unread.find_map(|(day, fresh)| Some((*day, fresh.unread_after()?)))
    };
    let Some((day, after)) = next(&*parts.read()?) else { return Ok(false) };
    // Only this thread writes, so nothing comes into the table between the two.
    let keys = read(db, day, after, PER_STEP)?;
    if let Some(fresh) = parts.write()?.fresh.get_mut(&day) {
        fresh.learn(&keys, keys.len() < PER_STEP);
    }
    Ok(true)
}

/// The next keys of the table of `day`, at most `limit`; `after` None: the first.
pub fn read(
    db: &Connection,
    day: i64,
    after: Option<LedgerKey>,
    limit: usize,
) -> Result<Vec<LedgerKey>, StoreError> {
    let sql = format!("SELECT key FROM key_{day} WHERE key > ?1 ORDER BY key LIMIT ?2");
    let mut statement = db.prepare(&sql).map_err(broken)?;
    // Every key comes after the empty one.
    let after: &[u8] = after.as_ref().map_or(&[], |key| &key.0);
    let keys = statement.query_map((after, limit as i64), |row| row.get(0).map(LedgerKey)).map_err(broken)?;
    keys.collect::<Result<_, _>>().map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::super::{keys, schema};
    use super::*;

    fn key(n: u8) -> LedgerKey {
        LedgerKey(blake3::hash(&[n]).as_bytes()[..16].try_into().unwrap())
    }

    fn insert(db: &Connection, key: &LedgerKey) {
        let sql = "INSERT INTO key_7 VALUES (?1, zeroblob(10), 1, 1, 0, 0, x'', 0, NULL)";
        db.execute(sql, [&key.0[..]]).unwrap();
    }

    #[test]
    fn what_was_there_at_the_start_is_known_in_the_end() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(&schema::part(7)).unwrap();
        (0..30).for_each(|n| insert(&db, &key(n)));
        let parts = Parts::default();
        {
            let mut state = parts.write().unwrap();
            state.days.insert(7, None);
            state.fresh.insert(7, keys::load(&db, 7, None).unwrap());
        }
        let asked = |n: u8| !parts.days_for(&key(n)).unwrap().0.is_empty();
        assert!((0..100).all(asked), "of a table that is not read nothing is known");
        // It comes in before what is read next.
        parts.write().unwrap().fresh.get_mut(&7).unwrap().goes_into_table(&key(30));
        insert(&db, &key(30));
        let steps = std::iter::from_fn(|| step(&db, &parts).unwrap().then_some(())).count();
        assert_eq!(steps, (31 - AT_START).div_ceil(PER_STEP));
        assert!((0..=30).all(asked));
        assert!((31..100).filter(|n| asked(*n)).count() < 3, "a new key asks no table");
    }
}
