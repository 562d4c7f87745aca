//! The store on SQLite: WAL, `synchronous=FULL`, one writer, readers with connections of their own.

mod fresh;
mod keys;
mod learn;
mod parts;
mod read;
mod schema;
mod statements;
#[cfg(test)]
mod tests;
mod upkeep;
mod write;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quell_mail::id::QueueId;
use quell_storm::facts::Ms;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use self::parts::Parts;
pub use self::read::SqliteReader;
use super::{Batch, KeptBody, Retention, Store, StoreError};
use crate::body::BodyRef;
use crate::filter::Filter;

/// Page cache of the writer, in KiB. Small on purpose: the live day's right edge is what is hot.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// Page cache of a reader, in KiB.
const READER_CACHE_KIB: i64 = 4 * 1024;
/// The log is written back into the file after so many pages of 4 KiB. It then takes about 4 MiB of
/// disk, and costs three more syncs for about every seventy commits of thirty messages each.
const CHECKPOINT_PAGES: i64 = 1024;
/// A log that one large batch has made longer than this is cut again when it starts anew.
const LOG_BYTES: i64 = 4 << 20;
/// Prepared statements a connection keeps: about ten for each of sixteen days.
const STATEMENTS: usize = 192;

/// The ledger's file and its writer.
pub struct SqliteStore {
    db: Connection,
    path: PathBuf,
    parts: Parts,
}

impl SqliteStore {
    /// Opens the store at `path`, making it if there is none, and brings it to the newest format.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a file of a newer quell, [`StoreError::Damaged`] for one that is
    /// no ledger, else what the disk says.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        finish_rewrite(path)?;
        let mut db = Connection::open(path).map_err(broken)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        check_format(&db)?;
        db.pragma_update(None, "journal_mode", "WAL").map_err(broken)?;
        db.pragma_update(None, "synchronous", "FULL").map_err(broken)?;
        db.pragma_update(None, "cache_size", -WRITER_CACHE_KIB).map_err(broken)?;
        db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(broken)?;
        db.pragma_update(None, "journal_size_limit", LOG_BYTES).map_err(broken)?;
        migrate(&mut db)?;
        sync_dir(path)?;
        let parts = load_parts(&db)?;
        Ok(Self { db, path: path.to_owned(), parts })
    }

    /// Writes all that can be read into a new file, syncs it, and puts it in the old one's place:
    /// after a failed sync nobody knows which pages of the old file are on the disk. Call it with
    /// no reader open.
    ///
    /// # Errors
    /// Those of [`SqliteStore::open`]; the old file then still stands.
    pub fn rewrite(path: &Path) -> Result<Self, StoreError> {
        // One that was broken off after its log was removed must be ended first: the old file
        // without its log is older than the new one.
        finish_rewrite(path)?;
        let fresh = path.with_extension("rewriting");
        remove_if_there(&fresh)?;
        let old = Connection::open(path).map_err(broken)?;
        let name = fresh.to_string_lossy().into_owned();
        old.execute("VACUUM INTO ?1", [name]).map_err(broken)?;
        old.close().map_err(|(_, e)| broken(e))?;
        File::open(&fresh).and_then(|f| f.sync_all()).map_err(|e| io(&e))?;
        // From here on the new file counts. The old one may lack what is in its log, so the log
        // must not go before that is certain; and the log must never meet the new file.
        std::fs::rename(&fresh, rewritten(path)).map_err(|e| io(&e))?;
        sync_dir(path)?;
        Self::open(path)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Store for SqliteStore {
    type Reader = SqliteReader;

    fn reader(&self) -> Result<SqliteReader, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.path, flags).map_err(broken)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        db.pragma_update(None, "query_only", true).map_err(broken)?;
        db.pragma_update(None, "cache_size", -READER_CACHE_KIB).map_err(broken)?;
        Ok(SqliteReader::new(db, self.parts.clone()))
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        write::commit(&mut self.db, &self.parts, batch)
    }

    fn move_bodies(&mut self, moves: &[(KeptBody, BodyRef)]) -> Result<(), StoreError> {
        write::move_bodies(&mut self.db, &self.parts, moves)
    }

    fn upkeep(&mut self, now: Ms, retention: &Retention) -> Result<bool, StoreError> {
        upkeep::step(&mut self.db, &self.parts, now, retention)
    }
}

/// The name of a whole new file that is to take the place of `path`.
fn rewritten(path: &Path) -> PathBuf {
    path.with_extension("rewritten")
}

/// Ends a [`SqliteStore::rewrite`], also one that a power cut has interrupted.
fn finish_rewrite(path: &Path) -> Result<(), StoreError> {
    let fresh = rewritten(path);
    if !fresh.try_exists().map_err(|e| io(&e))? {
        return Ok(());
    }
    for side in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(side);
        remove_if_there(Path::new(&name))?;
    }
    sync_dir(path)?;
    std::fs::rename(&fresh, path).map_err(|e| io(&e))?;
    sync_dir(path)
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io(&e)),
        _ => Ok(()),
    }
}

/// Before anything is written: a file of a newer quell, or of another program, stays as it is.
fn check_format(db: &Connection) -> Result<(), StoreError> {
    let number = |sql| db.query_row(sql, [], |r| r.get::<_, i64>(0)).map_err(broken);
    let (found, tables) = (number("PRAGMA user_version")?, number("SELECT count(*) FROM sqlite_master")?);
    let whose = number("PRAGMA application_id")?;
    if tables > 0 && whose != schema::APPLICATION {
        return Err(StoreError::Damaged("this SQLite file was not made by quell".to_owned()));
    }
    if found > schema::FORMAT {
        return Err(StoreError::Newer { found, known: schema::FORMAT });
    }
    Ok(())
}

/// In one transaction: a file is made by quell, or it is empty.
fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(broken)?;
    tx.execute_batch(schema::GLOBAL).map_err(broken)?;
    tx.pragma_update(None, "application_id", schema::APPLICATION).map_err(broken)?;
    tx.pragma_update(None, "user_version", schema::FORMAT).map_err(broken)?;
    tx.commit().map_err(broken)
}

fn load_parts(db: &Connection) -> Result<Parts, StoreError> {
    let parts = Parts::default();
    let mut state = parts.write()?;
    let mut days = db.prepare("SELECT day, filter, border FROM part").map_err(broken)?;
    let mut rows = days.query([]).map_err(broken)?;
    while let Some(row) = rows.next().map_err(broken)? {
        let (day, filter): (i64, Option<Vec<u8>>) =
            (row.get(0).map_err(broken)?, row.get(1).map_err(broken)?);
        // A filter that cannot be read is only a lost shortcut: the day is then asked itself.
        let filter = filter.and_then(|bytes| Filter::from_bytes(&bytes).ok()).map(Arc::new);
        if filter.is_none() {
            let border: Option<Vec<u8>> = row.get(2).map_err(broken)?;
            let border = border.map(|bytes| id_from(&bytes)).transpose()?;
            state.fresh.insert(day, keys::load(db, day, border)?);
        }
        state.days.insert(day, filter);
    }
    let mut moved = db.prepare("SELECT kid, day FROM moved").map_err(broken)?;
    let mut rows = moved.query([]).map_err(broken)?;
    while let Some(row) = rows.next().map_err(broken)? {
        state.moved.insert(read::queue_id(row, 0)?, row.get(1).map_err(broken)?);
    }
    drop(rows);
    drop(state);
    Ok(parts)
}

pub(crate) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| io(&e))
}

pub(crate) fn io(error: &std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            StoreError::Full(error.to_string())
        }
        _ => StoreError::Broken(error.to_string()),
    }
}

/// What SQLite says, in the store's words.
pub(crate) fn broken(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(error.to_string()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged(error.to_string()),
        _ => StoreError::Broken(error.to_string()),
    }
}

/// A blob that should be a queue id.
fn id_from(bytes: &[u8]) -> Result<QueueId, StoreError> {
    let bytes =
        bytes.try_into().map_err(|_| StoreError::Damaged("a queue id of the wrong length".to_owned()))?;
    Ok(QueueId::from_bytes(bytes))
}
