//! What a server says is in the maildrop (RFC 1939 §5 STAT and LIST, §7 UIDL).

use super::Settings;
use crate::params;
use crate::pop3::Uidl;

/// A message of the maildrop, as the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in this session, from 1.
    pub number: u32,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its unique-id; none if the server has none for it, or one that RFC 1939 does not allow.
    pub uidl: Option<Uidl>,
}

/// What a server says is in the maildrop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// By number, ascending; at most [`Settings::max_listed`].
    pub entries: Vec<Entry>,
    /// How many messages were listed, kept or not.
    pub listed: u64,
    /// How many messages there are, says STAT. It need not agree with the rest.
    pub stat_messages: u64,
    /// How many bytes they have, says STAT.
    pub stat_bytes: u64,
}

impl Listing {
    /// The message of this number.
    pub fn get(&self, number: u32) -> Option<&Entry> {
        self.place(number).map(|place| &self.entries[place])
    }

    fn place(&self, number: u32) -> Option<usize> {
        self.entries.binary_search_by_key(&number, |entry| entry.number).ok()
    }

    /// The answer to STAT, behind `+OK`; false if it is none.
    pub(super) fn stat(&mut self, text: &[u8]) -> bool {
        let mut words = words(text);
        let numbers = (words.next().and_then(params::number), words.next().and_then(params::number));
        let (Some(messages), Some(bytes)) = numbers else {
            return false;
        };
        (self.stat_messages, self.stat_bytes) = (messages, bytes);
        true
    }

    /// A line of LIST; false if it cannot be right.
    pub(super) fn size(&mut self, line: &[u8], settings: &Settings) -> bool {
        self.listed += 1;
        if self.listed > settings.max_listing_lines {
            return false;
        }
        if self.entries.len() >= settings.max_listed {
            return true;
        }
        let mut words = words(line);
        let (number, bytes) = (words.next().and_then(number), words.next().and_then(params::number));
        let after = self.entries.last().map_or(0, |entry| entry.number);
        let (Some(number), Some(bytes)) = (number.filter(|number| *number > after), bytes) else {
            return false;
        };
        self.entries.push(Entry { number, bytes, uidl: None });
        true
    }

    /// A line of UIDL; false if it cannot be right. One for a message that is not kept says nothing.
    pub(super) fn uidl(&mut self, line: &[u8]) -> bool {
        let mut words = words(line);
        let Some(number) = words.next().and_then(number) else {
            return false;
        };
        if let Some(place) = self.place(number) {
            self.entries[place].uidl = words.next().and_then(|id| Uidl::new(id).ok());
        }
        true
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty())
}

/// A message number: not 0.
fn number(text: &[u8]) -> Option<u32> {
    params::number(text).and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_read() {
        let settings = Settings { max_listed: 3, max_listing_lines: 5, ..Settings::default() };
        let mut listing = Listing::default();
        assert!(listing.stat(b" 5 1000 more"));
        for (line, good) in [
            (&b"1 100"[..], true),
            (b"3  18446744073709551616 octets", true),
            (b"3 100", false),
            (b"4 10", true),
            (b"anything: it is not kept", true),
            (b"6 10", false),
        ] {
            assert_eq!(listing.size(line, &settings), good, "{}", line.escape_ascii());
        }
        for (line, good) in [
            (&b"1 a"[..], true),
            (b"2 of-no-message", true),
            (b"4", true),
            (b"3 \xff", true),
            (b"x y", false),
            (b"0 y", false),
        ] {
            assert_eq!(listing.uidl(line), good, "{}", line.escape_ascii());
        }
        let entry = |number, bytes, uidl| Entry { number, bytes, uidl };
        let first = Uidl::new(b"a").ok();
        assert_eq!(listing.entries, [entry(1, 100, first), entry(3, u64::MAX, None), entry(4, 10, None)]);
        assert_eq!((listing.stat_messages, listing.stat_bytes), (5, 1000));
    }

    #[test]
    fn what_is_no_listing_is_refused() {
        let settings = Settings::default();
        for line in [&b""[..], b"1", b"0 1", b"-1 1", b"4294967296 1", b"1 x", b"x 1"] {
            assert!(!Listing::default().size(line, &settings), "{}", line.escape_ascii());
        }
        for line in [&b""[..], b" 1", b" many 1", b" -1 1"] {
            assert!(!Listing::default().stat(line), "{}", line.escape_ascii());
        }
    }
}
