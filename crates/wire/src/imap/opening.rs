//! What is said before TLS (RFC 9051 §6.2.1, §7.1), and the greeting.

use crate::line::{Framed, Framer};
use crate::printable::printable;

/// Longest line before TLS, its end included. A longer one is a fault of the server's.
pub const MAX_OPENING_LINE_BYTES: usize = 8192;
/// Most lines before the answer to STARTTLS. More is a fault of the server's.
pub const MAX_OPENING_LINES: usize = 32;
/// Longest text of a server that is kept; the rest is cut off.
pub const MAX_TEXT_BYTES: usize = 512;

/// Of a tag that no client behind us gives.
const STARTTLS: &[u8] = b"S0 STARTTLS\r\n";
const TAG: &[u8] = b"S0";

/// The opening of one connection: the greeting, and STARTTLS if that is wanted. What comes after is
/// for the client. No capability is asked for: what is said before TLS might be anybody's, and a server
/// that has no STARTTLS says so.
///
/// Feed it input with [`Opening::next`] until it says [`Step::NeedInput`], write [`Opening::output`]
/// before waiting for more. Memory is bounded by one line.
#[derive(Debug)]
pub struct Opening {
    wants_tls: bool,
    stage: Stage,
    framer: Framer,
    output: Vec<u8>,
    lines: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Greeting,
    /// STARTTLS was said.
    Asked,
    /// The greeting is read, and no more is wanted.
    Greeted,
    /// TLS is negotiated by the caller.
    Tls,
    Over(Why),
}

/// What happened, and what the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// All input was taken: write [`Opening::output`], then read; [`Opening::lost`] if nothing comes.
    NeedInput,
    /// The greeting is read. Input that was not taken is for the client.
    Greeted,
    /// The server waits for TLS: negotiate it, then the client may begin, without a greeting. No byte
    /// that was read before TLS may be given to it.
    StartTls,
    /// The end: close the connection. Nothing of a user has gone out.
    Closed(Why),
}

/// Why it came to nothing. Texts are for the operator; what is not printable ASCII stands as `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The server says BYE: it is busy, or we are not welcome.
    Bye(String),
    /// The server has us signed in already (PREAUTH), as somebody that we do not know, and without TLS
    /// where that was wanted: STARTTLS cannot be said any more (RFC 9051 §11.1).
    PreAuth,
    /// It does not offer TLS, or refuses it (NO, BAD). Whoever stands between the two can have it so.
    NoTls(String),
    /// What the server says cannot be understood.
    Fault(Fault),
    /// The connection is gone.
    Lost,
}

/// What a server says that cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first line is no greeting.
    #[error("a first line that is no greeting")]
    NoGreeting,
    /// A line that answers something that was not said.
    #[error("a line that is no answer to STARTTLS")]
    NoAnswer,
    /// A line past [`MAX_OPENING_LINE_BYTES`].
    #[error("a line that is too long")]
    LongLine,
    /// Past [`MAX_OPENING_LINES`].
    #[error("too many lines before TLS")]
    Lines,
    /// A CR without LF, or LF without CR.
    #[error("a line with a bare newline")]
    BareNewline,
    /// Input behind the answer to STARTTLS: anybody may have put it there.
    #[error("something behind the answer to STARTTLS")]
    Unasked,
}

impl Opening {
    /// Asks for TLS.
    pub fn starttls() -> Self {
        let framer = Framer::new(MAX_OPENING_LINE_BYTES, false);
        Self { wants_tls: true, stage: Stage::Greeting, framer, output: Vec::new(), lines: 0 }
    }

    /// Reads the greeting alone: the connection is TLS already, or none is wanted.
    pub fn greeting_only() -> Self {
        Self { wants_tls: false, ..Self::starttls() }
    }

    /// To be written. The caller takes it out before it waits for input.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// The connection is of no more use: it broke, or nothing came in time.
    pub fn lost(&mut self) {
        if matches!(self.stage, Stage::Greeting | Stage::Asked) {
            self.stage = Stage::Over(Why::Lost);
        }
    }

    /// What happens next: how many bytes of `input` were taken, and the step. What was not taken must be
    /// given again, with more behind it, or to the client ([`Step::Greeted`]). Steps do not depend on
    /// how input is cut, but for what stands behind the answer to STARTTLS.
    pub fn next(&mut self, input: &[u8]) -> (usize, Step) {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match &self.stage {
                Stage::Greeting | Stage::Asked => {}
                Stage::Greeted => return (used, Step::Greeted),
                Stage::Tls if rest.is_empty() => return (used, Step::StartTls),
                Stage::Tls => {
                    self.fault(Fault::Unasked);
                    continue;
                }
                Stage::Over(why) => return (input.len(), Step::Closed(why.clone())),
            }
            let (taken, framed) = self.framer.next(rest);
            used += taken;
            match framed {
                Framed::More => return (used, Step::NeedInput),
                Framed::Line(line) => self.line(line),
                Framed::Joined => {
                    let line = self.framer.take_joined();
                    self.line(&line);
                    self.framer.give_back(line);
                }
                Framed::TooLong | Framed::Endless => self.fault(Fault::LongLine),
                Framed::Bare(_) => self.fault(Fault::BareNewline),
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        self.lines += 1;
        if self.lines > MAX_OPENING_LINES {
            return self.fault(Fault::Lines);
        }
        let (tag, rest) = word(line);
        let (status, text) = word(rest);
        let text = || printable(text, MAX_TEXT_BYTES);
        let status = status.to_ascii_uppercase();
        match (&self.stage, tag, status.as_slice()) {
            (_, b"*", b"BYE") => self.stage = Stage::Over(Why::Bye(text())),
            (Stage::Greeting, b"*", b"OK") => self.greeted(),
            (Stage::Greeting, b"*", b"PREAUTH") => self.stage = Stage::Over(Why::PreAuth),
            (Stage::Greeting, ..) => self.fault(Fault::NoGreeting),
            (_, b"*", _) => {}
            (_, TAG, b"OK") => self.stage = Stage::Tls,
            (_, TAG, b"NO" | b"BAD") => self.stage = Stage::Over(Why::NoTls(text())),
            _ => self.fault(Fault::NoAnswer),
        }
    }

    fn greeted(&mut self) {
        self.stage = if self.wants_tls { Stage::Asked } else { Stage::Greeted };
        if self.wants_tls {
            self.output.extend_from_slice(STARTTLS);
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.stage = Stage::Over(Why::Fault(fault));
    }
}

/// The first word, and what follows the space behind it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', text) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}
