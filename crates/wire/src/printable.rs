//! What others say, for people.

/// The beginning of `text`, of at most `max_bytes`. What is not printable ASCII stands as `?`.
pub(crate) fn printable(text: &[u8], max_bytes: usize) -> String {
    let text = &text[..text.len().min(max_bytes)];
    let shown = |b: &u8| if matches!(b, b' '..=b'~') { char::from(*b) } else { '?' };
    text.trim_ascii().iter().map(shown).collect()
}
