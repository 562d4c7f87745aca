//! What a host has at hand while it takes an event, and its alarm.

use crate::host::{Action, Address, Conn, Moment, Note};

/// The moment, and the actions so far.
pub(crate) struct Turn<'a> {
    /// The time of the event.
    pub now: Moment,
    out: &'a mut Vec<Action>,
}

impl<'a> Turn<'a> {
    pub fn new(now: Moment, out: &'a mut Vec<Action>) -> Self {
        Self { now, out }
    }

    pub fn connect(&mut self, conn: Conn, to: Address) {
        self.out.push(Action::Connect { conn, to });
    }

    /// Sends, if there is anything to send.
    pub fn send(&mut self, conn: Conn, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.out.push(Action::Send { conn, bytes });
        }
    }

    pub fn close(&mut self, conn: Conn) {
        self.out.push(Action::Close { conn });
    }

    pub fn note(&mut self, note: Note) {
        self.out.push(Action::Note(note));
    }
}

/// The alarm of a host: asks to be woken no more often than is needed.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    set_to: Option<Moment>,
}

impl Alarm {
    /// It has rung.
    pub fn rang(&mut self) {
        self.set_to = None;
    }

    /// Sets it to the earliest of `wanted`, unless it rings by then anyway.
    pub fn set(&mut self, wanted: impl IntoIterator<Item = Option<Moment>>, turn: &mut Turn<'_>) {
        let Some(earliest) = wanted.into_iter().flatten().min() else { return };
        if self.set_to.is_none_or(|at| earliest < at) {
            self.set_to = Some(earliest);
            turn.out.push(Action::WakeAt(earliest));
        }
    }
}

/// Numbers the connections that a host opens.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    used: u64,
}

impl Numbers {
    pub fn next(&mut self) -> Conn {
        self.used += 1;
        Conn::opened(self.used)
    }
}
