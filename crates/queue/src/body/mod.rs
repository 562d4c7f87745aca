//! The body store: bytes of messages, kept until the ledger lets go of them.

/// Where a body lies. The ledger stores it; it stays valid until it is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BodyRef {
    /// Number of the file, never used for another file.
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
        let number = |at: usize| {
            bytes[at..at + 8]
                .iter()
                .fold(0, |n, b| n << 8 | u64::from(*b))
        };
        Self {
            file: number(0),
            offset: number(8),
            len: number(16),
        }
    }
}
