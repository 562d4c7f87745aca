//! Composing delivery status notifications (RFC 3461, 3464; RFC 6533 where addresses or header
//! fields are in UTF-8): a `multipart/report` of a text for people, the status for machines, and
//! the message or its header.
//!
//! Pure: times and the Message-ID are passed in. Whatever comes from outside (addresses, what other
//! servers said, the original) can break no header line and no boundary; the result is a
//! well-formed message with CRLF line ends and lines of at most 998 bytes. Its envelope has the
//! null reverse-path (RFC 3461 §6.1), which is the caller's to see to.

pub(crate) mod field;
mod original;
mod status;
mod text;
mod xtext;

use crate::date;
use crate::dsn::field::Value;
use crate::dsn::original::Returned;

/// Recipients in one report; of further ones only the number is told.
pub const MAX_RECIPIENTS: usize = 1_000;
/// A larger original is returned as header only.
pub const MAX_ORIGINAL_BYTES: usize = 64 << 10;
/// Of a longer header the rest is left out; the cut is between two fields or lines.
pub const MAX_HEADER_BYTES: usize = 64 << 10;
/// Longest line, without its line end (RFC 5322 §2.1.1).
pub const MAX_LINE_BYTES: usize = 998;

/// What a report tells of one recipient (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Given up.
    Failed,
    /// Not there yet, and tried further.
    Delayed,
    /// It lies in the mailbox.
    Delivered,
    /// Handed to a server that will send no report of its own.
    Relayed,
}

impl Action {
    /// The value of the field `Action`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
        }
    }
}

/// What is told of one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told<'a> {
    /// The address that delivery was tried for, after aliases.
    pub final_recipient: &'a str,
    /// The address as the sender gave it: the one that people know.
    pub as_given: &'a str,
    /// ORCPT as given, `type;` and xtext; without it there is no `Original-Recipient`.
    pub orcpt: Option<&'a str>,
    /// What happened.
    pub action: Action,
    /// As the ledger has it: enhanced status code, the code of the reply if another server said it,
    /// text. Without a code it is `5.0.0`, `4.0.0` or `2.0.0`, by the action.
    pub status: &'a str,
    /// The server that said it, if one did and its name or address is known.
    pub remote_mta: Option<&'a str>,
    /// It may have been delivered all the same: the answer to a sending stayed away.
    pub maybe_delivered: bool,
    /// When it was tried last, since 1970; None: not at all.
    pub last_attempt_ms: Option<i64>,
    /// Until when it is tried further, since 1970 ([`Action::Delayed`]).
    pub will_retry_until_ms: Option<i64>,
}

/// The message that is reported on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Original<'a> {
    /// Header, empty line and body if [`Original::whole`], else at least the header, which may be
    /// cut after [`MAX_HEADER_BYTES`]. Empty: no longer there, and the report has two parts.
    pub bytes: &'a [u8],
    /// All of it is here.
    pub whole: bool,
}

/// All that a report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report<'a> {
    /// Our host name.
    pub host: &'a str,
    /// Whom it is for: the reverse-path of the message.
    pub to: &'a str,
    /// Message-ID of the report, with its angle brackets.
    pub message_id: &'a str,
    /// When the report is made, since 1970.
    pub date_ms: i64,
    /// When the message arrived, since 1970.
    pub arrival_ms: i64,
    /// ENVID of the message as given, in xtext.
    pub envid: Option<&'a str>,
    /// RET of the message: FULL is true, HDRS false; None: not given. It concerns reports of
    /// failures only; all others return the header (RFC 3461 §4.3).
    pub ret_full: Option<bool>,
    /// The message came with SMTPUTF8: its sender can read UTF-8 in addresses and headers.
    pub smtputf8: bool,
    /// What is told of each recipient; of more than [`MAX_RECIPIENTS`] only the first are listed.
    pub told: &'a [Told<'a>],
    /// The message was collected from a mailbox at a provider, and is kept under this queue id: whoever is told
    /// did not send it, and can try again.
    pub collected: Option<&'a str>,
    /// The message.
    pub original: Original<'a>,
}

/// A report, composed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The message, CRLF at the end of each line.
    pub bytes: Vec<u8>,
    /// Bytes of its header, without the empty line that ends it.
    pub header_bytes: usize,
    /// It holds addresses or header fields in UTF-8: it is to be sent with SMTPUTF8 (RFC 6533 §4).
    pub smtputf8: bool,
    /// It holds bytes above 127.
    pub eight_bit: bool,
}

impl Report<'_> {
    /// Composes it. Never fails: what cannot be said as it is, is said as near as can be.
    pub fn compose(&self) -> Composed {
        let utf8 = self.speaks_utf8();
        let text = text::compose(self);
        let status = status::compose(self, utf8);
        let returned = original::choose(self);
        let boundary = boundary(&[text.as_bytes(), status.as_bytes(), &returned.bytes]);
        let header = self.header(&boundary);
        let mut bytes = header.clone().into_bytes();
        bytes.extend_from_slice(b"\r\n");
        let plain = if text.is_ascii() { ("us-ascii", "7bit") } else { ("utf-8", "8bit") };
        let plain = format!(
            "Content-Type: text/plain; charset={}\r\nContent-Transfer-Encoding: {}\r\n",
            plain.0, plain.1
        );
        put_part(&mut bytes, &boundary, &plain, text.as_bytes());
        let global = !status.is_ascii();
        put_part(&mut bytes, &boundary, status_type(global), status.as_bytes());
        if !returned.bytes.is_empty() {
            put_part(&mut bytes, &boundary, &returned.fields(), &returned.bytes);
        }
        bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let smtputf8 = global || returned.is_global() || !header.is_ascii();
        Composed { header_bytes: header.len(), smtputf8, eight_bit: !bytes.is_ascii(), bytes }
    }

    /// UTF-8 is said only to somebody who has sent some; save in the text, which has a charset.
    fn speaks_utf8(&self) -> bool {
        self.smtputf8 || !self.to.is_ascii()
    }

    fn listed(&self) -> &[Told<'_>] {
        &self.told[..self.told.len().min(MAX_RECIPIENTS)]
    }

    fn all(&self, action: Action) -> bool {
        self.told.iter().all(|t| t.action == action)
    }

    fn any(&self, action: Action) -> bool {
        self.told.iter().any(|t| t.action == action)
    }

    fn header(&self, boundary: &str) -> String {
        let mut header = String::new();
        let host = field::host(self.host);
        header += &format!("From: Mail Delivery System <postmaster@{host}>\r\n");
        header += &format!("To: {}\r\n", field::to(self.to));
        header += &format!("Subject: {}\r\n", self.subject());
        header += &format!("Date: {}\r\n", date::print(self.date_ms));
        header += &Value::ascii(self.message_id).field("Message-ID");
        if let Some(id) = original::message_id(self.original.bytes) {
            header += &format!("References: {id}\r\n");
        }
        header += "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n";
        header += "Content-Type: multipart/report; report-type=delivery-status;\r\n";
        header += &format!("\tboundary=\"{boundary}\"\r\n");
        header
    }

    fn subject(&self) -> &'static str {
        match self.told.first().map(|t| t.action).filter(|first| self.all(*first)) {
            Some(Action::Failed) => "Your message could not be delivered",
            Some(Action::Delayed) => "Your message is delayed; you need not do anything",
            Some(Action::Delivered) => "Your message was delivered",
            Some(Action::Relayed) => "Your message was handed to the next server",
            None => "What became of your message",
        }
    }
}

fn status_type(global: bool) -> &'static str {
    if global {
        "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n"
    } else {
        "Content-Type: message/delivery-status\r\n"
    }
}

fn put_part(out: &mut Vec<u8>, boundary: &str, fields: &str, content: &[u8]) {
    for piece in [b"--", boundary.as_bytes(), b"\r\n", fields.as_bytes(), b"\r\n", content] {
        out.extend_from_slice(piece);
    }
    // The line end before a boundary belongs to the boundary (RFC 2046 §5.1.1); each part has one
    // of its own before that.
    out.extend_from_slice(b"\r\n");
}

/// A boundary that occurs in none of `parts`. It is made from what they say, so that nobody can
/// write it into a message beforehand, and is looked for all the same.
pub(crate) fn boundary(parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    loop {
        for part in parts {
            hasher.update(part);
        }
        let hash = hasher.finalize().to_hex();
        let boundary = format!("=_quell_{}", &hash.as_str()[..32]);
        if parts.iter().all(|part| memchr::memmem::find(part, boundary.as_bytes()).is_none()) {
            return boundary;
        }
    }
}

impl Returned {
    fn fields(&self) -> String {
        let encoding = if self.bytes.is_ascii() { "7bit" } else { "8bit" };
        format!("Content-Type: {}\r\nContent-Transfer-Encoding: {encoding}\r\n", self.media_type)
    }

    fn is_global(&self) -> bool {
        self.media_type.starts_with("message/global")
    }
}

#[cfg(test)]
mod tests;
