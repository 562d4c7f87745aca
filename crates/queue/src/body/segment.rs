//! The segment that small bodies are appended to.

use std::fs::File;
use std::os::unix::fs::FileExt;

use quell_mail::id::QueueId;

use super::files::Files;
use super::record::{self, FILE_HEADER_BYTES, Kind, RECORD_HEADER_BYTES, RecordHeader};
use super::{BodyRef, SpoolError};
use crate::reserve::preallocate;

/// So many bytes beyond a record are filled with zeros at a time. Room that was set aside and never
/// written is marked so, and with each sync the file system would have to write, beside the data, that
/// part of it is no longer: on ext4 that took four times as long.
const FILLED_AHEAD_BYTES: u64 = 1 << 20;

/// A segment of this life, not full yet.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) file: File,
    /// Where the next record goes.
    at: u64,
    /// All before it has been written once.
    filled: u64,
    pub(super) bytes: u64,
    /// Written to since the last sync.
    pub(super) dirty: bool,
}

impl Segment {
    /// A new one, preallocated so that no later sync has to change its size. Its name is durable
    /// only after a sync of the directory.
    pub(super) fn create(files: &Files) -> Result<Self, SpoolError> {
        let (number, file) = files.create(Kind::Segment)?;
        let bytes = files.settings.segment_bytes;
        let made =
            preallocate(&file, bytes).and_then(|()| file.write_all_at(&record::file_header(number), 0));
        if let Err(e) = made {
            // Half a segment would take the room that is lacking.
            files.remove(number)?;
            return Err(SpoolError::io("preallocate", &record::file_name(number), e));
        }
        let at = FILE_HEADER_BYTES;
        Ok(Self { number, file, at, filled: at, bytes, dirty: true })
    }

    /// True if a body of `len` bytes fits.
    pub(super) fn has_room(&self, len: u64) -> bool {
        record::record_bytes(len) <= self.bytes - self.at
    }

    /// Writes one record with one call; `buffer` is scratch. After an error the next record goes to
    /// the same place.
    pub(super) fn append(
        &mut self,
        id: &QueueId,
        parts: &[&[u8]],
        buffer: &mut Vec<u8>,
    ) -> Result<BodyRef, SpoolError> {
        let header = fill(id, parts, buffer);
        let end = self.at + buffer.len() as u64;
        let filled = if end > self.filled { (end + FILLED_AHEAD_BYTES).min(self.bytes) } else { self.filled };
        if filled > self.filled {
            buffer.resize((filled - self.at) as usize, 0);
        }
        self.dirty = true;
        let written = self.file.write_all_at(buffer, self.at);
        written.map_err(|e| SpoolError::io("write", &record::file_name(self.number), e))?;
        let body = BodyRef { file: self.number, offset: self.at, len: header.len };
        (self.at, self.filled) = (end, filled);
        Ok(body)
    }
}

/// Puts a whole record into `buffer`.
fn fill(id: &QueueId, parts: &[&[u8]], buffer: &mut Vec<u8>) -> RecordHeader {
    let len = total_bytes(parts);
    let header = RecordHeader { front_len: 0, id: *id, len };
    buffer.clear();
    buffer.resize(RECORD_HEADER_BYTES as usize, 0);
    parts.iter().for_each(|part| buffer.extend_from_slice(part));
    // All in one piece: the hash then takes several of its chunks at a time.
    let mut payload = blake3::Hasher::new();
    let (head, bytes) = buffer.split_at_mut(RECORD_HEADER_BYTES as usize);
    payload.update(bytes);
    head.copy_from_slice(&header.to_bytes(header.checksum(payload, &[])));
    buffer.resize(buffer.len().next_multiple_of(8), 0);
    header
}

/// Bytes of all parts together.
pub(super) fn total_bytes(parts: &[&[u8]]) -> u64 {
    parts.iter().map(|part| part.len() as u64).sum()
}
