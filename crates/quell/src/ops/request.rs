//! What can be asked.

use serde::{Deserialize, Serialize};

use quell_storm::facts::Ms;

/// One request. As JSON: an object whose `op` names it; unknown members are errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How the server is: [`super::Status`].
    Status {},
    /// Rows of the ledger, oldest first: [`super::Rows`]. One answer may have fewer rows than
    /// `limit`, even none, and yet a `next`.
    QueueList {
        /// In these states; none: the open ones (waiting, claimed, held, unknown).
        #[serde(default)]
        states: Vec<State>,
        /// Of these only those.
        #[serde(default)]
        filter: Filter,
        /// After this one.
        #[serde(default)]
        after: Option<RowRef>,
        /// At most so many; 1 to [`super::SLICE`].
        limit: usize,
    },
    /// One message and its rows: [`super::Shown`].
    QueueShow {
        /// Its queue id.
        id: String,
        /// Rows after this recipient.
        #[serde(default)]
        after: Option<String>,
    },
    /// Try rows now: [`super::Changed`].
    QueueRetry {
        /// Which.
        target: Target,
        /// Only rows in these states. None: waiting, unknown and failed where an id is given,
        /// else waiting alone, since the others may mean a second sending.
        #[serde(default)]
        states: Vec<State>,
        /// After this one.
        #[serde(default)]
        after: Option<RowRef>,
    },
    /// Take rows out of the queue: [`super::Changed`].
    QueueRemove {
        /// Queue id.
        id: String,
        /// Only for this recipient; none: for all.
        #[serde(default)]
        recipient: Option<String>,
        /// Mark a report to the sender as due, where the sender wants one.
        #[serde(default)]
        report: bool,
        /// After this row.
        #[serde(default)]
        after: Option<RowRef>,
    },
    /// Where mail goes, and what waits for it: [`super::NextHops`].
    NextHops {},
    /// Storms, the last seen first: [`super::Storms`].
    Storms {
        /// At most so many; 1 to [`super::SLICE`].
        limit: usize,
    },
    /// One storm with its evidence: [`super::StormShown`].
    Storm {
        /// Its id.
        id: String,
    },
    /// What is held: [`super::HeldRows`]. One answer may have fewer rows than `limit`, even none, and
    /// yet a `next`.
    StormHeld {
        /// Which.
        which: HeldWhich,
        /// After this row.
        #[serde(default)]
        after: Option<RowRef>,
        /// At most so many; 1 to [`super::SLICE`].
        limit: usize,
    },
    /// Let go what is held, or was and is discarded: [`super::Changed`].
    StormRelease {
        /// Which.
        which: HeldWhich,
        /// After this row.
        #[serde(default)]
        after: Option<RowRef>,
    },
    /// Throw away what is held: [`super::Changed`].
    StormDiscard {
        /// Which.
        which: HeldWhich,
        /// After this row.
        #[serde(default)]
        after: Option<RowRef>,
    },
    /// Send now the digests that would be sent at the end: [`super::Changed`]. Only a running server
    /// makes them, within a minute.
    StormDigest {
        /// Which; no message.
        which: HeldWhich,
        /// After this row.
        #[serde(default)]
        after: Option<RowRef>,
    },
    /// Forget that rows were delivered, so that their messages can be delivered again:
    /// [`super::Forgotten`].
    LedgerForget {
        /// An address or a domain.
        to: String,
        /// Delivered at this time or later; milliseconds since 1970.
        since_ms: Ms,
        /// After this row.
        #[serde(default)]
        after: Option<RowRef>,
    },
    /// Why something was judged so: [`super::Explained`].
    Explain {
        /// A queue id, the 32 hex digits of a key, or a Message-ID.
        what: String,
    },
    /// `quell mailbox add` or `remove` has changed which mailboxes there are. The server looks
    /// again; the desk has nothing to do with it.
    MailboxesChanged {},
    /// About the accounts at providers: [`super::Response::Pickup`], or done. Only a running server has an answer; the desk has nothing to do
    /// with it.
    Pickup {
        /// What.
        ask: super::PickupRequest,
    },
    /// About the users who may sign in: [`super::UsersShown`], or done. The desk has nothing to do with
    /// it.
    Users {
        /// What.
        ask: super::UsersRequest,
    },
}

impl Request {
    /// True if it may change what is kept: its answer is only true once that is durable.
    pub fn changes(&self) -> bool {
        use Request::*;
        match self {
            Status {} | QueueList { .. } | QueueShow { .. } | NextHops {} => false,
            Storms { .. } | Storm { .. } | StormHeld { .. } => false,
            // Users are not kept by the desk, and durable when it is answered.
            Explain { .. } | MailboxesChanged {} | Users { .. } | Pickup { .. } => false,
            QueueRetry { .. } | QueueRemove { .. } | LedgerForget { .. } => true,
            StormRelease { .. } | StormDiscard { .. } => true,
            // Of a wish nothing is kept.
            StormDigest { .. } => false,
        }
    }
}

/// Which rows to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// Those of a message, or its row for one recipient.
    Message {
        /// Queue id.
        id: String,
        /// Recipient; none: all.
        #[serde(default)]
        recipient: Option<String>,
    },
    /// Those whose recipient is in this domain.
    Domain(String),
    /// Those that go to this next hop, as [`super::RowShown::next_hop`] names it.
    NextHop(String),
    /// All.
    All,
}

/// Rows that are wanted; each member that is there must fit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Recipient: the final address or the one given; letter case does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Domain of the recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Reverse-path; empty or `<>` for the null reverse-path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
}

/// Held mail that is meant: of a storm, of a message, or both; each member that is there must fit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeldWhich {
    /// The storm's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storm: Option<String>,
    /// Recipient: the final address or the one given; letter case does not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The message's queue id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Where a list goes on: the row it last looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowRef {
    /// Queue id of the key's first arrival.
    pub key: String,
    /// Recipient identity.
    pub recipient: String,
}

/// States of a row as people see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// To be delivered.
    Waiting,
    /// Being delivered at this moment.
    Claimed,
    /// In a Maildir, or taken by an LMTP server.
    Delivered,
    /// Taken by a next hop.
    Relayed,
    /// Given up.
    Failed,
    /// Kept for a person to decide.
    Held,
    /// Sent, and the answer is not known.
    Unknown,
    /// Thrown away.
    Discarded,
}

impl State {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Claimed,
        Self::Delivered,
        Self::Relayed,
        Self::Failed,
        Self::Held,
        Self::Unknown,
        Self::Discarded,
    ];

    /// The name in JSON, in tables and at the shell.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Claimed => "claimed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Unknown => "unknown",
            Self::Discarded => "discarded",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{text}` is no state; these are: {names}")
        })
    }
}
