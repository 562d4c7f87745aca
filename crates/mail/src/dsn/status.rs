//! The part for machines: `message/delivery-status` (RFC 3464 §2) or
//! `message/global-delivery-status` (RFC 6533 §5).

use std::fmt;

use super::field::{Value, host};
use super::xtext::{decode, decode_embedded, encode_embedded};
use super::{Action, Report, Told};
use crate::date;

/// Longest text of a status said on; the rest is cut.
pub const MAX_STATUS_TEXT_BYTES: usize = 512;
/// Longest address said; a longer one is cut (RFC 5321 §4.5.3.1.3 allows 256).
const MAX_ADDRESS_BYTES: usize = 800;
/// Longest ENVID said (RFC 3461 §4.4 allows 100).
const MAX_ENVID_BYTES: usize = 400;

/// A row's status, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    /// Class, subject, detail (RFC 3463).
    pub enhanced: (u16, u16, u16),
    /// The code of the reply: another server said it.
    pub reply_code: Option<u16>,
    /// What was said, at most [`MAX_STATUS_TEXT_BYTES`]; not made harmless yet.
    pub text: &'a str,
}

impl<'a> Status<'a> {
    /// Reads `5.1.1 550 text`, of which codes may lack.
    pub fn read(status: &'a str, action: Action) -> Self {
        let class = match action {
            Action::Failed => 5,
            Action::Delayed => 4,
            Action::Delivered | Action::Relayed => 2,
        };
        let word = |text: &'a str| text.split_once(' ').unwrap_or((text, ""));
        let (first, after) = word(status);
        let (enhanced, text) = enhanced(first).map_or(((class, 0, 0), status), |code| (code, after));
        let (second, after) = word(text);
        let (reply_code, text) = reply(second).map_or((None, text), |code| (Some(code), after));
        Self { enhanced, reply_code, text: &text[..text.floor_char_boundary(MAX_STATUS_TEXT_BYTES)] }
    }

    /// The enhanced code.
    pub fn code(&self) -> String {
        let (class, subject, detail) = self.enhanced;
        format!("{class}.{subject}.{detail}")
    }
}

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.reply_code {
            write!(f, "{code} ")?;
        }
        write!(f, "{} {}", self.code(), self.text)
    }
}

/// RFC 3463 §2: one digit of 2, 4, 5, then up to three twice.
fn enhanced(word: &str) -> Option<(u16, u16, u16)> {
    let mut parts = word.split('.').map(number);
    let code = (parts.next()??, parts.next()??, parts.next()??);
    (matches!(code.0, 2 | 4 | 5) && parts.next().is_none()).then_some(code)
}

fn reply(word: &str) -> Option<u16> {
    number(word).filter(|code| word.len() == 3 && (200..600).contains(code))
}

fn number(word: &str) -> Option<u16> {
    let digits = (1..=3).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
    word.parse().ok().filter(|_| digits)
}

/// The content of the part.
pub fn compose(report: &Report<'_>, utf8: bool) -> String {
    let mut out = format!("Reporting-MTA: dns; {}\r\n", host(report.host));
    if let Some(envid) = report.envid.map(decode).filter(|id| !id.is_empty()) {
        out += &Value::ascii(cut(&envid, MAX_ENVID_BYTES)).field("Original-Envelope-Id");
    }
    out += &format!("Arrival-Date: {}\r\n", date::print(report.arrival_ms));
    for told in report.listed() {
        out += "\r\n";
        put_recipient(&mut out, told, utf8);
    }
    out
}

fn put_recipient(out: &mut String, told: &Told<'_>, utf8: bool) {
    let status = Status::read(told.status, told.action);
    if let Some(original) = told.orcpt.and_then(|orcpt| original_recipient(orcpt, utf8)) {
        *out += &original.field("Original-Recipient");
    }
    *out += &address(told.final_recipient, utf8).field("Final-Recipient");
    *out += &format!("Action: {}\r\nStatus: {}\r\n", told.action.word(), status.code());
    if let Some(mta) = told.remote_mta {
        *out += &format!("Remote-MTA: dns; {}\r\n", host(mta));
    }
    if !status.text.is_empty() || status.reply_code.is_some() {
        // RFC 3464 §2.3.6: `smtp` is for what a server has replied; the rest is in our own words.
        let said = if status.reply_code.is_some() { "smtp" } else { "x-quell" };
        *out += &Value::new(&format!("{said}; {status}"), utf8).field("Diagnostic-Code");
    }
    if let Some(ms) = told.last_attempt_ms {
        *out += &format!("Last-Attempt-Date: {}\r\n", date::print(ms));
    }
    if let Some(ms) = told.will_retry_until_ms.filter(|_| told.action == Action::Delayed) {
        *out += &format!("Will-Retry-Until: {}\r\n", date::print(ms));
    }
}

/// ORCPT as it was before it was put into xtext (RFC 3461 §4.2, RFC 6533 §3). None: it has no type.
fn original_recipient(orcpt: &str, utf8: bool) -> Option<Value> {
    let (kind, value) = orcpt.split_once(';').filter(|(kind, _)| is_type(kind))?;
    if kind.eq_ignore_ascii_case("utf-8") {
        return Some(address(&decode_embedded(value), utf8));
    }
    Some(Value::ascii(&format!("{kind}; {}", cut(&decode(value), MAX_ADDRESS_BYTES))))
}

fn is_type(kind: &str) -> bool {
    (1..=40).contains(&kind.len()) && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// An address with its type: `utf-8` where it is not in ASCII, and then in 7 bits unless `utf8`
/// (RFC 6533 §3).
fn address(address: &str, utf8: bool) -> Value {
    let address = cut(address, MAX_ADDRESS_BYTES);
    match (address.is_ascii(), utf8) {
        (true, _) => Value::ascii(&format!("rfc822; {address}")),
        (false, true) => Value::utf8(&format!("utf-8; {address}")),
        (false, false) => Value::ascii(&format!("utf-8; {}", encode_embedded(address))),
    }
}

fn cut(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_what_there_is() {
        for (given, code, reply_code, text) in [
            ("5.1.1 550 no such user", "5.1.1", Some(550), "no such user"),
            ("4.4.7 not in time; last: 4.2.0 x", "4.4.7", None, "not in time; last: 4.2.0 x"),
            ("550 no such user", "5.0.0", Some(550), "no such user"),
            ("no such user", "5.0.0", None, "no such user"),
            ("5.1.1", "5.1.1", None, ""),
            ("5.1.1 550", "5.1.1", Some(550), ""),
            ("5.1 x", "5.0.0", None, "5.1 x"),
            ("3.1.1 x", "5.0.0", None, "3.1.1 x"),
            ("5.1.1.1 x", "5.0.0", None, "5.1.1.1 x"),
            ("5.1.+1 x", "5.0.0", None, "5.1.+1 x"),
            ("", "5.0.0", None, ""),
        ] {
            let status = Status::read(given, Action::Failed);
            assert_eq!((status.code().as_str(), status.reply_code, status.text), (code, reply_code, text));
        }
        assert_eq!(Status::read("x", Action::Delayed).code(), "4.0.0");
        assert_eq!(Status::read("x", Action::Relayed).code(), "2.0.0");
    }

    #[test]
    fn an_original_recipient_loses_its_xtext() {
        let field = |orcpt, utf8| original_recipient(orcpt, utf8).map(|v| v.field("X"));
        for (given, utf8, wanted) in [
            ("rfc822;jane+2Bx@firm.example", false, Some("rfc822; jane+x@firm.example")),
            ("RFC822;a+0D+0AX:+20y", false, Some("RFC822; a X: y")),
            ("utf-8;gr\\x{FC}n@x.example", true, Some("utf-8; gr\u{fc}n@x.example")),
            ("utf-8;gr\\x{FC}n@x.example", false, Some("utf-8; gr\\x{FC}n@x.example")),
            ("utf-8;green@x.example", false, Some("rfc822; green@x.example")),
            ("x400;/G=J/", false, Some("x400; /G=J/")),
            ("jane@firm.example", false, None),
            ("a b;c", false, None),
            (";c", false, None),
        ] {
            assert_eq!(field(given, utf8), wanted.map(|w| format!("X: {w}\r\n")), "{given}");
        }
    }
}
