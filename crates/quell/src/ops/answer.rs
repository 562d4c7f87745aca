//! What is answered.

use std::collections::BTreeMap;

use quell_queue::store::StoreError;
use serde::{Deserialize, Serialize};

use super::{RowRef, State};

/// One answer. As JSON: an object whose `answer` names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Response {
    /// To `Status`.
    Status(Status),
    /// To `QueueList`.
    Rows(Rows),
    /// To `QueueShow`.
    Shown(Box<Shown>),
    /// To `NextHops`.
    NextHops(NextHops),
    /// To `QueueRetry`, `QueueRemove`, `StormRelease`, `StormDiscard` and `StormDigest`.
    Changed(Changed),
    /// To `Storms`.
    Storms(Storms),
    /// To `Storm`.
    Storm(Box<StormShown>),
    /// To `StormHeld`.
    Held(HeldRows),
    /// To `LedgerForget`.
    Forgotten(Forgotten),
    /// To `Explain`.
    Explained(Explained),
    /// To `Users`, where a list was asked for.
    Users(super::UsersShown),
    /// To `Pickup`, where it was asked how accounts are.
    Pickup {
        /// By name.
        accounts: Vec<crate::pickup::Status>,
    },
    /// Done, and nothing to say.
    Done,
    /// It was not done.
    Error(Failure),
}

impl Response {
    /// An error.
    pub fn error(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Error(Failure { kind, message: message.into() })
    }
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What sort of failure.
    pub kind: ErrorKind,
    /// In words for the operator: what, and what to do.
    pub message: String,
}

/// Sorts of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request makes no sense.
    BadRequest,
    /// There is no such thing.
    NotFound,
    /// Its state does not allow it.
    Conflict,
    /// The store or the desk is away at this moment.
    Away,
}

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// Version of quell.
    pub version: String,
    /// The server's time.
    pub now: String,
    /// Why nothing is accepted or delivered; null: all is well.
    pub trouble: Option<String>,
    /// Open rows by state (waiting, claimed, held, unknown).
    pub queue: BTreeMap<String, u64>,
    /// Storms that have not ended.
    pub storms_open: u64,
    /// Copies that should have opened a storm when the book of storms was full.
    pub storms_not_opened: u64,
}

/// Rows of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rows {
    /// The rows.
    pub rows: Vec<RowShown>,
    /// Where to go on; null: that was all.
    pub next: Option<RowRef>,
}

/// One ledger row: one message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowShown {
    /// Queue id of the arrival whose body it has.
    pub id: String,
    /// Queue id of its key's first arrival.
    pub key: String,
    /// Recipient: the final address.
    pub recipient: String,
    /// The address as given, where it differs.
    pub as_given: Option<String>,
    /// Where it goes: `maildir`, the URL of a next hop, or the domain whose MX is asked.
    pub next_hop: String,
    /// Its state.
    pub state: State,
    /// Of a claimed row: `opened`, or `dot` once the end of the message has gone out.
    pub phase: Option<String>,
    /// Since when.
    pub since: String,
    /// When it is tried next, not before its next hop if that is down; null: not by itself, or now.
    pub next: Option<String>,
    /// It waits for its next hop, which is down; null: it does not, as far as is known.
    #[serde(default)]
    pub down: Option<DownShown>,
    /// Tenant: the recipient's domain.
    pub tenant: String,
    /// Number of the gateway that owns it.
    pub gateway: u8,
    /// Attempts begun.
    pub attempts: u32,
    /// Attempts that reached the dot.
    pub sendings: u32,
    /// Copies that came of it; a crash may lose a minute of them.
    pub copies: u32,
    /// When the last of them came.
    pub last_copy: Option<String>,
    /// The last outcome: enhanced status code and text (RFC 3463).
    pub status: Option<String>,
    /// An answer once stayed away: it may have been delivered.
    pub maybe_delivered: bool,
    /// A report to the sender is due.
    pub report_due: bool,
    /// Why it is held.
    pub held_for: Option<String>,
    /// The storm it is held for.
    #[serde(default)]
    pub storm: Option<String>,
    /// The class of that storm.
    #[serde(default)]
    pub class: Option<String>,
    /// The rule a person exempted it from.
    pub exempt: Option<String>,
    /// Reverse-path, empty for the null one; null: no longer known.
    pub sender: Option<String>,
    /// Bytes of the message as received.
    pub size_bytes: Option<u64>,
    /// When it was received.
    pub received: Option<String>,
}

/// A next hop that is down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownShown {
    /// Since when.
    pub since: String,
    /// When it is tried next; that may be going on.
    pub next: String,
    /// How it failed the last time.
    pub status: String,
}

/// Where mail goes, and what waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NextHops {
    /// Those for which something waits or is under way, and those that are down; by name, at most
    /// [`super::SLICE`]. Of more than that those that are down, then those with the most rows.
    pub next_hops: Vec<NextHopShown>,
    /// How many are left out.
    #[serde(default)]
    pub more: u64,
}

/// One next hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHopShown {
    /// `maildir`, its URL, or the domain whose MX is asked.
    pub next_hop: String,
    /// Rows that are to be tried now.
    pub ready: u64,
    /// Rows that wait for their next time.
    pub waiting: u64,
    /// Rows being delivered at this moment.
    pub claimed: u64,
    /// Since when it is down; null: it is not, as far as is known.
    pub down_since: Option<String>,
    /// When it is tried next, if it is down.
    pub next: Option<String>,
    /// How often it failed since.
    pub failures: u32,
    /// How it failed the last time.
    pub status: Option<String>,
}

/// One message and its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The message.
    pub message: MessageShown,
    /// Rows of its key, in the order of their recipients. Those whose `id` is another's have the
    /// body of another arrival.
    pub rows: Vec<RowShown>,
    /// The recipient to go on after; null: that was all.
    pub next: Option<String>,
}

/// One arrival that was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageShown {
    /// Its queue id.
    pub id: String,
    /// Queue id of its key's first arrival.
    pub key: String,
    /// Reverse-path, empty for the null one.
    pub sender: String,
    /// ENVID (RFC 3461).
    pub envid: Option<String>,
    /// Who brought it: IPv4 address, IPv6 /64 network, or `self`.
    pub source: String,
    /// When its final dot was read.
    pub received: String,
    /// Bytes as received.
    pub size_bytes: u64,
    /// Its Message-ID.
    pub message_id: Option<String>,
    /// It had passed here before: it carries a token of ours.
    pub by_redirect: bool,
    /// Rows that still need the body.
    pub open: u32,
    /// The body is still kept.
    pub body_kept: bool,
}

/// What became of a wish to change rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changed {
    /// Rows changed.
    pub done: u64,
    /// Rows looked at that were not meant, or whose state does not allow it.
    pub skipped: u64,
    /// Why rows that were meant were not changed, the first 20.
    pub refused: Vec<String>,
    /// What became of the storm itself, where one was named as a whole; null: nothing.
    #[serde(default)]
    pub storm: Option<StormDone>,
    /// Where to go on; null: that was all.
    pub next: Option<RowRef>,
}

/// What a person has decided about a whole storm, for what still comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StormDone {
    /// It passes until the storm has ended.
    Released,
    /// It is judged as before; its copies of what was discarded are absorbed.
    Discarded,
}

impl Changed {
    /// Adds what a further slice did, and goes on where that one ended. Of many refusals the first stay.
    pub fn add(&mut self, slice: Self) {
        const MAX_REFUSED: usize = 1_000;
        self.done += slice.done;
        self.skipped += slice.skipped;
        self.refused.extend(slice.refused);
        self.refused.truncate(MAX_REFUSED);
        self.storm = self.storm.or(slice.storm);
        self.next = slice.next;
    }
}

/// Held rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HeldRows {
    /// The rows.
    pub rows: Vec<HeldShown>,
    /// Where to go on; null: that was all.
    pub next: Option<RowRef>,
}

/// One held message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldShown {
    /// Its queue id.
    pub id: String,
    /// Queue id of its key's first arrival.
    pub key: String,
    /// Recipient: the final address.
    pub recipient: String,
    /// Reverse-path, empty for the null one; null: no longer known.
    pub sender: Option<String>,
    /// Its From, and
    #[serde(default)]
    pub author: Option<String>,
    /// its Subject: for the operator, never for a log.
    #[serde(default)]
    pub subject: Option<String>,
    /// Who brought it.
    pub source: Option<String>,
    /// When it was received.
    pub received: Option<String>,
    /// Bytes of the message as received.
    pub size_bytes: Option<u64>,
    /// Since when it is held.
    pub since: String,
    /// Why: the name of the reason.
    pub reason: Option<String>,
    /// The storm it is held for.
    pub storm: Option<String>,
}

/// What `ledger forget` did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Forgotten {
    /// Rows forgotten.
    pub forgotten: u64,
    /// Delivered or relayed rows looked at.
    pub examined: u64,
    /// Where to go on; null: that was all.
    pub next: Option<RowRef>,
}

/// Storms, each as the API has it (see [`quell_storm::storm::Storm`]), with `held_now` (rows; null: not
/// known) and `released`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Storms {
    /// The last seen first.
    pub storms: Vec<serde_json::Value>,
}

/// One storm with what is known beyond the API's form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StormShown {
    /// The storm as the API has it.
    pub storm: serde_json::Value,
    /// Its keys: 32 hex digits each.
    pub keys: Vec<String>,
    /// Copies by class since it opened.
    pub by_class: BTreeMap<String, u64>,
    /// Who brought the copies since it opened, the most first.
    pub sources: Vec<SourceShown>,
    /// There were more sources than are counted.
    pub sources_partial: bool,
    /// Header sets: the first, the last, a sample between; oldest first.
    pub evidence: Vec<SampleShown>,
}

/// One source of a storm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceShown {
    /// IPv4 address, IPv6 /64 network, or `self`.
    pub source: String,
    /// Copies from it, at most.
    pub copies: u64,
    /// By how many that may be too high.
    pub over: u64,
}

/// One copy kept as evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleShown {
    /// Queue id of the arrival.
    pub id: String,
    /// When it came.
    pub time: String,
    /// Who brought it.
    pub source: String,
    /// For whom.
    pub recipient: String,
    /// The `Received` field we gave it.
    pub received: Option<String>,
    /// Its header as it came; bytes that are no UTF-8 become U+FFFD.
    pub header: String,
    /// Bytes the header had; more than `header` has where it was cut.
    pub header_bytes: u64,
}

/// Why arrivals were judged so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Explained {
    /// The storm that was asked for; its last arrival stands below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm: Option<StormExplained>,
    /// Newest first, at most 20.
    pub arrivals: Vec<ArrivalExplained>,
}

/// A storm in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StormExplained {
    /// Its id.
    pub id: String,
    /// Its class.
    pub class: String,
    /// Its state.
    pub state: String,
    /// What it is, its numbers, the threshold, what is done, and which settings would change it.
    pub text: String,
}

/// Why one arrival was judged so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivalExplained {
    /// Its queue id.
    pub id: String,
    /// When it came.
    pub at: String,
    /// Its key: 32 hex digits; null: none, or no longer known.
    pub key: Option<String>,
    /// Its Message-ID.
    pub message_id: Option<String>,
    /// Reverse-path, empty for the null one.
    pub sender: String,
    /// Who brought it.
    pub source: String,
    /// True: the verdicts are remembered (the last 10,000). False: this is what the rows say.
    pub remembered: bool,
    /// Recipients in all; `recipients` has at most [`super::SLICE`] of them.
    pub recipients_total: u64,
    /// For each recipient.
    pub recipients: Vec<RecipientExplained>,
}

/// Why one recipient of an arrival was judged so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientExplained {
    /// Recipient identity.
    pub recipient: String,
    /// pass, absorb, hold, refuse; null: no longer remembered.
    pub verdict: Option<String>,
    /// Class of the rule.
    pub class: Option<String>,
    /// Name of the reason; it does not change between versions.
    pub reason: Option<String>,
    /// In words for the operator.
    pub text: String,
    /// State of the row now; null: there is none, or it is not durable yet.
    pub state: Option<State>,
    /// What became of the row, in words for the operator; null as `state` is.
    #[serde(default)]
    pub became: Option<String>,
}

/// A store that fails while it is read: the caller may try again.
pub(super) fn away(error: StoreError) -> Failure {
    Failure { kind: ErrorKind::Away, message: error.to_string() }
}

pub(super) fn bad(message: impl Into<String>) -> Failure {
    Failure { kind: ErrorKind::BadRequest, message: message.into() }
}

pub(super) fn not_found(message: impl Into<String>) -> Failure {
    Failure { kind: ErrorKind::NotFound, message: message.into() }
}
