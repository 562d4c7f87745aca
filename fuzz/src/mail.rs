//! What a message may say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use quell_mail::canon::{RelaxedBody, relaxed_value_to_vec};
use quell_mail::content::{Content, Likeness, bucket, content};
use quell_mail::exact::exact_key;
use quell_mail::header::{fields, split};
use quell_mail::hop::{self, HopKind, stamp_hash};
use quell_mail::id::QueueId;
use quell_mail::key::{ExactKey, Secret};
use quell_mail::letter::{self, MAX_ADDRESSED, MAX_AUTHOR_BYTES, MAX_LIST_ID_BYTES, Machine};
use quell_mail::reading::{MAX_DELIVERED_TO, MAX_TOKENS, Reader, Reading};
use quell_mail::trace::{ReceivedStamp, strip_return_path, token, verify};
use quell_mail::{date, mailbox_list, message_id};

/// Header of a target's messages: no input reaches it, so it never stands in the way.
const MAX_HEADER_BYTES: usize = 1 << 24;
/// A content keeps 256 places in each of two texts, however long they are.
const MAX_CONTENT_BYTES: usize = 16 << 10;
/// Above a message: another identity and other recipients.
const CARRIED: &[u8] =
    b"Received: from a.example by b.example; now\r\nMessage-ID: <x@y>\r\nDate: now\r\nTo: a@b\r\n";

/// The scan of a header: its pieces are the header, begin where lines begin, and a name is a name
/// (RFC 5322 §3.6.8). Without Return-Path only those are gone.
pub fn header(bytes: &[u8]) {
    let (head, body) = split(bytes);
    let between = &bytes[head.len()..bytes.len() - body.len()];
    assert!(matches!(between, b"" | b"\n" | b"\r\n"));
    assert!(!between.is_empty() || body.is_empty());
    assert!(head.is_empty() || between.is_empty() || head.ends_with(b"\n"));
    let (mut at, mut kept) = (0, Vec::new());
    for field in fields(head) {
        assert!(!field.whole.is_empty() && head[at..].starts_with(field.whole));
        assert!(at == 0 || (head[at - 1] == b'\n' && !matches!(head[at], b' ' | b'\t')));
        at += field.whole.len();
        if !field.name.is_empty() {
            assert!(field.name.iter().all(|b| b.is_ascii_graphic() && *b != b':'));
            let colon = field.whole.len() - field.value.len() - 1;
            assert_eq!(field.whole[..colon].trim_ascii_end(), field.name);
            assert_eq!(field.whole[colon], b':');
        }
        if !field.is("return-path") {
            kept.extend_from_slice(field.whole);
        }
        value(field.value);
    }
    assert_eq!(at, head.len());
    assert_eq!(strip_return_path(head).collect::<Vec<_>>().concat(), kept);
}

/// The relaxed form of a value (RFC 6376 §3.4.2): relaxing it again changes nothing.
fn value(value: &[u8]) {
    let relaxed = relaxed_value_to_vec(value);
    assert!(!relaxed.iter().any(|b| matches!(b, b'\n' | b'\t')));
    assert!(!relaxed.windows(2).any(|pair| pair == b"  "));
    assert!(!relaxed.starts_with(b" ") && !relaxed.ends_with(b" "));
    assert_eq!(relaxed_value_to_vec(&relaxed), relaxed);
}

/// The relaxed form of a body (RFC 6376 §3.4.4): the same in any pieces, as a plain reading of the
/// RFC has it, and itself when relaxed again.
pub fn body(bytes: &[u8]) {
    let [cut, body @ ..] = bytes else { return };
    let whole = relaxed(body, body.len().max(1));
    assert_eq!(relaxed(body, usize::from(*cut % 70) + 1), whole, "cut into {cut} % 70 + 1");
    assert_eq!(whole, relaxed_plainly(body));
    assert_eq!(relaxed(&whole, whole.len().max(1)), whole);
}

fn relaxed(body: &[u8], cut: usize) -> Vec<u8> {
    let (mut relaxed, mut out) = (RelaxedBody::new(), Vec::new());
    for piece in body.chunks(cut) {
        relaxed.push(piece, &mut |slice| out.extend_from_slice(slice));
    }
    relaxed.finish(&mut |slice| out.extend_from_slice(slice));
    out
}

fn relaxed_plainly(body: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for line in body.split(|b| *b == b'\n') {
        // What follows the last LF has no line end, so a CR there is text.
        let ended = lines.len() < body.iter().filter(|b| **b == b'\n').count();
        let line = if ended { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        let mut text: Vec<u8> = Vec::new();
        for byte in line {
            match byte {
                b' ' | b'\t' if text.last() == Some(&b' ') => {}
                b' ' | b'\t' => text.push(b' '),
                other => text.push(*other),
            }
        }
        text.truncate(text.len() - usize::from(text.last() == Some(&b' ')));
        lines.push(text);
    }
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines.iter().flat_map(|line| [line, &b"\r\n"[..]].concat()).collect()
}

/// A message read as it streams in: any split gives the same reading, its key is the one that the
/// whole message has, and neither line ends nor our own `Received` change that key.
pub fn reading(bytes: &[u8]) {
    let [cut, message @ ..] = bytes else { return };
    let arrival_ms = read(message, message.len(), 0).date_ms.unwrap_or_default();
    let whole = read(message, message.len(), arrival_ms);
    let pieces = read(message, usize::from(*cut % 40) + 1, arrival_ms);
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"), "cut into {cut} % 40 + 1");
    let (header, body) = split(message);
    assert_eq!((&whole.header[..], whole.body_bytes), (header, body.len() as u64));
    assert_eq!(whole.exact_key, exact_key(message, arrival_ms));
    assert_eq!(whole.hops, fields(header).filter(|f| f.is("Received")).count());
    assert!(whole.tokens.len() <= MAX_TOKENS.min(whole.hops));
    assert!(whole.tokens.iter().all(|t| t.delivered_to_above.len() <= MAX_DELIVERED_TO));
    assert_eq!(whole.has_8bit, !message.is_ascii());
    let received = b"Received: from a.example by b.example; now\r\n";
    assert_eq!(exact_key(&[received, message].concat(), arrival_ms), whole.exact_key);
    if !has_bare_cr(message) {
        let unix: Vec<u8> = message.iter().copied().filter(|b| *b != b'\r').collect();
        assert_eq!(exact_key(&unix, arrival_ms), whole.exact_key, "with LF alone");
    }
}

fn has_bare_cr(message: &[u8]) -> bool {
    (0..message.len()).any(|at| message[at] == b'\r' && message.get(at + 1) != Some(&b'\n'))
}

fn read(message: &[u8], cut: usize, arrival_ms: i64) -> Reading {
    let mut reader = Reader::new(MAX_HEADER_BYTES);
    for piece in message.chunks(cut.max(1)) {
        assert_eq!(reader.push(piece), Ok(()));
    }
    reader.finish(arrival_ms)
}

/// The content of two messages: bounded; the same both ways, and as the keys have it; and neither
/// who carried a message nor a new identity changes it.
pub fn content_key(bytes: &[u8]) {
    let [cut, messages @ ..] = bytes else { return };
    let (one, other) = messages.split_at(messages.len() * usize::from(*cut) / 256);
    let (a, b) = (content_of(one), content_of(other));
    let likeness = a.compare(&b);
    assert_eq!(likeness, b.compare(&a));
    assert_eq!(likeness == Likeness::Same, a.key() == b.key());
    assert!(likeness == Likeness::Different || bucket_of(one) == bucket_of(other));
    assert!(a.heap_bytes() < MAX_CONTENT_BYTES && b.heap_bytes() < MAX_CONTENT_BYTES);
    assert_eq!(content_of(&[CARRIED, one].concat()).compare(&a), Likeness::Same);
}

fn content_of(message: &[u8]) -> Content {
    let (header, body) = split(message);
    content(header, body)
}

fn bucket_of(message: &[u8]) -> Option<u64> {
    let value = |name| fields(split(message).0).find(|f| f.is(name)).map(|f| f.value);
    bucket(value("from"), value("subject"))
}

/// A fingerprint of the first message against the second: wherever whole contents find the first alike
/// and not longer, it does, and what is alike has one place. Who carried a message changes neither it
/// nor the template.
pub fn fingerprint(bytes: &[u8]) {
    let [cut, messages @ ..] = bytes else { return };
    let (one, other) = messages.split_at(messages.len() * usize::from(*cut) / 256);
    let (a, b) = (content_of(one).without_list(), content_of(other).without_list());
    let (first, later) = (a.fingerprint(), b.fingerprint());
    let there = b.likeness_to(&first);
    let back = a.likeness_to(&later);
    match a.compare(&b) {
        Likeness::Same => assert!(there == Likeness::Same && back == Likeness::Same),
        Likeness::Added { .. } => assert!(there != Likeness::Different || back != Likeness::Different),
        Likeness::Different => assert!(there != Likeness::Same && back != Likeness::Same),
    }
    assert!(
        there == Likeness::Different || (first.place() == later.place() && first.words() <= later.words())
    );
    assert!(
        back == Likeness::Different || (first.place() == later.place() && later.words() <= first.words())
    );
    let carried = content_of(&[CARRIED, one].concat());
    let content = content_of(one);
    assert_eq!(carried.fingerprint(), content.fingerprint());
    assert_eq!(carried.likeness_to(&content.fingerprint()), Likeness::Same);
    assert_eq!(carried.template(), content.template());
}

/// What a message says of itself: bounded, consistent, and no matter of who carried it.
pub fn letter(bytes: &[u8]) {
    let (header, body) = split(bytes);
    for path in ["", "jane@firm.example"] {
        let letter = letter::read(header, body, path);
        assert!(letter.addressed.is_sorted_by(|a, b| a < b) && letter.addressed.len() <= MAX_ADDRESSED);
        assert!(letter.addressed.len() <= letter.addressed_total as usize);
        assert!(letter.author.is_none_or(|author| author.len() <= MAX_AUTHOR_BYTES));
        assert!(letter.list_id.as_ref().is_none_or(|id| !id.is_empty() && id.len() <= MAX_LIST_ID_BYTES));
        assert_eq!(letter.list.is_some(), letter.list_id.is_some());
        assert!(letter.report.is_none() || letter.machine == Machine::Answered);
        assert!(!path.is_empty() || letter.machine != Machine::No);
        let carried = [b"Received: from a by b; now\r\nX-Spam: no\r\n", header].concat();
        if !header.starts_with(b" ") && !header.starts_with(b"\t") {
            let (one, other) = (letter::read(&carried, body, path), letter::read(header, body, path));
            assert_eq!(one, other);
        }
    }
}

/// A Message-ID: what is taken is one, bounded, on one line, and is taken again as it is.
pub fn message_id(bytes: &[u8]) {
    let Some(id) = message_id::parse(bytes) else { return };
    assert!(id.len() <= message_id::MAX_MESSAGE_ID_BYTES);
    assert!(id.starts_with('<') && id.ends_with('>') && id.contains('@'), "{id}");
    assert!(!id.contains(['\r', '\n']), "{id:?}");
    assert_eq!(message_id::parse(id.as_bytes()).as_ref(), Some(&id));
    let folded = [b" (a comment)\r\n\t", bytes, b" (another)\r\n"].concat();
    assert_eq!(message_id::parse(&folded), Some(id));
}

/// Who has written a message: no more addresses than are allowed, read again as they are.
pub fn mailbox_list(bytes: &[u8]) {
    let Ok(found) = mailbox_list::mailboxes(bytes) else { return };
    assert!((1..=mailbox_list::MAX_MAILBOXES).contains(&found.len()));
    assert!(found.iter().all(|address| address.contains('@')), "{found:?}");
    let again = found.join(",\r\n ");
    assert_eq!(mailbox_list::mailboxes(again.as_bytes()).as_deref(), Ok(&found[..]));
}

/// A date: whole seconds within the years that mail can write, read back from what is printed,
/// the same with comments and folds about it. Any number prints as a date.
pub fn date(bytes: &[u8]) {
    let number = bytes.iter().take(8).fold(0i64, |n, b| n << 8 | i64::from(*b));
    let printed = date::print(number);
    let again = date::parse(printed.as_bytes());
    assert!(again.is_some_and(|ms| date::print(ms) == printed), "{number}: {printed}");
    let Some(ms) = date::parse(bytes) else { return };
    assert_eq!(ms % 1_000, 0);
    // Years 1900 to 9999, and a zone of at most 100 hours.
    assert!((-2_209_400_000_000..253_403_000_000_000).contains(&ms), "{ms}");
    if (0..253_370_764_800_000).contains(&ms) {
        assert_eq!(date::parse(date::print(ms).as_bytes()), Some(ms));
    }
    let folded = [b" (a comment)\r\n\t", bytes, b" (another)\r\n"].concat();
    assert_eq!(date::parse(&folded), Some(ms));
}

/// A stamp: its words stand in it, what was not understood is not more than it, and folding it anew
/// changes neither what it says nor its hash.
pub fn hop(bytes: &[u8]) {
    let hop = hop::parse(bytes);
    let within = bytes.as_ptr_range();
    let version = hop.software.and_then(|s| s.version);
    let names = [hop.from, hop.helo, hop.rdns, hop.ident, hop.authenticated, hop.by, hop.via];
    for word in names.into_iter().chain([hop.with, hop.tls_cipher, hop.id, hop.for_, version]).flatten() {
        let word = word.0.as_ptr_range();
        assert!(within.start <= word.start && word.end <= within.end);
    }
    assert!(hop.rest <= bytes.len());
    assert_eq!((hop::by_of(bytes), hop::for_of(bytes)), (hop.by.unwrap_or_default(), hop.for_));
    assert!(hop.kind != HopKind::Pickup || hop.from.is_none());
    let folded = [b"\r\n ", bytes, b"\r\n"].concat();
    assert_eq!(stamp_hash(&folded), stamp_hash(bytes));
    assert_eq!(format!("{:?}", hop::parse(&folded)), format!("{hop:?}"));
}

/// Our `Received`: whatever a client calls itself, it is one field, nothing breaks out of it, and
/// its token is found again and is ours, folded as it is or anew.
pub fn received(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(4, '\0');
    let [helo, name, rcpt, rest] = [(); 4].map(|()| parts.next().unwrap_or_default());
    let number = rest.bytes().fold(1u64, |n, b| n.wrapping_mul(31).wrapping_add(u64::from(b)));
    let (secret, key) = (Secret::new(1, [7; 32]), ExactKey([number as u8; 32]));
    let queue_id = QueueId::new(number >> 16, number as u8, number as u32);
    assert_eq!(queue_id.to_string().parse(), Ok(queue_id));
    let client_ip = match number % 3 {
        0 => None,
        1 => Some(IpAddr::V4(Ipv4Addr::from_bits(number as u32))),
        _ => Some(IpAddr::V6(Ipv6Addr::from_bits(u128::from(number) << 64 | u128::from(number)))),
    };
    let field = ReceivedStamp {
        helo,
        client_ip,
        client_name: (number & 4 == 0).then_some(name),
        account: None,
        tls: None,
        by: name,
        with: if number & 8 == 0 { "ESMTP" } else { "UTF8SMTP" },
        queue_id,
        token: token(&secret, queue_id, Some(&key)),
        for_: Some(rcpt),
        ms: number as i64,
    }
    .field();
    assert!(field.lines().all(|line| line.len() <= 998), "RFC 5322 §2.1.1");
    assert!(field.chars().all(|c| !c.is_control() || "\r\n\t".contains(c)));
    assert!(field.rsplit_once(';').is_some_and(|(_, at)| date::parse(at.as_bytes()).is_some()));
    let words: Vec<&str> = field.split_ascii_whitespace().collect();
    for folded in [field.clone(), words.join("\r\n ") + "\r\n", words.join(" ") + "\r\n"] {
        assert_eq!(fields(folded.as_bytes()).count(), 1);
        let reading = read(folded.as_bytes(), 7, 0);
        assert!(reading.hops == 1 && reading.tokens.len() == 1, "{folded}");
        assert!(reading.tokens[0].queue_id == queue_id && verify(&secret, &reading.tokens[0], &key));
        assert!(!verify(&secret, &reading.tokens[0], &ExactKey([!key.0[0]; 32])));
    }
}

// The oracle itself, against what was worked out by hand.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relaxed_by_hand() {
        for (body, wanted) in [
            (&b""[..], &b""[..]),
            (b"\r\n \t\r\n", b""),
            (b" a \t b \r\n\r\nc", b" a b\r\n\r\nc\r\n"),
            (b"a\nb\r\n \r\n\n", b"a\r\nb\r\n"),
            (b"a\rb\r\r\nc\r", b"a\rb\r\r\nc\r\r\n"),
        ] {
            assert_eq!(relaxed_plainly(body), wanted, "{}", body.escape_ascii());
        }
    }
}
