//! Message identifiers (RFC 5322 §3.6.4, §4.5.4).

use crate::cfws::{is_atext, skip};

/// Longest identifier that counts as well-formed: RFC 5322 §2.1.1 allows no longer line. A longer
/// one is taken as damaged: such a message has no exact key, and is never absorbed.
pub const MAX_MESSAGE_ID_BYTES: usize = 998;

/// The identifier in a Message-ID field's value, `<left@right>` with comments and white space
/// gone, if that is one and well-formed. Bytes above 127 must be UTF-8 (RFC 6532 §3.2).
pub fn parse(value: &[u8]) -> Option<String> {
    let bare = without_cfws(value)?;
    let inner = bare.strip_prefix(b"<")?.strip_suffix(b">")?;
    let at = left_len(inner)?;
    let right = inner[at..].strip_prefix(b"@")?;
    if !is_right(right) {
        return None;
    }
    String::from_utf8(bare).ok()
}

/// `value` without comments and white space outside of quoted strings. None: something in it does
/// not end, or it is too long.
fn without_cfws(value: &[u8]) -> Option<Vec<u8>> {
    let mut bare = Vec::new();
    let mut at = skip(value, 0)?;
    while at < value.len() {
        let end = if value[at] == b'"' { quoted_end(value, at)? } else { run_end(value, at) };
        if bare.len() + end - at > MAX_MESSAGE_ID_BYTES {
            return None;
        }
        match value[at] {
            // Line ends within a quoted string are folds, not content (RFC 5322 §3.2.4).
            b'"' => bare.extend(value[at..end].iter().filter(|b| !matches!(b, b'\r' | b'\n'))),
            _ => bare.extend_from_slice(&value[at..end]),
        }
        at = skip(value, end)?;
    }
    Some(bare)
}

/// Position after the run of bytes at `at`, which holds one at least and in which no white space,
/// comment or quoted string begins.
fn run_end(bytes: &[u8], at: usize) -> usize {
    let ends = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b'(' | b'"');
    at + 1 + bytes[at + 1..].iter().position(ends).unwrap_or(bytes.len() - at - 1)
}

/// Position after the quoted string that begins at `at`.
fn quoted_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    while *bytes.get(at)? != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    Some(at + 1)
}

/// Length of the part before `@`: words with dots between (dot-atom-text, or obs-id-left, which
/// is a local-part and so allows quoted words).
fn left_len(inner: &[u8]) -> Option<usize> {
    let mut at = word_end(inner, 0)?;
    while inner.get(at) == Some(&b'.') {
        at = word_end(inner, at + 1)?;
    }
    Some(at)
}

/// Position after the atom or quoted string at `at`.
fn word_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) == Some(&b'"') {
        return quoted_end(bytes, at);
    }
    let len = bytes[at..].iter().take_while(|b| is_atext(**b)).count();
    (len > 0).then_some(at + len)
}

/// dot-atom-text or no-fold-literal (obs-id-right is a domain, which is these two without CFWS).
fn is_right(right: &[u8]) -> bool {
    if let Some(literal) = right.strip_prefix(b"[").and_then(|r| r.strip_suffix(b"]")) {
        // dtext: printable without `[`, `]`, `\`.
        return literal.iter().all(|b| *b >= 0x80 || (b.is_ascii_graphic() && !b"[]\\".contains(b)));
    }
    right.split(|b| *b == b'.').all(|atom| !atom.is_empty() && atom.iter().all(|b| is_atext(*b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn well_formed() {
        for (given, wanted) in [
            (" <a@b>\r\n", "<a@b>"),
            ("<a.b+c=d!x@h-1.example>", "<a.b+c=d!x@h-1.example>"),
            (" (c (d)) <a@b.example> (e)\r\n", "<a@b.example>"),
            ("< a . b @ c (x) . d >", "<a.b@c.d>"),
            ("<very-long\r\n -half@b>", "<very-long-half@b>"),
            ("<\"a @ b\".c@d>", "<\"a @ b\".c@d>"),
            ("<\"a\\\"b\"@d>", "<\"a\\\"b\"@d>"),
            ("<a@[192.0.2.1]>", "<a@[192.0.2.1]>"),
            ("<gr\u{fc}n@b>", "<gr\u{fc}n@b>"),
        ] {
            assert_eq!(parse(given.as_bytes()).as_deref(), Some(wanted), "{given}");
        }
    }

    #[test]
    fn not_well_formed() {
        for given in [
            "",
            "a@b",
            "<a>",
            "<@b>",
            "<a@>",
            "<a@b",
            "a@b>",
            "<a@b><c@d>",
            "<a@b> <c@d>",
            "<a@b@c>",
            "<a..b@c>",
            "<.a@c>",
            "<a@b.>",
            "<a@[b>",
            "<a@[b\\]>",
            "<\"a@b>",
            "<a(@b>",
            "<<a@b>>",
            "<\"a\"b@c>",
            "<a@b>x",
            "<a@b\u{0}>",
            "<\"@b>",
        ] {
            assert_eq!(parse(given.as_bytes()), None, "{given}");
        }
        assert_eq!(parse(b"<\xfc@b>"), None);
    }

    #[test]
    fn the_limit_counts_without_comments() {
        let id = |n: usize| format!("<{}@b>", "a".repeat(n - 4));
        assert!(parse(id(998).as_bytes()).is_some());
        assert!(parse(id(999).as_bytes()).is_none());
        let comment = format!("({}) {}", "x".repeat(5_000), id(998));
        assert!(parse(comment.as_bytes()).is_some());
    }

    proptest! {
        #[test]
        fn settled_at_once(value in proptest::collection::vec(
            prop_oneof![prop::sample::select(b"<>@.\"\\()[] \r\nab".to_vec()), any::<u8>()], 0..40)) {
            if let Some(id) = parse(&value) {
                prop_assert_eq!(parse(id.as_bytes()), Some(id.clone()));
                prop_assert!(id.len() <= MAX_MESSAGE_ID_BYTES);
            }
        }
    }
}
