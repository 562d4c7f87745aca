//! The receiving side of an SMTP (RFC 5321) or LMTP (RFC 2033) connection, without the connection.

mod answers;
mod commands;
mod content;
mod session;
mod sign_in;

use crate::path::Path;
use crate::reply::Reply;
use crate::sasl::{Credentials, Mechanism};

pub use session::{Session, greeting};
pub use sign_in::SignIn;

/// What to do with a CR or LF that stands alone (RFC 5321 §2.3.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareNewlines {
    /// Refuse the message, or the command, and close: for everybody from outside, since a server
    /// that takes them for line ends lets mail be smuggled in.
    Refuse,
    /// Make them CRLF in content and take a bare LF for the end of a command, and count them: for
    /// our own machines, whose software is often old. A bare CR in a command is still refused, and
    /// only CRLF.CRLF ends content.
    Normalise,
}

/// How a session behaves. Limits are per connection unless they say otherwise.
#[derive(Debug, Clone)]
pub struct Settings {
    /// LMTP: LHLO instead of EHLO and HELO, an answer to the content for each accepted recipient
    /// ([`Session::answer_each`]), and no CHUNKING.
    pub lmtp: bool,
    /// Our name, for the greeting and EHLO.
    pub hostname: String,
    /// Largest message, decoded. More, declared or sent, is 552 5.3.4; as much again is read and
    /// thrown away, then the connection is closed.
    pub max_message_bytes: u64,
    /// Longest command line, CRLF included. More is 500 5.5.2, and the rest of it is skipped.
    pub max_line_bytes: usize,
    /// Accepted recipients of one transaction (in LMTP also the most replies that content gets). More are answered 452 4.5.3, which makes the client
    /// send them in another transaction (RFC 5321 §4.5.3.1.10).
    pub max_recipients: u32,
    /// Refused recipients of one transaction. After that, every further RCPT is answered 452 4.5.3.
    pub max_refused_recipients: u32,
    /// Commands without a message accepted between them. One more is answered 421 4.7.0.
    pub max_commands: u32,
    /// Commands with a fault of the client's (unknown, bad syntax, out of order). The last is
    /// answered 421 4.7.0. What the caller refuses does not count, nor does what only follows from
    /// a refused MAIL or refused recipients.
    pub max_errors: u32,
    /// What to do with a CR or LF that stands alone.
    pub bare_newlines: BareNewlines,
    /// Whether DSN (RFC 3461) is offered; without it its parameters are refused.
    pub offer_dsn: bool,
    /// Whether STARTTLS (RFC 3207) is offered, until the connection is secured.
    pub offer_starttls: bool,
    /// Mail is taken over TLS only: before, MAIL is answered 530 5.7.0 (RFC 3207 §4).
    pub require_tls: bool,
    /// Ways to sign in (RFC 4954), in the order in which they are offered; empty: there is none.
    /// Offered and taken over TLS only, and never in LMTP. Until somebody has signed in, lines may
    /// have [`crate::sasl::MAX_EXCHANGE_LINE_BYTES`] then.
    pub auth: Vec<Mechanism>,
    /// Mail is taken from who has signed in only: before, MAIL is answered 530 5.7.0.
    pub auth_required: bool,
    /// Attempts to sign in that fail, or that nobody can judge. After the last, `421 4.7.0` follows its 535
    /// or 454.
    pub max_failed_sign_ins: u32,
}

impl Settings {
    /// The defaults, for SMTP, with this name.
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            lmtp: false,
            hostname: hostname.into(),
            max_message_bytes: 64 << 20,
            max_line_bytes: 4096,
            max_recipients: 10_000,
            max_refused_recipients: 1000,
            max_commands: 50_000,
            max_errors: 20,
            bare_newlines: BareNewlines::Refuse,
            offer_dsn: false,
            offer_starttls: false,
            require_tls: false,
            auth: Vec::new(),
            auth_required: false,
            max_failed_sign_ins: 3,
        }
    }
}

/// MAIL (RFC 5321 §4.1.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailFrom {
    /// Where reports go; null for a report.
    pub reverse_path: Path,
    /// SIZE, in bytes (RFC 1870); at most the limit.
    pub size_bytes: Option<u64>,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// BODY=8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// RET (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// ENVID as given, in xtext (RFC 3461 §4.4).
    pub envid: Option<String>,
}

impl MailFrom {
    /// Mail that nobody is told of: the null reverse-path, no parameters.
    pub fn from_nobody() -> Self {
        Self::plain(Path::null())
    }

    /// MAIL without parameters.
    pub(crate) fn plain(reverse_path: Path) -> Self {
        Self { reverse_path, size_bytes: None, smtputf8: false, eight_bit: false, ret: None, envid: None }
    }
}

/// How much of a message its report brings back (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    /// All of it.
    Full,
    /// Its headers.
    Headers,
}

/// RCPT (RFC 5321 §4.1.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RcptTo {
    /// The recipient. Without a domain it is `Postmaster`, in any case of letters, and nothing else.
    pub forward_path: Path,
    /// NOTIFY, if given (RFC 3461 §4.1).
    pub notify: Option<Notify>,
    /// ORCPT as given, `rfc822;` and xtext (RFC 3461 §4.2).
    pub orcpt: Option<String>,
}

/// When the sender wants reports (RFC 3461 §4.1). `never` stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify {
    /// Never.
    pub never: bool,
    /// On delivery.
    pub success: bool,
    /// On failure.
    pub failure: bool,
    /// On delay.
    pub delay: bool,
}

/// A question of the session's that [`Session::answer`] takes back, so that none is answered twice
/// or without having been asked. Until then the session does not go on.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the session waits for the answer"]
pub struct Question(());

/// What happened, and what the caller has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// All input was taken: write [`Session::output`], then read.
    NeedInput,
    /// Much output has gathered (a client that sends and does not read): write it, then go on.
    Flush,
    /// A question is open. It will be asked no second time.
    NeedAnswer,
    /// EHLO or LHLO (`esmtp`), or HELO, answered already. As [`Step::Reset`], it ends a transaction.
    Hello {
        /// What the client calls itself; any text, at most [`crate::path::MAX_DOMAIN_BYTES`].
        name: String,
        /// Whether it said EHLO or LHLO.
        esmtp: bool,
    },
    /// May mail come from here?
    Mail(Question, MailFrom),
    /// Do we take mail for this recipient?
    Rcpt(Question, RcptTo),
    /// Content is announced, for at least one accepted recipient: is there room?
    Begin {
        /// To be answered, [`Reply::go_ahead`] for yes.
        question: Question,
        /// Bytes announced by SIZE, or by the one BDAT that brings all; never over the limit.
        declared_bytes: Option<u64>,
        /// Whether it comes by BDAT (RFC 3030).
        bdat: bool,
    },
    /// Decoded content: dots undone, every newline CRLF. Comes only after a positive answer to
    /// [`Step::Begin`].
    Data(&'a [u8]),
    /// The content is complete: the answer is what the client is told, and ends the transaction. In
    /// LMTP each accepted recipient may have its own ([`Session::answer_each`]).
    End {
        /// To be answered.
        question: Question,
        /// Bytes of content given out.
        bytes: u64,
        /// Bare CR and LF among them that were made CRLF ([`BareNewlines::Normalise`] only).
        bare_newlines: u64,
    },
    /// The transaction is over without a message, or its content is refused: throw it away.
    Reset,
    /// STARTTLS (RFC 3207): write the output, negotiate TLS, then call [`Session::secured`]; if it
    /// fails, close. A transaction is over, and nothing that was said before counts any more. Until
    /// then all input is thrown away: it came unprotected, and behind the command it could only be
    /// somebody's who wants it obeyed as if it had come through TLS.
    StartTls,
    /// Are these right? To be answered by [`Session::sign_in`]. Every attempt that could be one comes
    /// here once, so this is where they are counted and slowed.
    SignIn(Question, Credentials),
    /// What is stored of this user's password for SCRAM? To be answered by [`Session::stored`], for a
    /// user that does not exist too.
    StoredFor(Question, String),
    /// The session has ended, and an open transaction with it: write the output, then close. Input
    /// is ignored.
    Closed(Closing),
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// The client said QUIT.
    Quit,
    /// The caller answered 421 or 521, or called [`Session::shut_down`].
    Caller,
    /// More errors than `max_errors`.
    Errors,
    /// More commands than `max_commands`.
    Commands,
    /// As many failed attempts to sign in as `max_failed_sign_ins`.
    SignIns,
    /// A bare CR or LF where it is refused.
    BareNewline,
    /// Twice `max_message_bytes` in one message, or an over-long line without end.
    TooMuch,
    /// BDAT without a readable size, or where it is not offered: where commands begin again cannot
    /// be known, or need not.
    BadChunk,
}

/// A reply to a fault of the client's.
fn fault(code: u16, detail: u16, text: &'static str) -> Reply {
    Reply::new(code, (5, detail), text)
}
