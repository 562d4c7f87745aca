//! Words, comments and semicolons of a field, cut from it in one pass.

use memchr::{memchr, memchr3, memmem};

use super::when;

/// Longest address literal or other bracketed words, such as `[XMail 1.20 ESMTP Server]`; a
/// bracket that does not close within it is a byte like others.
const MAX_BRACKET_BYTES: usize = 128;

/// Longest comment once parentheses do not match; one that does not end within it is none.
const MAX_FLAT_BYTES: usize = 512;

#[derive(Debug, Clone, Copy)]
pub(super) enum Token<'a> {
    /// Without white space about it, quotes and brackets included, no comma at its end.
    Word(&'a [u8]),
    /// Without its outer parentheses.
    Comment(&'a [u8]),
    Semicolon,
    /// One byte that belongs to nothing: a parenthesis without its other half.
    Stray,
}

pub(super) struct Lexer<'a> {
    pub bytes: &'a [u8],
    /// Behind the last token.
    pub at: usize,
    /// Where the last word begins.
    pub start: usize,
    /// A comment was not closed: from there on comments do not nest, so that one lost parenthesis
    /// does not swallow the rest, and so that the end is searched in vain but once.
    flat: bool,
    /// No further closing quote stands in the field.
    no_quote: bool,
}

/// Bytes that need a look while a word is read.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let special = b" \t\r\n();\"<[";
    let mut n = 0;
    while n < special.len() {
        table[special[n] as usize] = true;
        n += 1;
    }
    table
};

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

impl<'a> Lexer<'a> {
    pub fn new(bytes: &'a [u8]) -> Lexer<'a> {
        Lexer { bytes, at: 0, start: 0, flat: false, no_quote: false }
    }

    pub fn next(&mut self) -> Option<Token<'a>> {
        while self.bytes.get(self.at).is_some_and(|b| is_space(*b) || *b == b',') {
            self.at += 1;
        }
        match self.bytes.get(self.at)? {
            b'(' => Some(self.comment()),
            b')' => Some(self.stray()),
            b';' => {
                self.at += 1;
                Some(Token::Semicolon)
            }
            _ => Some(self.word()),
        }
    }

    fn stray(&mut self) -> Token<'a> {
        self.at += 1;
        Token::Stray
    }

    fn comment(&mut self) -> Token<'a> {
        let inside = self.at + 1;
        if !self.flat {
            if let Some(len) = nested_len(&self.bytes[inside..]) {
                self.at = inside + len + 1;
                return Token::Comment(&self.bytes[inside..inside + len]);
            }
            self.flat = true;
        }
        let near = &self.bytes[inside..self.bytes.len().min(inside + MAX_FLAT_BYTES)];
        let Some(len) = memchr(b')', near) else { return self.stray() };
        // `(rev.example [192.0.2.1] by mx.example (Postfix) …`: here the `)` was lost.
        let lost = by_within(&near[..len]).filter(|_| memchr(b'(', &near[..len]).is_some());
        self.at = inside + lost.unwrap_or(len + 1);
        Token::Comment(&near[..lost.unwrap_or(len)])
    }

    fn word(&mut self) -> Token<'a> {
        self.start = self.at;
        while let Some(&byte) = self.bytes.get(self.at) {
            if !SPECIAL[usize::from(byte)] {
                self.at += 1;
                continue;
            }
            let len = match byte {
                b'"' => self.quoted_len(),
                b'<' if self.at == self.start => self.angle_len(),
                b'[' if self.at == self.start => bracket_len(&self.bytes[self.at..]).unwrap_or(1),
                b'<' | b'[' => 1,
                b';' if self.is_within_word() => 1,
                _ => break,
            };
            self.at += len;
        }
        let word = &self.bytes[self.start..self.at];
        let commas = word.iter().rev().take_while(|b| **b == b',').count();
        Token::Word(&word[..word.len() - commas])
    }

    /// Whether the semicolon here belongs to the word: text follows at once, and it is no date.
    fn is_within_word(&self) -> bool {
        let after = &self.bytes[self.at + 1..];
        after.first().is_some_and(u8::is_ascii_alphanumeric) && when::read(after).is_none()
    }

    /// Length of the quoted string that begins here; 1 if it does not end.
    fn quoted_len(&mut self) -> usize {
        if self.no_quote {
            return 1;
        }
        let bytes = &self.bytes[self.at + 1..];
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => return at + 2,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.no_quote = true;
        1
    }

    /// Length of `<…>` that begins here, without white space but in quotes; 1 if it is none.
    fn angle_len(&mut self) -> usize {
        let begin = self.at;
        self.at += 1;
        let mut len = 1;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'>' => {
                    len = self.at + 1 - begin;
                    break;
                }
                b' ' | b'\t' | b'\r' | b'\n' => break,
                b'"' => self.at += self.quoted_len(),
                _ => self.at += 1,
            }
        }
        self.at = begin;
        len
    }
}

/// Where the word `by` stands in `text`.
fn by_within(text: &[u8]) -> Option<usize> {
    let is_space_at = |at: usize| text.get(at).is_some_and(|b| is_space(*b));
    memmem::find_iter(text, b"by").find(|at| *at > 0 && is_space_at(at - 1) && is_space_at(at + 2))
}

/// Whether `text` begins with `pattern`, which is in lower case, in any case, any white space for
/// its spaces; and if so, how long it is there.
pub(super) fn begins(text: &[u8], pattern: &[u8]) -> Option<usize> {
    let mut at = 0;
    for wanted in pattern {
        let byte = text.get(at)?;
        if *wanted == b' ' {
            let spaces = text[at..].iter().take_while(|b| is_space(**b)).count();
            (spaces > 0).then_some(())?;
            at += spaces;
        } else {
            (byte.to_ascii_lowercase() == *wanted).then_some(())?;
            at += 1;
        }
    }
    Some(at)
}

/// Length up to the `)` that closes a comment; `bytes` begin inside of it. Nesting is counted, not
/// recursed into.
pub(super) fn nested_len(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0usize);
    loop {
        at += memchr3(b'(', b')', b'\\', bytes.get(at..)?)?;
        match bytes[at] {
            b'(' => depth += 1,
            b')' if depth == 0 => return Some(at),
            b')' => depth -= 1,
            _ => at += 1,
        }
        at += 1;
    }
}

/// Length of `[…]` at the beginning of `bytes`, both brackets included.
pub(super) fn bracket_len(bytes: &[u8]) -> Option<usize> {
    let near = &bytes[..bytes.len().min(MAX_BRACKET_BYTES)];
    memchr(b']', near).map(|end| end + 1)
}
