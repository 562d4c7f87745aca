//! One record of the log: a fixed head, then up to two pieces of payload.
//!
//! The head is summed and begins with a magic, so that a reader finds the next record
//! after one that a killed process left unfinished.

/// First bytes of every record.
pub const MAGIC: u32 = u32::from_le_bytes(*b"PCUT");
/// Length of the head in bytes.
pub const HEAD_BYTES: usize = 48;
/// Longest payload piece that a reader accepts: one `write` never moves more.
pub const PIECE_MAX_BYTES: u32 = 0x7fff_f000;

/// What a record tells. The numbers are the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// A test's remark, such as "250 was answered for X": piece 1.
    Mark = 1,
    /// `fd` now stands for the path in piece 1; `a` = open flags.
    Open = 2,
    /// `fd` is about to be closed.
    Close = 3,
    /// `a` is now the same open file as `fd`.
    Dup = 4,
    /// Piece 1 was written to `fd` at offset `a`; `b` = 1 if synced by itself (`O_DSYNC`).
    Write = 5,
    /// `fd` has length `a`.
    SetLen = 6,
    /// `fallocate` of `fd` at offset `a` for `b` bytes; the mode is piece 1 (4 bytes).
    Allocate = 7,
    /// `fsync` or `fdatasync` of `fd` begins; what was written before will be on disk.
    SyncBegin = 8,
    /// The sync that this thread began has succeeded.
    SyncEnd = 9,
    /// Piece 1 was renamed to piece 2; `a` = flags of `renameat2`.
    Rename = 10,
    /// Piece 2 is a new link to piece 1.
    Link = 11,
    /// Piece 1 was removed.
    Unlink = 12,
    /// Directory piece 1 was made.
    Mkdir = 13,
    /// Directory piece 1 was removed.
    Rmdir = 14,
    /// Path piece 1 has length `a` (`truncate`).
    SetLenPath = 15,
    /// `sync` or `syncfs`: everything so far is on disk.
    SyncAll = 16,
    /// Something was done that the log cannot carry; piece 1 says what.
    Unsupported = 17,
    /// The sync that this thread began has failed.
    SyncFailed = 18,
}

impl Kind {
    /// The kind with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        const ALL: [Kind; 18] = [
            Kind::Mark,
            Kind::Open,
            Kind::Close,
            Kind::Dup,
            Kind::Write,
            Kind::SetLen,
            Kind::Allocate,
            Kind::SyncBegin,
            Kind::SyncEnd,
            Kind::Rename,
            Kind::Link,
            Kind::Unlink,
            Kind::Mkdir,
            Kind::Rmdir,
            Kind::SetLenPath,
            Kind::SyncAll,
            Kind::Unsupported,
            Kind::SyncFailed,
        ];
        ALL.into_iter().find(|kind| *kind as u32 == number)
    }
}

/// The head of a record; which fields mean something depends on the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What happened.
    pub kind: Kind,
    /// Process that did it.
    pub pid: u32,
    /// Thread that did it.
    pub tid: u32,
    /// File descriptor, or -1.
    pub fd: i32,
    /// First number, see [`Kind`].
    pub a: u64,
    /// Second number, see [`Kind`].
    pub b: u64,
    /// Bytes of payload piece 1.
    pub len1: u32,
    /// Bytes of payload piece 2.
    pub len2: u32,
}

impl Head {
    /// The head as it stands in the log.
    #[must_use]
    pub fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut out = [0; HEAD_BYTES];
        let words = [MAGIC, self.kind as u32, self.pid, self.tid, self.fd.cast_unsigned()];
        let (small, rest) = out.split_at_mut(20);
        for (place, word) in small.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let (a, rest) = rest.split_at_mut(8);
        a.copy_from_slice(&self.a.to_le_bytes());
        let (b, rest) = rest.split_at_mut(8);
        b.copy_from_slice(&self.b.to_le_bytes());
        for (place, len) in rest.chunks_exact_mut(4).zip([self.len1, self.len2]) {
            place.copy_from_slice(&len.to_le_bytes());
        }
        let sum = sum(&out[..HEAD_BYTES - 4]);
        out[HEAD_BYTES - 4..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads a head; `None` if these bytes are not one.
    #[must_use]
    pub fn decode(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let word = |at: usize| u32::from_le_bytes(piece(bytes, at));
        if word(0) != MAGIC || word(HEAD_BYTES - 4) != sum(&bytes[..HEAD_BYTES - 4]) {
            return None;
        }
        let head = Head {
            kind: Kind::from_number(word(4))?,
            pid: word(8),
            tid: word(12),
            fd: word(16).cast_signed(),
            a: u64::from_le_bytes(piece(bytes, 20)),
            b: u64::from_le_bytes(piece(bytes, 28)),
            len1: word(36),
            len2: word(40),
        };
        (head.len1 <= PIECE_MAX_BYTES && head.len2 <= PIECE_MAX_BYTES).then_some(head)
    }
}

fn piece<const N: usize>(bytes: &[u8; HEAD_BYTES], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

/// FNV-1a, 32 bits: enough to tell a head from message text, and needs no table.
fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum: u32, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
