//! A plain relay, in quell's place: takes anything, passes everything on.

use std::collections::BTreeMap;
use std::sync::Arc;

use quell_mail::header::{fields, split};
use quell_wire::path::Path;
use quell_wire::reply::Reply;
use quell_wire::server::Settings;

use crate::content::Pool;
use crate::host::{Action, Address, Conn, Event, Host, HostName, Moment, Note, Place, Service};
use crate::mail_in::{self, Desk, Mail, MailIn};
use crate::mail_out::{Fate, Letter, MailOut, Sending};
use crate::text::{Stamp, hops};
use crate::turn::{Alarm, Numbers, Turn};

/// Connections that it takes at a time. More are closed at once.
const MAX_CONNECTIONS: usize = 64;
/// Hops from which a message is refused, 554 5.4.6 (RFC 5321 §6.3 asks for 100 at least).
const MAX_HOPS: usize = 100;

/// Who it is, and where mail goes.
#[derive(Debug, Clone)]
pub struct PlainRelaySettings {
    /// Who it is.
    pub place: Place,
    /// The ISP; all mail goes there, by LMTP.
    pub next_hop: HostName,
    /// Messages that may wait, in memory, each of 1 MiB at most. While so many do, more are answered
    /// 452 4.3.1.
    pub max_messages: usize,
}

/// A relay without any care for copies. What the next hop does not take for half an hour is dropped, and
/// no report is made: in the storms of 2005 reports were the smaller part.
#[derive(Debug)]
pub struct PlainRelay {
    settings: PlainRelaySettings,
    sessions: Arc<Settings>,
    connections: BTreeMap<Conn, MailIn>,
    shelf: Shelf,
    numbers: Numbers,
    alarm: Alarm,
}

/// What waits, and what has just been taken.
#[derive(Debug)]
struct Shelf {
    name: HostName,
    out: MailOut,
    pool: Pool,
    now: Moment,
    taken: u64,
    notes: Vec<Note>,
}

impl PlainRelay {
    /// A relay without mail.
    pub fn new(settings: PlainRelaySettings) -> Self {
        let name = settings.place.name.clone();
        let out = MailOut::new(Sending {
            our_name: name.to_string(),
            to: Address { host: settings.next_hop.clone(), service: Service::Lmtp },
            max_recipients: 1_000,
            max_letters: settings.max_messages,
            retry_ms: 1_000,
            max_tries: 1_800,
        });
        let sessions = mail_in::settings(&name, false);
        let (pool, now, taken, notes) = (Pool::default(), Moment::default(), 0, Vec::new());
        let shelf = Shelf { name, out, pool, now, taken, notes };
        let connections = BTreeMap::new();
        Self { settings, sessions, connections, shelf, numbers: Numbers::default(), alarm: Alarm::default() }
    }

    fn accepted(&mut self, conn: Conn, peer: std::net::IpAddr, turn: &mut Turn<'_>) {
        if self.connections.len() >= MAX_CONNECTIONS {
            return turn.close(conn);
        }
        let (session, greeting) = MailIn::new(self.sessions.clone(), peer);
        self.connections.insert(conn, session);
        turn.send(conn, greeting);
    }

    fn input(&mut self, conn: Conn, bytes: &[u8], turn: &mut Turn<'_>) {
        let Some(session) = self.connections.get_mut(&conn) else { return };
        let (output, goes_on) = session.input(bytes, &mut self.shelf);
        turn.send(conn, output);
        if !goes_on {
            self.connections.remove(&conn);
            turn.close(conn);
        }
        self.shelf.notes.drain(..).for_each(|note| turn.note(note));
    }
}

impl Desk for Shelf {
    fn recipient(&mut self, _recipient: &Path) -> Reply {
        Reply::recipient_ok()
    }

    fn room(&mut self) -> Reply {
        match self.out.has_room() {
            true => Reply::go_ahead(),
            false => Reply::new(452, (3, 1), "too much mail waits, try later"),
        }
    }

    fn message(&mut self, mail: Mail) -> Vec<Reply> {
        if hops(&mail.content) >= MAX_HOPS {
            return vec![Reply::new(554, (4, 6), "too many hops")];
        }
        self.taken += 1;
        let id = format!("R{:09}", self.taken);
        let recipients = u32::try_from(mail.recipients.len()).unwrap_or(u32::MAX);
        let bytes = mail.content.len() as u64;
        let letter = self.letter(mail, &id);
        if !self.out.push(letter, self.now) {
            return vec![Reply::new(452, (3, 1), "too much mail waits, try later")];
        }
        self.notes.push(Note::Taken { recipients, bytes });
        vec![Reply::new(250, (0, 0), format!("taken as {id}"))]
    }
}

impl Shelf {
    fn letter(&mut self, mail: Mail, id: &str) -> Letter {
        let stamp = Stamp {
            helo: &mail.helo,
            peer: mail.peer,
            by: &self.name,
            with: "ESMTP",
            id,
            for_: None,
            at: self.now,
        };
        Letter {
            message_id: message_id(&mail.content),
            reverse_path: mail.reverse_path,
            recipients: mail.recipients,
            content: self.pool.share(&mail.content).under(stamp.field().as_bytes()),
        }
    }
}

/// The Message-ID as it stands there, without white space around it; empty if there is none, or one of
/// more than 998 bytes (RFC 5322 §2.1.1).
pub(crate) fn message_id(message: &[u8]) -> Arc<str> {
    let found = fields(split(message).0).find(|field| field.is("message-id"));
    let value = found.map_or(&b""[..], |field| field.value.trim_ascii());
    Arc::from(if value.len() > 998 { String::new() } else { String::from_utf8_lossy(value).into_owned() })
}

impl Host for PlainRelay {
    fn place(&self) -> &Place {
        &self.settings.place
    }

    fn listens(&self) -> &[Service] {
        &[Service::Smtp]
    }

    fn on(&mut self, event: Event<'_>, now: Moment, out: &mut Vec<Action>) {
        let mut turn = Turn::new(now, out);
        self.shelf.now = now;
        match event {
            Event::Wake => self.alarm.rang(),
            Event::Accepted { conn, service: Service::Smtp, peer } => self.accepted(conn, peer, &mut turn),
            Event::Bytes { conn, bytes } => self.input(conn, bytes, &mut turn),
            Event::Closed { conn } => {
                self.connections.remove(&conn);
            }
            _ => {}
        }
        self.shelf.out.on(&event, &mut turn);
        self.shelf.out.go_on(&mut self.numbers, &mut turn);
        for fate in self.shelf.out.take_fates() {
            turn.note(match fate {
                Fate::Taken { recipients, .. } => Note::Passed { recipients },
                Fate::Refused { code, recipients } => Note::Refused { code, recipients },
                Fate::Failed { .. } => continue,
            });
        }
        self.alarm.set([self.shelf.out.wake_at()], &mut turn);
    }
}
