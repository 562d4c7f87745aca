//! Canonical text, and whether one text is another with something put in.
//!
//! A text is its words in order: wrapping, white space, empty lines and soft line breaks do not
//! count, case does. Of each line (at most 256 of them) we keep where it ends: so many words, and a
//! running hash over these words. So any run of lines can be held against any other without the
//! words, and against a text that was wrapped anew.

mod build;
mod remains;

use super::marks::{FOOTER, Flags, QUOTING, RULE, START, WARNING};

pub(super) use build::Builder;
pub(super) use remains::Sum;

/// Lines at the start and at the end of a text whose ends are kept; what stands between is in the
/// running hash only. So much can be put into a text of any length, and be seen.
const MAX_LINES_AT_START: usize = 128;
const MAX_LINES_AT_END: usize = 128;
/// Most lines of a footer or disclaimer, counted as they stand.
const MAX_FOOTER_LINES: usize = 40;
/// Most lines of a warning at the start.
const MAX_WARNING_LINES: usize = 8;

/// The prime of the running hash, and its base: the value of a text is the number that its words'
/// hashes are the digits of.
const PRIME: u64 = (1 << 61) - 1;
const BASE: u64 = 0x0b7e_1516_28ae_d2a6;

/// Where a line ends.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    /// Running hash of all words up to here.
    hash: u64,
    /// Number of words up to here.
    words: u32,
    flags: Flags,
}

/// One text.
#[derive(Debug, Clone)]
pub(super) struct Text {
    digest: [u8; 32],
    lines: usize,
    last: End,
    /// The start of the text, and the ends of its first and last lines, in order.
    ends: Vec<End>,
    template: Option<u64>,
}

impl Text {
    /// Reads a text, line ends of either kind.
    #[cfg(test)]
    pub(super) fn new(text: &str) -> Self {
        let mut builder = Builder::default();
        builder.add(text);
        builder.finish()
    }

    pub(super) fn words(&self) -> u32 {
        self.last.words
    }

    /// BLAKE3 of the words.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Hash of its own words; None if there are too few.
    pub(super) fn template(&self) -> Option<u64> {
        self.template
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.ends.capacity() * size_of::<End>()
    }

    /// The number of its lines, if it can be a footer as a whole.
    pub(super) fn footer_lines(&self) -> Option<usize> {
        (self.lines <= MAX_FOOTER_LINES && self.is_footer(0, self.ends.len() - 1)).then_some(self.lines)
    }

    /// How many lines `longer` has more, if it is this text with a warning at the start, and a
    /// footer at the end or a disclaimer at one other place. 0 if they are equal.
    pub(super) fn added_in(&self, longer: &Text) -> Option<usize> {
        if self.digest == longer.digest {
            return Some(0);
        }
        let more = longer.words().checked_sub(self.words()).filter(|more| *more > 0)?;
        (0..=MAX_WARNING_LINES.min(longer.ends.len() - 1)).find_map(|warning| {
            let above = longer.ends[warning].words;
            let warns = warning == 0 || is_warning(longer.flags(0, warning));
            let left = more.checked_sub(above).filter(|_| warns)?;
            let lines =
                if left == 0 { self.is_at(longer, warning) } else { self.around(longer, warning, left) };
            lines.map(|lines| lines + warning)
        })
    }

    /// Whether `longer`, without its first lines, is this text.
    fn is_at(&self, longer: &Text, warning: usize) -> Option<usize> {
        (range(&longer.ends[warning], &longer.last) == self.last.hash).then_some(0)
    }

    /// How many lines stand in `longer`, below a warning of so many lines, that are not in this
    /// text: a block of `words` words, with this text around it.
    fn around(&self, longer: &Text, warning: usize, words: u32) -> Option<usize> {
        let top = &longer.ends[warning];
        (warning..longer.ends.len()).find_map(|from| {
            let before = &longer.ends[from];
            let to = longer.end_at(before.words.checked_add(words)?)?;
            let lines = longer.line_number(to) - longer.line_number(from);
            if lines > MAX_FOOTER_LINES || !longer.is_footer(from, to) {
                return None;
            }
            let ours = self.end_with(before.words - top.words)?;
            let starts_alike = range(top, before) == ours.hash;
            let ends_alike = || range(&longer.ends[to], &longer.last) == range(&ours, &self.last);
            (starts_alike && ends_alike()).then_some(lines)
        })
    }

    /// Index of the line end that has so many words before it.
    fn end_at(&self, words: u32) -> Option<usize> {
        self.ends.binary_search_by_key(&words, |end| end.words).ok()
    }

    fn end_with(&self, words: u32) -> Option<End> {
        self.end_at(words).map(|at| self.ends[at])
    }

    /// The number of the line that ends at `index`; the start of the text is 0.
    fn line_number(&self, index: usize) -> usize {
        let skipped = if index > MAX_LINES_AT_START { self.lines + 1 - self.ends.len() } else { 0 };
        index + skipped
    }

    /// Whether the lines that end behind `from` and up to `to` are a footer, or several: they open one,
    /// and none of them quotes.
    fn is_footer(&self, from: usize, to: usize) -> bool {
        self.opens_footer(from, to) && self.flags(from, to) & QUOTING == 0
    }

    /// Whether the first paragraph of these lines has a machine's words. A line of a person's above a
    /// footer does not belong to it.
    fn opens_footer(&self, from: usize, to: usize) -> bool {
        let Some((first, rest)) = self.ends[from + 1..=to].split_first() else { return false };
        let mut rest = rest.iter().take_while(|line| line.flags & (START | RULE) == 0);
        first.flags & FOOTER != 0 || rest.any(|line| line.flags & FOOTER != 0)
    }

    /// The flags of the lines that end behind `from` and up to `to`.
    fn flags(&self, from: usize, to: usize) -> Flags {
        self.ends[from + 1..=to].iter().fold(0, |all, end| all | end.flags)
    }
}

/// Whether lines with these flags are a machine's warning: they have its words, and no quotation.
fn is_warning(flags: Flags) -> bool {
    flags & WARNING != 0 && flags & QUOTING == 0
}

/// Hash of the words between two places of one text.
fn range(from: &End, to: &End) -> u64 {
    let before = times(from.hash, power(to.words - from.words));
    add(to.hash, PRIME - before)
}

fn add(a: u64, b: u64) -> u64 {
    reduced(a + b)
}

fn times(a: u64, b: u64) -> u64 {
    // 2^61 is 1 modulo the prime, so what stands above 61 bits counts as it is.
    let product = u128::from(a) * u128::from(b);
    add((product >> 61) as u64, product as u64 & PRIME)
}

/// `n` modulo the prime, without a division.
fn reduced(n: u64) -> u64 {
    let once = (n & PRIME) + (n >> 61);
    if once >= PRIME { once - PRIME } else { once }
}

/// [`BASE`] to the power of `exponent`.
fn power(mut exponent: u32) -> u64 {
    let (mut square, mut product) = (BASE, 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            product = times(product, square);
        }
        square = times(square, square);
        exponent >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(from: usize, to: usize) -> String {
        (from..to).map(|n| format!("line {n} of the text\n")).collect()
    }

    #[test]
    fn wrapping_does_not_count() {
        let text = Text::new("one two\nthree\n\n four  five\n>From six\n");
        let same = Text::new("one\ttwo three\r\nfour\u{a0}five From six");
        assert_eq!((text.digest, text.last.hash, text.words()), (same.digest, same.last.hash, 7));
        assert_ne!(Text::new("one Two").digest, Text::new("one two").digest);
        assert_ne!(Text::new("onetwo").digest, Text::new("one two").digest);
    }

    #[test]
    fn what_was_put_in() {
        let (warning, footer) = ("[EXTERNAL] Be careful.\n", "____\nThis list\nhas a footer\n");
        for lines in [1, 5, 127, 128, 129, 255, 256, 257, 300, 1_000] {
            let text = Text::new(&numbered(0, lines));
            assert_eq!(text.ends.len(), lines.min(256) + 1);
            let numbers: Vec<_> = (0..text.ends.len()).map(|at| text.line_number(at)).collect();
            assert!(numbers.is_sorted() && numbers.last() == Some(&lines));
            let half = (lines / 2).min(100);
            let (start, end) = (numbered(0, half), numbered(half, lines));
            for (longer, wanted) in [
                (format!("{start}{end}{footer}"), Some(3)),
                (format!("{warning}{start}{end}"), Some(1)),
                (format!("{warning}{start}{end}{footer}"), Some(4)),
                (format!("{warning}{start}{footer}{end}"), Some(4)),
                (format!("{start}{footer}{end}"), Some(3)),
                (format!("{start}{end}"), Some(0)),
                (format!("{start}{end}one more line\n"), None),
                (format!("{footer}{start}{end}{footer}"), None),
                (format!("{start}{end}{}", "confidential\n".repeat(40)), Some(40)),
                (format!("{start}{end}{}", "confidential\n".repeat(41)), None),
                (format!("{start}{end}> quoted\n{footer}"), None),
                (format!("{start}{end}one more line\n{footer}"), None),
                (format!("{start}{end}one more line\n\nconfidential\n"), None),
                (format!("{start}{end}This message is\nconfidential\n\nFirm\n"), Some(3)),
                (format!("{start}x{end}{footer}"), None),
            ] {
                let longer = Text::new(&longer);
                assert_eq!(text.added_in(&longer), wanted, "{lines} lines");
                assert_eq!(longer.added_in(&text), wanted.filter(|n| *n == 0));
            }
        }
    }

    #[test]
    fn a_text_that_was_wrapped_anew_with_a_footer() {
        let text = Text::new("one two three four five\nsix seven\n");
        assert_eq!(text.added_in(&Text::new("one two\nthree four five six\nseven\n--\nlist\n")), Some(2));
    }
}
