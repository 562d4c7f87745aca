//! An mbox, or a part of one, through a window that moves over it.

use std::io::{self, Read};

use quell_mail::mbox::{Ends, Piece, Splitter, Step};

use super::sink::Sink;

/// So much is read at a time. Small enough that what was read is still in the processor's cache when
/// it is searched.
pub(super) const READ_BYTES: usize = 512 << 10;

/// Largest buffer that is kept from one job to the next.
pub(super) const KEPT_BYTES: usize = 4 << 20;

/// Read at a time behind the part, where only the end of one message is wanted.
const BEHIND_BYTES: usize = 64 << 10;

/// A message is too large if so much more than the limit holds no end of it: the longest separator and
/// postmark have room in it.
const SLACK_BYTES: usize = 1024;

/// What to read.
pub(super) struct Part {
    pub(super) file: u32,
    pub(super) ends: Ends,
    /// Messages whose postmark begins from here on …
    pub(super) start: u64,
    /// … up to here are wanted.
    pub(super) end: u64,
    /// The mbox, or in one with lengths a message, begins at `start`.
    pub(super) first: bool,
    /// Bytes the file should have; 0 where nobody knows.
    pub(super) size: u64,
}

/// The bytes that are in memory: `buffer[start..end]` are those of the file from `offset` on.
struct Window<'b> {
    buffer: &'b mut Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    /// Nothing comes behind.
    last: bool,
}

impl Window<'_> {
    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn drop_front(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    /// Reads up to `count` bytes more.
    fn read(&mut self, stream: &mut dyn Read, count: usize) -> io::Result<usize> {
        if self.end + count > self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
            }
            (self.start, self.end) = (0, self.end - self.start);
            if self.end + count > self.buffer.len() {
                self.buffer.resize(self.end + count, 0);
            }
        }
        loop {
            match stream.read(&mut self.buffer[self.end..self.end + count]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
            }
        }
    }
}

/// Hands on the messages of `part`. `stream` begins three bytes before it, or where the mbox begins.
/// `advanced` is told the place in the file after each read.
pub(super) fn read_part(
    part: &Part,
    stream: &mut dyn Read,
    sink: &mut Sink<'_>,
    advanced: &mut dyn FnMut(u64),
) {
    walk(part, stream, sink, advanced, &mut |sink, found| {
        sink.message(part.file, found.at, found.bytes, found.broken_off);
    });
}

/// Where messages begin, at their postmarks, with at least `every` bytes between: from each of these
/// places on a thread of its own can walk. `sink` gets what the walk meets of damage.
pub(super) fn borders(part: &Part, stream: &mut dyn Read, sink: &mut Sink<'_>, every: u64) -> Vec<u64> {
    let (mut borders, mut next) = (vec![], part.start.saturating_add(every));
    walk(part, stream, sink, &mut |_| (), &mut |_, found| {
        if found.postmark >= next {
            borders.push(found.postmark);
            next = found.postmark.saturating_add(every);
        }
    });
    borders
}

/// A message in the window.
struct Found<'b> {
    /// Where its postmark begins in the file.
    postmark: u64,
    /// Where it begins itself.
    at: u64,
    bytes: &'b [u8],
    /// The stream ended with an error in it.
    broken_off: bool,
}

fn walk(
    part: &Part,
    stream: &mut dyn Read,
    sink: &mut Sink<'_>,
    advanced: &mut dyn FnMut(u64),
    each: &mut dyn FnMut(&mut Sink<'_>, &Found<'_>),
) {
    let mut buffer = std::mem::take(&mut sink.buffer);
    let before = if part.first { 0 } else { part.start.min(3) as usize };
    let offset = part.start - before as u64;
    let mut window = Window { buffer: &mut buffer, start: 0, end: 0, offset, last: false };
    let mut splitter = Splitter::new(part.ends, before);
    let mut broken = false;
    while window.offset + (splitter.position() as u64) < part.end {
        let first = part.first && window.offset == part.start;
        let piece = Piece { bytes: window.bytes(), first, last: window.last };
        match splitter.step(piece) {
            Step::Message { postmark, .. } if window.offset + postmark as u64 >= part.end => break,
            Step::Message { postmark, bytes, .. } => {
                let broken_off = broken && window.last && bytes.end + 4 >= piece.bytes.len();
                let (postmark, at) = (window.offset + postmark as u64, window.offset + bytes.start as u64);
                each(sink, &Found { postmark, at, bytes: &piece.bytes[bytes], broken_off });
            }
            Step::More { keep } => {
                window.drop_front(keep);
                splitter.dropped(keep);
                give_up_too_large(part.file, &mut splitter, &window, sink);
                broken |= more(part, &mut window, stream, sink);
                advanced(window.offset + (window.end - window.start) as u64);
            }
            Step::End => break,
        }
    }
    // One large message should not cost its memory for ever.
    if buffer.len() > KEPT_BYTES {
        buffer = Vec::new();
    }
    sink.buffer = buffer;
}

/// A message of which more is here than any may have goes on without its body.
fn give_up_too_large(file: u32, splitter: &mut Splitter, window: &Window<'_>, sink: &mut Sink<'_>) {
    let Some(begun) = splitter.begun() else { return };
    let bytes = window.bytes().get(begun..).unwrap_or_default();
    if bytes.len() > sink.archive.limits.message_bytes + SLACK_BYTES && splitter.give_up() {
        sink.too_large(file, window.offset + begun as u64, bytes);
    }
}

/// Reads on; true if that failed.
fn more(part: &Part, window: &mut Window<'_>, stream: &mut dyn Read, sink: &mut Sink<'_>) -> bool {
    let here = window.offset + (window.end - window.start) as u64;
    let left = usize::try_from(part.end.saturating_sub(here)).unwrap_or(usize::MAX);
    // A message that goes on far behind the part is read in ever larger steps.
    let behind = ((window.end - window.start) / 2).clamp(BEHIND_BYTES, READ_BYTES);
    let count = if left == 0 { behind } else { left.min(READ_BYTES) };
    let error = match window.read(stream, count) {
        Ok(0) if here < part.size => {
            sink.damage(part.file, here, super::What::Shrunk);
            None
        }
        Ok(0) => {
            window.last = true;
            return false;
        }
        Ok(_) => return false,
        Err(error) => Some(error),
    };
    if let Some(error) = error {
        sink.broken(part.file, here, &error);
    }
    window.last = true;
    true
}
