//! What a file is, by its beginning.

use std::cell::Cell;

use quell_mail::header::{fields, split};
use quell_mail::mbox::{Piece, detect};

use super::source::{FromHere, Source, fill};
use super::unpack::unpack;
use super::{Kind, Limits, Packing};

/// So much is looked at to know whether it is mail.
const HEAD_BYTES: usize = 16 << 10;

/// So much of an mbox is looked at to know its dialect.
const DIALECT_BYTES: usize = 1 << 20;

/// Fields of which a message has at least one (RFC 5322 §3.6, RFC 5321 §4.4, and what deliverers add).
const KNOWN: [&str; 13] = [
    "received",
    "return-path",
    "message-id",
    "delivered-to",
    "x-original-to",
    "envelope-to",
    "mime-version",
    "date",
    "from",
    "to",
    "cc",
    "subject",
    "sender",
];

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) packing: Packing,
    /// None if it is no mail; with the place of an mbox's first postmark.
    pub(super) kind: Option<(Kind, u32)>,
    /// It holds no byte.
    pub(super) empty: bool,
    /// Nothing comes out of what is compressed, for this reason.
    pub(super) broken: Option<String>,
}

/// Looks at a file of `bytes` bytes.
///
/// # Errors
/// It cannot be read. That what is compressed in it is damaged is no error here.
pub(super) fn look(source: &Source<'_>, bytes: u64, limits: &Limits) -> std::io::Result<Look> {
    let mut magic = [0; 8];
    let (known, error) = fill(&mut FromHere { source, at: 0, end: bytes }, &mut magic);
    if let Some(error) = error {
        return Err(error);
    }
    let packing = Packing::of(&magic[..known]);
    let taken = Cell::new(0);
    let mut stream = unpack(packing, FromHere { source, at: 0, end: bytes }, &taken, limits);
    let mut head = vec![0; HEAD_BYTES];
    let (mut filled, mut error) = fill(&mut stream, &mut head);
    let mbox = mbox_start(&head[..filled]);
    if mbox.is_some() && filled == HEAD_BYTES {
        head.resize(DIALECT_BYTES, 0);
        let (more, later) = fill(&mut stream, &mut head[HEAD_BYTES..]);
        (filled, error) = (filled + more, later);
    }
    let (head, whole) = (&head[..filled], filled < head.len() && error.is_none());
    let kind = match mbox {
        Some(start) => {
            let piece = Piece { bytes: &head[start..], first: true, last: whole };
            Some((Kind::Mbox(detect(piece)), u32::try_from(start).unwrap_or(0)))
        }
        None => looks_like_message(head).then_some((Kind::Message, 0)),
    };
    let broken = error.filter(|_| kind.is_none() && packing != Packing::Plain).map(|error| error.to_string());
    Ok(Look { packing, kind, empty: head.is_empty() && whole, broken })
}

/// Where the first postmark is: behind a byte order mark and empty lines.
fn mbox_start(head: &[u8]) -> Option<usize> {
    let bom = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let lines = head[bom..].iter().take_while(|b| matches!(b, b'\r' | b'\n' | 0)).count();
    head[bom + lines..].starts_with(b"From ").then_some(bom + lines)
}

/// Whether it begins with fields, one of them a known one, and nothing else up to the empty line.
fn looks_like_message(head: &[u8]) -> bool {
    let (header, _) = split(head);
    // A line that the end of what we see cuts off says nothing.
    let cut = header.len() == head.len() && head.len() == HEAD_BYTES;
    let end =
        if cut { header.iter().rposition(|b| *b == b'\n').map_or(0, |lf| lf + 1) } else { header.len() };
    let mut known = false;
    let mut all = fields(&header[..end]).peekable();
    if all.peek().is_none() {
        return false;
    }
    all.all(|field| {
        known |= KNOWN.iter().any(|name| field.is(name));
        !field.name.is_empty()
    }) && known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_what_is_none() {
        for text in ["Subject: a\n\nx", "Received: x\n\tby y\nX: 1\n", "From: a@b\r\n\r\n", "X-A:\nTo: b"] {
            assert!(looks_like_message(text.as_bytes()), "{text:?}");
        }
        for text in [
            "",
            "\n\nSubject: a\n",
            "# Title\n\nTo: x",
            "{\"to\": 1}",
            "Title: x\n\n",
            "To whom it may",
            "a: b\nto\n",
        ] {
            assert!(!looks_like_message(text.as_bytes()), "{text:?}");
        }
        let long = format!("Subject: a\nX: {}", "x".repeat(HEAD_BYTES));
        assert!(looks_like_message(&long.as_bytes()[..HEAD_BYTES]));
    }

    #[test]
    fn an_mbox_begins_behind_empty_lines() {
        assert_eq!(mbox_start(b"From x"), Some(0));
        assert_eq!(mbox_start(b"\xef\xbb\xbf\r\n\nFrom x"), Some(6));
        assert_eq!(mbox_start(b"From: x"), None);
        assert_eq!(mbox_start(b" From x"), None);
    }
}
