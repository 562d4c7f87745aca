//! Command lines: where one ends, and what is refused as an end (RFC 5321 §2.3.8).

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
#[derive(Debug)]
pub struct Framer {
    partial: Vec<u8>,
    after_cr: bool,
    skipped: Option<u64>,
    max_content: usize,
    lf_ends_line: bool,
    bare_lf: u64,
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
        if let Some(skipped) = self.skipped {
            return self.skip(input, skipped);
        }
        if self.after_cr {
            return self.after_cr(input[0]);
        }
        let room = self.max_content - self.partial.len();
        let window = &input[..input.len().min(room + 1)];
        match memchr::memchr2(b'\r', b'\n', window) {
            Some(end) => self.at_end(input, end),
            None if window.len() > room => self.too_long(window.len()),
            None => {
                self.partial.extend_from_slice(window);
                (window.len(), Framed::More)
            }
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

    /// A CR or LF stands at `end` of `input`, and none before it.
    fn at_end<'a>(&mut self, input: &'a [u8], end: usize) -> (usize, Framed<'a>) {
        if input[end] == b'\n' {
            return match self.lf_ends_line {
                true => {
                    self.bare_lf += 1;
                    (end + 1, self.line(&input[..end]))
                }
                false => (end + 1, Framed::Bare(b'\n')),
            };
        }
        match input.get(end + 1) {
            Some(b'\n') => (end + 2, self.line(&input[..end])),
            Some(_) => (end + 1, Framed::Bare(b'\r')),
            None => {
                self.partial.extend_from_slice(&input[..end]);
                self.after_cr = true;
                (end + 1, Framed::More)
            }
        }
    }

    fn line<'a>(&mut self, content: &'a [u8]) -> Framed<'a> {
        if self.partial.is_empty() {
            return Framed::Line(content);
        }
        self.partial.extend_from_slice(content);
        Framed::Joined
    }

    /// The last input ended with CR.
    fn after_cr<'a>(&mut self, byte: u8) -> (usize, Framed<'a>) {
        self.after_cr = false;
        match byte {
            b'\n' => (1, self.line(&[])),
            _ => (0, Framed::Bare(b'\r')),
        }
    }

    fn too_long<'a>(&mut self, taken: usize) -> (usize, Framed<'a>) {
        self.partial.clear();
        self.skipped = Some(0);
        (taken, Framed::TooLong)
    }

    /// In an over-long line: looks for its end only. A bare CR in it decides nothing.
    fn skip<'a>(&mut self, input: &'a [u8], skipped: u64) -> (usize, Framed<'a>) {
        let left = usize::try_from(MAX_SKIPPED_BYTES - skipped).unwrap_or(usize::MAX);
        let window = &input[..input.len().min(left)];
        let Some(end) = memchr::memchr(b'\n', window) else {
            self.after_cr = window.last().map_or(self.after_cr, |b| *b == b'\r');
            self.skipped = Some(skipped + window.len() as u64);
            return match window.len() == left {
                true => (window.len(), Framed::Endless),
                false => (window.len(), Framed::More),
            };
        };
        let after_cr = std::mem::take(&mut self.after_cr);
        let crlf = if end == 0 { after_cr } else { window[end - 1] == b'\r' };
        if !crlf && !self.lf_ends_line {
            return (end + 1, Framed::Bare(b'\n'));
        }
        self.bare_lf += u64::from(!crlf);
        self.skipped = None;
        let (taken, framed) = self.next(&input[end + 1..]);
        (end + 1 + taken, framed)
    }
}
