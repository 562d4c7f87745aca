//! Whether a message is a report of delivery, and on which message: a DSN (RFC 3464), or what servers
//! wrote before there were any and some write today.

use memchr::{memchr, memrchr};

use super::machine::has_report_type;
use super::{Named, first_id, id_hash};
use crate::content::start_of;
use crate::content::words::decoded;
use crate::header::fields;

/// Bytes of a report's body in which the message that it is about is looked for.
pub const MAX_REPORT_BYTES: usize = 128 << 10;
/// Bytes at the start of a body where a server says what it writes.
const MAX_OPENING_BYTES: usize = 2 << 10;

/// A report of delivery: that a message was not delivered, is delayed, or was delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Report {
    /// The Message-ID of the message it is about, hashed as [`super::Letter::message_id`]: from the
    /// part that returns it, else from In-Reply-To or References. None: it does not say.
    pub original: Option<u64>,
}

/// What subjects of bounces begin with, in lower case: those of servers, not of people.
const BOUNCE_SUBJECTS: [&str; 27] = [
    "undelivered mail returned",
    "undeliverable",
    "undelivered",
    "delivery status notification",
    "delivery notification",
    "delivery failure",
    "delivery failed",
    "delivery has failed",
    "delayed mail",
    "mail delivery failed",
    "mail delivery failure",
    "mail delivery system",
    "mail delivery problem",
    "mail system error",
    "message delivery failure",
    "returned mail",
    "failure notice",
    "failure delivery",
    "warning: message",
    "unzustellbar",
    "nicht zustellbar",
    "non remis",
    "non recapitabile",
    "onbestelbaar",
    "no se puede entregar",
    "no entregado",
    "nedoru\u{10d}iteln\u{e9}",
];
/// What servers write at the start of a bounce.
const BOUNCE_TEXTS: [&[u8]; 7] = [
    b"This is the mail system at host",
    b"This message was created automatically by mail delivery software",
    b"This is the qmail-send program",
    b"The following addresses had permanent fatal errors",
    b"The original message was received at",
    b"Your message did not reach some or all of the intended recipients",
    b"I'm sorry to have to inform you that your message could not",
];
/// Who sends bounces.
const BOUNCERS: [&str; 3] = ["mailer-daemon", "postmaster", "mailerdaemon"];

/// The report that the message is, if it is one.
pub(super) fn read(named: &Named<'_>, author: Option<&str>, body: &[u8], null_path: bool) -> Option<Report> {
    let is_dsn = has_report_type(start_of(Some(named.content_type)), "delivery-status");
    if !is_dsn && !is_bounce(named, author, body, null_path) {
        return None;
    }
    let returned = returned_id(&body[..body.len().min(MAX_REPORT_BYTES)]);
    // What is answered stands last in References.
    let parent = || first_id(named.in_reply_to).or_else(|| last_id(named.references));
    Some(Report { original: returned.or_else(|| id_hash(parent())) })
}

/// Whether who sent it sends bounces, and it reads like one.
fn is_bounce(named: &Named<'_>, author: Option<&str>, body: &[u8], null_path: bool) -> bool {
    let local = author.and_then(|author| author.split('@').next()).unwrap_or_default();
    if !null_path && !BOUNCERS.contains(&local) {
        return false;
    }
    let subject = decoded(start_of(Some(named.subject)));
    let start: String = subject.trim_start().chars().take(40).flat_map(char::to_lowercase).collect();
    let opening = &body[..body.len().min(MAX_OPENING_BYTES)];
    named.signs.has_failed_recipients()
        || BOUNCE_SUBJECTS.iter().any(|known| start.starts_with(known))
        || BOUNCE_TEXTS.iter().any(|known| memchr::memmem::find(opening, known).is_some())
}

/// Hash of the Message-ID of the message that is returned in `body`: the first behind the header of a
/// part that returns one; without such a part the first that stands at the start of a line.
fn returned_id(body: &[u8]) -> Option<u64> {
    let (mut at, mut anywhere, mut returned) = (0, None, false);
    while at < body.len() {
        let line = &body[at..];
        let len = memchr(b'\n', line).map_or(line.len(), |lf| lf + 1);
        returned |= returns(&line[..len]);
        if starts(line, b"message-id:") && (returned || anywhere.is_none()) {
            // The field may be folded.
            let id = fields(line).next().and_then(|field| id_hash(first_id(field.value)));
            if returned && id.is_some() {
                return id;
            }
            anywhere = anywhere.or(id);
        }
        at += len;
    }
    anywhere
}

/// Whether this line of a part's header says that the part is a message, or the header of one
/// (RFC 6522 §3, RFC 6533 §3).
fn returns(line: &[u8]) -> bool {
    const TYPE: &[u8] = b"content-type:";
    starts(line, TYPE)
        && [&b"message/rfc822"[..], b"text/rfc822-headers", b"message/global"]
            .iter()
            .any(|known| starts(line[TYPE.len()..].trim_ascii_start(), known))
        && !starts(line[TYPE.len()..].trim_ascii_start(), b"message/global-delivery-status")
}

fn starts(line: &[u8], lower: &[u8]) -> bool {
    line.get(..lower.len()).is_some_and(|start| start.eq_ignore_ascii_case(lower))
}

fn last_id(value: &[u8]) -> Option<&[u8]> {
    let end = memrchr(b'>', value)?;
    let start = memrchr(b'<', &value[..end])?;
    Some(&value[start + 1..end])
}
