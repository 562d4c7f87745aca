//! The serving side of a POP3 connection (RFC 1939, RFC 2449), without the connection.
//!
//! The maildrop is the caller's: the session asks who may see it, for the bytes of a message, and
//! for the deletions at the end.

mod commands;
mod content;
mod maildrop;
mod session;

pub use maildrop::Listed;
pub use session::Session;

use super::Password;

/// How a session behaves. Limits are per connection.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our name, for the greeting. Anything but printable ASCII is written as `?`.
    pub hostname: String,
    /// Longest command line, its end included. RFC 2449 §4 says 255; PASS with a token is longer.
    /// More is refused, and the rest of the line skipped.
    pub max_line_bytes: usize,
    /// Messages shown of a maildrop, about 100 bytes of memory each: of more, the first so many.
    /// The others come into view when these are deleted.
    pub max_messages: usize,
    /// Failed sign-ins. The last is answered and the connection closed.
    pub max_sign_ins: u32,
    /// Faulty commands. The last is answered and the connection closed.
    pub max_errors: u32,
    /// Commands. One more closes the connection, and nothing is deleted: more than a client needs
    /// that asks four times for each of `max_messages`.
    pub max_commands: u32,
    /// Whether CAPA (RFC 2449) is known, as it is not to servers of before 1998.
    pub offer_capa: bool,
    /// Whether UIDL is known, which RFC 1939 leaves to the server.
    pub offer_uidl: bool,
}

impl Settings {
    /// The defaults, with this name.
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            max_line_bytes: 1024,
            max_messages: 100_000,
            max_sign_ins: 3,
            max_errors: 20,
            max_commands: 500_000,
            offer_capa: true,
            offer_uidl: true,
        }
    }
}

/// That a sign-in is to be answered, with [`Session::admit`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the session waits for the answer"]
pub struct SignInQuestion(());

/// That deletions are to be made, and answered with [`Session::committed`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the session waits for the answer"]
pub struct CommitQuestion(());

/// The answer to a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// This is the maildrop, as it stays for the whole session (RFC 1939 §4).
    Admitted(Vec<Listed>),
    /// No such user, or not this password: which of the two, nobody is told (RFC 3206 §4 `AUTH`).
    Refused,
    /// Another session has the maildrop (RFC 2449 §8.1.2 `IN-USE`).
    InUse,
    /// Trouble of our own (RFC 3206 §4 `SYS/TEMP`).
    Trouble,
}

/// What happened, and what the caller has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// All input was taken: write [`Session::output`], then read.
    NeedInput,
    /// Much output has gathered: write it, then go on.
    Flush,
    /// A question is open. It will be asked no second time.
    NeedAnswer,
    /// May this user in?
    SignIn {
        /// To be answered.
        question: SignInQuestion,
        /// As given; no control characters.
        user: String,
        /// As given.
        password: Password,
    },
    /// A message is wanted: have it ready, from its beginning. Said once, [`Step::NeedContent`]
    /// follows. What is left of an earlier message is not wanted any more.
    Retrieve {
        /// Its number, from 1, as it stood in [`Admission::Admitted`].
        number: u32,
        /// TOP: the header and so many lines of the body. None: all of it.
        lines: Option<u64>,
    },
    /// Give the next piece of the message to [`Session::content`], or say that it is complete or
    /// cannot be read.
    NeedContent,
    /// QUIT (RFC 1939 §6): delete these messages, all or none if that can be, then answer. Deletions
    /// are asked for at no other time. Not said if there are none.
    Commit {
        /// To be answered.
        question: CommitQuestion,
        /// Numbers, ascending.
        deleted: Vec<u32>,
    },
    /// The session has ended: write the output, then close. Input is ignored.
    Closed(Closing),
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// The client said QUIT.
    Quit,
    /// The caller called [`Session::shut_down`], or [`Session::content_failed`] in the middle.
    Caller,
    /// More failed sign-ins than `max_sign_ins`.
    SignIns,
    /// More faults than `max_errors`.
    Errors,
    /// More commands than `max_commands`.
    Commands,
    /// A bare CR, or an over-long line without end: where commands begin again cannot be known.
    Lines,
}
