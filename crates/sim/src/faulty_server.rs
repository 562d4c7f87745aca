//! The faulty server: collects its firm's mail by POP3, takes the addresses of the header for an
//! envelope, sends to everyone in it, fails before it has deleted the message, and begins again.
//!
//! It is Windows Small Business Server 2003 with its POP3 connector, as two reports of 2005, surviving
//! headers and administrators' notes describe it; how it looked inside is not known, and not imitated.

mod addresses;
mod report;
pub(crate) mod rewrite;

use quell_wire::path::Path;

use crate::collector::{Collecting, Collector, Stage};
use crate::content::Content;
use crate::host::{Action, Address, Event, Host, HostName, Moment, Note, Place, Service};
use crate::mail_out::{Fate, Letter, MailOut, Sending};
use crate::random::Random;
use crate::relay::message_id;
use crate::turn::{Alarm, Numbers, Turn};

pub use rewrite::{Habits, Shape};

/// Who it is, and how it fails.
#[derive(Debug, Clone)]
pub struct FaultyServerSettings {
    /// Who it is, as the network knows it; it calls itself by [`Habits::internal_name`].
    pub place: Place,
    /// Where it hands its mail in: its provider's smart host.
    pub next_hop: HostName,
    /// Its firm's mailbox.
    pub mailbox: Collecting,
    /// How long from one poll to the next; 15 minutes at the least in 2005. A poll that takes longer is
    /// followed by the next one at once.
    pub poll_ms: u64,
    /// Addresses in To and Cc from which it fails. A message with fewer it handles well: it stays in the
    /// firm, and is deleted from the mailbox, unless another one made the poll fail.
    pub fails_from_addresses: usize,
    /// How often it sends each such message in one poll, beginning anew each time.
    pub sends_per_poll: u32,
    /// Recipients of one transaction.
    pub max_recipients: usize,
    /// Whether it tells the author of recipients that were refused for good: a report for each copy, to
    /// the innocent publisher, as a storm of its own. Off in the scenarios, so that what is counted there
    /// is the one storm.
    pub reports: bool,
    /// How much its clock is wrong, in ms.
    pub clock_off_ms: i64,
    /// How its copies look.
    pub habits: Habits,
    /// For what differs from copy to copy.
    pub seed: u64,
}

/// See [`FaultyServerSettings`]. What is answered 4xx it sends again, five times at most; what is
/// answered 5xx it drops.
#[derive(Debug)]
pub struct FaultyServer {
    settings: FaultyServerSettings,
    random: Random,
    collector: Collector,
    out: MailOut,
    numbers: Numbers,
    alarm: Alarm,
    poll_at: Option<Moment>,
    under_way: Option<Poll>,
    serial: u64,
}

/// A poll whose messages have been fetched.
#[derive(Debug)]
struct Poll {
    fetched: u32,
    failed: bool,
    /// Large messages that are still to be sent: the message, to whom, how often. At most as many as a
    /// poll fetches.
    to_send: Vec<Large>,
}

#[derive(Debug)]
struct Large {
    message: Vec<u8>,
    reverse_path: Path,
    recipients: Vec<Path>,
    left: u32,
}

impl FaultyServer {
    /// A server that has not polled.
    pub fn new(settings: FaultyServerSettings) -> Self {
        let out = MailOut::new(Sending {
            our_name: settings.habits.internal_name.clone(),
            to: Address { host: settings.next_hop.clone(), service: Service::Smtp },
            max_recipients: settings.max_recipients,
            max_letters: 2,
            retry_ms: 1_000,
            max_tries: 5,
        });
        Self {
            random: Random::of(settings.seed, &settings.place.name),
            collector: Collector::new(settings.mailbox.clone()),
            out,
            numbers: Numbers::default(),
            alarm: Alarm::default(),
            poll_at: None,
            under_way: None,
            serial: 0,
            settings,
        }
    }

    /// Polls if it is time to, and looks at what was fetched.
    fn collect(&mut self, turn: &mut Turn<'_>) {
        match self.collector.stage() {
            Stage::Idle if self.poll_at.is_some_and(|at| at <= turn.now) => {
                self.poll_at = Some(turn.now.plus_ms(self.settings.poll_ms.max(1)));
                self.under_way = None;
                self.collector.poll(&mut self.numbers, turn);
            }
            Stage::Fetched if self.under_way.is_none() => {
                let messages = self.collector.take_messages();
                let fetched = u32::try_from(messages.len()).unwrap_or(u32::MAX);
                let to_send: Vec<Large> = messages.into_iter().filter_map(|m| self.large(m)).collect();
                self.under_way = Some(Poll { fetched, failed: !to_send.is_empty(), to_send });
            }
            _ => {}
        }
    }

    /// A message with as many addresses as it fails from: those outside of the firm.
    fn large(&self, message: Vec<u8>) -> Option<Large> {
        let addresses = addresses::of_header(&message);
        let reverse_path = addresses::author(&message)?;
        if addresses.len() < self.settings.fails_from_addresses {
            return None;
        }
        let recipients: Vec<Path> = addresses.into_iter().filter(|path| self.is_elsewhere(path)).collect();
        Some(Large { message, reverse_path, recipients, left: self.settings.sends_per_poll })
    }

    /// Its own domain it delivers itself, and so it does with names that are known in the house only, of
    /// which torn headers are full.
    fn is_elsewhere(&self, path: &Path) -> bool {
        let domain = path.domain().unwrap_or_default().to_ascii_lowercase();
        domain != self.settings.habits.domain && domain.contains('.') && !domain.ends_with(".local")
    }

    /// Makes copies, as long as there is room; when the last is gone, the poll is over.
    fn send(&mut self, turn: &mut Turn<'_>) {
        while self.out.has_room() {
            let Some(letter) = self.next_copy(turn.now) else { break };
            self.out.push(letter, turn.now);
        }
        self.out.go_on(&mut self.numbers, turn);
        let is_sent = self.out.letters() == 0;
        let Some(poll) = self.under_way.as_mut().filter(|poll| is_sent && poll.to_send.is_empty()) else {
            return;
        };
        if self.collector.stage() == Stage::Fetched {
            match poll.failed {
                true => self.collector.hang_up(turn),
                false => self.collector.delete_and_quit(turn),
            }
        }
    }

    /// The next copy of the message that comes first; each is sent as often as it is to be before the
    /// next one's turn.
    fn next_copy(&mut self, now: Moment) -> Option<Letter> {
        let at = self.clock(now);
        let poll = self.under_way.as_mut()?;
        while poll.to_send.first().is_some_and(|large| large.left == 0 || large.recipients.is_empty()) {
            poll.to_send.remove(0);
        }
        let large = poll.to_send.first_mut()?;
        large.left -= 1;
        self.serial += 1;
        let message = rewrite::copy(&large.message, &self.settings.habits, at, self.serial, &mut self.random);
        Some(Letter {
            message_id: message_id(&message),
            reverse_path: large.reverse_path.clone(),
            recipients: large.recipients.clone(),
            content: Content::from(message),
        })
    }

    fn tell(&mut self, turn: &mut Turn<'_>) {
        for fate in self.out.take_fates() {
            match fate {
                Fate::Taken { message_id, recipients } if report::is_one(&message_id) => {
                    turn.note(Note::Submitted { message_id, recipients });
                }
                Fate::Taken { message_id, recipients } => {
                    turn.note(Note::CopySent { message_id, recipients })
                }
                Fate::Refused { code, recipients } => turn.note(Note::Refused { code, recipients }),
                Fate::Failed { reverse_path, recipients } => {
                    self.report(&reverse_path, &recipients, turn.now)
                }
            }
        }
        if self.collector.take_finished()
            && let Some(Poll { fetched, failed, .. }) = self.under_way.take()
        {
            turn.note(Note::Polled { fetched, failed });
        }
    }

    /// Reports wait beside the copies; without room there is none.
    fn report(&mut self, reverse_path: &Path, recipients: &[Path], now: Moment) {
        if self.settings.reports && !reverse_path.is_null() {
            self.serial += 1;
            let at = self.clock(now);
            let letter = report::letter(&self.settings.habits, reverse_path, recipients, at, self.serial);
            if let Some(letter) = letter {
                self.out.push(letter, now);
            }
        }
    }

    /// The time by its own clock.
    fn clock(&self, now: Moment) -> Moment {
        Moment { ms: now.ms.saturating_add(self.settings.clock_off_ms) }
    }
}

impl Host for FaultyServer {
    fn place(&self) -> &Place {
        &self.settings.place
    }

    fn on(&mut self, event: Event<'_>, now: Moment, out: &mut Vec<Action>) {
        let mut turn = Turn::new(now, out);
        match event {
            Event::Start => self.poll_at = Some(now.plus_ms(self.settings.poll_ms)),
            Event::Wake => self.alarm.rang(),
            _ => {}
        }
        self.collector.on(&event, &mut turn);
        self.out.on(&event, &mut turn);
        // Before there are new copies, so that a report finds room.
        self.tell(&mut turn);
        self.collect(&mut turn);
        self.send(&mut turn);
        self.tell(&mut turn);
        // While a poll is under way its time does not matter.
        let poll_at = self.poll_at.filter(|_| self.collector.stage() == Stage::Idle);
        self.alarm.set([poll_at, self.out.wake_at(), self.collector.wake_at()], &mut turn);
    }
}
