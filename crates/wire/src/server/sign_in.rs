//! AUTH (RFC 4954): exchanges in the session, and who has signed in.

use super::session::{Asked, Session, State};
use super::{Closing, Question, Step, fault};
use crate::reply::Reply;
use crate::sasl::{self, Exchange, MAX_EXCHANGE_LINE_BYTES, Mechanism, StoredScram, Turn};

type Done = Option<Step<'static>>;

/// The answer to [`Step::SignIn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// They are right: 235 2.7.0. A proof that was none is refused all the same.
    Accepted,
    /// They are not: 535 5.7.8.
    Refused,
    /// It cannot be said at the moment: 454 4.7.0.
    Trouble,
    /// There were too many attempts: 421 4.7.0, and the session closes.
    TooMany,
}

impl SignIn {
    /// What a reply to the question means.
    pub(super) fn of(reply: &Reply) -> Self {
        match reply.code() {
            _ if reply.closes() => Self::TooMany,
            200..400 => Self::Accepted,
            400..500 => Self::Trouble,
            _ => Self::Refused,
        }
    }
}

impl Session {
    /// Whether somebody has signed in. That lasts as long as the connection.
    pub fn is_signed_in(&self) -> bool {
        self.signed_in
    }

    /// Answers [`Step::SignIn`], and says whether somebody has signed in with it. Another question is
    /// answered as by [`Session::answer`] with the reply that this would be.
    pub fn sign_in(&mut self, question: Question, answer: SignIn) -> bool {
        let mut exchange = match std::mem::replace(&mut self.state, State::Command) {
            State::Asked(Asked::SignIn(exchange)) => exchange,
            other => {
                self.state = other;
                self.answer(question, reply_of(answer));
                return false;
            }
        };
        match answer {
            SignIn::Accepted | SignIn::Refused => {
                let turn = exchange.checked(answer == SignIn::Accepted);
                self.turn(exchange, turn);
            }
            SignIn::Trouble | SignIn::TooMany => drop(self.nobody(&reply_of(answer))),
        }
        self.signed_in
    }

    /// Answers [`Step::StoredFor`], see [`Exchange::stored`]; another question as [`Session::answer`]
    /// with 454. [`Session::sign_in`] and [`Session::answer`] answer it too: that nobody signs in, and
    /// nothing goes on.
    pub fn stored(&mut self, question: Question, stored: Option<StoredScram>, nonce: &[u8]) {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Asked(Asked::Stored(mut exchange)) => {
                let turn = exchange.stored(stored, nonce);
                self.turn(exchange, turn);
            }
            other => {
                self.state = other;
                self.answer(question, reply_of(SignIn::Trouble));
            }
        }
    }

    /// Whether AUTH is listed, and `AUTH=` may stand in MAIL.
    pub(super) fn offers_sign_in(&self) -> bool {
        self.secure && !self.settings.lmtp && !self.settings.auth.is_empty()
    }

    /// Longest line that may come now.
    pub(super) fn max_line_bytes(&self) -> usize {
        let most = self.settings.max_line_bytes;
        if self.offers_sign_in() && !self.signed_in { most.max(MAX_EXCHANGE_LINE_BYTES) } else { most }
    }

    /// The names of what is offered.
    pub(super) fn mechanisms(&self) -> String {
        self.settings.auth.iter().map(|mechanism| mechanism.name()).collect::<Vec<_>>().join(" ")
    }

    /// `AUTH mechanism [initial response]`; `argument` follows the verb and a space.
    pub(super) fn auth(&mut self, argument: &[u8]) -> Done {
        if self.settings.lmtp || self.settings.auth.is_empty() {
            return self.error(&fault(502, 1, "not implemented"));
        }
        if !self.secure {
            return self.error(&Reply::new(538, (7, 11), "encryption required"));
        }
        if !self.greeted || self.signed_in || self.transaction.is_some() {
            let text = match (self.greeted, self.signed_in) {
                (false, _) => "EHLO first",
                (true, true) => "signed in already",
                (true, false) => "not within a transaction",
            };
            return self.error(&fault(503, 1, text));
        }
        let mut words = argument.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let (Some(name), initial, None) = (words.next(), words.next(), words.next()) else {
            return self.error(&fault(501, 4, "syntax: AUTH mechanism [initial-response]"));
        };
        let Some(mechanism) = self.mechanism(name) else {
            return self.error(&fault(504, 4, "mechanism not offered"));
        };
        let mut initial = match initial {
            None => None,
            Some(b"=") => Some(Vec::new()),
            Some(text) => match sasl::decode(text) {
                Some(response) => Some(response),
                None => return self.error(&no_base64()),
            },
        };
        let (exchange, turn) = Exchange::begin(mechanism, initial.as_deref());
        initial.as_deref_mut().into_iter().for_each(sasl::wipe);
        self.turn(exchange, turn)
    }

    fn mechanism(&self, name: &[u8]) -> Option<Mechanism> {
        Mechanism::named(name).filter(|mechanism| self.settings.auth.contains(mechanism))
    }

    /// A line of the exchange.
    pub(super) fn exchange_line(&mut self, mut exchange: Exchange, line: &[u8]) -> Done {
        if self.counts_too_many_commands() {
            return self.close_421("too many commands", Closing::Commands);
        }
        if line == b"*" {
            return self.error(&Reply::new(501, (7, 0), "sign-in cancelled"));
        }
        let Some(mut response) = sasl::decode(line) else {
            return self.error(&no_base64());
        };
        let turn = exchange.response(&response);
        sasl::wipe(&mut response);
        self.turn(exchange, turn)
    }

    fn turn(&mut self, exchange: Exchange, turn: Turn) -> Done {
        match turn {
            Turn::Challenge(challenge) => {
                self.say(&Reply::new(334, None, sasl::encode(&challenge)));
                self.state = State::Exchange(exchange);
                None
            }
            Turn::Check(credentials) => {
                let question = self.ask(Asked::SignIn(exchange));
                Some(Step::SignIn(question, credentials))
            }
            Turn::Stored(user) => {
                let question = self.ask(Asked::Stored(exchange));
                Some(Step::StoredFor(question, user))
            }
            Turn::Accepted => {
                self.signed_in = true;
                self.framer.set_max_line_bytes(self.max_line_bytes());
                self.say(&reply_of(SignIn::Accepted));
                None
            }
            Turn::Refused => self.nobody(&reply_of(SignIn::Refused)),
            Turn::Malformed(text) => self.error(&fault(501, 2, text)),
            Turn::Trouble => self.nobody(&reply_of(SignIn::Trouble)),
        }
    }

    /// Nobody has signed in. Trouble counts as failures do: whoever can bring it about would otherwise
    /// try for ever.
    pub(super) fn nobody(&mut self, reply: &Reply) -> Done {
        if reply.closes() {
            self.close(reply, Closing::Caller);
            return None;
        }
        self.say(reply);
        self.failed_sign_ins += 1;
        if self.failed_sign_ins >= self.settings.max_failed_sign_ins {
            return self.close_421("closing, too many failed attempts", Closing::SignIns);
        }
        None
    }
}

/// RFC 4954 §6. What is wrong, nobody is told.
pub(super) fn reply_of(answer: SignIn) -> Reply {
    match answer {
        SignIn::Accepted => Reply::new(235, (7, 0), "signed in"),
        SignIn::Refused => Reply::new(535, (7, 8), "name or password wrong"),
        SignIn::Trouble => Reply::new(454, (7, 0), "sign-in is not possible at the moment; try again later"),
        SignIn::TooMany => Reply::new(421, (7, 0), "too many attempts to sign in; try again later"),
    }
}

fn no_base64() -> Reply {
    fault(501, 2, "that is no base64")
}
