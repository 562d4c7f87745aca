//! The contract on both stores of pickups, random histories, and what only SQLite can get wrong.

mod format;
mod random;
mod speed;

use std::path::Path;

use super::*;
use crate::body::testing::{TempDir, Tmpfs};

fn somewhat(n: usize) -> Remembered {
    let mut digest = [0; 16];
    // Spread over the index, as a keyed hash is.
    digest[..8].copy_from_slice(&(n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Remembered {
        uid: format!("1700000000.{n}"),
        size_bytes: 50_000,
        digest,
        fate: Fate::Taken,
        at_ms: 1_800_000_000_000,
        seen_ms: 1_800_000_000_000,
    }
}

fn many(from: usize, to: usize) -> Vec<Remembered> {
    (from..to).map(somewhat).collect()
}

fn open(path: &Path) -> SqlitePickups {
    SqlitePickups::open(path).unwrap()
}

#[test]
fn memory_keeps_the_contract() {
    check(&mut MemoryPickups::default, &mut |store| store).unwrap();
}

#[test]
fn sqlite_keeps_the_contract() {
    let dir = TempDir::new();
    let n = std::cell::Cell::new(0);
    let path = || dir.path().join(format!("pickup-{}.db", n.get()));
    let mut fresh = || {
        n.set(n.get() + 1);
        open(&path())
    };
    let mut reopen = |store: SqlitePickups| {
        drop(store);
        open(&path())
    };
    check(&mut fresh, &mut reopen).unwrap();
    assert_eq!(n.get(), 7);
    let names = std::fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name());
    assert!(names.count() == 7, "a log was left behind");
}

/// Looked at, a store says what the one that writes said.
#[test]
fn a_reader_sees_what_the_contract_says() {
    struct Looked(SqlitePickups, SqlitePickups);
    impl Pickups for Looked {
        fn remembered(&self, account: &str) -> Result<Vec<Remembered>, PickupError> {
            self.1.remembered(account)
        }
        fn find(&self, account: &str, digest: &[u8; 16]) -> Result<Vec<Remembered>, PickupError> {
            self.1.find(account, digest)
        }
        fn note(&mut self, account: &str, messages: &[Remembered]) -> Result<(), PickupError> {
            self.0.note(account, messages)
        }
        fn seen(&mut self, account: &str, uids: &[&str], now: Ms) -> Result<(), PickupError> {
            self.0.seen(account, uids, now)
        }
        fn forget_unseen(&mut self, account: &str, before: Ms) -> Result<u64, PickupError> {
            self.0.forget_unseen(account, before)
        }
        fn mark(&self, account: &str) -> Result<Mark, PickupError> {
            self.1.mark(account)
        }
        fn set_mark(&mut self, account: &str, mark: &Mark) -> Result<(), PickupError> {
            self.0.set_mark(account, mark)
        }
        fn accounts(&self) -> Result<Vec<String>, PickupError> {
            self.1.accounts()
        }
        fn forget_account(&mut self, account: &str) -> Result<u64, PickupError> {
            self.0.forget_account(account)
        }
    }
    let dir = TempDir::new();
    let n = std::cell::Cell::new(0);
    let path = || dir.path().join(format!("pickup-{}.db", n.get()));
    let look = || SqlitePickups::open_read_only(&path()).unwrap();
    let mut fresh = || {
        n.set(n.get() + 1);
        Looked(open(&path()), look())
    };
    // The one that writes goes: the other reads on.
    let mut reopen = |store: Looked| {
        drop(store.0);
        Looked(look(), store.1)
    };
    check(&mut fresh, &mut reopen).unwrap();
}

#[test]
fn a_look_makes_no_file_and_changes_none() {
    let dir = TempDir::new();
    let path = dir.path().join("pickup.db");
    let names = || std::fs::read_dir(dir.path()).unwrap().count();
    let looks_empty = || {
        let mut looked = SqlitePickups::open_read_only(&path).unwrap();
        assert_eq!(looked.accounts().unwrap(), Vec::<String>::new());
        assert_eq!(looked.mark("office").unwrap(), Mark::default());
        looked.note("office", &many(0, 1)).unwrap_err();
    };
    looks_empty();
    assert_eq!(names(), 0);
    // As a first start makes it, before SQLite has it.
    std::fs::write(&path, b"").unwrap();
    looks_empty();
    assert_eq!((names(), std::fs::metadata(&path).unwrap().len()), (1, 0));
    // And as one leaves it that is killed before its first table.
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    drop(db);
    looks_empty();
    assert_ne!(std::fs::metadata(&path).unwrap().len(), 0);

    open(&path).note("office", &many(0, 3)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let mut looked = SqlitePickups::open_read_only(&path).unwrap();
    assert_eq!(looked.remembered("office").unwrap(), many(0, 3));
    assert!(looked.note("office", &many(0, 1)).unwrap_err().to_string().contains("pickup.db: "));
    looked.seen("office", &["1700000000.1"], 5).unwrap_err();
    looked.forget_unseen("office", Ms::MAX).unwrap_err();
    looked.set_mark("office", &Mark::default()).unwrap_err();
    looked.forget_account("office").unwrap_err();
    assert_eq!(looked.remembered("office").unwrap(), many(0, 3));
    drop(looked);
    assert_eq!((names(), std::fs::read(&path).unwrap()), (1, before));
}

/// A copy of the files as they lie there is what a killed process leaves.
#[test]
fn what_was_noted_outlives_a_killed_process() {
    let dir = TempDir::new();
    let path = dir.path().join("pickup.db");
    let mut store = open(&path);
    for n in 0..20 {
        store.note("office", &many(n * 10, n * 10 + 10)).unwrap();
        let killed = dir.path().join(format!("killed-{n}.db"));
        std::fs::copy(&path, &killed).unwrap();
        std::fs::copy(dir.path().join("pickup.db-wal"), dir.path().join(format!("killed-{n}.db-wal")))
            .unwrap();
        let looked = SqlitePickups::open_read_only(&killed).unwrap().remembered("office").unwrap();
        let found = open(&killed).remembered("office").unwrap();
        assert_eq!((found.len(), &looked), (n * 10 + 10, &found));
        assert_eq!(found, store.remembered("office").unwrap());
    }
}

/// Whatever was written to the log and never synced is in the file itself once it is open again.
#[test]
fn opening_brings_the_log_into_the_file() {
    let dir = TempDir::new();
    let (path, killed) = (dir.path().join("pickup.db"), dir.path().join("killed.db"));
    let mut store = open(&path);
    store.note("office", &many(0, 10)).unwrap();
    std::fs::copy(&path, &killed).unwrap();
    std::fs::copy(dir.path().join("pickup.db-wal"), dir.path().join("killed.db-wal")).unwrap();
    std::mem::forget(open(&killed));
    let alone = dir.path().join("alone.db");
    std::fs::copy(&killed, &alone).unwrap();
    assert_eq!(open(&alone).remembered("office").unwrap(), many(0, 10));
}

#[test]
fn a_full_disk_keeps_all_of_a_note_or_nothing() {
    let Some(disk) = Tmpfs::mount(2) else { return };
    let (path, ballast) = (disk.path().join("pickup.db"), disk.path().join("ballast"));
    std::fs::write(&ballast, vec![1; 512 << 10]).unwrap();
    let mut store = open(&path);
    let mut kept = 0;
    let full = loop {
        match store.note("office", &many(kept, kept + 100)) {
            Ok(()) => kept += 100,
            Err(e) => break e,
        }
    };
    assert!(matches!(full, PickupError::Store { why: StoreError::Full(_), .. }), "{full}");
    let mut wanted = many(0, kept);
    wanted.sort_by(|a, b| a.uid.cmp(&b.uid));
    assert!(kept >= 1000 && store.remembered("office").unwrap() == wanted, "{kept}");
    // With room it goes on as it is.
    std::fs::remove_file(&ballast).unwrap();
    store.note("office", &many(kept, kept + 100)).unwrap();
    wanted.extend(many(kept, kept + 100));
    wanted.sort_by(|a, b| a.uid.cmp(&b.uid));
    drop(store);
    assert!(open(&path).remembered("office").unwrap() == wanted);
}

#[test]
fn there_are_limits() {
    let dir = TempDir::new();
    let path = dir.path().join("pickup.db");
    open(&path).note("office", &many(0, 1)).unwrap();
    // One statement instead of so many synced ones.
    let db = rusqlite::Connection::open(&path).unwrap();
    let fill = |sql: &str, to: usize| {
        let n = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)";
        assert_eq!(db.execute(&format!("{n} {sql}"), [to as i64]).unwrap(), to);
    };
    fill(
        "INSERT INTO message SELECT account, '1700000000.' || i, size, digest, fate, detail, at, seen
            FROM message, n",
        MAX_MESSAGES - 2,
    );
    fill("INSERT INTO account (name) SELECT 'a' || i FROM n", MAX_ACCOUNTS - 2);
    drop(db);
    let mut sqlite = open(&path);
    let mut memory = MemoryPickups::default();
    memory.note("office", &many(0, MAX_MESSAGES - 1)).unwrap();
    (0..MAX_ACCOUNTS - 2).for_each(|n| memory.set_mark(&format!("a{n}"), &Mark::default()).unwrap());
    let stores: [&mut dyn Pickups; 2] = [&mut memory, &mut sqlite];
    for store in stores {
        let [a, b] = [somewhat(MAX_MESSAGES), somewhat(MAX_MESSAGES + 1)];
        let refused = |found| matches!(found, Err(PickupError::TooMany(account)) if account == "office");
        assert!(refused(store.note("office", &[a.clone(), b.clone()])));
        store.note("office", &[a.clone(), somewhat(7), a.clone()]).unwrap();
        assert!(refused(store.note("office", &[somewhat(7), b.clone()])));
        store.seen("office", &[&a.uid], Ms::MAX - 1).unwrap();
        store.note("office", &[Remembered { seen_ms: 0, ..somewhat(7) }]).unwrap();
        assert_eq!(store.forget_unseen("office", 1).unwrap(), 1);
        store.note("office", &[b]).unwrap();
        store.note("shop", std::slice::from_ref(&a)).unwrap();
        assert_eq!(store.accounts().unwrap().len(), MAX_ACCOUNTS);
        assert!(matches!(store.note("another", &[a]), Err(PickupError::TooManyAccounts)));
        assert!(matches!(store.set_mark("another", &Mark::default()), Err(PickupError::TooManyAccounts)));
        assert_eq!(store.forget_account("office").unwrap(), MAX_MESSAGES as u64);
        store.set_mark("another", &Mark::default()).unwrap();
    }
}
