//! The ISP: takes mail by LMTP into mailboxes in memory, serves them by POP3.

mod delivery;
mod mailbox;
mod maildrop;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use quell_wire::{pop3, server};

use crate::content::Pool;
use crate::host::{Action, Conn, Event, Host, Moment, Place, Service};
use crate::mail_in::{self, MailIn};
use crate::turn::Turn;

use delivery::Delivery;
use mailbox::Mailboxes;
use maildrop::MaildropLine;

pub use delivery::Marks;
pub use mailbox::MailboxSettings;

/// Connections that it takes at a time. More are closed at once.
const MAX_CONNECTIONS: usize = 1_000;

/// Who it is, and whose mail it keeps.
#[derive(Debug, Clone)]
pub struct IspSettings {
    /// Who it is.
    pub place: Place,
    /// One for each firm; of two for one domain the second takes the mail.
    pub mailboxes: Vec<MailboxSettings>,
    /// What it writes on what it delivers.
    pub marks: Marks,
    /// Messages of one mailbox; more are answered 452 4.2.2. A copy takes some 500 bytes for each
    /// recipient, and its long parts are shared with the others.
    pub max_messages_of_mailbox: usize,
}

/// See [`IspSettings`].
#[derive(Debug)]
pub struct Isp {
    place: Place,
    lmtp: Arc<server::Settings>,
    pop3: Arc<pop3::server::Settings>,
    connections: BTreeMap<Conn, Line>,
    delivery: Delivery,
}

/// What is spoken on a connection.
#[derive(Debug)]
enum Line {
    Lmtp(Box<MailIn>),
    Pop3(Box<MaildropLine>),
}

impl Isp {
    /// An ISP with empty mailboxes.
    pub fn new(settings: IspSettings) -> Self {
        let IspSettings { place, mailboxes, marks, max_messages_of_mailbox } = settings;
        let delivery = Delivery {
            name: place.name.clone(),
            marks,
            mailboxes: Mailboxes::new(mailboxes, max_messages_of_mailbox),
            pool: Pool::default(),
            now: Moment::default(),
            delivered: 0,
            notes: Vec::new(),
        };
        let (lmtp, pop3) = (mail_in::settings(&place.name, true), maildrop::settings(&place.name));
        Self { place, lmtp, pop3, connections: BTreeMap::new(), delivery }
    }

    /// How many messages came in for each recipient; the first 100,000 of these are counted.
    pub fn arrivals(&self) -> &BTreeMap<Arc<str>, u64> {
        self.delivery.mailboxes.arrivals()
    }

    /// The messages that lie in the mailbox of this user, in the order of their arrival.
    pub fn messages(&self, user: &str) -> Vec<Vec<u8>> {
        self.delivery.mailboxes.messages(user)
    }

    fn accepted(&mut self, conn: Conn, service: Service, peer: IpAddr, turn: &mut Turn<'_>) {
        if self.connections.len() >= MAX_CONNECTIONS {
            return turn.close(conn);
        }
        let (line, greeting) = match service {
            Service::Lmtp => {
                let (session, greeting) = MailIn::new(self.lmtp.clone(), peer);
                (Line::Lmtp(Box::new(session)), greeting)
            }
            Service::Pop3 => {
                let (session, greeting) = MaildropLine::new(self.pop3.clone(), conn);
                (Line::Pop3(Box::new(session)), greeting)
            }
            Service::Smtp => return turn.close(conn),
        };
        self.connections.insert(conn, line);
        turn.send(conn, greeting);
    }

    fn input(&mut self, conn: Conn, bytes: &[u8], turn: &mut Turn<'_>) {
        let answer = match self.connections.get_mut(&conn) {
            None => return,
            Some(Line::Lmtp(session)) => session.input(bytes, &mut self.delivery),
            Some(Line::Pop3(session)) => session.input(bytes, &mut self.delivery.mailboxes),
        };
        self.answered(conn, answer, turn);
    }

    fn drained(&mut self, conn: Conn, turn: &mut Turn<'_>) {
        if let Some(Line::Pop3(session)) = self.connections.get_mut(&conn) {
            let answer = session.drained(&mut self.delivery.mailboxes);
            self.answered(conn, answer, turn);
        }
    }

    fn answered(&mut self, conn: Conn, (output, goes_on): (Vec<u8>, bool), turn: &mut Turn<'_>) {
        turn.send(conn, output);
        if !goes_on {
            self.forget(conn);
            turn.close(conn);
        }
    }

    fn forget(&mut self, conn: Conn) {
        if self.connections.remove(&conn).is_some() {
            self.delivery.mailboxes.close(conn);
        }
    }
}

impl Host for Isp {
    fn place(&self) -> &Place {
        &self.place
    }

    fn listens(&self) -> &[Service] {
        &[Service::Lmtp, Service::Pop3]
    }

    fn on(&mut self, event: Event<'_>, now: Moment, out: &mut Vec<Action>) {
        let mut turn = Turn::new(now, out);
        self.delivery.now = now;
        match event {
            Event::Accepted { conn, service, peer } => self.accepted(conn, service, peer, &mut turn),
            Event::Bytes { conn, bytes } => self.input(conn, bytes, &mut turn),
            Event::Drained { conn } => self.drained(conn, &mut turn),
            Event::Closed { conn } => self.forget(conn),
            _ => {}
        }
        self.delivery.notes.drain(..).for_each(|note| turn.note(note));
    }
}
