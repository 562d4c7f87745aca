//! A caller that does what an attempt says, with servers that answer as they are told.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

use quell_queue::claim::Claim;
use quell_queue::ledger::Outcome;
use quell_queue::store::RowId;
use quell_wire::client::fuzz::assert_one_reading;
use quell_wire::client::{Lost, Starttls};

use crate::attempt::{Attempt, GivenBack, MAX_TARGETS, Reached, Settled, Step, Target};
use crate::route::DnsError;
use crate::tls::dane::Found;
use crate::tls::sts::Policy;

/// Steps of one message: more than any needs.
const MAX_STEPS: usize = 20_000;

/// What the world is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A connection is to be made.
    Connect,
    /// A handshake begins.
    Handshake,
    /// The greeting is due.
    Greeting,
    /// A command was sent.
    Command(String),
    /// The message is about to be sent.
    Body,
    /// The dot is to be written down.
    Record,
    /// The message has been sent to its end: the answer for all, or (LMTP) for one.
    Message(Option<String>),
}

/// What the world does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    /// What is expected.
    Goes,
    /// The server says this, without the line end.
    Says(String),
    /// The connection is closed, or refused.
    Closes,
    /// Nothing comes.
    Hangs,
    /// Trouble of our own with the message.
    Ours,
    /// The server stops.
    Stops,
    /// We do not connect.
    Declines,
    /// Nothing comes until the time for the message is over.
    Late,
}

/// Servers and their names.
pub trait World {
    /// MX records.
    fn mx(&mut self, domain: &str) -> Result<Vec<(u16, String)>, DnsError>;
    /// Addresses.
    fn addresses(&mut self, host: &str) -> Result<Vec<IpAddr>, DnsError>;
    /// The policy that is in force.
    fn policy(&mut self, _domain: &str) -> Option<Policy> {
        None
    }
    /// TLSA records.
    fn tlsa(&mut self, _host: &str) -> Result<Found, String> {
        Ok(Found::Nothing)
    }
    /// What happens at a server.
    fn happens(&mut self, at: &Target, event: &Event) -> Does;
    /// These rows are at the dot: false if that cannot be written down.
    fn write_down(&mut self, rows: &[RowId]) -> bool {
        !rows.is_empty()
    }
}

/// Drives attempts, and holds them to their promises.
#[derive(Debug, Default)]
pub struct Driver {
    /// What happened, a line for each event.
    pub log: Vec<String>,
    /// What was settled.
    pub settled: Vec<Settled>,
    /// What was given back.
    pub given_back: Vec<GivenBack>,
    /// The commands that were sent.
    pub commands: Vec<String>,
    open: BTreeSet<RowId>,
    dotted: BTreeSet<RowId>,
    /// The end of the message went out to them.
    sent: BTreeSet<RowId>,
    /// A 2xx to the message was said to them; any answer.
    taken: BTreeSet<RowId>,
    answered: BTreeSet<RowId>,
    connections: usize,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    target: Target,
    /// What is said next, and for whom it is the answer to the message.
    replies: VecDeque<(Does, Vec<RowId>)>,
    has_mail: bool,
    recipients: Vec<String>,
    /// It is TLS.
    secure: bool,
    /// Who stands at the dot.
    rows: Vec<RowId>,
    content: Option<Vec<u8>>,
}

impl Driver {
    /// Rows that must be settled from here on.
    pub fn expects(&mut self, claims: &[Claim]) {
        assert!(self.open.is_empty(), "not settled: {:?}", self.open);
        *self = Self {
            log: std::mem::take(&mut self.log),
            settled: std::mem::take(&mut self.settled),
            given_back: std::mem::take(&mut self.given_back),
            commands: std::mem::take(&mut self.commands),
            connection: self.connection.take(),
            open: claims.iter().map(|claim| claim.row().clone()).collect(),
            ..Self::default()
        };
    }

    /// Does what the attempt says until the message is settled. True: another may follow.
    pub fn drive(&mut self, attempt: &mut Attempt, message: &[u8], world: &mut dyn World) -> bool {
        for _ in 0..MAX_STEPS {
            match attempt.next() {
                Step::FindMx(domain) => {
                    self.log.push(format!("mx {domain}"));
                    attempt.found_mx(world.mx(&domain));
                }
                Step::FindPolicy(domain) => {
                    self.log.push(format!("policy {domain}"));
                    attempt.found_policy(world.policy(&domain));
                }
                Step::FindTlsa { domain, host } => {
                    self.log.push(format!("tlsa {host} for {domain}"));
                    attempt.found_tlsa(world.tlsa(&host));
                }
                Step::StartTls => self.handshake(attempt, world),
                Step::FindAddresses(host) => {
                    self.log.push(format!("addresses {host}"));
                    attempt.found_addresses(world.addresses(&host));
                }
                Step::Connect(target) => self.connect(attempt, target, world),
                Step::Write(bytes) => self.write(&bytes, world),
                Step::NeedInput(_) => self.input(attempt),
                Step::SendBody => self.body(attempt, message, world),
                Step::Dot(rows) => self.dot(attempt, rows, world),
                Step::Settle(settled) => self.settle(*settled),
                Step::GiveBack(back) => self.give_back(*back),
                Step::Disconnect => {
                    assert!(self.connection.take().is_some(), "nothing to close");
                    self.log.push("disconnect".to_owned());
                }
                end @ (Step::Done | Step::Over) => return self.end(&end, &attempt.reached()),
            }
        }
        assert!(self.log.is_empty(), "it does not end: {:#?}", self.log);
        false
    }

    fn end(&mut self, end: &Step, reached: &Reached) -> bool {
        let goes_on = matches!(end, Step::Done);
        assert!(self.open.is_empty(), "not settled: {:?}", self.open);
        assert_eq!(self.connection.is_some(), goes_on, "a connection after {end:?}");
        let reached = match reached {
            Reached::Yes => String::new(),
            Reached::No(status) => format!(", down: {status}"),
            Reached::Unclear => ", unclear".to_owned(),
        };
        self.log.push(format!("{}{reached}", if goes_on { "done" } else { "over" }));
        goes_on
    }

    fn connect(&mut self, attempt: &mut Attempt, target: Target, world: &mut dyn World) {
        assert!(self.connection.is_none(), "two connections");
        self.connections += 1;
        assert!(self.connections <= MAX_TARGETS, "too many connections");
        self.log.push(format!("connect {target}"));
        match world.happens(&target, &Event::Connect) {
            Does::Goes | Does::Says(_) => {
                let secure = target.tls.implicit;
                attempt.connected();
                if secure {
                    attempt.secured("implicit".to_owned());
                }
                let greeting = world.happens(&target, &Event::Greeting);
                let mut connection = Connection {
                    target,
                    replies: VecDeque::new(),
                    has_mail: false,
                    recipients: vec![],
                    secure,
                    rows: vec![],
                    content: None,
                };
                connection.reply(greeting, "220 mx", vec![]);
                self.connection = Some(connection);
            }
            Does::Late => attempt.out_of_time(),
            Does::Closes => attempt.connect_failed("connection refused"),
            Does::Hangs => attempt.connect_failed("timed out"),
            Does::Declines => attempt.connect_declined("too many connections"),
            Does::Ours => attempt.lost(ours()),
            Does::Stops => attempt.interrupt(STOPS),
        }
    }

    /// Closes and hangs fail it; the peer may say in clear what it likes, it does not count.
    fn handshake(&mut self, attempt: &mut Attempt, world: &mut dyn World) {
        let Some(connection) = self.connection.as_mut() else { return };
        assert!(!connection.secure && connection.target.tls.starttls != Starttls::Never, "TLS unasked");
        connection.replies.clear();
        let does = world.happens(&connection.target, &Event::Handshake);
        self.log.push(format!("handshake {}", if does == Does::Goes { "done" } else { "failed" }));
        match does {
            Does::Goes => {
                attempt.secured("TLSv1.3".to_owned());
                connection.secure = true;
            }
            Does::Late => attempt.out_of_time(),
            Does::Ours => attempt.lost(ours()),
            Does::Stops => attempt.interrupt(STOPS),
            Does::Says(text) => {
                attempt.input(format!("{text}\r\n").as_bytes());
                attempt.tls_failed(&text);
            }
            Does::Closes | Does::Hangs | Does::Declines => attempt.tls_failed("the handshake ended early"),
        }
    }

    fn write(&mut self, bytes: &[u8], world: &mut dyn World) {
        let Some(connection) = self.connection.as_mut() else {
            assert!(bytes.is_empty(), "written without a connection");
            return;
        };
        if let Some(mut content) = connection.content.take() {
            content.extend_from_slice(bytes);
            assert_one_reading(&content);
            self.sent.extend(connection.rows.iter().cloned());
            return connection.message(world);
        }
        assert!(bytes.ends_with(b"\r\n"), "not whole lines");
        let clear = !connection.secure && connection.target.tls.starttls == Starttls::Required;
        for line in String::from_utf8_lossy(bytes).split_terminator("\r\n") {
            assert!(!clear || !line.starts_with("MAIL"), "MAIL without TLS");
            self.commands.push(line.to_owned());
            connection.command(line, world);
        }
    }

    fn input(&mut self, attempt: &mut Attempt) {
        let Some(connection) = self.connection.as_mut() else {
            return attempt.lost(Lost::Closed);
        };
        match connection.replies.pop_front() {
            Some((Does::Says(text), rows)) => {
                if says_yes(&text) {
                    self.taken.extend(rows.iter().cloned());
                }
                self.answered.extend(rows);
                attempt.input(format!("{text}\r\n").as_bytes());
            }
            Some((Does::Ours, _)) => attempt.lost(ours()),
            Some((Does::Stops, _)) => attempt.interrupt(STOPS),
            // Only before the dot.
            Some((Does::Late, rows)) if rows.is_empty() => attempt.out_of_time(),
            Some((Does::Closes, _)) => attempt.lost(Lost::Closed),
            _ => attempt.lost(Lost::TimedOut),
        }
    }

    fn body(&mut self, attempt: &mut Attempt, message: &[u8], world: &mut dyn World) {
        let Some(connection) = self.connection.as_mut() else { return };
        match world.happens(&connection.target, &Event::Body) {
            Does::Goes => {
                let content = connection.content.insert(Vec::new());
                for mut piece in message.chunks(7) {
                    while !piece.is_empty() {
                        let (taken, out) = attempt.body(piece);
                        content.extend_from_slice(out);
                        piece = &piece[taken..];
                    }
                }
                attempt.body_end();
            }
            Does::Late => attempt.out_of_time(),
            Does::Says(text) => {
                connection.content = Some(Vec::new());
                attempt.body_end();
                attempt.input(format!("{text}\r\n").as_bytes());
            }
            Does::Stops => attempt.interrupt(STOPS),
            other => attempt.lost(lost(&other)),
        }
    }

    fn dot(&mut self, attempt: &mut Attempt, rows: Vec<RowId>, world: &mut dyn World) {
        let Some(connection) = self.connection.as_mut() else { return };
        assert!(!rows.is_empty() && connection.content.is_some(), "a dot for nobody or nothing");
        for row in &rows {
            assert!(self.open.contains(row), "{row:?} is settled, and at the dot");
            assert!(self.dotted.insert(row.clone()), "{row:?} is at the dot twice");
        }
        self.log.push(format!("dot {}", rows.iter().map(|r| r.rcpt.as_str()).collect::<Vec<_>>().join(" ")));
        connection.rows = rows;
        match world.happens(&connection.target, &Event::Record) {
            _ if !world.write_down(&connection.rows) => attempt.interrupt(STOPS),
            Does::Goes => attempt.dot_recorded(),
            Does::Says(text) => {
                attempt.input(format!("{text}\r\n").as_bytes());
                attempt.dot_recorded();
            }
            Does::Ours => attempt.lost(ours()),
            Does::Stops => attempt.interrupt(STOPS),
            other => {
                attempt.lost(lost(&other));
                attempt.dot_recorded();
            }
        }
    }

    fn give_back(&mut self, back: GivenBack) {
        let (row, status) = (back.claim.row(), &back.status);
        assert!(self.open.remove(row), "{row:?} is given back twice, or was never given");
        assert!(!self.sent.contains(row), "sent and given back");
        assert!(status.reply_code.is_none(), "a host has said: {status}");
        self.log.push(format!("{} given back: {status}", row.rcpt));
        self.given_back.push(back);
    }

    fn settle(&mut self, settled: Settled) {
        let row = settled.claim.row();
        assert!(self.open.remove(row), "{row:?} is settled twice, or was never given");
        let (sent, said) = (self.sent.contains(row), settled.status.reply_code.is_some());
        let text = match &settled.outcome {
            Outcome::Delivered | Outcome::Relayed { .. } => {
                assert!(self.taken.contains(row), "taken without a 2xx to the message");
                format!("{:?}: {}", settled.outcome, settled.status)
            }
            Outcome::Unknown { status } => {
                assert!(sent && !self.taken.contains(row), "unknown, and not sent or taken");
                format!("Unknown: {status}")
            }
            Outcome::Temporary { status } => {
                assert!(!sent || (said && self.answered.contains(row)), "sent without an answer: {status}");
                assert!(!self.taken.contains(row), "taken, and temporary");
                assert!(status.starts_with("4."), "{status}");
                format!("Temporary: {status}")
            }
            Outcome::Failed { status, about_recipient } => {
                assert!(!sent || (said && self.answered.contains(row)), "sent without an answer: {status}");
                assert!(!self.taken.contains(row), "taken, and failed");
                assert!(status.starts_with("5."), "{status}");
                format!("Failed{}: {status}", if *about_recipient { ", recipient" } else { "" })
            }
        };
        let tls = settled.tls.as_ref().map(|tls| format!(" ({tls})")).unwrap_or_default();
        self.log.push(format!("{} by {}{tls} {text}", row.rcpt, settled.next_hop));
        self.settled.push(settled);
    }
}

impl Connection {
    fn reply(&mut self, does: Does, usual: &str, rows: Vec<RowId>) {
        let does = if does == Does::Goes { Does::Says(usual.to_owned()) } else { does };
        self.replies.push_back((does, rows));
    }

    /// What a server says to a command, if nothing else is said.
    fn command(&mut self, line: &str, world: &mut dyn World) {
        let does = world.happens(&self.target, &Event::Command(line.to_owned()));
        let refused = matches!(&does, Does::Says(text) if !text.starts_with('2'));
        let verb = line.split([' ', ':']).next().unwrap_or_default();
        let usual = match verb {
            "EHLO" | "LHLO" => "250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN",
            "MAIL" => {
                self.recipients.clear();
                self.has_mail = !refused;
                "250 2.1.0 ok"
            }
            "RCPT" if !self.has_mail => "503 5.5.1 no MAIL",
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1).unwrap_or_default();
                self.recipients.extend((!refused).then(|| address.to_owned()));
                "250 2.1.5 ok"
            }
            "STARTTLS" if self.secure => "503 5.5.1 again?",
            "STARTTLS" => "220 go",
            "DATA" if self.recipients.is_empty() => "503 5.5.1 nobody",
            "DATA" => "354 go",
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        self.reply(does, usual, vec![]);
    }

    /// The message has been sent.
    fn message(&mut self, world: &mut dyn World) {
        let rows = std::mem::take(&mut self.rows);
        if !self.target.lmtp {
            let does = world.happens(&self.target, &Event::Message(None));
            return self.reply(does, "250 2.0.0 queued", rows);
        }
        for row in rows {
            let does = world.happens(&self.target, &Event::Message(Some(row.rcpt.clone())));
            self.reply(does, "250 2.0.0 stored", vec![row]);
        }
    }
}

/// Every line has the same code, 2xx.
fn says_yes(text: &str) -> bool {
    let code = text.get(..3).unwrap_or_default();
    code.starts_with('2') && text.split("\r\n").all(|line| line.starts_with(code))
}

const STOPS: &str = "the server stops";

fn ours() -> Lost {
    Lost::Ours("the message cannot be read".to_owned())
}

fn lost(does: &Does) -> Lost {
    match does {
        Does::Closes => Lost::Closed,
        Does::Ours => ours(),
        _ => Lost::TimedOut,
    }
}
