//! One batch, one transaction.

use std::collections::BTreeSet;

use quell_storm::facts::Answered;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::broken;
use super::parts::Parts;
use super::schema::{self, state_number};
use crate::body::BodyRef;
use crate::store::{
    Arrival, Batch, Extra, KeptBody, KeyRow, Row, RowId, RowWrite, StoreError, StoredEvidence, StoredStorm,
    Touch,
};

pub fn commit(db: &mut Connection, parts: &Parts, batch: &Batch) -> Result<(), StoreError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(broken)?;
    let fresh = make_days(&tx, parts, batch)?;
    let unfiltered = forget_filters(&tx, parts, batch)?;
    for key in &batch.keys {
        put_key(&tx, parts.home(&key.kid)?, key)?;
    }
    for arrival in &batch.arrivals {
        put_arrival(&tx, parts.home(&arrival.kid)?, arrival)?;
    }
    for write in &batch.rows {
        let day = parts.home(&write.row().id.kid)?;
        match write {
            RowWrite::ByPermit(row, _) => put_row(&tx, day, row)?,
            RowWrite::Step(row) => step_row(&tx, day, row)?,
        }
    }
    for touch in &batch.touches {
        touch_row(&tx, parts, touch)?;
    }
    forget(&tx, parts, batch)?;
    batch.storms.iter().try_for_each(|s| put_storm(&tx, s))?;
    batch.evidence.iter().try_for_each(|e| put_evidence(&tx, e))?;
    if let Some(mark) = batch.high_water {
        tx.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('high_water', ?1)", [mark])
            .map_err(broken)?;
    }
    tx.commit().map_err(broken)?;
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

/// A message whose transfer took hours brings a key into a day that is closed. The day's filter
/// does not know it: it goes, and upkeep makes a new one.
fn forget_filters(tx: &Transaction<'_>, parts: &Parts, batch: &Batch) -> Result<BTreeSet<i64>, StoreError> {
    let mut days = BTreeSet::new();
    for key in &batch.keys {
        let day = parts.home(&key.kid)?;
        let state = parts.read()?;
        if state.days.get(&day).and_then(Option::as_ref).is_some_and(|f| !f.may_contain(&key.key)) {
            days.insert(day);
        }
    }
    for day in &days {
        tx.execute("UPDATE part SET filter = NULL WHERE day = ?1", [day]).map_err(broken)?;
    }
    Ok(days)
}

/// Makes the tables of days that this batch is the first to use.
fn make_days(tx: &Transaction<'_>, parts: &Parts, batch: &Batch) -> Result<BTreeSet<i64>, StoreError> {
    let mut days = BTreeSet::new();
    let kids = batch.keys.iter().map(|k| &k.kid);
    let kids =
        kids.chain(batch.arrivals.iter().map(|a| &a.kid)).chain(batch.rows.iter().map(|w| &w.row().id.kid));
    for kid in kids {
        days.insert(parts.home(kid)?);
    }
    let known = parts.read()?;
    days.retain(|day| !known.days.contains_key(day));
    drop(known);
    for day in &days {
        make_day(tx, *day)?;
    }
    Ok(days)
}

pub(super) fn make_day(tx: &Transaction<'_>, day: i64) -> Result<(), StoreError> {
    tx.execute_batch(&schema::part(day)).map_err(broken)?;
    tx.execute("INSERT OR IGNORE INTO part (day) VALUES (?1)", [day]).map_err(broken)?;
    Ok(())
}

fn put_key(tx: &Transaction<'_>, day: i64, key: &KeyRow) -> Result<(), StoreError> {
    let sql = format!("INSERT OR REPLACE INTO key_{day} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    let mut statement = tx.prepare_cached(&sql).map_err(broken)?;
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
    statement.execute(values).map_err(broken)?;
    Ok(())
}

fn put_arrival(tx: &Transaction<'_>, day: i64, a: &Arrival) -> Result<(), StoreError> {
    // A body that `move_bodies` has moved since the door read it stays where it is now.
    let sql = format!(
        "INSERT INTO arr_{day} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
         ON CONFLICT (kid, qid) DO UPDATE SET answered = excluded.answered, open = excluded.open,
         asking = excluded.asking, release = excluded.release, reports = excluded.reports,
         body = CASE WHEN excluded.body IS NULL THEN NULL ELSE coalesce(body, excluded.body) END"
    );
    let mut statement = tx.prepare_cached(&sql).map_err(broken)?;
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
        a.reports
    ];
    statement.execute(values).map_err(broken)?;
    Ok(())
}

fn extra_json(row: &Row) -> Result<Option<String>, StoreError> {
    if row.extra == Extra::default() {
        return Ok(None);
    }
    serde_json::to_string(&row.extra).map(Some).map_err(|e| StoreError::Broken(e.to_string()))
}

fn put_row(tx: &Transaction<'_>, day: i64, row: &Row) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT OR REPLACE INTO row_{day} (state, since, next, qid, attempts, sendings, copies, last_copy, times, status, extra, kid, rcpt, tenant, gateway, key_version, report)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
    );
    let mut statement = tx.prepare_cached(&sql).map_err(broken)?;
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
        row.tenant,
        row.gateway,
        row.key_version,
        row.extra.report_due
    ];
    statement.execute(values).map_err(broken)?;
    Ok(())
}

/// Changes a row that is there; one that is not fails the batch.
fn step_row(tx: &Transaction<'_>, day: i64, row: &Row) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE row_{day} SET state = ?1, since = ?2, next = ?3, qid = ?4, attempts = ?5, sendings = ?6, copies = ?7,
         last_copy = ?8, times = ?9, status = ?10, extra = ?11, report = ?14 WHERE kid = ?12 AND rcpt = ?13"
    );
    let mut statement = tx.prepare_cached(&sql).map_err(broken)?;
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
    match statement.execute(values).map_err(broken)? {
        1 => Ok(()),
        _ => Err(StoreError::NoRow(row.id.clone())),
    }
}

/// Counts may find their row gone.
fn touch_row(tx: &Transaction<'_>, parts: &Parts, touch: &Touch) -> Result<(), StoreError> {
    let kid = &touch.id.kid;
    for day in parts.places(kid)?.iter() {
        let sql = format!(
            "UPDATE row_{day} SET copies = ?1, last_copy = ?2, times = ?3 WHERE kid = ?4 AND rcpt = ?5"
        );
        let values = params![touch.copies, touch.last_copy_ms, touch.times, &kid.bytes()[..], touch.id.rcpt];
        tx.prepare_cached(&sql).and_then(|mut s| s.execute(values)).map_err(broken)?;
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
        let day = parts.home(&kept.kid)?;
        let sql = format!("UPDATE arr_{day} SET body = ?1 WHERE kid = ?2 AND qid = ?3 AND body IS NOT NULL");
        let values = (&to.to_bytes()[..], &kept.kid.bytes()[..], &kept.queue_id.bytes()[..]);
        tx.prepare_cached(&sql).and_then(|mut s| s.execute(values)).map_err(broken)?;
    }
    tx.commit().map_err(broken)
}
