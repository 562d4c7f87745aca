//! The state of a session, and the way from input to steps.

use std::sync::Arc;

use super::content::Content;
use super::maildrop::Maildrop;
use super::{Admission, Closing, CommitQuestion, Settings, SignInQuestion, Step};
use crate::line::{Framed, Framer};

/// Output at which the session wants it written before it goes on.
pub(super) const FLUSH_AT_BYTES: usize = 16 << 10;

/// The serving side of one connection.
///
/// Feed it input with [`Session::next`] until it says [`Step::NeedInput`], write
/// [`Session::output`] before waiting for more, do what it asks. Responses come out in the order of
/// the commands, which may be pipelined (RFC 2449 §6.8). When the connection is lost, drop it:
/// nothing is deleted then.
#[derive(Debug)]
pub struct Session {
    pub(super) settings: Arc<Settings>,
    pub(super) framer: Framer,
    pub(super) output: Vec<u8>,
    pub(super) state: State,
    /// The name that PASS belongs to.
    pub(super) user: Option<String>,
    /// There after the sign-in: the TRANSACTION state of RFC 1939 §5.
    pub(super) maildrop: Option<Maildrop>,
    pub(super) commands: u32,
    pub(super) errors: u32,
    pub(super) sign_ins: u32,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum State {
    /// A command is read.
    Command,
    /// The answer to a sign-in.
    SignIn,
    /// The answer to the deletions.
    Commit,
    /// A listing goes out, from this number on.
    Listing { uidl: bool, number: u32 },
    /// A message goes out.
    Content(Content),
    /// Input is ignored.
    Closed(Closing),
}

impl Session {
    /// A session whose greeting waits in the output (RFC 1939 §4).
    pub fn new(settings: Arc<Settings>) -> Self {
        let mut session = Self {
            framer: Framer::new(settings.max_line_bytes, true),
            output: Vec::new(),
            state: State::Command,
            user: None,
            maildrop: None,
            commands: 0,
            errors: 0,
            sign_ins: 0,
            settings,
        };
        session.say(&format!("+OK {} POP3 quell", session.settings.hostname));
        session
    }

    /// Responses to be written. The caller takes them out before it waits for input; at most 64 KiB
    /// gather otherwise.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// What happens next: how many bytes of `input` were taken, and the step. What was not taken
    /// must be given again, with more behind it if there is more. Steps and responses do not depend
    /// on how input is cut.
    pub fn next(&mut self, input: &[u8]) -> (usize, Step) {
        if self.output.len() > FLUSH_AT_BYTES {
            return (0, Step::Flush);
        }
        match self.state {
            State::Command => self.next_command(input),
            State::SignIn | State::Commit => (0, Step::NeedAnswer),
            State::Content(_) => (0, Step::NeedContent),
            State::Listing { uidl, number } => {
                self.list_from(uidl, number);
                self.next(input)
            }
            State::Closed(why) => (input.len(), Step::Closed(why)),
        }
    }

    /// Answers a sign-in. Without an open one (only one of another session could be handed in)
    /// nothing happens.
    pub fn admit(&mut self, _question: SignInQuestion, admission: Admission) {
        if !matches!(self.state, State::SignIn) {
            return;
        }
        self.state = State::Command;
        match admission {
            Admission::Admitted(messages) => {
                let maildrop = Maildrop::new(messages, self.settings.max_messages);
                self.say(&format!("+OK {} messages", maildrop.len()));
                self.maildrop = Some(maildrop);
            }
            Admission::Refused => self.sign_in_refused(),
            Admission::InUse => self.say("-ERR [IN-USE] the maildrop is in use"),
            Admission::Trouble => self.say("-ERR [SYS/TEMP] try again later"),
        }
    }

    fn sign_in_refused(&mut self) {
        self.say("-ERR [AUTH] wrong user name or password");
        self.sign_ins += 1;
        if self.sign_ins >= self.settings.max_sign_ins {
            self.state = State::Closed(Closing::SignIns);
        }
    }

    /// Answers the deletions: made, all of them, or not (RFC 1939 §6).
    pub fn committed(&mut self, _question: CommitQuestion, made: bool) {
        if matches!(self.state, State::Commit) {
            self.say(if made { "+OK bye" } else { "-ERR [SYS/TEMP] some messages were not deleted" });
            self.state = State::Closed(Closing::Quit);
        }
    }

    /// Ends the session from outside, with a last response: an idle client (RFC 1939 §3: not before
    /// ten minutes), a server that stops. Nothing is deleted. In the middle of a message or a
    /// listing no text is sent, since it would be taken for a part of it. Nothing happens if the
    /// session has ended.
    pub fn shut_down(&mut self, text: &str) {
        match self.state {
            State::Closed(_) => return,
            State::Listing { .. } | State::Content(_) => {}
            _ => self.say(&format!("-ERR [SYS/TEMP] {text}")),
        }
        self.state = State::Closed(Closing::Caller);
    }

    fn next_command(&mut self, input: &[u8]) -> (usize, Step) {
        let mut used = 0;
        while matches!(self.state, State::Command) && self.output.len() <= FLUSH_AT_BYTES {
            let (taken, framed) = self.framer.next(&input[used..]);
            used += taken;
            let step = match framed {
                Framed::More => return (used, Step::NeedInput),
                Framed::Line(line) => self.command(line),
                Framed::Joined => self.joined_command(),
                Framed::TooLong => self.error("line too long"),
                Framed::Bare(_) => self.close("a carriage return without line feed", Closing::Lines),
                Framed::Endless => self.close("line too long", Closing::Lines),
            };
            if let Some(step) = step {
                return (used, step);
            }
        }
        let (taken, step) = self.next(&input[used..]);
        (used + taken, step)
    }

    fn joined_command(&mut self) -> Option<Step> {
        let line = self.framer.take_joined();
        let step = self.command(&line);
        self.framer.give_back(line);
        step
    }

    /// As much of a listing as the output has room for.
    fn list_from(&mut self, uidl: bool, mut number: u32) {
        let last = self.maildrop.as_ref().map_or(0, Maildrop::len) as u32;
        while number <= last && self.output.len() <= FLUSH_AT_BYTES {
            if let Some(line) = self.listed(uidl, number) {
                self.say(&line);
            }
            number += 1;
        }
        self.state = State::Listing { uidl, number };
        if number > last {
            self.say(".");
            self.state = State::Command;
        }
    }

    /// The line of a message in a listing; none if it is deleted.
    pub(super) fn listed(&self, uidl: bool, number: u32) -> Option<String> {
        let message = self.maildrop.as_ref()?.get(number)?;
        Some(match uidl {
            true => format!("{number} {}", message.uidl),
            false => format!("{number} {}", message.bytes),
        })
    }

    /// A line. What is not printable ASCII is written as `?`.
    pub(super) fn say(&mut self, line: &str) {
        self.output.extend(line.bytes().map(|b| if matches!(b, b' '..=b'~') { b } else { b'?' }));
        self.output.extend_from_slice(b"\r\n");
    }

    /// Answers a faulty command; the last that is allowed ends the session.
    pub(super) fn error(&mut self, text: &str) -> Option<Step> {
        self.errors += 1;
        if self.errors >= self.settings.max_errors {
            return self.close("too many errors", Closing::Errors);
        }
        self.say(&format!("-ERR {text}"));
        None
    }

    pub(super) fn close(&mut self, text: &str, why: Closing) -> Option<Step> {
        self.say(&format!("-ERR {text}"));
        self.state = State::Closed(why);
        None
    }

    pub(super) fn ask_sign_in(&mut self) -> SignInQuestion {
        self.state = State::SignIn;
        SignInQuestion(())
    }

    pub(super) fn ask_commit(&mut self) -> CommitQuestion {
        self.state = State::Commit;
        CommitQuestion(())
    }
}
