//! Why a delivery failed, and whether to try again.

use std::io;

/// Whether another try can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Try again: full, read-only, a failing disk, no right to write.
    Temporary,
    /// Try again: the mailbox's directory, or one in it, is missing. Whether somebody has removed
    /// the mailbox or a disk is not mounted cannot be seen from here.
    Missing,
    /// The mailbox can never have this name.
    Permanent,
}

/// A delivery that failed. Nothing lies in `new/`, unless [`DeliverError::search_first`].
#[derive(Debug, thiserror::Error)]
#[error("{step}: {source}")]
pub struct DeliverError {
    /// What was being done.
    pub step: &'static str,
    /// Whether to try again.
    pub kind: Kind,
    /// Enhanced status code (RFC 3463).
    pub status: &'static str,
    /// The next try must search, since this one may have delivered.
    pub search_first: bool,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl DeliverError {
    /// An error of the mailbox.
    pub(super) fn at(step: &'static str, source: io::Error) -> Self {
        use io::ErrorKind as E;
        let (kind, status) = match source.kind() {
            E::NotFound | E::NotADirectory => (Kind::Missing, "4.3.5"),
            E::InvalidFilename => (Kind::Permanent, "5.1.3"),
            E::StorageFull => (Kind::Temporary, "4.3.1"),
            E::QuotaExceeded => (Kind::Temporary, "4.2.2"),
            _ => (Kind::Temporary, "4.3.0"),
        };
        Self { step, kind, status, search_first: false, source }
    }

    /// An error while the message was read: never the mailbox's fault.
    pub(super) fn body(source: io::Error) -> Self {
        let (step, kind, status) = ("read of the message", Kind::Temporary, "4.3.0");
        Self { step, kind, status, search_first: false, source }
    }

    pub(super) fn searching(self) -> Self {
        Self { search_first: true, ..self }
    }
}
