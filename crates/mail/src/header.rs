//! The header of a message, scanned on the hot path: no copy, no allocation, linear time.
//!
//! It is tolerant, since mail is: lines end in LF, with or without CR before it; what is no field
//! (an mbox `From ` line, a line without colon) is a piece of its own, without a name, so that the
//! pieces put together are always the header again.

use memchr::memchr;

/// One field as it stands in the header, or a damaged line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written, without white space before the colon (RFC 5322 §4.5 allows it).
    /// Empty: this is no field.
    pub name: &'a [u8],
    /// All after the colon: folds, and the line's end, included. Empty for a damaged line.
    pub value: &'a [u8],
    /// The whole piece, name, colon, value and line end.
    pub whole: &'a [u8],
}

impl Field<'_> {
    /// Whether it is the field `name`, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Iterator over the fields of a header block; see [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// The fields of `header` (without the empty line that ends it), from the top, damaged lines
/// included. Never fails; the `whole`s put together are `header`.
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { rest: header }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let first_line = line_len(self.rest);
        let mut len = first_line;
        while matches!(self.rest.get(len), Some(b' ' | b'\t')) {
            len += line_len(&self.rest[len..]);
        }
        let (whole, rest) = self.rest.split_at(len);
        self.rest = rest;
        Some(field(whole, first_line))
    }
}

/// Length of the first line, its LF included.
fn line_len(bytes: &[u8]) -> usize {
    memchr(b'\n', bytes).map_or(bytes.len(), |lf| lf + 1)
}

/// Splits `whole`, whose first line has `first_line` bytes, at its colon.
fn field(whole: &[u8], first_line: usize) -> Field<'_> {
    let damaged = Field { name: b"", value: b"", whole };
    let Some(colon) = memchr(b':', &whole[..first_line]) else { return damaged };
    let name = whole[..colon].trim_ascii_end();
    // RFC 5322 §3.6.8: ftext is printable US-ASCII without the colon.
    if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
        return damaged;
    }
    Field { name, value: &whole[colon + 1..], whole }
}

/// Splits a whole message at its first empty line into header block and body; the empty line
/// belongs to neither. Without one all of it is header.
pub fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let mut start = 0;
    while start < message.len() {
        let len = line_len(&message[start..]);
        if matches!(&message[start..start + len], b"\n" | b"\r\n") {
            return (&message[..start], &message[start + len..]);
        }
        start += len;
    }
    (message, b"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(header: &str) -> Vec<String> {
        fields(header.as_bytes()).map(|f| String::from_utf8_lossy(f.name).into_owned()).collect()
    }

    #[test]
    fn folds_belong_to_their_field() {
        let all: Vec<_> = fields(b"Subject: a\r\n b\r\n\tc\r\nTo : x@y\r\n").collect();
        assert_eq!(all[0].value, b" a\r\n b\r\n\tc\r\n");
        assert_eq!((all[1].name, all[1].value), (&b"To"[..], &b" x@y\r\n"[..]));
        assert!(all[1].is("tO") && !all[1].is("subject"));
    }

    #[test]
    fn damaged_lines_have_no_name_and_hurt_no_neighbour() {
        let header = "From a@b Sat Nov 21 23:00:00 2026\nA: 1\n: nothing\nno colon\nB: 2\n lost\nü: x\nC:";
        assert_eq!(names(header), ["", "A", "", "", "B", "", "C"]);
        assert_eq!(names(" begins with a fold: x\nD: 1\n"), ["", "D"]);
    }

    #[test]
    fn splits_at_the_first_empty_line() {
        assert_eq!(split(b"A: 1\r\n\r\nx\r\n\r\ny"), (&b"A: 1\r\n"[..], &b"x\r\n\r\ny"[..]));
        assert_eq!(split(b"A: 1\n\nx"), (&b"A: 1\n"[..], &b"x"[..]));
        assert_eq!(split(b"\r\nx"), (&b""[..], &b"x"[..]));
        assert_eq!(split(b"A: 1\r\n \r\nB: 2"), (&b"A: 1\r\n \r\nB: 2"[..], &b""[..]));
    }

    #[test]
    fn five_thousand_hops_and_a_million_recipients() {
        let mut header = "Received: by a.example;\r\n\tSat, 21 Nov 2026 23:00:00 +0000\r\n".repeat(5_000);
        header.push_str("To: ");
        header.push_str(&"somebody@firm.example,\r\n ".repeat(1_000_000));
        header.push_str("x@y\r\nSubject: end\r\n");
        assert_eq!(fields(header.as_bytes()).count(), 5_002);
        assert!(fields(header.as_bytes()).last().is_some_and(|f| f.is("subject")));
    }

    proptest! {
        #[test]
        fn pieces_put_together_are_the_header(header in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'a')], 0..300)) {
            let whole: Vec<u8> = fields(&header).flat_map(|f| f.whole.to_vec()).collect();
            prop_assert_eq!(&whole, &header);
            for f in fields(&header) {
                prop_assert!(f.name.len() + f.value.len() <= f.whole.len());
                prop_assert!(f.whole.starts_with(f.name) && f.whole.ends_with(f.value));
            }
            let (head, body) = split(&header);
            prop_assert!(header.starts_with(head) && header.ends_with(body));
        }
    }
}
