//! The files of an archive.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quell_mail::mbox::Dialect;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any number of messages.
    Mbox(Dialect),
    /// One message.
    Message,
}

/// How a file is compressed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all. A file of a Maildir is looked at only when it is read.
    Plain,
    /// RFC 1952, any number of members.
    Gzip,
    /// The .xz format, any number of streams.
    Xz,
    /// RFC 8878, any number of frames.
    Zstd,
}

impl Packing {
    /// By magic number; a name says nothing.
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // A frame, or a skippable one before it (RFC 8878 §3.1).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// One file of an archive. There may be millions: the folder's name is shared.
#[derive(Debug, Clone)]
pub struct FileInfo {
    pub(super) folder: Arc<Path>,
    pub(super) name: Box<OsStr>,
    pub(super) mailbox: Option<Arc<str>>,
    /// What it holds.
    pub kind: Kind,
    /// How it is compressed.
    pub packing: Packing,
    /// Its size on the disk, when the archive was opened.
    pub bytes: u64,
    /// Where the first postmark of an mbox is, in its uncompressed bytes.
    pub(super) start: u32,
}

impl FileInfo {
    /// Its path, as given or as found below a folder that was; `-` is standard input.
    pub fn path(&self) -> PathBuf {
        if self.folder.as_os_str().is_empty() {
            PathBuf::from(&*self.name)
        } else {
            self.folder.join(&*self.name)
        }
    }

    /// The folder it was found in; empty if it was named without one.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whose mail it may be, by its name: of an mbox without its ending, of a Maildir (also for the
    /// folders in it) the folder's.
    pub fn mailbox(&self) -> Option<&str> {
        self.mailbox.as_deref()
    }
}

/// Endings that are none of a mailbox's name.
const ENDINGS: [&str; 8] = [".gz", ".xz", ".zst", ".zstd", ".mbox", ".mbx", ".mbs", ".txt"];

/// The mailbox that an mbox's file name tells.
pub(super) fn mailbox_of_mbox(name: &OsStr) -> Option<Arc<str>> {
    let mut name = name.to_str()?;
    while let Some(rest) = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)) {
        name = rest;
    }
    (!name.is_empty() && name != "-").then(|| Arc::from(name))
}

/// The mailbox that a Maildir's path tells: `jane/Maildir` and `jane` are jane's.
pub(super) fn mailbox_of_maildir(folder: &Path) -> Option<Arc<str>> {
    // "." has no name, but where it lies has.
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = |path: &Path| path.file_name().and_then(OsStr::to_str).map(str::to_owned);
    let own = name(&whole)?;
    let plain = ["maildir", "mail", ".maildir"].contains(&own.to_ascii_lowercase().as_str());
    let named = if plain { whole.parent().and_then(name) } else { Some(own) };
    named.map(Arc::from)
}
