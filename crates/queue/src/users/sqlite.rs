//! Users on SQLite: one small file, `users.db`.
//!
//! With a rollback journal instead of a log: it is written seldom, read by one connection, and a copy
//! of the one file is then a whole copy.

use std::path::Path;

use quell_storm::facts::Ms;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{MAX_USERS, Scram, User, UserStore, UsersError, Verifier};
use crate::store::StoreError;
use crate::store::sqlite::{broken, sync_dir};

/// `user_version` of the files we write. Every released version has a migration test.
pub(super) const FORMAT: i64 = 1;
/// `application_id` of the files we write: "quus".
const APPLICATION: i64 = 0x7175_7573;
/// Page cache, in KiB.
const CACHE_KIB: i64 = 1024;

const TABLE: &str = "
CREATE TABLE IF NOT EXISTS user (name TEXT PRIMARY KEY, addresses TEXT NOT NULL, disabled INTEGER NOT NULL,
    made INTEGER NOT NULL, last_sign_in INTEGER, argon2 TEXT NOT NULL, salt BLOB NOT NULL,
    iterations INTEGER NOT NULL, stored_key BLOB NOT NULL, server_key BLOB NOT NULL) WITHOUT ROWID;
";
const COLUMNS: &str =
    "name, addresses, disabled, made, last_sign_in, argon2, salt, iterations, stored_key, server_key";

/// The users' file.
pub struct SqliteUsers {
    db: Connection,
}

impl SqliteUsers {
    /// Opens the file at `path`, making it if there is none, and brings it to the newest format. The
    /// caller has the data directory's lock.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a file of a newer quell, [`StoreError::Damaged`] for another
    /// program's, else what the disk says.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut db = Connection::open(path).map_err(broken)?;
        check_format(&db)?;
        db.pragma_update(None, "journal_mode", "DELETE").map_err(broken)?;
        // EXTRA: the journal's deletion is durable too, so that a change that was answered stays.
        db.pragma_update(None, "synchronous", "EXTRA").map_err(broken)?;
        db.pragma_update(None, "cache_size", -CACHE_KIB).map_err(broken)?;
        migrate(&mut db)?;
        sync_dir(path)?;
        Ok(Self { db })
    }
}

impl UserStore for SqliteUsers {
    fn get(&mut self, name: &str) -> Result<Option<User>, UsersError> {
        let sql = format!("SELECT {COLUMNS} FROM user WHERE name = ?1");
        let mut query = self.db.prepare_cached(&sql).map_err(broken)?;
        let found = query.query_row([name], |row| Ok(user(row))).optional().map_err(broken)?;
        Ok(found.transpose()?)
    }

    fn list(&mut self, after: Option<&str>, limit: usize) -> Result<Vec<User>, UsersError> {
        // No name is empty.
        let sql = format!("SELECT {COLUMNS} FROM user WHERE name > ?1 ORDER BY name LIMIT ?2");
        let mut query = self.db.prepare_cached(&sql).map_err(broken)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = query.query(params![after.unwrap_or_default(), limit]).map_err(broken)?;
        let mut users = Vec::new();
        while let Some(row) = rows.next().map_err(broken)? {
            users.push(user(row)?);
        }
        Ok(users)
    }

    fn add(&mut self, user: &User) -> Result<(), UsersError> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(broken)?;
        let count = |sql: &str, name: &[&str]| {
            tx.query_row(sql, rusqlite::params_from_iter(name), |row| row.get::<_, i64>(0)).map_err(broken)
        };
        if count("SELECT count(*) FROM user WHERE name = ?1", &[&user.name])? > 0 {
            return Err(UsersError::There(user.name.clone()));
        }
        if usize::try_from(count("SELECT count(*) FROM user", &[])?).unwrap_or(usize::MAX) >= MAX_USERS {
            return Err(UsersError::TooMany);
        }
        write(&tx, user)?;
        Ok(tx.commit().map_err(broken)?)
    }

    fn change(&mut self, user: &User) -> Result<(), UsersError> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(broken)?;
        if tx.execute("DELETE FROM user WHERE name = ?1", [&user.name]).map_err(broken)? == 0 {
            return Err(UsersError::NotThere(user.name.clone()));
        }
        write(&tx, user)?;
        Ok(tx.commit().map_err(broken)?)
    }

    fn remove(&mut self, name: &str) -> Result<(), UsersError> {
        match self.db.execute("DELETE FROM user WHERE name = ?1", [name]).map_err(broken)? {
            0 => Err(UsersError::NotThere(name.to_owned())),
            _ => Ok(()),
        }
    }

    fn signed_in(&mut self, name: &str, at_ms: Ms) -> Result<(), UsersError> {
        let sql = "UPDATE user SET last_sign_in = ?2 WHERE name = ?1";
        self.db.execute(sql, params![name, at_ms]).map_err(broken)?;
        Ok(())
    }
}

fn write(db: &Connection, user: &User) -> Result<(), StoreError> {
    let addresses = serde_json::to_string(&user.addresses).map_err(|e| StoreError::Broken(e.to_string()))?;
    let scram = &user.verifier.scram;
    let sql = format!("INSERT INTO user ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    let values = params![
        user.name,
        addresses,
        user.disabled,
        user.made_ms,
        user.last_sign_in_ms,
        user.verifier.argon2,
        scram.salt,
        scram.iterations,
        scram.stored_key,
        scram.server_key,
    ];
    db.execute(&sql, values).map_err(broken)?;
    Ok(())
}

fn user(row: &Row<'_>) -> Result<User, StoreError> {
    let addresses: String = row.get(1).map_err(broken)?;
    let addresses = serde_json::from_str(&addresses);
    let addresses = addresses.map_err(|_| StoreError::Damaged("a user's addresses".to_owned()))?;
    let scram = Scram {
        salt: row.get(6).map_err(broken)?,
        iterations: row.get(7).map_err(broken)?,
        stored_key: row.get(8).map_err(broken)?,
        server_key: row.get(9).map_err(broken)?,
    };
    Ok(User {
        name: row.get(0).map_err(broken)?,
        addresses,
        disabled: row.get(2).map_err(broken)?,
        made_ms: row.get(3).map_err(broken)?,
        last_sign_in_ms: row.get(4).map_err(broken)?,
        verifier: Verifier { argon2: row.get(5).map_err(broken)?, scram },
    })
}

/// Before anything is written: a file of a newer quell, or of another program, stays as it is.
fn check_format(db: &Connection) -> Result<(), StoreError> {
    let number = |sql| db.query_row(sql, [], |r| r.get::<_, i64>(0)).map_err(broken);
    let (found, tables) = (number("PRAGMA user_version")?, number("SELECT count(*) FROM sqlite_master")?);
    if tables > 0 && number("PRAGMA application_id")? != APPLICATION {
        return Err(StoreError::Damaged("this SQLite file does not hold quell's users".to_owned()));
    }
    if found > FORMAT {
        return Err(StoreError::Newer { found, known: FORMAT });
    }
    Ok(())
}

fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(broken)?;
    tx.execute_batch(TABLE).map_err(broken)?;
    tx.pragma_update(None, "application_id", APPLICATION).map_err(broken)?;
    tx.pragma_update(None, "user_version", FORMAT).map_err(broken)?;
    tx.commit().map_err(broken)
}
