//! Whether a message was sent by a machine or to many: such mail gets no notice of delay, and
//! nothing that is made by a machine answers it (RFC 3834 §2).

use crate::canon::relaxed_value_to_vec;
use crate::header::{Field, fields};

/// Why a message is taken as automatic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Automatic {
    /// The null reverse-path: a report (RFC 5321 §4.5.5).
    NullReversePath,
    /// `Auto-Submitted` other than `no` (RFC 3834 §5).
    AutoSubmitted,
    /// `Precedence` of `bulk`, `list` or `junk`.
    Precedence,
    /// A field of a mailing list (RFC 2369, RFC 2919).
    List,
    /// `X-Auto-Response-Suppress` other than `None` (\[MS-OXCMAIL\]).
    ResponseSuppressed,
}

/// The first sign of automatic mail in `header` (the block of the fields, which may be cut) or the
/// reverse-path, which is empty for `<>`. None: it was written by a person, for all we know.
pub fn automatic(header: &[u8], reverse_path: &str) -> Option<Automatic> {
    if reverse_path.is_empty() {
        return Some(Automatic::NullReversePath);
    }
    fields(header).find_map(|field| sign(&field))
}

/// What this field says of it.
pub(crate) fn sign(field: &Field<'_>) -> Option<Automatic> {
    let is_list = field.name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"List-"));
    if is_list {
        return Some(Automatic::List);
    }
    if field.is("Auto-Submitted") {
        return (!has_word(field, &["no"])).then_some(Automatic::AutoSubmitted);
    }
    if field.is("Precedence") {
        return has_word(field, &["bulk", "list", "junk"]).then_some(Automatic::Precedence);
    }
    let suppressed = field.is("X-Auto-Response-Suppress") && !has_word(field, &["none", ""]);
    suppressed.then_some(Automatic::ResponseSuppressed)
}

/// True if the field's first word, up to a parameter or a comment, is one of `words`.
pub(crate) fn has_word(field: &Field<'_>, words: &[&str]) -> bool {
    let value = relaxed_value_to_vec(field.value);
    let end = value.iter().position(|b| b";( ".contains(b)).unwrap_or(value.len());
    words.iter().any(|word| value[..end].eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::Automatic::*;
    use super::*;

    #[test]
    fn signs() {
        for (header, wanted) in [
            ("Subject: list-id: auto-submitted\r\n", None),
            ("Auto-Submitted: no\r\n", None),
            ("auto-submitted:\r\n\tNO (really); x=y\r\n", None),
            ("Auto-Submitted: auto-replied\r\n", Some(AutoSubmitted)),
            ("Auto-Submitted: auto-generated; x=y\r\n", Some(AutoSubmitted)),
            ("Auto-Submitted:\r\n", Some(AutoSubmitted)),
            ("Precedence: BULK\r\n", Some(Precedence)),
            ("Precedence: list\nX: y\n", Some(Precedence)),
            ("Precedence: junk", Some(Precedence)),
            ("Precedence: first-class\r\n", None),
            ("A: b\r\nLIST-Unsubscribe: <x>\r\n", Some(List)),
            ("List-Id: x\r\n", Some(List)),
            ("List: x\r\nListing: y\r\n", None),
            ("X-Auto-Response-Suppress: All\r\n", Some(ResponseSuppressed)),
            ("X-Auto-Response-Suppress: DR, OOF\r\n", Some(ResponseSuppressed)),
            ("X-Auto-Response-Suppress: None\r\n", None),
            ("From a@b\r\nno field\r\n", None),
            ("", None),
        ] {
            assert_eq!(automatic(header.as_bytes(), "ann@client.example"), wanted, "{header:?}");
        }
        assert_eq!(automatic(b"Auto-Submitted: no\r\n", ""), Some(NullReversePath));
    }
}
