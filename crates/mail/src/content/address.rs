//! The addresses in From, To and Cc, however the names before them are quoted.

use memchr::memchr;

/// Hands the author's address to `out`: lower case, without quotes and white space. A From without
/// an address is taken as it stands. False: it says nothing, and nothing was handed out.
pub(crate) fn author(from: &[u8], mut out: impl FnMut(u8)) -> bool {
    let address = Addresses::new(from).next().unwrap_or(from);
    let mut any = false;
    for byte in bare(address) {
        any = true;
        out(byte.to_ascii_lowercase());
    }
    any
}

/// The bytes of an address without quotes and white space.
pub(crate) fn bare(address: &[u8]) -> impl Iterator<Item = u8> + '_ {
    address.iter().copied().filter(|b| !b.is_ascii_whitespace() && !matches!(b, b'"' | b'\\' | 0))
}

/// Where the scan stands in the current mailbox of the list (RFC 5322 §3.4).
#[derive(Default)]
struct Mailbox {
    /// Where the current word began, if it has; and whether an `@` stood in it outside quotes.
    word: Option<usize>,
    has_at: bool,
    /// The first word with an `@`: the address, unless one in angle brackets follows.
    bare: Option<(usize, usize)>,
    /// It had an address in angle brackets: words behind that are none.
    had_angle: bool,
}

impl Mailbox {
    fn end_word(&mut self, at: usize) {
        if let (Some(start), true, None, false) = (self.word, self.has_at, self.bare, self.had_angle) {
            self.bare = Some((start, at));
        }
        (self.word, self.has_at) = (None, false);
    }
}

/// The addresses in a list of mailboxes and groups, as they stand there; each byte is looked at a
/// bounded number of times. A name with a comma and no quotes, which real mail has, is a mailbox
/// without address: it is passed over.
pub(crate) struct Addresses<'a> {
    list: &'a [u8],
    at: usize,
    /// Once a quoted string has not ended, quotes say nothing: they are not looked for again.
    quotes: bool,
    mailbox: Mailbox,
}

impl<'a> Addresses<'a> {
    pub(crate) fn new(list: &'a [u8]) -> Self {
        Self { list, at: 0, quotes: true, mailbox: Mailbox::default() }
    }

    /// What stands in angle brackets that open at `at`, if it is an address. They end at the next
    /// `>`, or nowhere.
    fn angle(&mut self) -> Option<&'a [u8]> {
        let inner = &self.list[self.at + 1..];
        let end = memchr(b'>', inner).unwrap_or(inner.len());
        self.mailbox.end_word(self.at);
        self.at += end + 2;
        memchr(b'@', &inner[..end])?;
        self.mailbox = Mailbox { had_angle: true, ..Mailbox::default() };
        Some(&inner[..end])
    }

    /// The mailbox ends: its address, if it had none in angle brackets.
    fn end_mailbox(&mut self, at: usize) -> Option<&'a [u8]> {
        self.mailbox.end_word(at);
        let (start, end) = std::mem::take(&mut self.mailbox).bare?;
        Some(&self.list[start..end])
    }

    fn quoted(&mut self) {
        self.mailbox.word = self.mailbox.word.or(Some(self.at));
        let end = quoted_end(self.list, self.at);
        self.quotes = end.is_some();
        self.at = end.unwrap_or(self.at + 1);
    }

    fn comment(&mut self) {
        self.mailbox.end_word(self.at);
        // A comment that does not end is the rest.
        self.at = crate::cfws::skip(self.list, self.at).unwrap_or(self.list.len());
    }
}

impl<'a> Iterator for Addresses<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let Some(byte) = self.list.get(self.at) {
            let found = match byte {
                b'"' if self.quotes => {
                    self.quoted();
                    continue;
                }
                b'(' => {
                    self.comment();
                    continue;
                }
                b'<' => match self.angle() {
                    None => continue,
                    found => return found,
                },
                b',' | b';' => self.end_mailbox(self.at),
                // The name of a group ends.
                b':' => {
                    self.mailbox = Mailbox::default();
                    None
                }
                b if b.is_ascii_whitespace() => {
                    self.mailbox.end_word(self.at);
                    None
                }
                b => {
                    self.mailbox.word = self.mailbox.word.or(Some(self.at));
                    self.mailbox.has_at |= *b == b'@';
                    None
                }
            };
            self.at += 1;
            if found.is_some() {
                return found;
            }
        }
        self.end_mailbox(self.list.len())
    }
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

    #[test]
    fn all_addresses_of_a_list() {
        for (list, wanted) in [
            ("a@x, B <b@x>, \"C, c@no\" <c@x>\r\n", vec!["a@x", "b@x", "c@x"]),
            ("Friends: a@x, b@x;, c@x", vec!["a@x", "b@x", "c@x"]),
            ("undisclosed-recipients:;", vec![]),
            ("old@x <a@x> more@x, b@x (c@x)", vec!["a@x", "b@x"]),
            ("A <a@x> B <b@x>", vec!["a@x", "b@x"]),
            ("a@x,,;,b@x", vec!["a@x", "b@x"]),
            ("a@x (open, b@x", vec!["a@x"]),
            ("\"open <a@x>, b@x", vec!["a@x", "b@x"]),
            ("<a@x", vec!["a@x"]),
            ("<<<<", vec![]),
            ("", vec![]),
        ] {
            let found: Vec<_> = Addresses::new(list.as_bytes()).map(String::from_utf8_lossy).collect();
            assert_eq!(found, wanted, "{list}");
        }
    }
}
