//! A door over the store in memory, driven step by step, with a reader that can be made to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use quell_mail::id::QueueId;
use quell_mail::key::{ExactKey, LedgerKey, Secret};
use quell_queue::body::BodyRef;
use quell_queue::claim::Claim;
use quell_queue::clock::Now;
use quell_queue::destination::Destination;
use quell_queue::door::{
    Answer, Bytes, Door, DoorSettings, Effect, GivenUp, Incoming, ReportToken, Together, Verdicts, Work,
};
use quell_queue::ledger::Outcome;
use quell_queue::store::memory::{MemoryReader, MemoryStore};
use quell_queue::store::{
    Arrival, KeptBody, KeyRow, Reader, Row, RowId, Store, StoreError, StoredEvidence, StoredStorm, Tally,
};
use quell_storm::facts::{Answered, Facts, Ms, Notify, OwnToken, Recipient, RowState, Source};
use quell_storm::limits::Limits;
use quell_storm::said::Said;
use quell_storm::tell::Alert;

pub const SECOND: Ms = 1000;
pub const MINUTE: Ms = 60 * SECOND;
pub const HOUR: Ms = 60 * MINUTE;
pub const DAY: Ms = 24 * HOUR;
pub const START: Ms = 1_795_000_000_000;

/// Reads fail when this has counted down to zero.
#[derive(Clone)]
pub struct Fuse(Arc<AtomicI64>);

impl Fuse {
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MAX)))
    }

    pub fn burn_in(&self, reads: i64) {
        self.0.store(reads, Ordering::Relaxed);
    }

    pub fn repair(&self) {
        self.burn_in(i64::MAX);
    }

    fn read(&self) -> Result<(), StoreError> {
        match self.0.fetch_sub(1, Ordering::Relaxed) {
            ..=1 => Err(StoreError::Broken("the fuse has burnt".to_owned())),
            _ => Ok(()),
        }
    }
}

pub struct FusedReader(pub MemoryReader, pub Fuse);

type Read<T> = Result<T, StoreError>;

impl Reader for FusedReader {
    fn key(&self, key: &LedgerKey) -> Read<Option<KeyRow>> {
        self.1.read().and_then(|()| self.0.key(key))
    }
    fn row(&self, id: &RowId) -> Read<Option<Row>> {
        self.1.read().and_then(|()| self.0.row(id))
    }
    fn arrival(&self, kid: &QueueId, queue_id: &QueueId) -> Read<Option<Arrival>> {
        self.1.read().and_then(|()| self.0.arrival(kid, queue_id))
    }
    fn find_arrival(&self, queue_id: &QueueId) -> Read<Option<Arrival>> {
        self.1.read().and_then(|()| self.0.find_arrival(queue_id))
    }
    fn rows_of_key(&self, kid: &QueueId, after: Option<&str>, limit: usize) -> Read<Vec<Row>> {
        self.1.read().and_then(|()| self.0.rows_of_key(kid, after, limit))
    }
    fn due_from(&self, from: (Ms, RowId), limit: usize) -> Read<Vec<Row>> {
        self.1.read().and_then(|()| self.0.due_from(from, limit))
    }
    fn held_from(&self, from: (Ms, RowId), limit: usize) -> Read<Vec<Row>> {
        self.1.read().and_then(|()| self.0.held_from(from, limit))
    }
    fn due(&self, until: Ms, limit: usize) -> Read<Vec<Row>> {
        self.1.read().and_then(|()| self.0.due(until, limit))
    }
    fn list(&self, states: &[RowState], after: Option<&RowId>, limit: usize) -> Read<Vec<Row>> {
        self.1.read().and_then(|()| self.0.list(states, after, limit))
    }
    fn open_counts(&self) -> Read<Vec<(RowState, u64)>> {
        self.1.read().and_then(|()| self.0.open_counts())
    }
    fn held_counts(&self) -> Read<Vec<(String, u64)>> {
        self.1.read().and_then(|()| self.0.held_counts())
    }
    fn bodies(&self) -> Read<Vec<KeptBody>> {
        self.1.read().and_then(|()| self.0.bodies())
    }
    fn bodies_due(&self, until: Ms, limit: usize) -> Read<Vec<KeptBody>> {
        self.1.read().and_then(|()| self.0.bodies_due(until, limit))
    }
    fn owing(&self, from: &RowId, limit: usize) -> Read<Vec<Row>> {
        self.1.read().and_then(|()| self.0.owing(from, limit))
    }
    fn tally(&self, kid: &QueueId) -> Read<Tally> {
        self.1.read().and_then(|()| self.0.tally(kid))
    }
    fn storms(&self, open_only: bool, limit: usize) -> Read<Vec<StoredStorm>> {
        self.1.read().and_then(|()| self.0.storms(open_only, limit))
    }
    fn storm(&self, id: &str) -> Read<Option<StoredStorm>> {
        self.1.read().and_then(|()| self.0.storm(id))
    }
    fn evidence(&self, storm: &str) -> Read<Vec<StoredEvidence>> {
        self.1.read().and_then(|()| self.0.evidence(storm))
    }
    fn high_water(&self) -> Read<Ms> {
        self.1.read().and_then(|()| self.0.high_water())
    }
}

pub fn at(ms: Ms) -> Now {
    Now { ms, wall_ms: ms, mono_ms: ms as u64, may_expire: true }
}

pub fn source(n: u8) -> Source {
    Source {
        address: Some([192, 0, 2, n].into()),
        helo: "client.example".into(),
        inside: false,
        user: None,
        pickup: None,
    }
}

pub fn recipient(identity: &str) -> Recipient {
    Recipient {
        identity: identity.into(),
        as_given: identity.into(),
        tenant: "firm.example".into(),
        is_ours: true,
        notify: None,
        orcpt: None,
    }
}

pub fn secret() -> Secret {
    Secret::new(1, [9; 32])
}

pub type TestDoor = Door<FusedReader, u32>;

/// How a commit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Durable,
    Lost,
    /// The store says it failed, and all of it is there afterwards.
    DurableButFailed,
}

pub struct Rig {
    pub store: MemoryStore,
    pub door: TestDoor,
    pub fuse: Fuse,
    pub now: Ms,
    pub may_expire: bool,
    pub in_flight: Option<(Work, Vec<(QueueId, BodyRef)>)>,
    pub answers: Vec<(u32, Answer)>,
    pub released: Vec<BodyRef>,
    pub told: Vec<Alert>,
    pub judged: Vec<Verdicts>,
    pub commits: usize,
    /// Rows whose dots are over.
    pub over: Vec<RowId>,
    pub given_up: Vec<GivenUp>,
    ids: u32,
    tickets: u32,
    places: u64,
}

pub fn open_door(store: &MemoryStore, fuse: &Fuse, now: Ms) -> TestDoor {
    let settings = DoorSettings { limits: Limits::default(), gateway: 1 };
    let reader = FusedReader(store.reader().unwrap(), fuse.clone());
    // Our own domain's rows lie here, all others go to their domain.
    let to = |identity: &str| match identity.split_once('@') {
        Some((_, domain)) if domain != "firm.example" => Destination::new(domain),
        _ => Destination::maildir(),
    };
    let mut seed = now as u64;
    let rng = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed ^ seed >> 29
    };
    Door::open(reader, secret(), settings, Box::new(to), Box::new(rng), &at(now)).unwrap()
}

impl Rig {
    pub fn new() -> Self {
        Self::on(MemoryStore::default(), START)
    }

    pub fn on(store: MemoryStore, now: Ms) -> Self {
        let fuse = Fuse::new();
        let door = open_door(&store, &fuse, now);
        Self {
            store,
            door,
            fuse,
            now,
            may_expire: true,
            in_flight: None,
            answers: Vec::new(),
            released: Vec::new(),
            told: Vec::new(),
            judged: Vec::new(),
            commits: 0,
            over: Vec::new(),
            given_up: Vec::new(),
            ids: 0,
            tickets: 0,
            places: 0,
        }
    }

    pub fn at(&self) -> Now {
        Now { may_expire: self.may_expire, ..at(self.now) }
    }

    pub fn reader(&self) -> MemoryReader {
        self.store.reader().unwrap()
    }

    /// Facts of a new arrival; key 0 is none.
    pub fn facts(&mut self, key: u8, from: u8, recipients: &[&str]) -> Facts {
        self.ids += 1;
        Facts {
            queue_id: QueueId::new(self.now as u64, 1, self.ids),
            received_ms: self.now,
            source: source(from),
            reverse_path: "ann@client.example".into(),
            reports_to: None,
            envid: None,
            ret_full: None,
            smtputf8: false,
            size_bytes: 2000,
            exact_key: (key > 0).then_some(ExactKey([key; 32])),
            message_id: Some(format!("<{key}@client.example>")),
            hops: 3,
            tokens: Vec::new(),
            recipients: recipients.iter().map(|r| recipient(r)).collect(),
            is_author_ours: false,
            is_to_us: false,
            said: Said::default(),
        }
    }

    /// Hands an arrival in. Its ticket.
    pub fn accept(&mut self, facts: Facts) -> u32 {
        self.accept_incoming(facts, None)
    }

    /// The same of a report or a digest.
    pub fn accept_incoming(&mut self, facts: Facts, settles: Option<ReportToken>) -> u32 {
        self.accept_with(facts, settles, b"Subject: x\r\n")
    }

    /// The same with this header.
    pub fn accept_with(&mut self, facts: Facts, settles: Option<ReportToken>, header: &[u8]) -> u32 {
        self.tickets += 1;
        let bytes = Bytes::Small([header, b"\r\n"].concat());
        let front = b"Received: from x\r\n".to_vec();
        let incoming = Incoming { facts, front, bytes, header: header.to_vec(), settles };
        let now = self.at();
        self.door.accept(incoming, self.tickets, &now);
        self.drain();
        self.tickets
    }

    pub fn drain(&mut self) {
        for effect in self.door.effects() {
            match effect {
                Effect::Answer(ticket, answer) => self.answers.push((ticket, answer)),
                Effect::Release(body) => self.released.push(body),
                Effect::Tell(alert) => self.told.push(*alert),
                Effect::Judged(verdicts) => self.judged.push(verdicts.as_ref().clone()),
                Effect::DotsOver(rows) => self.over.extend(rows),
                Effect::GivenUp(row) => self.given_up.push(*row),
                Effect::StoreFailed(_) => {}
            }
        }
    }

    /// Takes a batch, if there is one and none is under way.
    pub fn begin(&mut self) -> bool {
        let Some(mut work) = self.door.take_batch() else { return false };
        let mut places = Vec::new();
        for body in &work.bodies {
            self.places += 1;
            places.push((body.queue_id, BodyRef { file: 2, offset: self.places, len: 10 }));
        }
        work.placed(&places);
        self.in_flight = Some((work, places));
        true
    }

    pub fn end(&mut self, end: End) {
        let Some((work, places)) = self.in_flight.take() else { return };
        if end != End::Lost {
            self.store.commit(&work.batch).unwrap();
            self.commits += 1;
        }
        let now = self.at();
        match end {
            End::Durable => self.door.committed(&places, &now),
            _ => self.door.failed(&StoreError::Broken("no sync".to_owned())),
        }
        self.drain();
    }

    pub fn reopen(&mut self) {
        self.fuse.repair();
        let reader = FusedReader(self.reader(), self.fuse.clone());
        let now = self.at();
        self.door.reopened(reader, &now).unwrap();
        self.drain();
    }

    /// Commits until there is nothing left to write.
    pub fn commit(&mut self) {
        self.end(End::Durable);
        while self.begin() {
            self.end(End::Durable);
        }
    }

    pub fn tick(&mut self, step: Ms) {
        self.now += step;
        let now = self.at();
        self.door.tick(&now);
        self.drain();
    }

    pub fn answered(&mut self, queue_id: QueueId) {
        let now = self.at();
        self.door.answered(&queue_id, Answered::Fine, &now);
    }

    pub fn claim(&mut self, limit: usize) -> Vec<Claim> {
        let now = self.at();
        let mut claims = Vec::new();
        while claims.len() < limit {
            let Some(destination) = self.door.next_destination(&now, &mut |_, _| true) else { break };
            let more = limit - claims.len();
            claims.extend(self.door.claim_for(&destination, more, Together::Any, &now));
        }
        claims
    }

    pub fn settle(&mut self, claim: Claim, outcome: Outcome) {
        let now = self.at();
        self.door.settle(claim, outcome, &now);
        self.drain();
    }

    /// Accepts, commits, answers.
    pub fn take(&mut self, facts: Facts) -> QueueId {
        let id = facts.queue_id;
        self.accept(facts);
        self.commit();
        self.answered(id);
        id
    }

    /// Takes a message from source 1 and ends its only attempt so.
    pub fn row_with(&mut self, key: u8, to: &str, outcome: Outcome) -> QueueId {
        let facts = self.facts(key, 1, &[to]);
        let id = self.take(facts);
        let claim = self.claim(1).pop().expect("a claim");
        self.settle(claim, outcome);
        self.commit();
        id
    }

    pub fn key(&self, key: u8) -> KeyRow {
        let key = secret().ledger_key(&ExactKey([key; 32]));
        self.reader().key(&key).unwrap().expect("the key")
    }

    pub fn kid(&self, key: u8) -> QueueId {
        self.key(key).kid
    }

    pub fn row(&self, key: u8, to: &str) -> Option<Row> {
        let id = RowId { kid: self.kid(key), rcpt: to.to_owned() };
        self.reader().row(&id).unwrap()
    }

    pub fn state(&self, key: u8, to: &str) -> RowState {
        self.row(key, to).expect("a row").state
    }

    pub fn answer(&self, ticket: u32) -> Option<&Answer> {
        let mut all = self.answers.iter().filter(|(t, _)| *t == ticket);
        let first = all.next();
        assert!(all.next().is_none(), "two answers to one arrival");
        first.map(|(_, answer)| answer)
    }

    /// Verdict and reason's name of the last arrival's `i`-th recipient.
    pub fn last_verdict(&self, i: usize) -> (&'static str, &'static str) {
        let (_, verdict, reason) = &self.judged.last().unwrap().recipients[i];
        (verdict, reason.name())
    }
}

pub fn token(queue_id: QueueId) -> OwnToken {
    OwnToken { queue_id, delivered_to_above: Vec::new() }
}

pub fn temporary() -> Outcome {
    Outcome::Temporary { status: "4.3.0 not now".to_owned() }
}

pub fn failed(about_recipient: bool) -> Outcome {
    Outcome::Failed { status: "5.1.1 no".to_owned(), about_recipient }
}

pub fn unknown() -> Outcome {
    Outcome::Unknown { status: "4.4.2 silence".to_owned() }
}

/// NOTIFY by its letters (never, success, failure, delay); `-` for none.
pub fn notify(letters: &str) -> Option<Notify> {
    let has = |letter| letters.contains(letter);
    let notify = Notify { never: has('n'), success: has('s'), failure: has('f'), delay: has('d') };
    (letters != "-").then_some(notify)
}

/// An arrival of message `key` from `path` for Jane, with NOTIFY's letters.
pub fn from(rig: &mut Rig, key: u8, path: &str, letters: &str) -> Facts {
    let mut facts = rig.facts(key, 1, &["jane@firm.example"]);
    facts.reverse_path = path.into();
    facts.recipients[0].notify = notify(letters);
    facts
}
