//! The bytes of a dot log file.

use quell_mail::id::QueueId;

use super::DotRecord;
use crate::store::RowId;

/// Bytes before the first record.
pub(super) const HEADER_BYTES: usize = 40;
/// Bytes of a record besides its recipient identity.
const FIXED_BYTES: usize = 56;
/// Recipient identities are no longer than this (RFC 5321 §4.5.3.1 allows 256, twice that in UTF-8
/// and more fit); a record of a longer one is not written.
pub(super) const MAX_RCPT_BYTES: usize = 4096;

const VERSION: u32 = 1;
const FILE_MAGIC: [u8; 8] = *b"QUELLDOT";
const RECORD_MAGIC: [u8; 4] = *b"QDOT";

/// Where the reading of a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Behind the last record there is nothing, or the zeros of a file that had room for more.
    Whole,
    /// At this byte stands what is no record: torn when it was written, or damaged since.
    Damaged(usize),
    /// It was written by a newer quell, in this version of the format.
    Newer(u32),
}

/// Magic, version, four zeros, number, checksum.
pub(super) fn file_header(file: u64) -> [u8; HEADER_BYTES] {
    sealed_header(file, VERSION)
}

fn sealed_header(file: u64, version: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&FILE_MAGIC);
    header[8..12].copy_from_slice(&version.to_le_bytes());
    header[16..24].copy_from_slice(&file.to_le_bytes());
    let sum = blake3::hash(&header[..24]);
    header[24..].copy_from_slice(&sum.as_bytes()[..16]);
    header
}

/// Bytes that a record takes.
pub(super) fn bytes_of(record: &DotRecord) -> usize {
    FIXED_BYTES + record.row.rcpt.len()
}

/// Adds a record: magic, length of the identity (2 bytes), two zeros, attempts, time, key number,
/// queue id, checksum, identity. The checksum covers the file's number too, so that nothing of an
/// earlier file passes for a record.
pub(super) fn put(bytes: &mut Vec<u8>, file: u64, record: &DotRecord) {
    let mut fields = [0; 40];
    fields[..4].copy_from_slice(&RECORD_MAGIC);
    fields[4..6].copy_from_slice(&(record.row.rcpt.len() as u16).to_le_bytes());
    fields[8..12].copy_from_slice(&record.attempts.to_le_bytes());
    fields[12..20].copy_from_slice(&record.at_ms.to_le_bytes());
    fields[20..30].copy_from_slice(record.row.kid.bytes());
    fields[30..].copy_from_slice(record.queue_id.bytes());
    bytes.extend_from_slice(&fields);
    bytes.extend_from_slice(&checksum(file, &fields, record.row.rcpt.as_bytes()));
    bytes.extend_from_slice(record.row.rcpt.as_bytes());
}

fn checksum(file: u64, fields: &[u8; 40], rcpt: &[u8]) -> [u8; 16] {
    let sum = blake3::Hasher::new().update(&file.to_le_bytes()).update(fields).update(rcpt).finalize();
    let mut short = [0; 16];
    short.copy_from_slice(&sum.as_bytes()[..16]);
    short
}

/// Reads file number `file`: its records up to the first byte that is none of a record.
pub fn read(file: u64, bytes: &[u8]) -> (Vec<DotRecord>, End) {
    let mut records = Vec::new();
    let Some((header, mut rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return (records, if bytes.iter().all(|b| *b == 0) { End::Whole } else { End::Damaged(0) });
    };
    if *header != file_header(file) {
        return (records, what_header(file, header, bytes));
    }
    while let Some((record, after)) = one(file, rest) {
        records.push(record);
        rest = after;
    }
    let end = if rest.iter().all(|b| *b == 0) { End::Whole } else { End::Damaged(bytes.len() - rest.len()) };
    (records, end)
}

fn what_header(file: u64, header: &[u8; HEADER_BYTES], bytes: &[u8]) -> End {
    let version = header[8..].first_chunk().map_or(0, |v| u32::from_le_bytes(*v));
    if version > VERSION && *header == sealed_header(file, version) {
        return End::Newer(version);
    }
    // Made and not begun.
    if bytes.iter().all(|b| *b == 0) { End::Whole } else { End::Damaged(0) }
}

fn one(file: u64, bytes: &[u8]) -> Option<(DotRecord, &[u8])> {
    let (fixed, rest) = bytes.split_first_chunk::<FIXED_BYTES>()?;
    let (fields, sum) = fixed.split_first_chunk::<40>()?;
    let len = usize::from(u16::from_le_bytes([fields[4], fields[5]]));
    if fields[..4] != RECORD_MAGIC || len > MAX_RCPT_BYTES || len > rest.len() {
        return None;
    }
    let (rcpt, rest) = rest.split_at(len);
    if *sum != checksum(file, fields, rcpt) {
        return None;
    }
    let record = DotRecord {
        row: RowId {
            kid: QueueId::from_bytes(*fields[20..].first_chunk()?),
            rcpt: String::from_utf8(rcpt.to_vec()).ok()?,
        },
        queue_id: QueueId::from_bytes(*fields[30..].first_chunk()?),
        attempts: u32::from_le_bytes(*fields[8..].first_chunk()?),
        at_ms: i64::from_le_bytes(*fields[12..].first_chunk()?),
    };
    Some((record, rest))
}

/// A file with these records, as [`read`] reads it.
pub fn written(file: u64, records: &[DotRecord]) -> Vec<u8> {
    let mut bytes = file_header(file).to_vec();
    records.iter().for_each(|record| put(&mut bytes, file, record));
    bytes
}

/// What must hold of any bytes: reading does not panic, and the records read, written again, are the
/// bytes up to where the reading ended.
pub fn fuzz(bytes: &[u8]) {
    for file in [0, 7] {
        let (records, end) = read(file, bytes);
        let again = written(file, &records);
        if !records.is_empty() {
            assert!(bytes.starts_with(&again), "what was read is not what stands there");
        }
        if let End::Damaged(at) = end {
            assert!(at == 0 || at == again.len());
        }
    }
}
