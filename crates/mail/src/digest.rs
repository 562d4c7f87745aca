//! Composing the digest of held mail: a `multipart/mixed` of a list for people and the held messages,
//! as many as there is room for.
//!
//! Pure, and bounded: [`MAX_ATTACHED_BYTES`], [`MAX_LISTED`]. A held message comes through byte for byte.
//! One that is plain (7-bit, CRLF lines of at most 998 bytes) is a part `message/rfc822`, whose transfer
//! encoding may be 7bit, 8bit or binary and no other (RFC 2046 §5.2.1). All others are files in base64,
//! `message-N.eml`: so a digest is 7-bit, and no next hop on its way has a reason to refuse it, to
//! encode it anew, or to break its lines. `message/global` could be in base64 (RFC 6532 §3.7), but few
//! mail programs show it, and a name that ends in `.eml` they all open.

use std::fmt::Write as _;

use crate::content::words::decoded;
use crate::date;
use crate::dsn::field::{self, Value};
use crate::dsn::{MAX_LINE_BYTES, boundary};
use crate::header;

/// Bytes of attached messages, encoded; what does not fit is only listed.
pub const MAX_ATTACHED_BYTES: usize = 9 << 20;
/// Messages listed; of further ones only the number is told.
pub const MAX_LISTED: usize = 1_000;
/// Of a longer field only the beginning is listed.
const MAX_FIELD_BYTES: usize = 1_000;
/// Bytes in a line of base64 (RFC 2045 §6.8: at most 76 characters).
const BASE64_LINE_BYTES: usize = 57;

/// Whom a digest is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The recipient of the messages.
    Recipient,
    /// Their sender, in one of our domains.
    Sender,
    /// The operator.
    Operator,
}

/// What a digest says beside its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Our host name.
    pub host: &'a str,
    /// Addresses for `To`.
    pub to: &'a [&'a str],
    /// Message-ID, with its angle brackets.
    pub message_id: &'a str,
    /// When it is made, since 1970.
    pub date_ms: i64,
    /// Who reads it.
    pub reader: Reader,
    /// The storm's id.
    pub storm: Option<&'a str>,
    /// Why the messages were held, as a sentence.
    pub why: &'a str,
    /// For so long they can still be delivered from the queue.
    pub kept_days: i64,
}

/// One held message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its queue id.
    pub queue_id: &'a str,
    /// Reverse-path, shown where no `From` says who wrote it.
    pub sender: &'a str,
    /// Whom it was for.
    pub recipient: &'a str,
    /// When it was received, since 1970.
    pub received_ms: i64,
    /// Bytes as received.
    pub size_bytes: u64,
    /// The message, or its beginning. Empty: it is no longer there.
    pub bytes: &'a [u8],
    /// It is all of it, and is to be attached if there is room.
    pub whole: bool,
}

/// A digest that is being put together.
#[derive(Debug)]
pub struct Digest<'a> {
    frame: Frame<'a>,
    list: String,
    parts: Vec<Vec<u8>>,
    attached_bytes: usize,
    messages: usize,
}

impl<'a> Digest<'a> {
    /// An empty one.
    pub fn new(frame: Frame<'a>) -> Self {
        Self { frame, list: String::new(), parts: Vec::new(), attached_bytes: 0, messages: 0 }
    }

    /// Room that is left for attached messages, in bytes.
    pub fn room(&self) -> usize {
        MAX_ATTACHED_BYTES.saturating_sub(self.attached_bytes)
    }

    /// Adds a message: lists it, and attaches it if it is whole and there is room.
    pub fn add(&mut self, entry: &Entry<'_>) {
        self.messages += 1;
        let number = self.messages;
        if number > MAX_LISTED {
            return;
        }
        let part = (entry.whole && !entry.bytes.is_empty() && entry.bytes.len() <= self.room())
            .then(|| part(number, entry.bytes))
            .filter(|part| part.len() <= self.room());
        let told = match (&part, entry.bytes) {
            (Some(_), _) => format!("attached as message-{number}.eml"),
            (None, []) => "not attached: it is no longer there".to_owned(),
            (None, _) => "not attached: it is too large to be".to_owned(),
        };
        self.describe(number, entry, &told);
        if let Some(part) = part {
            self.attached_bytes += part.len();
            self.parts.push(part);
        }
    }

    fn describe(&mut self, number: usize, entry: &Entry<'_>, told: &str) {
        let header = header::split(entry.bytes).0;
        let from = text_of(header, "From").unwrap_or_else(|| match entry.sender {
            "" => "<> (a mail system)".to_owned(),
            sender => format!("<{sender}>"),
        });
        let subject = text_of(header, "Subject").unwrap_or_else(|| "(none)".to_owned());
        let date = text_of(header, "Date").unwrap_or_else(|| "(none)".to_owned());
        // Writing into a String cannot fail.
        let _ = write!(self.list, "\r\n{number}.\r\n");
        let mut lines = vec![("From", from), ("Subject", subject), ("Date", date)];
        if self.frame.reader != Reader::Recipient {
            lines.push(("For", entry.recipient.to_owned()));
        }
        let received = date::print(entry.received_ms);
        lines.push(("Came", format!("{received}, {} bytes, queue id {}", entry.size_bytes, entry.queue_id)));
        lines.push(("Here", told.to_owned()));
        for (name, value) in lines {
            self.list.push_str(&Value::utf8(&format!("{name}: {value}")).lines("   "));
        }
    }

    /// The whole message, CRLF lines, in ASCII.
    pub fn finish(self) -> Vec<u8> {
        let text = self.text();
        let text = if text.is_ascii() {
            format!("Content-Type: text/plain; charset=us-ascii\r\n\r\n{text}").into_bytes()
        } else {
            let fields =
                "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n";
            let mut part = fields.as_bytes().to_vec();
            put_base64(&mut part, text.as_bytes());
            part
        };
        let all: Vec<&[u8]> = std::iter::once(&text).chain(&self.parts).map(Vec::as_slice).collect();
        let boundary = boundary(&all);
        let mut bytes = self.header(&boundary).into_bytes();
        for part in all {
            for piece in [b"\r\n--", boundary.as_bytes(), b"\r\n", part] {
                bytes.extend_from_slice(piece);
            }
        }
        bytes.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        bytes
    }

    fn header(&self, boundary: &str) -> String {
        let frame = &self.frame;
        let mut header = format!("From: quell <postmaster@{}>\r\nTo: ", field::host(frame.host));
        let to: Vec<_> = frame.to.iter().filter(|to| to.is_ascii()).map(|to| field::to(to)).collect();
        header += &if to.is_empty() { field::to("") } else { to.join(",\r\n\t") };
        header += "\r\n";
        header += &Value::ascii(&self.subject()).field("Subject");
        header += &format!("Date: {}\r\n", date::print(frame.date_ms));
        header += &Value::ascii(frame.message_id).field("Message-ID");
        header += "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n";
        header += &format!("\tboundary=\"{boundary}\"\r\n");
        header
    }

    fn subject(&self) -> String {
        let messages = messages(self.messages);
        match self.frame.reader {
            Reader::Recipient => format!("{messages} to you held back: a mail storm"),
            Reader::Sender => format!("{messages} of yours held back: a mail storm"),
            Reader::Operator => format!("quell: {messages} held and not decided on"),
        }
    }

    fn text(&self) -> String {
        let (frame, messages) = (&self.frame, messages(self.messages));
        let host = field::host(frame.host);
        let mut text = match frame.reader {
            Reader::Recipient => format!(
                "The mail system of {host} has held back {messages} to you, and\r\n\
                 it was not let go in time, or was put into this digest. What is attached here is\r\n\
                 not delivered in another way: please look whether you need any of it.\r\n"
            ),
            Reader::Sender => format!(
                "The mail system of {host} has held back {messages} of yours, and\r\n\
                 it was not let go in time, or was put into this digest. It was not sent: if you\r\n\
                 want it to arrive, please send it again.\r\n"
            ),
            Reader::Operator => format!(
                "The mail system of {host} has held {messages}, and nobody has\r\n\
                 decided in time what is to become of it. It is delivered to nobody.\r\n"
            ),
        };
        text += "\r\n";
        text += &Value::utf8(frame.why).lines("  ");
        if let Some(id) = frame.storm {
            text += &Value::utf8(&format!("Storm: {id}")).lines("  ");
        }
        text +=
            &format!("\r\nFor {} days the postmaster of {host} can still deliver it.\r\n", frame.kept_days);
        text += &self.list;
        if self.messages > MAX_LISTED {
            text += &format!("\r\nand {} more\r\n", self.messages - MAX_LISTED);
        }
        text
    }
}

fn messages(n: usize) -> String {
    if n == 1 { "1 message".to_owned() } else { format!("{n} messages") }
}

/// The first field of that name, decoded. None: there is none, or it is empty.
fn text_of(header: &[u8], name: &str) -> Option<String> {
    let value = header::fields(header).find(|f| f.is(name))?.value.trim_ascii();
    let text = decoded(&value[..value.len().min(MAX_FIELD_BYTES)]).into_owned();
    Some(text).filter(|text| !text.trim().is_empty())
}

/// A message as a part: its fields, the empty line, its content.
fn part(number: usize, message: &[u8]) -> Vec<u8> {
    let name = format!("Content-Disposition: attachment; filename=\"message-{number}.eml\"\r\n");
    if is_plain(message) {
        let mut part = format!("Content-Type: message/rfc822\r\n{name}\r\n").into_bytes();
        part.extend_from_slice(message);
        return part;
    }
    let kind = format!("Content-Type: application/octet-stream; name=\"message-{number}.eml\"\r\n");
    let mut part = format!("{kind}Content-Transfer-Encoding: base64\r\n{name}\r\n").into_bytes();
    put_base64(&mut part, message);
    part
}

/// A message that begins with a field, in 7-bit data (RFC 2045 §2.7): ASCII without NUL, lines that end in
/// CRLF and have at most 998 bytes.
fn is_plain(message: &[u8]) -> bool {
    let (header, body) = header::split(message);
    // Without the empty line all of it would be header, and a reader may make something else of it.
    if header::fields(header).any(|f| f.name.is_empty()) || header.is_empty() || body.is_empty() {
        return false;
    }
    let mut rest = message;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let Some(line) = rest[..end].strip_suffix(b"\r") else { return false };
        if !is_line(line) {
            return false;
        }
        rest = &rest[end + 1..];
    }
    is_line(rest)
}

fn is_line(line: &[u8]) -> bool {
    line.is_ascii() && line.len() <= MAX_LINE_BYTES && memchr::memchr2(0, b'\r', line).is_none()
}

/// Appends `bytes` in base64 (RFC 2045 §6.8), CRLF at the end of each line but the last.
fn put_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (n, line) in bytes.chunks(BASE64_LINE_BYTES).enumerate() {
        if n > 0 {
            out.extend_from_slice(b"\r\n");
        }
        for three in line.chunks(3) {
            let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for i in 0..4 {
                let letter = ALPHABET[(bits >> (18 - 6 * i) & 63) as usize];
                out.push(if i <= three.len() { letter } else { b'=' });
            }
        }
    }
}

#[cfg(test)]
mod tests;
