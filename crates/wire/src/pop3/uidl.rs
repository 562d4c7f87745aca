//! A message's unique-id (RFC 1939 §7, UIDL).

use std::fmt;

/// Longest unique-id (RFC 1939 §7).
pub const MAX_UIDL_BYTES: usize = 70;

/// A unique-id: 1 to 70 characters of `!` to `~`. A server never uses one again in a maildrop, if
/// it is honest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uidl(Box<str>);

/// Not 1 to 70 characters of `!` to `~`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a unique-id has 1 to 70 printable ASCII characters and no space")]
pub struct BadUidl;

impl Uidl {
    /// Reads one.
    pub fn new(bytes: &[u8]) -> Result<Self, BadUidl> {
        let fits = (1..=MAX_UIDL_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
        let text = std::str::from_utf8(bytes).ok().filter(|_| fits);
        text.map(|text| Self(text.into())).ok_or(BadUidl)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uidl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_rfc_allows() {
        for (bytes, good) in [
            (&b"whqtswO00WBw418f9t5JxYwZ"[..], true),
            (b"!~", true),
            (&[b'x'; 70], true),
            (b"", false),
            (b"a b", false),
            (b"a\x7f", false),
            (&[b'x'; 71], false),
            ("\u{e9}".as_bytes(), false),
        ] {
            assert_eq!(Uidl::new(bytes).is_ok(), good, "{}", bytes.escape_ascii());
        }
    }
}
