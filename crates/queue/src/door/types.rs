//! What goes in at the door and what comes out.

use std::collections::HashMap;
use std::sync::Arc;

use quell_mail::id::QueueId;
use quell_mail::key::ExactKey;
use quell_storm::facts::{Facts, SourceId};
use quell_storm::limits::Limits;
use quell_storm::signs::{ClassSet, Signs};
use quell_storm::tell::Alert;
use quell_storm::verdict::Reason;

use super::reports::ReportToken;
use crate::body::{BodyRef, FinishedLarge};
use crate::store::{Batch, RowId};

/// What the door must know.
#[derive(Debug, Clone)]
pub struct DoorSettings {
    /// Thresholds.
    pub limits: Limits,
    /// This gateway's number, in its queue ids and rows.
    pub gateway: u8,
}

/// The bytes of an arrival.
#[derive(Debug)]
pub enum Bytes {
    /// Held in memory.
    Small(Vec<u8>),
    /// Streamed to the body store while it came in.
    Large(FinishedLarge),
}

/// One arrival, read whole.
#[derive(Debug)]
pub struct Incoming {
    /// What the judge may know.
    pub facts: Facts,
    /// Our own `Received` field, which goes in front of the bytes. A large body carries it already.
    pub front: Vec<u8>,
    /// The message as received.
    pub bytes: Bytes,
    /// Its header set, for evidence; may be cut.
    pub header: Vec<u8>,
    /// It is the report of a job ([`super::ReportJob`]): what it pays is written with it.
    pub settles: Option<ReportToken>,
}

/// A body to be stored with a batch.
#[derive(Debug)]
pub struct NewBody {
    /// Whose.
    pub queue_id: QueueId,
    /// What goes in front.
    pub front: Vec<u8>,
    /// The message as received.
    pub bytes: Bytes,
}

/// A batch and its bodies. Bodies first: they are appended and synced, their places put into the
/// batch's arrivals, then the batch is committed.
#[derive(Debug)]
pub struct Work {
    /// Its number, ascending.
    pub number: u64,
    /// What becomes durable together.
    pub batch: Batch,
    /// The bodies its arrivals speak of.
    pub bodies: Vec<NewBody>,
}

impl Work {
    /// Puts the places of the bodies into the arrivals.
    pub fn placed(&mut self, places: &[(QueueId, BodyRef)]) {
        let places: HashMap<_, _> = places.iter().copied().collect();
        for arrival in self.batch.arrivals.iter_mut().filter(|a| a.is_wanted()) {
            arrival.body = places.get(&arrival.queue_id).copied().or(arrival.body);
        }
    }
}

/// The one answer to a DATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 250, with one and the same text whether stored, absorbed or held.
    Accepted(QueueId),
    /// 5xx: every recipient is refused.
    Refused(Reason),
    /// 452: the disk is full.
    NoRoom(String),
    /// 451: trouble of our own.
    Trouble(String),
}

/// What is to be done, now that it may be done.
#[derive(Debug)]
pub enum Effect<T> {
    /// Answer an arrival.
    Answer(T, Answer),
    /// Nobody needs this body any more.
    Release(BodyRef),
    /// The outcome of these rows is durable: their records in the dot log are over.
    DotsOver(Vec<RowId>),
    /// A row has failed without anybody having refused it, and that is durable: for the log.
    GivenUp(Box<GivenUp>),
    /// Tell the operator.
    Tell(Box<Alert>),
    /// For the log and for metrics.
    Judged(Arc<Verdicts>),
    /// The store failed: it must be closed, reopened and recovered, and given back with
    /// [`super::Door::reopened`].
    StoreFailed(String),
}

/// A row that quell itself has given up: it has waited too long, or was sent too often without an
/// answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// The arrival whose body it had.
    pub queue_id: QueueId,
    /// Recipient identity.
    pub identity: String,
    /// Reverse-path of the arrival.
    pub reverse_path: String,
    /// Where its mail goes, as the destination's name.
    pub next_hop: String,
    /// Enhanced status code and text.
    pub status: String,
    /// How old its present life was, in milliseconds.
    pub age_ms: i64,
    /// Attempts that reached the dot.
    pub sendings: u32,
    /// An answer stayed away: it may have been delivered.
    pub maybe_delivered: bool,
}

/// The verdicts on one arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdicts {
    /// The arrival.
    pub queue_id: QueueId,
    /// Its exact key.
    pub key: Option<ExactKey>,
    /// Its Message-ID, for people.
    pub message_id: Option<String>,
    /// Reverse-path.
    pub reverse_path: String,
    /// Who brought it.
    pub source: SourceId,
    /// When.
    pub at_ms: i64,
    /// The classes of suspicion that had something to decide on.
    pub opportunities: ClassSet,
    /// What the classes had to compare, for each recipient; empty: nothing for any.
    pub signs: Vec<Signs>,
    /// For each distinct recipient: identity, verdict, reason.
    pub recipients: Vec<(String, &'static str, Reason)>,
}
