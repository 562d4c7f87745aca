//! Claims: the right to deliver one row. Only the door gives them, one at a time for each row, and
//! they cannot be copied.

use quell_mail::id::QueueId;

use crate::body::BodyRef;
use crate::store::RowId;

/// The right to deliver one row, and what a delivery must know.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    pub(crate) id: RowId,
    pub(crate) queue_id: QueueId,
    pub(crate) reverse_path: String,
    pub(crate) as_given: Option<String>,
    pub(crate) tenant: String,
    pub(crate) body: BodyRef,
    pub(crate) received_ms: i64,
    pub(crate) search_first: bool,
}

impl Claim {
    /// The row.
    pub fn row(&self) -> &RowId {
        &self.id
    }

    /// Recipient identity.
    pub fn identity(&self) -> &str {
        &self.id.rcpt
    }

    /// The address as given in RCPT: what goes out.
    pub fn as_given(&self) -> &str {
        self.as_given.as_deref().unwrap_or(&self.id.rcpt)
    }

    /// The arrival whose body is delivered.
    pub fn queue_id(&self) -> QueueId {
        self.queue_id
    }

    /// Reverse-path, empty for `<>`.
    pub fn reverse_path(&self) -> &str {
        &self.reverse_path
    }

    /// The tenant, by default the domain.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Where the body lies.
    pub fn body(&self) -> &BodyRef {
        &self.body
    }

    /// When it was received, milliseconds since 1970.
    pub fn received_ms(&self) -> i64 {
        self.received_ms
    }

    /// It may have been delivered before this process began or at an earlier attempt: the mailbox
    /// is searched for it first.
    pub fn search_first(&self) -> bool {
        self.search_first
    }
}
