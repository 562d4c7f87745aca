//! Files of other times, of other programs, and damaged ones.

use rusqlite::Connection;

use super::*;
use crate::pickups::sqlite::schema::{APPLICATION, FORMAT};

fn why(opened: Result<SqlitePickups, PickupError>) -> StoreError {
    match opened.err() {
        Some(PickupError::Store { why, file }) => {
            assert!(file.is_absolute());
            why
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_programs_file_and_a_newer_one_are_left_as_they_are() {
    let dir = TempDir::new();
    let path = dir.path().join("pickup.db");
    drop(open(&path));
    let db = Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", FORMAT + 1).unwrap();
    drop(db);
    let ledger = dir.path().join("ledger.db");
    drop(crate::store::sqlite::SqliteStore::open(&ledger).unwrap());
    let text = dir.path().join("text");
    std::fs::write(&text, "no SQLite file, but long enough to be taken for one if nobody looks").unwrap();
    let before = [&path, &ledger, &text].map(|path| std::fs::read(path).unwrap());
    for open in [SqlitePickups::open, SqlitePickups::open_read_only] {
        assert!(matches!(why(open(&path)), StoreError::Newer { found: 2, known: 1 }));
        assert!(matches!(why(open(&ledger)), StoreError::Damaged(_)));
        assert!(matches!(why(open(&text)), StoreError::Damaged(_)));
    }
    assert_eq!([&path, &ledger, &text].map(|path| std::fs::read(path).unwrap()), before);
}

/// Format 1 as the first version wrote it.
fn first_format(path: &Path) -> Connection {
    let db = Connection::open(path).unwrap();
    db.execute_batch(
        "CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, uid_validity INTEGER,
            listed_to INTEGER, first INTEGER, last_good INTEGER, told TEXT, taken INTEGER NOT NULL DEFAULT 0,
            bytes INTEGER NOT NULL DEFAULT 0) STRICT;
         CREATE TABLE message (account INTEGER NOT NULL, uid TEXT NOT NULL, size INTEGER NOT NULL,
            digest BLOB NOT NULL, fate INTEGER NOT NULL, detail TEXT, at INTEGER NOT NULL,
            seen INTEGER NOT NULL, PRIMARY KEY (account, uid)) STRICT, WITHOUT ROWID;
         CREATE INDEX by_digest ON message (account, digest);
         INSERT INTO account VALUES (3, 'office', 17, 90, 11, 12, 'no answer', 5, -1), (4, 'shop', NULL, NULL,
            NULL, NULL, NULL, 0, 0);
         INSERT INTO message VALUES (3, 'a', 100, x'00112233445566778899aabbccddeeff', 0, '06h5tb2d00h00000', 1, 2),
            (3, 'b', -1, zeroblob(16), 1, NULL, 3, 4), (3, 'c', 0, zeroblob(16), 2, 'too large', 5, 6);
         PRAGMA application_id = 1903521897;
         PRAGMA user_version = 1;",
    )
    .unwrap();
    db
}

#[test]
fn the_first_format_is_read() {
    let dir = TempDir::new();
    let path = dir.path().join("pickup.db");
    drop(first_format(&path));
    let mut digest = [0; 16];
    digest.iter_mut().zip(0u8..).for_each(|(byte, n)| *byte = n * 0x11);
    let message = |uid: &str, size_bytes, digest, fate, at_ms| {
        let uid = uid.to_owned();
        Remembered { uid, size_bytes, digest, fate, at_ms, seen_ms: at_ms + 1 }
    };
    let taking = Fate::Taking("06h5tb2d00h00000".parse().unwrap());
    let wanted = [
        message("a", 100, digest, taking, 1),
        message("b", u64::MAX, [0; 16], Fate::Taken, 3),
        message("c", 0, [0; 16], Fate::Refused("too large".to_owned()), 5),
    ];
    let mark = Mark {
        uid_validity: Some(17),
        listed_to: Some(90),
        first_ms: Some(11),
        last_good_ms: Some(12),
        told: Some("no answer".to_owned()),
        taken: 5,
        bytes: u64::MAX,
    };
    for open in [SqlitePickups::open_read_only, SqlitePickups::open, SqlitePickups::open_read_only] {
        let store = open(&path).unwrap();
        assert_eq!(store.remembered("office").unwrap(), wanted);
        assert_eq!(store.find("office", &[0; 16]).unwrap(), wanted[1..]);
        assert_eq!(store.mark("office").unwrap(), mark);
        assert_eq!(store.mark("shop").unwrap(), Mark::default());
        assert_eq!(store.accounts().unwrap(), ["office", "shop"]);
    }
}

/// Nobody writes such a file: one that is neither new nor known is left alone.
#[test]
fn no_format_is_guessed() {
    let dir = TempDir::new();
    let path = dir.path().join("pickup.db");
    let db = first_format(&path);
    db.pragma_update(None, "user_version", -1).unwrap();
    drop(db);
    assert!(matches!(why(SqlitePickups::open(&path)), StoreError::Damaged(what) if what.contains("-1")));
    assert!(matches!(why(SqlitePickups::open_read_only(&path)), StoreError::Broken(_)));
    assert_eq!(APPLICATION, i64::from(u32::from_be_bytes(*b"qupi")));
}

#[test]
fn what_is_damaged_is_named() {
    let dir = TempDir::new();
    let path = dir.path().join("pickup.db");
    let db = first_format(&path);
    drop(open(&path));
    for (change, uid, what) in [
        ("UPDATE message SET digest = x'00' WHERE uid = 'b'", "b", "its digest"),
        ("UPDATE message SET fate = 3 WHERE uid = 'b'", "b", "its fate"),
        ("UPDATE message SET fate = 2 WHERE uid = 'b'", "b", "its fate"),
        ("UPDATE message SET fate = 1 WHERE uid = 'c'", "c", "its fate"),
        ("UPDATE message SET detail = NULL WHERE uid = 'a'", "a", "its fate"),
        (
            "UPDATE message SET detail = 'u6h5tb2d00h00000' WHERE uid = 'a'",
            "a",
            "the queue id it was to have",
        ),
        ("UPDATE message SET detail = CAST(x'ff' AS TEXT) WHERE uid = 'c'", "c", "its fate"),
        ("UPDATE message SET uid = 'x y' WHERE uid = 'b'", "x y", "its uid"),
        ("UPDATE message SET uid = CAST(x'ff' AS TEXT) WHERE uid = 'b'", "\u{fffd}", "its uid"),
    ] {
        db.execute_batch("BEGIN").unwrap();
        assert_eq!(db.execute(change, []).unwrap(), 1);
        db.execute_batch("COMMIT").unwrap();
        let store = open(&path);
        let said = store.remembered("office").unwrap_err().to_string();
        let wanted = format!("{}: account office, message {uid}: damaged: {what}", path.display());
        assert_eq!(said, wanted, "{change}");
        // Nobody else is troubled by it.
        assert_eq!(store.remembered("shop").unwrap(), []);
        assert_eq!(store.mark("office").unwrap().taken, 5);
        drop(store);
        db.execute_batch("DELETE FROM message").unwrap();
        restore(&db, &dir);
    }
    for (change, what) in [
        ("uid_validity = 4294967296", "its UIDVALIDITY"),
        ("listed_to = -1", "its highest UID"),
        ("told = CAST(x'ff' AS TEXT)", "what was told of it"),
    ] {
        db.execute(&format!("UPDATE account SET {change} WHERE name = 'office'"), []).unwrap();
        let said = open(&path).mark("office").unwrap_err().to_string();
        assert_eq!(said, format!("{}: account office: damaged: {what}", path.display()));
        db.execute("UPDATE account SET uid_validity = 1, listed_to = 1, told = NULL", []).unwrap();
    }
}

/// The messages of the first format again.
fn restore(db: &Connection, dir: &TempDir) {
    let other = dir.path().join("fresh.db");
    drop(first_format(&other));
    db.execute("ATTACH ?1 AS fresh", [other.to_string_lossy()]).unwrap();
    db.execute_batch("INSERT INTO message SELECT * FROM fresh.message; DETACH fresh").unwrap();
    std::fs::remove_file(&other).unwrap();
}
