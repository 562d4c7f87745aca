//! Where a message lies.

/// Set in the length of a place whose message was cut.
const CUT: u32 = 1 << 31;

/// A message's place in an archive. Places sort as the archive is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    offset_file: (u32, u64),
    len: u32,
}

impl Place {
    /// `file` is an index into the archive's files, `offset` that of the first byte of the header in
    /// the file's uncompressed bytes, `len` in bytes; `cut` if the message goes on behind it.
    pub const fn new(file: u32, offset: u64, len: u32, cut: bool) -> Self {
        let len = if len >= CUT { CUT - 1 } else { len };
        Self { offset_file: (file, offset), len: if cut { len | CUT } else { len } }
    }

    /// Index into the archive's files.
    pub const fn file(self) -> u32 {
        self.offset_file.0
    }

    /// Of the first byte of the header, in the file's uncompressed bytes.
    pub const fn offset(self) -> u64 {
        self.offset_file.1
    }

    /// Bytes that are handed on.
    pub const fn len(self) -> u32 {
        self.len & !CUT
    }

    /// Never: a message without a byte counts as damage and has no place.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The message goes on behind these bytes: it was too large, or its file ended too early.
    pub const fn is_cut(self) -> bool {
        self.len & CUT != 0
    }
}

/// A message of an archive, while it is handed on.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Where it lies.
    pub place: Place,
    /// Header and body as they are in the file, quoted as its dialect says.
    pub bytes: &'a [u8],
}
