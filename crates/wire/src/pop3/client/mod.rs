//! The collecting side of a POP3 connection (RFC 1939, RFC 2449), without the connection.
//!
//! [`Session`] signs in, lists the maildrop, and then does what it is asked for: messages come out
//! as a stream of pieces, and deletions are asked for by the caller, when what it took is safe. What
//! became of the deletions it says at the end ([`Deletions`]). Every number a server states is
//! taken for a lie until a limit holds it.

mod auth;
mod listing;
mod offer;
mod refusal;
mod session;
mod sign_in;
mod stages;
mod tls;

pub use crate::client::Lost;
pub use crate::sasl::client::{BadBearer, MAX_USER_BYTES, Mechanism};
pub use listing::{Entry, Listing};
pub use offer::Offer;
pub use refusal::{Code, MAX_REFUSAL_BYTES, Refusal};
pub use session::Session;
pub use sign_in::{BadUser, SignIn};

/// Longest line of a status or a listing, its end included; RFC 2449 §4 says 512. A longer one is a
/// fault of the server's ([`Fault::LongLine`]).
pub const MAX_LINE_BYTES: usize = 2048;

/// Most lines of the answer to CAPA. More is a fault of the server's.
pub const MAX_CAPABILITIES: u64 = 200;

/// Requests that wait to be sent. [`Session::request`] refuses more.
pub const MAX_REQUESTS: usize = 1024;

/// Whether the session asks for TLS (RFC 2595 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It does not ask: the connection is TLS from its first byte on (RFC 8314 §3), or none is wanted.
    None,
    /// Before anything is said that must be protected; without TLS the session ends ([`Why::NoTls`]).
    Required,
}

/// How a session behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Largest message that is taken, as it comes out. One that is listed as larger cannot be
    /// requested; of one that is larger than it was listed, as much again is read and thrown away,
    /// then the connection is given up ([`Fault::Endless`]).
    pub max_message_bytes: u64,
    /// Messages of the maildrop that are kept in the listing, about 120 bytes of memory each. The
    /// rest is read, and forgotten.
    pub max_listed: usize,
    /// Lines of a listing that are read. More is a fault of the server's ([`Fault::Listing`]).
    pub max_listing_lines: u64,
    /// Commands under way, if the server offers PIPELINING (RFC 2449 §6.8); together they are at
    /// most 18 bytes times this, which any connection holds while the server does not read. 1: none
    /// is pipelined.
    pub max_pipelined: usize,
    /// Whether TLS is asked for.
    pub tls: Tls,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_message_bytes: 64 << 20,
            max_listed: 100_000,
            max_listing_lines: 20_000_000,
            max_pipelined: 64,
            tls: Tls::None,
        }
    }
}

/// What the caller may ask for, once the maildrop is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The message of this number.
    Retrieve(u32),
    /// Its header alone (TOP, RFC 1939 §7; optional: [`Offer::top`]), also of a message that is too
    /// big. It comes as a message does. What a server adds of the body counts against
    /// `max_message_bytes`.
    Top(u32),
    /// That the message of this number be deleted at the end. To be asked for when it is safe.
    Delete(u32),
}

impl Request {
    /// The number of its message.
    pub fn number(self) -> u32 {
        match self {
            Self::Retrieve(number) | Self::Top(number) | Self::Delete(number) => number,
        }
    }
}

/// Why a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Before [`Step::Listed`], after [`Session::quit`], or after the end.
    #[error("the session takes no requests now")]
    NotNow,
    /// [`MAX_REQUESTS`] are waiting: go on with [`Session::next`].
    #[error("too many requests are waiting")]
    Full,
    /// No message of this number is in the listing.
    #[error("there is no message of this number")]
    NoSuchMessage,
    /// It is listed as larger than `max_message_bytes`.
    #[error("the message is too big")]
    TooBig,
}

/// What happened, and what the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// All input was taken: write [`Session::output`], then read; after so long without a byte,
    /// [`Session::lost`].
    NeedInput(Wait),
    /// The server waits for TLS: write the output, negotiate, then call [`Session::secured`], or
    /// [`Session::lost`]. No byte may be given as input that was read before TLS was there.
    StartTls,
    /// Signed in, and [`Session::listing`] is complete. Said once; requests may be made from now on.
    Listed,
    /// A message begins, or its header that was asked for.
    Begin {
        /// Its number.
        number: u32,
    },
    /// A piece of it: dots undone, every newline CRLF. Never empty.
    Content(&'a [u8]),
    /// It is complete.
    End {
        /// Its number.
        number: u32,
        /// Bytes given out.
        bytes: u64,
        /// Bare CR and LF among them that were made CRLF.
        bare_newlines: u64,
    },
    /// It passes `max_message_bytes`: what was given out is to be thrown away. Instead of
    /// [`Step::End`].
    TooBig {
        /// Its number.
        number: u32,
    },
    /// The server has marked the message. It is deleted if QUIT comes through.
    Deleted {
        /// Its number.
        number: u32,
    },
    /// The server says no to a request; the others are not concerned.
    Refused {
        /// Which.
        request: Request,
        /// What it says.
        refusal: Refusal,
    },
    /// Nothing is under way: [`Session::request`] something, or [`Session::quit`].
    Idle,
    /// The end: write the output, then close.
    Closed(Ending),
}

/// What is waited for. RFC 1939 has no times for clients; these are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The greeting.
    Greeting,
    /// The answer to a command, or more of a listing. Servers lock and scan large maildrops at PASS.
    Response,
    /// More of a message.
    Content,
    /// The answer to QUIT, while the server deletes: too short a time leaves it unknown whether it
    /// did.
    Quit,
}

impl Wait {
    /// The time in seconds.
    pub const fn secs(self) -> u64 {
        match self {
            Self::Greeting => 60,
            Self::Response | Self::Quit => 5 * 60,
            Self::Content => 3 * 60,
        }
    }
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub why: Why,
    /// What became of the messages that were to be deleted.
    pub deletions: Deletions,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// QUIT was answered.
    Quit,
    /// TLS must be, and the server does not offer it, or refuses it. Whoever stands between the two
    /// can have it so. Neither name nor password has gone out.
    NoTls,
    /// It offers no way to sign in by the token. QUIT was said, and the token was not.
    NoMechanism,
    /// The server says no.
    Refused(At, Refusal),
    /// What the server says cannot be understood, so nothing that follows can.
    Fault(Fault),
    /// The connection is gone.
    Lost(Lost),
}

/// Where the server said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// In its greeting: it is busy, or we are not welcome.
    Greeting,
    /// To USER, PASS or AUTH. Unless its [`Code`] says otherwise, to try again without a change is
    /// hammering.
    SignIn,
    /// To STAT or LIST.
    Listing,
    /// To QUIT: some messages may not have been deleted (RFC 1939 §6).
    Quit,
}

/// What became of the messages that were to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletions {
    /// There were none, or QUIT was not sent: an honest server keeps them (RFC 1939 §6).
    Nothing,
    /// All that [`Step::Deleted`] named.
    Done,
    /// QUIT was sent and not answered, or answered with no: any of them may be gone, or come again.
    Unknown,
}

/// What a server says that cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A line that is neither `+OK` nor `-ERR` where one has to be.
    #[error("a line that is neither +OK nor -ERR")]
    NoStatus,
    /// A line past [`MAX_LINE_BYTES`].
    #[error("a line that is too long")]
    LongLine,
    /// A carriage return without line feed in a line.
    #[error("a line with a stray carriage return")]
    StrayCr,
    /// A listing (or a STAT) whose numbers are none, that does not ascend, or that passes
    /// `max_listing_lines` or [`MAX_CAPABILITIES`].
    #[error("a listing that cannot be right")]
    Listing,
    /// A challenge where the exchange of sign-in has none, or signed in before anything was shown, or
    /// after it was called wrong.
    #[error("an exchange of sign-in that cannot be right")]
    Exchange,
    /// A message past twice `max_message_bytes`.
    #[error("a message without end")]
    Endless,
    /// It spoke when nothing was asked: an answer might be taken for that to something else.
    #[error("an answer to nothing")]
    Unasked,
}
