//! The words that are a message's own: what two answers of one machine have in common.

use super::marks::{FIELD, Flags, ORIGINAL, QUOTING, WROTE_LINE};
use super::subject::Hash64;

/// Fewest words that are a template: less says too little.
const MIN_OWN_WORDS: u32 = 3;

/// Gathers the own words of a text: not those of lines that quote, or that say what is quoted; nothing
/// from where an original stands unmarked; and no word with a digit or an `@` in it.
#[derive(Default)]
pub(super) struct Own {
    /// What the lines before this one say.
    kept: Words,
    /// The same, with the words of this line.
    here: Words,
    /// The last line was an attribution: what follows is a quotation, marked or not.
    wrote: bool,
    /// The last line was a field of a header.
    field: bool,
    /// What follows is not the message's own.
    ended: bool,
}

#[derive(Clone, Copy, Default)]
struct Words {
    hash: Hash64,
    count: u32,
}

impl Own {
    /// Takes the hash of the next word of the line, and whether it [`names_one`] thing.
    pub(super) fn word(&mut self, hash: u64, names_one: bool) {
        if self.ended || names_one {
            return;
        }
        self.here.hash.push_u64(hash);
        self.here.count = self.here.count.saturating_add(1);
    }

    /// The line, which had words, ends; `marked`: it began with `>`.
    pub(super) fn end_line(&mut self, flags: Flags, marked: bool) {
        if self.ended {
            return;
        }
        // What a quotation quotes ends with its marks.
        let says = |flag: Flags| flags & flag != 0 && !marked;
        let field = says(FIELD);
        self.ended = says(ORIGINAL) || (self.wrote && !marked) || (self.field && field);
        (self.wrote, self.field) = (says(WROTE_LINE), field);
        if self.ended || flags & QUOTING != 0 {
            self.here = self.kept;
        } else {
            self.kept = self.here;
        }
    }

    /// Hash of the words; None if there are too few.
    pub(super) fn finish(&self) -> Option<u64> {
        (self.kept.count >= MIN_OWN_WORDS).then(|| self.kept.hash.finish())
    }
}

/// Whether a word names one thing, as numbers, dates and addresses do, or is no word at all.
pub(super) fn names_one(word: &str) -> bool {
    if word.is_ascii() {
        let has = |is: fn(&u8) -> bool| word.as_bytes().iter().any(is);
        return has(|b| b.is_ascii_digit() || *b == b'@') || !has(u8::is_ascii_alphabetic);
    }
    word.contains(|c: char| c.is_numeric() || c == '@') || !word.contains(char::is_alphabetic)
}
