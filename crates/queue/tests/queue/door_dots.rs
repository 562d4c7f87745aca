//! The dot: what a stop of the server leaves of an attempt, on both stores.

use std::path::PathBuf;

use quell_queue::body::BodyRef;
use quell_queue::claim::Claim;
use quell_queue::destination::Destination;
use quell_queue::door::{Bytes, Door, DoorSettings, Effect, Incoming, Phase, Refusal, Together};
use quell_queue::dots::DotLog;
use quell_queue::ledger::Outcome;
use quell_queue::store::memory::MemoryStore;
use quell_queue::store::sqlite::SqliteStore;
use quell_queue::store::{Reader, Row, RowId, Store, StoreError};
use quell_storm::facts::{Answered, Ms, RowState};
use quell_storm::limits::Limits;

use crate::make::*;

const TO: [&str; 4] = ["a@there.example", "b@there.example", "c@there.example", "d@there.example"];

/// A server of sorts: a store, a dot log, and a door that can be killed.
struct House<S: Store> {
    store: S,
    dir: PathBuf,
    door: Door<S::Reader, u32>,
    log: DotLog,
    now: Ms,
    kid: quell_mail::id::QueueId,
    over: Vec<RowId>,
}

fn open<S: Store>(store: &S, now: Ms) -> Door<S::Reader, u32> {
    let settings = DoorSettings { limits: Limits::default(), gateway: 1 };
    let to = Box::new(|_: &str| Destination::new("there.example"));
    Door::open(store.reader().unwrap(), secret(), settings, to, Box::new(|| 11), &at(now)).unwrap()
}

impl<S: Store> House<S> {
    /// With one message for four recipients, all claimed.
    fn new(store: S, name: &str) -> (Self, Vec<Claim>) {
        let dir = std::env::temp_dir().join(format!("quell-dots-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (door, (log, _)) = (open(&store, START), DotLog::open(&dir).unwrap());
        let mut rig = Rig::new();
        let facts = rig.facts(1, 1, &TO);
        let kid = facts.queue_id;
        let mut house = Self { store, dir, door, log, now: START, kid, over: Vec::new() };
        let bytes = Bytes::Small(b"x".to_vec());
        house.door.accept(
            Incoming { facts, front: vec![], bytes, header: vec![], settles: None },
            1,
            &at(START),
        );
        house.commit();
        house.door.answered(&kid, Answered::Fine, &at(START));
        let claims = house.claims();
        assert_eq!(claims.len(), 4);
        (house, claims)
    }

    fn commit(&mut self) {
        while let Some(mut work) = self.door.take_batch() {
            let place = |i: usize| BodyRef { file: 2, offset: i as u64 * 100, len: 1 };
            let places: Vec<_> =
                work.bodies.iter().enumerate().map(|(i, b)| (b.queue_id, place(i))).collect();
            work.placed(&places);
            self.store.commit(&work.batch).unwrap();
            self.door.committed(&places, &at(self.now));
            self.effects();
        }
    }

    fn effects(&mut self) {
        for effect in self.door.effects() {
            if let Effect::DotsOver(rows) = effect {
                self.log.over(&rows);
                self.over.extend(rows);
            }
        }
    }

    fn claims(&mut self) -> Vec<Claim> {
        self.door.claim_for(&Destination::new("there.example"), 100, Together::OneMessage, &at(self.now))
    }

    fn dot(&mut self, claims: &[Claim]) {
        let rows: Vec<_> = claims.iter().map(|c| c.row().clone()).collect();
        let records = self.door.at_dot(&rows, &at(self.now));
        assert_eq!(records.len(), rows.len());
        self.log.append(&records).unwrap();
        assert!(rows.iter().all(|id| self.door.phase(id) == Some(Phase::Dot)));
    }

    fn settle(&mut self, claim: Claim, outcome: Outcome) {
        self.door.settle(claim, outcome, &at(self.now));
    }

    /// Killed, and started again after a minute. What was in memory alone is gone.
    fn restart(&mut self) {
        self.now += MINUTE;
        self.door = open(&self.store, self.now);
        let (log, left) = DotLog::open(&self.dir).unwrap();
        self.log = log;
        self.over.clear();
        self.door.restore_dots(left, &at(self.now));
        self.effects();
    }

    fn row(&self, to: &str) -> Row {
        let id = RowId { kid: self.kid, rcpt: to.to_owned() };
        self.store.reader().unwrap().row(&id).unwrap().expect("a row")
    }

    fn states(&self) -> [(RowState, u32); 4] {
        TO.map(|to| self.row(to)).map(|row| (row.state, row.sendings))
    }
}

impl<S: Store> Drop for House<S> {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

use RowState::*;

/// Runs a test on both stores.
macro_rules! on_both_stores {
    ($($name:ident),*) => {
        mod memory { use super::*; $(#[test] fn $name() { super::$name(MemoryStore::default(), concat!("m-", stringify!($name))); })* }
        mod sqlite { use super::*; $(#[test] fn $name() {
            let name = concat!("s-", stringify!($name));
            let file = std::env::temp_dir().join(format!("quell-dots-{}-{name}.sqlite", std::process::id()));
            super::$name(SqliteStore::open(&file).unwrap(), name);
            for end in ["", "-wal", "-shm"] {
                let _may_be_missing = std::fs::remove_file(format!("{}{end}", file.display()));
            }
        })* }
    };
}

on_both_stores!(
    killed_at_the_dot_is_unknown,
    what_has_an_outcome_is_over,
    a_second_restart_counts_no_second_sending,
    each_recipient_has_its_own_outcome,
    an_old_record_is_none_of_a_new_life,
    a_lost_batch_is_restored_again,
    who_wants_all_that_waits_tried_does_not_mean_what_was_sent
);

fn killed_at_the_dot_is_unknown<S: Store>(store: S, name: &str) {
    let (mut house, mut claims) = House::new(store, name);
    // The third was only opened; of the fourth the outcome was decided and not committed.
    let last = claims.pop().unwrap();
    house.dot(std::slice::from_ref(&last));
    house.dot(&claims[..2]);
    house.settle(last, Outcome::Delivered);
    house.restart();
    let claimed: Vec<_> = house.claims().into_iter().map(|c| c.row().rcpt.clone()).collect();
    assert_eq!(claimed, [TO[2]], "tried at once; the others not before that they are Unknown is durable");
    assert_eq!(house.over, []);
    house.commit();
    assert_eq!(house.states(), [(Unknown, 1), (Unknown, 1), (Waiting, 0), (Unknown, 1)]);
    assert_eq!((house.over.len(), house.log.open_records()), (3, 0));
    assert!(house.claims().is_empty(), "30 minutes");
    for to in [TO[0], TO[1], TO[3]] {
        let row = house.row(to);
        assert!(row.extra.maybe_delivered && row.next_ms == house.now + 30 * MINUTE, "{row:?}");
    }
    house.now += 30 * MINUTE;
    let again = house.claims();
    assert_eq!(again.len(), 3);
    assert!(again.iter().all(|c| c.sendings() == 1 && c.attempts() == 1 && c.search_first()));
}

fn what_has_an_outcome_is_over<S: Store>(store: S, name: &str) {
    let (mut house, claims) = House::new(store, name);
    house.dot(&claims);
    let outcomes = [Outcome::Delivered, temporary(), unknown(), failed(true)];
    for (claim, outcome) in claims.into_iter().zip(outcomes) {
        house.settle(claim, outcome);
    }
    // The commit returns, and the process dies before it hears of that.
    let work = house.door.take_batch().unwrap();
    house.store.commit(&work.batch).unwrap();
    assert_eq!(house.log.open_records(), 4);
    house.restart();
    assert_eq!((house.over.len(), house.log.open_records()), (4, 0));
    house.commit();
    assert_eq!(house.states(), [(Delivered, 1), (Waiting, 0), (Unknown, 1), (Failed, 1)]);
    house.now += 2 * MINUTE;
    let claimed: Vec<_> = house.claims().into_iter().map(|c| c.row().rcpt.clone()).collect();
    assert_eq!(claimed, [TO[1]]);
}

fn a_second_restart_counts_no_second_sending<S: Store>(store: S, name: &str) {
    let (mut house, claims) = House::new(store, name);
    house.dot(&claims);
    house.restart();
    let work = house.door.take_batch().unwrap();
    house.store.commit(&work.batch).unwrap();
    for _ in 0..3 {
        // The records are still there: nobody has said that they are over.
        house.restart();
        house.commit();
        assert_eq!(house.states(), [(Unknown, 1); 4]);
    }
}

/// LMTP: recipients that were answered are settled, the rest are Unknown.
fn each_recipient_has_its_own_outcome<S: Store>(store: S, name: &str) {
    let (mut house, claims) = House::new(store, name);
    house.dot(&claims);
    let mut claims = claims.into_iter();
    house.settle(claims.next().unwrap(), Outcome::Delivered);
    house.settle(claims.next().unwrap(), failed(false));
    house.commit();
    assert_eq!((house.over.len(), house.log.open_records()), (2, 2));
    house.settle(claims.next().unwrap(), unknown());
    house.commit();
    house.restart();
    house.commit();
    assert_eq!(house.states(), [(Delivered, 1), (Failed, 1), (Unknown, 1), (Unknown, 1)]);
    assert_eq!(house.log.open_records(), 0);
}

fn an_old_record_is_none_of_a_new_life<S: Store>(store: S, name: &str) {
    let (mut house, claims) = House::new(store, name);
    house.dot(&claims);
    for claim in claims {
        house.settle(claim, failed(false));
    }
    let work = house.door.take_batch().unwrap();
    house.store.commit(&work.batch).unwrap();
    house.door.committed(&[], &at(house.now));
    // The log never hears that the records are over.
    drop(house.door.effects());
    house.now += HOUR;
    for to in TO {
        let id = RowId { kid: house.kid, rcpt: to.to_owned() };
        house.door.retry(&id, &at(house.now)).unwrap();
    }
    house.commit();
    house.restart();
    assert_eq!(house.over.len(), 4);
    assert_eq!(house.claims().len(), 4, "a new life has not been sent");
}

fn a_lost_batch_is_restored_again<S: Store>(store: S, name: &str) {
    let (mut house, claims) = House::new(store, name);
    house.dot(&claims);
    house.restart();
    for _ in 0..2 {
        drop(house.door.take_batch().unwrap());
        house.door.failed(&StoreError::Broken("no sync".to_owned()));
        let rows: Vec<_> = TO.map(|to| RowId { kid: house.kid, rcpt: to.to_owned() }).into();
        assert_eq!(house.door.at_dot(&rows, &at(house.now)), [], "nothing goes out without a store");
        let reader = house.store.reader().unwrap();
        house.door.reopened(reader, &at(house.now)).unwrap();
        assert!(house.claims().is_empty(), "they are not known to be Unknown yet");
        house.effects();
        assert_eq!(house.over, []);
    }
    house.commit();
    assert_eq!((house.states(), house.over.len()), ([(Unknown, 1); 4], 4));
}

/// The store shows the rows as waiting until the first commit after the start.
fn who_wants_all_that_waits_tried_does_not_mean_what_was_sent<S: Store>(store: S, name: &str) {
    let (mut house, claims) = House::new(store, name);
    house.dot(&claims[..1]);
    house.restart();
    let waiting = house.door.list(&[Waiting], None, 10).unwrap();
    assert_eq!(waiting.len(), 4, "as it is stored");
    let (sent, others) = waiting.split_first().unwrap();
    assert!(house.door.is_claimed(&sent.id));
    let now = at(house.now);
    assert!(matches!(house.door.retry(&sent.id, &now), Err(Refusal::Claimed(_))));
    assert!(matches!(house.door.remove(&sent.id, false, &now), Err(Refusal::Claimed(_))));
    others.iter().for_each(|row| house.door.retry(&row.id, &now).unwrap());
    assert_eq!(house.claims().len(), 3);
    house.commit();
    assert!(house.claims().is_empty());
    assert_eq!((house.row(TO[0]).state, house.door.is_claimed(&sent.id)), (Unknown, false));
    // From here on a person may mean it.
    house.door.retry(&sent.id, &now).unwrap();
    assert_eq!(house.claims().len(), 1);
}

/// A next hop that takes every message and never answers the dot (DESIGN.md, "The ledger").
#[test]
fn a_next_hop_that_never_answers_gets_five_sendings_and_the_sender_one_report() {
    let (mut house, claims) = House::new(MemoryStore::default(), "never");
    let (mut claims, mut sent_at, mut killed) = (claims, Vec::new(), false);
    while house.row(TO[0]).state != Failed {
        sent_at.push((house.now - START) / MINUTE);
        house.dot(&claims);
        if killed {
            house.restart();
        } else {
            claims.into_iter().for_each(|c| house.settle(c, unknown()));
        }
        killed = !killed;
        house.commit();
        assert!(house.claims().is_empty());
        let due = house.row(TO[0]).next_ms;
        assert!(sent_at.len() <= 5);
        if house.row(TO[0]).state == Failed {
            break;
        }
        let early = house.now - START < 4 * HOUR;
        assert!(!early || !house.row(TO[0]).extra.report_due, "a delay is told after four hours");
        house.now = due - 1;
        assert!(house.claims().is_empty(), "too early");
        house.now = due;
        claims = house.claims();
        assert_eq!(claims.len(), 4);
    }
    // Each second one was killed, and restarted a minute later.
    assert_eq!(sent_at, [0, 30, 151, 631, 2072]);
    assert_eq!(house.states(), [(Failed, 5); 4]);
    for row in TO.map(|to| house.row(to)) {
        assert!(row.status.starts_with("4.4.2 it may have been delivered"), "{row:?}");
        assert!(row.extra.report_due && row.extra.maybe_delivered);
    }
    house.now += 30 * DAY;
    assert!(house.claims().is_empty());
}

#[test]
fn the_judge_sees_the_dot() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &["joe@there.example"]);
    let id = rig.take(facts);
    let claim = rig.claim(1).pop().unwrap();
    let back = |rig: &mut Rig| {
        let mut facts = rig.facts(1, 2, &["joe@there.example"]);
        facts.tokens = vec![token(id)];
        rig.accept(facts);
        rig.last_verdict(0)
    };
    assert_eq!(rig.door.phase(claim.row()), Some(Phase::Opened));
    let opened = back(&mut rig);
    let (now, row) = (rig.at(), claim.row().clone());
    assert_eq!(rig.door.at_dot(std::slice::from_ref(&row), &now).len(), 1);
    assert_eq!((opened.0, back(&mut rig).0), ("absorb", "refuse"), "it came back while it was being sent");
    rig.settle(claim, Outcome::Relayed { reports: false });
    rig.commit();
    assert_eq!((rig.door.phase(&row), &rig.over[..]), (None, &[row][..]));
}
