//! The state of a session, and the way from input to steps.

use std::collections::VecDeque;
use std::fmt;

use super::auth::Exchange;
use super::listing::Listing;
use super::offer::Means;
use super::{
    Deletions, Ending, Fault, Lost, MAX_LINE_BYTES, MAX_REQUESTS, NotTaken, Offer, Request, Settings, SignIn,
    Step, Wait, Why,
};
use crate::data::{Decoder, Piece};
use crate::line::{Framed, Framer};
use crate::pop3::Password;

/// The collecting side of one connection.
///
/// Feed it input with [`Session::next`] until it says [`Step::NeedInput`], write
/// [`Session::output`] before waiting for more, make requests from [`Step::Listed`] on. Memory is
/// bounded by one line, the listing, and [`MAX_REQUESTS`].
pub struct Session {
    pub(super) settings: Settings,
    /// Until it has been used.
    pub(super) sign_in: Option<SignIn>,
    /// Until it has been used, after USER.
    pub(super) password: Option<Password>,
    pub(super) exchange: Exchange,
    framer: Framer,
    pub(super) output: Vec<u8>,
    pub(super) stage: Stage,
    /// What the responses to come will answer, in order.
    pub(super) expected: VecDeque<Expected>,
    /// What the next byte of input is.
    pub(super) reading: Reading,
    /// The connection has become TLS.
    pub(super) secure: bool,
    pub(super) offer: Offer,
    pub(super) means: Means,
    pub(super) listing: Listing,
    /// Lines of the present answer to CAPA or UIDL.
    pub(super) lines: u64,
    requests: VecDeque<Request>,
    quitting: bool,
    pub(super) deletions: Deletions,
    /// The server has marked a message.
    pub(super) marked: bool,
    lost: Option<Lost>,
    ended: Option<Why>,
}

/// What is to be sent next, when nothing is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Capa,
    Stls,
    /// TLS is negotiated by the caller.
    Tls,
    SignIn,
    Pass,
    Stat,
    List,
    Uidl,
    Listed,
    /// What the caller asks for.
    Ready,
}

/// What a response answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Greeting,
    Capa,
    Stls,
    User,
    Pass,
    Auth,
    Stat,
    List,
    Uidl,
    Request(Request),
    Quit,
}

/// What the next byte of input belongs to.
#[derive(Debug)]
pub(super) enum Reading {
    /// A status line.
    Status,
    /// The lines behind it.
    Lines,
    /// A message.
    Content(Content),
}

/// A message under way.
#[derive(Debug)]
pub(super) struct Content {
    decoder: Decoder,
    bytes: u64,
}

impl Content {
    pub fn new() -> Self {
        Self { decoder: Decoder::for_data(), bytes: 0 }
    }
}

/// What reading has come to.
pub(super) enum Read<'a> {
    /// All input is taken, and more is needed.
    More,
    /// Something was understood.
    On,
    /// The caller is concerned.
    Step(Step<'a>),
}

/// Without what is to be written: a password may be in it.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("stage", &self.stage)
            .field("expected", &self.expected)
            .field("secure", &self.secure)
            .field("offer", &self.offer)
            .field("listed", &self.listing.listed)
            .field("output_bytes", &self.output.len())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session on a connection that was just made.
    pub fn new(settings: Settings, sign_in: SignIn) -> Self {
        Self {
            settings,
            sign_in: Some(sign_in),
            password: None,
            exchange: Exchange::default(),
            framer: Framer::new(MAX_LINE_BYTES, true),
            output: Vec::new(),
            stage: Stage::Capa,
            expected: VecDeque::from([Expected::Greeting]),
            reading: Reading::Status,
            secure: false,
            offer: Offer::default(),
            means: Means::default(),
            listing: Listing::default(),
            lines: 0,
            requests: VecDeque::new(),
            quitting: false,
            deletions: Deletions::Nothing,
            marked: false,
            lost: None,
            ended: None,
        }
    }

    /// Commands to be written. The caller takes them out before it waits for input.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// What the server says it offers, as far as it has said.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// What the server says is in the maildrop; empty before [`Step::Listed`].
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Asks for something. Requests are sent in this order, and answered in it.
    pub fn request(&mut self, request: Request) -> Result<(), NotTaken> {
        if self.stage != Stage::Ready || self.quitting || self.ended.is_some() {
            return Err(NotTaken::NotNow);
        }
        if self.requests.len() >= MAX_REQUESTS {
            return Err(NotTaken::Full);
        }
        let entry = self.listing.get(request.number()).ok_or(NotTaken::NoSuchMessage)?;
        let too_big = entry.bytes > self.settings.max_message_bytes;
        if too_big && matches!(request, Request::Retrieve(_)) {
            return Err(NotTaken::TooBig);
        }
        self.requests.push_back(request);
        Ok(())
    }

    /// Says QUIT when all requests are answered: only then the server deletes. Before
    /// [`Step::Listed`], as soon as the maildrop is listed.
    pub fn quit(&mut self) {
        self.quitting = true;
    }

    /// The connection is of no more use. Input that is given afterwards still counts.
    pub fn lost(&mut self, why: Lost) {
        self.lost.get_or_insert(why);
    }

    /// What happens next: how many bytes of `input` were taken, and the step. What was not taken
    /// must be given again, with more behind it if there is more. As long as the server says nothing
    /// unasked, steps do not depend on how input is cut, but for the cuts between two
    /// [`Step::Content`].
    pub fn next<'a>(&mut self, input: &'a [u8]) -> (usize, Step<'a>) {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            if let Some(why) = &self.ended {
                let ending = Ending { why: why.clone(), deletions: self.deletions };
                return (input.len(), Step::Closed(ending));
            }
            if self.expected.is_empty() {
                match self.advance(rest.is_empty()) {
                    Some(step) => return (used, step),
                    None => continue,
                }
            }
            self.send_requests();
            let (taken, read) = self.read(rest);
            used += taken;
            match read {
                Read::On => {}
                Read::Step(step) => return (used, step),
                Read::More => match self.lost.take() {
                    Some(lost) => self.end(Why::Lost(lost)),
                    None => return (used, Step::NeedInput(self.wait())),
                },
            }
        }
    }

    /// Nothing is awaited: the next command, or a step.
    fn advance(&mut self, all_taken: bool) -> Option<Step<'static>> {
        if !all_taken {
            self.fault(Fault::Unasked);
            return None;
        }
        if let Some(lost) = self.lost.take() {
            self.end(Why::Lost(lost));
            return None;
        }
        if self.stage != Stage::Ready {
            return self.advance_stage();
        }
        self.send_requests();
        if !self.expected.is_empty() {
            return None;
        }
        if !self.quitting {
            return Some(Step::Idle);
        }
        self.send("QUIT", Expected::Quit);
        if self.marked {
            self.deletions = Deletions::Unknown;
        }
        None
    }

    /// As many requests as may be under way. Half a window at a time, so that they go out in few
    /// writes.
    fn send_requests(&mut self) {
        let window = if self.offer.pipelining { self.settings.max_pipelined.max(1) } else { 1 };
        if self.stage != Stage::Ready || self.expected.len() > window / 2 {
            return;
        }
        while self.expected.len() < window {
            let Some(request) = self.requests.pop_front() else {
                return;
            };
            let command = match request {
                Request::Retrieve(number) => format!("RETR {number}"),
                Request::Top(number) => format!("TOP {number} 0"),
                Request::Delete(number) => format!("DELE {number}"),
            };
            self.send(&command, Expected::Request(request));
        }
    }

    /// A command, which holds no newline.
    pub(super) fn send(&mut self, command: &str, expected: Expected) {
        self.output.extend_from_slice(command.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.expected.push_back(expected);
    }

    fn read<'a>(&mut self, input: &'a [u8]) -> (usize, Read<'a>) {
        if let Reading::Content(_) = self.reading {
            return self.read_content(input);
        }
        let (taken, framed) = self.framer.next(input);
        let read = match framed {
            Framed::More => Read::More,
            Framed::Line(line) => self.line(line),
            Framed::Joined => {
                let line = self.framer.take_joined();
                let read = self.line(&line);
                self.framer.give_back(line);
                read
            }
            Framed::TooLong | Framed::Endless => self.fault(Fault::LongLine),
            Framed::Bare(_) => self.fault(Fault::StrayCr),
        };
        (taken, read)
    }

    fn line(&mut self, line: &[u8]) -> Read<'static> {
        match self.reading {
            Reading::Status => self.status(line),
            _ => self.listed_line(line),
        }
    }

    fn read_content<'a>(&mut self, input: &'a [u8]) -> (usize, Read<'a>) {
        let most = self.settings.max_message_bytes;
        let Reading::Content(content) = &mut self.reading else {
            return (0, Read::On);
        };
        if content.bytes > most.saturating_mul(2) {
            return (0, self.fault(Fault::Endless));
        }
        if input.is_empty() {
            return (0, Read::More);
        }
        let (taken, piece) = content.decoder.next(input);
        let read = match piece {
            Piece::More => Read::On,
            Piece::Content(bytes) => {
                let before = content.bytes;
                content.bytes += bytes.len() as u64;
                match (before <= most, content.bytes <= most) {
                    (_, true) => Read::Step(Step::Content(bytes)),
                    (true, false) => self.too_big(),
                    (false, false) => Read::On,
                }
            }
            Piece::End => self.content_ends(),
        };
        (taken, read)
    }

    fn content_ends(&mut self) -> Read<'static> {
        let reading = std::mem::replace(&mut self.reading, Reading::Status);
        let (Reading::Content(content), Some(expected)) = (reading, self.expected.pop_front()) else {
            return Read::On;
        };
        match expected {
            Expected::Request(request) if content.bytes <= self.settings.max_message_bytes => {
                Read::Step(Step::End {
                    number: request.number(),
                    bytes: content.bytes,
                    bare_newlines: content.decoder.bare_newlines(),
                })
            }
            _ => Read::On,
        }
    }

    fn too_big(&self) -> Read<'static> {
        match self.expected.front() {
            Some(Expected::Request(request)) => Read::Step(Step::TooBig { number: request.number() }),
            _ => Read::On,
        }
    }

    fn wait(&self) -> Wait {
        match (&self.reading, self.expected.front()) {
            (Reading::Content(_), _) => Wait::Content,
            (_, Some(Expected::Greeting)) => Wait::Greeting,
            (_, Some(Expected::Quit)) => Wait::Quit,
            _ => Wait::Response,
        }
    }

    pub(super) fn fault(&mut self, fault: Fault) -> Read<'static> {
        self.end(Why::Fault(fault));
        Read::On
    }

    pub(super) fn end(&mut self, why: Why) {
        self.ended = Some(why);
    }

    /// Ends with a QUIT out of politeness: its answer changes nothing.
    pub(super) fn give_up(&mut self, why: Why) {
        self.output.extend_from_slice(b"QUIT\r\n");
        self.end(why);
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    /// What is kept of a line is forgotten.
    pub(super) fn restart_lines(&mut self) {
        self.framer.restart(MAX_LINE_BYTES, true);
    }
}
