//! The records a store keeps.

use std::fmt;

use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;
use quell_storm::facts::{Answered, Ms, Notify, RowState, SourceId};
use quell_storm::verdict::Permit;
use serde::{Deserialize, Serialize};

use crate::body::BodyRef;

/// Names one ledger row: the key's ascending number and the recipient identity. `kid` is the queue
/// id of the first arrival with that key, or the arrival's own id where there is no exact key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId {
    /// Number of the key.
    pub kid: QueueId,
    /// Recipient identity.
    pub rcpt: String,
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.kid, self.rcpt)
    }
}

/// One exact key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// The key in its stored, keyed form.
    pub key: LedgerKey,
    /// Its number.
    pub kid: QueueId,
    /// Version of the exact key's recipe.
    pub key_version: u8,
    /// Which secret it was keyed with.
    pub secret_id: u8,
    /// When it was last seen; exact to a minute after a crash.
    pub last_seen_ms: Ms,
    /// Copies in all, ever; a crash may lose a minute of them.
    pub copies: u64,
    /// How many copies there were when its last storm ended: the next one's numbers begin there.
    pub base_copies: u64,
    /// When its last storm ended; None: it never had one that did.
    pub storm_ended_ms: Option<Ms>,
    /// The last copies' times ([`quell_storm::window::CopyTimes`]).
    pub times: Vec<u8>,
}

/// One arrival that was stored: the envelope and the body its rows share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Its id.
    pub queue_id: QueueId,
    /// The key it is kept under.
    pub kid: QueueId,
    /// Who brought it.
    pub source: SourceId,
    /// Reverse-path, empty for `<>`.
    pub reverse_path: String,
    /// ENVID.
    pub envid: Option<String>,
    /// RET (RFC 3461 §4.3): FULL is true, HDRS false; None if absent.
    pub ret_full: Option<bool>,
    /// MAIL had SMTPUTF8 (RFC 6531 §3.4).
    pub smtputf8: bool,
    /// When its final dot was read.
    pub received_ms: Ms,
    /// Bytes as received.
    pub size_bytes: u64,
    /// Its Message-ID, for people.
    pub message_id: Option<String>,
    /// It carried one of our tokens.
    pub by_redirect: bool,
    /// How it was answered.
    pub answered: Answered,
    /// Rows that still need the body.
    pub open: u32,
    /// Rows that nothing more happens to by itself, and that ask for the body for a time.
    pub asking: u32,
    /// The latest time that they ask for; None: none does.
    pub release_ms: Option<Ms>,
    /// Reports made of it and, at the first arrival of a key, of all with that key.
    pub reports: u32,
    /// Where the body lies; None once nobody needs it.
    pub body: Option<BodyRef>,
}

impl Arrival {
    /// True if some row needs the body or asks for it.
    pub fn is_wanted(&self) -> bool {
        self.open > 0 || self.release_ms.is_some()
    }

    /// One row less needs the body; until `keep_until` it asks for it. Returns true if the body is
    /// to be let go.
    pub fn give_up(&mut self, keep_until: Option<Ms>, now: Ms) -> bool {
        self.open = self.open.saturating_sub(1);
        self.asking += u32::from(keep_until.is_some());
        self.release_ms = self.release_ms.max(keep_until);
        self.may_be_released(now)
    }

    /// A row needs the body again; `asked`: it was one of those that ask for it.
    pub fn take_back(&mut self, asked: bool) {
        self.open += 1;
        self.asking = self.asking.saturating_sub(asked.into());
        if self.asking == 0 {
            self.release_ms = None;
        }
    }

    /// True if no row needs the body, and the time is over that any has asked for.
    pub fn may_be_released(&self, now: Ms) -> bool {
        self.open == 0 && self.release_ms.is_none_or(|at| at <= now)
    }
}

/// One ledger row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which one.
    pub id: RowId,
    /// The arrival whose body it has.
    pub queue_id: QueueId,
    /// Its state. Claimed-and-opened lives in memory only and shows here as Waiting.
    pub state: RowState,
    /// When it came into that state.
    pub since_ms: Ms,
    /// When it is to be tried next (Waiting, Unknown).
    pub next_ms: Ms,
    /// The domain, by default.
    pub tenant: String,
    /// The gateway that owns it.
    pub gateway: u8,
    /// Version of the exact key's recipe; 0 without an exact key.
    pub key_version: u8,
    /// Attempts begun.
    pub attempts: u32,
    /// Attempts that reached the dot.
    pub sendings: u32,
    /// Copies in all.
    pub copies: u32,
    /// When the last copy came; 0 if none.
    pub last_copy_ms: Ms,
    /// The last copies' times.
    pub times: Vec<u8>,
    /// The last outcome in words: enhanced status code and text.
    pub status: String,
    /// What few rows have.
    pub extra: Extra,
}

/// The rarer parts of a row, stored as JSON, and not at all where all are as by default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Extra {
    /// The address as given, where it differs from the identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_given: Option<String>,
    /// It may have been delivered: an answer once stayed away. For good.
    #[serde(skip_serializing_if = "is_false")]
    pub maybe_delivered: bool,
    /// A report is due to the sender (RFC 3464), not yet made.
    #[serde(skip_serializing_if = "is_false")]
    pub report_due: bool,
    /// Who was told what of it, at most [`MAX_ENVELOPES`] and one; who was told the longest ago gives
    /// way to a further one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<Told>,
    /// Copies that were refused beside recipients who were taken, and of which the senders are to be
    /// told; one of each reverse-path, at most [`MAX_ENVELOPES`]. Further ones are not told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedCopy>,
    /// It was relayed to a next hop that reports success itself to the arrival's reverse-path.
    #[serde(skip_serializing_if = "is_false")]
    pub next_hop_reports: bool,
    /// Failed about the recipient.
    #[serde(skip_serializing_if = "is_false")]
    pub failed_recipient: bool,
    /// Discarded by `queue remove`.
    #[serde(skip_serializing_if = "is_false")]
    pub removed: bool,
    /// Starts of new lives within the last day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lives_ms: Vec<Ms>,
    /// When its present life began, if that is not its arrival.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub life_ms: Option<Ms>,
    /// The class a person exempted it from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exempt: Option<String>,
    /// It may go to a mailbox or the next hop of one of our domains only: the permit by which its body was
    /// stored says so ([`RowWrite::by_permit`]).
    #[serde(skip_serializing_if = "is_false")]
    pub house_only: bool,
    /// Why it is held: the reason's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_for: Option<String>,
    /// The same in the operator's words, with the numbers of that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The storm it is held for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storm: Option<String>,
    /// Of what is held the message's author (From), for the operator; at most [`MAX_SAID_CHARS`]
    /// characters, decoded. Never for a log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Its Subject, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The envelopes of the first arrival and of copies that joined, at most [`MAX_ENVELOPES`],
    /// kept where they ask for more than the default or differ from the arrival's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub envelopes: Vec<Envelope>,
}

fn is_false(b: &bool) -> bool {
    !*b
}

/// Characters kept of the author and of the subject of what is held.
pub const MAX_SAID_CHARS: usize = 200;

/// Distinct envelopes a row keeps; those of further copies are counted, not kept.
pub const MAX_ENVELOPES: usize = 16;

/// What a report must know of one copy (RFC 3461).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Envelope {
    /// Reverse-path, empty for `<>`.
    pub reverse_path: String,
    /// ENVID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envid: Option<String>,
    /// RET: FULL is true, HDRS false; None if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ret_full: Option<bool>,
    /// NOTIFY as letters of `nsfd` (never, success, failure, delay); None if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<String>,
    /// ORCPT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orcpt: Option<String>,
}

/// A copy that was refused for one recipient while others of its transaction were taken: the answer
/// was 250, so only a report can tell its sender.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RefusedCopy {
    /// Who is to be told.
    pub envelope: Envelope,
    /// Why: enhanced status code and text.
    pub status: String,
    /// When.
    pub at_ms: Ms,
}

/// What one reverse-path was told of a row.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// The reverse-path.
    pub to: String,
    /// When the last report of what became of the row was made for it; 0: none was.
    #[serde(skip_serializing_if = "is_zero")]
    pub at_ms: Ms,
    /// It was told, or was not to be told, that the row is delayed.
    #[serde(skip_serializing_if = "is_false")]
    pub delay: bool,
}

fn is_zero(ms: &Ms) -> bool {
    *ms == 0
}

impl Envelope {
    /// True if the two want the same told to the same. How much of the message a report returns is no
    /// wish of its own: the first one's RET stands.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.reverse_path, &self.envid, &self.notify, &self.orcpt)
            == (&other.reverse_path, &other.envid, &other.notify, &other.orcpt)
    }

    /// True if it asks for NOTIFY=SUCCESS, and can be told.
    pub fn wants_success(&self) -> bool {
        !self.reverse_path.is_empty() && self.notify.as_deref().is_some_and(|n| n.contains('s'))
    }

    /// True if it is to be told of a failure: NOTIFY=FAILURE, or no NOTIFY at all (RFC 3461 §4.1).
    pub fn wants_failure(&self) -> bool {
        !self.reverse_path.is_empty() && self.notify.as_deref().is_none_or(|n| n.contains('f'))
    }

    /// True if it is to be told of a delay: NOTIFY=DELAY, or no NOTIFY at all.
    pub fn wants_delay(&self) -> bool {
        !self.reverse_path.is_empty() && self.notify.as_deref().is_none_or(|n| n.contains('d'))
    }

    /// NOTIFY, read back.
    pub fn wishes(&self) -> Option<Notify> {
        let letters = self.notify.as_deref()?;
        let has = |letter| letters.contains(letter);
        Some(Notify { never: has('n'), success: has('s'), failure: has('f'), delay: has('d') })
    }

    /// NOTIFY in its stored form.
    pub fn letters(notify: Notify) -> String {
        let all = [(notify.never, 'n'), (notify.success, 's'), (notify.failure, 'f'), (notify.delay, 'd')];
        all.iter().filter(|(on, _)| *on).map(|(_, letter)| *letter).collect()
    }
}

/// A write of a row. To bring one into being, or to give one a new body, takes the judge's permit.
#[derive(Debug)]
pub enum RowWrite {
    /// A new row, a new life, or a body that takes a row over.
    ByPermit(Row, Permit),
    /// A legal step of a row that exists. It goes as far as it did before.
    Step(Row),
}

impl RowWrite {
    /// A row that goes as far as the permit of its body.
    pub fn by_permit(mut row: Row, permit: Permit) -> Self {
        row.extra.house_only = permit.is_for_the_house();
        Self::ByPermit(row, permit)
    }

    /// The row as it will stand.
    pub fn row(&self) -> &Row {
        match self {
            Self::ByPermit(row, _) | Self::Step(row) => row,
        }
    }
}

/// New counts of a row. Unlike a step it may find the row gone: counts may be lost, rows never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// Which row.
    pub id: RowId,
    /// Copies in all.
    pub copies: u32,
    /// When the last copy came.
    pub last_copy_ms: Ms,
    /// The last copies' times.
    pub times: Vec<u8>,
}

/// What becomes durable together.
#[derive(Debug, Default)]
pub struct Batch {
    /// New or changed keys.
    pub keys: Vec<KeyRow>,
    /// New or changed arrivals.
    pub arrivals: Vec<Arrival>,
    /// Rows.
    pub rows: Vec<RowWrite>,
    /// Counts of rows.
    pub touches: Vec<Touch>,
    /// Rows to forget (withdrawn, or `ledger forget`).
    pub forget: Vec<RowId>,
    /// Arrivals to forget.
    pub forget_arrivals: Vec<(QueueId, QueueId)>,
    /// New or changed storms.
    pub storms: Vec<StoredStorm>,
    /// Whole evidence of those storms that are named in it.
    pub evidence: Vec<StoredEvidence>,
    /// The clock's new high-water mark.
    pub high_water: Option<Ms>,
}

impl Batch {
    /// True if there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
            && self.arrivals.is_empty()
            && self.rows.is_empty()
            && self.touches.is_empty()
            && self.forget.is_empty()
            && self.forget_arrivals.is_empty()
            && self.storms.is_empty()
            && self.evidence.is_empty()
            && self.high_water.is_none()
    }
}

/// A body that is still needed, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBody {
    /// The key.
    pub kid: QueueId,
    /// The arrival.
    pub queue_id: QueueId,
    /// Where it lies.
    pub body: BodyRef,
}

/// Rows of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All.
    pub recipients: u64,
    /// Delivered or Relayed.
    pub delivered: u64,
}

/// A storm as stored: what the API shows, and what the book needs to go on after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredStorm {
    /// `[a-z0-9]{16}`.
    pub id: String,
    /// Not yet closed or discarded.
    pub open: bool,
    /// For sorting and retention.
    pub last_seen_ms: Ms,
    /// The storm as JSON.
    pub json: String,
}

/// One header set kept of a storm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvidence {
    /// The storm.
    pub storm: String,
    /// Place in its order; the same (storm, place) is overwritten.
    pub place: u8,
    /// When it was written: for retention.
    pub at_ms: Ms,
    /// The sample ([`quell_storm::evidence::Sample::to_bytes`]).
    pub sample: Vec<u8>,
}
