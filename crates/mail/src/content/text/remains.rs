//! Whether a text is another one with something put in, when of the other no more is kept than a hash
//! and the number of its words.
//!
//! The longer text knows its running hash at each line end. So it can leave out the lines between two
//! of them, and see what hash and what number of words remain.

use super::super::marks::{FOOTER, WARNING};
use super::{End, MAX_FOOTER_LINES, MAX_WARNING_LINES, PRIME, Text, add, is_put_in, power, range, times};

/// All that is kept of a text: 12 bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::content) struct Sum {
    /// Running hash of all words.
    pub hash: u64,
    /// How many; 0: there is no text.
    pub words: u32,
}

impl Text {
    pub(in crate::content) fn sum(&self) -> Sum {
        Sum { hash: self.last.hash, words: self.last.words }
    }

    /// How many lines this text has more than `first`, if it is that with a warning at the start, and a
    /// footer at the end or a disclaimer at one other place. 0 if they are equal.
    ///
    /// As [`Text::added_in`], which knows more of the first text: what was put in must begin where that
    /// ends a line. Here a first text that was wrapped otherwise is found too.
    pub(in crate::content) fn lines_beside(&self, first: Sum) -> Option<usize> {
        if self.sum() == first {
            return Some(0);
        }
        let more = self.words().checked_sub(first.words).filter(|more| *more > 0)?;
        (0..=MAX_WARNING_LINES.min(self.ends.len() - 1)).find_map(|warning| {
            let above = self.ends[warning].words;
            let warns = warning == 0 || is_put_in(self.flags(0, warning), WARNING);
            let left = more.checked_sub(above).filter(|_| warns)?;
            let lines = match left {
                0 => (range(&self.ends[warning], &self.last) == first.hash).then_some(0),
                left => self.block_beside(first.hash, warning, left),
            };
            lines.map(|lines| lines + warning)
        })
    }

    /// How many lines a block of `words` words has, without which, and without so many lines of warning,
    /// the hash is `wanted`.
    fn block_beside(&self, wanted: u64, warning: usize, words: u32) -> Option<usize> {
        let top = &self.ends[warning];
        let mut to = warning;
        (warning..self.ends.len()).find_map(|from| {
            let before = &self.ends[from];
            let end = before.words.checked_add(words)?;
            // Words grow from line to line: the end of the block is never before the last one's.
            while self.ends.get(to)?.words < end {
                to += 1;
            }
            let lines = self.line_number(to) - self.line_number(from);
            let is_block = self.ends[to].words == end
                && lines <= MAX_FOOTER_LINES
                && is_put_in(self.flags(from, to), FOOTER);
            (is_block && self.without(top, before, &self.ends[to]) == wanted).then_some(lines)
        })
    }

    /// Hash of the words from `top` on, without those between `before` and `after`.
    fn without(&self, top: &End, before: &End, after: &End) -> u64 {
        let start = add(range(top, before), PRIME - after.hash);
        add(times(start, power(self.last.words - after.words)), self.last.hash)
    }
}
