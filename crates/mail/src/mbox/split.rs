//! From a window that moves over an mbox to the messages in it.

use std::ops::Range;

use super::length::{Led, Length, follow, read};
use super::postmark::{Next, next_postmark};
use super::{Ends, Piece};

/// Finds messages in a window of an mbox. Whoever holds the window lengthens it when told, may drop
/// bytes from its beginning (`dropped`), and bounds it: a message that is too large is given up with
/// `give_up`. It holds no bytes itself.
#[derive(Debug, Clone)]
pub struct Splitter {
    ends: Ends,
    /// Where the search goes on.
    from: usize,
    open: Option<Open>,
}

/// The message whose postmark was found and whose end was not.
#[derive(Debug, Clone)]
struct Open {
    postmark: Range<usize>,
    length: Length,
}

/// What is in the window.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A message: its first header byte up to its end, without the postmark and without the empty line
    /// that separates it from the next.
    Message {
        /// Where its postmark begins in the window.
        postmark: usize,
        /// Where it lies in the window.
        bytes: Range<usize>,
        /// Its Content-Length says so too.
        by_length: bool,
    },
    /// No whole message more: bytes from `keep` on are still needed, and new ones behind them.
    More {
        /// Where what is needed begins.
        keep: usize,
    },
    /// The mbox has ended.
    End,
}

impl Splitter {
    /// Looks for postmarks from `from` on. If that is not the beginning of the file, the window should
    /// begin three bytes before.
    pub const fn new(ends: Ends, from: usize) -> Self {
        Self { ends, from, open: None }
    }

    /// Where the postmark of the message begins whose end is looked for; else where the search for a
    /// postmark goes on.
    pub fn position(&self) -> usize {
        self.open.as_ref().map_or(self.from, |open| open.postmark.start)
    }

    /// Where the message begins whose end is looked for.
    pub fn begun(&self) -> Option<usize> {
        self.open.as_ref().map(|open| open.postmark.end)
    }

    /// Whether the message whose end is looked for names a Content-Length that is not refuted.
    pub(super) fn says_length(&self) -> bool {
        self.open.as_ref().is_some_and(|open| matches!(open.length, Length::Says(_)))
    }

    /// The first `count` bytes of the window are gone.
    pub fn dropped(&mut self, count: usize) {
        self.from = self.from.saturating_sub(count);
        if let Some(open) = &mut self.open {
            open.postmark.start = open.postmark.start.saturating_sub(count);
            open.postmark.end = open.postmark.end.saturating_sub(count);
            if let Length::Says(end) = &mut open.length {
                *end = end.saturating_sub(count);
            }
        }
    }

    /// So much is in the window that the message whose end is looked for is too large. Its Content-Length
    /// may have sent us here: then that is not believed any more, and this is false. Else it is given
    /// up, and from now on only the next postmark is looked for.
    pub fn give_up(&mut self) -> bool {
        match &mut self.open {
            Some(open) if open.length != Length::None => {
                open.length = Length::None;
                false
            }
            open => open.take().is_some(),
        }
    }

    /// The next message in the window.
    pub fn step(&mut self, piece: Piece<'_>) -> Step {
        if self.open.is_none() {
            match next_postmark(piece, self.from) {
                Next::At(line) => self.begin(line),
                Next::Beyond(_) if piece.last => return Step::End,
                Next::Beyond(from) => {
                    self.from = from;
                    return Step::More { keep: from.saturating_sub(3) };
                }
            }
        }
        let Some(mut open) = self.open.take() else { return Step::End };
        let step = self.end_of(&mut open, piece);
        if matches!(step, Step::More { .. }) {
            self.open = Some(open);
        }
        step
    }

    fn begin(&mut self, postmark: Range<usize>) {
        self.from = postmark.end;
        let length = if self.ends == Ends::Lengths { Length::Unread } else { Length::None };
        self.open = Some(Open { postmark, length });
    }

    fn end_of(&mut self, open: &mut Open, piece: Piece<'_>) -> Step {
        let (postmark, begin) = (open.postmark.start, open.postmark.end);
        let more = Step::More { keep: postmark.saturating_sub(3) };
        if open.length == Length::Unread {
            open.length = read(piece, begin);
        }
        match open.length {
            Length::Unread => return more,
            Length::None => {}
            Length::Says(end) => match follow(piece, end) {
                Led::Beyond => return more,
                Led::Nowhere => open.length = Length::None,
                Led::ToEnd => {
                    self.from = piece.bytes.len();
                    return by_length(piece, postmark, begin..end, piece.bytes.len());
                }
                Led::To(line) => {
                    self.begin(line.clone());
                    return by_length(piece, postmark, begin..end, line.start);
                }
            },
        }
        match next_postmark(piece, self.from) {
            Next::At(line) => {
                let len = without_separator(&piece.bytes[begin..line.start]).len();
                self.begin(line);
                Step::Message { postmark, bytes: begin..begin + len, by_length: false }
            }
            Next::Beyond(_) if piece.last => {
                self.from = piece.bytes.len();
                let len = without_separator(&piece.bytes[begin..]).len();
                Step::Message { postmark, bytes: begin..begin + len, by_length: false }
            }
            Next::Beyond(from) => {
                self.from = from;
                more
            }
        }
    }
}

/// A message whose Content-Length led to `next`. Some writers count the empty line before it.
fn by_length(piece: Piece<'_>, postmark: usize, bytes: Range<usize>, next: usize) -> Step {
    let len = match bytes.end == next {
        true => without_separator(&piece.bytes[bytes.clone()]).len(),
        false => bytes.len(),
    };
    Step::Message { postmark, bytes: bytes.start..bytes.start + len, by_length: true }
}

/// `text` without the empty line at its end, if there is one.
pub fn without_separator(text: &[u8]) -> &[u8] {
    let Some(rest) = text.strip_suffix(b"\n") else { return text };
    let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
    if rest.is_empty() || rest.ends_with(b"\n") { rest } else { text }
}
