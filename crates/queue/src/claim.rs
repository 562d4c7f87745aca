//! Claims: the right to deliver one row. Only the door gives them, one at a time for each row, and
//! they cannot be copied.

use quell_mail::id::QueueId;
use quell_storm::facts::Notify;

use crate::body::BodyRef;
use crate::store::RowId;

/// The right to deliver one row, and what a delivery must know.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    pub(crate) id: RowId,
    /// No other claim of this door has it.
    pub(crate) number: u64,
    pub(crate) queue_id: QueueId,
    pub(crate) reverse_path: String,
    pub(crate) as_given: Option<String>,
    pub(crate) tenant: String,
    pub(crate) body: BodyRef,
    pub(crate) received_ms: i64,
    pub(crate) search_first: bool,
    pub(crate) house_only: bool,
    /// The row was Unknown when it was claimed.
    pub(crate) unknown: bool,
    pub(crate) size_bytes: u64,
    pub(crate) smtputf8: bool,
    pub(crate) envid: Option<String>,
    pub(crate) ret_full: Option<bool>,
    pub(crate) notify: Option<Notify>,
    pub(crate) orcpt: Option<String>,
    pub(crate) sendings: u32,
    pub(crate) attempts: u32,
}

/// Which claim: when its row is claimed again, that is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimId {
    pub(crate) row: RowId,
    pub(crate) number: u64,
}

impl Claim {
    /// Which one it is, for whoever answers for it.
    pub fn which(&self) -> ClaimId {
        ClaimId { row: self.id.clone(), number: self.number }
    }

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

    /// It may go to a mailbox or the next hop of one of our domains, and nowhere else: it was collected.
    pub fn is_for_the_house(&self) -> bool {
        self.house_only
    }

    /// Bytes of the message as received, without our own `Received`.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// MAIL had SMTPUTF8 when the message came in (RFC 6531 §3.4).
    pub fn smtputf8(&self) -> bool {
        self.smtputf8
    }

    /// ENVID as given (RFC 3461 §4.4).
    pub fn envid(&self) -> Option<&str> {
        self.envid.as_deref()
    }

    /// RET (RFC 3461 §4.3): FULL is true, HDRS false; None if absent.
    pub fn ret_full(&self) -> Option<bool> {
        self.ret_full
    }

    /// NOTIFY (RFC 3461 §4.1): what any of the row's copies with this reverse-path wants; NEVER only
    /// if all say so. None if absent.
    pub fn notify(&self) -> Option<Notify> {
        self.notify
    }

    /// ORCPT as given (RFC 3461 §4.2), by the first copy with this reverse-path that gave one.
    pub fn orcpt(&self) -> Option<&str> {
        self.orcpt.as_deref()
    }

    /// Attempts before this one that reached the dot.
    pub fn sendings(&self) -> u32 {
        self.sendings
    }

    /// Attempts before this one.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}
