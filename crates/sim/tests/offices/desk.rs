//! The production way of a message, by a virtual clock: a session's bytes, facts, door, judge, commit, delivery.

use std::cell::Cell;
use std::sync::Arc;

use quell_mail::id::QueueId;
use quell_mail::key::Secret;
use quell_queue::body::{BodyRef, LargeWriter, SpoolError};
use quell_queue::clock::Now;
use quell_queue::destination::Destination;
use quell_queue::door::{Door, DoorSettings, Effect, Incoming, Together, Verdicts};
use quell_queue::ledger::Outcome;
use quell_queue::store::memory::{MemoryReader, MemoryStore};
use quell_queue::store::{Retention, Store};
use quell_relay::directory::{CannotTell, Directory, DomainPlan, Plan, Population};
use quell_relay::reception::{Memory, Policy, Reception, Refused, RefusedRecipient, Want, World};
use quell_sim::offices::{Office, Posting};
use quell_sim::random::Random;
use quell_storm::facts::{Answered, Facts};
use quell_storm::limits::Limits;
use quell_wire::server::Settings;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const HOSTNAME: &str = "mx.firm.example";

/// A world that has a clock, and ids.
struct Virtual {
    ms: Cell<i64>,
    began_ms: i64,
    ids: Cell<u32>,
}

impl World for Virtual {
    fn exists(&self, _: &str, _: &str) -> Result<bool, CannotTell> {
        Ok(false)
    }
    fn room(&self, _: Option<u64>) -> bool {
        true
    }
    fn now(&self) -> Now {
        let ms = self.ms.get();
        Now { ms, wall_ms: ms, mono_ms: (ms - self.began_ms).unsigned_abs(), may_expire: true }
    }
    fn queue_id(&self, now: &Now) -> Option<QueueId> {
        self.ids.set(self.ids.get() + 1);
        Some(QueueId::new(now.ms.unsigned_abs(), 1, self.ids.get() & 0x00ff_ffff))
    }
    fn begin_large(&self) -> Result<LargeWriter, SpoolError> {
        Err(SpoolError::SyncFailed("no body is so large here".to_owned()))
    }
    fn refused(&self, _: Refused) {}
    fn recipient_refused(&self, _: &RefusedRecipient<'_>) {}
}

/// What became of an arrival.
pub struct Judged {
    pub facts: Facts,
    pub verdicts: Arc<Verdicts>,
}

pub struct Desk {
    door: Door<MemoryReader, ()>,
    store: MemoryStore,
    world: Virtual,
    policy: Arc<Policy>,
    settings: Arc<Settings>,
    ticked_ms: i64,
    kept_up_ms: i64,
}

impl Desk {
    /// quell at the border of this office.
    pub fn new(office: &Office, limits: &Limits) -> Self {
        let began_ms = office.begins_ms();
        let world = Virtual { ms: Cell::new(began_ms), began_ms, ids: Cell::new(0) };
        let (store, secret) = (MemoryStore::default(), Secret::new(0, *b"an office that is not has none.."));
        let settings = DoorSettings { limits: limits.clone(), gateway: 1 };
        let mut random = Random::new(1);
        let maildir = Destination::maildir();
        let door = Door::open(
            store.reader().unwrap(),
            secret.clone(),
            settings,
            Box::new(move |_| maildir.clone()),
            Box::new(move || random.number()),
            &world.now(),
        );
        let (policy, settings) = (policy(office, secret), Arc::new(Settings::new(HOSTNAME)));
        let door = door.unwrap();
        Self { door, store, world, policy, settings, ticked_ms: began_ms, kept_up_ms: began_ms }
    }

    /// Lets one arrive, and delivers what passes.
    pub fn take(&mut self, posting: &Posting) -> Judged {
        self.comes_to(posting.ms);
        let incoming = self.received(posting);
        let (facts, queue_id, now) = (incoming.facts.clone(), incoming.facts.queue_id, self.world.now());
        self.door.accept(incoming, (), &now);
        let mut verdicts = None;
        for effect in self.door.effects() {
            if let Effect::Judged(judged) = effect {
                verdicts = Some(judged);
            }
        }
        self.write();
        self.door.answered(&queue_id, Answered::Fine, &now);
        while let Some(destination) = self.door.next_destination(&now, &mut |_, _| true) {
            for claim in self.door.claim_for(&destination, 256, Together::Any, &now) {
                self.door.settle(claim, Outcome::Delivered, &now);
            }
        }
        self.write();
        Judged { facts, verdicts: verdicts.expect("the judge says something of each") }
    }

    fn comes_to(&mut self, ms: i64) {
        self.world.ms.set(ms.max(self.world.ms.get()));
        let now = self.world.now();
        if now.ms - self.ticked_ms >= HOUR_MS / 4 {
            self.ticked_ms = now.ms;
            self.door.tick(&now);
            self.write();
        }
        if now.ms - self.kept_up_ms >= DAY_MS {
            self.kept_up_ms = now.ms;
            let forever = Retention { evidence_days: u32::MAX, ..Retention::default() };
            self.store.upkeep(now.ms, &forever).unwrap();
        }
    }

    /// The session in which it comes.
    fn received(&self, posting: &Posting) -> Incoming {
        let (policy, settings) = (Arc::clone(&self.policy), Arc::clone(&self.settings));
        let mut reception = Reception::new(policy, settings, posting.source, posting.inside);
        let session = session(posting);
        let mut input = &session[..];
        loop {
            let (taken, want) = reception.advance(input, &self.world);
            input = &input[taken..];
            match want {
                Want::Submit(submission) => {
                    let incoming = submission.complete().expect("there is room");
                    let said = String::from_utf8_lossy(reception.output()).into_owned();
                    assert!(!said.contains("\r\n5") && !said.contains("\r\n4"), "{posting:?}: {said}");
                    return incoming;
                }
                Want::Flush => {}
                Want::Input
                | Want::Ask(_)
                | Want::StartTls
                | Want::SignIn(_)
                | Want::ScramFor(_)
                | Want::Close(_) => {
                    let said = String::from_utf8_lossy(reception.output()).into_owned();
                    panic!("{posting:?} was not taken: {said}");
                }
            }
        }
    }

    fn write(&mut self) {
        while let Some(mut work) = self.door.take_batch() {
            let place = BodyRef { file: 0, offset: 0, len: 0 };
            let places: Vec<_> = work.bodies.iter().map(|body| (body.queue_id, place)).collect();
            work.placed(&places);
            work.batch.evidence.clear();
            self.store.commit(&work.batch).unwrap();
            let now = self.world.now();
            self.door.committed(&places, &now);
            self.door.effects();
        }
    }
}

fn policy(office: &Office, secret: Secret) -> Arc<Policy> {
    let mailboxes = office.mailboxes();
    let local = |address: &String| address.split('@').next().unwrap_or_default().to_owned();
    let domain = DomainPlan {
        name: "firm.example".to_owned(),
        maildir: true,
        population: Population::Listed(mailboxes.iter().map(local).collect()),
        takes_others: false,
        catch_all: None,
    };
    let plan = Plan {
        hostname: HOSTNAME.to_owned(),
        domains: vec![domain],
        postmaster: mailboxes.first().cloned(),
        aliases: office.aliases().clone(),
        address_literals: false,
    };
    Arc::new(Policy {
        hostname: HOSTNAME.to_owned(),
        secret,
        directory: Directory::new(&plan).unwrap(),
        max_header_bytes: 1 << 20,
        spill_bytes: 8 << 20,
        max_rows: 1_000,
        memory: Memory::new(64 << 20),
    })
}

fn session(posting: &Posting) -> Vec<u8> {
    let Posting { helo, reverse_path, recipients, message, .. } = posting;
    let mut text = format!("EHLO {helo}\r\nMAIL FROM:<{reverse_path}>\r\n").into_bytes();
    for recipient in recipients {
        text.extend_from_slice(format!("RCPT TO:<{recipient}>\r\n").as_bytes());
    }
    text.extend_from_slice(b"DATA\r\n");
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            text.push(b'.');
        }
        text.extend_from_slice(line);
    }
    text.extend_from_slice(b".\r\n");
    text
}
