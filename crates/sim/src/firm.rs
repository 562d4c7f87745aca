//! An honest firm: collects its mail, and sends nothing.

use crate::collector::{Collecting, Collector, Stage};
use crate::host::{Action, Event, Host, Moment, Note, Place};
use crate::turn::{Alarm, Numbers, Turn};

/// Who it is, and where its mail is.
#[derive(Debug, Clone)]
pub struct FirmSettings {
    /// Who it is.
    pub place: Place,
    /// Its mailbox.
    pub mailbox: Collecting,
    /// How long from one poll to the next.
    pub poll_ms: u64,
}

/// See [`FirmSettings`]. What it has collected it deletes from the mailbox, and forgets.
#[derive(Debug)]
pub struct Firm {
    place: Place,
    poll_ms: u64,
    collector: Collector,
    numbers: Numbers,
    alarm: Alarm,
    poll_at: Option<Moment>,
    fetched: u32,
}

impl Firm {
    /// A firm that has not polled.
    pub fn new(settings: FirmSettings) -> Self {
        let FirmSettings { place, mailbox, poll_ms } = settings;
        let collector = Collector::new(mailbox);
        let (numbers, alarm) = (Numbers::default(), Alarm::default());
        Self { place, poll_ms, collector, numbers, alarm, poll_at: None, fetched: 0 }
    }
}

impl Host for Firm {
    fn place(&self) -> &Place {
        &self.place
    }

    fn on(&mut self, event: Event<'_>, now: Moment, out: &mut Vec<Action>) {
        let mut turn = Turn::new(now, out);
        match event {
            Event::Start => self.poll_at = Some(now.plus_ms(self.poll_ms)),
            Event::Wake => self.alarm.rang(),
            _ => {}
        }
        self.collector.on(&event, &mut turn);
        match self.collector.stage() {
            Stage::Idle if self.poll_at.is_some_and(|at| at <= now) => {
                self.poll_at = Some(now.plus_ms(self.poll_ms.max(1)));
                self.collector.poll(&mut self.numbers, &mut turn);
            }
            Stage::Fetched => {
                self.fetched = u32::try_from(self.collector.take_messages().len()).unwrap_or(u32::MAX);
                self.collector.delete_and_quit(&mut turn);
            }
            _ => {}
        }
        if self.collector.take_finished() {
            turn.note(Note::Polled { fetched: self.fetched, failed: false });
        }
        self.alarm.set([self.poll_at, self.collector.wake_at()], &mut turn);
    }
}
