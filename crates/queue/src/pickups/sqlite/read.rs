//! Reading: each value is looked at before it is believed.

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::Fault;
use crate::pickups::{Fate, Mark, Remembered, is_uid};

/// [`Fate::Taking`] in the column `fate`; its id stands in `detail`.
pub(super) const TAKING: i64 = 0;
/// [`Fate::Taken`].
pub(super) const TAKEN: i64 = 1;
/// [`Fate::Refused`]; why stands in `detail`.
pub(super) const REFUSED: i64 = 2;

const COLUMNS: &str = "uid, size, digest, fate, detail, at, seen";
/// The account of a name, as a number.
pub(super) const ACCOUNT: &str = "account = (SELECT id FROM account WHERE name = ?1)";

/// The messages of an account, all or those with a digest.
pub(super) fn remembered(
    db: &Connection,
    account: &str,
    digest: Option<&[u8; 16]>,
) -> Result<Vec<Remembered>, Fault> {
    // SQLite would rather go through the whole account, in the order of uid, than sort what few it finds.
    let (way, such) = match digest {
        Some(_) => ("INDEXED BY by_digest", "AND digest = ?2"),
        None => ("", ""),
    };
    let sql = format!("SELECT {COLUMNS} FROM message {way} WHERE {ACCOUNT} {such} ORDER BY uid");
    let mut query = db.prepare_cached(&sql)?;
    let mut rows = match digest {
        Some(digest) => query.query(params![account, digest])?,
        None => query.query([account])?,
    };
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(message(account, row)?);
    }
    Ok(found)
}

fn message(account: &str, row: &Row<'_>) -> Result<Remembered, Fault> {
    let named = row.get_ref(0)?.as_bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let uid = named.unwrap_or_default();
    let damaged = |what| Fault::Message { account: account.to_owned(), uid: uid.clone(), what };
    if !is_uid(&uid) {
        return Err(damaged("its uid"));
    }
    let read = || {
        Ok(Remembered {
            uid: uid.clone(),
            size_bytes: value::<i64>(row, 1, "its size")?.cast_unsigned(),
            digest: value(row, 2, "its digest")?,
            fate: fate(row)?,
            at_ms: value(row, 5, "its time")?,
            seen_ms: value(row, 6, "the time it was seen")?,
        })
    };
    read().map_err(damaged)
}

fn fate(row: &Row<'_>) -> Result<Fate, &'static str> {
    let detail: Option<String> = value(row, 4, "its fate")?;
    match (value(row, 3, "its fate")?, detail) {
        (TAKING, Some(id)) => id.parse().map(Fate::Taking).map_err(|_| "the queue id it was to have"),
        (TAKEN, None) => Ok(Fate::Taken),
        (REFUSED, Some(why)) => Ok(Fate::Refused(why)),
        _ => Err("its fate"),
    }
}

fn value<T: FromSql>(row: &Row<'_>, column: usize, what: &'static str) -> Result<T, &'static str> {
    row.get(column).map_err(|_| what)
}

/// What is known of an account.
pub(super) fn mark(db: &Connection, account: &str) -> Result<Mark, Fault> {
    let sql =
        "SELECT uid_validity, listed_to, first, last_good, told, taken, bytes FROM account WHERE name = ?1";
    let mut query = db.prepare_cached(sql)?;
    let read = |row: &Row<'_>| {
        Ok(Mark {
            uid_validity: value(row, 0, "its UIDVALIDITY")?,
            listed_to: value(row, 1, "its highest UID")?,
            first_ms: value(row, 2, "when it was first collected")?,
            last_good_ms: value(row, 3, "when it was last collected")?,
            told: value(row, 4, "what was told of it")?,
            taken: value::<i64>(row, 5, "how many were taken")?.cast_unsigned(),
            bytes: value::<i64>(row, 6, "how much was taken")?.cast_unsigned(),
        })
    };
    let found: Option<Result<Mark, &'static str>> =
        query.query_row([account], |row| Ok(read(row))).optional()?;
    let damaged = |what| Fault::Mark { account: account.to_owned(), what };
    Ok(found.transpose().map_err(damaged)?.unwrap_or_default())
}

/// The accounts.
pub(super) fn accounts(db: &Connection) -> Result<Vec<String>, Fault> {
    let mut query = db.prepare_cached("SELECT name FROM account ORDER BY name")?;
    let names = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(names)
}
