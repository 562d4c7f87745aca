//! Keys are found wherever they stand: waiting, on their way into the table, in it, of closed days,
//! moved to a later day, and after any restart.

use std::collections::BTreeMap;

use proptest::prelude::*;
use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;
use quell_storm::facts::{Answered, RowState, SourceId};

use super::fresh::FRESH_KEYS;
use super::parts::DAY_MS;
use super::*;
use crate::body::testing::TempDir;
use crate::store::{Arrival, Extra, KeyRow, Reader, Row, RowId, RowWrite};

const NOON: i64 = 20_000 * DAY_MS + DAY_MS / 2;

/// A store in a directory of its own, and what it must say.
struct Bench {
    // Before its directory: it goes first.
    store: Option<SqliteStore>,
    dir: TempDir,
    model: BTreeMap<LedgerKey, KeyRow>,
    now: i64,
}

#[derive(Debug, Clone)]
enum Act {
    /// So many new keys, begun so many seconds ago: late ones fall below the border.
    New(u8, u32),
    /// As many, and their commit fails: they come again later, under other numbers.
    Lost(u8, u32),
    /// Counts of a key that is there.
    Copies(usize),
    /// A further arrival with a key that is there.
    Again(usize),
    /// An arrival is forgotten, its key is not.
    Forget(usize),
    Upkeep,
    /// Hours pass.
    Later(u8),
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1..60u8, prop_oneof![Just(0u32), 0..90_000u32]).prop_map(|(n, ago)| Act::New(n, ago)),
        2 => (1..60u8, prop_oneof![Just(0u32), 0..90_000u32]).prop_map(|(n, ago)| Act::Lost(n, ago)),
        2 => any::<usize>().prop_map(Act::Copies),
        1 => any::<usize>().prop_map(Act::Again),
        1 => any::<usize>().prop_map(Act::Forget),
        2 => Just(Act::Upkeep),
        1 => (1..30u8).prop_map(Act::Later),
        1 => Just(Act::Reopen),
    ]
}

fn arrival(kid: QueueId, queue_id: QueueId) -> Arrival {
    Arrival {
        queue_id,
        kid,
        source: SourceId("192.0.2.1".to_owned()),
        reverse_path: String::new(),
        envid: None,
        ret_full: None,
        smtputf8: false,
        received_ms: queue_id.ms(),
        size_bytes: 1,
        message_id: None,
        by_redirect: false,
        answered: Answered::Fine,
        open: 1,
        asking: 0,
        release_ms: None,
        reports: 0,
        // Without a body upkeep would let the day go.
        body: Some(BodyRef { file: 2, offset: 40, len: 1 }),
    }
}

/// A row that no store has.
fn missing(kid: QueueId) -> Row {
    Row {
        id: RowId { kid, rcpt: "jane@firm.example".to_owned() },
        queue_id: kid,
        state: RowState::Waiting,
        since_ms: 0,
        next_ms: 0,
        tenant: String::new(),
        gateway: 1,
        key_version: 1,
        attempts: 0,
        sendings: 0,
        copies: 0,
        last_copy_ms: 0,
        times: Vec::new(),
        status: String::new(),
        extra: Extra::default(),
    }
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new();
        let store = Some(SqliteStore::open(&dir.path().join("ledger.db")).unwrap());
        Self { store, dir, model: BTreeMap::new(), now: NOON }
    }

    fn commit(&mut self, batch: &Batch) {
        self.store.as_mut().unwrap().commit(batch).unwrap();
        self.model.extend(batch.keys.iter().map(|key| (key.key, key.clone())));
    }

    fn some(&self, n: usize) -> Option<KeyRow> {
        self.model.values().nth(n % self.model.len().max(1)).cloned()
    }

    fn new_keys(&mut self, count: u8, ago_s: u32) {
        let batch = self.some_new(count, ago_s);
        self.commit(&batch);
    }

    fn lost_keys(&mut self, count: u8, ago_s: u32) {
        let mut batch = self.some_new(count, ago_s);
        let kid = QueueId::new(self.now.unsigned_abs(), 4, 0);
        batch.rows.push(RowWrite::Step(missing(kid)));
        assert!(matches!(self.store.as_mut().unwrap().commit(&batch), Err(StoreError::NoRow(_))));
        let reader = self.store.as_ref().unwrap().reader().unwrap();
        assert!(batch.keys.iter().all(|key| reader.key(&key.key).unwrap().is_none()));
    }

    fn some_new(&self, count: u8, ago_s: u32) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..count {
            let n = (self.model.len() + batch.keys.len()) as u32;
            let at = self.now - i64::from(ago_s) * 1000;
            let kid = QueueId::new(at.unsigned_abs(), 1, n);
            let mut key = [0; 16];
            key.copy_from_slice(&blake3::hash(&n.to_le_bytes()).as_bytes()[..16]);
            batch.keys.push(KeyRow {
                key: LedgerKey(key),
                kid,
                key_version: 1,
                secret_id: 2,
                last_seen_ms: self.now + i64::from(n),
                copies: 0,
                base_copies: 0,
                storm_ended_ms: None,
                times: Vec::new(),
            });
            batch.arrivals.push(arrival(kid, kid));
        }
        batch
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::New(count, ago) => self.new_keys(count, ago),
            Act::Lost(count, ago) => self.lost_keys(count, ago),
            Act::Copies(n) => {
                let Some(key) = self.some(n) else { return };
                let key = KeyRow { copies: key.copies + 1, times: vec![9], ..key };
                self.commit(&Batch { keys: vec![key], ..Batch::default() });
            }
            Act::Again(n) => {
                let Some(key) = self.some(n) else { return };
                let later = QueueId::new(self.now.unsigned_abs(), 2, n as u32);
                let arrivals = vec![arrival(key.kid, later)];
                self.commit(&Batch { keys: vec![key], arrivals, ..Batch::default() });
            }
            Act::Forget(n) => {
                let Some(key) = self.some(n) else { return };
                // Another arrival keeps it from being retired.
                let later = QueueId::new(self.now.unsigned_abs(), 3, n as u32);
                let arrivals = vec![arrival(key.kid, later)];
                let forget_arrivals = vec![(key.kid, key.kid)];
                self.commit(&Batch { arrivals, forget_arrivals, ..Batch::default() });
            }
            Act::Upkeep => {
                let retention = Retention { rows_days: 2, evidence_days: 2 };
                while self.store.as_mut().unwrap().upkeep(self.now, &retention).unwrap() {}
            }
            Act::Later(hours) => self.now += i64::from(hours) * 3_600_000,
            Act::Reopen => {
                drop(self.store.take());
                self.store = Some(SqliteStore::open(&self.dir.path().join("ledger.db")).unwrap());
            }
        }
    }

    /// Every key is found as it was written last, and no other.
    fn check(&self) {
        let reader = self.store.as_ref().unwrap().reader().unwrap();
        for (key, row) in &self.model {
            assert_eq!(reader.key(key).unwrap().as_ref(), Some(row));
        }
        for n in 0..50u8 {
            assert_eq!(reader.key(&LedgerKey([n; 16])).unwrap(), None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn keys_are_found_wherever_they_stand(acts in prop::collection::vec(act(), 1..60)) {
        let mut bench = Bench::new();
        for act in acts {
            bench.act(act);
        }
        bench.check();
        bench.act(Act::Reopen);
        bench.check();
    }
}

/// A new key must cost no page of its own, and looking for one that is not there none at all.
#[test]
fn new_keys_wait_and_move_together() {
    let mut bench = Bench::new();
    let in_table = |bench: &Bench| {
        let sql = format!("SELECT count(*) FROM key_{}", NOON / DAY_MS);
        let db = &bench.store.as_ref().unwrap().db;
        db.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap() as usize
    };
    let asked =
        |bench: &Bench, n: u8| bench.store.as_ref().unwrap().parts.days_for(&LedgerKey([n; 16])).unwrap().0;
    bench.new_keys(FRESH_KEYS as u8 - 1, 0);
    assert_eq!(in_table(&bench), 0);
    assert!((0..100).all(|n| asked(&bench, n).is_empty()));
    while in_table(&bench) == 0 {
        bench.now += 1;
        bench.new_keys(1, 0);
    }
    assert!((0..100).filter(|n| !asked(&bench, *n).is_empty()).count() < 5);
    bench.now += 2 * DAY_MS;
    bench.act(Act::Upkeep);
    assert_eq!(in_table(&bench), bench.model.len());
    bench.check();
}
