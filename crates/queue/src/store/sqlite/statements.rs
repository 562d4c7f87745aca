//! The statements of one batch: each is looked for in the connection's cache once, not for each row.

use rusqlite::{CachedStatement, Params, Transaction};

use super::broken;
use crate::store::StoreError;

/// Which statement; its tables are those of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    PutKey,
    NewKey,
    PutArrival,
    PutRow,
    StepRow,
    TouchRow,
}

impl Kind {
    fn sql(self, day: i64) -> String {
        match self {
            Self::PutKey => {
                format!("INSERT OR REPLACE INTO key_{day} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")
            }
            // One that is there has been met again meanwhile, and knows more.
            Self::NewKey => {
                format!("INSERT OR IGNORE INTO key_{day} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")
            }
            // A body that `move_bodies` has moved since the door read it stays where it is now.
            Self::PutArrival => format!(
                "INSERT INTO arr_{day} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
                 ON CONFLICT (kid, qid) DO UPDATE SET answered = excluded.answered, open = excluded.open,
                 asking = excluded.asking, release = excluded.release, reports = excluded.reports,
                 new_key = coalesce(excluded.new_key, new_key),
                 body = CASE WHEN excluded.body IS NULL THEN NULL ELSE coalesce(body, excluded.body) END"
            ),
            Self::PutRow => format!(
                "INSERT OR REPLACE INTO row_{day} (state, since, next, qid, attempts, sendings, copies, last_copy, times, status, extra, kid, rcpt, report, tenant, gateway, key_version)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
            ),
            Self::StepRow => format!(
                "UPDATE row_{day} SET state = ?1, since = ?2, next = ?3, qid = ?4, attempts = ?5, sendings = ?6, copies = ?7,
                 last_copy = ?8, times = ?9, status = ?10, extra = ?11, report = ?14 WHERE kid = ?12 AND rcpt = ?13"
            ),
            Self::TouchRow => {
                format!("UPDATE row_{day} SET copies = ?1, last_copy = ?2, times = ?3 WHERE kid = ?4 AND rcpt = ?5")
            }
        }
    }
}

/// Those that the batch has used so far: a few, for one day or two.
pub struct Statements<'t> {
    tx: &'t Transaction<'t>,
    used: Vec<(Kind, i64, CachedStatement<'t>)>,
}

impl<'t> Statements<'t> {
    pub fn new(tx: &'t Transaction<'t>) -> Self {
        Self { tx, used: Vec::new() }
    }

    /// Runs it; how many rows it has changed.
    pub fn run(&mut self, kind: Kind, day: i64, values: impl Params) -> Result<usize, StoreError> {
        let known = self.used.iter().position(|(k, d, _)| *k == kind && *d == day);
        let at = match known {
            Some(at) => at,
            None => {
                let statement = self.tx.prepare_cached(&kind.sql(day)).map_err(broken)?;
                self.used.push((kind, day, statement));
                self.used.len() - 1
            }
        };
        // `at` is the place of one that is there.
        let Some((_, _, statement)) = self.used.get_mut(at) else { return Ok(0) };
        statement.execute(values).map_err(broken)
    }
}
