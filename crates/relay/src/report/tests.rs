use mail_parser::{MessageParser, MimeHeaders};
use quell_mail::key::Secret;
use quell_queue::body::BodyRef;
use quell_queue::destination::Destination;
use quell_queue::door::{Answer, Bytes, Door, DoorSettings, Effect, Together};
use quell_queue::ledger::Outcome;
use quell_queue::store::memory::{MemoryReader, MemoryStore};
use quell_queue::store::{Reader, RowId, Store};
use quell_storm::facts::{Answered, Facts, Ms, Notify, Recipient, RowState, Source};
use quell_storm::said::Said;

use super::*;
use crate::directory::{CannotTell, Directory, DomainPlan, Plan, Population};
use crate::reception::Memory;

const START: Ms = 1_795_303_244_000;
const HOUR: Ms = 3_600_000;
const MESSAGE: &[u8] = b"From: ann@client.example\r\nTo: max@other.example\r\nSubject: offer\r\n\
    Message-ID: <1@client.example>\r\n\r\nHello\r\n";

fn at(ms: Ms) -> Now {
    Now { ms, wall_ms: ms, mono_ms: ms as u64, may_expire: true }
}

fn policy() -> Policy {
    let domain = DomainPlan {
        name: "firm.example".to_owned(),
        maildir: true,
        population: Population::Existing,
        takes_others: false,
        catch_all: None,
    };
    Policy {
        hostname: "mx.firm.example".to_owned(),
        secret: Secret::new(1, [1; 32]),
        directory: Directory::new(&Plan { domains: vec![domain], ..Plan::default() }).unwrap(),
        max_header_bytes: 1 << 20,
        spill_bytes: 1 << 20,
        max_rows: 100,
        memory: Memory::new(1 << 20),
    }
}

/// A door over the store in memory.
struct House {
    store: MemoryStore,
    door: Door<MemoryReader, u32>,
    now: Ms,
    answers: Vec<Answer>,
    ids: u32,
}

impl House {
    fn new() -> Self {
        let store = MemoryStore::default();
        let settings = DoorSettings { limits: Default::default(), gateway: 1 };
        let secret = Secret::new(1, [1; 32]);
        let to = Box::new(|_: &str| Destination::new("other.example"));
        let door =
            Door::open(store.reader().unwrap(), secret, settings, to, Box::new(|| 7), &at(START)).unwrap();
        Self { store, door, now: START, answers: Vec::new(), ids: 0 }
    }

    fn id(&mut self) -> QueueId {
        self.ids += 1;
        QueueId::new(self.now as u64, 1, self.ids)
    }

    fn commit(&mut self) {
        while let Some(mut work) = self.door.take_batch() {
            let bodies = work.bodies.iter();
            let places: Vec<_> = bodies
                .map(|b| (b.queue_id, BodyRef { file: 1, offset: b.queue_id.ms() as u64, len: 9 }))
                .collect();
            work.placed(&places);
            self.store.commit(&work.batch).unwrap();
            self.door.committed(&places, &at(self.now));
        }
        let answers = self.door.effects().into_iter().filter_map(|effect| match effect {
            Effect::Answer(_, answer) => Some(answer),
            _ => None,
        });
        self.answers.extend(answers);
    }

    fn accept(&mut self, incoming: Incoming) -> QueueId {
        let id = incoming.facts.queue_id;
        self.door.accept(incoming, 1, &at(self.now));
        self.commit();
        assert_eq!(self.answers.pop(), Some(Answer::Accepted(id)));
        self.door.answered(&id, Answered::Fine, &at(self.now));
        id
    }

    /// Takes a message from `reverse_path` and ends an attempt after `age`.
    fn message(&mut self, reverse_path: &str, notify: Option<Notify>, age: Ms, outcome: Outcome) {
        let facts = Facts {
            queue_id: self.id(),
            received_ms: self.now,
            source: Source {
                address: Some([192, 0, 2, 1].into()),
                helo: String::new(),
                inside: true,
                user: None,
                pickup: None,
            },
            reverse_path: reverse_path.to_owned(),
            reports_to: None,
            envid: Some("QQ+2B1".to_owned()),
            ret_full: None,
            smtputf8: !reverse_path.is_ascii(),
            size_bytes: MESSAGE.len() as u64,
            exact_key: None,
            message_id: None,
            hops: 1,
            tokens: Vec::new(),
            recipients: vec![Recipient {
                identity: "max@other.example".to_owned(),
                as_given: "Max@Other.example".to_owned(),
                tenant: "other.example".to_owned(),
                is_ours: false,
                notify,
                orcpt: None,
            }],
            is_author_ours: false,
            is_to_us: false,
            said: Said::default(),
        };
        let (bytes, header) = (Bytes::Small(MESSAGE.to_vec()), Vec::new());
        self.accept(Incoming { facts, front: Vec::new(), bytes, header, settles: None });
        self.now += age;
        self.attempt(outcome);
    }

    fn attempt(&mut self, outcome: Outcome) {
        let to = Destination::new("other.example");
        for claim in self.door.claim_for(&to, 9, Together::Any, &at(self.now)) {
            self.door.settle(claim, outcome.clone(), &at(self.now));
        }
        self.commit();
    }

    fn job(&mut self) -> Option<ReportJob> {
        self.door.reports_due(&at(self.now), 9).pop()
    }
}

fn failed() -> Outcome {
    Outcome::Failed { status: "5.1.1 550 no such user".to_owned(), about_recipient: true }
}

fn temporary() -> Outcome {
    Outcome::Temporary { status: "4.4.1 no connection".to_owned() }
}

fn nobody(_: &str, _: &str) -> Result<bool, CannotTell> {
    Ok(false)
}

fn made(house: &mut House, original: &[u8], exists: &Exists<'_>) -> Result<Incoming, NotMade> {
    let (job, id) = (house.job().expect("a job"), house.id());
    make(job, Original { bytes: original, whole: true }, &policy(), exists, id, &at(house.now))
}

#[test]
fn a_failure_becomes_a_report_that_pays_and_is_never_reported_on() {
    let mut house = House::new();
    house.message("ann@client.example", None, 0, failed());
    let incoming = made(&mut house, MESSAGE, &nobody).unwrap();
    let facts = incoming.facts.clone();
    assert_eq!((facts.reverse_path.as_str(), facts.source.id().0.as_str()), ("", "self"));
    assert_eq!(facts.recipients[0].identity, "ann@client.example");
    assert!(facts.exact_key.is_some() && !facts.smtputf8);
    let front = String::from_utf8(incoming.front.clone()).unwrap();
    assert!(front.starts_with("Received: by mx.firm.example with ESMTP\r\n"), "{front}");
    assert!(front.contains("for <ann@client.example>"), "{front}");
    let Bytes::Small(bytes) = &incoming.bytes else { panic!("small") };
    let message = MessageParser::new().parse(bytes).unwrap();
    assert_eq!(message.message_id(), Some(format!("{}@mx.firm.example", facts.queue_id).as_str()));
    let status = message.attachment(0).unwrap().text_contents().unwrap();
    for line in [
        "Original-Envelope-Id: QQ+1",
        "Final-Recipient: rfc822; Max@Other.example",
        "Action: failed",
        "Status: 5.1.1",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user",
    ] {
        assert!(status.contains(line), "{status}");
    }
    assert!(message.attachment(1).unwrap().is_message(), "the original");
    let id = house.accept(incoming);
    assert_eq!(house.door.report_counts().made, 1);
    assert!(house.job().is_none());
    house.attempt(failed());
    let row = RowId { kid: id, rcpt: "ann@client.example".to_owned() };
    let kid = house.store.reader().unwrap().find_arrival(&id).unwrap().unwrap().kid;
    assert_eq!(kid, row.kid);
    assert_eq!(house.store.reader().unwrap().row(&row).unwrap().unwrap().state, RowState::Failed);
    house.now += 48 * HOUR;
    assert!(house.job().is_none());
}

#[test]
fn a_delay_is_told_to_people_and_not_to_machines() {
    let list = [b"List-Id: <x.example>\r\n", MESSAGE].concat();
    for (original, told) in [(MESSAGE, true), (&list[..], false), (&b""[..], false)] {
        let mut house = House::new();
        house.message("ann@client.example", None, 5 * HOUR, temporary());
        // Others may be delayed with it.
        house.now += HOUR / 12;
        match made(&mut house, original, &nobody) {
            Ok(incoming) => {
                assert!(told);
                house.accept(incoming);
            }
            Err(NotMade { token, why }) => {
                assert_eq!((told, &why), (false, &Why::Automatic));
                house.door.report_dropped(token, &at(house.now));
                house.commit();
            }
        }
        house.now += HOUR;
        house.attempt(temporary());
        assert!(house.job().is_none(), "not again");
    }
}

#[test]
fn a_sender_who_cannot_be_told_is_said_so() {
    let mut house = House::new();
    house.message("ghost@firm.example", None, 0, failed());
    let broken = |_: &str, _: &str| Err(CannotTell("the disk".to_owned()));
    let not = made(&mut house, MESSAGE, &broken).unwrap_err();
    assert!(not.is_for_now());
    house.door.report_later(not.token, &at(house.now));
    assert!(house.job().is_none());
    house.now += HOUR;
    let not = made(&mut house, MESSAGE, &nobody).unwrap_err();
    assert_eq!(not.why, Why::NoRecipient(OwnMailError::Nobody));
    assert!(!not.is_for_now());
    house.door.report_dropped(not.token, &at(house.now));
    house.commit();
    house.now += 48 * HOUR;
    assert!(house.job().is_none());
    assert_eq!(house.door.report_counts().dropped, 1);
    // Somebody of ours who is there is told.
    house.message("jane@firm.example", None, 0, failed());
    let incoming = made(&mut house, b"", &|_, local| Ok(local == "jane")).unwrap();
    assert_eq!(incoming.facts.recipients[0].tenant, "firm.example");
}

#[test]
fn success_is_told_with_the_header_only() {
    let success = Some(Notify { success: true, ..Notify::default() });
    let mut house = House::new();
    house.message("j\u{f6}rg@client.example", success, 0, Outcome::Relayed { reports: false });
    let incoming = made(&mut house, MESSAGE, &nobody).unwrap();
    assert!(incoming.facts.smtputf8, "an address in UTF-8");
    assert!(String::from_utf8(incoming.front.clone()).unwrap().contains("with UTF8SMTP"));
    let Bytes::Small(bytes) = &incoming.bytes else { panic!("small") };
    let message = MessageParser::new().parse(bytes).unwrap();
    let last = message.attachment(1).unwrap();
    assert_eq!(last.content_type().unwrap().subtype(), Some("rfc822-headers"));
    assert!(message.attachment(0).unwrap().text_contents().unwrap().contains("Action: relayed"));
    house.accept(incoming);
}
