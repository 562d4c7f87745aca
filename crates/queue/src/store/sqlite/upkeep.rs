//! Upkeep: filters for closed days, and retention. Old days are dropped whole; keys that must live
//! on move to today first, with all their rows and arrivals.

use std::sync::Arc;

use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;
use quell_storm::facts::Ms;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::fresh::Fresh;
use super::parts::{DAY_MS, Parts};
use super::{broken, id_from, keys, learn, schema, write};
use crate::filter::Filter;
use crate::store::{Retention, StoreError};

/// Keys moved in one step: bounds how long the writer is away from acceptance.
const MOVES_PER_STEP: usize = 256;

pub fn step(db: &mut Connection, parts: &Parts, now: Ms, retention: &Retention) -> Result<bool, StoreError> {
    let today = now / DAY_MS;
    // An hour's grace: a batch begun before midnight must not put a key into a day whose filter is
    // made already.
    if let Some(day) = without_filter(parts, (now - DAY_MS / 24) / DAY_MS)? {
        if !keys::move_last(db, parts, day)? {
            build_filter(db, parts, day)?;
        }
        return Ok(true);
    }
    if learn::step(db, parts)? {
        return Ok(true);
    }
    let oldest = parts.read()?.days.keys().next().copied();
    if let Some(day) = oldest.filter(|day| day + i64::from(retention.rows_days) < today) {
        let cut = now - i64::from(retention.rows_days) * DAY_MS;
        retire(db, parts, day, today, cut)?;
        return Ok(true);
    }
    forget_evidence(db, now - i64::from(retention.evidence_days) * DAY_MS)?;
    Ok(false)
}

fn without_filter(parts: &Parts, today: i64) -> Result<Option<i64>, StoreError> {
    let state = parts.read()?;
    Ok(state.days.range(..today).find(|(_, filter)| filter.is_none()).map(|(day, _)| *day))
}

/// A closed day gets no new keys, except those that move into it while it is today.
fn build_filter(db: &mut Connection, parts: &Parts, day: i64) -> Result<(), StoreError> {
    let count: i64 =
        db.query_row(&format!("SELECT count(*) FROM key_{day}"), [], |r| r.get(0)).map_err(broken)?;
    let mut filter = Filter::with_capacity(count as usize);
    {
        let mut keys = db.prepare(&format!("SELECT key FROM key_{day}")).map_err(broken)?;
        let mut rows = keys.query([]).map_err(broken)?;
        while let Some(row) = rows.next().map_err(broken)? {
            filter.insert(&LedgerKey(row.get(0).map_err(broken)?));
        }
    }
    db.execute("UPDATE part SET filter = ?1 WHERE day = ?2", (filter.to_bytes(), day)).map_err(broken)?;
    let mut state = parts.write()?;
    state.days.insert(day, Some(Arc::new(filter)));
    state.fresh.remove(&day);
    Ok(())
}

/// Moves some keys that must live on out of `day`, or drops the day when none is left.
fn retire(db: &mut Connection, parts: &Parts, day: i64, today: i64, cut: Ms) -> Result<(), StoreError> {
    let kids = must_live_on(db, day, cut)?;
    if kids.is_empty() {
        return drop_day(db, parts, day);
    }
    open_day(db, parts, today)?;
    // Readers must know both places before the rows are in the new one (see `Parts::places`).
    let before: Vec<_> = parts.change(|state| {
        state.leaving = Some(day);
        kids.iter().map(|kid| (*kid, state.moved.insert(*kid, today))).collect()
    })?;
    let moved = move_keys(db, parts, day, today, &kids);
    parts.change(|state| {
        state.leaving = None;
        for (kid, old) in before.into_iter().filter(|_| moved.is_err()) {
            match old {
                Some(place) => state.moved.insert(kid, place),
                None => state.moved.remove(&kid),
            };
        }
    })?;
    moved
}

/// Makes today's tables, so that readers find them when they are sent there.
fn open_day(db: &mut Connection, parts: &Parts, today: i64) -> Result<(), StoreError> {
    if parts.read()?.days.contains_key(&today) {
        return Ok(());
    }
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(broken)?;
    write::make_day(&tx, today)?;
    tx.commit().map_err(broken)?;
    parts.change(|state| {
        state.days.insert(today, None);
        state.fresh.insert(today, Fresh::new(None, true));
    })
}

fn must_live_on(db: &Connection, day: i64, cut: Ms) -> Result<Vec<QueueId>, StoreError> {
    let sql = format!(
        "SELECT kid FROM row_{day} WHERE state < 4 OR max(since, last_copy) >= ?1
         UNION SELECT kid FROM arr_{day} WHERE body IS NOT NULL LIMIT {MOVES_PER_STEP}"
    );
    let mut statement = db.prepare(&sql).map_err(broken)?;
    let mut rows = statement.query([cut]).map_err(broken)?;
    let mut kids = Vec::new();
    while let Some(row) = rows.next().map_err(broken)? {
        let bytes: Vec<u8> = row.get(0).map_err(broken)?;
        kids.push(id_from(&bytes)?);
    }
    kids.dedup();
    Ok(kids)
}

fn move_keys(
    db: &mut Connection,
    parts: &Parts,
    day: i64,
    today: i64,
    kids: &[QueueId],
) -> Result<(), StoreError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(broken)?;
    for kid in kids {
        let sql = "INSERT OR REPLACE INTO moved (kid, day) VALUES (?1, ?2)";
        tx.execute(sql, (&kid.bytes()[..], today)).map_err(broken)?;
    }
    note_keys(&tx, parts, day, today)?;
    // One pass over the day's keys, which are not ordered by kid; the other two tables are.
    for table in ["key", "arr", "row"] {
        move_rows(&tx, table, day, today)?;
    }
    tx.commit().map_err(broken)
}

/// The keys that come into today's table by another way than a batch.
fn note_keys(tx: &Transaction<'_>, parts: &Parts, day: i64, today: i64) -> Result<(), StoreError> {
    let sql = format!("SELECT key FROM key_{day} WHERE kid IN (SELECT kid FROM moved WHERE day = {today})");
    let mut keys = tx.prepare(&sql).map_err(broken)?;
    let mut rows = keys.query([]).map_err(broken)?;
    while let Some(row) = rows.next().map_err(broken)? {
        let key = LedgerKey(row.get(0).map_err(broken)?);
        if let Some(fresh) = parts.write()?.fresh.get_mut(&today) {
            fresh.goes_into_table(&key);
        }
    }
    Ok(())
}

fn move_rows(tx: &Transaction<'_>, table: &str, day: i64, today: i64) -> Result<(), StoreError> {
    let which = format!("kid IN (SELECT kid FROM moved WHERE day = {today})");
    tx.execute_batch(&format!(
        "INSERT OR REPLACE INTO {table}_{today} SELECT * FROM {table}_{day} WHERE {which};
         DELETE FROM {table}_{day} WHERE {which};"
    ))
    .map_err(broken)
}

fn drop_day(db: &mut Connection, parts: &Parts, day: i64) -> Result<(), StoreError> {
    // Readers stop asking the day before its tables go.
    let filter = parts.change(|state| state.days.remove(&day))?;
    db.flush_prepared_statement_cache();
    let dropped = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .and_then(|tx| {
            tx.execute_batch(&schema::drop_part(day))?;
            tx.execute("DELETE FROM moved WHERE day = ?1", [day])?;
            tx.commit()
        })
        .map_err(broken);
    parts.change(|state| match &dropped {
        Ok(()) => state.moved.retain(|_, place| *place != day),
        Err(_) => drop(state.days.insert(day, filter.flatten())),
    })?;
    dropped
}

fn forget_evidence(db: &Connection, cut: Ms) -> Result<(), StoreError> {
    db.execute("DELETE FROM evidence WHERE at < ?1", [cut]).map_err(broken)?;
    db.execute("DELETE FROM storm WHERE open = 0 AND last_seen < ?1", [cut]).map_err(broken)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use quell_mail::id::QueueId;

    use super::*;
    use crate::store::{Batch, KeyRow};

    fn key(day: i64, n: u32) -> KeyRow {
        let sum = blake3::hash(&[day.to_le_bytes(), i64::from(n).to_le_bytes()].concat());
        let mut key = [0; 16];
        key.copy_from_slice(&sum.as_bytes()[..16]);
        let kid = QueueId::new((day * DAY_MS) as u64, 1, n);
        KeyRow {
            key: LedgerKey(key),
            kid,
            key_version: 1,
            secret_id: 1,
            last_seen_ms: 0,
            copies: 0,
            base_copies: 0,
            storm_ended_ms: None,
            times: vec![],
        }
    }

    /// DESIGN: no closed day is asked for a new key in 99 % of cases.
    #[test]
    fn a_new_key_asks_no_closed_day() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(schema::GLOBAL).unwrap();
        let parts = Parts::default();
        for day in 0..14 {
            let keys = (0..500).map(|n| key(day, n)).collect();
            write::commit(&mut db, &parts, &Batch { keys, ..Batch::default() }).unwrap();
        }
        let now = 13 * DAY_MS + DAY_MS / 2;
        while step(&mut db, &parts, now, &Retention::default()).unwrap() {}
        let asked = |k: &KeyRow| parts.days_for(&k.key).unwrap().0;
        let closed = |days: Vec<i64>| days.into_iter().filter(|day| *day < 13).count();
        let in_vain: usize = (0..20_000).map(|n| closed(asked(&key(99, n)))).sum();
        assert!(in_vain < 200, "{in_vain} closed days asked in vain for 20,000 new keys");
        assert!((0..13).all(|day| (0..500).all(|n| asked(&key(day, n)).contains(&day))));
    }

    /// A look-up asks where to look, then the key moves, then it looks: it must look in the new place,
    /// too, though that had never heard of the key.
    #[test]
    fn a_key_that_moves_is_looked_for_in_both_places() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(schema::GLOBAL).unwrap();
        let parts = Parts::default();
        let old = key(0, 1);
        let first = Batch { keys: vec![old.clone()], ..Batch::default() };
        write::commit(&mut db, &parts, &first).unwrap();
        while step(&mut db, &parts, DAY_MS + DAY_MS / 2, &Retention::default()).unwrap() {}
        open_day(&mut db, &parts, 20).unwrap();
        assert_eq!(parts.days_for(&old.key).unwrap().0, [0]);
        parts.change(|state| state.leaving = Some(0)).unwrap();
        let asked = parts.days_for(&old.key).unwrap().0;
        assert_eq!(asked, [20, 0]);
        move_keys(&mut db, &parts, 0, 20, &[old.kid]).unwrap();
        parts.change(|state| state.leaving = None).unwrap();
        assert_eq!(parts.days_for(&old.key).unwrap().0, [20, 0], "and from then on in the new one");
    }
}
