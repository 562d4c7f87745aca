//! What each command does (RFC 1939 §4 to §7, RFC 2449 §5).

use super::content::Content;
use super::maildrop::Maildrop;
use super::session::{Session, State};
use super::{Closing, Step};
use crate::params;
use crate::pop3::Password;

/// RFC 2449 §6, RFC 3206. SASL and STLS come with the first that signs in so.
const CAPABILITIES: [&str; 5] = ["TOP", "USER", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE"];

/// No fault in a client that pipelines: the number may have been good when it was sent.
const NO_SUCH: &str = "-ERR no such message";

impl Session {
    /// One command line, without its end.
    pub(super) fn command(&mut self, line: &[u8]) -> Option<Step> {
        self.commands += 1;
        if self.commands > self.settings.max_commands {
            return self.close("too many commands", Closing::Commands);
        }
        if line.iter().any(u8::is_ascii_control) {
            return self.error("control character");
        }
        let (verb, argument) = split_word(line);
        let verb = verb.to_ascii_uppercase();
        match (verb.as_slice(), self.maildrop.is_some()) {
            (b"CAPA", _) if self.settings.offer_capa => self.capabilities(),
            (b"QUIT", _) => self.quit(),
            (b"USER", false) => self.user(argument),
            (b"PASS", false) => self.pass(argument),
            (b"STAT", true) => self.stat(),
            (b"LIST", true) => self.list(argument, false),
            (b"UIDL", true) if self.settings.offer_uidl => self.list(argument, true),
            (b"RETR", true) => self.retrieve(argument),
            (b"TOP", true) => self.top(argument),
            (b"DELE", true) => self.delete(argument),
            (b"NOOP", true) => self.ok("+OK"),
            (b"RSET", true) => self.reset(),
            _ => self.error("unknown command, or not now"),
        }
    }

    /// RFC 2449 §5.
    fn capabilities(&mut self) -> Option<Step> {
        self.say("+OK capabilities follow");
        for capability in CAPABILITIES {
            self.say(capability);
        }
        if self.settings.offer_uidl {
            self.say("UIDL");
        }
        self.ok(".")
    }

    /// RFC 1939 §7. Whether there is such a user is not told.
    fn user(&mut self, name: &[u8]) -> Option<Step> {
        let Some(name) = std::str::from_utf8(name).ok().filter(|name| !name.is_empty()) else {
            return self.error("syntax: USER name");
        };
        self.user = Some(name.to_owned());
        self.ok("+OK send PASS")
    }

    /// RFC 1939 §7. All that follows the space is the password, spaces too.
    fn pass(&mut self, password: &[u8]) -> Option<Step> {
        let Some(user) = self.user.take() else {
            return self.error("USER first");
        };
        match Password::new(password) {
            Ok(password) => Some(Step::SignIn { question: self.ask_sign_in(), user, password }),
            Err(_) => self.error("syntax: PASS password"),
        }
    }

    fn stat(&mut self) -> Option<Step> {
        let (count, bytes) = self.maildrop.as_ref().map_or((0, 0), Maildrop::stat);
        self.ok(&format!("+OK {count} {bytes}"))
    }

    /// LIST, or UIDL, of one message or of all.
    fn list(&mut self, argument: &[u8], uidl: bool) -> Option<Step> {
        if argument.is_empty() {
            self.say("+OK listing follows");
            self.state = State::Listing { uidl, number: 1 };
            return None;
        }
        match number(argument).and_then(|number| self.listed(uidl, number)) {
            Some(line) => self.ok(&format!("+OK {line}")),
            None => self.ok(NO_SUCH),
        }
    }

    fn retrieve(&mut self, argument: &[u8]) -> Option<Step> {
        match number(argument) {
            Some(number) => self.send(number, None),
            None => self.error("syntax: RETR number"),
        }
    }

    fn top(&mut self, argument: &[u8]) -> Option<Step> {
        let (first, second) = split_word(argument);
        match (number(first), params::number(second)) {
            (Some(number), Some(lines)) => self.send(number, Some(lines)),
            _ => self.error("syntax: TOP number lines"),
        }
    }

    fn send(&mut self, number: u32, lines: Option<u64>) -> Option<Step> {
        let Some(bytes) = self.maildrop.as_ref().and_then(|drop| drop.get(number)).map(|m| m.bytes) else {
            return self.ok(NO_SUCH);
        };
        self.state = State::Content(Content::new(bytes, lines));
        Some(Step::Retrieve { number, lines })
    }

    /// Only a mark, until QUIT.
    fn delete(&mut self, argument: &[u8]) -> Option<Step> {
        let deleted = number(argument)
            .is_some_and(|number| self.maildrop.as_mut().is_some_and(|drop| drop.delete(number)));
        self.ok(if deleted { "+OK marked as deleted" } else { NO_SUCH })
    }

    fn reset(&mut self) -> Option<Step> {
        if let Some(maildrop) = &mut self.maildrop {
            maildrop.reset();
        }
        self.ok("+OK")
    }

    /// RFC 1939 §6: the UPDATE state, the only way into it.
    fn quit(&mut self) -> Option<Step> {
        let deleted = self.maildrop.as_ref().map(Maildrop::deleted).unwrap_or_default();
        if !deleted.is_empty() {
            return Some(Step::Commit { question: self.ask_commit(), deleted });
        }
        self.say("+OK bye");
        self.state = State::Closed(Closing::Quit);
        None
    }

    fn ok(&mut self, line: &str) -> Option<Step> {
        self.say(line);
        None
    }
}

/// The first word, and what follows the one space behind it.
fn split_word(line: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', line) {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, b""),
    }
}

/// A message number.
fn number(text: &[u8]) -> Option<u32> {
    params::number(text.trim_ascii_end()).and_then(|number| u32::try_from(number).ok())
}
