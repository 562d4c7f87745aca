//! A large body: a file of its own, written by the thread that receives it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use quell_mail::id::QueueId;

use super::files::Files;
use super::record::{self, FILE_HEADER_BYTES, Kind, LARGE_PAYLOAD_AT, MAX_FRONT_BYTES, RecordHeader};
use super::segment::total_bytes;
use super::{BodyRef, SpoolError};

/// Takes a large body as it comes in. Dropped before it is finished, it deletes its file.
#[derive(Debug)]
pub struct LargeWriter {
    place: Place,
    file: File,
    payload: blake3::Hasher,
    payload_bytes: u64,
    limit_bytes: u64,
}

/// A large body, whole and synced but for its name: [`super::Spool::append_large`] takes it.
/// Dropped before that, it deletes its file.
#[derive(Debug)]
pub struct FinishedLarge {
    place: Place,
    len: u64,
}

/// A file that is deleted unless it is kept.
#[derive(Debug)]
struct Place {
    files: Arc<Files>,
    number: u64,
    /// What it takes on the disk, counted as unfinished.
    bytes: u64,
    kept: bool,
}

impl LargeWriter {
    /// A new file, for a body of at most `limit_bytes` with its front.
    pub(super) fn create(files: &Arc<Files>, limit_bytes: u64) -> Result<Self, SpoolError> {
        let (number, file) = files.create(Kind::Large)?;
        files.count_unfinished(LARGE_PAYLOAD_AT);
        let place = Place { files: Arc::clone(files), number, bytes: LARGE_PAYLOAD_AT, kept: false };
        let payload = blake3::Hasher::new();
        Ok(Self { place, file, payload, payload_bytes: 0, limit_bytes })
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Writes the next bytes, with one call of the system: best 16 KiB or more at a time.
    ///
    /// # Errors
    ///
    /// [`SpoolError::TooLarge`], [`SpoolError::Full`], [`SpoolError::Io`]; the writer is of no
    /// more use then.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        let more = bytes.len() as u64;
        self.check_size(more)?;
        let written = self.file.write_all_at(bytes, LARGE_PAYLOAD_AT + self.payload_bytes);
        written.map_err(|e| self.place.error("write", e))?;
        self.payload.update(bytes);
        self.payload_bytes += more;
        self.place.bytes += more;
        self.place.files.count_unfinished(more);
        Ok(())
    }

    /// Ends the body of `id`; `front` will be read before what was written, and may have
    /// [`super::MAX_FRONT_BYTES`]. The bytes are synced here, on the receiver's thread, so that
    /// other mail does not wait for them.
    ///
    /// # Errors
    ///
    /// As [`LargeWriter::write`], and [`SpoolError::SyncFailed`], which concerns this body alone.
    /// The file is deleted in each case.
    pub fn finish(self, id: &QueueId, front: &[&[u8]]) -> Result<FinishedLarge, SpoolError> {
        let (front, front_len) = (front.concat(), total_bytes(front));
        let too_large = SpoolError::TooLarge { bytes: front_len, limit: MAX_FRONT_BYTES as u64 };
        let short = u16::try_from(front_len).ok().filter(|_| front.len() <= MAX_FRONT_BYTES);
        let short = short.ok_or(too_large)?;
        self.check_size(front_len)?;
        let len = front_len + self.payload_bytes;
        let header = RecordHeader { front_len: short, id: *id, len };
        let sum = header.checksum(self.payload, &front);
        let mut head = record::file_header(self.place.number).to_vec();
        head.extend_from_slice(&header.to_bytes(sum));
        head.extend_from_slice(&front);
        let written = self.file.write_all_at(&head, 0);
        written.map_err(|e| self.place.error("write", e))?;
        let synced = self.file.sync_data();
        synced.map_err(|e| SpoolError::SyncFailed(format!("{}: {e}", self.place.name())))?;
        Ok(FinishedLarge { place: self.place, len })
    }

    fn check_size(&self, more: u64) -> Result<(), SpoolError> {
        let (bytes, limit) = (self.payload_bytes.saturating_add(more), self.limit_bytes);
        if bytes > limit { Err(SpoolError::TooLarge { bytes, limit }) } else { Ok(()) }
    }
}

impl FinishedLarge {
    /// Bytes of the body, with its front.
    pub fn bytes(&self) -> u64 {
        self.len
    }

    /// Keeps the file, if it is one of `files`; also says what it takes on the disk.
    pub(super) fn keep(mut self, files: &Arc<Files>) -> Result<(BodyRef, u64), SpoolError> {
        if !Arc::ptr_eq(files, &self.place.files) {
            return Err(SpoolError::Foreign);
        }
        self.place.kept = true;
        let body = BodyRef { file: self.place.number, offset: FILE_HEADER_BYTES, len: self.len };
        Ok((body, self.place.bytes))
    }
}

impl Place {
    fn name(&self) -> String {
        record::file_name(self.number)
    }

    fn error(&self, doing: &'static str, e: std::io::Error) -> SpoolError {
        SpoolError::io(doing, &self.name(), e)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.files.uncount_unfinished(self.bytes);
        if !self.kept && self.files.remove(self.number).is_err() {
            // Nobody is left to be told; no row names the file, so the next start deletes it.
        }
    }
}
