//! The state of a session, and the way from input to steps.

use std::fmt;
use std::sync::Arc;

use super::answers::Owed;
use super::content::Body;
use super::{BareNewlines, Closing, MailFrom, Question, Settings, SignIn, Step};
use crate::line::{Framed, Framer};
use crate::reply::Reply;
use crate::sasl::{Exchange, wipe};

/// Output at which the session wants it written before it goes on: with this and the longest reply
/// it is bounded, however much a client pipelines.
pub(crate) const FLUSH_AT_BYTES: usize = 16 << 10;

/// The receiving side of one connection.
///
/// Feed it input with [`Session::next`] until it says [`Step::NeedInput`], write
/// [`Session::output`] before waiting for more, answer what it asks. Replies come out in the order
/// of the commands (RFC 2920 §3.2).
pub struct Session {
    pub(super) settings: Arc<Settings>,
    pub(super) framer: Framer,
    pub(super) output: Vec<u8>,
    pub(super) state: State,
    pub(super) greeted: bool,
    pub(super) secure: bool,
    pub(super) transaction: Option<Transaction>,
    pub(super) body: Option<Body>,
    /// The last MAIL was refused: what a pipelining client sent after it is no fault of its own.
    pub(super) mail_refused: bool,
    pub(super) commands: u32,
    pub(super) errors: u32,
    pub(super) signed_in: bool,
    pub(super) failed_sign_ins: u32,
    pub(super) scratch: Vec<u8>,
}

/// What the next byte of input is, or what must come before it.
#[derive(Debug)]
pub(super) enum State {
    /// Part of a command.
    Command,
    /// Part of a line of an exchange that signs in.
    Exchange(Exchange),
    /// Nothing, before the question is answered.
    Asked(Asked),
    /// Content sent with DATA.
    Data,
    /// Content sent with BDAT.
    Chunk { left_bytes: u64, last: bool },
    /// Nothing, before the replies to content are in the output (RFC 2033 §4.2).
    Owing(Owed),
    /// Thrown away, until TLS is negotiated.
    Handshake,
    /// Ignored.
    Closed(Closing),
}

/// The open question.
#[derive(Debug)]
pub(super) enum Asked {
    Mail(Transaction),
    Rcpt,
    Data,
    Chunk { bytes: u64, last: bool },
    End,
    SignIn(Exchange),
    Stored(Exchange),
}

/// From an accepted MAIL to the answer to its content (RFC 5321 §3.3).
#[derive(Debug)]
pub(super) struct Transaction {
    pub smtputf8: bool,
    pub declared_bytes: Option<u64>,
    pub accepted: u32,
    pub refused: u32,
}

impl Transaction {
    pub fn of(mail: &MailFrom) -> Self {
        Self { smtputf8: mail.smtputf8, declared_bytes: mail.size_bytes, accepted: 0, refused: 0 }
    }
}

/// Without what was said: it may be a password.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("framer", &self.framer)
            .field("output_bytes", &self.output.len())
            .field("state", &self.state)
            .field("secure", &self.secure)
            .field("signed_in", &self.signed_in)
            .field("transaction", &self.transaction)
            .field("commands", &self.commands)
            .field("errors", &self.errors)
            .field("failed_sign_ins", &self.failed_sign_ins)
            .finish_non_exhaustive()
    }
}

/// The text of our greeting: whoever greets with the same is this server.
pub fn greeting(hostname: &str) -> String {
    format!("{hostname} ESMTP quell")
}

impl Session {
    /// A session whose greeting waits in the output (RFC 5321 §3.1).
    pub fn new(settings: Arc<Settings>) -> Self {
        let lf_ends_line = settings.bare_newlines == BareNewlines::Normalise;
        let mut session = Self {
            framer: Framer::new(settings.max_line_bytes, lf_ends_line),
            output: Vec::new(),
            state: State::Command,
            greeted: false,
            secure: false,
            transaction: None,
            body: None,
            mail_refused: false,
            commands: 0,
            errors: 0,
            signed_in: false,
            failed_sign_ins: 0,
            scratch: Vec::new(),
            settings,
        };
        let hostname = &session.settings.hostname;
        let text = if session.settings.lmtp { format!("{hostname} LMTP quell") } else { greeting(hostname) };
        session.say(&Reply::new(220, None, text));
        session
    }

    /// Replies to be written. The caller takes them out (`clear`, `drain`) before it waits for
    /// input; at most 16 KiB and one reply gather otherwise, and at the end of an LMTP session the
    /// replies to its last content.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// What happens next: how many bytes of `input` were taken, and the step. What was not taken
    /// must be given again, with more behind it if there is more. Steps, content and replies do not
    /// depend on how input is cut, but for the cuts between two [`Step::Data`].
    pub fn next<'a>(&mut self, input: &'a [u8]) -> (usize, Step<'a>) {
        if self.output.len() > FLUSH_AT_BYTES {
            return (0, Step::Flush);
        }
        match self.state {
            State::Command | State::Exchange(_) => self.next_command(input),
            State::Asked(_) => (0, Step::NeedAnswer),
            State::Data | State::Chunk { .. } => self.next_content(input),
            State::Owing(_) => {
                self.pay();
                self.next(input)
            }
            State::Handshake => (input.len(), Step::StartTls),
            State::Closed(why) => (input.len(), Step::Closed(why)),
        }
    }

    /// Answers a question; in LMTP, content is answered so for every recipient. A reply of 421 or
    /// 521 closes the session. Without an open question (only
    /// one of another session could be handed in) nothing happens.
    pub fn answer(&mut self, question: Question, reply: Reply) {
        let asked = match std::mem::replace(&mut self.state, State::Command) {
            State::Asked(asked) => asked,
            other => return self.state = other,
        };
        match asked {
            Asked::Mail(transaction) => {
                self.mail_refused = !reply.is_positive();
                self.transaction = reply.is_positive().then_some(transaction);
                self.say(&reply);
            }
            Asked::Rcpt => {
                self.count_recipient(reply.is_positive());
                self.say(&reply);
            }
            Asked::Data => self.data_answered(&reply),
            Asked::Chunk { bytes, last } => self.chunk_answered(bytes, last, &reply),
            Asked::End => return self.content_answered(Vec::new(), reply),
            Asked::SignIn(_) => {
                self.state = State::Asked(asked);
                self.sign_in(question, SignIn::of(&reply));
                return;
            }
            Asked::Stored(_) => {
                // Before its proof nobody is right, whatever the reply says.
                let is_refusal = reply.code() >= 400;
                let said = if is_refusal { reply } else { super::sign_in::reply_of(SignIn::Trouble) };
                self.nobody(&said);
                return;
            }
        }
        if reply.closes() {
            self.state = State::Closed(Closing::Caller);
        }
    }

    /// Ends the session from outside, with a last reply: `421 4.4.2` for an idle client, `421
    /// 4.3.2` when the server stops (RFC 5321 §3.8). Replies that are owed to content come before it.
    /// Nothing happens if it has ended.
    pub fn shut_down(&mut self, reply: &Reply) {
        if !matches!(self.state, State::Closed(_)) {
            self.close(reply, Closing::Caller);
        }
    }

    /// The connection is protected by TLS from its next byte on: after [`Step::StartTls`], or before
    /// anything was read where TLS begins with the connection. What the client said before is
    /// forgotten (RFC 3207 §4.2), but not how much it said.
    pub fn secured(&mut self) {
        if matches!(self.state, State::Handshake) {
            self.state = State::Command;
        }
        self.secure = true;
        let lf_ends_line = self.settings.bare_newlines == BareNewlines::Normalise;
        self.framer.restart(self.max_line_bytes(), lf_ends_line);
        self.greeted = false;
        self.mail_refused = false;
        self.end_transaction();
    }

    /// Whether [`Session::secured`] was called.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether it speaks LMTP.
    pub fn is_lmtp(&self) -> bool {
        self.settings.lmtp
    }

    /// The client spoke before the greeting was written, which no mail server does: the greeting
    /// becomes a refusal (RFC 5321 §3.1, §4.3.1). To be called before the output is written.
    pub fn early_talker(&mut self) {
        self.output.clear();
        let text = format!("{} you spoke first", self.settings.hostname);
        self.shut_down(&Reply::new(554, (5, 1), text));
    }

    /// How many commands a bare LF has ended ([`BareNewlines::Normalise`]).
    pub fn bare_newlines_in_commands(&self) -> u64 {
        self.framer.bare_lf()
    }

    /// How many faulty commands there were.
    pub fn errors(&self) -> u32 {
        self.errors
    }

    fn next_command<'a>(&mut self, input: &'a [u8]) -> (usize, Step<'a>) {
        let mut used = 0;
        while self.reads_commands() {
            let (taken, framed) = self.framer.next(&input[used..]);
            used += taken;
            let step = match framed {
                Framed::More => return (used, Step::NeedInput),
                Framed::Line(line) => self.line(line),
                Framed::Joined => self.joined_line(),
                Framed::TooLong => self.too_long(),
                Framed::Bare(byte) => self.bare_newline(byte),
                Framed::Endless => self.close_421("line too long", Closing::TooMuch),
            };
            match step {
                // What stands behind it came unprotected.
                Some(Step::StartTls) => return (input.len(), Step::StartTls),
                Some(step) => return (used, step),
                None => {}
            }
        }
        let (taken, step) = self.next(&input[used..]);
        (used + taken, step)
    }

    fn reads_commands(&self) -> bool {
        matches!(self.state, State::Command | State::Exchange(_)) && self.output.len() <= FLUSH_AT_BYTES
    }

    fn line(&mut self, line: &[u8]) -> Option<Step<'static>> {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Exchange(exchange) => self.exchange_line(exchange, line),
            _ => self.command(line),
        }
    }

    fn joined_line(&mut self) -> Option<Step<'static>> {
        let mut line = self.framer.take_joined();
        let step = self.line(&line);
        if self.offers_sign_in() {
            wipe(&mut line);
        }
        self.framer.give_back(line);
        step
    }

    /// An exchange is over with a line that is too long (RFC 4954 §4).
    fn too_long(&mut self) -> Option<Step<'static>> {
        let exchange = matches!(std::mem::replace(&mut self.state, State::Command), State::Exchange(_));
        self.error(&super::fault(500, if exchange { 6 } else { 2 }, "line too long"))
    }

    /// What a stray CR or LF separates may be one command or two: none is read, now or later.
    fn bare_newline(&mut self, byte: u8) -> Option<Step<'static>> {
        let text = match byte {
            b'\r' => "bare <CR>, RFC 5321 2.3.8",
            _ => "bare <LF>, RFC 5321 2.3.8",
        };
        self.say(&super::fault(500, 2, text));
        self.close_421("closing, see above", Closing::BareNewline)
    }

    /// Ends the transaction, whatever became of it.
    pub(super) fn end_transaction(&mut self) {
        self.transaction = None;
        self.body = None;
    }

    fn count_recipient(&mut self, accepted: bool) {
        if let Some(transaction) = &mut self.transaction {
            transaction.accepted += u32::from(accepted);
            transaction.refused += u32::from(!accepted);
        }
    }

    pub(super) fn say(&mut self, reply: &Reply) {
        reply.write(&mut self.output);
    }

    /// Asks the caller.
    pub(super) fn ask(&mut self, asked: Asked) -> Question {
        self.state = State::Asked(asked);
        Question(())
    }

    /// Answers a faulty command; the last that is allowed ends the session.
    pub(super) fn error(&mut self, reply: &Reply) -> Option<Step<'static>> {
        self.errors += 1;
        if self.errors >= self.settings.max_errors {
            return self.close_421("too many errors", Closing::Errors);
        }
        self.say(reply);
        None
    }

    /// Closes with `421 4.7.0`.
    pub(super) fn close_421(&mut self, text: &'static str, why: Closing) -> Option<Step<'static>> {
        self.close(&Reply::new(421, (7, 0), text), why);
        None
    }

    pub(super) fn close(&mut self, reply: &Reply, why: Closing) {
        self.pay_all();
        self.say(reply);
        self.end_transaction();
        self.state = State::Closed(why);
    }
}
