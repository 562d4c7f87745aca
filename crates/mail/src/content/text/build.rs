//! A text read into words, in one pass.
//!
//! Nearly all mail is ASCII: its lines are taken apart byte by byte, with one look at a table for each, and
//! what lies between two runs of white space is copied and hashed where it stands. Lines with other letters
//! go the plain way, which the tests hold against the fast one.

use memchr::{memchr, memmem};

use super::super::marks::{Line, START};
use super::super::own::{self, Own};
use super::super::subject::Hash64;
use super::{BASE, End, MAX_LINES_AT_END, MAX_LINES_AT_START, Text, add, reduced, times};

/// Takes a text part by part, and line by line.
pub(in crate::content) struct Builder {
    canonical: Vec<u8>,
    lines: usize,
    last: End,
    ends: Vec<End>,
    /// The ends of the last lines, once the first are full; `lines` says where it begins.
    ring: Vec<End>,
    own: Own,
    /// The last line had words.
    within: bool,
}

impl Default for Builder {
    fn default() -> Self {
        let mut ends = Vec::with_capacity(MAX_LINES_AT_START + 1);
        ends.push(End::default());
        Self {
            canonical: Vec::new(),
            lines: 0,
            last: End::default(),
            ends,
            ring: Vec::new(),
            own: Own::default(),
            within: false,
        }
    }
}

impl Builder {
    /// Takes a part; its last line ends with it.
    pub(in crate::content) fn add(&mut self, text: &str) {
        self.canonical.reserve(text.len() + 1);
        if text.is_ascii() {
            return self.ascii_lines(text);
        }
        // A no-break space is one for our purpose: HTML is full of them.
        let spaces = memmem::find(text.as_bytes(), "\u{a0}".as_bytes()).map(|_| text.replace('\u{a0}', " "));
        for line in spaces.as_deref().unwrap_or(text).split('\n') {
            self.line(line, if line.is_ascii() { Self::ascii_words } else { Self::words });
        }
    }

    fn ascii_lines(&mut self, text: &str) {
        let mut rest = text;
        while let Some(end) = memchr(b'\n', rest.as_bytes()) {
            self.line(&rest[..end], Self::ascii_words);
            rest = &rest[end + 1..];
        }
        self.line(rest, Self::ascii_words);
    }

    fn line(&mut self, line: &str, words: fn(&mut Self, &str, &mut Line)) {
        let mut flags = Line::default();
        let before = self.last.words;
        words(self, unquoted(line), &mut flags);
        let has_words = self.last.words > before;
        if has_words {
            self.last.flags = flags.finish() | if self.within { 0 } else { START };
            self.own.end_line(self.last.flags, line.trim_start().starts_with('>'));
            self.end_line();
        }
        self.within = has_words;
    }

    /// The words of any line.
    fn words(&mut self, line: &str, flags: &mut Line) {
        for word in line.split(|c: char| c.is_whitespace() || c.is_ascii_control()) {
            if !word.is_empty() {
                self.canonical.extend_from_slice(word.as_bytes());
                self.canonical.push(b' ');
                self.word(hash(word.as_bytes(), 0, word.len()), own::names_one(word));
                flags.word(word);
            }
        }
    }

    /// The words of a line that is ASCII.
    fn ascii_words(&mut self, line: &str, flags: &mut Line) {
        let bytes = line.as_bytes();
        // What has been read and not been copied: words with one space between.
        let (mut run, mut at) = (0, 0);
        while at < bytes.len() {
            let (start, mut seen) = (at, 0);
            while let Some(byte) = bytes.get(at) {
                let class = CLASSES[usize::from(*byte)];
                if class & SPACE != 0 {
                    break;
                }
                seen |= class;
                at += 1;
            }
            if at > start {
                self.word(hash(bytes, start, at), seen & NAMES != 0 || seen & LETTER == 0);
                flags.word(&line[start..at]);
            }
            if at == start || bytes.get(at) != Some(&b' ') {
                self.copy(&bytes[run..at]);
                run = at + 1;
            }
            at += 1;
        }
        self.copy(bytes.get(run..).unwrap_or_default());
    }

    /// Adds a run of words; one that ends in a space has it already.
    fn copy(&mut self, run: &[u8]) {
        if let Some(last) = run.last() {
            self.canonical.extend_from_slice(run);
            if *last != b' ' {
                self.canonical.push(b' ');
            }
        }
    }

    fn word(&mut self, hash: u64, names_one: bool) {
        self.last.words = self.last.words.saturating_add(1);
        self.last.hash = add(times(self.last.hash, BASE), hash);
        self.own.word(hash, names_one);
    }

    fn end_line(&mut self) {
        self.lines += 1;
        if self.ends.len() <= MAX_LINES_AT_START {
            self.ends.push(self.last);
        } else if self.ring.len() < MAX_LINES_AT_END {
            self.ring.push(self.last);
        } else {
            let at = (self.lines - MAX_LINES_AT_START - 1) % MAX_LINES_AT_END;
            self.ring[at] = self.last;
        }
    }

    pub(in crate::content) fn finish(mut self) -> Text {
        if self.ring.len() == MAX_LINES_AT_END {
            self.ring.rotate_left((self.lines - MAX_LINES_AT_START) % MAX_LINES_AT_END);
        }
        self.ends.append(&mut self.ring);
        self.ends.shrink_to_fit();
        let digest = *blake3::hash(&self.canonical).as_bytes();
        let template = self.own.finish();
        Text { digest, lines: self.lines, last: self.last, ends: self.ends, template }
    }
}

/// The line without what mbox files put before `From ` at each pass.
fn unquoted(line: &str) -> &str {
    // Some programs begin a text with a byte order mark, and only in some encodings.
    let line = line.trim_start_matches('\u{feff}');
    let bare = line.trim_start_matches('>');
    if bare.starts_with("From ") { bare } else { line }
}

/// White space, and control characters.
const SPACE: u8 = 1;
/// A digit or an `@`.
const NAMES: u8 = 2;
const LETTER: u8 = 4;

/// What each byte of ASCII is.
const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        classes[byte as usize] = match byte {
            0..=b' ' | 127 => SPACE,
            b'0'..=b'9' | b'@' => NAMES,
            b'A'..=b'Z' | b'a'..=b'z' => LETTER,
            _ => 0,
        };
        byte += 1;
    }
    classes
}

/// Hash of the word from `start` to `end` in `bytes`: its length, and blocks of eight bytes, the last
/// filled with zeros.
fn hash(bytes: &[u8], start: usize, end: usize) -> u64 {
    let mut hash = Hash64::default();
    hash.push_u64((end - start) as u64);
    let mut at = start;
    while end - at > 8 {
        hash.push_u64(block(bytes, at));
        at += 8;
    }
    let bits = 8 * (end - at) as u32;
    hash.push_u64(block(bytes, at) & u64::MAX.unbounded_shr(64 - bits));
    reduced(hash.finish())
}

/// The eight bytes at `at`, or those that are left and zeros.
fn block(bytes: &[u8], at: usize) -> u64 {
    let rest = &bytes[at..];
    if let Some(eight) = rest.first_chunk() {
        return u64::from_le_bytes(*eight);
    }
    if let Some(last) = bytes.last_chunk() {
        return u64::from_le_bytes(*last).unbounded_shr(64 - 8 * rest.len() as u32);
    }
    rest.iter().rev().fold(0, |block, byte| block << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::text::PRIME;
    use proptest::prelude::*;

    /// The hash of a word as it was first written down.
    fn plain_hash(word: &[u8]) -> u64 {
        let mut hash = Hash64::default();
        hash.push_u64(word.len() as u64);
        for chunk in word.chunks(8) {
            let mut block = [0; 8];
            block[..chunk.len()].copy_from_slice(chunk);
            hash.push_u64(u64::from_le_bytes(block));
        }
        hash.finish() % PRIME
    }

    /// The text as it was first read: split at each character, all words copied.
    fn plainly(text: &str) -> (Text, Vec<u8>) {
        let mut builder = Builder::default();
        let mut canonical = Vec::new();
        for line in text.replace('\u{a0}', " ").split('\n') {
            builder.line(line, Builder::words);
            for word in unquoted(line).split(|c: char| c.is_whitespace() || c.is_ascii_control()) {
                canonical.extend_from_slice(word.as_bytes());
                canonical.extend(Some(b' ').filter(|_| !word.is_empty()));
            }
        }
        assert_eq!(builder.canonical, canonical);
        (builder.finish(), canonical)
    }

    fn assert_same(parts: &[String]) {
        let whole: String = parts.iter().map(|part| format!("{part}\n")).collect();
        let (wanted, canonical) = plainly(&whole);
        let mut builder = Builder::default();
        parts.iter().for_each(|part| builder.add(part));
        assert_eq!(builder.canonical, canonical, "{parts:?}");
        let read = builder.finish();
        assert_eq!((read.digest, read.lines, read.template), (wanted.digest, wanted.lines, wanted.template));
        let ends = |text: &Text| text.ends.iter().map(|e| (e.hash, e.words, e.flags)).collect::<Vec<_>>();
        assert_eq!(ends(&read), ends(&wanted), "{parts:?}");
        assert_eq!((read.last.hash, read.last.words), (wanted.last.hash, wanted.last.words));
    }

    #[test]
    fn what_stands_at_the_edges() {
        for text in [
            "",
            " ",
            "\n",
            "a",
            " a",
            "a ",
            "a  b",
            "a \tb",
            "a\r\n",
            "a \r\n b\r\n",
            ">From x",
            ">>From  x\r",
            "\u{7f}a\0b",
            "a\u{a0}b c",
            "\u{feff}>From x",
            "12345678",
            "123456789 x",
            "abcdefgh ijklmnop\r",
            "> q\n\t> q",
            "on x wrote:",
        ] {
            assert_same(&[text.to_owned()]);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was_read_plainly(parts in prop::collection::vec(
            "(([a-zA-Z]{1,12}|[!-~]{1,20}|confidential|wrote:|From|>|---+|\\PC{1,4})([ \t\r\n\x00-\x1f]{1,2}| )){0,60}[a-z ]{0,3}", 0..4,
        )) {
            assert_same(&parts);
        }

        #[test]
        fn any_word_has_the_hash_it_had(before in "[a-z ]{0,9}", word in "[!-~]{1,40}", behind in "[a-z ]{0,9}") {
            let all = format!("{before}{word}{behind}");
            let hash = hash(all.as_bytes(), before.len(), before.len() + word.len());
            prop_assert_eq!(hash, plain_hash(word.as_bytes()));
        }

        #[test]
        fn remainders(n: u64) {
            for n in [n, n % 8 * PRIME, n % 8 * PRIME + PRIME - 1, n | 7 << 61] {
                prop_assert_eq!(reduced(n), n % PRIME);
            }
        }
    }
}
