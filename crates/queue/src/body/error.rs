//! What can go wrong with bodies.

use std::io;

use crate::reserve::is_full;

/// Why a body could not be kept, read or deleted.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// No room on the disk or in the quota: answered 452. Nothing was kept.
    #[error("no room for bodies: cannot {doing} {file}: {source}")]
    Full {
        /// What was tried.
        doing: &'static str,
        /// Name of the file in the spool's directory.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// Any other trouble with a file: answered 451.
    #[error("cannot {doing} {file}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Name of the file in the spool's directory.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// Longer than the settings allow: answered 552.
    #[error("a body of {bytes} bytes is over the limit of {limit} bytes")]
    TooLarge {
        /// How long it is, or has become so far.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A sync failed, now or earlier: nothing written since the last good sync may be relied on,
    /// and nothing is written until [`super::Spool::rescue`] or a new open.
    #[error("a sync of the spool failed: {0}")]
    SyncFailed(String),
    /// The file that a reference names is not there.
    #[error("{file} is missing")]
    Missing {
        /// Its name.
        file: String,
    },
    /// The bytes are not the ones that were written.
    #[error("{file} is damaged at byte {offset}: {what}")]
    Damaged {
        /// Name of the file.
        file: String,
        /// Where the damaged record, or header, begins.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// Written by a newer quell.
    #[error("{file} has format {version}, which this version of quell does not know")]
    NewerVersion {
        /// Name of the file.
        file: String,
        /// Its format's version.
        version: u32,
    },
    /// A large body that was begun before the spool was opened anew: its file is gone.
    #[error("a large body was begun with a spool that has been closed since")]
    Foreign,
}

impl SpoolError {
    /// From an error of the system: lack of room is told apart.
    pub(super) fn io(doing: &'static str, file: &str, source: io::Error) -> Self {
        let file = file.to_owned();
        if is_full(&source) { Self::Full { doing, file, source } } else { Self::Io { doing, file, source } }
    }

    /// True if room is what lacks.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}
