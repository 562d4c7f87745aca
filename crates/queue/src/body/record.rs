//! The bytes of files and records.

use quell_mail::id::QueueId;

use super::{BodyRef, SpoolError};

/// Bytes before the first record of any file.
pub(super) const FILE_HEADER_BYTES: u64 = 40;
/// Bytes of a record before its payload (in a segment) or its front (in a large file).
pub(super) const RECORD_HEADER_BYTES: u64 = 40;
/// Where the payload of a large file begins: before it there is room for the front, which is
/// known only when the payload has been written.
pub(super) const LARGE_PAYLOAD_AT: u64 = 8 << 10;
/// What fits between the record header and the payload of a large file.
pub(super) const MAX_FRONT_BYTES: usize =
    (LARGE_PAYLOAD_AT - FILE_HEADER_BYTES - RECORD_HEADER_BYTES) as usize;

const VERSION: u32 = 1;
const SEGMENT_MAGIC: [u8; 8] = *b"QUELLSEG";
const LARGE_MAGIC: [u8; 8] = *b"QUELLBIG";
const RECORD_MAGIC: [u8; 4] = *b"QREC";

/// The two kinds of files; a file's number tells which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Segment,
    Large,
}

impl Kind {
    pub(super) fn of(file: u64) -> Self {
        if file.is_multiple_of(2) { Self::Segment } else { Self::Large }
    }

    fn magic(self) -> [u8; 8] {
        match self {
            Self::Segment => SEGMENT_MAGIC,
            Self::Large => LARGE_MAGIC,
        }
    }
}

/// The name of a file in the spool's directory.
pub(super) fn file_name(file: u64) -> String {
    match Kind::of(file) {
        Kind::Segment => format!("seg-{file}.qs"),
        Kind::Large => format!("big-{file}.qb"),
    }
}

/// The number in a name, if it is exactly what [`file_name`] makes.
pub(super) fn file_number(name: &str) -> Option<u64> {
    let (_, rest) = name.split_once('-')?;
    let (digits, _) = rest.split_once('.')?;
    let file = digits.parse().ok()?;
    (file_name(file) == name).then_some(file)
}

/// Magic, version, four zeros, number, checksum.
pub(super) fn file_header(file: u64) -> [u8; FILE_HEADER_BYTES as usize] {
    let mut header = [0; FILE_HEADER_BYTES as usize];
    header[..8].copy_from_slice(&Kind::of(file).magic());
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&file.to_le_bytes());
    let sum = blake3::hash(&header[..24]);
    header[24..].copy_from_slice(&sum.as_bytes()[..16]);
    header
}

/// Checks the header of `file`.
pub(super) fn check_file_header(file: u64, header: &[u8]) -> Result<(), SpoolError> {
    if header == file_header(file) {
        return Ok(());
    }
    let name = file_name(file);
    let [a, b, c, d] = [8, 9, 10, 11].map(|i| header.get(i).copied().unwrap_or(0));
    let version = u32::from_le_bytes([a, b, c, d]);
    let intact = header.len() == FILE_HEADER_BYTES as usize
        && header[..8] == Kind::of(file).magic()
        && blake3::hash(&header[..24]).as_bytes()[..16] == header[24..];
    if intact && version > VERSION {
        return Err(SpoolError::NewerVersion { file: name, version });
    }
    Err(SpoolError::Damaged { file: name, offset: 0, what: "file header" })
}

/// Magic, length of front (2 bytes), queue id, length, checksum (in this order).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHeader {
    /// Bytes that stand apart from the payload, and before it when read.
    pub(super) front_len: u16,
    pub(super) id: QueueId,
    /// Front and payload.
    pub(super) len: u64,
}

impl RecordHeader {
    fn fields(&self) -> [u8; 24] {
        let mut fields = [0; 24];
        fields[..4].copy_from_slice(&RECORD_MAGIC);
        fields[4..6].copy_from_slice(&self.front_len.to_le_bytes());
        fields[6..16].copy_from_slice(self.id.bytes());
        fields[16..].copy_from_slice(&self.len.to_le_bytes());
        fields
    }

    /// The checksum, given a hasher that has seen the payload. The front comes after it, since it
    /// is known later; all lengths follow, so no two records hash the same bytes.
    pub(super) fn checksum(&self, mut payload: blake3::Hasher, front: &[u8]) -> [u8; 16] {
        payload.update(front);
        payload.update(&self.fields());
        let mut sum = [0; 16];
        sum.copy_from_slice(&payload.finalize().as_bytes()[..16]);
        sum
    }

    /// The bytes on disk.
    pub(super) fn to_bytes(self, sum: [u8; 16]) -> [u8; RECORD_HEADER_BYTES as usize] {
        let mut bytes = [0; RECORD_HEADER_BYTES as usize];
        bytes[..24].copy_from_slice(&self.fields());
        bytes[24..].copy_from_slice(&sum);
        bytes
    }

    /// Reads what [`RecordHeader::to_bytes`] wrote for `body`; the checksum is still to be
    /// compared. None if it is no header, or not this body's.
    pub(super) fn parse(
        body: &BodyRef,
        bytes: &[u8; RECORD_HEADER_BYTES as usize],
    ) -> Option<(Self, [u8; 16])> {
        let id = QueueId::from_bytes(*bytes[6..].first_chunk()?);
        let len = u64::from_le_bytes(*bytes[16..].first_chunk()?);
        let front_len = u16::from_le_bytes([bytes[4], bytes[5]]);
        let most_front = match Kind::of(body.file) {
            Kind::Segment => 0,
            Kind::Large => len.min(MAX_FRONT_BYTES as u64),
        };
        let fits = bytes[..4] == RECORD_MAGIC && len == body.len && u64::from(front_len) <= most_front;
        fits.then_some((Self { front_len, id, len }, *bytes[24..].first_chunk()?))
    }
}

/// Bytes that a record with a body of `len` takes in a segment: padded to 8.
pub(super) fn record_bytes(len: u64) -> u64 {
    len.saturating_add(RECORD_HEADER_BYTES).checked_next_multiple_of(8).unwrap_or(u64::MAX)
}
