//! What a message says of itself: who wrote it to whom, in which conversation, and whether a machine
//! did. The classes of storms count by it (DESIGN.md, "The judge").
//!
//! It is told by whoever wrote the header, so it proves nothing. It may name a message that quell
//! never saw, and it decides over no envelope.

mod addressed;
mod machine;
mod report;

#[cfg(test)]
mod tests;

use memchr::memchr;

use crate::content::address::{Addresses, author};
use crate::content::subject::{Hash64, is_answer, topic};
use crate::content::words::{conversation, list_id};
use crate::content::{MAX_THREAD_BYTES, start_of};
use crate::header::{Field, fields};

pub use crate::content::words::MAX_LIST_ID_BYTES;
pub use addressed::{MAX_ADDRESSED, address_hash, domain_hash};
pub use machine::Machine;
pub use report::{MAX_REPORT_BYTES, Report};

use addressed::Addressed;
use machine::Signs;

/// Longest author that is kept, in bytes: a local part of 64, `@`, a domain of 255 (RFC 5321
/// §4.5.3.1). The rest of a longer one counts for nothing.
pub const MAX_AUTHOR_BYTES: usize = 320;
/// Bytes of a Thread-Index that only name the conversation; a reply adds 5 for each answer
/// (\[MS-OXOMSG\] 2.2.1.3).
const CONVERSATION_BYTES: usize = 22;

/// What a message says of itself. Hashes are no secret: who forges a header can have any of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Letter {
    /// Address of the first author in From, in lower case, at most [`MAX_AUTHOR_BYTES`] of it. None:
    /// there is no address in it.
    pub author: Option<String>,
    /// Distinct addresses in To and Cc as [`address_hash`]es, sorted; of more than [`MAX_ADDRESSED`]
    /// the smallest hashes, so that two messages to the same people keep the same.
    pub addressed: Vec<u64>,
    /// Their domains as [`domain_hash`]es, likewise.
    pub domains: Vec<u64>,
    /// How many addresses stand in To and Cc, those that stand there twice included.
    pub addressed_total: u32,
    /// The conversation: the first id of References; without it what names the conversation in
    /// Thread-Index; without that the first id of In-Reply-To. A message that opens one has none of
    /// them, and its [`Letter::message_id`] is the hash that the answers have here.
    pub thread: Option<u64>,
    /// Its own Message-ID, comments and all but what stands in angle brackets left out.
    pub message_id: Option<u64>,
    /// It is an answer: its subject says so, and In-Reply-To, References or Thread-Index too.
    pub is_reply: bool,
    /// What the subject is about: without prefixes, tags, and words with a digit in them, as ticket
    /// numbers, dates and counters are. None: nothing is left.
    pub subject: Option<u64>,
    /// Hash of [`Letter::list_id`].
    pub list: Option<u64>,
    /// The id of the list it came by (RFC 2919), in lower case, at most [`MAX_LIST_ID_BYTES`].
    pub list_id: Option<String>,
    /// How far a machine wrote it.
    pub machine: Machine,
    /// It is a report of delivery.
    pub report: Option<Report>,
}

/// Reads the header (which may be cut) in one pass, and of the body (which may be cut) the first
/// [`MAX_REPORT_BYTES`], if the header can be that of a report. `reverse_path` is empty for `<>`.
///
/// Linear time, bounded memory, no panic: what cannot be understood says nothing.
pub fn read(header: &[u8], body: &[u8], reverse_path: &str) -> Letter {
    let mut named = Named::default();
    fields(header).for_each(|field| named.take(&field));
    named.letter(body, reverse_path.is_empty())
}

/// The values of the fields that count; of each the first, but of To and Cc all.
#[derive(Default)]
struct Named<'a> {
    from: &'a [u8],
    subject: &'a [u8],
    message_id: &'a [u8],
    in_reply_to: &'a [u8],
    references: &'a [u8],
    thread_index: &'a [u8],
    list_id: &'a [u8],
    content_type: &'a [u8],
    addressed: Addressed,
    signs: Signs,
}

impl<'a> Named<'a> {
    fn take(&mut self, field: &Field<'a>) {
        // The length first: most fields are none of these.
        let slot = match field.name.len() {
            2 if field.is("to") || field.is("cc") => return self.addressed.add(field.value),
            4 if field.is("from") => &mut self.from,
            7 if field.is("subject") => &mut self.subject,
            10 if field.is("message-id") => &mut self.message_id,
            11 if field.is("in-reply-to") => &mut self.in_reply_to,
            10 if field.is("references") => &mut self.references,
            12 if field.is("thread-index") => &mut self.thread_index,
            12 if field.is("content-type") => &mut self.content_type,
            7 if field.is("list-id") => {
                self.signs.take(field);
                &mut self.list_id
            }
            _ => return self.signs.take(field),
        };
        if slot.is_empty() {
            *slot = &field.value[..field.value.len().min(MAX_THREAD_BYTES)];
        }
    }

    fn letter(mut self, body: &[u8], null_path: bool) -> Letter {
        let author = first_author(self.from);
        let subject = start_of(Some(self.subject));
        let list_id = Some(list_id(start_of(Some(self.list_id)))).filter(|id| !id.is_empty());
        let report = report::read(&self, author.as_deref(), body, null_path);
        let mut machine = self.signs.machine(subject, start_of(Some(self.content_type)), null_path);
        if report.is_some() {
            machine = Machine::Answered;
        }
        let (addressed, domains, addressed_total) = std::mem::take(&mut self.addressed).finish();
        Letter {
            addressed,
            domains,
            addressed_total,
            thread: self.thread(),
            message_id: id_hash(first_id(self.message_id)),
            is_reply: is_answer(subject) && self.answers(),
            subject: hashed(|out| topic(subject, out)),
            list: list_id.as_deref().map(|id| hash(id.as_bytes())),
            list_id,
            machine,
            report,
            author,
        }
    }

    fn thread(&self) -> Option<u64> {
        id_hash(first_id(self.references))
            .or_else(|| conversation(self.thread_index).map(|name| hash(&name)))
            .or_else(|| id_hash(first_id(self.in_reply_to)))
    }

    /// Whether a field says that it answers another message.
    fn answers(&self) -> bool {
        // Four characters of base64 are three bytes.
        let index_bytes = self.thread_index.trim_ascii().len() / 4 * 3;
        first_id(self.in_reply_to).is_some()
            || first_id(self.references).is_some()
            // Padding can make 22 bytes look like 24.
            || index_bytes > CONVERSATION_BYTES + 2
    }
}

fn first_author(from: &[u8]) -> Option<String> {
    let from = start_of(Some(from));
    Addresses::new(from).next()?;
    let mut bytes = Vec::new();
    author(from, |byte| bytes.push(byte));
    let mut name = String::from_utf8_lossy(&bytes).to_lowercase();
    while name.len() > MAX_AUTHOR_BYTES {
        name.pop();
    }
    Some(name)
}

/// The first message id in a field, without its angle brackets. Ids without them, which old programs
/// write, count if nothing but the id stands there.
fn first_id(value: &[u8]) -> Option<&[u8]> {
    if let Some(start) = memchr(b'<', value)
        && let Some(len) = memchr(b'>', &value[start..])
    {
        return Some(&value[start + 1..start + len]).filter(|id| !id.is_empty());
    }
    let word = value.trim_ascii();
    let is_id = memchr(b'@', word).is_some() && !word.iter().any(u8::is_ascii_whitespace);
    is_id.then_some(word)
}

/// Hash of a message id, white space left out, which folding puts in.
fn id_hash(id: Option<&[u8]>) -> Option<u64> {
    let mut hash = Hash64::default();
    id?.iter().filter(|b| !b.is_ascii_whitespace()).for_each(|b| hash.push(*b));
    Some(hash.finish())
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hash = Hash64::default();
    bytes.iter().for_each(|b| hash.push(*b));
    hash.finish()
}

/// Hash of what `write` hands out, if it says that it did.
fn hashed(write: impl FnOnce(&mut dyn FnMut(u8)) -> bool) -> Option<u64> {
    let mut hash = Hash64::default();
    write(&mut |byte| hash.push(byte)).then(|| hash.finish())
}
