//! Transfer encodings, charsets and parameters undone. The only place that calls `mail-parser`.
//!
//! Its decoders are taken, its message parser is not: version 0.11.9 nests without limit, and half a
//! megabyte of `message/rfc822` parts, one in the other, overflows a stack of 2 MiB when it is
//! dropped, which no `catch_unwind` helps against. Sizes are bounded before the calls (`MAX_BODY_BYTES` for a part,
//! `MAX_PARAMETERS_BYTES` for a Content-Type), and a panic in them means: not understood, the bytes
//! are taken as they stand.

use std::borrow::Cow;
use std::panic::{UnwindSafe, catch_unwind};

use mail_parser::HeaderValue;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::html::add_html_token;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::parsers::MessageStream;

use super::parts::{Encoding, Part};

/// Bytes of a Content-Type or Content-Disposition that are read; the rest counts for nothing.
const MAX_PARAMETERS_BYTES: usize = 2_048;
/// Longest name of an entity; HTML 5 has 31 letters.
const MAX_ENTITY_BYTES: usize = 34;

/// `call`, or None if it panics.
fn guarded<T>(call: impl FnOnce() -> Option<T> + UnwindSafe) -> Option<T> {
    catch_unwind(call).ok().flatten()
}

/// What a Content-Type or Content-Disposition says (RFC 2045 §5.1, RFC 2183, RFC 2231).
#[derive(Debug, Default, PartialEq)]
pub(super) struct Parameters {
    /// `multipart`, `text`, `attachment`, …, in lower case. Empty: not understood.
    pub main: String,
    /// `plain`, `html`, …, in lower case, or empty.
    pub sub: String,
    pub boundary: Option<String>,
    pub charset: Option<String>,
    /// A `name` or `filename` is there.
    pub is_named: bool,
}

/// Reads the value of such a field.
pub(super) fn parameters(value: &[u8]) -> Parameters {
    let value = &value[..value.len().min(MAX_PARAMETERS_BYTES)];
    // The parser stops at the end of the field, so there must be one.
    let line = [value.trim_ascii(), b"\r\n"].concat();
    guarded(move || match MessageStream::new(&line).parse_content_type() {
        HeaderValue::ContentType(read) => {
            let attribute = |name| read.attribute(name).map(str::to_owned);
            Some(Parameters {
                main: read.ctype().to_ascii_lowercase(),
                sub: read.subtype().unwrap_or_default().to_ascii_lowercase(),
                boundary: attribute("boundary").filter(|b| !b.is_empty()),
                charset: attribute("charset"),
                is_named: read.has_attribute("name") || read.has_attribute("filename"),
            })
        }
        _ => None,
    })
    .unwrap_or_default()
}

/// The bytes of a part, its transfer encoding undone; as they stand if that cannot be done.
pub(super) fn bytes<'a>(part: &Part<'a>) -> Cow<'a, [u8]> {
    let raw = part.raw;
    match part.encoding {
        Encoding::Base64 => Cow::Owned(base64(raw)),
        Encoding::QuotedPrintable => {
            guarded(|| quoted_printable_decode(raw)).map_or(Cow::Borrowed(raw), Cow::Owned)
        }
        Encoding::None => Cow::Borrowed(raw),
    }
}

/// The text of a part, its charset undone too.
pub(super) fn text<'a>(part: &Part<'a>) -> Cow<'a, str> {
    let name = part.charset.as_deref().unwrap_or_default().as_bytes();
    match bytes(part) {
        Cow::Borrowed(raw) => charset(raw, name),
        Cow::Owned(decoded) => Cow::Owned(charset(&decoded, name).into_owned()),
    }
}

/// `bytes` in the charset `name`. Where it says nothing (none, US-ASCII, unknown), or says UTF-8,
/// they are UTF-8 if they can be, and else windows-1252.
pub(super) fn charset<'a>(bytes: &'a [u8], name: &[u8]) -> Cow<'a, str> {
    let says_little = name.is_empty()
        || [&b"us-ascii"[..], b"ascii", b"utf-8", b"utf8"].iter().any(|n| name.eq_ignore_ascii_case(n));
    let decoder = if says_little { None } else { charset_decoder(name) };
    if decoder.is_none()
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Cow::Borrowed(text);
    }
    let Some(decoder) = decoder.or_else(|| charset_decoder(b"windows-1252")) else {
        return String::from_utf8_lossy(bytes);
    };
    guarded(|| Some(decoder(bytes))).map_or_else(|| String::from_utf8_lossy(bytes), Cow::Owned)
}

/// The bytes in base64 (RFC 2045 §6.8): what is not of its alphabet is passed over, padding ends
/// it. A text that a list has appended behind the padding is not read.
pub(crate) fn base64(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in text {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ => continue,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

/// Adds what the HTML entity at the start of `html` stands for, and gives its length. None: there
/// is no entity.
pub(super) fn entity(html: &str, out: &mut String) -> Option<usize> {
    let bytes = html.as_bytes();
    let end = bytes.iter().take(MAX_ENTITY_BYTES).position(|b| *b == b';')?;
    let token = &bytes[..=end];
    if !token[1..end].iter().all(|b| b.is_ascii_alphanumeric() || *b == b'#') {
        return None;
    }
    let text = guarded(|| {
        let mut text = String::new();
        add_html_token(&mut text, token, false);
        Some(text)
    })?;
    out.push_str(&text);
    Some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_content_type() {
        let read = parameters(b" Text/PLAIN;\r\n charset=\"ISO-8859-1\"; name*=utf-8''a%20b\r\n");
        assert_eq!((&read.main[..], &read.sub[..], read.is_named), ("text", "plain", true));
        assert_eq!(read.charset.as_deref(), Some("ISO-8859-1"));
        let read = parameters(b"multipart/mixed; boundary=\"=_a b\"");
        assert_eq!(read.boundary.as_deref(), Some("=_a b"));
        assert_eq!(parameters(b"multipart/mixed; boundary=x").boundary.as_deref(), Some("x"));
        assert_eq!(parameters(b""), Parameters::default());
        assert!(parameters(b"attachment; filename=a.pdf").is_named);
    }

    #[test]
    fn a_panic_is_not_understood() {
        assert_eq!(guarded(|| -> Option<()> { panic!("within the parser") }), None);
    }

    #[test]
    fn charsets() {
        for (bytes, name, wanted) in [
            (&b"\xfc"[..], "iso-8859-1", "\u{fc}"),
            (b"\x80", "windows-1252", "\u{20ac}"),
            (b"\xa4", "iso-8859-15", "\u{20ac}"),
            (b"\xc3\xbc", "UTF-8", "\u{fc}"),
            (b"\xc3\xbc", "", "\u{fc}"),
            (b"\xc3\xbc", "us-ascii", "\u{fc}"),
            (b"\xfc", "no-such-charset", "\u{fc}"),
            (b"\x83\x8F", "shift_jis", "\u{30ef}"),
        ] {
            assert_eq!(charset(bytes, name.as_bytes()), wanted, "{name}");
        }
    }

    #[test]
    fn base64_with_all_that_mail_has() {
        assert_eq!(base64(b"R3Lz\r\n vMO="), base64(b"R3LzvMO="));
        assert_eq!(base64(b"aGFsbG8=\r\n-- \r\nfooter"), b"hallo");
        assert_eq!(base64(b"aGFsb"), b"hal");
    }

    #[test]
    fn entities() {
        for (html, wanted) in [
            ("&amp;x", Some((5, "&"))),
            ("&#252;", Some((6, "\u{fc}"))),
            ("&#xFC;", Some((6, "\u{fc}"))),
            ("&uuml;", Some((6, "\u{fc}"))),
            ("&nosuch;", Some((8, "&nosuch;"))),
            ("& b;", None),
            ("&amp", None),
        ] {
            let mut out = String::new();
            assert_eq!(entity(html, &mut out), wanted.map(|w| w.0), "{html}");
            assert_eq!(out, wanted.map_or("", |w| w.1));
        }
    }
}
