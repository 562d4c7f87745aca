//! Reading a message while it streams in: the header is kept, the body goes into the exact key.

use memchr::memchr;

use crate::canon::relaxed_value;
use crate::exact::{KeyFields, KeyHasher, NoKey};
use crate::header::{Field, fields};
use crate::key::ExactKey;
use crate::message_id::{self, MAX_MESSAGE_ID_BYTES};
use crate::trace::{SeenToken, token_in};

/// Tokens remembered of one message: with more than 100 hops it is refused anyway. Older ones
/// (further down) are left out.
pub const MAX_TOKENS: usize = 128;
/// `Delivered-To` addresses remembered; those further down are left out.
pub const MAX_DELIVERED_TO: usize = 64;
/// Longest `Delivered-To` remembered (64 + 1 + 255, RFC 5321 §4.5.3.1); a longer one is left out.
const MAX_DELIVERED_TO_BYTES: usize = 320;

/// The header has more bytes than the limit, or than memory could be had for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header is larger than {max_bytes} bytes")]
pub struct HeaderTooLarge {
    /// The limit.
    pub max_bytes: usize,
}

/// What a message says, for the judge.
#[derive(Debug)]
pub struct Reading {
    /// The header block as received, without the empty line that ends it.
    pub header: Vec<u8>,
    /// The exact key, or why there is none.
    pub exact_key: Result<ExactKey, NoKey>,
    /// The first Message-ID, for people: without comments if it is well-formed, else as written;
    /// at most 998 bytes.
    pub message_id: Option<String>,
    /// The first Date, since 1970, if it is one.
    pub date_ms: Option<i64>,
    /// `Received` fields.
    pub hops: usize,
    /// Tokens in them, newest first, whoever made them; at most [`MAX_TOKENS`].
    pub tokens: Vec<SeenToken>,
    /// Bytes after the empty line.
    pub body_bytes: u64,
    /// Whether there is a byte above 127.
    pub has_8bit: bool,
}

/// Where in a line of the header the reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Start,
    Cr,
    Text,
}

/// Reads one message in chunks of any size. Memory: the header once, and 32 KiB.
#[derive(Debug)]
pub struct Reader {
    max_header_bytes: usize,
    header: Vec<u8>,
    line: Line,
    read: Option<HeaderRead>,
    body_bytes: u64,
    has_8bit: bool,
}

/// What the header said, once it had ended.
#[derive(Debug)]
struct HeaderRead {
    hasher: Result<KeyHasher, NoKey>,
    message_id: Option<String>,
    date_ms: Option<i64>,
    hops: usize,
    tokens: Vec<SeenToken>,
}

impl Reader {
    /// At the start of a message whose header may have `max_header_bytes`.
    pub fn new(max_header_bytes: usize) -> Self {
        let (header, line) = (Vec::new(), Line::Start);
        Self { max_header_bytes, header, line, read: None, body_bytes: 0, has_8bit: false }
    }

    /// Takes the next bytes of the message, dots unstuffed.
    ///
    /// # Errors
    /// The header grew over the limit; the reader is of no use then.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), HeaderTooLarge> {
        self.has_8bit = self.has_8bit || !chunk.is_ascii();
        let body = match self.read {
            Some(_) => chunk,
            None => self.push_header(chunk)?,
        };
        self.body_bytes += body.len() as u64;
        if let Some(HeaderRead { hasher: Ok(hasher), .. }) = &mut self.read {
            hasher.push_body(body);
        }
        Ok(())
    }

    /// The message has ended, and arrived at `arrival_ms` (since 1970).
    pub fn finish(mut self, arrival_ms: i64) -> Reading {
        let read = self.read.take().unwrap_or_else(|| read_header(&self.header));
        Reading {
            exact_key: read.hasher.and_then(|h| h.finish(arrival_ms)),
            header: self.header,
            message_id: read.message_id,
            date_ms: read.date_ms,
            hops: read.hops,
            tokens: read.tokens,
            body_bytes: self.body_bytes,
            has_8bit: self.has_8bit,
        }
    }

    /// Takes what of `chunk` is header; gives the rest.
    fn push_header<'a>(&mut self, chunk: &'a [u8]) -> Result<&'a [u8], HeaderTooLarge> {
        let mut start = 0;
        while let Some(len) = memchr(b'\n', &chunk[start..]) {
            if is_empty_line(self.line, &chunk[start..start + len]) {
                self.keep(&chunk[..start])?;
                if self.line == Line::Cr {
                    self.header.pop();
                }
                self.read = Some(read_header(&self.header));
                return Ok(&chunk[start + len + 1..]);
            }
            self.line = Line::Start;
            start += len + 1;
        }
        self.line = line_after(self.line, &chunk[start..]);
        self.keep(chunk)?;
        Ok(b"")
    }

    /// Adds to the header. It grows by what is needed or by an eighth, so that a header of 28 MB
    /// takes no more than 31.5 MB.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), HeaderTooLarge> {
        let too_large = HeaderTooLarge { max_bytes: self.max_header_bytes };
        let len = self.header.len();
        if bytes.len() > self.max_header_bytes.saturating_sub(len) {
            return Err(too_large);
        }
        if self.header.capacity() - len < bytes.len() {
            let step = (len / 8).min(self.max_header_bytes - len).max(bytes.len());
            self.header.try_reserve_exact(step).map_err(|_| too_large)?;
        }
        self.header.extend_from_slice(bytes);
        Ok(())
    }
}

/// Whether a line that began as `line` says and ends after `rest` is empty.
fn is_empty_line(line: Line, rest: &[u8]) -> bool {
    match line {
        Line::Start => rest.is_empty() || rest == b"\r",
        Line::Cr => rest.is_empty(),
        Line::Text => false,
    }
}

/// Where the reader stands after `rest`, which has no line end.
fn line_after(line: Line, rest: &[u8]) -> Line {
    match (line, rest) {
        (line, []) => line,
        (Line::Start, b"\r") => Line::Cr,
        _ => Line::Text,
    }
}

/// One walk through the header.
fn read_header(header: &[u8]) -> HeaderRead {
    let mut found = KeyFields::new();
    let (mut hops, mut tokens, mut delivered_to) = (0, Vec::new(), Vec::new());
    for field in fields(header) {
        if field.is("received") {
            hops += 1;
            note_token(field, &delivered_to, &mut tokens);
        } else if field.is("delivered-to") {
            note_delivered_to(field, &mut delivered_to);
        } else {
            found.see(field);
        }
    }
    HeaderRead {
        message_id: found.message_id().map(message_id_for_people),
        date_ms: found.date_ms(),
        hasher: found.begin(header),
        hops,
        tokens,
    }
}

fn note_token(field: Field<'_>, delivered_to: &[String], tokens: &mut Vec<SeenToken>) {
    if tokens.len() < MAX_TOKENS
        && let Some((queue_id, mac)) = token_in(field.value)
    {
        tokens.push(SeenToken { queue_id, mac, delivered_to_above: delivered_to.to_vec() });
    }
}

fn note_delivered_to(field: Field<'_>, delivered_to: &mut Vec<String>) {
    let address = field.value.trim_ascii();
    if delivered_to.len() < MAX_DELIVERED_TO
        && address.len() <= MAX_DELIVERED_TO_BYTES
        && let Ok(address) = std::str::from_utf8(address)
    {
        delivered_to.push(address.to_lowercase());
    }
}

fn message_id_for_people(value: &[u8]) -> String {
    message_id::parse(value).unwrap_or_else(|| {
        let mut text = Vec::new();
        relaxed_value(value, |slice| {
            let room = MAX_MESSAGE_ID_BYTES - text.len();
            text.extend_from_slice(&slice[..slice.len().min(room)]);
        });
        let mut text: String =
            String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).collect();
        text.truncate(text.floor_char_boundary(MAX_MESSAGE_ID_BYTES));
        text
    })
}
