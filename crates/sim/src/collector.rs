//! A host that collects its mail: the client side of POP3.

use quell_wire::pop3::Password;
use quell_wire::pop3::client::{Lost, Request, Session, Settings, SignIn, Step};

use crate::host::{Address, Conn, Event, Moment};
use crate::turn::{Numbers, Turn};

/// Largest message that is collected; larger ones stay in the mailbox.
const MAX_MESSAGE_BYTES: u64 = 1 << 20;

/// Which mailbox, and how much of it.
#[derive(Debug, Clone)]
pub struct Collecting {
    /// Where it is.
    pub server: Address,
    /// By which it is signed in to.
    pub user: String,
    /// By which it is signed in to.
    pub password: String,
    /// Messages of one poll, the first of the mailbox; each is kept in memory, 1 MiB at most.
    pub max_messages: usize,
}

/// How far a poll is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There is no poll.
    Idle,
    /// The server is asked.
    Busy,
    /// The messages are there, and the server waits.
    Fetched,
}

/// At most one connection, and what was fetched by it.
#[derive(Debug)]
pub(crate) struct Collector {
    collecting: Collecting,
    line: Option<Line>,
    stage: Stage,
    fetched: Vec<Vec<u8>>,
    /// The poll under way has come to [`Stage::Fetched`].
    has_fetched: bool,
    finished: bool,
}

#[derive(Debug)]
struct Line {
    conn: Conn,
    /// None: not connected yet.
    session: Option<Session>,
    numbers: Vec<u32>,
    message: Vec<u8>,
    /// When it is waited no longer.
    give_up_at: Option<Moment>,
}

impl Collector {
    pub fn new(collecting: Collecting) -> Self {
        let (stage, fetched) = (Stage::Idle, Vec::new());
        Self { collecting, line: None, stage, fetched, has_fetched: false, finished: false }
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether a poll that had fetched has ended since this was asked last, well or not.
    pub fn take_finished(&mut self) -> bool {
        std::mem::take(&mut self.finished)
    }

    /// The messages of this poll.
    pub fn take_messages(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.fetched)
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Moment> {
        self.line.as_ref().and_then(|line| line.give_up_at)
    }

    /// Begins a poll, unless there is one.
    pub fn poll(&mut self, numbers: &mut Numbers, turn: &mut Turn<'_>) {
        if self.stage != Stage::Idle {
            return;
        }
        let conn = numbers.next();
        self.stage = Stage::Busy;
        self.line =
            Some(Line { conn, session: None, numbers: Vec::new(), message: Vec::new(), give_up_at: None });
        turn.connect(conn, self.collecting.server.clone());
    }

    /// Takes what concerns its connection; other events mean nothing to it.
    pub fn on(&mut self, event: &Event<'_>, turn: &mut Turn<'_>) {
        let Some(line) = &mut self.line else { return };
        match event {
            Event::Connected { conn } if *conn == line.conn && line.session.is_none() => self.connected(turn),
            Event::Failed { conn } if *conn == line.conn && line.session.is_none() => self.end(),
            Event::Bytes { conn, bytes } if *conn == line.conn => self.drive(bytes, turn),
            Event::Closed { conn } if *conn == line.conn => self.lost(Lost::Closed, turn),
            Event::Wake if line.give_up_at.is_some_and(|at| at <= turn.now) => {
                self.lost(Lost::TimedOut, turn)
            }
            _ => {}
        }
    }

    /// After [`Stage::Fetched`]: all that was fetched is deleted.
    pub fn delete_and_quit(&mut self, turn: &mut Turn<'_>) {
        let Some(Line { session: Some(session), numbers, .. }) = &mut self.line else { return };
        if self.stage == Stage::Fetched {
            self.stage = Stage::Busy;
            request(session, numbers.drain(..).map(Request::Delete).collect());
            session.quit();
            self.drive(b"", turn);
        }
    }

    /// After [`Stage::Fetched`]: the connection is closed without a word, and the server deletes nothing.
    pub fn hang_up(&mut self, turn: &mut Turn<'_>) {
        if let Some(line) = self.line.as_ref().filter(|_| self.stage == Stage::Fetched) {
            turn.close(line.conn);
            self.end();
        }
    }

    fn connected(&mut self, turn: &mut Turn<'_>) {
        let Collecting { user, password, .. } = &self.collecting;
        let password = Password::new(password.as_bytes());
        let sign_in = password.ok().and_then(|password| SignIn::new(user.as_str(), password).ok());
        let Some(line) = &mut self.line else { return };
        let Some(sign_in) = sign_in else {
            turn.close(line.conn);
            return self.end();
        };
        let settings = Settings {
            max_message_bytes: MAX_MESSAGE_BYTES,
            max_listed: self.collecting.max_messages,
            ..Settings::default()
        };
        line.session = Some(Session::new(settings, sign_in));
        self.drive(b"", turn);
    }

    fn lost(&mut self, why: Lost, turn: &mut Turn<'_>) {
        match self.line.as_mut().and_then(|line| line.session.as_mut()) {
            Some(session) => session.lost(why),
            None => return self.end(),
        }
        self.drive(b"", turn);
    }

    /// Does what the session asks for, up to where it waits.
    fn drive(&mut self, mut bytes: &[u8], turn: &mut Turn<'_>) {
        let Some(line) = &mut self.line else { return };
        let Some(session) = &mut line.session else { return };
        loop {
            let (taken, step) = session.next(bytes);
            bytes = &bytes[taken..];
            match step {
                Step::Listed => {
                    let listed =
                        session.listing().entries.iter().map(|entry| Request::Retrieve(entry.number));
                    request(session, listed.take(self.collecting.max_messages).collect());
                }
                Step::Begin { .. } | Step::TooBig { .. } => line.message.clear(),
                Step::Content(piece) => line.message.extend_from_slice(piece),
                Step::End { number, .. } => {
                    self.fetched.push(std::mem::take(&mut line.message));
                    line.numbers.push(number);
                }
                Step::Deleted { .. } | Step::Refused { .. } => {}
                Step::NeedInput(wait) => {
                    turn.send(line.conn, std::mem::take(session.output()));
                    line.give_up_at = Some(turn.now.plus_ms(wait.secs() * 1_000));
                    return;
                }
                Step::Idle => {
                    turn.send(line.conn, std::mem::take(session.output()));
                    line.give_up_at = None;
                    (self.stage, self.has_fetched) = (Stage::Fetched, true);
                    return;
                }
                // TLS is not asked for.
                Step::Closed(_) | Step::StartTls => {
                    turn.send(line.conn, std::mem::take(session.output()));
                    turn.close(line.conn);
                    return self.end();
                }
            }
        }
    }

    fn end(&mut self) {
        self.line = None;
        self.stage = Stage::Idle;
        self.finished |= std::mem::take(&mut self.has_fetched);
        self.fetched.clear();
    }
}

/// Asks for as much as the session takes at a time; the rest is left for another poll.
fn request(session: &mut Session, mut wanted: Vec<Request>) {
    wanted.retain(|request| session.request(*request).is_ok());
}
