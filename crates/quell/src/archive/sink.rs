//! Where messages and damage go: the same for every way of reading.

use std::io;

use quell_mail::header::split;
use quell_mail::mbox::without_separator;

use super::unpack::Bomb;
use super::{Archive, Damage, Damages, FileInfo, Message, Place, Progress, What};

/// So many NUL bytes at an end of a message are a hole in the file, and no text.
const HOLE_BYTES: usize = 64;

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
        let (skipped, bytes) = self.without_holes(file, offset, bytes);
        if !bytes.is_empty() {
            self.give(file, offset + skipped as u64, bytes, broken_off);
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

    /// A message without the holes at its ends, and how many bytes of it were skipped.
    fn without_holes<'b>(&mut self, file: u32, offset: u64, bytes: &'b [u8]) -> (usize, &'b [u8]) {
        if bytes[0] != 0 && bytes[bytes.len() - 1] != 0 {
            return (0, bytes);
        }
        let front = bytes.iter().take_while(|b| **b == 0).count();
        if front == bytes.len() {
            self.damage(file, offset, What::Nul(front as u64));
            return (front, b"");
        }
        let front = if front < HOLE_BYTES { 0 } else { front };
        if front > 0 {
            self.damage(file, offset, What::Nul(front as u64));
        }
        let bytes = &bytes[front..];
        let back = bytes.iter().rev().take_while(|b| **b == 0).count();
        if back < HOLE_BYTES {
            return (front, bytes);
        }
        let text = &bytes[..bytes.len() - back];
        self.damage(file, offset + (front + text.len()) as u64, What::Nul(back as u64));
        (front, without_separator(text))
    }
}
