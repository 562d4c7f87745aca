//! Reading a message while it streams in: the header is kept, the body goes into the exact key.

use memchr::memchr;

use crate::canon::{relaxed_value, relaxed_value_to_vec};
use crate::exact::{KeyFields, KeyHasher, NoKey};
use crate::header::{Field, fields};
use crate::key::ExactKey;
use crate::message_id::MAX_MESSAGE_ID_BYTES;
use crate::trace::{SeenToken, token_in};

/// Tokens remembered of one message: with more than 100 hops it is refused anyway. Older ones
/// (further down) are left out.
pub const MAX_TOKENS: usize = 128;
/// Distinct `Delivered-To` addresses remembered; those further down are left out.
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
    /// The header block as received, without the empty line that ends it; what
    /// [`Reader::cut_header`] has left of it.
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
    /// Those of [`Missing`] that it did not have: fields to be put before its header. The exact key
    /// and what else is said here are those of the message with them.
    pub added: Vec<u8>,
}

/// Values of fields that a message gets if it has none (RFC 6409 §8.2, §8.3).
#[derive(Debug, Clone)]
pub struct Missing {
    /// With angle brackets.
    pub message_id: String,
    /// As [`crate::date::print`] makes it.
    pub date: String,
}

/// Where in a line of the header the reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Start,
    Cr,
    Text,
}

/// Reads one message in chunks of any size. Memory: the header and up to an eighth of it, 32 KiB,
/// and what the tokens hold (under 3 MB in a header made for that, nothing in others).
#[derive(Debug)]
pub struct Reader {
    max_header_bytes: usize,
    header: Vec<u8>,
    line: Line,
    read: Option<HeaderRead>,
    body_bytes: u64,
    has_8bit: bool,
    missing: Option<Box<Missing>>,
}

/// What the header said, once it had ended.
#[derive(Debug)]
struct HeaderRead {
    hasher: Result<KeyHasher, NoKey>,
    message_id: Option<String>,
    date_ms: Option<i64>,
    hops: usize,
    tokens: Vec<SeenToken>,
    added: Vec<u8>,
}

impl Reader {
    /// At the start of a message whose header may have `max_header_bytes`.
    pub fn new(max_header_bytes: usize) -> Self {
        let (header, line) = (Vec::new(), Line::Start);
        Self { max_header_bytes, header, line, read: None, body_bytes: 0, has_8bit: false, missing: None }
    }

    /// Reads the message as if it had the fields that are missing. A header that lacks one is copied
    /// once.
    #[must_use]
    pub fn adding(self, missing: Missing) -> Self {
        Self { missing: Some(Box::new(missing)), ..self }
    }

    /// Once the header has ended, what it is read with beside itself ([`Reading::added`]).
    pub fn added(&self) -> &[u8] {
        self.read.as_ref().map_or(&[], |read| &read.added)
    }

    /// The header so far; after [`Reader::cut_header`] its beginning.
    pub fn header(&self) -> &[u8] {
        &self.header
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

    /// Whether the empty line was seen: all that comes now is body.
    pub fn header_ended(&self) -> bool {
        self.read.is_some()
    }

    /// Bytes of the body so far. What a chunk added to it stands at the chunk's end.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Once the header has ended it is read, and of use as evidence only: keeps the first
    /// `max_bytes` of it and frees the rest. Before that nothing happens.
    pub fn cut_header(&mut self, max_bytes: usize) {
        if self.read.is_some() && self.header.capacity() > max_bytes {
            self.header.truncate(max_bytes);
            self.header.shrink_to_fit();
        }
    }

    /// Memory that the header takes.
    pub fn header_memory_bytes(&self) -> usize {
        self.header.capacity()
    }

    /// The message has ended, and arrived at `arrival_ms` (since 1970).
    pub fn finish(mut self, arrival_ms: i64) -> Reading {
        let read = self.read.take().unwrap_or_else(|| self.read_header());
        Reading {
            exact_key: read.hasher.and_then(|h| h.finish(arrival_ms)),
            header: self.header,
            message_id: read.message_id,
            date_ms: read.date_ms,
            hops: read.hops,
            tokens: read.tokens,
            body_bytes: self.body_bytes,
            has_8bit: self.has_8bit,
            added: read.added,
        }
    }

    fn read_header(&self) -> HeaderRead {
        let added = self.missing.as_ref().map_or_else(Vec::new, |missing| missing.fields(&self.header));
        match added.is_empty() {
            true => read_header(&self.header),
            false => {
                let whole = [&added[..], &self.header[..]].concat();
                HeaderRead { added, ..read_header(&whole) }
            }
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
                self.read = Some(self.read_header());
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
    let (identity, as_written) = (found.identity(), found.message_id());
    HeaderRead {
        hasher: found.begin(header, &identity),
        message_id: identity.message_id.or_else(|| as_written.map(damaged_message_id)),
        date_ms: identity.date_ms,
        hops,
        tokens,
        added: Vec::new(),
    }
}

impl Missing {
    /// Those that `header` has none of.
    fn fields(&self, header: &[u8]) -> Vec<u8> {
        let [mut has_id, mut has_date] = [false; 2];
        for field in fields(header) {
            has_id |= field.is("message-id");
            has_date |= field.is("date");
        }
        let mut added = String::new();
        for (name, value, has) in [("Message-ID", &self.message_id, has_id), ("Date", &self.date, has_date)] {
            if !has {
                added.extend([name, ": ", value, "\r\n"]);
            }
        }
        added.into_bytes()
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
    let value = field.value.trim_ascii();
    if delivered_to.len() == MAX_DELIVERED_TO || value.len() > MAX_DELIVERED_TO_BYTES {
        return;
    }
    let Ok(address) = String::from_utf8(relaxed_value_to_vec(value)) else { return };
    let bare = address.strip_prefix('<').and_then(|a| a.strip_suffix('>'));
    let lower = bare.unwrap_or(&address).to_lowercase();
    if !lower.is_empty() && !delivered_to.contains(&lower) {
        delivered_to.push(lower);
    }
}

/// One that is not well-formed, for people.
fn damaged_message_id(value: &[u8]) -> String {
    let mut text = Vec::new();
    relaxed_value(value, |slice| {
        let room = MAX_MESSAGE_ID_BYTES - text.len();
        text.extend_from_slice(&slice[..slice.len().min(room)]);
    });
    let mut text: String = String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).collect();
    text.truncate(text.floor_char_boundary(MAX_MESSAGE_ID_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::exact_key;
    use crate::header::split;
    use crate::id::QueueId;
    use crate::key::Secret;
    use crate::trace::{ReceivedStamp, token, verify};
    use proptest::prelude::*;

    /// Sat, 21 Nov 2026 23:20:44 UTC.
    const NOW: i64 = 1_795_303_244_000;
    const MAX: usize = 1 << 20;
    const MAIL: &str = "Received: from a by b; now\r\nMessage-ID: <a@b>\r\n\
        Date: Sat, 21 Nov 2026 23:20:44 +0000\r\nFrom: jane@firm.example\r\n\r\nText\r\n";

    fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Reading {
        let mut reader = Reader::new(MAX);
        chunks.into_iter().for_each(|chunk| reader.push(chunk).unwrap());
        reader.finish(NOW)
    }

    fn received(queue_id: QueueId, token: [u8; 16]) -> String {
        ReceivedStamp {
            helo: "h",
            client_ip: None,
            client_name: None,
            account: None,
            tls: None,
            by: "mx",
            with: "SMTP",
            queue_id,
            token,
            for_: None,
            ms: NOW,
        }
        .field()
    }

    #[test]
    fn reads() {
        let reading = read([MAIL.as_bytes()]);
        assert_eq!(reading.exact_key, exact_key(MAIL.as_bytes(), NOW));
        assert!(reading.exact_key.is_ok());
        assert_eq!(reading.header, split(MAIL.as_bytes()).0);
        assert_eq!(reading.message_id.as_deref(), Some("<a@b>"));
        assert_eq!((reading.date_ms, reading.hops, reading.body_bytes), (Some(NOW), 1, 6));
        assert!(!reading.has_8bit && reading.tokens.is_empty());
        assert!(read([MAIL.as_bytes(), "\u{fc}".as_bytes()]).has_8bit);
        assert!(read(["X: \u{fc}\r\n\r\n".as_bytes()]).has_8bit);
    }

    #[test]
    fn what_is_hardly_a_message() {
        for (mail, header, body_bytes) in [
            ("", "", 0),
            ("\r\n", "", 0),
            ("\nx", "", 1),
            ("A: 1", "A: 1", 0),
            ("A: 1\r\n\r", "A: 1\r\n\r", 0),
        ] {
            let reading = read([mail.as_bytes()]);
            assert_eq!(reading.header, header.as_bytes(), "{mail:?}");
            assert_eq!((reading.body_bytes, reading.exact_key), (body_bytes, Err(NoKey::NoMessageId)));
            assert_eq!((reading.message_id, reading.date_ms), (None, None));
        }
        let damaged = format!("Message-ID:  not\t\u{1}one {}\r\n\r\n", "\u{fc}".repeat(900));
        let id = read([damaged.as_bytes()]).message_id.unwrap();
        assert!(id.starts_with("not one \u{fc}") && id.len() <= MAX_MESSAGE_ID_BYTES, "{id}");
    }

    #[test]
    fn what_is_missing_is_read_as_if_it_stood_there() {
        let missing = || Missing {
            message_id: "<1@mx.firm.example>".to_owned(),
            date: "Sat, 21 Nov 2026 23:20:44 +0000".to_owned(),
        };
        let id = "Message-ID: <1@mx.firm.example>\r\n";
        let date = "Date: Sat, 21 Nov 2026 23:20:44 +0000\r\n";
        let (own_id, own_date) = ("message-id: <a@b>\r\n", "DATE : Fri, 20 Nov 2026 10:00:00 +0000\r\n");
        // A header that the key walks twice, and one that does not end.
        let many = "Resent-To: x@y\r\n".repeat(100);
        for rest in ["Subject: x\r\n\r\nbody\r\n", &format!("{many}\r\nbody"), "Subject: x"] {
            for (own, added) in [
                (String::new(), format!("{id}{date}")),
                (own_id.to_owned(), date.to_owned()),
                (own_date.to_owned(), id.to_owned()),
                (format!("{own_id}{own_date}"), String::new()),
                ("Message-ID: damaged\r\n".to_owned(), date.to_owned()),
            ] {
                let mail = format!("{own}{rest}");
                let whole = read([format!("{added}{mail}").as_bytes()]);
                for size in [1, 7, mail.len()] {
                    let mut reader = Reader::new(MAX).adding(missing());
                    mail.as_bytes().chunks(size).for_each(|chunk| reader.push(chunk).unwrap());
                    let reading = reader.finish(NOW);
                    assert_eq!(String::from_utf8_lossy(&reading.added), added);
                    assert_eq!(reading.exact_key, whole.exact_key);
                    assert_eq!(reading.message_id, whole.message_id);
                    assert_eq!((reading.date_ms, reading.body_bytes), (whole.date_ms, whole.body_bytes));
                    assert_eq!(reading.header, split(mail.as_bytes()).0);
                }
            }
        }
    }

    #[test]
    fn tells_where_the_body_begins() {
        let mut reader = Reader::new(MAX);
        reader.push(b"A: 1\r\n\r").unwrap();
        assert!(!reader.header_ended());
        reader.push(b"\nbody").unwrap();
        assert_eq!((reader.header_ended(), reader.body_bytes()), (true, 4));
    }

    #[test]
    fn tokens_from_the_top_and_what_was_delivered_above() {
        let secret = Secret::new(1, [1; 32]);
        let key = exact_key(MAIL.as_bytes(), NOW).unwrap();
        let (old, new) = (QueueId::new(1, 1, 1), QueueId::new(2, 1, 1));
        let mail = format!(
            "Delivered-To: <Jane@Firm.example>\r\n{}Delivered-To:\r\n x@y\r\nDelivered-To: JANE@firm.example\r\n{}Delivered-To: below@y\r\n{MAIL}",
            received(new, token(&secret, new, Some(&key))),
            received(old, [0; 16]),
        );
        let reading = read([mail.as_bytes()]);
        assert_eq!((reading.hops, reading.exact_key), (3, Ok(key)));
        let [first, second] = &reading.tokens[..] else { panic!("{:?}", reading.tokens) };
        assert_eq!((first.queue_id, second.queue_id), (new, old));
        assert_eq!(first.delivered_to_above, ["jane@firm.example"]);
        assert_eq!(second.delivered_to_above, ["jane@firm.example", "x@y"]);
        assert!(verify(&secret, first, &key) && !verify(&secret, second, &key));
    }

    #[test]
    fn tokens_and_addresses_have_limits() {
        let mut mail: String = (0..100).map(|n| format!("Delivered-To: {n}@y\r\n")).collect();
        mail += &received(QueueId::new(1, 1, 1), [0; 16]).repeat(200);
        let reading = read([mail.as_bytes()]);
        assert_eq!((reading.hops, reading.tokens.len()), (200, MAX_TOKENS));
        assert!(reading.tokens.iter().all(|t| t.delivered_to_above.len() == MAX_DELIVERED_TO));
    }

    #[test]
    fn the_header_has_a_limit_and_the_body_none_here() {
        let header = b"A: 1\r\n";
        let push = |max: usize, size: usize| {
            let mut reader = Reader::new(max);
            let mail = [&header[..], b"\r\n", &[b'x'; 4_000]].concat();
            mail.chunks(size).try_for_each(|chunk| reader.push(chunk))
        };
        for size in [1, 2, 3, 7, 5_000] {
            // One more than the header: a CR that may be the empty line's has to be kept a while.
            assert_eq!(push(header.len() + 1, size), Ok(()), "{size}");
            assert_eq!(push(header.len() - 1, size), Err(HeaderTooLarge { max_bytes: header.len() - 1 }));
        }
    }

    #[test]
    fn a_header_that_has_ended_can_be_cut() {
        let mut reader = Reader::new(MAX);
        let field = format!("X: {}\r\n", "x".repeat(9_000));
        reader.push(field.as_bytes()).unwrap();
        reader.cut_header(100);
        assert!(reader.header_memory_bytes() >= field.len(), "it goes on");
        reader.push(MAIL.as_bytes()).unwrap();
        reader.cut_header(100);
        assert!((100..200).contains(&reader.header_memory_bytes()));
        reader.push(b"more\r\n").unwrap();
        let (reading, whole) = (reader.finish(NOW), format!("{field}{MAIL}more\r\n"));
        assert_eq!(reading.header, field.as_bytes()[..100]);
        assert_eq!(reading.exact_key, exact_key(whole.as_bytes(), NOW));
    }

    #[test]
    fn a_header_of_28_mb_is_kept_once() {
        let mut reader = Reader::new(32 << 20);
        let line = "somebody@firm.example,\r\n ".repeat(1_000);
        reader.push(b"To: ").unwrap();
        for _ in 0..1_000 {
            line.as_bytes().chunks(16 << 10).for_each(|chunk| reader.push(chunk).unwrap());
        }
        reader.push(b"x@y\r\n").unwrap();
        reader.push(MAIL.as_bytes()).unwrap();
        let (len, capacity) = (reader.header.len(), reader.header.capacity());
        assert!(capacity <= len + len / 8, "{capacity} for {len}");
        let reading = reader.finish(NOW);
        assert_eq!((reading.header.len(), reading.exact_key), (len, exact_key(MAIL.as_bytes(), NOW)));
    }

    fn mails() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(MAIL.to_owned()),
            Just("\r\n".to_owned()),
            Just("\n".to_owned()),
            Just("\r".to_owned()),
            Just("Delivered-To: a@b\r\n".to_owned()),
            Just(received(QueueId::new(1, 1, 1), [3; 16])),
            Just("Date: 21 Nov 2026 00:00 Z\r\n".to_owned()),
            Just("Message-ID: <c@d>\n".to_owned()),
            "\\PC{0,9}",
        ];
        proptest::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn any_split_reads_the_same(mail in mails(), cuts: Vec<prop::sample::Index>) {
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(mail.len() + 1)).collect();
            cuts.extend([0, mail.len()]);
            cuts.sort_unstable();
            let whole = read([&mail[..]]);
            for reading in [read(cuts.windows(2).map(|w| &mail[w[0]..w[1]])), read(mail.chunks(1))] {
                prop_assert_eq!(format!("{reading:?}"), format!("{whole:?}"));
                prop_assert_eq!(reading.exact_key, exact_key(&mail, NOW));
            }
            let (header, body) = split(&mail);
            prop_assert_eq!((&whole.header[..], whole.body_bytes), (header, body.len() as u64));
        }

        #[test]
        fn any_bytes_are_taken(mail: Vec<u8>) {
            read([&mail[..]]);
        }
    }
}
