//! A message on its way to the client (RFC 1939 §3, §5 RETR, §7 TOP).

use super::Closing;
use super::session::{FLUSH_AT_BYTES, Session, State};
use crate::client::Encoder;

/// The message that is wanted.
#[derive(Debug)]
pub(super) struct Content {
    encoder: Encoder,
    /// The status line, until it is said.
    status: Option<String>,
    top: Option<Top>,
}

impl Content {
    pub fn new(bytes: u64, lines: Option<u64>) -> Self {
        let status = match lines {
            None => format!("+OK {bytes} octets\r\n"),
            Some(_) => "+OK top of message follows\r\n".to_owned(),
        };
        Self { encoder: Encoder::default(), status: Some(status), top: lines.map(Top::new) }
    }

    /// Writes a piece; true if no more is wanted.
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) -> bool {
        let wanted = self.top.as_mut().map_or(piece.len(), |top| top.wanted(piece));
        let mut rest = &piece[..wanted];
        while !rest.is_empty() {
            let (taken, encoded) = self.encoder.next(rest);
            out.extend_from_slice(encoded);
            rest = &rest[taken..];
        }
        self.top.as_ref().is_some_and(Top::is_complete)
    }
}

impl Session {
    /// Takes the beginning of a piece of the message, any bytes, and says how much was taken: less
    /// than all when much output has gathered, which is then to be written. Dots are stuffed, and
    /// newlines of any kind go out as CRLF. Bytes that are not wanted (any more) are all taken, and
    /// nothing happens.
    pub fn content(&mut self, piece: &[u8]) -> usize {
        let mut taken = 0;
        while taken < piece.len() && self.output.len() <= FLUSH_AT_BYTES {
            let State::Content(content) = &mut self.state else {
                return piece.len();
            };
            let part = &piece[taken..piece.len().min(taken + FLUSH_AT_BYTES)];
            self.output.extend(content.status.take().unwrap_or_default().into_bytes());
            let complete = content.write(part, &mut self.output);
            taken += part.len();
            if complete {
                self.content_end();
            }
        }
        taken
    }

    /// The message is complete.
    pub fn content_end(&mut self) {
        if let State::Content(content) = &mut self.state {
            self.output.extend(content.status.take().unwrap_or_default().into_bytes());
            self.output.extend_from_slice(content.encoder.terminator());
            self.state = State::Command;
        }
    }

    /// The message cannot be read. Before its first piece the client is told so; after that it can
    /// only be told by the end of the connection, lest it take a part for the whole.
    pub fn content_failed(&mut self) {
        if let State::Content(content) = &self.state {
            match content.status {
                Some(_) => {
                    self.state = State::Command;
                    self.say("-ERR [SYS/TEMP] the message cannot be read now");
                }
                None => self.state = State::Closed(Closing::Caller),
            }
        }
    }
}

/// The header and so many lines of the body.
#[derive(Debug)]
struct Top {
    in_header: bool,
    lines_left: u64,
    /// The line that has begun is not empty.
    text: bool,
}

impl Top {
    fn new(lines: u64) -> Self {
        Self { in_header: true, lines_left: lines, text: false }
    }

    fn is_complete(&self) -> bool {
        !self.in_header && self.lines_left == 0
    }

    /// How many bytes of the piece belong to it.
    fn wanted(&mut self, piece: &[u8]) -> usize {
        let mut at = 0;
        while at < piece.len() && !self.is_complete() {
            let end = memchr::memchr(b'\n', &piece[at..]).map_or(piece.len(), |end| at + end);
            self.text |= piece[at..end].iter().any(|b| *b != b'\r');
            at = piece.len().min(end + 1);
            if end < piece.len() {
                self.line_ends();
            }
        }
        at
    }

    fn line_ends(&mut self) {
        match self.in_header {
            true => self.in_header = self.text,
            false => self.lines_left -= 1,
        }
        self.text = false;
    }
}
