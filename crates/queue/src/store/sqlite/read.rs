//! Look-ups.

use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;
use quell_storm::facts::{Answered, Ms, RowState, SourceId};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Params, Row as SqlRow};

use super::parts::Parts;
use super::schema::{state_number, state_of};
use super::{broken, id_from};
use crate::body::BodyRef;
use crate::store::{
    Arrival, KeptBody, KeyRow, Reader, Row, RowId, StoreError, StoredEvidence, StoredStorm, Tally,
};

const ROW: &str = "kid, rcpt, qid, state, since, next, tenant, gateway, key_version, attempts, sendings, copies, last_copy, times, status, extra";
const ARRIVAL: &str = "kid, qid, source, reverse_path, envid, ret_full, received, size, message_id, by_redirect, smtputf8, answered, open, asking, release, body, reports";

/// A connection for one thread.
pub struct SqliteReader {
    db: Connection,
    parts: Parts,
}

impl SqliteReader {
    pub(super) fn new(db: Connection, parts: Parts) -> Self {
        Self { db, parts }
    }

    /// All that is read inside comes from one moment.
    fn at_one_moment<T>(&self, read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.db.execute_batch("BEGIN").map_err(broken)?;
        let answer = read();
        self.db.execute_batch("COMMIT").map_err(broken)?;
        answer
    }

    /// Reads until no upkeep has come in between: a key may have moved, or a day been dropped,
    /// after `read` asked where to look. Upkeep makes at most two such changes a step, so this
    /// ends.
    fn undisturbed<T>(&self, read: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        loop {
            let before = self.parts.changes()?;
            let answer = read();
            if self.parts.changes()? == before {
                return answer;
            }
        }
    }

    /// What all days have to say, newest first, all from one moment.
    fn all_days<T>(&self, look: impl Fn(i64) -> Result<Vec<T>, StoreError>) -> Result<Vec<T>, StoreError> {
        self.undisturbed(|| {
            let days = self.parts.days()?;
            self.at_one_moment(|| {
                let mut all = Vec::new();
                days.iter().try_for_each(|day| look(*day).map(|found| all.extend(found)))?;
                Ok(all)
            })
        })
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        take: impl FnOnce(&SqlRow<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.db.prepare_cached(sql).map_err(broken)?;
        let mut rows = statement.query(params).map_err(broken)?;
        rows.next().map_err(broken)?.map(take).transpose()
    }

    fn many<T>(
        &self,
        sql: &str,
        params: impl Params,
        take: impl Fn(&SqlRow<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.db.prepare_cached(sql).map_err(broken)?;
        let mut rows = statement.query(params).map_err(broken)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(broken)? {
            all.push(take(row)?);
        }
        Ok(all)
    }

    /// The first answer that one of the places of `kid` gives.
    fn in_places<T>(
        &self,
        kid: &QueueId,
        look: impl Fn(i64) -> Result<Option<T>, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.undisturbed(|| {
            let places = self.parts.places(kid)?;
            let first = || places.iter().find_map(|day| look(day).transpose()).transpose();
            if places.second.is_some() { self.at_one_moment(first) } else { first() }
        })
    }
}

impl Reader for SqliteReader {
    fn key(&self, key: &LedgerKey) -> Result<Option<KeyRow>, StoreError> {
        let look = |day: i64| {
            let sql = format!(
                "SELECT key, kid, key_version, secret_id, last_seen, copies, times, base, storm_ended FROM key_{day} WHERE key = ?1"
            );
            self.one(&sql, [&key.0[..]], key_row)
        };
        self.undisturbed(|| {
            let (days, new) = self.parts.days_for(key)?;
            let first = || days.iter().find_map(|day| look(*day).transpose()).transpose();
            let stored = if days.len() > 1 { self.at_one_moment(first) } else { first() };
            Ok(stored?.or(new))
        })
    }

    fn row(&self, id: &RowId) -> Result<Option<Row>, StoreError> {
        self.in_places(&id.kid, |day| {
            let sql = format!("SELECT {ROW} FROM row_{day} WHERE kid = ?1 AND rcpt = ?2");
            self.one(&sql, (&id.kid.bytes()[..], &id.rcpt), ledger_row)
        })
    }

    fn arrival(&self, kid: &QueueId, queue_id: &QueueId) -> Result<Option<Arrival>, StoreError> {
        self.in_places(kid, |day| {
            let sql = format!("SELECT {ARRIVAL} FROM arr_{day} WHERE kid = ?1 AND qid = ?2");
            self.one(&sql, (&kid.bytes()[..], &queue_id.bytes()[..]), arrival)
        })
    }

    fn find_arrival(&self, queue_id: &QueueId) -> Result<Option<Arrival>, StoreError> {
        if let Some(found) = self.arrival(queue_id, queue_id)? {
            return Ok(Some(found));
        }
        let found = self.all_days(|day| self.many(&sql_find_arrival(day), [&queue_id.bytes()[..]], arrival));
        Ok(found?.pop())
    }

    fn rows_of_key(&self, kid: &QueueId, after: Option<&str>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let found = self.in_places(kid, |day| {
            let sql =
                format!("SELECT {ROW} FROM row_{day} WHERE kid = ?1 AND rcpt > ?2 ORDER BY rcpt LIMIT ?3");
            let rows = self.many(&sql, (&kid.bytes()[..], after.unwrap_or(""), limit as i64), ledger_row)?;
            Ok(Some(rows).filter(|r| !r.is_empty()))
        })?;
        Ok(found.unwrap_or_default())
    }

    fn due_from(&self, (next_ms, id): (Ms, RowId), limit: usize) -> Result<Vec<Row>, StoreError> {
        let from = (next_ms, &id.kid.bytes()[..], &id.rcpt, limit as i64);
        let mut all = self.all_days(|day| self.many(&sql_due_from(day), from, ledger_row))?;
        all.sort_by(|a, b| (a.next_ms, &a.id).cmp(&(b.next_ms, &b.id)));
        all.truncate(limit);
        Ok(all)
    }

    fn held_from(&self, (since_ms, id): (Ms, RowId), limit: usize) -> Result<Vec<Row>, StoreError> {
        let from = (since_ms, &id.kid.bytes()[..], &id.rcpt, limit as i64);
        let mut all = self.all_days(|day| self.many(&sql_held_from(day), from, ledger_row))?;
        all.sort_by(|a, b| (a.since_ms, &a.id).cmp(&(b.since_ms, &b.id)));
        all.truncate(limit);
        Ok(all)
    }

    fn due(&self, until: Ms, limit: usize) -> Result<Vec<Row>, StoreError> {
        let mut all = self.all_days(|day| self.many(&sql_due(day), (until, limit as i64), ledger_row))?;
        all.sort_by(|a, b| (a.next_ms, &a.id).cmp(&(b.next_ms, &b.id)));
        all.truncate(limit);
        Ok(all)
    }

    fn list(&self, states: &[RowState], after: Option<&RowId>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let start = RowId { kid: QueueId::from_bytes([0; 10]), rcpt: String::new() };
        let after = after.unwrap_or(&start);
        let params = (&after.kid.bytes()[..], &after.rcpt, limit as i64);
        let mut all = self.all_days(|day| {
            let mut found = Vec::new();
            for sql in sql_list(day, states) {
                found.extend(self.many(&sql, params, ledger_row)?);
            }
            Ok(found)
        })?;
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all.truncate(limit);
        Ok(all)
    }

    fn open_counts(&self) -> Result<Vec<(RowState, u64)>, StoreError> {
        let all = self.all_days(|day| {
            let mut found = Vec::new();
            for sql in sql_open_counts(day) {
                found.extend(self.many(&sql, [], |r| Ok((state(r, 0)?, get::<i64>(r, 1)?)))?);
            }
            Ok(found)
        })?;
        let mut counts = std::collections::BTreeMap::new();
        all.into_iter().for_each(|(s, n)| *counts.entry(s).or_insert(0) += n as u64);
        Ok(counts.into_iter().collect())
    }

    fn held_counts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let all = self.all_days(|day| {
            self.many(&sql_held_counts(day), [], |r| Ok((get::<String>(r, 0)?, get::<i64>(r, 1)?)))
        })?;
        let mut counts = std::collections::BTreeMap::new();
        all.into_iter().for_each(|(storm, n)| *counts.entry(storm).or_insert(0) += n as u64);
        Ok(counts.into_iter().collect())
    }

    fn bodies(&self) -> Result<Vec<KeptBody>, StoreError> {
        let kept = self.all_days(|day| self.many(&sql_bodies(day), [], arrival))?;
        let kept = kept
            .into_iter()
            .filter_map(|a| a.body.map(|body| KeptBody { kid: a.kid, queue_id: a.queue_id, body }));
        Ok(kept.collect())
    }

    fn bodies_due(&self, until: Ms, limit: usize) -> Result<Vec<KeptBody>, StoreError> {
        let mut due = self.all_days(|day| self.many(&sql_bodies_due(day), (until, limit as i64), arrival))?;
        due.sort_by_key(|a| (a.release_ms, a.kid, a.queue_id));
        due.truncate(limit);
        let kept = |a: Arrival| a.body.map(|body| KeptBody { kid: a.kid, queue_id: a.queue_id, body });
        Ok(due.into_iter().filter_map(kept).collect())
    }

    fn owing(&self, from: &RowId, limit: usize) -> Result<Vec<Row>, StoreError> {
        let from = (&from.kid.bytes()[..], &from.rcpt, limit as i64);
        let mut all = self.all_days(|day| self.many(&sql_owing(day), from, ledger_row))?;
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all.truncate(limit);
        Ok(all)
    }

    fn tally(&self, kid: &QueueId) -> Result<Tally, StoreError> {
        let found = self.in_places(kid, |day| {
            let sql =
                format!("SELECT count(*), coalesce(sum(state IN (4, 5)), 0) FROM row_{day} WHERE kid = ?1");
            let tally = self.one(&sql, [&kid.bytes()[..]], |r| {
                Ok(Tally { recipients: get::<i64>(r, 0)? as u64, delivered: get::<i64>(r, 1)? as u64 })
            })?;
            Ok(tally.filter(|t| t.recipients > 0))
        })?;
        Ok(found.unwrap_or_default())
    }

    fn storms(&self, open_only: bool, limit: usize) -> Result<Vec<StoredStorm>, StoreError> {
        let sql = "SELECT id, open, last_seen, json FROM storm WHERE open >= ?1 ORDER BY last_seen DESC, id DESC LIMIT ?2";
        self.many(sql, (i64::from(open_only), limit as i64), storm)
    }

    fn storm(&self, id: &str) -> Result<Option<StoredStorm>, StoreError> {
        self.one("SELECT id, open, last_seen, json FROM storm WHERE id = ?1", [id], storm)
    }

    fn evidence(&self, storm: &str) -> Result<Vec<StoredEvidence>, StoreError> {
        let sql = "SELECT storm, place, at, sample FROM evidence WHERE storm = ?1 ORDER BY place";
        self.many(sql, [storm], |r| {
            Ok(StoredEvidence { storm: get(r, 0)?, place: get(r, 1)?, at_ms: get(r, 2)?, sample: get(r, 3)? })
        })
    }

    fn high_water(&self) -> Result<Ms, StoreError> {
        let sql = "SELECT value FROM meta WHERE name = 'high_water'";
        let found = self.db.query_row(sql, [], |r| r.get(0)).optional().map_err(broken)?;
        Ok(found.unwrap_or(0))
    }
}

// The planner would rather walk the primary key, which is the whole day: what must cost time linear
// in what is open names its index.

fn sql_due(day: i64) -> String {
    format!(
        "SELECT {ROW} FROM row_{day} INDEXED BY row_due_{day} WHERE state < 3 AND next <= ?1
         ORDER BY next, kid, rcpt LIMIT ?2"
    )
}

fn sql_due_from(day: i64) -> String {
    format!(
        "SELECT {ROW} FROM row_{day} INDEXED BY row_due_{day} WHERE state < 3 AND (next, kid, rcpt) >= (?1, ?2, ?3)
         ORDER BY next, kid, rcpt LIMIT ?4"
    )
}

fn sql_held_from(day: i64) -> String {
    format!(
        "SELECT {ROW} FROM row_{day} INDEXED BY row_held_{day} WHERE state = 3 AND (since, kid, rcpt) >= (?1, ?2, ?3)
         ORDER BY since, kid, rcpt LIMIT ?4"
    )
}

fn sql_find_arrival(day: i64) -> String {
    format!("SELECT {ARRIVAL} FROM arr_{day} INDEXED BY arr_later_{day} WHERE qid = ?1 AND qid <> kid")
}

fn sql_owing(day: i64) -> String {
    format!(
        "SELECT {ROW} FROM row_{day} INDEXED BY row_report_{day} WHERE report = 1 AND (kid, rcpt) >= (?1, ?2)
         ORDER BY kid, rcpt LIMIT ?3"
    )
}

fn sql_bodies(day: i64) -> String {
    format!("SELECT {ARRIVAL} FROM arr_{day} INDEXED BY arr_body_{day} WHERE body IS NOT NULL")
}

fn sql_bodies_due(day: i64) -> String {
    format!(
        "SELECT {ARRIVAL} FROM arr_{day} INDEXED BY arr_release_{day}
         WHERE open = 0 AND body IS NOT NULL AND release <= ?1 ORDER BY release, kid, qid LIMIT ?2"
    )
}

fn sql_open_counts(day: i64) -> [String; 2] {
    [("row_due", "state < 3"), ("row_held", "state = 3")].map(|(index, which)| {
        format!("SELECT state, count(*) FROM row_{day} INDEXED BY {index}_{day} WHERE {which} GROUP BY state")
    })
}

fn sql_held_counts(day: i64) -> String {
    format!(
        "SELECT json_extract(extra, '$.storm') AS storm, count(*) FROM row_{day} INDEXED BY row_held_{day}
         WHERE state = 3 AND storm IS NOT NULL GROUP BY storm"
    )
}

/// One query for each index: rows to be tried, held ones, final ones.
fn sql_list(day: i64, states: &[RowState]) -> Vec<String> {
    let numbers = |which: fn(i64) -> bool| {
        let all = states.iter().map(|s| state_number(*s)).filter(|n| which(*n));
        all.map(|n| n.to_string()).collect::<Vec<_>>().join(",")
    };
    let due = (format!("INDEXED BY row_due_{day}"), "state < 3 AND", numbers(|n| n < 3));
    let held = (format!("INDEXED BY row_held_{day}"), "state = 3 AND", numbers(|n| n == 3));
    let rest = (String::new(), "", numbers(|n| n > 3));
    let wanted = [due, held, rest].into_iter().filter(|(_, _, numbers)| !numbers.is_empty());
    let sql = wanted.map(|(index, hint, numbers)| {
        format!(
            "SELECT {ROW} FROM row_{day} {index} WHERE {hint} state IN ({numbers}) AND (kid, rcpt) > (?1, ?2)
             ORDER BY kid, rcpt LIMIT ?3"
        )
    });
    sql.collect()
}

fn get<T: FromSql>(row: &SqlRow<'_>, column: usize) -> Result<T, StoreError> {
    row.get(column).map_err(broken)
}

pub(super) fn queue_id(row: &SqlRow<'_>, column: usize) -> Result<QueueId, StoreError> {
    id_from(row.get_ref(column).map_err(broken)?.as_blob().map_err(|e| StoreError::Damaged(e.to_string()))?)
}

fn state(row: &SqlRow<'_>, column: usize) -> Result<RowState, StoreError> {
    state_of(get(row, column)?).ok_or_else(|| StoreError::Damaged("a row in an unknown state".to_owned()))
}

fn storm(row: &SqlRow<'_>) -> Result<StoredStorm, StoreError> {
    Ok(StoredStorm { id: get(row, 0)?, open: get(row, 1)?, last_seen_ms: get(row, 2)?, json: get(row, 3)? })
}

fn key_row(row: &SqlRow<'_>) -> Result<KeyRow, StoreError> {
    let key: [u8; 16] = get(row, 0)?;
    Ok(KeyRow {
        key: LedgerKey(key),
        kid: queue_id(row, 1)?,
        key_version: get(row, 2)?,
        secret_id: get(row, 3)?,
        last_seen_ms: get(row, 4)?,
        copies: get::<i64>(row, 5)? as u64,
        times: get(row, 6)?,
        base_copies: get::<i64>(row, 7)? as u64,
        storm_ended_ms: get(row, 8)?,
    })
}

fn ledger_row(row: &SqlRow<'_>) -> Result<Row, StoreError> {
    let extra: Option<String> = get(row, 15)?;
    let extra = extra.map(|json| serde_json::from_str(&json)).transpose();
    Ok(Row {
        id: RowId { kid: queue_id(row, 0)?, rcpt: get(row, 1)? },
        queue_id: queue_id(row, 2)?,
        state: state(row, 3)?,
        since_ms: get(row, 4)?,
        next_ms: get(row, 5)?,
        tenant: get(row, 6)?,
        gateway: get(row, 7)?,
        key_version: get(row, 8)?,
        attempts: get(row, 9)?,
        sendings: get(row, 10)?,
        copies: get(row, 11)?,
        last_copy_ms: get(row, 12)?,
        times: get(row, 13)?,
        status: get(row, 14)?,
        extra: extra.map_err(|e| StoreError::Damaged(e.to_string()))?.unwrap_or_default(),
    })
}

fn arrival(row: &SqlRow<'_>) -> Result<Arrival, StoreError> {
    let body: Option<[u8; 24]> = get(row, 15)?;
    Ok(Arrival {
        kid: queue_id(row, 0)?,
        queue_id: queue_id(row, 1)?,
        source: SourceId(get(row, 2)?),
        reverse_path: get(row, 3)?,
        envid: get(row, 4)?,
        ret_full: get(row, 5)?,
        received_ms: get(row, 6)?,
        size_bytes: get::<i64>(row, 7)? as u64,
        message_id: get(row, 8)?,
        by_redirect: get(row, 9)?,
        smtputf8: get(row, 10)?,
        answered: match get::<i64>(row, 11)? {
            1 => Answered::Late,
            2 => Answered::Lost,
            _ => Answered::Fine,
        },
        open: get(row, 12)?,
        asking: get(row, 13)?,
        release_ms: get(row, 14)?,
        reports: get(row, 16)?,
        body: body.map(BodyRef::from_bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(db: &Connection, sql: &str) -> String {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        for n in 1..=statement.parameter_count() {
            statement.raw_bind_parameter(n, 1).unwrap();
        }
        let (mut rows, mut plan) = (statement.raw_query(), String::new());
        while let Some(row) = rows.next().unwrap() {
            plan += &row.get::<_, String>(3).unwrap();
            plan.push('\n');
        }
        plan
    }

    /// What must cost time linear in what is open, or in what is returned, walks no whole day.
    #[test]
    fn look_ups_use_the_partial_indexes() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(&super::super::schema::part(7)).unwrap();
        use RowState::*;
        let lists = [&[Waiting, Dot, Unknown, Held][..], &[Held], &[Waiting]];
        let open = lists.iter().flat_map(|states| sql_list(7, states)).chain(sql_open_counts(7));
        for sql in open.chain([sql_bodies(7), sql_held_counts(7)]) {
            let plan = plan(&db, &sql);
            assert!(plan.contains("INDEX row_") || plan.contains("INDEX arr_body"), "{sql}: {plan}");
        }
        let due = [sql_due(7), sql_due_from(7), sql_held_from(7), sql_bodies_due(7)];
        for sql in due.into_iter().chain([sql_find_arrival(7), sql_owing(7)]) {
            let plan = plan(&db, &sql);
            assert!(plan.contains("SEARCH") && plan.contains("INDEX"), "{sql}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
    }
}
