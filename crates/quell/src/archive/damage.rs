//! What could not be read, counted, with places.

use std::fmt;
use std::path::PathBuf;

/// Most examples that are kept; of more only the number is known.
pub const MAX_EXAMPLES: usize = 20;

/// All damage of one reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damages {
    /// How many there were.
    pub count: u64,
    /// The first of them, in the archive's order.
    pub examples: Vec<Damage>,
}

/// One damaged place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// Index into the archive's files; none for what did not become one of them.
    pub file: Option<u32>,
    /// In the file's uncompressed bytes.
    pub offset: u64,
    /// Which file, as given or found.
    pub path: PathBuf,
    /// What is wrong there.
    pub what: What,
}

/// What may be wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A message without a byte.
    Empty,
    /// A hole: so many NUL bytes where text should be, as a crash leaves them.
    Nul(u64),
    /// A message above this limit, in bytes; its header was read.
    TooLarge(u64),
    /// The file was shorter than at the beginning.
    Shrunk,
    /// The system does not let us read, for this reason.
    Unreadable(String),
    /// The compressed bytes are wrong or end too early; what came before was read.
    Packing(String),
    /// The compressed file becomes too large; what came before was read.
    Bomb,
    /// Folders in folders, too deep.
    TooDeep,
    /// A place that this archive does not have.
    NoSuchPlace,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "an empty message"),
            Self::Nul(bytes) => write!(f, "{bytes} NUL bytes where text should be"),
            Self::TooLarge(bytes) => {
                write!(f, "a message of more than {bytes} bytes: only its header was read")
            }
            Self::Shrunk => write!(f, "the file became shorter while it was read"),
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Self::Packing(why) => {
                write!(f, "compressed data is damaged or ends too early ({why}); what came before was read")
            }
            Self::Bomb => write!(
                f,
                "becomes too large when decompressed; what came before was read. If it is what it says, \
                 decompress it and name the result"
            ),
            Self::TooDeep => write!(f, "folders lie too deep in folders here: not read"),
            Self::NoSuchPlace => write!(f, "no message is at this place of the archive"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, byte {}: {}", self.path.display(), self.offset, self.what)
    }
}

impl Damages {
    /// Counts one. Those of one reader come in the archive's order, so its first ones are kept.
    pub(super) fn add(&mut self, damage: impl FnOnce() -> Damage) {
        self.count += 1;
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(damage());
        }
    }

    /// Takes another reader's; the order of merging does not show.
    pub(super) fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.examples.extend(other.examples);
        self.examples.sort();
        self.examples.truncate(MAX_EXAMPLES);
    }
}
