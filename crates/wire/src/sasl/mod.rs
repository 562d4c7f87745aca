//! The server's side of sign-in (SASL, RFC 4422): responses in, challenges and questions out. What is
//! shared of the client's is in [`client`].
//!
//! PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login), SCRAM-SHA-256 (RFC 5802, RFC 7677) and
//! OAUTHBEARER (RFC 7628). Nothing is known here of who exists: the caller is asked what it has
//! stored for a user ([`Turn::Stored`]), and whether credentials are right ([`Turn::Check`]). For a
//! user that does not exist it gives what it would give for one that does.
//!
//! *Names and passwords* are UTF-8 without control characters, taken as they are: no SASLprep
//! (RFC 4013), no normalisation, no folding of case or of spaces. Two ways to write the same letter
//! are two letters. Who wants to sign in *as somebody else* (an authorization identity that differs
//! from the user's own) is refused.

mod base64;
mod bearer;
pub mod client;
#[doc(hidden)]
pub mod fuzz;
mod plain;
mod scram;
mod secret;
#[cfg(test)]
mod tests;

use std::fmt;

pub use base64::decode;
pub(crate) use base64::encode;
pub use scram::{MAX_NONCE_BYTES, MAX_SALT_BYTES, StoredScram};
pub use secret::Secret;
pub(crate) use secret::wipe;

/// Longest line of an exchange, its CRLF included (RFC 4954 §4).
pub const MAX_EXCHANGE_LINE_BYTES: usize = 12_288;
/// Longest name of a user.
pub const MAX_USER_BYTES: usize = 255;
/// Longest password.
pub const MAX_PASSWORD_BYTES: usize = 4096;

/// A way to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: for old clients.
    Login,
    /// RFC 7677, without channel binding.
    ScramSha256,
    /// RFC 7628.
    OauthBearer,
}

impl Mechanism {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Login, Self::ScramSha256, Self::OauthBearer];

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }

    /// The mechanism of that name, in any case of letters.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// What somebody shows to prove who they are.
#[derive(Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A password (PLAIN, LOGIN).
    Password {
        /// Who they say they are.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A bearer token (OAUTHBEARER).
    Token {
        /// Who they say they are; None: the token alone says it.
        user: Option<String>,
        /// The token (RFC 6750 §2.1).
        token: Secret,
    },
    /// A proof by SCRAM, checked already against what was stored: an attempt to be counted, and
    /// refused whatever the caller says if it is not `proved`.
    Scram {
        /// Who they say they are.
        user: String,
        /// Whether they know the password.
        proved: bool,
    },
}

/// What comes next in an exchange.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// To be sent; a response follows.
    Challenge(Vec<u8>),
    /// Are these right? To be answered by [`Exchange::checked`].
    Check(Credentials),
    /// What is stored for this user? To be answered by [`Exchange::stored`].
    Stored(String),
    /// The exchange is over: signed in.
    Accepted,
    /// The exchange is over: not signed in.
    Refused,
    /// The exchange is over: the response was none of the mechanism.
    Malformed(&'static str),
    /// The exchange is over for a fault of ours.
    Trouble,
}

/// One attempt to sign in. After a [`Turn`] that says so it is over, and every further response is
/// malformed.
pub struct Exchange(State);

enum State {
    /// The first response is to come.
    Begun(Mechanism),
    /// LOGIN has the name.
    Password(String),
    /// SCRAM asks what is stored.
    Looking(scram::ClientFirst),
    /// SCRAM has challenged.
    Proving(Box<scram::Challenged>),
    /// SCRAM has proved itself to the client, whose empty response is to come.
    Proved(String),
    /// The caller is asked; `proved` is what SCRAM found.
    Checking {
        mechanism: Mechanism,
        proved: bool,
    },
    /// OAUTHBEARER has said what is wrong; the client's empty response is to come.
    Told,
    Over,
}

impl Exchange {
    /// Begins one, with the initial response if there was one.
    pub fn begin(mechanism: Mechanism, initial: Option<&[u8]>) -> (Self, Turn) {
        let mut exchange = Self(State::Begun(mechanism));
        let turn = match initial {
            Some(response) => exchange.response(response),
            None => {
                Turn::Challenge(if mechanism == Mechanism::Login { plain::USER.to_vec() } else { vec![] })
            }
        };
        (exchange, turn)
    }

    /// Takes a response, decoded.
    pub fn response(&mut self, response: &[u8]) -> Turn {
        match std::mem::replace(&mut self.0, State::Over) {
            State::Begun(Mechanism::Plain) => self.check(Mechanism::Plain, plain::read(response)),
            State::Begun(Mechanism::Login) => match name(response) {
                Some(user) => {
                    self.0 = State::Password(user);
                    Turn::Challenge(plain::PASSWORD.to_vec())
                }
                None => Turn::Malformed(BAD_NAME),
            },
            State::Password(user) => {
                self.check(Mechanism::Login, plain::credentials(user, response).map(Some).ok_or(BAD_PASSWORD))
            }
            State::Begun(Mechanism::OauthBearer) => {
                self.check(Mechanism::OauthBearer, bearer::read(response))
            }
            State::Begun(Mechanism::ScramSha256) => match scram::ClientFirst::read(response) {
                Ok(Some(first)) => {
                    let user = first.user().to_owned();
                    self.0 = State::Looking(first);
                    Turn::Stored(user)
                }
                Ok(None) => Turn::Refused,
                Err(why) => Turn::Malformed(why),
            },
            State::Proving(challenged) => self.proof(*challenged, response),
            State::Proved(user) if response.is_empty() => {
                let found = Ok(Some(Credentials::Scram { user, proved: true }));
                self.check(Mechanism::ScramSha256, found)
            }
            // RFC 7628 §3.2.3: whatever the client says to it, it has failed.
            State::Told => Turn::Refused,
            State::Proved(_) | State::Looking(_) | State::Checking { .. } | State::Over => {
                Turn::Malformed("no response was asked for")
            }
        }
    }

    /// Answers [`Turn::Stored`]: what is stored for the user, or for a user that does not exist
    /// something that looks so and is the same every time; and random bytes, at least 16 and at
    /// most [`MAX_NONCE_BYTES`], never used before. None: it cannot be said.
    pub fn stored(&mut self, stored: Option<StoredScram>, nonce: &[u8]) -> Turn {
        let State::Looking(first) = std::mem::replace(&mut self.0, State::Over) else { return Turn::Trouble };
        match stored.and_then(|stored| first.challenge(stored, nonce)) {
            None => Turn::Trouble,
            Some((challenged, challenge)) => {
                self.0 = State::Proving(Box::new(challenged));
                Turn::Challenge(challenge)
            }
        }
    }

    /// Answers [`Turn::Check`].
    pub fn checked(&mut self, right: bool) -> Turn {
        match std::mem::replace(&mut self.0, State::Over) {
            State::Checking { proved: true, .. } if right => Turn::Accepted,
            State::Checking { mechanism: Mechanism::OauthBearer, .. } => {
                self.0 = State::Told;
                Turn::Challenge(bearer::INVALID_TOKEN.to_vec())
            }
            State::Checking { .. } => Turn::Refused,
            _ => Turn::Trouble,
        }
    }

    fn proof(&mut self, challenged: scram::Challenged, response: &[u8]) -> Turn {
        match challenged.prove(response) {
            Err(why) => Turn::Malformed(why),
            Ok((user, None)) => {
                let found = Ok(Some(Credentials::Scram { user, proved: false }));
                self.check(Mechanism::ScramSha256, found)
            }
            Ok((user, Some(signature))) => {
                self.0 = State::Proved(user);
                Turn::Challenge(signature)
            }
        }
    }

    /// Has the caller look at what a response brought. `Ok(None)`: they are somebody else's.
    fn check(&mut self, mechanism: Mechanism, found: Result<Option<Credentials>, &'static str>) -> Turn {
        match found {
            Err(why) => Turn::Malformed(why),
            Ok(None) => Turn::Refused,
            Ok(Some(credentials)) => {
                let proved = !matches!(credentials, Credentials::Scram { proved: false, .. });
                self.0 = State::Checking { mechanism, proved };
                Turn::Check(credentials)
            }
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange(..)")
    }
}

const BAD_NAME: &str = "that is no user name";
const BAD_PASSWORD: &str = "that is no password";

/// A name of a user.
fn name(bytes: &[u8]) -> Option<String> {
    let text = text(bytes, MAX_USER_BYTES)?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// UTF-8 without control characters, of at most `max_bytes`.
fn text(bytes: &[u8], max_bytes: usize) -> Option<&str> {
    let text = str::from_utf8(bytes).ok().filter(|text| text.len() <= max_bytes)?;
    (!text.chars().any(char::is_control)).then_some(text)
}
