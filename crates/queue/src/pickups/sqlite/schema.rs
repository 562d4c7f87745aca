//! The format of the file, and how an older one is brought up to it.

use rusqlite::{Connection, TransactionBehavior};

use super::fault::Fault;
use crate::store::StoreError;

/// What brings a file from each format to the next: the first makes it. A step that was released is never
/// changed, and has a test with a file of the format it begins with.
const STEPS: [&str; 1] = ["
CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, uid_validity INTEGER,
    listed_to INTEGER, first INTEGER, last_good INTEGER, told TEXT, taken INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE message (account INTEGER NOT NULL, uid TEXT NOT NULL, size INTEGER NOT NULL,
    digest BLOB NOT NULL, fate INTEGER NOT NULL, detail TEXT, at INTEGER NOT NULL, seen INTEGER NOT NULL,
    PRIMARY KEY (account, uid)) STRICT, WITHOUT ROWID;
CREATE INDEX by_digest ON message (account, digest);
"];
/// `user_version` of the files we write.
pub(in crate::pickups) const FORMAT: i64 = STEPS.len() as i64;
/// `application_id` of the files we write: "qupi".
pub(in crate::pickups) const APPLICATION: i64 = 0x7175_7069;

/// What an opened file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing yet.
    Nothing,
    /// The newest format.
    Newest,
    /// An older one.
    Older,
}

/// Before anything is written: a file of a newer quell, or of another program, stays as it is.
pub(super) fn check(db: &Connection) -> Result<Found, Fault> {
    // In one look: the server may be making it.
    let tx = db.unchecked_transaction()?;
    let number = |sql| tx.query_row(sql, [], |row| row.get::<_, i64>(0));
    let (found, tables) = (number("PRAGMA user_version")?, number("SELECT count(*) FROM sqlite_master")?);
    if tables == 0 && found == 0 {
        return Ok(Found::Nothing);
    }
    if number("PRAGMA application_id")? != APPLICATION {
        return Err(StoreError::Damaged("this SQLite file does not hold quell's pickups".to_owned()).into());
    }
    match found {
        FORMAT => Ok(Found::Newest),
        newer if newer > FORMAT => Err(StoreError::Newer { found, known: FORMAT }.into()),
        _ => Ok(Found::Older),
    }
}

/// Brings the file to the newest format, in one transaction.
pub(super) fn migrate(db: &mut Connection) -> Result<(), Fault> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = tx.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))?;
    let steps = usize::try_from(found).ok().and_then(|found| STEPS.get(found..));
    let steps = steps.ok_or_else(|| StoreError::Damaged(format!("there is no format {found}")))?;
    for step in steps {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION)?;
    tx.pragma_update(None, "user_version", FORMAT)?;
    Ok(tx.commit()?)
}
