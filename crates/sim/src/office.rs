//! Other mail: ordinary messages from one office to others, so that their delay can be measured.

use std::sync::Arc;

use quell_mail::date;

use crate::content::Content;
use crate::host::{Action, Address, Event, Host, HostName, Moment, Note, Place, Service};
use crate::mail_out::{Letter, MailOut, Sending};
use crate::publisher::{note_submitted, path};
use crate::random::Random;
use crate::text::prose;
use crate::turn::{Alarm, Numbers, Turn};

/// Messages that may wait in the office for the next hop. While so many do, no more are written.
const MAX_WAITING: usize = 100;

/// What is sent, to whom and how often.
#[derive(Debug, Clone)]
pub struct OfficeSettings {
    /// Who it is; its name is the domain of the Message-IDs.
    pub place: Place,
    /// Where it hands its mail in.
    pub next_hop: HostName,
    /// The author's address. One that is none means that nothing is sent.
    pub from: String,
    /// One of them gets each message, in turn.
    pub recipients: Vec<String>,
    /// How long from one message to the next.
    pub every_ms: u64,
    /// Messages in all.
    pub max_messages: u64,
    /// Length of a text.
    pub body_bytes: usize,
    /// For the texts.
    pub seed: u64,
}

/// See [`OfficeSettings`]. Each message is tried ten times at most.
#[derive(Debug)]
pub struct Office {
    settings: OfficeSettings,
    random: Random,
    out: MailOut,
    numbers: Numbers,
    alarm: Alarm,
    next_at: Option<Moment>,
    written: u64,
}

impl Office {
    /// An office that has not begun.
    pub fn new(settings: OfficeSettings) -> Self {
        let out = MailOut::new(Sending {
            our_name: settings.place.name.to_string(),
            to: Address { host: settings.next_hop.clone(), service: Service::Smtp },
            max_recipients: 1,
            max_letters: MAX_WAITING,
            retry_ms: 1_000,
            max_tries: 10,
        });
        let random = Random::of(settings.seed, &settings.place.name);
        let (numbers, alarm) = (Numbers::default(), Alarm::default());
        Self { settings, random, out, numbers, alarm, next_at: None, written: 0 }
    }

    /// Writes a message if it is time to, there is room and somebody to write to.
    fn write(&mut self, turn: &mut Turn<'_>) {
        if self.next_at.is_none_or(|at| at > turn.now) {
            return;
        }
        let more = self.written < self.settings.max_messages;
        self.next_at = more.then(|| turn.now.plus_ms(self.settings.every_ms.max(1)));
        if let Some(letter) = self.letter(turn.now).filter(|_| more && self.out.has_room()) {
            self.written += 1;
            turn.note(Note::Written { message_id: letter.message_id.clone() });
            self.out.push(letter, turn.now);
        }
    }

    fn letter(&mut self, now: Moment) -> Option<Letter> {
        let OfficeSettings { place, from, recipients, body_bytes, .. } = &self.settings;
        let place_of = self.written.checked_rem(recipients.len() as u64)?;
        let to = recipients.get(usize::try_from(place_of).ok()?)?;
        let (number, date) = (self.written + 1, date::print(now.ms));
        let id = format!("<{number}.{:08x}@{}>", self.random.below(1 << 32), place.name);
        let text = format!(
            "Message-ID: {id}\r\nDate: {date}\r\nFrom: {from}\r\nTo: {to}\r\nSubject: Our file {number}\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n{}",
            prose(*body_bytes, &mut self.random)
        );
        Some(Letter {
            message_id: Arc::from(id),
            reverse_path: path(from)?,
            recipients: vec![path(to)?],
            content: Content::from(text.into_bytes()),
        })
    }
}

impl Host for Office {
    fn place(&self) -> &Place {
        &self.settings.place
    }

    fn on(&mut self, event: Event<'_>, now: Moment, out: &mut Vec<Action>) {
        let mut turn = Turn::new(now, out);
        match event {
            Event::Start => self.next_at = Some(now.plus_ms(self.settings.every_ms)),
            Event::Wake => self.alarm.rang(),
            _ => self.out.on(&event, &mut turn),
        }
        self.write(&mut turn);
        self.out.go_on(&mut self.numbers, &mut turn);
        note_submitted(&mut self.out, &mut turn);
        self.alarm.set([self.next_at, self.out.wake_at()], &mut turn);
    }
}
