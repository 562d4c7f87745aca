//! The contract on both stores of users, and what only SQLite can get wrong.

use super::sqlite::FORMAT;
use super::*;
use crate::body::testing::TempDir;

fn somebody(n: usize) -> User {
    let scram = Scram { salt: [0; 16], iterations: 4096, stored_key: [0; 32], server_key: [0; 32] };
    User {
        name: format!("user{n}@firm.example"),
        addresses: Vec::new(),
        disabled: false,
        made_ms: 0,
        last_sign_in_ms: None,
        verifier: Verifier { argon2: String::new(), scram },
    }
}

#[test]
fn memory_keeps_the_contract() {
    check(&mut MemoryUsers::default, &mut |store| store).unwrap();
}

#[test]
fn sqlite_keeps_the_contract() {
    let dir = TempDir::new();
    let n = std::cell::Cell::new(0);
    let path = || dir.path().join(format!("users-{}.db", n.get()));
    let mut fresh = || {
        n.set(n.get() + 1);
        SqliteUsers::open(&path()).unwrap()
    };
    let mut reopen = |store: SqliteUsers| {
        drop(store);
        SqliteUsers::open(&path()).unwrap()
    };
    check(&mut fresh, &mut reopen).unwrap();
    assert_eq!(n.get(), 4);
    let names = std::fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name());
    assert!(names.count() == 4, "a journal was left behind");
}

#[test]
fn there_is_a_limit() {
    let mut users = MemoryUsers::default();
    for n in 0..MAX_USERS {
        users.add(&somebody(n)).unwrap();
    }
    assert!(matches!(users.add(&somebody(MAX_USERS)), Err(UsersError::TooMany)));
    users.remove(&somebody(7).name).unwrap();
    users.add(&somebody(MAX_USERS)).unwrap();
}

#[test]
fn sqlite_has_the_same_limit() {
    let dir = TempDir::new();
    let path = dir.path().join("users.db");
    let mut users = SqliteUsers::open(&path).unwrap();
    users.add(&somebody(0)).unwrap();
    drop(users);
    // One statement instead of so many synced ones.
    let db = rusqlite::Connection::open(&path).unwrap();
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {} - 1)
         INSERT INTO user SELECT 'user' || i || '@firm.example', addresses, disabled, made, last_sign_in, argon2,
         salt, iterations, stored_key, server_key FROM user, n",
        MAX_USERS
    );
    assert_eq!(db.execute(&sql, []).unwrap(), MAX_USERS - 1);
    drop(db);
    let mut users = SqliteUsers::open(&path).unwrap();
    assert!(matches!(users.add(&somebody(MAX_USERS)), Err(UsersError::TooMany)));
    assert_eq!(users.list(Some("user99998@firm.example"), 1).unwrap(), [somebody(99_999)]);
}

#[test]
fn another_programs_file_and_a_newer_one_are_left_as_they_are() {
    let dir = TempDir::new();
    let path = dir.path().join("users.db");
    drop(SqliteUsers::open(&path).unwrap());
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", FORMAT + 1).unwrap();
    drop(db);
    assert!(matches!(SqliteUsers::open(&path), Err(StoreError::Newer { found: 2, known: 1 })));
    let ledger = dir.path().join("ledger.db");
    drop(crate::store::sqlite::SqliteStore::open(&ledger).unwrap());
    let before = std::fs::read(&ledger).unwrap();
    assert!(matches!(SqliteUsers::open(&ledger), Err(StoreError::Damaged(_))));
    assert_eq!(std::fs::read(&ledger).unwrap(), before);
    std::fs::write(&path, "no SQLite file, but long enough to be taken for one if nobody looks").unwrap();
    assert!(matches!(SqliteUsers::open(&path), Err(StoreError::Damaged(_))));
}

/// Format 1 as the first version wrote it.
#[test]
fn the_first_format_is_read() {
    let dir = TempDir::new();
    let path = dir.path().join("users.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TABLE user (name TEXT PRIMARY KEY, addresses TEXT NOT NULL, disabled INTEGER NOT NULL,
            made INTEGER NOT NULL, last_sign_in INTEGER, argon2 TEXT NOT NULL, salt BLOB NOT NULL,
            iterations INTEGER NOT NULL, stored_key BLOB NOT NULL, server_key BLOB NOT NULL) WITHOUT ROWID;
         INSERT INTO user VALUES ('jane@firm.example', '[\"*@firm.example\"]', 1, 12, NULL, '$argon2id$',
            x'00112233445566778899aabbccddeeff', 65536, zeroblob(32), zeroblob(32));
         PRAGMA application_id = 1903523187;
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(db);
    let jane = SqliteUsers::open(&path).unwrap().get("jane@firm.example").unwrap().unwrap();
    assert_eq!((jane.addresses, jane.disabled, jane.made_ms), (vec!["*@firm.example".to_owned()], true, 12));
    assert_eq!((jane.verifier.scram.iterations, jane.verifier.scram.salt[15]), (65536, 0xff));
}

#[test]
fn a_verifier_shows_itself_to_nobody() {
    let user =
        User { verifier: Verifier { argon2: "$secret$".to_owned(), ..somebody(1).verifier }, ..somebody(1) };
    let shown = format!("{user:?}");
    assert!(!shown.contains("secret") && !shown.contains("4096"), "{shown}");
}
