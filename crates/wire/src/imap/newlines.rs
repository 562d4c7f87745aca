//! Line ends of a message that comes in slices: RFC 5322 §2.3 has CRLF alone, some servers keep what they were
//! given.

use std::borrow::Cow;

use memchr::memchr2;

/// Makes every line end CRLF, however the message is cut.
#[derive(Debug, Default)]
pub struct Newlines {
    /// The last slice ended with a CR, which was not given out.
    cr: bool,
    /// What was given out ends with CRLF, or is nothing.
    ended: bool,
    any: bool,
}

impl Newlines {
    /// The next slice.
    pub fn next<'a>(&mut self, slice: &'a [u8]) -> Cow<'a, [u8]> {
        if slice.is_empty() {
            return Cow::Borrowed(slice);
        }
        self.any = true;
        if !self.cr && is_clean(slice) {
            self.ended = slice.ends_with(b"\r\n");
            return Cow::Borrowed(slice);
        }
        let mut out = Vec::with_capacity(slice.len() + slice.len() / 16 + 2);
        let mut rest = slice;
        if std::mem::take(&mut self.cr) {
            out.extend_from_slice(b"\r\n");
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(at) = memchr2(b'\r', b'\n', rest) {
            out.extend_from_slice(&rest[..at]);
            match &rest[at..] {
                [b'\r'] => {
                    self.cr = true;
                    rest = &[];
                    break;
                }
                [b'\r', b'\n', ..] => rest = &rest[at + 2..],
                _ => rest = &rest[at + 1..],
            }
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(rest);
        self.ended = rest.is_empty() && out.ends_with(b"\r\n");
        Cow::Owned(out)
    }

    /// What is missing at the end: the last line's end.
    pub fn end(self) -> &'static [u8] {
        if self.any && (self.cr || !self.ended) { b"\r\n" } else { b"" }
    }
}

/// Every CR and LF is one of a pair.
fn is_clean(slice: &[u8]) -> bool {
    let mut rest = slice;
    while let Some(at) = memchr2(b'\r', b'\n', rest) {
        if !rest[at..].starts_with(b"\r\n") {
            return false;
        }
        rest = &rest[at + 2..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(text: &[u8], cut: usize) -> Vec<u8> {
        let (mut newlines, mut out) = (Newlines::default(), Vec::new());
        text.chunks(cut.max(1)).for_each(|slice| out.extend_from_slice(&newlines.next(slice)));
        out.extend_from_slice(newlines.end());
        out
    }

    #[test]
    fn line_ends_become_crlf() {
        for (from, to) in [
            ("", ""),
            ("a\r\nb\r\n", "a\r\nb\r\n"),
            ("a\nb\rc\r\r\nd", "a\r\nb\r\nc\r\n\r\nd\r\n"),
            ("a\r", "a\r\n"),
            ("\n", "\r\n"),
            ("a", "a\r\n"),
        ] {
            assert_eq!(whole(from.as_bytes(), 999), to.as_bytes(), "{from:?}");
        }
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(text in "(\r\n|\r|\n|a|bc){0,40}", cut in 1usize..7) {
            let made = whole(text.as_bytes(), usize::MAX);
            prop_assert_eq!(&made, &whole(text.as_bytes(), cut));
            prop_assert!(is_clean(&made) && (made.is_empty() || made.ends_with(b"\r\n")));
            let bare: Vec<u8> = text.replace("\r\n", "\n").replace('\r', "\n").into_bytes();
            let back: Vec<u8> = made.iter().copied().filter(|b| *b != b'\r').collect();
            let ended = if bare.is_empty() || bare.ends_with(b"\n") { bare } else { [&bare[..], b"\n"].concat() };
            prop_assert_eq!(back, ended);
        }
    }
}
