//! What changes between the body store and the Maildir: CRLF becomes LF, and Return-Path fields
//! that other servers wrote are left out. Streaming: the filter itself keeps at most one field name.

use memchr::memchr;

/// A line start longer than this without a colon is no Return-Path field, whatever follows.
const MAX_NAME_BYTES: usize = 64;

/// State between two chunks of one message.
#[derive(Debug, Default)]
pub struct Filter {
    /// The last chunk ended in a CR: whether it stays depends on the next byte.
    carried_cr: bool,
    place: Place,
    /// Start of a header line that may still become "Return-Path:".
    start: Vec<u8>,
    /// The first Return-Path stays.
    keeps_first: bool,
}

/// Where the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// At the start of a header line, or within its name. The field before it is kept or dropped,
    /// and a continuation line shares its fate.
    LineStart {
        /// The field before is dropped.
        dropping: bool,
    },
    /// Behind the name of a field.
    Line {
        /// This field is dropped.
        dropping: bool,
    },
    /// Before the first byte.
    #[default]
    Begin,
    /// Behind the empty line.
    Body,
}

impl Filter {
    /// At the start of a message; `keeps_first`: its first Return-Path field stays.
    pub fn new(keeps_first: bool) -> Self {
        Self { keeps_first, ..Self::default() }
    }

    /// Takes the next bytes of the message, and appends what is to be written to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let mut rest = chunk;
        if self.carried_cr && !rest.is_empty() {
            self.carried_cr = false;
            if rest[0] != b'\n' {
                self.unix(b"\r", out);
            }
        }
        while let Some(at) = memchr(b'\r', rest) {
            match rest.get(at + 1) {
                Some(b'\n') => self.unix(&rest[..at], out),
                Some(_) => self.unix(&rest[..=at], out),
                None => {
                    self.carried_cr = true;
                    return self.unix(&rest[..at], out);
                }
            }
            rest = &rest[at + 1..];
        }
        self.unix(rest, out);
    }

    /// Writes what was kept back: call it once, at the end of the message.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.carried_cr) {
            self.unix(b"\r", out);
        }
        out.append(&mut self.start);
    }

    /// The second step, on text with LF alone.
    fn unix(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let mut rest = text;
        while !rest.is_empty() {
            rest = match self.place {
                Place::Body => {
                    out.extend_from_slice(rest);
                    &[]
                }
                Place::Line { dropping } => self.line(rest, dropping, out),
                Place::Begin => {
                    self.place = Place::LineStart { dropping: false };
                    rest
                }
                Place::LineStart { dropping } => self.line_start(rest, dropping, out),
            };
        }
    }

    fn line<'a>(&mut self, rest: &'a [u8], dropping: bool, out: &mut Vec<u8>) -> &'a [u8] {
        let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        if !dropping {
            out.extend_from_slice(&rest[..end]);
        }
        if rest[..end].ends_with(b"\n") {
            self.place = Place::LineStart { dropping };
        }
        &rest[end..]
    }

    /// Takes one byte of a line's start, and decides as soon as it can.
    fn line_start<'a>(&mut self, rest: &'a [u8], before: bool, out: &mut Vec<u8>) -> &'a [u8] {
        let byte = rest[0];
        if self.start.is_empty() && byte == b'\n' {
            self.place = Place::Body;
            return rest;
        }
        if self.start.is_empty() && (byte == b' ' || byte == b'\t') {
            self.place = Place::Line { dropping: before };
            return rest;
        }
        if byte == b':' || byte == b'\n' || self.start.len() >= MAX_NAME_BYTES {
            let name = self.start.trim_ascii_end();
            let is_one = byte == b':' && name.eq_ignore_ascii_case(b"return-path");
            let dropping = is_one && !self.keeps_first;
            self.keeps_first &= !is_one;
            self.place = Place::Line { dropping };
            if dropping {
                self.start.clear();
            } else {
                out.append(&mut self.start);
            }
            return rest;
        }
        self.start.push(byte);
        &rest[1..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(chunks: &[&[u8]]) -> Vec<u8> {
        let (mut filter, mut out) = (Filter::new(false), Vec::new());
        for chunk in chunks {
            filter.push(chunk, &mut out);
        }
        filter.finish(&mut out);
        out
    }

    #[test]
    fn old_return_paths_go_and_all_else_stays() {
        let cases: [(&str, &str); 9] = [
            ("A: 1\r\nReturn-Path: <x@y>\r\nB: 2\r\n\r\nc\r\n", "A: 1\nB: 2\n\nc\n"),
            ("RETURN-PATH : <x>\r\n\t<y>\r\n z\r\nB: 2\r\n\r\n", "B: 2\n\n"),
            ("Return-Path: a\r\nReturn-path: b\r\nB: 2\r\n", "B: 2\n"),
            ("Return-Path-X: a\r\n\r\n", "Return-Path-X: a\n\n"),
            ("A: 1\r\n\r\nReturn-Path: stays\r\n", "A: 1\n\nReturn-Path: stays\n"),
            ("\r\nReturn-Path: stays\r\n", "\nReturn-Path: stays\n"),
            ("A: 1\r\n folded\r\nReturn-Path", "A: 1\n folded\nReturn-Path"),
            ("A: \r lone\r\n\r\n\r\r\n\r", "A: \r lone\n\n\r\n\r"),
            ("", ""),
        ];
        for (from, to) in cases {
            assert_eq!(String::from_utf8(run(&[from.as_bytes()])).unwrap(), to, "{from:?}");
        }
    }

    proptest! {
        #[test]
        fn splits_change_nothing(text in "(Return-Path|A|:|\r\n|\r|\n| |x){0,40}", at in 0usize..200, then in 0usize..200) {
            let bytes = text.as_bytes();
            let (at, then) = (at.min(bytes.len()), then.min(bytes.len()));
            let (first, second) = (at.min(then), at.max(then));
            let whole = run(&[bytes]);
            prop_assert_eq!(&whole, &run(&[&bytes[..first], &bytes[first..second], &bytes[second..]]));
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&whole, &run(&single));
        }

        #[test]
        fn a_body_comes_back_exactly(body in "([a-z .]|\r\n){0,60}") {
            let message = format!("A: 1\r\n\r\n{body}");
            let written = String::from_utf8(run(&[message.as_bytes()])).unwrap();
            prop_assert_eq!(written.replace('\n', "\r\n"), message);
        }
    }
}
