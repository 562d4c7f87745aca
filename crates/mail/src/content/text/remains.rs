//! Whether a text is another one with something put in, when of the other no more is kept than a hash
//! and the number of its words.
//!
//! The longer text knows its running hash at each line end. So it can leave out the lines between two
//! of them, and see what hash and what number of words remain.

use super::{MAX_FOOTER_LINES, MAX_WARNING_LINES, PRIME, Text, add, is_warning, power, range, times};

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
            let warns = warning == 0 || is_warning(self.flags(0, warning));
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
    ///
    /// With `h` for a running hash and `B` for the base, what remains around a block from `before` to
    /// `after` is `(h(before) - h(top) * B^(before - top) - h(after)) * B^(last - after) + h(last)`. Both
    /// sides are compared times `B^(after - top)`: so the powers grow from line to line, and none is worked
    /// out anew.
    fn block_beside(&self, wanted: u64, warning: usize, words: u32) -> Option<usize> {
        let top = &self.ends[warning];
        let whole = power(self.last.words - top.words);
        let missing = times(less(wanted, self.last.hash), power(words));
        let (mut to, mut shift, mut shifted) = (warning, 1, top.words);
        (warning..self.ends.len()).find_map(|from| {
            let before = &self.ends[from];
            let end = before.words.checked_add(words)?;
            // Words grow from line to line: the end of the block is never before the last one's.
            while self.ends.get(to)?.words < end {
                to += 1;
            }
            let lines = self.line_number(to) - self.line_number(from);
            // What costs least comes first: few lines open a footer.
            if self.ends[to].words != end || lines > MAX_FOOTER_LINES || !self.opens_footer(from, to) {
                return None;
            }
            shift = times(shift, power(before.words - shifted));
            shifted = before.words;
            let around = less(less(before.hash, times(top.hash, shift)), self.ends[to].hash);
            let remains = times(around, whole) == times(missing, shift);
            (remains && self.is_footer(from, to)).then_some(lines)
        })
    }
}

fn less(a: u64, b: u64) -> u64 {
    add(a, PRIME - b)
}
