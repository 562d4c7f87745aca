//! The sending side of a host: letters that wait for one next hop, and the connection to it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use quell_wire::client::{Envelope, Lost, Outcome, Session, Settings, Step};
use quell_wire::path::Path;
use quell_wire::server::{MailFrom, RcptTo};

use crate::content::Content;
use crate::host::{Address, Conn, Event, Moment, Service};
use crate::turn::{Numbers, Turn};

/// A message to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    /// By which its fate is told.
    pub message_id: Arc<str>,
    pub reverse_path: Path,
    pub recipients: Vec<Path>,
    pub content: Content,
}

/// How a host sends.
#[derive(Debug, Clone)]
pub(crate) struct Sending {
    /// What it calls itself.
    pub our_name: String,
    /// SMTP or LMTP.
    pub to: Address,
    /// Recipients of one transaction.
    pub max_recipients: usize,
    /// Letters that may wait. One more is given back.
    pub max_letters: usize,
    /// How long to wait after a 4xx, a lost connection or a failed one.
    pub retry_ms: u64,
    /// How often recipients are tried that are answered 4xx, or not at all; then they are given up.
    pub max_tries: u32,
}

/// What became of some recipients of a letter. Those of one transaction come together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The next hop has taken them.
    Taken { message_id: Arc<str>, recipients: u32 },
    /// It has not, this time or for good; 0: there was no reply.
    Refused { code: u16, recipients: u32 },
    /// The letter is done with, and so these are who were refused for good; not said if there are none.
    Failed { reverse_path: Path, recipients: Vec<Path> },
}

#[derive(Debug)]
struct Waiting {
    letter: Letter,
    tries: u32,
    not_before: Moment,
}

/// The connection.
#[derive(Debug)]
enum Line {
    None,
    Connecting(Conn),
    Open(Box<Open>),
}

#[derive(Debug)]
struct Open {
    conn: Conn,
    session: Session,
    /// The letter under way; none when QUIT has been said.
    letter: Option<Waiting>,
    /// Its recipients that are to be tried again.
    again: Vec<Path>,
    /// Its recipients that were refused for good.
    failed: Vec<Path>,
    taken: u32,
    refused: BTreeMap<u16, u32>,
    /// How many replies there were when the wait began, and when it ends.
    wait: (u64, Moment),
}

/// Letters that wait, at most [`Sending::max_letters`], and at most one connection.
#[derive(Debug)]
pub(crate) struct MailOut {
    sending: Sending,
    ready: VecDeque<Waiting>,
    later: VecDeque<Waiting>,
    line: Line,
    /// After a failed connection: when the next is made.
    resume_at: Option<Moment>,
    fates: Vec<Fate>,
}

impl MailOut {
    pub fn new(sending: Sending) -> Self {
        let (ready, later) = (VecDeque::new(), VecDeque::new());
        Self { sending, ready, later, line: Line::None, resume_at: None, fates: Vec::new() }
    }

    /// Letters that wait or are under way.
    pub fn letters(&self) -> usize {
        let under_way = matches!(&self.line, Line::Open(open) if open.letter.is_some());
        self.ready.len() + self.later.len() + usize::from(under_way)
    }

    /// Whether one more letter would be taken.
    pub fn has_room(&self) -> bool {
        self.letters() < self.sending.max_letters
    }

    /// Takes a letter, if there is room and anybody to send it to; [`MailOut::go_on`] sends it.
    pub fn push(&mut self, letter: Letter, now: Moment) -> bool {
        let takes = self.has_room();
        if takes && !letter.recipients.is_empty() {
            self.ready.push_back(Waiting { letter, tries: 0, not_before: now });
        }
        takes
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Moment> {
        match &self.line {
            Line::Open(open) => Some(open.wait.1),
            Line::Connecting(_) => None,
            Line::None if !self.ready.is_empty() => self.resume_at,
            Line::None => self.later.front().map(|waiting| waiting.not_before),
        }
    }

    /// What became of letters since this was asked last.
    pub fn take_fates(&mut self) -> Vec<Fate> {
        std::mem::take(&mut self.fates)
    }

    /// Takes what concerns its connection; other events mean nothing to it.
    pub fn on(&mut self, event: &Event<'_>, turn: &mut Turn<'_>) {
        match (&mut self.line, event) {
            (Line::Connecting(ours), Event::Connected { conn }) if ours == conn => {
                self.connected(*conn, turn)
            }
            (Line::Connecting(ours), Event::Failed { conn } | Event::Closed { conn }) if ours == conn => {
                self.line = Line::None;
                self.resume_at = Some(turn.now.plus_ms(self.sending.retry_ms));
            }
            (Line::Open(open), Event::Bytes { conn, bytes }) if open.conn == *conn => {
                open.session.input(bytes);
                self.drive(turn);
            }
            (Line::Open(open), Event::Closed { conn }) if open.conn == *conn => {
                open.session.lost(Lost::Closed);
                self.drive(turn);
            }
            _ => {}
        }
    }

    /// Sends what can be sent, and gives up waiting for what did not come. To be called at the end of
    /// every event.
    pub fn go_on(&mut self, numbers: &mut Numbers, turn: &mut Turn<'_>) {
        while self.later.front().is_some_and(|waiting| waiting.not_before <= turn.now) {
            self.ready.extend(self.later.pop_front());
        }
        match &mut self.line {
            Line::Open(open) if open.wait.1 <= turn.now => {
                open.session.lost(Lost::TimedOut);
                self.drive(turn);
            }
            Line::None if !self.ready.is_empty() && self.resume_at.is_none_or(|at| at <= turn.now) => {
                let conn = numbers.next();
                self.line = Line::Connecting(conn);
                turn.connect(conn, self.sending.to.clone());
            }
            _ => {}
        }
    }

    fn connected(&mut self, conn: Conn, turn: &mut Turn<'_>) {
        self.resume_at = None;
        let Some(waiting) = self.ready.pop_front() else {
            self.line = Line::None;
            return turn.close(conn);
        };
        let settings = Settings {
            lmtp: self.sending.to.service == Service::Lmtp,
            max_recipients: self.sending.max_recipients,
            configured: true,
            ..Settings::new(self.sending.our_name.as_str())
        };
        let session = Session::new(settings, envelope(&waiting.letter));
        let open = Open {
            conn,
            session,
            letter: Some(waiting),
            again: Vec::new(),
            failed: Vec::new(),
            taken: 0,
            refused: BTreeMap::new(),
            wait: (u64::MAX, turn.now),
        };
        self.line = Line::Open(Box::new(open));
        self.drive(turn);
    }

    /// Does what the session asks for, up to where it waits.
    fn drive(&mut self, turn: &mut Turn<'_>) {
        let Line::Open(mut open) = std::mem::replace(&mut self.line, Line::None) else { return };
        let mut output = Vec::new();
        loop {
            let step = open.session.next();
            if !matches!(step, Step::Outcome { .. }) {
                open.tell(&mut self.fates);
            }
            match step {
                Step::Write(bytes) => output.extend_from_slice(&bytes),
                Step::SendBody => open.body(&mut output),
                Step::Dot(_) => open.session.dot_recorded(),
                // Machines of this world speak without TLS.
                Step::StartTls => open.session.tls_failed("there is none"),
                Step::Outcome { recipient, outcome } => open.settle(recipient, &outcome),
                Step::Done => {
                    self.finish(&mut open, turn.now);
                    let given_back = self.ready.pop_front().and_then(|waiting| open.begin(waiting));
                    self.ready.extend(given_back);
                    if open.letter.is_none() {
                        open.session.quit();
                    }
                }
                Step::NeedInput(wait) => {
                    turn.send(open.conn, output);
                    open.wait_for(wait.secs(), turn.now);
                    self.line = Line::Open(open);
                    return;
                }
                Step::Closed => {
                    turn.send(open.conn, output);
                    turn.close(open.conn);
                    if self.finish(&mut open, turn.now) {
                        self.resume_at = Some(turn.now.plus_ms(self.sending.retry_ms));
                    }
                    return;
                }
            }
        }
    }

    /// The letter under way has been tried: those who are to be tried again wait, or are given up.
    /// Whether there was one.
    fn finish(&mut self, open: &mut Open, now: Moment) -> bool {
        let (again, failed) = (std::mem::take(&mut open.again), std::mem::take(&mut open.failed));
        let Some(mut waiting) = open.letter.take() else { return false };
        if !failed.is_empty() {
            let reverse_path = waiting.letter.reverse_path.clone();
            self.fates.push(Fate::Failed { reverse_path, recipients: failed });
        }
        waiting.tries += 1;
        if !again.is_empty() && waiting.tries < self.sending.max_tries {
            waiting.letter.recipients = again;
            waiting.not_before = now.plus_ms(self.sending.retry_ms);
            self.later.push_back(waiting);
        }
        true
    }
}

impl Open {
    /// The next letter; given back if the session does not take it.
    fn begin(&mut self, next: Waiting) -> Option<Waiting> {
        match self.session.begin(envelope(&next.letter)) {
            Ok(()) => self.letter.replace(next),
            Err(_) => Some(next),
        }
    }

    fn body(&mut self, output: &mut Vec<u8>) {
        let pieces = self.letter.iter().flat_map(|waiting| waiting.letter.content.pieces());
        for mut piece in pieces {
            while !piece.is_empty() {
                let (taken, encoded) = self.session.body(piece);
                output.extend_from_slice(encoded);
                piece = &piece[taken..];
            }
        }
        self.session.body_end();
    }

    fn settle(&mut self, recipient: usize, outcome: &Outcome) {
        if matches!(outcome, Outcome::Relayed(_) | Outcome::Delivered(_)) {
            self.taken += 1;
            return;
        }
        *self.refused.entry(outcome.status().reply_code.unwrap_or(0)).or_default() += 1;
        // RFC 5321 §4.5.4.1: what was not answered is sent again, too.
        let recipients = self.letter.as_ref().map(|waiting| &waiting.letter.recipients);
        if let Some(path) = recipients.and_then(|all| all.get(recipient)) {
            let list = match outcome {
                Outcome::Failed { .. } => &mut self.failed,
                _ => &mut self.again,
            };
            list.push(path.clone());
        }
    }

    /// Tells what became of those who were settled together.
    fn tell(&mut self, fates: &mut Vec<Fate>) {
        let taken = std::mem::take(&mut self.taken);
        if let Some(waiting) = self.letter.as_ref().filter(|_| taken > 0) {
            fates.push(Fate::Taken { message_id: waiting.letter.message_id.clone(), recipients: taken });
        }
        let refused = std::mem::take(&mut self.refused);
        fates.extend(refused.into_iter().map(|(code, recipients)| Fate::Refused { code, recipients }));
    }

    /// A reply that comes in drips does not put off the end of the wait.
    fn wait_for(&mut self, secs: u64, now: Moment) {
        let replies = self.session.replies();
        if self.wait.0 != replies {
            self.wait = (replies, now.plus_ms(secs * 1_000));
        }
    }
}

fn envelope(letter: &Letter) -> Envelope {
    let mail = MailFrom {
        reverse_path: letter.reverse_path.clone(),
        size_bytes: Some(letter.content.bytes()),
        smtputf8: false,
        eight_bit: letter.content.pieces().any(|piece| !piece.is_ascii()),
        ret: None,
        envid: None,
    };
    let rcpt = |path: &Path| RcptTo { forward_path: path.clone(), notify: None, orcpt: None };
    Envelope { mail, recipients: letter.recipients.iter().map(rcpt).collect() }
}
