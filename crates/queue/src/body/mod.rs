//! The body store: bytes of messages, kept until the ledger lets go of them.
//!
//! Small bodies are records in preallocated *segments*; a large one has a file of its own, written
//! by the thread that receives it. One `fdatasync` per touched file makes a whole group durable.
//! There is no index here: the ledger's rows say what is live, and at the start everything else is
//! deleted. A segment is written by one life of the server only, so a torn end stays behind a
//! border that nothing crosses.
//!
//! Formats (`record`), numbers little-endian: a file begins with magic, version, its own number
//! and a checksum of these; a record has magic, length of front, queue id, length, a checksum over
//! payload, front and the fields before, then the payload.

mod error;
mod files;
mod large;
mod moved;
mod read;
mod record;
mod segment;
mod spool;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use error::SpoolError;
pub use large::{FinishedLarge, LargeWriter};
pub use read::{BodyReader, SpoolReader};
pub use spool::{LargeWriters, Rescued, Spool};

/// Most bytes that [`LargeWriter::finish`] can put in front of what it has written.
pub const MAX_FRONT_BYTES: usize = record::MAX_FRONT_BYTES;

/// Sizes of the body store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Bytes of a segment, preallocated. Drawn into 4 KiB to 1 GiB.
    pub segment_bytes: u64,
    /// A longer body gets a file of its own; so does one that no segment could hold.
    pub small_body_bytes: u64,
    /// A longer body is refused ([`SpoolError::TooLarge`]). What stands in front (our own
    /// `Received`) counts.
    pub max_body_bytes: u64,
}

impl Default for SpoolSettings {
    /// 16 MiB, 256 KiB, and 64 MiB with what we put in front.
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            small_body_bytes: 256 << 10,
            max_body_bytes: (64 << 20) + MAX_FRONT_BYTES as u64,
        }
    }
}

/// Where a body lies. The ledger stores it; it stays valid until it is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BodyRef {
    /// Number of the file, never used for another file. Even: a segment; odd: a large body.
    pub file: u64,
    /// Where the body's record begins in the file, in bytes.
    pub offset: u64,
    /// Bytes of the body.
    pub len: u64,
}

impl BodyRef {
    /// The form the ledger stores: three big-endian numbers, so that it sorts by place.
    pub fn to_bytes(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.file.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_be_bytes());
        bytes[16..].copy_from_slice(&self.len.to_be_bytes());
        bytes
    }

    /// The reference with these bytes, as [`BodyRef::to_bytes`] gave them.
    pub fn from_bytes(bytes: [u8; 24]) -> Self {
        let number = |at: usize| bytes[at..at + 8].iter().fold(0, |n, b| n << 8 | u64::from(*b));
        Self { file: number(0), offset: number(8), len: number(16) }
    }
}
