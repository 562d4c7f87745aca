//! Our own marks on a message: the `Received` field with its keyed token, `Return-Path` and
//! `Delivered-To` (RFC 5321 §4.4; RFC 9228).
//!
//! The token stands as `id <queue id> (quell1 <32 hex digits>)`: short pieces between white space,
//! so that other servers may fold the field anew and it can still be read.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::date;
use crate::header::fields;
use crate::id::QueueId;
use crate::key::{ExactKey, Secret};

/// Word that a token begins with; the digit is the version of its form.
const MARK: &str = "quell1";
static MARK_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARK));

/// Longest host name taken over from outside (RFC 1035 §3.1); the rest is cut.
const MAX_HOST_BYTES: usize = 255;
/// Longest address for a `for` clause; a longer one is left out.
const MAX_FOR_BYTES: usize = 320;

/// A token of some quell, as a `Received` field carries it. Whether it is ours [`verify`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenToken {
    /// The queue id it carries.
    pub queue_id: QueueId,
    /// The MAC over that id and the exact key.
    pub mac: [u8; 16],
    /// `Delivered-To` addresses, lower case, that stand above it, from the top; at most 64.
    pub delivered_to_above: Vec<String>,
}

/// What the `Received` field of one arrival says.
#[derive(Debug, Clone)]
pub struct ReceivedStamp<'a> {
    /// The name the client gave in EHLO or HELO.
    pub helo: &'a str,
    /// The client's address. None: quell's own mail, which has no `from` clause.
    pub client_ip: Option<IpAddr>,
    /// The client's verified name, if it was looked up.
    pub client_name: Option<&'a str>,
    /// Our own host name.
    pub by: &'a str,
    /// Protocol: `SMTP`, `ESMTP`, `UTF8SMTP`, … (RFC 3848, RFC 6531 §4.3).
    pub with: &'static str,
    /// The arrival's id.
    pub queue_id: QueueId,
    /// Of [`token`].
    pub token: [u8; 16],
    /// The recipient; only if there is exactly one, so that no field tells of others.
    pub for_: Option<&'a str>,
    /// When it arrived, since 1970.
    pub ms: i64,
}

impl ReceivedStamp<'_> {
    /// The field, folded, CRLF at its end. Nothing from outside can add a line, a comment or a
    /// clause to it: in host names all but letters, digits and `.-_:[]` becomes `?`, and an address
    /// that is not plain is left out.
    pub fn field(&self) -> String {
        let mut text = String::from("Received: ");
        if let Some(ip) = self.client_ip {
            text += &format!("from {} (", host(self.helo));
            if let Some(name) = self.client_name {
                text += &format!("{} ", host(name));
            }
            text += &format!("{})\r\n\t", literal(ip));
        }
        let (by, mac) = (host(self.by), hex(&self.token));
        text += &format!("by {by} with {}\r\n\tid {} ({MARK} {mac})", self.with, self.queue_id);
        if let Some(address) = self.for_.filter(|a| is_plain(a)) {
            text += &format!("\r\n\tfor <{address}>");
        }
        text += &format!(";\r\n\t{}\r\n", date::print(self.ms));
        text
    }
}

/// A host name from outside that can stand in a field.
fn host(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    let host: String =
        name.chars().take(MAX_HOST_BYTES).map(|c| if allowed(c) { c } else { '?' }).collect();
    if host.is_empty() { "unknown".to_owned() } else { host }
}

/// RFC 5321 §4.1.3.
fn literal(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    }
}

/// Whether an address can stand in a `for` clause as it is.
fn is_plain(address: &str) -> bool {
    let allowed = |c: char| !c.is_control() && !c.is_whitespace() && !"<>()\\\";,".contains(c);
    !address.is_empty() && address.len() <= MAX_FOR_BYTES && address.chars().all(allowed)
}

fn hex(mac: &[u8; 16]) -> String {
    mac.iter().fold(String::with_capacity(32), |mut text, byte| {
        // Writing into a String does not fail.
        write!(text, "{byte:02x}").map(|()| text).unwrap_or_default()
    })
}

/// The MAC for our `Received`: over the queue id and the exact key. Without a key it is over the
/// id alone, and [`verify`] never takes it.
pub fn token(secret: &Secret, queue_id: QueueId, key: Option<&ExactKey>) -> [u8; 16] {
    let mut data = [0; 42];
    data[..10].copy_from_slice(queue_id.bytes());
    let Some(key) = key else { return secret.mac(b"token", &data[..10]) };
    data[10..].copy_from_slice(&key.0);
    secret.mac(b"token", &data)
}

/// Whether `seen` was made with `secret` for the message with this key. Takes the same time
/// whatever the MAC.
pub fn verify(secret: &Secret, seen: &SeenToken, key: &ExactKey) -> bool {
    let ours = token(secret, seen.queue_id, Some(key));
    let difference = ours.iter().zip(&seen.mac).fold(0, |bits, (a, b)| bits | (a ^ b));
    std::hint::black_box(difference) == 0
}

/// The token in the value of a `Received` field: the first that can be read. At most 8 marks of a
/// field are looked at.
pub(crate) fn token_in(value: &[u8]) -> Option<(QueueId, [u8; 16])> {
    MARK_FINDER.find_iter(value).take(8).find_map(|at| {
        let mac = mac_after(&value[at + MARK.len()..])?;
        Some((queue_id_before(&value[..at])?, mac))
    })
}

/// ` <32 hex>)`, any white space between.
fn mac_after(bytes: &[u8]) -> Option<[u8; 16]> {
    let digits = bytes.trim_ascii_start();
    let (digits, after) = digits.split_at_checked(32)?;
    if digits.len() == bytes.len() || after.trim_ascii_start().first() != Some(&b')') {
        return None;
    }
    let mut mac = [0; 16];
    for (byte, pair) in mac.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        *byte = (value(pair[0])? << 4 | value(pair[1])?) as u8;
    }
    Some(mac)
}

/// `id <queue id> (`, any white space between.
fn queue_id_before(bytes: &[u8]) -> Option<QueueId> {
    let before = bytes.trim_ascii_end().strip_suffix(b"(")?.trim_ascii_end();
    let (before, id) = before.split_at_checked(before.len().checked_sub(16)?)?;
    let word = before.trim_ascii_end();
    if word.len() == before.len() || !ends_with_id(word) {
        return None;
    }
    std::str::from_utf8(id).ok()?.parse().ok()
}

fn ends_with_id(bytes: &[u8]) -> bool {
    bytes.last_chunk::<2>().is_some_and(|word| word.eq_ignore_ascii_case(b"id"))
}

/// The two fields of final delivery: `Return-Path` (empty for the null reverse-path) and
/// `Delivered-To`, CRLF at the end of each. Control characters and angle brackets are dropped.
pub fn return_path_and_delivered_to(reverse_path: &str, rcpt: &str) -> String {
    let clean = |address: &str| -> String {
        address.chars().filter(|c| !c.is_control() && !"<>".contains(*c)).collect()
    };
    format!("Return-Path: <{}>\r\nDelivered-To: {}\r\n", clean(reverse_path), clean(rcpt))
}

/// The slices of `header` that remain when its `Return-Path` fields are taken out, as long as
/// they can be (RFC 5321 §4.4: the server of final delivery removes old ones).
pub fn strip_return_path(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = fields(header).map(|f| (f.whole.len(), f.is("return-path")));
    let mut at = 0;
    std::iter::from_fn(move || {
        let mut start = at;
        for (len, remove) in rest.by_ref() {
            at += len;
            if !remove {
                continue;
            }
            let keep = &header[start..at - len];
            start = at;
            if !keep.is_empty() {
                return Some(keep);
            }
        }
        (start < at).then(|| &header[start..at])
    })
}
