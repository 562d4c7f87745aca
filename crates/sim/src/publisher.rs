//! The publisher: one legitimate newsletter, everybody in To.

use std::sync::Arc;

use quell_mail::date;
use quell_wire::path::Path;

use crate::content::Content;
use crate::host::{Action, Address, Event, Host, HostName, Moment, Note, Place, Service};
use crate::mail_out::{Fate, Letter, MailOut, Sending};
use crate::random::Random;
use crate::text::{Stamp, address_field, prose};
use crate::turn::{Alarm, Numbers, Turn};

/// What is sent, and to whom.
#[derive(Debug, Clone)]
pub struct PublisherSettings {
    /// Who it is; its name is the domain of the Message-ID.
    pub place: Place,
    /// Where it hands its mail in.
    pub next_hop: HostName,
    /// The author's address. One that is none means that nothing is sent.
    pub from: String,
    /// All of them stand in To. What is no address stands there too, and gets nothing.
    pub recipients: Vec<String>,
    /// Length of the text.
    pub body_bytes: usize,
    /// So long after the start it is sent.
    pub after_ms: u64,
    /// Recipients of one transaction.
    pub max_recipients: usize,
    /// For its text.
    pub seed: u64,
}

/// See [`PublisherSettings`]. It sends once, and tries again where it is told to, ten times at most.
#[derive(Debug)]
pub struct Publisher {
    settings: PublisherSettings,
    random: Random,
    out: MailOut,
    numbers: Numbers,
    alarm: Alarm,
    send_at: Option<Moment>,
}

impl Publisher {
    /// A publisher that has not begun.
    pub fn new(settings: PublisherSettings) -> Self {
        let out = MailOut::new(Sending {
            our_name: settings.place.name.to_string(),
            to: Address { host: settings.next_hop.clone(), service: Service::Smtp },
            max_recipients: settings.max_recipients,
            max_letters: 1,
            retry_ms: 5_000,
            max_tries: 10,
        });
        let random = Random::of(settings.seed, &settings.place.name);
        Self { settings, random, out, numbers: Numbers::default(), alarm: Alarm::default(), send_at: None }
    }

    fn newsletter(&mut self, now: Moment) -> Option<Letter> {
        let from = path(&self.settings.from)?;
        let message_id = format!("<{:016x}@{}>", self.random.number(), self.settings.place.name);
        Some(Letter {
            content: Content::from(self.text(&message_id, now).into_bytes()),
            message_id: Arc::from(message_id),
            reverse_path: from,
            recipients: self.settings.recipients.iter().filter_map(|address| path(address)).collect(),
        })
    }

    fn text(&mut self, message_id: &str, now: Moment) -> String {
        let PublisherSettings { place, from, recipients, body_bytes, .. } = &self.settings;
        let stamp = Stamp {
            helo: "marketing",
            peer: [10, 0, 0, 5].into(),
            by: &place.name,
            with: "ESMTP",
            id: &format!("P{:08x}", self.random.below(1 << 32)),
            for_: None,
            at: now,
        };
        let (received, to) = (stamp.field(), address_field("To", recipients.iter().map(String::as_str)));
        let (date, body) = (date::print(now.ms), prose(*body_bytes, &mut self.random));
        format!(
            "{received}Message-ID: {message_id}\r\nDate: {date}\r\nFrom: Law Books Direct <{from}>\r\n{to}\
             Subject: New in our autumn list\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\
             X-Mailer: Microsoft Outlook, Build 10.0.6626\r\n\r\n{body}"
        )
    }
}

/// A path of an address without angle brackets.
pub(crate) fn path(address: &str) -> Option<Path> {
    Path::parse(format!("<{address}>").as_bytes()).ok().map(|(path, _)| path)
}

/// The notes of a host that submits mail.
pub(crate) fn note_submitted(out: &mut MailOut, turn: &mut Turn<'_>) {
    for fate in out.take_fates() {
        turn.note(match fate {
            Fate::Taken { message_id, recipients } => Note::Submitted { message_id, recipients },
            Fate::Refused { code, recipients } => Note::Refused { code, recipients },
            Fate::Failed { .. } => continue,
        });
    }
}

impl Host for Publisher {
    fn place(&self) -> &Place {
        &self.settings.place
    }

    fn on(&mut self, event: Event<'_>, now: Moment, out: &mut Vec<Action>) {
        let mut turn = Turn::new(now, out);
        match event {
            Event::Start => self.send_at = Some(now.plus_ms(self.settings.after_ms)),
            Event::Wake => self.alarm.rang(),
            _ => self.out.on(&event, &mut turn),
        }
        if self.send_at.is_some_and(|at| at <= now) {
            self.send_at = None;
            if let Some(letter) = self.newsletter(now) {
                self.out.push(letter, now);
            }
        }
        self.out.go_on(&mut self.numbers, &mut turn);
        note_submitted(&mut self.out, &mut turn);
        self.alarm.set([self.send_at, self.out.wake_at()], &mut turn);
    }
}
