//! Writing: each change is one transaction, durable when it returns.

use std::borrow::Cow;

use quell_storm::facts::Ms;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::fault::Fault;
use super::read::{ACCOUNT, REFUSED, TAKEN, TAKING};
use crate::pickups::{
    Fate, MAX_ACCOUNTS, MAX_MESSAGES, Mark, PickupError, Remembered, check_account, check_uids, cut,
};

/// Remembers messages of an account that had so many, where that is known, and says how many it has now.
pub(super) fn note(
    db: &mut Connection,
    account: &str,
    messages: &[Remembered],
    had: Option<usize>,
) -> Result<usize, Fault> {
    check_uids(account, messages)?;
    let tx = begin(db)?;
    let id = account_id(&tx, account)?;
    let had = match had {
        Some(had) => had,
        None => count(&tx, "SELECT count(*) FROM message WHERE account = ?1", &[&id])?,
    };
    let has = had + put(&tx, id, messages)?;
    if has > MAX_MESSAGES {
        return Err(PickupError::TooMany(account.to_owned()).into());
    }
    tx.commit()?;
    Ok(has)
}

/// Writes each message, and says how many of them are new.
fn put(tx: &Transaction<'_>, account: i64, messages: &[Remembered]) -> Result<usize, Fault> {
    let sql = "INSERT INTO message (account, uid, size, digest, fate, detail, at, seen)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
    let mut insert = tx.prepare_cached(sql)?;
    let sql = "UPDATE message SET size = ?3, digest = ?4, fate = ?5, detail = ?6, at = ?7, seen = ?8
        WHERE account = ?1 AND uid = ?2";
    let mut replace = tx.prepare_cached(sql)?;
    let mut new = 0;
    for message in messages {
        let (fate, detail) = columns(&message.fate);
        let size = message.size_bytes.cast_signed();
        let values =
            params![account, message.uid, size, message.digest, fate, detail, message.at_ms, message.seen_ms];
        match insert.execute(values)? {
            0 => drop(replace.execute(values)?),
            one => new += one,
        }
    }
    Ok(new)
}

fn columns(fate: &Fate) -> (i64, Option<Cow<'_, str>>) {
    match fate {
        Fate::Taking(id) => (TAKING, Some(id.to_string().into())),
        Fate::Taken => (TAKEN, None),
        Fate::Refused(why) => (REFUSED, Some(cut(why).into())),
    }
}

/// The number of an account, which is made if there is none.
fn account_id(tx: &Transaction<'_>, name: &str) -> Result<i64, Fault> {
    let mut query = tx.prepare_cached("SELECT id FROM account WHERE name = ?1")?;
    if let Some(id) = query.query_row([name], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    check_account(name)?;
    if count(tx, "SELECT count(*) FROM account", &[])? >= MAX_ACCOUNTS {
        return Err(PickupError::TooManyAccounts.into());
    }
    tx.execute("INSERT INTO account (name) VALUES (?1)", [name])?;
    Ok(tx.last_insert_rowid())
}

fn count(tx: &Transaction<'_>, sql: &str, of: &[&i64]) -> Result<usize, Fault> {
    let found: i64 = tx.query_row(sql, rusqlite::params_from_iter(of), |row| row.get(0))?;
    Ok(usize::try_from(found).unwrap_or(usize::MAX))
}

/// The provider listed these.
pub(super) fn seen(db: &mut Connection, account: &str, uids: &[&str], now: Ms) -> Result<(), Fault> {
    let tx = begin(db)?;
    let mut update =
        tx.prepare_cached(&format!("UPDATE message SET seen = ?3 WHERE {ACCOUNT} AND uid = ?2"))?;
    for uid in uids {
        update.execute(params![account, uid, now])?;
    }
    drop(update);
    Ok(tx.commit()?)
}

/// Forgets what was last listed before `before`.
pub(super) fn forget_unseen(db: &Connection, account: &str, before: Ms) -> Result<u64, Fault> {
    let sql = format!("DELETE FROM message WHERE {ACCOUNT} AND seen < ?2 AND fate <> {TAKING}");
    Ok(db.execute(&sql, params![account, before])? as u64)
}

/// Puts an account's mark in the place of the one it has.
pub(super) fn set_mark(db: &mut Connection, account: &str, mark: &Mark) -> Result<(), Fault> {
    let tx = begin(db)?;
    let id = account_id(&tx, account)?;
    let sql = "UPDATE account SET uid_validity = ?2, listed_to = ?3, first = ?4, last_good = ?5, told = ?6,
        taken = ?7, bytes = ?8 WHERE id = ?1";
    let values = params![
        id,
        mark.uid_validity,
        mark.listed_to,
        mark.first_ms,
        mark.last_good_ms,
        mark.told.as_deref().map(cut),
        mark.taken.cast_signed(),
        mark.bytes.cast_signed(),
    ];
    tx.prepare_cached(sql)?.execute(values)?;
    Ok(tx.commit()?)
}

/// Forgets an account with all its messages.
pub(super) fn forget_account(db: &mut Connection, account: &str) -> Result<u64, Fault> {
    let tx = begin(db)?;
    let had = tx.execute(&format!("DELETE FROM message WHERE {ACCOUNT}"), [account])?;
    tx.execute("DELETE FROM account WHERE name = ?1", [account])?;
    tx.commit()?;
    Ok(had as u64)
}

fn begin(db: &mut Connection) -> Result<Transaction<'_>, Fault> {
    Ok(db.transaction_with_behavior(TransactionBehavior::Immediate)?)
}
