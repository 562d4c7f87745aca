//! Connections without sockets: what they hold in memory together, and what they are told.

use std::cell::RefCell;
use std::path::PathBuf;

use quell_queue::body::{LargeWriters, Spool, SpoolSettings};
use quell_storm::facts::Ms;

use quell_queue::door::Incoming;

use super::*;
use crate::directory::{DomainPlan, Plan, Population};

mod elsewhere;
mod sign_in;
mod submission;
mod tls;

const MIB: usize = 1 << 20;
const NOW: Ms = 1_795_303_244_000;

/// A world with a body store in a folder of its own.
struct Ground {
    folder: PathBuf,
    large: LargeWriters,
    _spool: Spool,
    /// What was said of refused recipients.
    refused: RefCell<Vec<String>>,
}

impl Ground {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("quell-reception-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let spool = Spool::open(&folder, [], SpoolSettings::default()).unwrap();
        Self { folder, large: spool.large_writers(), _spool: spool, refused: RefCell::default() }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl World for Ground {
    fn exists(&self, _: &str, local: &str) -> Result<bool, CannotTell> {
        if local == "broken" { Err(CannotTell("the disk".to_owned())) } else { Ok(false) }
    }

    fn room(&self, _: Option<u64>) -> bool {
        true
    }

    fn now(&self) -> Now {
        Now { ms: NOW, wall_ms: NOW, mono_ms: 0, may_expire: true }
    }

    fn queue_id(&self, _: &Now) -> Option<QueueId> {
        Some(QueueId::new(1, 0, 1))
    }

    fn begin_large(&self) -> Result<LargeWriter, SpoolError> {
        self.large.begin()
    }

    fn refused(&self, _: Refused) {}

    fn recipient_refused(&self, refused: &RefusedRecipient<'_>) {
        let RefusedRecipient { rcpt, reverse_path, source, reply } = refused;
        let source = source.map_or_else(String::new, |source| source.to_string());
        let line = format!("{rcpt} from <{reverse_path}> {source}: {}", reply.code());
        self.refused.borrow_mut().push(line);
    }
}

fn policy(memory: &Arc<Memory>) -> Arc<Policy> {
    let domain = DomainPlan {
        name: "firm.example".to_owned(),
        maildir: true,
        population: Population::Listed(["jane".to_owned()].into()),
        takes_others: false,
        catch_all: None,
    };
    let boxes =
        DomainPlan { name: "box.example".to_owned(), population: Population::Existing, ..domain.clone() };
    let asked = DomainPlan {
        name: "ask.example".to_owned(),
        maildir: false,
        population: Population::Asked,
        ..domain.clone()
    };
    let aliases = [("info@firm.example".to_owned(), vec!["Boss@ask.example".to_owned()])];
    let plan = Plan { domains: vec![domain, boxes, asked], aliases: aliases.into(), ..Plan::default() };
    Arc::new(Policy {
        hostname: "mx.firm.example".to_owned(),
        secret: Secret::new(1, [1; 32]),
        directory: Directory::new(&plan).unwrap(),
        max_header_bytes: 8 * MIB,
        spill_bytes: 256 << 10,
        max_rows: 100,
        memory: Arc::clone(memory),
    })
}

struct Client<'a> {
    reception: Reception,
    world: &'a Ground,
    /// What it was asked for, and what the door was given.
    asks: Vec<Ask>,
    given: Vec<Incoming>,
}

impl<'a> Client<'a> {
    fn new(memory: &Arc<Memory>, world: &'a Ground, inside: bool) -> Self {
        let settings = Settings { offer_dsn: true, ..Settings::new("mx.firm.example") };
        let address = [192, 0, 2, 1].into();
        let reception = Reception::new(policy(memory), Arc::new(settings), address, inside);
        Self { reception, world, asks: Vec::new(), given: Vec::new() }
    }

    /// A client that has been told 354.
    fn sending(memory: &Arc<Memory>, world: &'a Ground) -> Self {
        let mut client = Self::new(memory, world, false);
        let said =
            client.says(b"EHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<jane@firm.example>\r\nDATA\r\n");
        assert!(said.contains("\r\n354 "), "{said}");
        client
    }

    /// What the server answers; a message is taken as if the door had it.
    fn says(&mut self, mut input: &[u8]) -> String {
        loop {
            let (taken, want) = self.reception.advance(input, self.world);
            input = &input[taken..];
            match want {
                Want::Submit(submission) => {
                    let id = submission.queue_id();
                    self.given.push(submission.complete().unwrap());
                    self.reception.answered(&Answer::Accepted(id));
                }
                Want::Ask(ask) => {
                    let asked = match ask.address.split('@').next() {
                        Some("down") => Asked::CannotTell,
                        Some(known) if known.starts_with("Maria") => Asked::Exists,
                        _ => Asked::Unknown,
                    };
                    self.asks.push(ask);
                    self.reception.asked(asked, self.world);
                }
                Want::SignIn(credentials) => sign_in::answer(&mut self.reception, credentials),
                Want::ScramFor(_) => self.reception.scram(Some(sign_in::stored()), &[7; 18]),
                Want::Flush => {}
                Want::StartTls => {
                    self.reception.secured(TLS);
                    input = b"";
                }
                Want::Input | Want::Close(_) => {
                    return String::from_utf8(std::mem::take(self.reception.output())).unwrap();
                }
            }
        }
    }

    fn sends(&mut self, line: &str, bytes: usize) {
        for _ in 0..bytes / (64 << 10) {
            self.says(line.repeat((64 << 10) / line.len()).as_bytes());
        }
    }

    /// Memory that it really has.
    fn holds(&self) -> usize {
        self.reception.transaction.as_ref().map_or(0, Transaction::memory_bytes)
    }
}

const TLS: Tls = Tls { version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256" };
const FIELD: &str = "X-1234567890: 234567890123456789\r\n";
const END: &[u8] = b"\r\nbody\r\n.\r\n";

#[test]
fn headers_that_do_not_end_take_no_more_than_the_budget() {
    let (memory, world) = (Memory::new(16 * MIB), Ground::new("budget"));
    let mut clients: Vec<_> = (0..12).map(|_| Client::sending(&memory, &world)).collect();
    let mut most = 0;
    for _ in 0..3 * 16 {
        for client in &mut clients {
            client.sends(FIELD, 64 << 10);
            assert!(memory.used_bytes() <= 16 * MIB);
        }
        most = most.max(clients.iter().map(Client::holds).sum());
    }
    assert!((8 * MIB..=16 * MIB + 12 * FREE_BYTES).contains(&most), "{most}");
    let replies: Vec<_> = clients.iter_mut().map(|c| c.says(END)).collect();
    let refused = replies.iter().filter(|r| r.starts_with("452 4.3.1 ")).count();
    assert_eq!(replies.iter().filter(|r| r.starts_with("250 ")).count() + refused, 12, "{replies:?}");
    assert!((4..12).contains(&refused), "{replies:?}");
    assert_eq!(memory.used_bytes(), 0);
}

#[test]
fn what_is_refused_lets_go_at_once() {
    let (memory, world) = (Memory::new(2 * MIB), Ground::new("refused"));
    let mut client = Client::sending(&memory, &world);
    client.sends(FIELD, MIB);
    assert!(memory.used_bytes() > 0);
    client.sends(FIELD, 4 * MIB);
    assert_eq!((memory.used_bytes(), client.holds()), (0, 0));
    assert!(client.says(END).starts_with("452 4.3.1 "));
}

#[test]
fn ordinary_mail_and_large_bodies_pass_while_others_have_all() {
    let (memory, world) = (Memory::new(0), Ground::new("tight"));
    for (header, body) in [(0, 0), (0, 10 << 10), (0, 2 * MIB), (MIB / 32, MIB)] {
        let mut client = Client::sending(&memory, &world);
        client.says(FIELD.repeat(header / FIELD.len()).as_bytes());
        client.says(b"Subject: s\r\n\r\n");
        client.sends(FIELD, body);
        assert!(client.holds() <= FREE_BYTES * 2, "{}", client.holds());
        let said = client.says(END);
        assert!(said.starts_with("250 "), "{header} {body}: {said}");
    }
    let mut client = Client::sending(&memory, &world);
    client.sends(FIELD, 128 << 10);
    assert!(client.says(END).starts_with("452 4.3.1 "));
}

#[test]
fn a_share_is_given_back_however_a_transaction_ends() {
    let (memory, world) = (Memory::new(64 * MIB), Ground::new("back"));
    let begun = || {
        let mut client = Client::sending(&memory, &world);
        client.sends(FIELD, 3 * MIB);
        assert!(memory.used_bytes() >= 2 * MIB);
        client
    };
    drop(begun());
    assert_eq!(memory.used_bytes(), 0, "the connection breaks");
    let mut client = begun();
    client.says(b"\r\n");
    assert!(memory.used_bytes() < MIB, "a header that has ended is cut");
    assert!(client.says(END).starts_with("250 "));
    assert_eq!(memory.used_bytes(), 0, "accepted");
    let mut client = begun();
    client.sends(FIELD, 6 * MIB);
    assert_eq!(memory.used_bytes(), 0, "too much header");
    assert!(client.says(END).starts_with("552 5.3.4 "));
    let mut client = begun();
    client.says(b"\r\n\r\nbare\nnewline\r\n.\r\n");
    assert_eq!(memory.used_bytes(), 0, "refused for what it is");
}

#[test]
fn a_share_is_given_back_by_rset_between_chunks() {
    let (memory, world) = (Memory::new(64 * MIB), Ground::new("rset"));
    for end in ["RSET\r\n", "EHLO b\r\n", "QUIT\r\n"] {
        let mut client = Client::new(&memory, &world, false);
        client.says(b"EHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<jane@firm.example>\r\nBDAT 1048576\r\n");
        client.says(&FIELD.repeat(MIB / FIELD.len() + 1).as_bytes()[..MIB]);
        assert!(memory.used_bytes() >= MIB, "{end}");
        client.says(end.as_bytes());
        assert_eq!(memory.used_bytes(), 0, "{end}");
    }
}

#[test]
fn a_mailbox_that_cannot_be_looked_at_is_not_called_unknown() {
    let (memory, world) = (Memory::new(0), Ground::new("broken"));
    let mut client = Client::new(&memory, &world, false);
    client.says(b"EHLO a\r\nMAIL FROM:<a@b.example>\r\n");
    assert!(client.says(b"RCPT TO:<nobody@box.example>\r\n").starts_with("550 5.1.1 "));
    assert!(client.says(b"RCPT TO:<broken@box.example>\r\n").starts_with("451 4.3.0 "));
    // Listed: nobody is asked.
    assert!(client.says(b"RCPT TO:<broken@firm.example>\r\n").starts_with("550 5.1.1 "));
}

#[test]
fn whoever_asks_for_a_next_hops_recipient_is_told_apart_by_the_null_reverse_path() {
    let (memory, world) = (Memory::new(0), Ground::new("asked"));
    let mut client = Client::new(&memory, &world, false);
    client.says(b"EHLO a\r\n");
    for from in ["a@b.example", ""] {
        client.says(format!("MAIL FROM:<{from}>\r\n").as_bytes());
        assert!(client.says(b"RCPT TO:<maria@ask.example>\r\n").starts_with("550 5.1.1 "));
        client.says(b"RSET\r\n");
    }
    let from_nobody: Vec<bool> = client.asks.iter().map(|ask| ask.from_nobody).collect();
    assert_eq!(from_nobody, [false, true]);
}
