//! A door with mail behind it, to ask.

use quell_mail::id::QueueId;
use quell_mail::key::{ExactKey, Secret};
use quell_queue::body::BodyRef;
use quell_queue::claim::Claim;
use quell_queue::clock::Now;
use quell_queue::destination::Destination;
use quell_queue::door::{Bytes, Door, DoorSettings, Incoming, Together};
use quell_queue::ledger::Outcome;
use quell_queue::store::memory::MemoryStore;
use quell_queue::store::{Batch, Reader, RowWrite, Store};
use quell_storm::facts::{Answered, Facts, Ms, Recipient, RowState, Source};
use quell_storm::limits::Limits;
use quell_storm::said::Said;

use super::{Request, Response, run};

pub const NOW: Ms = 1_795_000_000_000;

pub struct Bench<S: Store> {
    pub store: S,
    pub door: Door<S::Reader, u32>,
    pub ms: Ms,
    made: u32,
}

pub fn settings() -> DoorSettings {
    DoorSettings { limits: Limits::default(), gateway: 0 }
}

impl Bench<MemoryStore> {
    pub fn new() -> Self {
        Self::on(MemoryStore::default(), Secret::new(1, [5; 32]), NOW)
    }
}

impl<S: Store> Bench<S> {
    pub fn on(store: S, secret: Secret, ms: Ms) -> Self {
        let mut n = 0;
        let rng = Box::new(move || {
            n += 7;
            n
        });
        let now = Now { ms, wall_ms: ms, mono_ms: 0, may_expire: true };
        let door = {
            let to = Box::new(|_: &str| Destination::maildir());
            Door::open(store.reader().unwrap(), secret, settings(), to, rng, &now).unwrap()
        };
        Self { store, door, ms, made: 0 }
    }

    pub fn now(&self) -> Now {
        Now { ms: self.ms, wall_ms: self.ms, mono_ms: 0, may_expire: true }
    }

    /// A message with key `key`, stored or absorbed, answered, and ready to be delivered.
    pub fn arrive(&mut self, key: u8, to: &[&str]) -> QueueId {
        self.arrive_saying(key, to, Said::default())
    }

    /// A message with key `key` that a server has read from a mailbox and put back: the first passes, all
    /// further ones to the same recipient are held.
    pub fn put_back(&mut self, key: u8, to: &[&str]) -> QueueId {
        let header = b"Received: from server.solicitor.local ([203.0.113.5]) by smtp.telecom.example with ESMTP id B; Sat, 10 Dec 2005 09:15:02 +0000\r\n\
            Received: from mail pickup service by server.solicitor.local with Microsoft SMTPSVC; Sat, 10 Dec 2005 09:15:01 +0000\r\n\
            Received: from out.publisher.example by pop.provider.example with ESMTP id C; Sat, 10 Dec 2005 09:00:02 +0000\r\n\
            Received: from app.publisher.example by out.publisher.example with ESMTP id A; Sat, 10 Dec 2005 09:00:01 +0000\r\n\
            From: news@publisher.example\r\nSubject: The new guide\r\n";
        let body = b"The new guide to conveyancing is out, and it can be had from our office.\r\n";
        self.arrive_saying(key, to, Said::read(header, body, "news@publisher.example"))
    }

    fn arrive_saying(&mut self, key: u8, to: &[&str], said: Said) -> QueueId {
        self.made += 1;
        let queue_id = QueueId::new(self.ms as u64, 0, self.made);
        let recipient = |address: &&str| Recipient {
            identity: address.to_string(),
            as_given: address.to_string(),
            tenant: address.rsplit('@').next().unwrap().to_owned(),
            is_ours: true,
            notify: None,
            orcpt: None,
        };
        let facts = Facts {
            queue_id,
            received_ms: self.ms,
            source: Source {
                address: Some([192, 0, 2, 1].into()),
                helo: "a.example".into(),
                inside: false,
                user: None,
                pickup: None,
            },
            reverse_path: "ann@client.example".into(),
            reports_to: None,
            envid: None,
            ret_full: None,
            smtputf8: false,
            size_bytes: 2048,
            exact_key: Some(ExactKey([key; 32])),
            message_id: Some(format!("<{key}@client.example>")),
            hops: 1,
            tokens: Vec::new(),
            recipients: to.iter().map(recipient).collect(),
            is_author_ours: false,
            is_to_us: false,
            said,
        };
        let header = b"Subject: \x1b[31mred\r\n".to_vec();
        let incoming =
            Incoming { facts, front: Vec::new(), bytes: Bytes::Small(b"x".to_vec()), header, settles: None };
        let now = self.now();
        self.door.accept(incoming, self.made, &now);
        self.commit();
        self.door.answered(&queue_id, Answered::Fine, &now);
        self.commit();
        queue_id
    }

    /// Holds the rows of a message for `storm`, as the door writes it; the rows of one key lie together.
    pub fn hold(&mut self, key: u8, to: &[&str], storm: &str) -> QueueId {
        let id = self.arrive(key, to);
        let reader = self.store.reader().unwrap();
        let rows = reader.rows_of_key(&id, None, to.len()).unwrap().into_iter().map(|mut row| {
            (row.state, row.since_ms) = (RowState::Held, self.ms);
            row.extra.held_for = Some("a_test".into());
            row.extra.storm = Some(storm.to_owned());
            row.extra.author = Some("Ann <ann@client.example>".into());
            row.extra.subject = Some("A test".into());
            RowWrite::Step(row)
        });
        self.store.commit(&Batch { rows: rows.collect(), ..Batch::default() }).unwrap();
        let now = self.now();
        self.door.reopened(self.store.reader().unwrap(), &now).unwrap();
        id
    }

    /// A storm of copies of message 1. Its id.
    pub fn storm(&mut self) -> String {
        for _ in 0..8 {
            self.arrive(1, &["jane@firm.example"]);
        }
        self.door.storms(1).unwrap()[0].id.to_string()
    }

    pub fn commit(&mut self) {
        let now = self.now();
        while let Some(mut work) = self.door.take_batch() {
            let at = |i: usize| BodyRef { file: 2, offset: i as u64 * 100, len: 1 };
            let places: Vec<_> = work.bodies.iter().enumerate().map(|(i, b)| (b.queue_id, at(i))).collect();
            work.placed(&places);
            self.store.commit(&work.batch).unwrap();
            self.door.committed(&places, &now);
            self.door.effects();
        }
    }

    pub fn claims(&mut self) -> Vec<Claim> {
        let now = self.now();
        self.door.claim_for(&Destination::maildir(), 100_000, Together::Any, &now)
    }

    /// All that is ready ends so.
    pub fn deliver(&mut self, outcome: &Outcome) {
        for claim in self.claims() {
            let now = self.now();
            self.door.settle(claim, outcome.clone(), &now);
        }
        self.commit();
    }

    /// Asks; what it changed is durable. The answer has gone through JSON, as it does in service.
    pub fn ask(&mut self, request: &Request) -> Response {
        let request: Request = serde_json::from_str(&serde_json::to_string(request).unwrap()).unwrap();
        let now = self.now();
        let answer = run(&mut self.door, &request, &now);
        self.commit();
        let text = serde_json::to_string(&answer).unwrap();
        let back: Response = serde_json::from_str(&text).unwrap();
        assert_eq!(back, answer);
        answer
    }
}
