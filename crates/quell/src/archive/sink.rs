//! Where messages and damage go: the same for every way of reading.

use std::io;
use std::ops::Range;

use quell_mail::header::split;
use quell_mail::mbox::{is_postmark, without_separator};

use super::unpack::Bomb;
use super::{Archive, Damage, Damages, FileInfo, Message, Place, Progress, What};

/// So many NUL bytes in a row are a hole in the file, as a crash leaves it, and no text.
const HOLE_BYTES: usize = 256;

/// One worker's outlet.
pub(super) struct Sink<'a> {
    pub(super) archive: &'a Archive,
    pub(super) damages: Damages,
    /// Kept from job to job.
    pub(super) buffer: Vec<u8>,
    pub(super) progress: &'a Progress,
    hand_on: &'a mut dyn FnMut(Message<'_>),
}

impl<'a> Sink<'a> {
    pub(super) fn new(
        archive: &'a Archive,
        progress: &'a Progress,
        hand_on: &'a mut dyn FnMut(Message<'_>),
    ) -> Self {
        Self { archive, damages: Damages::default(), buffer: vec![], progress, hand_on }
    }

    pub(super) fn damage(&mut self, file: u32, offset: u64, what: What) {
        let path = || self.archive.file(file).map(FileInfo::path).unwrap_or_default();
        self.damages.add(|| Damage { file: Some(file), offset, path: path(), what });
    }

    /// A stream ended with an error.
    pub(super) fn broken(&mut self, file: u32, offset: u64, error: &io::Error) {
        let what = match error.get_ref() {
            Some(inner) if inner.is::<Bomb>() => What::Bomb,
            _ if error.raw_os_error().is_some() => What::Unreadable(error.to_string()),
            _ => What::Packing(error.to_string()),
        };
        self.damage(file, offset, what);
    }

    /// A message that is here whole, or up to where its file broke off.
    pub(super) fn message(&mut self, file: u32, offset: u64, bytes: &[u8], broken_off: bool) {
        if bytes.len() > self.archive.limits.message_bytes {
            return self.too_large(file, offset, bytes);
        }
        if bytes.is_empty() {
            return self.damage(file, offset, What::Empty);
        }
        let (mut at, mut rest) = (offset, bytes);
        while let Some(hole) = hole(rest) {
            self.damage(file, at + hole.start as u64, What::Nul(hole.len() as u64));
            let text = without_separator(&rest[..hole.start]);
            if !text.is_empty() {
                // Without the empty line that separates messages the hole has eaten its end.
                self.give(file, at, text, text.len() == hole.start);
            }
            let Some(skipped) = behind_hole(rest, hole) else { return };
            (at, rest) = (at + skipped as u64, &rest[skipped..]);
        }
        if !rest.is_empty() {
            self.give(file, at, rest, broken_off);
        }
    }

    /// The beginning of a message that is too large: its header goes on.
    pub(super) fn too_large(&mut self, file: u32, offset: u64, bytes: &[u8]) {
        let limits = &self.archive.limits;
        let what = What::TooLarge(limits.message_bytes as u64);
        let head = &bytes[..bytes.len().min(limits.header_bytes)];
        self.damage(file, offset, what);
        let header = split(head).0;
        // A body without a header has nothing that could go on.
        if !header.is_empty() && header.iter().any(|b| *b != 0) {
            self.give(file, offset, header, true);
        }
    }

    /// What was asked for again.
    pub(super) fn again(&mut self, place: Place, bytes: &[u8]) {
        self.progress.message();
        (self.hand_on)(Message { place, bytes });
    }

    fn give(&mut self, file: u32, offset: u64, bytes: &[u8], cut: bool) {
        // The limit of a message keeps its length far below.
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.again(Place::new(file, offset, len, cut), bytes);
    }
}

/// The first hole, and any text of nothing but NUL bytes.
fn hole(text: &[u8]) -> Option<Range<usize>> {
    if !text.is_empty() && text.iter().all(|b| *b == 0) {
        return Some(0..text.len());
    }
    // A hole that is long enough has a byte at one of these places: a look at few bytes finds it.
    let mut from = 0;
    while let Some(within) = (from..text.len()).step_by(HOLE_BYTES / 2).find(|at| text[*at] == 0) {
        let start = text[..within].iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        let end = text[within..].iter().position(|b| *b != 0).map_or(text.len(), |next| within + next);
        if end - start >= HOLE_BYTES {
            return Some(start..end);
        }
        from = end;
    }
    None
}

/// Where the text behind a hole goes on as a message: behind a postmark, or at once where nothing was
/// before the hole. Else it is the end of a message whose middle is lost.
fn behind_hole(text: &[u8], hole: Range<usize>) -> Option<usize> {
    let rest = &text[hole.end..];
    let lines = rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let line = rest[lines..].split_inclusive(|b| *b == b'\n').next().unwrap_or_default();
    match is_postmark(line) {
        true => Some(hole.end + lines + line.len()),
        false => (hole.start == 0 && lines < rest.len()).then_some(hole.end),
    }
}
