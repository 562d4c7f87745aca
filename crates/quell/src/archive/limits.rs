//! How much an archive may ask for.

/// Bounds on what is read. Beside each stands what happens at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest message, in bytes; of a larger one only the header is handed on, marked as cut, and it
    /// counts as damage. At most 1 GiB.
    pub message_bytes: usize,
    /// Most that is handed on of a message that is cut.
    pub header_bytes: usize,
    /// Most that one compressed file may become; what comes behind is not read, and counts as damage.
    pub expanded_bytes: u64,
    /// Most times its size that one compressed file may become; the same happens.
    pub expansion_ratio: u64,
    /// Up to here any ratio is right: a small file of equal messages is no bomb.
    pub expansion_free_bytes: u64,
    /// Most files; an archive of more is not opened.
    pub files: usize,
    /// How deep folders may lie in folders; deeper ones are not read, and count as damage.
    pub folder_depth: usize,
    /// Most that is taken from standard input or a pipe; an archive with more is not opened.
    pub spool_bytes: u64,
    /// An mbox is divided into parts of this size, so that threads can share it.
    pub part_bytes: u64,
}

impl Limits {
    /// The usual bounds, with messages of at most `bytes`.
    pub fn for_messages_of(bytes: u64) -> Self {
        let message_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let usual = Self::default();
        Self { message_bytes, header_bytes: usual.header_bytes.min(message_bytes), ..usual }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 64 << 20,
            header_bytes: 1 << 20,
            expanded_bytes: 64 << 30,
            expansion_ratio: 1000,
            expansion_free_bytes: 64 << 20,
            files: 2_000_000,
            folder_depth: 64,
            spool_bytes: 64 << 30,
            part_bytes: 8 << 20,
        }
    }
}

impl Limits {
    /// The same, with what cannot be made possible: a place has 31 bits for a length, and a message
    /// that is not cut is never shorter than one that is.
    pub(super) fn sane(self) -> Self {
        let header_bytes = self.header_bytes.clamp(1, 1 << 30);
        let message_bytes = self.message_bytes.clamp(header_bytes, 1 << 30);
        Self { message_bytes, header_bytes, part_bytes: self.part_bytes.max(1), ..self }
    }
}
