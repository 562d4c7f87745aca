//! The addresses of a header, read as the faulty server reads them: as an envelope.

use std::collections::BTreeSet;

use quell_mail::header::{fields, split};
use quell_wire::path::Path;

/// Addresses taken from one header. Those after it are left out; the storms of 2005 had some thousand.
pub(super) const MAX_ADDRESSES: usize = 100_000;

/// The elements of an address list, as they stand there, without white space around them. Commas and
/// semicolons part them, outside of quotes, comments and angle brackets. Linear in the list.
pub(super) fn elements(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = element_end(text);
        rest = text.get(end + 1..);
        Some(text[..end].trim())
    })
    .filter(|element| !element.is_empty())
}

/// Where the first element ends.
fn element_end(text: &str) -> usize {
    let (mut quoted, mut escaped, mut comments, mut angle) = (false, false, 0u32, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted || comments > 0 => escaped = true,
            b'"' if comments == 0 => quoted = !quoted,
            b'(' if !quoted => comments += 1,
            b')' if !quoted => comments = comments.saturating_sub(1),
            b'<' if !quoted && comments == 0 => angle = true,
            b'>' if !quoted && comments == 0 => angle = false,
            b',' | b';' if !quoted && comments == 0 && !angle => return at,
            _ => {}
        }
    }
    text.len()
}

/// The address of an element: in its angle brackets, or its one word with an `@`.
pub(super) fn address(element: &str) -> Option<Path> {
    let inner = match element.rsplit_once('<') {
        Some((_, after)) => after.split('>').next()?.trim(),
        None => element.split([' ', '\t', '\r', '\n', ':']).find(|word| word.contains('@'))?,
    };
    let (path, _) = Path::parse(format!("<{inner}>").as_bytes()).ok()?;
    path.domain().is_some().then_some(path)
}

/// Every address of To and Cc once, in their order; [`MAX_ADDRESSES`] at most.
pub(super) fn of_header(message: &[u8]) -> Vec<Path> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for field in fields(split(message).0).filter(|field| field.is("to") || field.is("cc")) {
        let value = String::from_utf8_lossy(field.value);
        let paths = elements(&value).filter_map(address);
        let new = paths.filter(|path| seen.insert(path.address().to_ascii_lowercase()));
        found.extend(new.take(MAX_ADDRESSES - found.len()));
    }
    found
}

/// The author's address, for the reverse-path: the pickup folder had no other.
pub(super) fn author(message: &[u8]) -> Option<Path> {
    let from = fields(split(message).0).find(|field| field.is("from"))?;
    let value = String::from_utf8_lossy(from.value).into_owned();
    elements(&value).find_map(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(header: &str) -> Vec<String> {
        of_header(format!("{header}\r\n\r\nTo: body@x.example\r\n").as_bytes())
            .into_iter()
            .map(Path::into_address)
            .collect()
    }

    #[test]
    fn lists_are_read_as_people_write_them() {
        for (header, wanted) in [
            ("To: a@b.example, c@d.example;e@f.example", vec!["a@b.example", "c@d.example", "e@f.example"]),
            (
                "To: \"Smith, John\" <j@b.example>,\r\n\tX (a, b) <x@b.example>",
                vec!["j@b.example", "x@b.example"],
            ),
            ("To: a@b.example\r\nCc: A@B.example, c@d.example", vec!["a@b.example", "c@d.example"]),
            ("To: unlisted-recipients:; (no To-header on input)", vec![]),
            ("To: friends: a@b.example, c@d.example;", vec!["a@b.example", "c@d.example"]),
            ("To: \"unended <a@b.example>", vec!["a@b.example"]),
            ("To: a, b@, @c, <>, <d@e.example>", vec!["d@e.example"]),
            ("Subject: To: a@b.example", vec![]),
        ] {
            assert_eq!(all(header), wanted, "{header}");
        }
        let from = author(b"From: \"Law, Inc\" <news@law.example>\r\n\r\n").unwrap();
        assert_eq!(from.address(), "news@law.example");
        assert_eq!(author(b"Subject: x\r\n\r\n"), None);
    }

    #[test]
    fn no_more_than_the_limit_are_taken() {
        let many: Vec<String> = (0..MAX_ADDRESSES + 5).map(|n| format!("a{n}@b.example")).collect();
        assert_eq!(all(&format!("To: {}", many.join(","))).len(), MAX_ADDRESSES);
    }

    proptest! {
        #[test]
        fn any_list_is_read(list in "[a-c@.,;:<>()\"\\\\ \r\n\tü]{0,60}") {
            prop_assert!(elements(&list).map(str::len).sum::<usize>() <= list.len());
            elements(&list).filter_map(address).for_each(|path| assert!(path.domain().is_some()));
        }
    }
}
