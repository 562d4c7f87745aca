//! Who wrote a message: the first address of its From, however the name before it is quoted.

use memchr::memchr;

/// Hands the author's address to `out`: lower case, without quotes and white space. A From without
/// an address is taken as it stands. False: it says nothing, and nothing was handed out.
pub(super) fn author(from: &[u8], mut out: impl FnMut(u8)) -> bool {
    let address = first_address(from).unwrap_or(from);
    let mut any = false;
    for byte in address.iter().filter(|b| !b.is_ascii_whitespace() && !matches!(b, b'"' | b'\\' | 0)) {
        any = true;
        out(byte.to_ascii_lowercase());
    }
    any
}

/// Where the scan stands in the current mailbox of the list (RFC 5322 §3.4).
#[derive(Default)]
struct Mailbox {
    /// Where the current word began, if it has; and whether an `@` stood in it outside quotes.
    word: Option<usize>,
    has_at: bool,
    /// The first word with an `@`: the address, unless one in angle brackets follows.
    bare: Option<(usize, usize)>,
}

impl Mailbox {
    fn end_word(&mut self, at: usize) {
        if let (Some(start), true, None) = (self.word, self.has_at, self.bare) {
            self.bare = Some((start, at));
        }
        (self.word, self.has_at) = (None, false);
    }
}

/// The first address in a list of mailboxes. A name with a comma and no quotes, which real mail
/// has, is a mailbox without address: it is passed over.
fn first_address(from: &[u8]) -> Option<&[u8]> {
    let (mut mailbox, mut at) = (Mailbox::default(), 0);
    // Once a quoted string has not ended, quotes say nothing: they are not looked for again.
    let mut quotes = true;
    while let Some(byte) = from.get(at) {
        match byte {
            b'"' if quotes => {
                mailbox.word = mailbox.word.or(Some(at));
                let end = quoted_end(from, at);
                quotes = end.is_some();
                at = end.unwrap_or(at + 1);
                continue;
            }
            b'(' => {
                mailbox.end_word(at);
                // A comment that does not end is the rest.
                at = crate::cfws::skip(from, at).unwrap_or(from.len());
                continue;
            }
            b'<' => {
                let inner = &from[at + 1..];
                let end = memchr(b'>', inner).unwrap_or(inner.len());
                if memchr(b'@', &inner[..end]).is_some() {
                    return Some(&inner[..end]);
                }
                mailbox.end_word(at);
                at += end + 1;
            }
            b',' | b';' => {
                mailbox.end_word(at);
                if mailbox.bare.is_some() {
                    break;
                }
            }
            // The name of a group ends.
            b':' => mailbox = Mailbox::default(),
            b if b.is_ascii_whitespace() => mailbox.end_word(at),
            b => {
                mailbox.word = mailbox.word.or(Some(at));
                mailbox.has_at |= *b == b'@';
            }
        }
        at += 1;
    }
    mailbox.end_word(from.len());
    mailbox.bare.map(|(start, end)| &from[start..end])
}

/// Position after the quoted string that begins at `at`. None: it does not end.
fn quoted_end(from: &[u8], at: usize) -> Option<usize> {
    let mut end = at + 1;
    while let Some(byte) = from.get(end) {
        match byte {
            b'\\' => end += 1,
            b'"' => return Some(end + 1),
            _ => {}
        }
        end += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_however_it_is_quoted() {
        for (from, wanted) in [
            ("jane@firm.example", "jane@firm.example"),
            (" Jane Doe <Jane@Firm.Example>\r\n", "jane@firm.example"),
            ("\"Doe, Jane\" <jane@firm.example>", "jane@firm.example"),
            ("Doe, Jane <jane@firm.example>", "jane@firm.example"),
            ("'Jane' \"x\" <jane@firm.example>, bob@firm.example", "jane@firm.example"),
            ("=?utf-8?q?J=C3=A4ne?= <jane@firm.example>", "jane@firm.example"),
            ("jane@firm.example (Jane, (of) Firm <x@y>)", "jane@firm.example"),
            ("\"old@firm.example\" <jane@firm.example>", "jane@firm.example"),
            ("old@firm.example <jane@firm.example>", "jane@firm.example"),
            ("jane@firm.example, Bob <bob@firm.example>", "jane@firm.example"),
            ("\"jane\"@firm.example", "jane@firm.example"),
            ("Friends: jane@firm.example, bob@firm.example;", "jane@firm.example"),
            ("<>, <jane@firm.example>", "jane@firm.example"),
            ("\"Jane <jane@firm.example>", "jane@firm.example"),
            ("Jane <jane@firm.example", "jane@firm.example"),
            ("Jane", "jane"),
            (" \r\n", ""),
        ] {
            let mut address = Vec::new();
            let any = author(from.as_bytes(), |byte| address.push(byte));
            assert_eq!(String::from_utf8(address).unwrap(), wanted, "{from}");
            assert_eq!(any, !wanted.is_empty());
        }
    }
}
