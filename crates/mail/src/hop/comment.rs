//! Comments, where most of a stamp's facts stand.

use super::clauses::{Clause, Reader, bare};
use super::lexer::is_space;
use super::{Word, ip, sender, software, tls};

/// As much of the first word as is looked at; all that are known are shorter.
const MAX_HEAD_BYTES: usize = 20;

/// Takes in what a comment, given without its parentheses, says where it stands.
pub(super) fn read<'a>(reader: &mut Reader<'a>, text: &'a [u8]) {
    let text = text.trim_ascii();
    let head_len = text.iter().position(|b| is_space(*b) || matches!(b, b'=' | b':' | b',' | b'('));
    let head = &text[..head_len.unwrap_or(text.len())];
    if head.is_empty() && text.is_empty() {
        return;
    }
    let mut lower = [0; MAX_HEAD_BYTES];
    let lower = &mut lower[..head.len().min(MAX_HEAD_BYTES)];
    lower.copy_from_slice(&head[..lower.len()]);
    lower.make_ascii_lowercase();
    let lower = &*lower;
    match lower {
        b"using" | b"tls" | b"tls_cipher" | b"cipher" | b"version" | b"ssl" => encryption(reader, text),
        // `(TLS1.2:ECDHE_RSA:256)` of Exim, `(TLS)` of Exchange.
        [b't', b'l', b's', ..] | [b's', b's', b'l', b'v', ..] => encryption(reader, text),
        b"no" | b"client" | b"may" | b"orcpt" | b"misconfigured" | b"peer" | b"for" | b"single-drop"
        | b"multi-drop" | b"envelope-from" | b"envelope-sender" | b"sender" | b"uid" | b"added"
        | b"removed" | b"frontend" | b"volatile" => {
            reader.seen.local |= lower == b"uid" && reader.clause == Clause::From;
        }
        b"authenticated" | b"auth" | b"account" | b"user" | b"smtp-auth" | b"helo" | b"ehlo" | b"lhlo" => {
            sender::read(reader, text);
        }
        b"authenticated-user" => sender::read(reader, text),
        b"from" if reader.clause == Clause::Start => from(reader, text[4..].trim_ascii()),
        b"ofmipd" if reader.clause == Clause::Start => invoked(reader, text),
        _ if reader.clause == Clause::Start && memchr::memmem::find(text, b"invoked").is_some() => {
            invoked(reader, text);
        }
        b"via" => reader.hop.via = reader.hop.via.or(Some(Word(text[head.len()..].trim_ascii()))),
        _ if reader.clause == Clause::From || reader.clause == Clause::Start => sender::read(reader, text),
        _ if reader.clause == Clause::After => zone(reader, text),
        _ => receiver(reader, text),
    }
}

pub(super) fn encryption<'a>(reader: &mut Reader<'a>, text: &'a [u8]) {
    let (version, cipher) = tls::read(text);
    reader.hop.tls_version = reader.hop.tls_version.or(version);
    reader.hop.tls_cipher = reader.hop.tls_cipher.or(cipher.map(Word));
}

/// `(from uid@host)` of Sendmail: submitted there; `(from localhost [192.0.2.1])` of others.
fn from<'a>(reader: &mut Reader<'a>, text: &'a [u8]) {
    let len = text.iter().position(|b| is_space(*b)).unwrap_or(text.len());
    let word = bare(&text[..len]);
    reader.hop.from = reader.hop.from.or(Some(Word(word)).filter(|w| !w.is_empty()));
    if len < text.len() {
        sender::read(reader, &text[len..]);
    }
    reader.seen.local |= reader.hop.ip.is_none();
}

/// `(qmail 27981 invoked by uid 225)`, `(qmail 1 invoked from network)`, `(nullmailer pid 7
/// invoked by uid 1000)`, `(ofmipd 192.0.2.1)`.
fn invoked<'a>(reader: &mut Reader<'a>, text: &'a [u8]) {
    let (name, rest) = text.split_at(text.iter().position(|b| is_space(*b)).unwrap_or(text.len()));
    software::read(reader, name);
    if !reader.take_ip(rest) {
        let invoked = memchr::memmem::find(rest, b"invoked");
        let how = invoked.map(|at| rest[at + b"invoked".len()..].trim_ascii_start());
        reader.seen.local |= how.is_some_and(|how| how.starts_with(b"by"));
    }
}

/// A comment on the receiver: its address, its software, how it came by the mail.
fn receiver<'a>(reader: &mut Reader<'a>, text: &'a [u8]) {
    if reader.clause == Clause::By && reader.hop.by_ip.is_none() {
        let bracket = memchr::memchr(b'[', text).map_or(text, |at| &text[at..]);
        if let Some((ip, _)) = ip::read(bracket) {
            reader.hop.by_ip = Some(ip);
            return;
        }
    }
    // `(Postfix, from userid 1002)`
    reader.seen.local |= memchr::memmem::find(text, b"userid").is_some();
    software::read(reader, text);
}

/// Behind the date: a name for its zone, `(UTC)`, `(Pacific Daylight Time)`.
fn zone(reader: &mut Reader<'_>, text: &[u8]) {
    let plain =
        |b: &u8| b.is_ascii_alphanumeric() || is_space(*b) || b"+-:.,'()&;/=".contains(b) || *b >= 128;
    if !text.iter().all(plain) {
        reader.unknown(text);
    }
}
