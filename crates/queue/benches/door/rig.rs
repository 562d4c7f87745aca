//! A door over a store, driven as the desk and the committer drive it, one part at a time.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use quell_mail::id::QueueId;
use quell_mail::key::{ExactKey, Secret};
use quell_queue::body::{BodyRef, Spool, SpoolSettings};
use quell_queue::claim::Claim;
use quell_queue::clock::Now;
use quell_queue::destination::Destination;
use quell_queue::door::{Answer, Bytes, Door, DoorSettings, Effect, Incoming, Together, Work};
use quell_queue::dots::{DotLog, DotRecord};
use quell_queue::ledger::Outcome;
use quell_queue::store::memory::MemoryStore;
use quell_queue::store::sqlite::SqliteStore;
use quell_queue::store::{RowId, Store};
use quell_storm::facts::{Answered, Facts, Recipient, Source};
use quell_storm::limits::Limits;
use quell_storm::said::Said;

/// Messages of one round: as many as about 50 sessions bring while a batch is written.
pub const ROUND: usize = 50;
/// When the first of them arrives.
const START_MS: i64 = 1_795_303_244_000;

/// Times are taken; otherwise everything runs once, to see that it runs.
pub fn is_measured() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}

/// The parts of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Looked up, judged, gathered.
    Accept,
    /// A batch made of what was gathered.
    Take,
    /// Bodies written, not synced.
    Bodies,
    /// Bodies synced.
    Sync,
    /// The ledger's transaction.
    Commit,
    /// What follows from the commit in the door: answers, rows in line.
    Committed,
    /// Answers that have gone out.
    Answered,
    /// Claims given.
    Claim,
    /// Rows at the dot, and their records made.
    Dot,
    /// The dot log: records written, and over.
    DotLog,
    /// Outcomes taken.
    Settle,
    /// The batch of outcomes, without its transaction.
    Outcomes,
    /// The transaction of outcomes.
    CommitOutcomes,
    /// Bodies let go.
    Release,
}

/// All of them, with their names.
pub const PARTS: [(Part, &str); 14] = [
    (Part::Accept, "01 accept"),
    (Part::Take, "02 take batch"),
    (Part::Bodies, "03 bodies written"),
    (Part::Sync, "04 bodies synced"),
    (Part::Commit, "05 ledger commit"),
    (Part::Committed, "06 committed"),
    (Part::Answered, "07 answered"),
    (Part::Claim, "08 claim"),
    (Part::Dot, "09 at the dot"),
    (Part::DotLog, "10 dot log"),
    (Part::Settle, "11 settle"),
    (Part::Outcomes, "12 take and commit, outcomes, door only"),
    (Part::CommitOutcomes, "13 ledger commit, outcomes"),
    (Part::Release, "14 bodies released"),
];

/// A directory that goes with the bench.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new() -> Self {
        static N: AtomicU32 = AtomicU32::new(0);
        let name = format!("door-{}-{}", std::process::id(), N.fetch_add(1, Ordering::Relaxed));
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A clock: CPU time of the thread, or of the wall.
pub type Clock = fn() -> Duration;

/// How long the wanted part took so far.
struct Watch {
    clock: Clock,
    wanted: Option<Part>,
    took: Duration,
}

impl Watch {
    fn new(clock: Clock, wanted: Option<Part>) -> Self {
        Self { clock, wanted, took: Duration::ZERO }
    }

    fn time<V>(&mut self, part: Part, work: impl FnOnce() -> V) -> V {
        if self.wanted.is_some_and(|wanted| wanted != part) {
            return work();
        }
        let begin = (self.clock)();
        let value = work();
        self.took += (self.clock)() - begin;
        value
    }
}

/// Everything between a session's facts and its next hop's answer.
pub struct Rig<S: Store> {
    store: S,
    door: Door<S::Reader, u32>,
    spool: Option<Spool>,
    dots: DotLog,
    watch: Watch,
    body: Vec<u8>,
    now_ms: i64,
    number: u32,
    places: u64,
    _dir: Dir,
}

impl Rig<MemoryStore> {
    /// Rows and bodies in memory.
    pub fn in_memory(clock: Clock, wanted: Option<Part>) -> Self {
        Self::new(MemoryStore::default(), None, Dir::new(), Watch::new(clock, wanted))
    }
}

impl Rig<SqliteStore> {
    /// Rows in SQLite, bodies in the spool, both durable.
    pub fn on_disk(clock: Clock, wanted: Option<Part>) -> Self {
        let dir = Dir::new();
        let store = SqliteStore::open(&dir.0.join("ledger.db")).unwrap();
        let mut settings = SpoolSettings::default();
        if !is_measured() {
            // A whole segment is written out when it is made.
            settings.segment_bytes = 64 << 10;
        }
        let spool = Spool::open(&dir.0.join("spool"), [], settings).unwrap();
        Self::new(store, Some(spool), dir, Watch::new(clock, wanted))
    }
}

impl<S: Store> Rig<S> {
    fn new(store: S, spool: Option<Spool>, dir: Dir, watch: Watch) -> Self {
        let settings = DoorSettings { limits: Limits::default(), gateway: 1 };
        let to = Box::new(|_: &str| Destination::new("smtp://192.0.2.1:25"));
        let mut seed = 1u64;
        let random = Box::new(move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed ^ seed >> 29
        });
        let secret = Secret::new(1, [9; 32]);
        let door = Door::open(store.reader().unwrap(), secret, settings, to, random, &at(START_MS)).unwrap();
        let (dots, _) = DotLog::open(&dir.0).unwrap();
        let body = vec![b'x'; 4096];
        Self { store, door, spool, dots, watch, body, now_ms: START_MS, number: 0, places: 0, _dir: dir }
    }

    /// Runs `rounds` of [`ROUND`] messages to one recipient each, from the facts to bodies let go.
    /// What the wanted part took (all parts, if none is named).
    pub fn rounds(&mut self, rounds: u64) -> Duration {
        self.watch.took = Duration::ZERO;
        for _ in 0..rounds {
            let ids = self.accept_round(ROUND);
            self.write();
            self.answered(&ids);
            let claims = self.claim(ROUND);
            assert_eq!(claims.len(), ROUND);
            self.deliver(claims);
            self.pass_time();
        }
        self.watch.took
    }

    /// One message to `recipients` recipients, from its facts to bodies let go.
    pub fn large_round(&mut self, recipients: usize) -> Duration {
        self.watch.took = Duration::ZERO;
        let incoming = self.incoming(self.number + 1, recipients);
        let ids = [incoming.facts.queue_id];
        self.accept(vec![incoming]);
        self.write();
        self.answered(&ids);
        let claims = self.claim(recipients);
        assert_eq!(claims.len(), recipients);
        self.deliver(claims);
        self.pass_time();
        self.watch.took
    }

    /// A message that is durable, and relayed if `relayed`; its copies have the same number.
    pub fn original(&mut self, relayed: bool) -> u32 {
        let incoming = self.incoming(self.number + 1, 1);
        let (number, ids) = (self.number, [incoming.facts.queue_id]);
        self.accept(vec![incoming]);
        self.write();
        self.answered(&ids);
        if relayed {
            let claims = self.claim(1);
            self.deliver(claims);
        }
        number
    }

    /// Takes [`ROUND`] copies of message `number`; every one must be answered at once.
    pub fn copies(&mut self, number: u32) -> Duration {
        self.watch.took = Duration::ZERO;
        let copies: Vec<_> = (0..ROUND).map(|_| self.incoming(number, 1)).collect();
        let answered = self.accept(copies);
        assert_eq!(answered, ROUND, "a copy waits");
        let took = self.watch.took;
        self.pass_time();
        took
    }

    /// The facts and bytes of a message; one with the same `content` is a copy.
    fn incoming(&mut self, content: u32, recipients: usize) -> Incoming {
        self.number += 1;
        let mut key = [7; 32];
        key[..4].copy_from_slice(&content.to_le_bytes());
        let queue_id = QueueId::new(self.now_ms.unsigned_abs(), 1, self.number);
        let facts = Facts {
            queue_id,
            received_ms: self.now_ms,
            source: Source {
                address: Some([192, 0, 2, (self.number % 5) as u8].into()),
                helo: "mail.relay.example".into(),
                inside: false,
                user: None,
                pickup: None,
            },
            reverse_path: "news@publisher.example".into(),
            reports_to: None,
            envid: None,
            ret_full: None,
            smtputf8: false,
            size_bytes: 4096,
            exact_key: Some(ExactKey(key)),
            message_id: Some(format!("<{content}.20261121232030.4711@publisher.example>")),
            hops: 6,
            tokens: Vec::new(),
            recipients: (0..recipients).map(recipient).collect(),
            is_author_ours: false,
            is_to_us: false,
            said: Said::default(),
        };
        let (front, header) = (vec![b'r'; 260], vec![b'h'; 2400]);
        Incoming { facts, front, bytes: Bytes::Small(self.body.clone()), header, settles: None }
    }

    fn accept_round(&mut self, messages: usize) -> Vec<QueueId> {
        let round: Vec<_> = (0..messages).map(|_| self.incoming(self.number + 1, 1)).collect();
        let ids = round.iter().map(|i| i.facts.queue_id).collect();
        self.accept(round);
        ids
    }

    /// How many were answered at once.
    fn accept(&mut self, round: Vec<Incoming>) -> usize {
        let (now, door) = (at(self.now_ms), &mut self.door);
        let effects = self.watch.time(Part::Accept, || {
            round.into_iter().for_each(|incoming| door.accept(incoming, 0, &now));
            door.effects()
        });
        let accepted = |e: &&Effect<u32>| matches!(e, Effect::Answer(_, Answer::Accepted(_)));
        effects.iter().filter(accepted).count()
    }

    /// Writes what was gathered, bodies too, as the committer does.
    fn write(&mut self) {
        let door = &mut self.door;
        let Some(mut work) = self.watch.time(Part::Take, || door.take_batch()) else { return };
        let places = self.write_bodies(&mut work);
        work.placed(&places);
        let store = &mut self.store;
        self.watch.time(Part::Commit, || store.commit(&work.batch)).unwrap();
        let (now, door) = (at(self.now_ms), &mut self.door);
        let effects = self.watch.time(Part::Committed, || {
            door.committed(&places, &now);
            door.effects()
        });
        drop(effects);
    }

    fn write_bodies(&mut self, work: &mut Work) -> Vec<(QueueId, BodyRef)> {
        let bodies = std::mem::take(&mut work.bodies);
        let Some(spool) = &mut self.spool else {
            let place = |n| BodyRef { file: 2, offset: n, len: 10 };
            let places: Vec<_> =
                bodies.iter().zip(self.places..).map(|(b, n)| (b.queue_id, place(n))).collect();
            self.places += places.len() as u64;
            return places;
        };
        let places = self.watch.time(Part::Bodies, || {
            let body = |bytes| if let Bytes::Small(bytes) = bytes { bytes } else { Vec::new() };
            let append = |new: quell_queue::door::NewBody| {
                (new.queue_id, spool.append(&new.queue_id, &[&new.front, &body(new.bytes)]).unwrap())
            };
            bodies.into_iter().map(append).collect()
        });
        self.watch.time(Part::Sync, || spool.sync()).unwrap();
        places
    }

    fn answered(&mut self, ids: &[QueueId]) {
        let (now, door) = (at(self.now_ms), &mut self.door);
        self.watch.time(Part::Answered, || {
            ids.iter().for_each(|id| door.answered(id, Answered::Fine, &now));
        });
    }

    fn claim(&mut self, most: usize) -> Vec<Claim> {
        let (now, door) = (at(self.now_ms), &mut self.door);
        self.watch.time(Part::Claim, || {
            let mut claims = Vec::new();
            while claims.len() < most
                && let Some(destination) = door.next_destination(&now, &mut |_, _| true)
            {
                claims.extend(door.claim_for(&destination, 100, Together::OneMessage, &now));
            }
            claims
        })
    }

    /// From the dot to bodies let go.
    fn deliver(&mut self, claims: Vec<Claim>) {
        let rows: Vec<RowId> = claims.iter().map(|claim| claim.row().clone()).collect();
        let (now, door) = (at(self.now_ms), &mut self.door);
        let records = self.watch.time(Part::Dot, || door.at_dot(&rows, &now));
        self.log_dots(&records);
        let door = &mut self.door;
        self.watch.time(Part::Settle, || {
            let relayed = Outcome::Relayed { reports: false };
            claims.into_iter().for_each(|claim| door.settle(claim, relayed.clone(), &now));
        });
        let work = self.watch.time(Part::Outcomes, || door.take_batch()).unwrap();
        let store = &mut self.store;
        self.watch.time(Part::CommitOutcomes, || store.commit(&work.batch)).unwrap();
        let door = &mut self.door;
        let effects = self.watch.time(Part::Outcomes, || {
            door.committed(&[], &now);
            door.effects()
        });
        self.carry_out(effects);
    }

    fn log_dots(&mut self, records: &[DotRecord]) {
        let dots = &mut self.dots;
        self.watch.time(Part::DotLog, || dots.append(records)).unwrap();
    }

    fn carry_out(&mut self, effects: Vec<Effect<u32>>) {
        for effect in effects {
            let (dots, spool) = (&mut self.dots, &mut self.spool);
            match effect {
                Effect::DotsOver(rows) => self.watch.time(Part::DotLog, || dots.over(&rows)),
                Effect::Release(body) => self.watch.time(Part::Release, || {
                    spool.as_mut().map_or(Ok(()), |spool| spool.release(&body)).unwrap();
                }),
                _ => {}
            }
        }
    }

    /// Twenty milliseconds, and what the door does about once a second.
    fn pass_time(&mut self) {
        self.now_ms += 20;
        if self.now_ms % 1000 < 20 {
            self.door.tick(&at(self.now_ms));
            let took = self.watch.took;
            self.write();
            self.watch.took = took;
        }
    }
}

fn recipient(n: usize) -> Recipient {
    let address = format!("solicitor{n}@firm{}.example", n % 97);
    Recipient {
        identity: address.clone(),
        tenant: address.rsplit('@').next().unwrap_or_default().to_owned(),
        is_ours: true,
        as_given: address,
        notify: None,
        orcpt: None,
    }
}

fn at(ms: i64) -> Now {
    Now { ms, wall_ms: ms, mono_ms: ms.unsigned_abs(), may_expire: true }
}
