//! One batch, one transaction.

use std::collections::BTreeSet;

use quell_storm::facts::Answered;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::broken;
use super::fresh::Fresh;
use super::keys::{self, Keys};
use super::parts::Parts;
use super::schema::{self, state_number};
use super::statements::{Kind, Statements};
use crate::body::BodyRef;
use crate::store::{
    Arrival, Batch, Extra, KeptBody, Row, RowId, RowWrite, StoreError, StoredEvidence, StoredStorm, Touch,
};

pub fn commit(db: &mut Connection, parts: &Parts, batch: &Batch) -> Result<(), StoreError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(broken)?;
    let fresh = make_days(&tx, parts, batch)?;
    let unfiltered = forget_filters(&tx, parts, batch)?;
    let keys = put_all(&tx, parts, batch)?;
    forget(&tx, parts, batch)?;
    batch.storms.iter().try_for_each(|s| put_storm(&tx, s))?;
    batch.evidence.iter().try_for_each(|e| put_evidence(&tx, e))?;
    if let Some(mark) = batch.high_water {
        tx.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES ('high_water', ?1)")
            .and_then(|mut s| s.execute([mark]))
            .map_err(broken)?;
    }
    tx.commit().map_err(broken)?;
    keys.are_durable(&mut *parts.write()?);
    if fresh.is_empty() && unfiltered.is_empty() {
        return Ok(());
    }
    parts.change(|state| {
        for day in fresh {
            state.days.entry(day).or_insert(None);
        }
        state.days.extend(unfiltered.into_iter().map(|day| (day, None)));
    })
}

fn put_all(tx: &Transaction<'_>, parts: &Parts, batch: &Batch) -> Result<Keys, StoreError> {
    let mut statements = Statements::new(tx);
    let keys = keys::put(tx, &mut statements, parts, batch)?;
    let state = parts.read()?;
    for arrival in &batch.arrivals {
        put_arrival(&mut statements, state.home(&arrival.kid), arrival, &keys)?;
    }
    for write in &batch.rows {
        let day = state.home(&write.row().id.kid);
        match write {
            RowWrite::ByPermit(row, _) => put_row(&mut statements, day, row)?,
            RowWrite::Step(row) => step_row(&mut statements, day, row)?,
        }
    }
    drop(state);
    batch.touches.iter().try_for_each(|touch| touch_row(&mut statements, parts, touch))?;
    Ok(keys)
}

/// A message whose transfer took hours brings a key into a day that is closed. The day's filter
/// does not know it: it goes, and upkeep makes a new one.
fn forget_filters(tx: &Transaction<'_>, parts: &Parts, batch: &Batch) -> Result<BTreeSet<i64>, StoreError> {
    let mut days = BTreeSet::new();
    for key in &batch.keys {
        let state = parts.read()?;
        let day = state.home(&key.kid);
        if state.days.get(&day).and_then(Option::as_ref).is_some_and(|f| !f.may_contain(&key.key)) {
            days.insert(day);
        }
    }
    for day in &days {
        tx.execute("UPDATE part SET filter = NULL WHERE day = ?1", [day]).map_err(broken)?;
        parts.write()?.fresh.entry(*day).or_insert_with(Fresh::closed);
    }
    Ok(days)
}

/// Makes the tables of days that this batch is the first to use.
fn make_days(tx: &Transaction<'_>, parts: &Parts, batch: &Batch) -> Result<BTreeSet<i64>, StoreError> {
    let mut days = BTreeSet::new();
    let kids = batch.keys.iter().map(|k| &k.kid);
    let kids =
        kids.chain(batch.arrivals.iter().map(|a| &a.kid)).chain(batch.rows.iter().map(|w| &w.row().id.kid));
    let state = parts.read()?;
    let new = kids.map(|kid| state.home(kid)).filter(|day| !state.days.contains_key(day));
    days.extend(new);
    drop(state);
    for day in &days {
        make_day(tx, *day)?;
        parts.write()?.fresh.entry(*day).or_insert_with(|| Fresh::new(None, true));
    }
    Ok(days)
}

pub(super) fn make_day(tx: &Transaction<'_>, day: i64) -> Result<(), StoreError> {
    tx.execute_batch(&schema::part(day)).map_err(broken)?;
    tx.execute("INSERT OR IGNORE INTO part (day) VALUES (?1)", [day]).map_err(broken)?;
    Ok(())
}

fn put_arrival(
    statements: &mut Statements<'_>,
    day: i64,
    a: &Arrival,
    keys: &Keys,
) -> Result<(), StoreError> {
    let answered = match a.answered {
        Answered::Fine => 0,
        Answered::Late => 1,
        Answered::Lost => 2,
    };
    let values = params![
        &a.kid.bytes()[..],
        &a.queue_id.bytes()[..],
        a.source.0,
        a.reverse_path,
        a.envid,
        a.ret_full,
        a.received_ms,
        a.size_bytes as i64,
        a.message_id,
        a.by_redirect,
        a.smtputf8,
        answered,
        a.open,
        a.asking,
        a.release_ms,
        a.body.map(|b| b.to_bytes()),
        a.reports,
        keys.of_arrival(&a.queue_id)
    ];
    statements.run(Kind::PutArrival, day, values).map(drop)
}

fn extra_json(row: &Row) -> Result<Option<String>, StoreError> {
    if row.extra == Extra::default() {
        return Ok(None);
    }
    serde_json::to_string(&row.extra).map(Some).map_err(|e| StoreError::Broken(e.to_string()))
}

fn put_row(statements: &mut Statements<'_>, day: i64, row: &Row) -> Result<(), StoreError> {
    let values = params![
        state_number(row.state),
        row.since_ms,
        row.next_ms,
        &row.queue_id.bytes()[..],
        row.attempts,
        row.sendings,
        row.copies,
        row.last_copy_ms,
        row.times,
        row.status,
        extra_json(row)?,
        &row.id.kid.bytes()[..],
        row.id.rcpt,
        row.extra.report_due,
        row.tenant,
        row.gateway,
        row.key_version
    ];
    statements.run(Kind::PutRow, day, values).map(drop)
}

/// Changes a row that is there; one that is not fails the batch.
fn step_row(statements: &mut Statements<'_>, day: i64, row: &Row) -> Result<(), StoreError> {
    let values = params![
        state_number(row.state),
        row.since_ms,
        row.next_ms,
        &row.queue_id.bytes()[..],
        row.attempts,
        row.sendings,
        row.copies,
        row.last_copy_ms,
        row.times,
        row.status,
        extra_json(row)?,
        &row.id.kid.bytes()[..],
        row.id.rcpt,
        row.extra.report_due
    ];
    match statements.run(Kind::StepRow, day, values)? {
        1 => Ok(()),
        _ => Err(StoreError::NoRow(row.id.clone())),
    }
}

/// Counts may find their row gone.
fn touch_row(statements: &mut Statements<'_>, parts: &Parts, touch: &Touch) -> Result<(), StoreError> {
    let kid = &touch.id.kid;
    for day in parts.places(kid)?.iter() {
        let values = params![touch.copies, touch.last_copy_ms, touch.times, &kid.bytes()[..], touch.id.rcpt];
        statements.run(Kind::TouchRow, day, values)?;
    }
    Ok(())
}

fn forget(tx: &Transaction<'_>, parts: &Parts, batch: &Batch) -> Result<(), StoreError> {
    for RowId { kid, rcpt } in &batch.forget {
        for day in parts.places(kid)?.iter() {
            let sql = format!("DELETE FROM row_{day} WHERE kid = ?1 AND rcpt = ?2");
            tx.prepare_cached(&sql).and_then(|mut s| s.execute((&kid.bytes()[..], rcpt))).map_err(broken)?;
        }
    }
    for (kid, queue_id) in &batch.forget_arrivals {
        for day in parts.places(kid)?.iter() {
            keys::keep_key(tx, parts, day, kid, queue_id)?;
            let sql = format!("DELETE FROM arr_{day} WHERE kid = ?1 AND qid = ?2");
            let values = (&kid.bytes()[..], &queue_id.bytes()[..]);
            tx.prepare_cached(&sql).and_then(|mut s| s.execute(values)).map_err(broken)?;
        }
    }
    Ok(())
}

fn put_storm(tx: &Transaction<'_>, storm: &StoredStorm) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO storm (id, open, last_seen, json) VALUES (?1, ?2, ?3, ?4)";
    let values = params![storm.id, storm.open, storm.last_seen_ms, storm.json];
    tx.prepare_cached(sql).and_then(|mut s| s.execute(values)).map_err(broken)?;
    Ok(())
}

fn put_evidence(tx: &Transaction<'_>, e: &StoredEvidence) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO evidence (storm, place, at, sample) VALUES (?1, ?2, ?3, ?4)";
    let values = params![e.storm, e.place, e.at_ms, e.sample];
    tx.prepare_cached(sql).and_then(|mut s| s.execute(values)).map_err(broken)?;
    Ok(())
}

pub fn move_bodies(
    db: &mut Connection,
    parts: &Parts,
    moves: &[(KeptBody, BodyRef)],
) -> Result<(), StoreError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(broken)?;
    for (kept, to) in moves {
        let day = parts.read()?.home(&kept.kid);
        let sql = format!("UPDATE arr_{day} SET body = ?1 WHERE kid = ?2 AND qid = ?3 AND body IS NOT NULL");
        let values = (&to.to_bytes()[..], &kept.kid.bytes()[..], &kept.queue_id.bytes()[..]);
        tx.prepare_cached(&sql).and_then(|mut s| s.execute(values)).map_err(broken)?;
    }
    tx.commit().map_err(broken)
}
