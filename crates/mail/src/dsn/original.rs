//! The third part: the message, or its header (RFC 3461 §4.3, RFC 6522 §4, RFC 6533 §6).

use super::{Action, MAX_HEADER_BYTES, MAX_LINE_BYTES, MAX_ORIGINAL_BYTES, Original, Report};
use crate::header::{self, fields};

/// What is returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    pub media_type: &'static str,
    /// CRLF lines. Empty: nothing is returned.
    pub bytes: Vec<u8>,
}

/// The whole message for failures unless RET=HDRS, if it is not too large and well-formed enough to
/// be sent on in one piece; else its header.
pub fn choose(report: &Report<'_>) -> Returned {
    let original = &report.original;
    let header = clean(cut(header::split(original.bytes).0));
    let utf8 = report.speaks_utf8() && !header.is_ascii() && std::str::from_utf8(&header).is_ok();
    let wanted = report.any(Action::Failed) && report.ret_full != Some(false);
    if wanted && is_returnable(original) {
        let media_type = if utf8 { "message/global" } else { "message/rfc822" };
        return Returned { media_type, bytes: clean(original.bytes) };
    }
    let media_type = if utf8 { "message/global-headers" } else { "text/rfc822-headers" };
    Returned { media_type, bytes: header }
}

/// Nothing in the whole message has to be changed but line ends.
fn is_returnable(original: &Original<'_>) -> bool {
    let fits = |line: &[u8]| line.len() <= MAX_LINE_BYTES && !line.contains(&0);
    let size = 1..=MAX_ORIGINAL_BYTES;
    original.whole && size.contains(&original.bytes.len()) && lines(original.bytes).all(fits)
}

/// At most [`MAX_HEADER_BYTES`] of `header`: whole fields, or, if already the first is larger, as
/// much of it as fits.
fn cut(header: &[u8]) -> &[u8] {
    if header.len() <= MAX_HEADER_BYTES {
        return header;
    }
    let mut end = 0;
    for field in fields(header) {
        if end + field.whole.len() > MAX_HEADER_BYTES {
            break;
        }
        end += field.whole.len();
    }
    &header[..if end == 0 { MAX_HEADER_BYTES } else { end }]
}

/// Lines without their ends, which may be CRLF, LF or CR: for what is read in one way only, each of
/// them is one.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes).filter(|b| !b.is_empty());
    std::iter::from_fn(move || {
        let bytes = rest.take()?;
        let Some(end) = memchr::memchr2(b'\r', b'\n', bytes) else { return Some(bytes) };
        let after = end + if bytes[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = Some(&bytes[after..]).filter(|b| !b.is_empty());
        Some(&bytes[..end])
    })
}

/// CRLF lines, no NUL, and what is too long for a line in several.
fn clean(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 16);
    for line in lines(bytes) {
        let piece_bytes = if line.len() > MAX_LINE_BYTES { MAX_LINE_BYTES - 1 } else { MAX_LINE_BYTES };
        let mut pieces = line.chunks(piece_bytes);
        // A line that is empty has no chunk.
        out.extend(pieces.next().unwrap_or_default());
        for piece in pieces {
            out.extend_from_slice(b"\r\n ");
            out.extend_from_slice(piece);
        }
        out.extend_from_slice(b"\r\n");
    }
    out.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b'?');
    out
}

/// The Message-ID of `message`, if it can stand in a field of ours.
pub fn message_id(message: &[u8]) -> Option<String> {
    let mut ids = fields(header::split(message).0).filter(|f| f.is("Message-ID"));
    let id = crate::message_id::parse(ids.next()?.value)?;
    let fits = id.len() < MAX_LINE_BYTES - 100 && id.bytes().all(|b| b.is_ascii_graphic());
    Some(id).filter(|_| fits)
}
