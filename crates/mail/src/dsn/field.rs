//! Values from outside as they can stand in a field: no line of its own, no control character, no
//! line too long.

use super::MAX_LINE_BYTES;
use crate::address::MAX_ADDRESS_BYTES;

/// Where lines are folded, if there is a space to do it at (RFC 5322 §2.1.1: should be 78).
const FOLD_AT: usize = 76;
/// Longest value; the rest is cut. More than a status text or an address is.
const MAX_VALUE_BYTES: usize = 2 * MAX_ADDRESS_BYTES;

/// A value that was made harmless: one line, characters that can be printed, spaces between words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    /// Of text that may be in UTF-8.
    pub fn utf8(text: &str) -> Self {
        Self::of(text, |c| !is_unwanted(c))
    }

    /// Of text that must be in ASCII: all else becomes `?`.
    pub fn ascii(text: &str) -> Self {
        Self::of(text, |c| c.is_ascii() && !is_unwanted(c))
    }

    /// ASCII, or UTF-8 if `utf8`.
    pub fn new(text: &str, utf8: bool) -> Self {
        if utf8 { Self::utf8(text) } else { Self::ascii(text) }
    }

    fn of(text: &str, allowed: impl Fn(char) -> bool) -> Self {
        let mut value = String::new();
        for c in text[..text.floor_char_boundary(MAX_VALUE_BYTES)].chars() {
            match c {
                '\t' | '\r' | '\n' | ' ' if value.is_empty() || value.ends_with(' ') => {}
                '\t' | '\r' | '\n' | ' ' => value.push(' '),
                c => value.push(if allowed(c) { c } else { '?' }),
            }
        }
        value.truncate(value.trim_end().len());
        Self(value)
    }

    /// As the field `name`, folded, CRLF at its end. Words that fit into no line are cut apart.
    pub fn field(&self, name: &str) -> String {
        let mut field = format!("{name}:");
        self.wrap_into(&mut field, " ");
        field
    }

    /// As lines of text, each beginning with `indent`, CRLF at the end of each.
    pub fn lines(&self, indent: &str) -> String {
        let mut lines = String::new();
        if !self.0.is_empty() {
            lines.push_str(&indent[1.min(indent.len())..]);
            self.wrap_into(&mut lines, indent);
        }
        lines
    }

    /// Appends the words, each after a space, in as many lines as it takes; all but the first begin
    /// with `indent`.
    fn wrap_into(&self, out: &mut String, indent: &str) {
        let mut width = out.len();
        for word in self.0.split(' ').flat_map(pieces) {
            if width + 1 + word.len() > FOLD_AT && width > indent.len() {
                *out += "\r\n";
                *out += indent;
                width = indent.len();
            } else {
                out.push(' ');
                width += 1;
            }
            *out += word;
            width += word.len();
        }
        *out += "\r\n";
    }
}

/// A word in pieces that fit into a line each.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(word);
    std::iter::from_fn(move || {
        let word = rest.take()?;
        let (piece, left) = word.split_at(word.floor_char_boundary(MAX_LINE_BYTES - 100));
        rest = Some(left).filter(|left| !left.is_empty());
        Some(piece)
    })
}

/// Control characters, and those that end lines or turn the direction of writing: they could show
/// people something else than what is there.
fn is_unwanted(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A host name; what cannot stand in one becomes `?`. Never empty, at most 255 bytes.
pub fn host(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    let host: String = name.chars().take(255).map(|c| if allowed(c) { c } else { '?' }).collect();
    if host.is_empty() { "unknown".to_owned() } else { host }
}

/// The value of `To`. An address that cannot stand there is left out: the envelope has it.
pub fn to(address: &str) -> String {
    let plain = |c: char| !is_unwanted(c) && !"<>".contains(c);
    if !address.is_empty() && address.len() < MAX_LINE_BYTES - 100 && address.chars().all(plain) {
        format!("<{address}>")
    } else {
        "undisclosed-recipients:;".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folds_at_spaces_and_cuts_what_has_none() {
        let words = "word ".repeat(30);
        let field = Value::ascii(&words).field("Status");
        assert_eq!(field.replace("\r\n ", " "), format!("Status: {}\r\n", words.trim_end()));
        assert!(field.lines().all(|l| l.len() <= FOLD_AT) && field.lines().count() == 3);
        assert_eq!(Value::ascii("a\r\nB: c\0d\u{202e}ü").field("X"), "X: a B: c?d??\r\n");
        assert_eq!(Value::utf8("grün \u{202e}").field("X"), "X: grün ?\r\n");
        assert_eq!(Value::ascii("").field("X"), "X: \r\n");
        assert_eq!(Value::ascii("a b").lines("    "), "    a b\r\n");
        assert_eq!(Value::ascii("").lines("    "), "");
        assert_eq!(to("a@b"), "<a@b>");
        assert_eq!(to("a@b>\r\nX: y"), "undisclosed-recipients:;");
        assert_eq!(host(""), "unknown");
    }

    proptest! {
        #[test]
        fn one_field_whatever_it_says(text in "(.|\r|\n|a{40}|ü{500})*", utf8: bool) {
            let value = Value::new(&text, utf8);
            for field in [value.field("Diagnostic-Code"), format!("X:\r\n{}", value.lines("    "))] {
                prop_assert!(field.split("\r\n").skip(1).all(|l| l.is_empty() || l.starts_with(' ')));
                prop_assert!(field.split("\r\n").all(|l| l.len() <= MAX_LINE_BYTES));
                prop_assert!(field.chars().all(|c| !c.is_control() || "\r\n".contains(c)));
                prop_assert!(utf8 || field.is_ascii());
                prop_assert!(field.ends_with("\r\n"));
            }
        }
    }
}
