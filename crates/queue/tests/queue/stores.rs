//! The contract on both stores, and what only SQLite can get wrong.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use quell_queue::contract;
use quell_queue::store::memory::MemoryStore;
use quell_queue::store::sqlite::SqliteStore;
use quell_queue::store::{Batch, Reader, Retention, RowId, Store, StoreError};
use quell_storm::facts::RowState;

use crate::make::*;

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static N: AtomicU32 = AtomicU32::new(0);
        let name = format!("quell-store-{}-{}", std::process::id(), N.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn ledger(&self) -> PathBuf {
        self.0.join("ledger.sqlite")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn memory_keeps_the_contract() {
    contract::check(&mut MemoryStore::default, &mut |store| store).unwrap();
}

#[test]
fn sqlite_keeps_the_contract() {
    let mut dirs = Vec::new();
    let mut fresh = || {
        dirs.push(Dir::new());
        SqliteStore::open(&dirs.last().unwrap().ledger()).unwrap()
    };
    let mut reopen = |store: SqliteStore| {
        let path = store.path().to_owned();
        drop(store);
        SqliteStore::open(&path).unwrap()
    };
    contract::check(&mut fresh, &mut reopen).unwrap();
}

#[test]
fn sqlite_keeps_the_contract_when_it_is_rewritten() {
    let mut dirs = Vec::new();
    let mut fresh = || {
        dirs.push(Dir::new());
        SqliteStore::open(&dirs.last().unwrap().ledger()).unwrap()
    };
    let mut reopen = |store: SqliteStore| {
        let path = store.path().to_owned();
        drop(store);
        SqliteStore::rewrite(&path).unwrap()
    };
    contract::check(&mut fresh, &mut reopen).unwrap();
}

/// Batches of `n` messages to one recipient each, made by the door.
fn batch_of(rig: &mut Rig, keys: std::ops::Range<u32>) -> Batch {
    for n in keys {
        let mut facts = rig.facts(1, 1, &["jane@firm.example"]);
        let mut key = [7; 32];
        key[..4].copy_from_slice(&n.to_le_bytes());
        facts.exact_key = Some(quell_mail::key::ExactKey(key));
        rig.accept(facts);
    }
    assert!(rig.begin());
    let (work, places) = rig.in_flight.take().unwrap();
    let now = rig.at();
    rig.door.committed(&places, &now);
    work.batch
}

fn ledger_key(n: u32) -> quell_mail::key::LedgerKey {
    let mut key = [7; 32];
    key[..4].copy_from_slice(&n.to_le_bytes());
    secret().ledger_key(&quell_mail::key::ExactKey(key))
}

#[test]
fn rows_are_seen_at_every_moment_while_they_move_and_while_days_go() {
    let dir = Dir::new();
    let mut store = SqliteStore::open(&dir.ledger()).unwrap();
    let mut rig = Rig::new();
    let batch = batch_of(&mut rig, 0..600);
    store.commit(&batch).unwrap();
    let ids: Vec<RowId> = batch.rows.iter().map(|w| w.row().id.clone()).collect();
    let (done, looks) = (AtomicBool::new(false), AtomicU32::new(0));
    let reader = store.reader().unwrap();
    let (rows, count, end) = (&ids, &looks, &done);
    let hammer = move || {
        for i in (0..rows.len()).cycle() {
            let n = i as u32;
            assert!(reader.row(&rows[i]).unwrap().is_some(), "row {i} is missing");
            let found = reader.key(&ledger_key(n)).unwrap();
            assert_eq!(found.map(|k| k.kid), Some(rows[i].kid), "key {i} is missing");
            assert!(reader.find_arrival(&rows[i].kid).unwrap().is_some());
            if i % 50 == 0 {
                assert_eq!(reader.due(i64::MAX, 1000).unwrap().len(), 600);
                assert_eq!(reader.open_counts().unwrap(), [(RowState::Waiting, 600)]);
                assert_eq!(reader.bodies().unwrap().len(), 600);
            }
            count.fetch_add(1, Ordering::Relaxed);
            if end.load(Ordering::Relaxed) {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        let looking = scope.spawn(hammer);
        let mut now = START;
        for _ in 0..6 {
            now += 16 * DAY;
            while store.upkeep(now, &Retention::default()).unwrap() {}
        }
        while looks.load(Ordering::Relaxed) < 700 && !looking.is_finished() {
            std::thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
        looking.join().unwrap();
    });
}

#[test]
fn a_key_that_comes_into_a_closed_day_is_found() {
    let dir = Dir::new();
    let mut store = SqliteStore::open(&dir.ledger()).unwrap();
    let mut rig = Rig::new();
    let (early, late) = (batch_of(&mut rig, 0..50), batch_of(&mut rig, 50..60));
    store.commit(&early).unwrap();
    while store.upkeep(START + 2 * DAY, &Retention::default()).unwrap() {}
    let reader = store.reader().unwrap();
    store.commit(&late).unwrap();
    for n in 50..60 {
        assert!(reader.key(&ledger_key(n)).unwrap().is_some(), "{n}");
    }
    while store.upkeep(START + 2 * DAY, &Retention::default()).unwrap() {}
    assert!((0..60).all(|n| reader.key(&ledger_key(n)).unwrap().is_some()));
    drop((store, reader));
    let reader = SqliteStore::open(&dir.ledger()).unwrap().reader().unwrap();
    assert!((0..60).all(|n| reader.key(&ledger_key(n)).unwrap().is_some()));
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let dir = Dir::new();
    drop(SqliteStore::open(&dir.ledger()).unwrap());
    let db = rusqlite::Connection::open(dir.ledger()).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    assert!(matches!(SqliteStore::open(&dir.ledger()), Err(StoreError::Newer { found: 99, .. })));
}

#[test]
fn foreign_and_torn_files_are_damaged() {
    let dir = Dir::new();
    std::fs::write(dir.ledger(), b"Dear Jane, this is a letter and not a ledger. ".repeat(100)).unwrap();
    assert!(matches!(SqliteStore::open(&dir.ledger()), Err(StoreError::Damaged(_))));
    std::fs::remove_file(dir.ledger()).unwrap();
    let db = rusqlite::Connection::open(dir.ledger()).unwrap();
    db.execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    drop(db);
    assert!(matches!(SqliteStore::open(&dir.ledger()), Err(StoreError::Damaged(_))));

    let dir = Dir::new();
    let mut store = SqliteStore::open(&dir.ledger()).unwrap();
    store.commit(&batch_of(&mut Rig::new(), 0..500)).unwrap();
    drop(store);
    let whole = std::fs::read(dir.ledger()).unwrap();
    std::fs::write(dir.ledger(), &whole[..whole.len() / 2]).unwrap();
    let found = SqliteStore::open(&dir.ledger()).and_then(|s| s.reader()?.due(i64::MAX, 1000));
    assert!(matches!(found, Err(StoreError::Damaged(_))), "{found:?}");
}

fn side(path: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path.display()))
}

#[test]
fn a_rewrite_cut_short_ends_at_the_next_start() {
    let dir = Dir::new();
    let path = dir.ledger();
    let mut store = SqliteStore::open(&path).unwrap();
    let mut rig = Rig::new();
    store.commit(&batch_of(&mut rig, 0..10)).unwrap();
    // A whole new file stands beside the old one, whose log has later pages that must not meet it.
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute("VACUUM INTO ?1", [path.with_extension("rewritten").to_str().unwrap()]).unwrap();
    let log = std::fs::read(side(&path, "-wal")).unwrap();
    drop((db, store));
    std::fs::write(side(&path, "-wal"), log).unwrap();
    let reader = SqliteStore::open(&path).unwrap().reader().unwrap();
    assert_eq!(reader.due(i64::MAX, 99).unwrap().len(), 10);
    assert!(!path.with_extension("rewritten").exists());
}
