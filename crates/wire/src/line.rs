//! Command lines: where one ends, and what is refused as an end (RFC 5321 §2.3.8).

use std::fmt;

/// Bytes of one over-long line that are read and thrown away before the framer gives up: enough for
/// any honest mistake, and a bound on what a stranger can make us read for nothing.
pub const MAX_SKIPPED_BYTES: u64 = 1 << 20;

/// What [`Framer::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Framed<'a> {
    /// All input was taken and no line has ended.
    More,
    /// A line, without its end, that lies whole in the input.
    Line(&'a [u8]),
    /// A line that began in earlier input: fetch it with [`Framer::take_joined`].
    Joined,
    /// The line has more bytes than the limit. Said once; the rest of it is skipped.
    TooLong,
    /// A CR without LF, or a LF without CR (`0x0d`, `0x0a`). Where lines end is now a matter of
    /// opinion, so nothing after this may be read as a command.
    Bare(u8),
    /// An over-long line did not end within [`MAX_SKIPPED_BYTES`].
    Endless,
}

/// Cuts a stream into lines. It keeps at most `max_line_bytes` of a line whose end is not there yet.
pub struct Framer {
    partial: Vec<u8>,
    after_cr: bool,
    skipped: Option<u64>,
    max_content: usize,
    lf_ends_line: bool,
    bare_lf: u64,
}

/// Without what is kept of a line: it may be a password.
impl fmt::Debug for Framer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framer")
            .field("partial_bytes", &self.partial.len())
            .field("skipped", &self.skipped)
            .field("max_content", &self.max_content)
            .finish_non_exhaustive()
    }
}

impl Framer {
    /// Lines may have `max_line_bytes`, their CRLF included. With `lf_ends_line` a bare LF ends a
    /// line too and is counted; a bare CR never does.
    pub fn new(max_line_bytes: usize, lf_ends_line: bool) -> Self {
        Self {
            partial: Vec::new(),
            after_cr: false,
            skipped: None,
            max_content: max_line_bytes.saturating_sub(2),
            lf_ends_line,
            bare_lf: 0,
        }
    }

    /// Forgets the line whose end is not there yet, as if nothing had come; what was counted stays.
    pub fn restart(&mut self, max_line_bytes: usize, lf_ends_line: bool) {
        *self = Self { bare_lf: self.bare_lf, ..Self::new(max_line_bytes, lf_ends_line) };
    }

    /// Another limit from the next line on. To be called between two lines: where a part of one is
    /// kept, it is kept up to the old limit.
    pub fn set_max_line_bytes(&mut self, max_line_bytes: usize) {
        self.max_content = max_line_bytes.saturating_sub(2).max(self.partial.len());
    }

    /// How many lines a bare LF has ended.
    pub fn bare_lf(&self) -> u64 {
        self.bare_lf
    }

    /// The next line: how many bytes of `input` were taken, and what they were. The result does not
    /// depend on how the stream was cut into inputs.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> (usize, Framed<'a>) {
        if input.is_empty() {
            return (0, Framed::More);
        }
        if std::mem::take(&mut self.after_cr) {
            return match input[0] {
                b'\n' => self.line(input, 0, 1),
                _ => (0, Framed::Bare(b'\r')),
            };
        }
        let room = self.room();
        let window = &input[..input.len().min(room)];
        match memchr::memchr2(b'\r', b'\n', window) {
            Some(end) => self.at_end(input, end),
            None => (window.len(), self.without_end(window, window.len() == room)),
        }
    }

    /// The line that [`Framed::Joined`] announced. Hand it back with [`Framer::give_back`], so that
    /// its memory serves the next one.
    pub fn take_joined(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }

    /// Takes back the memory of a joined line.
    pub fn give_back(&mut self, mut line: Vec<u8>) {
        line.clear();
        self.partial = line;
    }

    /// How many bytes may be looked at before the limit is passed: one more than a line may have,
    /// since its end may stand there.
    fn room(&self) -> usize {
        match self.skipped {
            None => self.max_content - self.partial.len() + 1,
            Some(skipped) => usize::try_from(MAX_SKIPPED_BYTES - skipped).unwrap_or(usize::MAX),
        }
    }

    /// A CR or LF stands at `end` of `input`, and none before it.
    fn at_end<'a>(&mut self, input: &'a [u8], end: usize) -> (usize, Framed<'a>) {
        match (input[end], input.get(end + 1)) {
            (b'\n', _) if self.lf_ends_line => {
                self.bare_lf += 1;
                self.line(input, end, end + 1)
            }
            (b'\n', _) => (end + 1, Framed::Bare(b'\n')),
            (_, Some(b'\n')) => self.line(input, end, end + 2),
            (_, Some(_)) => (end + 1, Framed::Bare(b'\r')),
            (_, None) => {
                if self.skipped.is_none() {
                    self.partial.extend_from_slice(&input[..end]);
                }
                self.after_cr = true;
                (end + 1, Framed::More)
            }
        }
    }

    /// A line ends: its content at `end`, its newline at `after`. One that was too long is over.
    fn line<'a>(&mut self, input: &'a [u8], end: usize, after: usize) -> (usize, Framed<'a>) {
        if self.skipped.take().is_some() {
            let (taken, framed) = self.next(&input[after..]);
            return (after + taken, framed);
        }
        if self.partial.is_empty() {
            return (after, Framed::Line(&input[..end]));
        }
        self.partial.extend_from_slice(&input[..end]);
        (after, Framed::Joined)
    }

    /// Neither CR nor LF stands in `window`; `full` says that the limit is passed.
    fn without_end<'a>(&mut self, window: &[u8], full: bool) -> Framed<'a> {
        match (self.skipped, full) {
            (None, false) => self.partial.extend_from_slice(window),
            (None, true) => {
                self.partial.clear();
                self.skipped = Some(0);
                return Framed::TooLong;
            }
            (Some(_), true) => return Framed::Endless,
            (Some(skipped), false) => self.skipped = Some(skipped + window.len() as u64),
        }
        Framed::More
    }
}
