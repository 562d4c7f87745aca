//! Content-Length in an mbox: the size of the body, if it is right.

use super::Piece;
use super::postmark::{MAX_POSTMARK_BYTES, Next, is_postmark, next_postmark};
use crate::header::{fields, split};

/// Longest header in which a Content-Length is looked for; in a longer one it is not believed.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// What is known of one message's Content-Length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// Its header is not all there yet.
    Unread,
    /// The body should end here.
    Says(usize),
    /// There is none, or it leads nowhere.
    None,
}

/// Reads the Content-Length of the message at `begin`.
pub(super) fn read(piece: Piece<'_>, begin: usize) -> Length {
    let rest = &piece.bytes[begin..];
    let (header, body) = split(&rest[..rest.len().min(MAX_HEADER_BYTES)]);
    if header.len() == rest.len() && !piece.last {
        return Length::Unread;
    }
    let body = match rest.len() <= MAX_HEADER_BYTES {
        true => piece.bytes.len() - body.len(),
        false if header.len() == MAX_HEADER_BYTES => return Length::None,
        false => begin + MAX_HEADER_BYTES - body.len(),
    };
    let field = fields(header).find(|field| field.is("content-length"));
    let value = field.and_then(|field| std::str::from_utf8(field.value.trim_ascii()).ok());
    let bytes = value.and_then(|value| value.parse::<usize>().ok());
    bytes.and_then(|bytes| body.checked_add(bytes)).map_or(Length::None, Length::Says)
}

/// What stands where a Content-Length leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Led {
    /// A postmark.
    To(std::ops::Range<usize>),
    /// The end of the file.
    ToEnd,
    /// More bytes are needed to say.
    Beyond,
    /// Something else.
    Nowhere,
}

/// What stands at `end`, behind at most two ends of line: writers differ in what they count.
pub(super) fn follow(piece: Piece<'_>, end: usize) -> Led {
    let bytes = piece.bytes;
    let enough = piece.last || bytes.len().saturating_sub(end) >= MAX_POSTMARK_BYTES + 4;
    if !enough {
        return Led::Beyond;
    }
    let mut at = end;
    for _ in 0..3 {
        let Some(rest) = bytes.get(at..) else { return Led::Nowhere };
        if rest.is_empty() {
            return Led::ToEnd;
        }
        if let Some(line) = postmark_at(piece, at) {
            return Led::To(line);
        }
        match rest {
            [b'\n', ..] => at += 1,
            [b'\r', b'\n', ..] => at += 2,
            _ => return Led::Nowhere,
        }
    }
    Led::Nowhere
}

/// A postmark on the line at `at`, whatever the line before it.
fn postmark_at(piece: Piece<'_>, at: usize) -> Option<std::ops::Range<usize>> {
    if at == 0 || piece.bytes[at - 1] != b'\n' {
        return None;
    }
    // As if a file began here; what such a file may do and a message not is left to `is_postmark`.
    let here = Piece { bytes: &piece.bytes[at..], first: true, last: piece.last };
    match next_postmark(Piece { bytes: &here.bytes[..here.bytes.len().min(MAX_POSTMARK_BYTES)], ..here }, 0) {
        Next::At(line) if line.start == 0 && is_postmark(&here.bytes[line.clone()]) => {
            Some(at + line.start..at + line.end)
        }
        _ => None,
    }
}
