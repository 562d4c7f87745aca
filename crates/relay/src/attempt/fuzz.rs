//! A caller of [`Attempt`] for fuzz targets, property tests and tables. It ends in an assertion where
//! a promise is broken, and nowhere else.

#![allow(clippy::expect_used)] // A harness: what cannot be set up ends the test.

use std::net::IpAddr;
use std::sync::Arc;

use quell_mail::id::QueueId;
use quell_mail::key::Secret;
use quell_queue::body::BodyRef;
use quell_queue::claim::Claim;
use quell_queue::clock::Now;
use quell_queue::destination::Destination;
use quell_queue::door::{Bytes, Door, DoorSettings, Incoming, Together};
use quell_queue::store::Store;
use quell_queue::store::memory::MemoryStore;
use quell_storm::facts::{Answered, Facts, Recipient, Source};
use quell_storm::limits::Limits;
use quell_storm::said::Said;
use quell_wire::client::EightBit;

use super::{Attempt, Content, Sending, Target};
use crate::route::{Cleared, DnsError, NextHop, Own, SMTP_PORT};
use crate::tls::dane::{Found, Tlsa};
use crate::tls::sts::{Mode, Policy};
use crate::tls::{Level, Rule, Rules};

mod driver;

pub use driver::{Does, Driver, Event, World};

/// When the messages of these tests arrive, milliseconds since 1970.
const START_MS: i64 = 1_795_000_000_000;

/// How these tests send, unless they say otherwise.
pub fn sending() -> Sending {
    Sending {
        our_name: "me.example".to_owned(),
        eightbit: EightBit::Send,
        max_recipients: 100,
        port: SMTP_PORT,
        address_literals: true,
        own: Own { names: vec!["me.example".to_owned()], ..Own::default() },
        tls: Rules::default(),
        mta_sts: false,
        dane: false,
    }
}

/// A message of ASCII.
pub fn content() -> Content {
    Content { size_bytes: 20, eight_bit: false, header_non_ascii: false }
}

/// The facts of an arrival for these recipients.
pub fn facts(number: u32, recipients: &[&str]) -> Facts {
    let recipient = |address: &&str| Recipient {
        identity: (*address).to_owned(),
        as_given: (*address).to_owned(),
        tenant: "firm.example".to_owned(),
        is_ours: true,
        notify: None,
        orcpt: None,
    };
    Facts {
        queue_id: QueueId::new(START_MS.unsigned_abs(), 1, number),
        received_ms: START_MS,
        source: Source {
            address: None,
            helo: "client.example".to_owned(),
            inside: true,
            user: None,
            pickup: None,
        },
        reverse_path: "ann@client.example".to_owned(),
        reports_to: None,
        envid: None,
        ret_full: None,
        smtputf8: false,
        size_bytes: 2000,
        exact_key: None,
        message_id: None,
        hops: 1,
        tokens: Vec::new(),
        recipients: recipients.iter().map(recipient).collect(),
        is_author_ours: false,
        is_to_us: false,
        said: Said::default(),
    }
}

/// The same claims, which may go anywhere.
pub fn cleared(claims: Vec<Claim>) -> Vec<Cleared> {
    claims.into_iter().map(Cleared::anywhere).collect()
}

/// Claims of an arrival: through a door of its own, for only a door gives them.
pub fn claims(facts: Facts) -> Vec<Claim> {
    let now = Now { ms: START_MS, wall_ms: START_MS, mono_ms: 0, may_expire: true };
    let mut store = MemoryStore::default();
    let settings = DoorSettings { limits: Limits::default(), gateway: 1 };
    let reader = store.reader().expect("a reader");
    let secret = Secret::new(1, [9; 32]);
    let mut door: Door<_, ()> =
        Door::open(reader, secret, settings, Box::new(|_| Destination::maildir()), Box::new(|| 7), &now)
            .expect("a door");
    let (queue_id, count) = (facts.queue_id, facts.recipients.len());
    let bytes = Bytes::Small(b"Subject: x\r\n\r\n".to_vec());
    door.accept(Incoming { facts, front: vec![], bytes, header: vec![], settles: None }, (), &now);
    while let Some(mut work) = door.take_batch() {
        let place = |offset| BodyRef { file: 2, offset, len: 10 };
        let places: Vec<_> = work.bodies.iter().zip(1..).map(|(body, n)| (body.queue_id, place(n))).collect();
        work.placed(&places);
        store.commit(&work.batch).expect("a commit");
        door.committed(&places, &now);
    }
    door.answered(&queue_id, Answered::Fine, &now);
    door.claim_for(&Destination::maildir(), count, Together::OneMessage, &now)
}

/// Servers and a DNS that do what bytes say, and all that is expected when there are none left.
struct Bytewise<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

/// What a server may say that is not expected.
const REPLIES: [&str; 22] = [
    "250 ok",
    "450 4.2.1 later",
    "550 5.1.1 nobody",
    "421 4.3.2 stopping",
    "354 go",
    "452 4.5.3 too many",
    "452 too many",
    "552 5.2.2 full",
    "220 mx",
    "521 no mail",
    "503 what",
    "250-two\r\n550 codes",
    "hello",
    "250-mx\r\n250 PIPELINING",
    "250-mx\r\n250-PIPELINING\r\n250 SIZE 10",
    "500 what",
    "250-mx\r\n250 LIMITS RCPTMAX=1",
    "550 5.6.7 no UTF-8",
    "334 x",
    "451 4.7.1 greylisted",
    "250-mx\r\n250 STARTTLS",
    "454 4.7.0 no TLS now",
];

impl Bytewise<'_> {
    fn byte(&mut self) -> u8 {
        self.bytes.next().copied().unwrap_or(0)
    }
}

impl World for Bytewise<'_> {
    fn mx(&mut self, _domain: &str) -> Result<Vec<(u16, String)>, DnsError> {
        match self.byte() {
            byte @ 0..200 => {
                let record = |n: u8| (u16::from(byte >> (n % 4) & 3) * 10, format!("h{n}.example"));
                Ok((0..byte % 13).map(record).collect())
            }
            200..220 => Err(DnsError::NoRecords),
            220..230 => Err(DnsError::NoSuchDomain),
            230..240 => Ok(vec![(10, ".".to_owned())]),
            240..250 => Ok(vec![(10, "me.example".to_owned()), (self.byte().into(), "h.example".to_owned())]),
            250.. => Err(DnsError::Trouble("timed out".to_owned())),
        }
    }

    fn addresses(&mut self, _host: &str) -> Result<Vec<IpAddr>, DnsError> {
        match self.byte() {
            byte @ 0..220 => Ok((0..=byte % 12).map(|n| IpAddr::from([127, 0, byte / 12, n])).collect()),
            220..230 => Err(DnsError::NoRecords),
            230..240 => Err(DnsError::NoSuchDomain),
            240.. => Err(DnsError::Trouble("timed out".to_owned())),
        }
    }

    fn policy(&mut self, _domain: &str) -> Option<Policy> {
        let mx = match self.byte() {
            0..150 => return None,
            150..200 => vec!["*.example".to_owned()],
            200.. => vec!["h0.example".to_owned(), "h1.example".to_owned()],
        };
        Some(Policy { mode: Mode::Enforce, mx, max_age_secs: 1 })
    }

    fn tlsa(&mut self, _host: &str) -> Result<Found, String> {
        let record = |usage| Tlsa { usage, selector: 1, matching: 1, data: vec![0; 32] };
        match self.byte() {
            0..150 => Ok(Found::Nothing),
            byte @ 150..230 => Ok(Found::Proven(vec![record(byte % 4)])),
            230.. => Err("the DNS answered SERVFAIL".to_owned()),
        }
    }

    fn happens(&mut self, _at: &Target, event: &Event) -> Does {
        let byte = self.byte();
        let own_step = matches!(event, Event::Body | Event::Record | Event::Connect | Event::Handshake);
        match byte {
            0..120 => Does::Goes,
            120..130 if *event == Event::Connect => Does::Declines,
            120..230 if own_step => Does::Goes,
            120..230 => Does::Says(REPLIES[usize::from(byte) % REPLIES.len()].to_owned()),
            230..232 => Does::Ours,
            232 => Does::Stops,
            233..235 => Does::Says("421 4.3.2 stopping".to_owned()),
            235 => Does::Late,
            236..245 => Does::Hangs,
            245.. => Does::Closes,
        }
    }
}

/// Two messages for one destination, in a world that the bytes make: every promise of
/// [`super`] is held.
pub fn fuzz_attempt(bytes: &[u8]) {
    let [policy, count, script @ ..] = bytes else { return };
    let levels = [None, Some(Level::Never), Some(Level::Encrypt), Some(Level::Require)];
    let level = levels[usize::from(count >> 6)];
    let destination = match policy % 6 {
        0 => "smtp://127.0.0.2:25",
        1 => "lmtp://127.0.0.2:24",
        2 => "smtp://smart.example:25",
        3 => "lmtp:///run/lmtp",
        4 => "smtps://127.0.0.2:465",
        _ => "b.example",
    };
    let next_hop = NextHop::of_destination(&Destination::new(destination));
    let listens = vec!["127.0.3.4:25".parse().expect("an address")];
    let sending = Arc::new(Sending {
        eightbit: if policy & 32 != 0 { EightBit::Bounce } else { EightBit::Send },
        max_recipients: usize::from(policy >> 6) + 1,
        own: Own { listens, ..sending().own },
        tls: Rules { others: Rule { level, ..Rule::default() }, ..Rules::default() },
        mta_sts: policy & 16 != 0,
        dane: policy & 8 != 0,
        ..sending()
    });
    let (mut world, mut driver) = (Bytewise { bytes: script.iter() }, Driver::default());
    let message = |number: u32, recipients: u8| {
        let addresses = ["a@b.example", "\u{e9}@b.example", "c@b.example", "d@b.example", "a b@x"];
        let mut facts = facts(number, &addresses[..usize::from(recipients) % 6]);
        facts.smtputf8 = count & 64 != 0;
        let content = Content { eight_bit: count & 64 != 0, header_non_ascii: count & 128 != 0, ..content() };
        let claims = if facts.recipients.is_empty() { vec![] } else { claims(facts) };
        (claims, content)
    };
    let (claims, content) = message(1, count & 7);
    driver.expects(&claims);
    let mut attempt = Attempt::new(sending, next_hop, cleared(claims), content, u64::from(*policy));
    let text = b".x\r\n\n.\ny";
    if driver.drive(&mut attempt, text, &mut world) {
        let (claims, content) = message(2, count >> 3 & 7);
        driver.expects(&claims);
        assert!(attempt.begin(cleared(claims), content, 1).is_ok(), "begun at Done");
        if driver.drive(&mut attempt, text, &mut world) {
            attempt.quit();
            driver.expects(&[]);
            assert!(!driver.drive(&mut attempt, text, &mut world), "over after QUIT");
        }
    }
}
