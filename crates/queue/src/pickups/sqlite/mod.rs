//! Pickups on SQLite: one file, `pickup.db`, with a log, so that a note costs one sync.

mod fault;
mod read;
pub(super) mod schema;
mod write;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use quell_storm::facts::Ms;
use rusqlite::{Connection, OpenFlags};

use self::fault::Fault;
use self::schema::Found;
use super::{Mark, PickupError, Pickups, Remembered};
use crate::store::StoreError;
use crate::store::sqlite::{io, sync_dir};

/// Page cache, in KiB.
const CACHE_KIB: i64 = 4 * 1024;
/// A log that one large transaction has made longer than this is cut again when it starts anew.
const LOG_BYTES: i64 = 4 << 20;

/// The pickups' file.
pub struct SqlitePickups {
    db: Connection,
    path: PathBuf,
    /// How many messages an account has, of those that were noted in since the file was opened.
    pub(in crate::pickups) counts: BTreeMap<String, usize>,
}

impl SqlitePickups {
    /// Opens the file at `path`, making it if there is none, and brings it to the newest format. The
    /// caller has the data directory's lock.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a file of a newer quell, [`StoreError::Damaged`] for another
    /// program's, else what the disk says.
    pub fn open(path: &Path) -> Result<Self, PickupError> {
        let db = open(path).map_err(|fault| fault.of(path))?;
        Ok(Self { db, path: path.to_owned(), counts: BTreeMap::new() })
    }

    /// Opens the file at `path` to look into it, beside a server that may have it open. A file that there
    /// is not is not made, and holds nothing. What changes something fails.
    ///
    /// # Errors
    /// As for [`SqlitePickups::open`]; a file of an older quell, which the server brings to the newest
    /// format when it starts.
    pub fn open_read_only(path: &Path) -> Result<Self, PickupError> {
        let db = open_read_only(path).map_err(|fault| fault.of(path))?;
        Ok(Self { db, path: path.to_owned(), counts: BTreeMap::new() })
    }
}

fn open(path: &Path) -> Result<Connection, Fault> {
    let mut db = Connection::open(path)?;
    let found = schema::check(&db)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    if found != Found::Newest {
        schema::migrate(&mut db)?;
    }
    sync_dir(path)?;
    // An earlier life may have been killed between writing to the log and syncing it. What is read from
    // here on must be on the disk: messages are deleted at the provider because of it.
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(db)
}

fn open_read_only(path: &Path) -> Result<Connection, Fault> {
    let there = match std::fs::metadata(path) {
        Ok(meta) => meta.len() > 0,
        Err(e) if e.kind() == ErrorKind::NotFound => false,
        Err(e) => return Err(io(&e).into()),
    };
    let db = if there { look_into(path)? } else { nothing()? };
    db.pragma_update(None, "query_only", true)?;
    Ok(db)
}

/// The file as it is. To read a log that another process writes to, SQLite must write to its index.
fn look_into(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    match schema::check(&db)? {
        Found::Newest => Ok(db),
        Found::Nothing => nothing(),
        Found::Older => {
            let older = "an older quell wrote it, and `quell serve` brings it to the newest format";
            Err(StoreError::Broken(older.to_owned()).into())
        }
    }
}

/// A store with nothing in it, and no file.
fn nothing() -> Result<Connection, Fault> {
    let mut db = Connection::open_in_memory()?;
    schema::migrate(&mut db)?;
    Ok(db)
}

impl Pickups for SqlitePickups {
    fn remembered(&self, account: &str) -> Result<Vec<Remembered>, PickupError> {
        read::remembered(&self.db, account, None).map_err(|fault| fault.of(&self.path))
    }

    fn find(&self, account: &str, digest: &[u8; 16]) -> Result<Vec<Remembered>, PickupError> {
        read::remembered(&self.db, account, Some(digest)).map_err(|fault| fault.of(&self.path))
    }

    fn note(&mut self, account: &str, messages: &[Remembered]) -> Result<(), PickupError> {
        if messages.is_empty() {
            return Ok(());
        }
        let had = self.counts.get(account).copied();
        let count =
            write::note(&mut self.db, account, messages, had).map_err(|fault| fault.of(&self.path))?;
        self.counts.insert(account.to_owned(), count);
        Ok(())
    }

    fn seen(&mut self, account: &str, uids: &[&str], now: Ms) -> Result<(), PickupError> {
        write::seen(&mut self.db, account, uids, now).map_err(|fault| fault.of(&self.path))
    }

    fn forget_unseen(&mut self, account: &str, before: Ms) -> Result<u64, PickupError> {
        self.counts.remove(account);
        write::forget_unseen(&self.db, account, before).map_err(|fault| fault.of(&self.path))
    }

    fn mark(&self, account: &str) -> Result<Mark, PickupError> {
        read::mark(&self.db, account).map_err(|fault| fault.of(&self.path))
    }

    fn set_mark(&mut self, account: &str, mark: &Mark) -> Result<(), PickupError> {
        write::set_mark(&mut self.db, account, mark).map_err(|fault| fault.of(&self.path))
    }

    fn accounts(&self) -> Result<Vec<String>, PickupError> {
        read::accounts(&self.db).map_err(|fault| fault.of(&self.path))
    }

    fn forget_account(&mut self, account: &str) -> Result<u64, PickupError> {
        self.counts.remove(account);
        write::forget_account(&mut self.db, account).map_err(|fault| fault.of(&self.path))
    }
}
