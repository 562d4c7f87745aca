//! Comments and folding white space (RFC 5322 §3.2.2), as structured fields carry them.

/// Position of the first byte at or after `at` that is neither white space, line end nor within a
/// comment. None: a comment does not end. Nesting is counted, not recursed into.
pub(crate) fn skip(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b'(' => at = comment_end(bytes, at)?,
            _ => break,
        }
    }
    Some(at)
}

/// Position after the comment that begins at `at`.
fn comment_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    loop {
        match bytes.get(at)? {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'\\' => at += 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Whether `byte` may stand in an atom (RFC 5322 §3.2.3); bytes above 127 as RFC 6532 §3.2 has
/// it: the caller sees to it that they are UTF-8.
pub(crate) fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_nest_and_quote() {
        assert_eq!(skip(b" (a (b) \\) c)\r\n x", 0), Some(16));
        assert_eq!(skip(b"x", 0), Some(0));
        assert_eq!(skip(b"  ", 0), Some(2));
        assert_eq!(skip(b"(a (b)", 0), None);
        assert_eq!(skip(b"(a\\", 0), None);
        assert_eq!(skip(&b"(".repeat(1_000_000), 0), None);
    }
}
