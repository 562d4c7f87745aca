//! The sending side of an SMTP (RFC 5321) or LMTP (RFC 2033) connection, without the connection.
//!
//! [`Session`] says what to write and what to wait for, and gives one [`Outcome`] per recipient: a
//! recipient that the next hop has refused, one that it has taken, and one of which nobody can know
//! are different things, whatever became of the others. What the wire's point of no return is, the
//! caller is told before it is passed ([`Step::Dot`]).
//!
//! CHUNKING (RFC 3030) is not used. With PIPELINING, DATA costs no round trip more than BDAT does;
//! and BDAT that is pipelined behind RCPT is content sent before it is known who takes it: with
//! `LAST` in it, recipients that are then refused would stand at the dot as well.

mod command;
mod encode;
#[doc(hidden)]
pub mod fuzz;
mod offer;
mod outcome;
mod reply;
mod session;
mod transaction;

use crate::server::{MailFrom, RcptTo};

pub use encode::Encoder;
pub use outcome::{MAX_STATUS_TEXT_BYTES, Outcome, Status};
pub use reply::{
    BadReply, MAX_REPLY_BYTES, MAX_REPLY_LINE_BYTES, MAX_REPLY_LINES, MAX_UNREAD_BYTES, Reader, ServerReply,
};
pub use session::Session;

/// What to do with a message of 8-bit content where the next hop does not offer 8BITMIME (RFC 6152).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EightBit {
    /// Send it unchanged: hardly a server is left that does not take it, and a change would break
    /// signatures.
    Send,
    /// Refuse it, 5.6.3.
    Bounce,
}

/// Whether the session asks for TLS (RFC 3207).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starttls {
    /// It does not ask.
    Never,
    /// It asks where TLS is offered, and goes on without where that is refused. Whoever stands between
    /// the two can have it so.
    Offered,
    /// Without TLS nothing is sent: all recipients are [`Outcome::Temporary`], 4.7.4.
    Required,
}

/// Most recipients of one transaction, whatever a next hop says it takes: a lost answer is Unknown
/// for all of them.
pub const MAX_RECIPIENTS: usize = 1_000;

/// How a session behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// LMTP: LHLO, and an answer to the content for each recipient (RFC 2033 §4).
    pub lmtp: bool,
    /// Our name, for EHLO. What is not printable ASCII in it is left out.
    pub our_name: String,
    /// Whether TLS is asked for.
    pub starttls: Starttls,
    /// The connection is TLS from its first byte on (RFC 8314 §3): STARTTLS is not said.
    pub secure: bool,
    /// Without 8BITMIME.
    pub eightbit: EightBit,
    /// Recipients of one transaction; the rest follow in further transactions. At least 1. A next
    /// hop that takes fewer is asked for no more than it took, on this connection; one that says how
    /// many it takes (RFC 9422 RCPTMAX) is given so many, up to [`MAX_RECIPIENTS`].
    pub max_recipients: usize,
    /// Bytes of commands that are sent before their replies are read (RFC 2920 §3.1: neither side
    /// may come to wait for the other); the last of them may pass it. 0: none is pipelined.
    pub pipelining_window_bytes: usize,
    /// Only ask: the transaction ends with RSET once every RCPT is answered. A recipient that would
    /// be taken is [`Outcome::Relayed`] ([`Outcome::Delivered`] for LMTP); no message is sent.
    pub probe: bool,
    /// The next hop stands in our own configuration: that it refuses us before MAIL is a fault of the
    /// configuration or of that server, never of the message, which waits.
    pub configured: bool,
}

impl Settings {
    /// The defaults, for SMTP, with this name.
    pub fn new(our_name: impl Into<String>) -> Self {
        Self {
            lmtp: false,
            our_name: our_name.into(),
            starttls: Starttls::Never,
            secure: false,
            eightbit: EightBit::Send,
            max_recipients: 100,
            pipelining_window_bytes: 16 << 10,
            probe: false,
            configured: false,
        }
    }
}

/// What is to be sent, and to whom: the same words that came in go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The reverse-path and its parameters: `size_bytes` of the message as it lies in the spool,
    /// `eight_bit` if it has bytes over 127, `smtputf8` if a header field has (an address that has
    /// them is found here). ENVID that is not xtext is left out.
    pub mail: MailFrom,
    /// The recipients; outcomes name them by their place here. ORCPT that is not xtext is left out.
    pub recipients: Vec<RcptTo>,
}

/// What the caller has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write these bytes, all of them. They count as sent from here on.
    Write(Vec<u8>),
    /// Read, and call [`Session::input`]; after so long without a whole reply
    /// ([`Session::replies`]), [`Session::lost`].
    NeedInput(Wait),
    /// The next hop waits for TLS. Write nothing and read nothing but the handshake, then call
    /// [`Session::secured`], or [`Session::tls_failed`].
    StartTls,
    /// Give the message to [`Session::body`] from its beginning and write what comes out, then call
    /// [`Session::body_end`]. A write may take as long as [`Wait::DataBlock`].
    SendBody,
    /// The message has been sent but for its end. Write down that it goes out to these recipients,
    /// then call [`Session::dot_recorded`]; if that cannot be written, [`Session::lost`].
    Dot(Vec<usize>),
    /// What became of a recipient. Comes exactly once for each.
    Outcome {
        /// Its place in [`Envelope::recipients`].
        recipient: usize,
        /// What became of it.
        outcome: Outcome,
    },
    /// Every recipient has its outcome, and the connection is as good as new: [`Session::begin`]
    /// another message, or [`Session::quit`].
    Done,
    /// Every recipient has its outcome; close the connection.
    Closed,
}

/// What is waited for. How long is RFC 5321 §4.5.3.2; LMTP has no times of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The greeting (§4.5.3.2.1).
    Greeting,
    /// The answer to a command (§4.5.3.2.2, §4.5.3.2.3).
    Command,
    /// The 354 (§4.5.3.2.4).
    Data354,
    /// That a piece of the message can be written (§4.5.3.2.5).
    DataBlock,
    /// The answer to the message (§4.5.3.2.6): too short a time makes duplicates.
    FinalDot,
    /// The answer to QUIT. RFC 5321 has no time for it, and nothing depends on it.
    Quit,
}

impl Wait {
    /// The time in seconds.
    pub const fn secs(self) -> u64 {
        match self {
            Self::Greeting | Self::Command => 5 * 60,
            Self::Data354 => 2 * 60,
            Self::DataBlock => 3 * 60,
            Self::FinalDot => 10 * 60,
            Self::Quit => 5,
        }
    }
}

/// Why a connection came to its end before we ended it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The next hop closed it, or it broke.
    Closed,
    /// Nothing came, or nothing could be written, within [`Wait::secs`].
    TimedOut,
    /// It broke, for a reason that can be told: in words for the operator.
    Broken(String),
    /// Trouble of our own, in words for the operator: the spool cannot be read, the dot cannot be
    /// written down, the server stops.
    Ours(String),
}
