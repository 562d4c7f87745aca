//! Our own marks on a message: the `Received` field with its keyed token, `Return-Path` and
//! `Delivered-To` (RFC 5321 §4.4; RFC 9228).
//!
//! The token stands as `id <queue id> (quell1 <32 hex digits>)`: short pieces between white space,
//! so that other servers may fold the field anew and it can still be read.

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
/// Room for a field as they mostly are; a longer one grows.
const USUAL_FIELD_BYTES: usize = 384;
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

/// What protects a connection, in the names of IANA's registries: `TLSv1.3`, `TLS_AES_256_GCM_SHA384`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tls {
    /// Version of the protocol.
    pub version: &'static str,
    /// Cipher suite.
    pub cipher: &'static str,
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
    /// The account that it was collected from: letters, digits, `._@+-`.
    pub account: Option<&'a str>,
    /// What protected the connection.
    pub tls: Option<Tls>,
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
        let mut text = String::with_capacity(USUAL_FIELD_BYTES);
        text += "Received: ";
        if let Some(ip) = self.client_ip {
            text += "from ";
            push_host(&mut text, self.helo);
            text += " (";
            if let Some(name) = self.client_name {
                push_host(&mut text, name);
                text += " ";
            }
            text += &literal(ip);
            text += ")\r\n\t";
            if let Some(account) = self.account {
                text.extend(["(account ", &plain_account(account), ")\r\n\t"]);
            }
            if let Some(tls) = self.tls {
                text.extend(["(using ", tls.version, " with cipher ", tls.cipher, ")\r\n\t"]);
            }
        }
        text += "by ";
        push_host(&mut text, self.by);
        for part in [" with ", self.with, "\r\n\tid ", &self.queue_id.to_string(), " (", MARK, " "] {
            text += part;
        }
        push_hex(&mut text, &self.token);
        text += ")";
        if let Some(address) = self.for_.filter(|a| self.may_say_for(a)) {
            text.extend(["\r\n\tfor <", address, ">"]);
        }
        text.extend([";\r\n\t", &date::print(self.ms), "\r\n"]);
        text
    }

    /// An address that is plain, and in ASCII unless the protocol allows more (RFC 6531 §3.7.3).
    fn may_say_for(&self, address: &str) -> bool {
        is_plain(address) && (address.is_ascii() || self.with.starts_with("UTF8"))
    }
}

/// Adds a host name from outside so that it can stand in a field.
fn push_host(text: &mut String, name: &str) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    match name {
        "" => text.push_str("unknown"),
        name => text.extend(name.chars().take(MAX_HOST_BYTES).map(|c| if allowed(c) { c } else { '?' })),
    }
}

/// What a comment may hold of an account's name.
fn plain_account(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
    name.chars().take(MAX_HOST_BYTES).map(|c| if allowed(c) { c } else { '?' }).collect()
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

fn push_hex(text: &mut String, mac: &[u8; 16]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let halves = mac.iter().flat_map(|b| [b >> 4, b & 15]);
    text.extend(halves.map(|half| char::from(DIGITS[usize::from(half)])));
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
pub fn token_in(value: &[u8]) -> Option<(QueueId, [u8; 16])> {
    MARK_FINDER.find_iter(value).take(8).find_map(|at| {
        let mac = mac_after(&value[at + MARK.len()..])?;
        Some((queue_id_before(&value[..at])?, mac))
    })
}

/// ` <32 hex>)`, any white space between.
fn mac_after(bytes: &[u8]) -> Option<[u8; 16]> {
    let word = bytes.trim_ascii_start();
    let (digits, after) = word.split_at_checked(32)?;
    if word.len() == bytes.len() || after.trim_ascii_start().first() != Some(&b')') {
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
    format!("Return-Path: <{}>\r\n{}", clean(reverse_path), delivered_to(rcpt))
}

/// The second of them alone, for a message whose Return-Path another server wrote at its final delivery.
pub fn delivered_to(rcpt: &str) -> String {
    format!("Delivered-To: {}\r\n", clean(rcpt))
}

fn clean(address: &str) -> String {
    address.chars().filter(|c| !c.is_control() && !"<>".contains(*c)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Field;
    use proptest::prelude::*;

    const MS: i64 = 1_795_303_244_000;

    fn stamp<'a>() -> ReceivedStamp<'a> {
        ReceivedStamp {
            helo: "client.example",
            client_ip: Some(IpAddr::from([192, 0, 2, 1])),
            client_name: None,
            account: None,
            tls: None,
            by: "mx.firm.example",
            with: "ESMTP",
            queue_id: QueueId::new(MS as u64, 1, 2),
            token: [0xa5; 16],
            for_: None,
            ms: MS,
        }
    }

    fn only_field(text: &str) -> Field<'_> {
        let mut all = fields(text.as_bytes());
        let field = all.next().unwrap();
        assert!(all.next().is_none(), "more than one field: {text}");
        assert!(field.is("Received") && text.ends_with("\r\n"));
        field
    }

    #[test]
    fn the_field() {
        let id = stamp().queue_id;
        let mac = "a5".repeat(16);
        assert_eq!(
            stamp().field(),
            format!(
                "Received: from client.example ([192.0.2.1])\r\n\tby mx.firm.example with ESMTP\r\n\
            \tid {id} (quell1 {mac});\r\n\tSat, 21 Nov 2026 23:20:44 +0000\r\n"
            )
        );
        let full = ReceivedStamp {
            client_ip: "2001:db8::1".parse().ok(),
            client_name: Some("rev.example"),
            tls: Some(Tls { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384" }),
            for_: Some("jane@firm.example"),
            ..stamp()
        };
        assert_eq!(
            full.field(),
            format!(
                "Received: from client.example (rev.example [IPv6:2001:db8::1])\r\n\
            \t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n\tby mx.firm.example with ESMTP\r\n\tid {id} (quell1 {mac})\r\n\tfor <jane@firm.example>;\r\n\
            \tSat, 21 Nov 2026 23:20:44 +0000\r\n"
            )
        );
        let own = ReceivedStamp { client_ip: None, ..stamp() };
        assert!(own.field().starts_with("Received: by mx.firm.example with ESMTP\r\n"));
        let mapped = ReceivedStamp { client_ip: "::ffff:192.0.2.1".parse().ok(), ..stamp() };
        assert_eq!(mapped.field(), stamp().field());
    }

    #[test]
    fn for_is_left_out_where_it_could_do_harm() {
        for (address, with, said) in [
            ("jane@firm.example", "ESMTP", true),
            ("gr\u{fc}n@firm.example", "UTF8SMTP", true),
            ("gr\u{fc}n@firm.example", "ESMTP", false),
            ("a@b>;\r\nX: y", "ESMTP", false),
            ("\"a b\"@firm.example", "ESMTP", false),
            ("", "ESMTP", false),
        ] {
            let field = ReceivedStamp { for_: Some(address), with, ..stamp() }.field();
            assert_eq!(field.contains("\tfor <"), said, "{address}");
        }
    }

    #[test]
    fn only_the_right_secret_id_and_key_fit() {
        let secret = Secret::new(1, [7; 32]);
        let (id, key) = (QueueId::new(1, 2, 3), ExactKey([9; 32]));
        let seen =
            SeenToken { queue_id: id, mac: token(&secret, id, Some(&key)), delivered_to_above: vec![] };
        assert!(verify(&secret, &seen, &key));
        assert!(!verify(&secret, &seen, &ExactKey([8; 32])));
        assert!(!verify(&Secret::new(1, [8; 32]), &seen, &key));
        assert!(!verify(&secret, &SeenToken { queue_id: QueueId::new(1, 2, 4), ..seen.clone() }, &key));
        assert!(!verify(&secret, &SeenToken { mac: token(&secret, id, None), ..seen.clone() }, &key));
        for bit in 0..128 {
            let mut forged = seen.clone();
            forged.mac[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(&secret, &forged, &key));
        }
    }

    #[test]
    fn tokens_survive_other_folds_and_damage_is_none() {
        let (id, mac) = ("0123456789abcdef", "0f".repeat(16));
        let wanted = Some((id.parse().unwrap(), [0x0f; 16]));
        for value in [
            format!("by x id {id} (quell1 {mac}); now"),
            format!("by x\r\n\tid\r\n\t{id}\r\n (quell1\r\n\t{mac}\r\n ) for <x>"),
            format!("by quell1 with (quell1) ID {id}(quell1 {mac})"),
        ] {
            assert_eq!(token_in(value.as_bytes()), wanted, "{value}");
        }
        for value in [
            format!("id {id} (quell1{mac})"),
            format!("id {id} (quell1 {mac}0)"),
            format!("id {id} (quell1 {})", &mac[1..]),
            format!("id {id} quell1 {mac})"),
            format!("id{id} (quell1 {mac})"),
            format!("xx {id} (quell1 {mac})"),
            format!("id u{} (quell1 {mac})", &id[1..]),
            format!("{id} (quell1 {mac})"),
            "quell1".to_owned(),
        ] {
            assert_eq!(token_in(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn final_delivery() {
        assert_eq!(return_path_and_delivered_to("a@b", "c@d"), "Return-Path: <a@b>\r\nDelivered-To: c@d\r\n");
        assert_eq!(
            return_path_and_delivered_to("", "c@d\r\nX: y"),
            "Return-Path: <>\r\nDelivered-To: c@dX: y\r\n"
        );
    }

    #[test]
    fn old_return_paths_go_in_as_few_pieces_as_can_be() {
        let strip = |h: &'static str| -> Vec<&str> {
            strip_return_path(h.as_bytes()).map(|s| std::str::from_utf8(s).unwrap()).collect()
        };
        assert_eq!(strip("A: 1\r\nB: 2\r\n"), ["A: 1\r\nB: 2\r\n"]);
        assert_eq!(
            strip("return-PATH: <x>\r\nA: 1\r\nB: 2\r\nReturn-Path:\r\n <y>\r\nC: 3\r\n"),
            ["A: 1\r\nB: 2\r\n", "C: 3\r\n"]
        );
        assert!(strip("Return-Path: <x>\r\n").is_empty());
        assert!(strip("").is_empty());
    }

    proptest! {
        #[test]
        fn nothing_from_outside_breaks_out(helo: String, name: String, rcpt: String, token: [u8; 16], ms: i64) {
            let stamp = ReceivedStamp { helo: &helo, client_name: Some(&name), for_: Some(&rcpt), token, ms, ..stamp() };
            let text = stamp.field();
            let field = only_field(&text);
            prop_assert_eq!(token_in(field.value), Some((stamp.queue_id, token)));
            prop_assert!(text.lines().all(|line| line.len() <= 998));
            prop_assert!(text.chars().all(|c| !c.is_control() || "\r\n\t".contains(c)));
            prop_assert!(date::parse(text.rsplit_once(';').unwrap().1.as_bytes()).is_some());
        }

        #[test]
        fn marks_in_the_helo_are_no_tokens(helo in "(id 0123456789abcdef \\(quell1 [0-9a-f]{32}\\)|[\\x00-\\x7f]){0,3}") {
            let stamp = ReceivedStamp { helo: &helo, ..stamp() };
            prop_assert_eq!(token_in(only_field(&stamp.field()).value), Some((stamp.queue_id, stamp.token)));
        }

        #[test]
        fn what_is_kept_is_all_but_return_paths(pieces in proptest::collection::vec(
            prop::sample::select(vec!["Return-Path: <x>\r\n", "A: 1\r\n", "B: 2\r\n folded\r\n", "damaged\n"]), 0..9)) {
            let header = pieces.concat();
            let kept: Vec<u8> = strip_return_path(header.as_bytes()).flatten().copied().collect();
            let wanted: String = pieces.iter().filter(|p| !p.starts_with("Return")).copied().collect();
            prop_assert_eq!(kept, wanted.into_bytes());
        }

        #[test]
        fn any_value_is_taken(before: Vec<u8>, after: Vec<u8>) {
            token_in(&[&before[..], b"(quell1 ", &after].concat());
        }
    }
}
