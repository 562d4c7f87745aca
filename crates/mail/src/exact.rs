//! The exact key, version 1: the recipe, byte for byte.
//!
//! BLAKE3 (unkeyed, 32 bytes) over parts, one after the other:
//!
//! 1. For each name of this list, in its order: `message-id`, `date`, `from`, `reply-to`,
//!    `subject`, `in-reply-to`, `references`, `list-id`, all that begin with `resent-`,
//!    `content-type`, `content-transfer-encoding`, `content-disposition`; and for each field of
//!    that name (any case), from the top of the header down, two parts:
//!    the length of its name as `u64` little-endian, the name in lower case;
//!    the length of its value as `u64` little-endian, the value as DKIM relaxed has it
//!    (RFC 6376 §3.4.2: unfolded, white space runs made one space, none at the ends).
//!    `resent-` fields stay in the order they stand in, each under its own name.
//! 2. The body as DKIM relaxed has it (RFC 6376 §3.4.4: empty lines at its end dropped, lines of
//!    white space only counting as empty), and *after* it its length as `u64` little-endian,
//!    since it is streamed.
//!
//! LF without CR counts as a line end. Every part can be cut out again from the end backwards, so
//! two messages give the same bytes only if they have the same parts. `tests/vectors` holds
//! messages with their keys. A change of any of this is a new [`crate::key::KEY_VERSION`].

use crate::canon::{RelaxedBody, relaxed_value};
use crate::header::{Field, fields, split};
use crate::key::ExactKey;
use crate::{date, message_id};

/// A Date further from the arrival than this, on either side, gives no exact key.
pub const MAX_DATE_DISTANCE_MS: u64 = 30 * 24 * 3_600_000;

/// The names of the recipe, in its order.
const NAMES: [&str; 12] = [
    "message-id",
    "date",
    "from",
    "reply-to",
    "subject",
    "in-reply-to",
    "references",
    "list-id",
    RESENT,
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
];
const RESENT: &str = "resent-";

/// Fields of the recipe that are remembered on the way through the header. A header with more
/// (a few thousand lines of `Resent-To`, say) is walked once per name instead: slower by a
/// factor, and still linear and without memory that grows.
const MAX_REMEMBERED_FIELDS: usize = 64;

/// Bytes of a length in the recipe.
const LENGTH_BYTES: usize = 8;

/// Why a message has no exact key: it is never absorbed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// No Message-ID field.
    #[error("it has no Message-ID")]
    NoMessageId,
    /// More than one.
    #[error("it has {0} Message-ID fields")]
    SeveralMessageIds(usize),
    /// One, and not as RFC 5322 §3.6.4 has it.
    #[error("its Message-ID is malformed")]
    MalformedMessageId,
    /// No Date field.
    #[error("it has no Date")]
    NoDate,
    /// More than one.
    #[error("it has {0} Date fields")]
    SeveralDates(usize),
    /// One, and no date.
    #[error("its Date is malformed")]
    MalformedDate,
    /// More than 30 days before or after the arrival.
    #[error("its Date is more than 30 days from its arrival")]
    DateFarFromArrival,
}

/// What of the recipe a header holds, gathered field by field in one walk.
#[derive(Debug)]
pub(crate) struct KeyFields<'a> {
    remembered: Vec<(u8, Field<'a>)>,
    too_many: bool,
    message_ids: usize,
    dates: usize,
    message_id: Option<&'a [u8]>,
    date: Option<&'a [u8]>,
}

/// What names a message, parsed once.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The first Message-ID, if it is well-formed.
    pub message_id: Option<String>,
    /// The first Date, if it is one.
    pub date_ms: Option<i64>,
}

impl<'a> KeyFields<'a> {
    pub(crate) fn new() -> Self {
        let remembered = Vec::with_capacity(NAMES.len());
        Self { remembered, too_many: false, message_ids: 0, dates: 0, message_id: None, date: None }
    }

    /// Takes the next field of the header.
    pub(crate) fn see(&mut self, field: Field<'a>) {
        let Some(place) = place(field.name) else { return };
        match place {
            0 => {
                self.message_ids += 1;
                self.message_id.get_or_insert(field.value);
            }
            1 => {
                self.dates += 1;
                self.date.get_or_insert(field.value);
            }
            _ => {}
        }
        self.too_many |= self.remembered.len() == MAX_REMEMBERED_FIELDS;
        if !self.too_many {
            self.remembered.push((place as u8, field));
        }
    }

    /// The value of the first Message-ID field.
    pub(crate) fn message_id(&self) -> Option<&'a [u8]> {
        self.message_id
    }

    /// What the first Message-ID and the first Date say.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            message_id: self.message_id.and_then(message_id::parse),
            date_ms: self.date.and_then(date::parse),
        }
    }

    /// Hashes the header's parts; `header` is what the fields came from, `identity` what
    /// [`KeyFields::identity`] gave. The distance of the Date is left to [`KeyHasher::finish`].
    pub(crate) fn begin(mut self, header: &'a [u8], identity: &Identity) -> Result<KeyHasher, NoKey> {
        let date_ms = self.sound(identity)?;
        let mut parts = Parts::new();
        if self.too_many {
            for wanted in 0..NAMES.len() {
                let here = fields(header).filter(|f| place(f.name) == Some(wanted));
                here.for_each(|f| parts.field(f));
            }
        } else {
            self.remembered.sort_by_key(|(place, _)| *place);
            self.remembered.iter().for_each(|(_, f)| parts.field(*f));
        }
        Ok(KeyHasher { parts, body: RelaxedBody::new(), body_bytes: 0, date_ms })
    }

    /// The Date, if there is exactly one, and one well-formed Message-ID.
    fn sound(&self, identity: &Identity) -> Result<i64, NoKey> {
        match self.message_ids {
            0 => return Err(NoKey::NoMessageId),
            1 => {}
            n => return Err(NoKey::SeveralMessageIds(n)),
        }
        if identity.message_id.is_none() {
            return Err(NoKey::MalformedMessageId);
        }
        match self.dates {
            0 => Err(NoKey::NoDate),
            1 => identity.date_ms.ok_or(NoKey::MalformedDate),
            n => Err(NoKey::SeveralDates(n)),
        }
    }
}

/// Which of [`NAMES`] a field's name is.
fn place(name: &[u8]) -> Option<usize> {
    if name.len() > RESENT.len() && name[..RESENT.len()].eq_ignore_ascii_case(RESENT.as_bytes()) {
        return Some(8);
    }
    NAMES.iter().position(|n| *n != RESENT && name.eq_ignore_ascii_case(n.as_bytes()))
}

/// The key of one message on the way: its header is hashed, its body comes in chunks.
#[derive(Debug)]
pub struct KeyHasher {
    parts: Parts,
    body: RelaxedBody,
    body_bytes: u64,
    date_ms: i64,
}

impl KeyHasher {
    /// Begins with the header block, without the empty line.
    ///
    /// # Errors
    /// What is wrong with its Message-ID or its Date.
    pub fn new(header: &[u8]) -> Result<Self, NoKey> {
        let mut found = KeyFields::new();
        fields(header).for_each(|f| found.see(f));
        let identity = found.identity();
        found.begin(header, &identity)
    }

    /// Takes the next bytes of the body, in any split.
    pub fn push_body(&mut self, chunk: &[u8]) {
        let (parts, bytes) = (&mut self.parts, &mut self.body_bytes);
        self.body.push(chunk, &mut |slice| {
            *bytes += slice.len() as u64;
            parts.write(slice);
        });
    }

    /// The key of a message that arrived at `arrival_ms` (since 1970).
    ///
    /// # Errors
    /// [`NoKey::DateFarFromArrival`].
    pub fn finish(mut self, arrival_ms: i64) -> Result<ExactKey, NoKey> {
        if self.date_ms.abs_diff(arrival_ms) > MAX_DATE_DISTANCE_MS {
            return Err(NoKey::DateFarFromArrival);
        }
        let (parts, bytes) = (&mut self.parts, &mut self.body_bytes);
        self.body.finish(&mut |slice| {
            *bytes += slice.len() as u64;
            parts.write(slice);
        });
        self.parts.write(&self.body_bytes.to_le_bytes());
        Ok(self.parts.finish())
    }
}

/// The exact key of a whole message that arrived at `arrival_ms` (since 1970).
///
/// # Errors
/// Why it has none.
pub fn exact_key(message: &[u8], arrival_ms: i64) -> Result<ExactKey, NoKey> {
    let (header, body) = split(message);
    let mut hasher = KeyHasher::new(header)?;
    hasher.push_body(body);
    hasher.finish(arrival_ms)
}

/// BLAKE3 with the small slices gathered first: it is several times faster on large ones.
struct Parts {
    hasher: blake3::Hasher,
    gathered: Vec<u8>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parts")
    }
}

impl Parts {
    /// Bytes gathered at most; one message being received costs this much memory.
    const MAX_GATHERED_BYTES: usize = 16 << 10;

    fn new() -> Self {
        let gathered = Vec::with_capacity(Self::MAX_GATHERED_BYTES);
        Self { hasher: blake3::Hasher::new(), gathered }
    }

    fn write(&mut self, slice: &[u8]) {
        if self.gathered.len() + slice.len() > Self::MAX_GATHERED_BYTES {
            self.hasher.update(&self.gathered);
            self.gathered.clear();
        }
        if slice.len() > Self::MAX_GATHERED_BYTES {
            self.hasher.update(slice);
        } else {
            self.gathered.extend_from_slice(slice);
        }
    }

    /// Name and value of a field, each with its length before it. A value for which there is no
    /// room is walked twice, so that one of 30 MB needs no copy.
    fn field(&mut self, field: Field<'_>) {
        self.write(&(field.name.len() as u64).to_le_bytes());
        field.name.chunks(64).for_each(|chunk| {
            let mut lower = [0; 64];
            lower[..chunk.len()].copy_from_slice(chunk);
            lower.make_ascii_lowercase();
            self.write(&lower[..chunk.len()]);
        });
        let at = self.gathered.len() + LENGTH_BYTES;
        // The relaxed form is no longer than the value.
        if at + field.value.len() <= Self::MAX_GATHERED_BYTES {
            self.gathered.resize(at, 0);
            relaxed_value(field.value, |slice| self.gathered.extend_from_slice(slice));
            let len = (self.gathered.len() - at) as u64;
            self.gathered[at - LENGTH_BYTES..at].copy_from_slice(&len.to_le_bytes());
            return;
        }
        let mut len = 0u64;
        relaxed_value(field.value, |slice| len += slice.len() as u64);
        self.write(&len.to_le_bytes());
        relaxed_value(field.value, |slice| self.write(slice));
    }

    fn finish(mut self) -> ExactKey {
        self.hasher.update(&self.gathered);
        ExactKey(*self.hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sat, 21 Nov 2026 23:20:44 UTC.
    const NOW: i64 = 1_795_303_244_000;
    const MAIL: &str = "Message-ID: <a@b>\r\nDate: Sat, 21 Nov 2026 23:20:44 +0000\r\n\
        From: Jane <jane@firm.example>\r\nTo: x@y\r\nSubject: hello\r\n\r\nText\r\n";

    fn key(mail: &str) -> Result<ExactKey, NoKey> {
        exact_key(mail.as_bytes(), NOW)
    }

    /// The recipe of the module's comment, written down once more without any cleverness.
    fn by_the_letter(parts: &[(&str, &str)], body: &str) -> ExactKey {
        let mut bytes = vec![];
        for text in parts.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes.extend(body.as_bytes());
        bytes.extend((body.len() as u64).to_le_bytes());
        ExactKey(*blake3::hash(&bytes).as_bytes())
    }

    #[test]
    fn follows_the_recipe() {
        let mail = "Resent-To: one\r\nsubject:  x\r\n\ty \r\nCONTENT-TYPE: text/plain\r\nX: no\r\n\
            Date: 21 Nov 2026 23:20:44 +0000\r\nResent-Date: two\r\nMessage-Id: <a@b>\r\nresent-to: three\r\n\
            From: f\r\nSubject: again\r\n\r\nBody  text\r\n \r\n";
        let wanted = by_the_letter(
            &[
                ("message-id", "<a@b>"),
                ("date", "21 Nov 2026 23:20:44 +0000"),
                ("from", "f"),
                ("subject", "x y"),
                ("subject", "again"),
                ("resent-to", "one"),
                ("resent-date", "two"),
                ("resent-to", "three"),
                ("content-type", "text/plain"),
            ],
            "Body text\r\n",
        );
        assert_eq!(key(mail), Ok(wanted));
    }

    #[test]
    fn many_fields_give_what_few_give() {
        let mail = |n: usize| format!("{}{MAIL}", "Resent-To: x@y\r\n".repeat(n));
        for n in [55, 60, 61, 5_000] {
            let mut parts = vec![
                ("message-id", "<a@b>"),
                ("date", "Sat, 21 Nov 2026 23:20:44 +0000"),
                ("from", "Jane <jane@firm.example>"),
                ("subject", "hello"),
            ];
            parts.extend(std::iter::repeat_n(("resent-to", "x@y"), n));
            assert_eq!(key(&mail(n)), Ok(by_the_letter(&parts, "Text\r\n")), "{n}");
        }
    }

    #[test]
    fn what_honest_software_does_changes_nothing() {
        let first = key(MAIL);
        assert!(first.is_ok());
        for other in [
            MAIL.replace("To: x@y", "To: x@y,\r\n z@y\r\nCc: q@y\r\nSender: s@y\r\nMIME-Version: 1.0"),
            format!("Received: from a by b; now\r\nDelivered-To: x@y\r\n{MAIL}"),
            MAIL.replace("Subject: hello", "SUBJECT:\r\n hello "),
            MAIL.replace("Text\r\n", "Text \r\n\r\n  \r\n"),
            MAIL.replace("\r\n", "\n"),
        ] {
            assert_eq!(key(&other), first, "{other}");
        }
    }

    #[test]
    fn what_makes_another_message_makes_another_key() {
        let mut seen = vec![key(MAIL)];
        for other in [
            MAIL.replace("<a@b>", "<A@b>"),
            MAIL.replace(":44", ":45"),
            MAIL.replace("Jane", "June"),
            MAIL.replace("hello", "Hello"),
            MAIL.replace("Text", " Text"),
            MAIL.replace("Text", "Text\r\n\r\nx"),
            format!("Reply-To: x\r\n{MAIL}"),
            format!("In-Reply-To: x\r\n{MAIL}"),
            format!("References: x\r\n{MAIL}"),
            format!("List-Id: x\r\n{MAIL}"),
            format!("Resent-From: x\r\n{MAIL}"),
            format!("Resent-To: x\r\n{MAIL}"),
            format!("Content-Type: x\r\n{MAIL}"),
            format!("Content-Transfer-Encoding: x\r\n{MAIL}"),
            format!("Content-Disposition: x\r\n{MAIL}"),
        ] {
            let key = key(&other);
            assert!(key.is_ok() && !seen.contains(&key), "{other}");
            seen.push(key);
        }
    }

    #[test]
    fn says_why_there_is_none() {
        let date = "Date: Sat, 21 Nov 2026 23:20:44 +0000\r\n";
        for (mail, why) in [
            (MAIL.replace("Message-ID: <a@b>\r\n", ""), NoKey::NoMessageId),
            (format!("Message-Id: <c@d>\r\n{MAIL}"), NoKey::SeveralMessageIds(2)),
            (MAIL.replace("<a@b>", "a@b"), NoKey::MalformedMessageId),
            (MAIL.replace(date, ""), NoKey::NoDate),
            (format!("{date}{date}{MAIL}"), NoKey::SeveralDates(3)),
            (MAIL.replace("Nov", "Now"), NoKey::MalformedDate),
            (MAIL.replace("21 Nov", "21 Oct"), NoKey::DateFarFromArrival),
            (MAIL.replace("21 Nov", "22 Dec"), NoKey::DateFarFromArrival),
        ] {
            assert_eq!(key(&mail), Err(why), "{mail}");
        }
        let span = MAX_DATE_DISTANCE_MS as i64;
        assert!(exact_key(MAIL.as_bytes(), NOW + span).is_ok());
        assert!(exact_key(MAIL.as_bytes(), NOW - span).is_ok());
        assert!(exact_key(MAIL.as_bytes(), NOW + span + 1).is_err());
        assert!(exact_key(MAIL.as_bytes(), NOW - span - 1).is_err());
    }

    proptest! {
        #[test]
        fn any_split_of_the_body(body: Vec<u8>, long in 0usize..40_000, size in 1usize..20_000) {
            let body = [&body[..], &b"line of text\r\n".repeat(long / 14), &body].concat();
            let (header, _) = split(MAIL.as_bytes());
            let whole = exact_key(&[header, b"\r\n", &body].concat(), NOW);
            let mut hasher = KeyHasher::new(header).unwrap();
            body.chunks(size).for_each(|chunk| hasher.push_body(chunk));
            prop_assert_eq!(hasher.finish(NOW), whole);
        }

        #[test]
        fn any_bytes_are_taken(message: Vec<u8>) {
            prop_assert!(exact_key(&message, NOW).is_err() || !message.is_empty());
        }
    }
}
