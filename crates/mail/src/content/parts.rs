//! The parts of a body, boundaries and part headers gone (RFC 2046 §5.1).
//!
//! One pass over the body, no recursion: a line that begins with two hyphens is held against the
//! boundaries that are open. A message within the message is one attachment.

use memchr::memmem;

use super::decode::{Parameters, parameters};
use crate::header::{fields, split};

/// Open multiparts; one deeper is an attachment as it stands.
const MAX_DEPTH: usize = 16;
/// Parts of one message; what follows the last is one attachment as it stands.
const MAX_PARTS: usize = 256;
/// Bytes of a part's header; what stands behind belongs to the part.
const MAX_PART_HEADER_BYTES: usize = 16 << 10;

/// Values of the message's own Content-Type and Content-Transfer-Encoding; empty if absent.
pub(super) struct Outer<'a> {
    pub content_type: &'a [u8],
    pub encoding: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Html,
    Attached,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    None,
    QuotedPrintable,
    Base64,
}

/// One part that is no multipart.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub kind: Kind,
    pub encoding: Encoding,
    pub charset: Option<String>,
    /// Its bytes, still encoded.
    pub raw: &'a [u8],
    /// It does not end in what we were given.
    pub cut: bool,
}

/// Hands every part of `body` to `visit`, in order. `cut`: the body goes on behind what is given.
pub(super) fn walk<'a>(outer: &Outer<'a>, body: &'a [u8], cut: bool, mut visit: impl FnMut(Part<'a>)) {
    let says = parameters(outer.content_type);
    let encoding = encoding(outer.encoding);
    let boundary = says.boundary.as_deref().filter(|_| says.main == "multipart");
    match boundary {
        Some(boundary) => {
            let mut walk = Walk { body, open: vec![delimiter(boundary)], part: None, visited: 0 };
            walk.run(cut, &mut visit);
            if walk.visited > 0 {
                return;
            }
            // The boundary never came: what stands there is a text.
            visit(Part { kind: Kind::Plain, encoding: Encoding::None, charset: None, raw: body, cut });
        }
        // A message that is one part is its text even if that has a name.
        None => visit(Part { kind: kind(&says), encoding, charset: says.charset, raw: body, cut }),
    }
}

struct Walk<'a> {
    body: &'a [u8],
    /// What the lines between the parts of open multiparts begin with, the outermost first.
    open: Vec<Vec<u8>>,
    /// The part we are in. None: before the first part of a multipart, or behind its last.
    part: Option<Part<'a>>,
    visited: usize,
}

impl<'a> Walk<'a> {
    fn run(&mut self, cut: bool, visit: &mut impl FnMut(Part<'a>)) {
        // Start of the part we are in, and of the line that is looked at.
        let (mut start, mut line) = (0, self.next_line(0));
        while let Some(at) = line {
            let len = memchr::memchr(b'\n', &self.body[at..]).map_or(self.body.len() - at, |lf| lf + 1);
            let Some((depth, closes)) = self.boundary(&self.body[at..at + len]) else {
                line = self.next_line(at + len);
                continue;
            };
            self.end(start, at, visit);
            self.open.truncate(depth + usize::from(!closes));
            start = at + len;
            if self.visited >= MAX_PARTS {
                self.part = Some(rest());
                break;
            }
            if !closes {
                start = self.begin(start);
            }
            line = self.next_line(start);
        }
        if let Some(part) = self.part.take() {
            self.visited += 1;
            // A part that nothing closes was cut, here or on its way.
            visit(Part { raw: &self.body[start..], cut: part.cut || cut || !self.open.is_empty(), ..part });
        }
    }

    /// The next line, at or behind `from` (where a line begins), that starts with two hyphens.
    fn next_line(&self, from: usize) -> Option<usize> {
        if self.body[from..].starts_with(b"--") {
            return Some(from);
        }
        memmem::find(&self.body[from..], b"\n--").map(|at| from + at + 1)
    }

    /// Which open multipart `line` is a boundary of, and whether it closes it.
    fn boundary(&self, line: &[u8]) -> Option<(usize, bool)> {
        let line = line.trim_ascii_end();
        self.open.iter().enumerate().rev().find_map(|(depth, boundary)| {
            match line.strip_prefix(&boundary[..])? {
                b"" => Some((depth, false)),
                b"--" => Some((depth, true)),
                _ => None,
            }
        })
    }

    /// The part we are in ends before the line at `at`; its last line end belongs to the boundary.
    fn end(&mut self, start: usize, at: usize, visit: &mut impl FnMut(Part<'a>)) {
        if let Some(part) = self.part.take() {
            self.visited += 1;
            let raw = &self.body[start..at];
            let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
            visit(Part { raw: raw.strip_suffix(b"\r").unwrap_or(raw), ..part });
        }
    }

    /// A part begins at `at`; where its bytes begin.
    fn begin(&mut self, at: usize) -> usize {
        let (header, start) = part_header(self.body, at);
        let value = |name| fields(header).find(|f| f.is(name)).map_or(&b""[..], |f| f.value);
        let says = parameters(value("content-type"));
        let shown = parameters(value("content-disposition"));
        let is_multipart = says.main == "multipart" && self.open.len() < MAX_DEPTH;
        if let Some(boundary) = says.boundary.as_deref().filter(|_| is_multipart) {
            self.open.push(delimiter(boundary));
            self.visited += 1;
            return start;
        }
        let is_file = shown.main == "attachment" || shown.is_named || says.is_named;
        let kind = if is_file { Kind::Attached } else { kind(&says) };
        let encoding = encoding(value("content-transfer-encoding"));
        self.part = Some(Part { kind, encoding, charset: says.charset, raw: b"", cut: false });
        start
    }
}

/// The header of the part that begins at `at`, and where its bytes begin. It ends at an empty line;
/// one that a boundary follows without has no bytes.
fn part_header(body: &[u8], at: usize) -> (&[u8], usize) {
    let rest = &body[at..];
    let block = &rest[..rest.len().min(MAX_PART_HEADER_BYTES)];
    let block = memmem::find(block, b"\n--").map_or(block, |lf| &block[..=lf]);
    let header = if block.starts_with(b"--") { b"" } else { split(block).0 };
    let start = at + header.len();
    let empty_line = match &body[start..] {
        [b'\r', b'\n', ..] => 2,
        [b'\n', ..] => 1,
        _ => 0,
    };
    (header, start + empty_line)
}

fn delimiter(boundary: &str) -> Vec<u8> {
    // RFC 2046 §5.1.1: it does not end in white space, and lines get some on their way.
    [b"--", boundary.trim_end().as_bytes()].concat()
}

fn kind(says: &Parameters) -> Kind {
    match (&says.main[..], &says.sub[..]) {
        // RFC 2045 §5.2: what says nothing is plain text. A multipart without boundary is one too.
        ("text", "plain" | "") | ("" | "multipart", _) => Kind::Plain,
        ("text", "html") => Kind::Html,
        _ => Kind::Attached,
    }
}

fn encoding(value: &[u8]) -> Encoding {
    let word = value.trim_ascii();
    match word {
        _ if word.eq_ignore_ascii_case(b"base64") => Encoding::Base64,
        _ if word.eq_ignore_ascii_case(b"quoted-printable") => Encoding::QuotedPrintable,
        _ => Encoding::None,
    }
}

/// What stands behind the last part that is read.
fn rest<'a>() -> Part<'a> {
    Part { kind: Kind::Attached, encoding: Encoding::None, charset: None, raw: b"", cut: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(content_type: &str, body: &str) -> Vec<(Kind, String)> {
        let outer = Outer { content_type: content_type.as_bytes(), encoding: b"" };
        let mut parts = vec![];
        walk(&outer, body.as_bytes(), false, |part| {
            parts.push((part.kind, String::from_utf8_lossy(part.raw).into_owned()));
        });
        parts
    }

    #[test]
    fn parts_of_a_body() {
        let (plain, html, file) = (Kind::Plain, Kind::Html, Kind::Attached);
        let nested = "preamble\r\n--a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n\
            --b\r\n\r\none\r\ntwo\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\nepilogue\r\n\
            --a \r\nContent-Type: text/plain; name=x\r\n\r\nfile\r\n--a--\r\nepilogue";
        let mixed = "multipart/mixed; boundary=\"a\"";
        let part = |kind: Kind, text: &str| (kind, text.to_owned());
        for (content_type, body, wanted) in [
            ("", "--a\n", vec![part(plain, "--a\n")]),
            ("text/html", "x", vec![part(html, "x")]),
            ("application/pdf; name=x", "x", vec![part(file, "x")]),
            (mixed, nested, vec![part(plain, "one\r\ntwo"), part(html, "<p>"), part(file, "file")]),
            // The inner multipart is not closed, and the last part is cut.
            (mixed, &nested.replace("--b--\r\n", "")[..], {
                vec![part(plain, "one\r\ntwo"), part(html, "<p>\r\nepilogue"), part(file, "file")]
            }),
            (mixed, "--a\n\nx\n--a\n\ny\n", vec![part(plain, "x"), part(plain, "y\n")]),
            (mixed, "no boundary", vec![part(plain, "no boundary")]),
            (mixed, "--ab\n\nx", vec![part(plain, "--ab\n\nx")]),
            (mixed, "--a\nA: b\n--a\n--a\nx\n--a--", vec![part(plain, ""), part(plain, ""), part(plain, "")]),
            ("multipart/mixed", "x", vec![part(plain, "x")]),
        ] {
            assert_eq!(walked(content_type, body), wanted, "{content_type}: {body}");
        }
    }

    #[test]
    fn more_parts_than_are_read_are_one() {
        let body = "--a\n\nx\n".repeat(MAX_PARTS + 10);
        let parts = walked("multipart/mixed; boundary=a", &body);
        assert_eq!(parts.len(), MAX_PARTS + 1);
        assert_eq!(parts.last().map(|p| p.0), Some(Kind::Attached));
    }
}
