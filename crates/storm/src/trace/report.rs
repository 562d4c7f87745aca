//! What the trace says: of an archive, of a group of copies, and what there is to show of it.
//!
//! [`Report`] serialises to exactly the JSON of `quell trace --json` (DESIGN, "Fixed points"); the
//! pictures stand beside it and are not part of that.

use std::net::IpAddr;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::facts::Ms;
use crate::storm::{Culprit, EvidenceLine, rfc3339};

/// What was found in an archive.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Report {
    /// Messages read.
    pub messages: u64,
    /// Of these, messages that are no copy of another.
    pub singles: u64,
    /// Messages that could not be read.
    pub damaged: u64,
    /// Groups of two or more copies, those with culprits first, then by size.
    pub groups: Vec<Group>,
}

/// What a group of copies turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// A server made copies of it.
    Culprit,
    /// A sender sent it again because the answer was late or lost.
    Retry,
    /// It goes round.
    Loop,
    /// One copy each: a list, a publisher, an alias.
    List,
    /// There are copies, each of them has a good reason.
    NoCulprit,
    /// There are copies without a reason, and nothing that says who made them.
    CannotTell,
}

impl Finding {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Culprit => "culprit",
            Self::Retry => "retry",
            Self::Loop => "loop",
            Self::List => "list",
            Self::NoCulprit => "no_culprit",
            Self::CannotTell => "cannot_tell",
        }
    }
}

/// Copies of one message.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The key in public form: 32 hex digits.
    pub key: String,
    /// The subject of the original, decoded; empty where there is none.
    pub subject: String,
    /// The Message-IDs, that of the original first; at most [`MAX_IDS`].
    pub message_ids: Vec<String>,
    /// Messages of the group.
    pub copies: u64,
    /// Distinct recipients.
    pub recipients: u64,
    /// When its first message arrived, by the newest stamp.
    pub first_seen_ms: Option<Ms>,
    /// When its last message arrived.
    pub last_seen_ms: Option<Ms>,
    /// The servers that made copies, most copies first.
    pub culprits: Vec<Culprit>,
    /// What it is.
    pub finding: Finding,
    /// The finding in plain sentences, for people who have never read a header.
    pub words: Vec<String>,
    /// The ways the copies went.
    pub tree: Tree,
    /// When they came.
    pub timeline: Timeline,
    /// Copies laid side by side, at most a few for each culprit.
    pub comparisons: Vec<Comparison>,
}

/// Message-IDs named of a group.
pub const MAX_IDS: usize = 100;

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut form = serializer.serialize_struct("Group", 9)?;
        form.serialize_field("key", &self.key)?;
        form.serialize_field("subject", &self.subject)?;
        form.serialize_field("message_ids", &self.message_ids)?;
        form.serialize_field("copies", &self.copies)?;
        form.serialize_field("recipients", &self.recipients)?;
        form.serialize_field("first_seen", &self.first_seen_ms.map(rfc3339))?;
        form.serialize_field("last_seen", &self.last_seen_ms.map(rfc3339))?;
        form.serialize_field("culprits", &self.culprits)?;
        form.serialize_field("verdict", &self.finding)?;
        form.end()
    }
}

/// What a machine in the picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Where the message comes from.
    Origin,
    /// A server that handed on what it got.
    Server,
    /// It made copies: index into [`Group::culprits`].
    Culprit(usize),
    /// Where copies lie: one recipient, or several put together.
    Recipients,
}

/// The ways the copies went, machine by machine, from the origin to the recipients.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tree {
    /// The machines; a parent stands before its children. At most [`MAX_NODES`]; what is beyond is in
    /// `left_out`.
    pub nodes: Vec<TreeNode>,
    /// Ways that are not drawn.
    pub left_out: u64,
}

/// Machines drawn of a group.
pub const MAX_NODES: usize = 60;

/// One machine on one of the ways.
#[derive(Debug, Clone, PartialEq)]
pub struct TreeNode {
    /// From where it came: index into [`Tree::nodes`]. None: here it begins.
    pub parent: Option<usize>,
    /// Its name; for recipients how many, or the address of the only one.
    pub name: String,
    /// Its address, where a stamp tells.
    pub ip: Option<IpAddr>,
    /// What it is.
    pub role: Role,
    /// Messages of the group that went this way.
    pub copies: u64,
    /// Distinct recipients that they were for.
    pub recipients: u64,
    /// Here the copies part: one message came in, several went out to the same recipient.
    pub parting: bool,
    /// Distinct messages that came in here, by the stamps up to here: the "1 in" of "1 in, 46 out".
    /// None: not known.
    pub came_in: Option<u64>,
}

/// When the copies came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timeline {
    /// The arrivals, or a fair sample of them, by time; at most [`MAX_POINTS`].
    pub points: Vec<Point>,
}

/// Arrivals drawn of a group.
pub const MAX_POINTS: usize = 2_000;

/// One arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// When, by its newest stamp.
    pub at_ms: Ms,
    /// Who made it: index into [`Group::culprits`]. None: an original, or nobody knows.
    pub culprit: Option<usize>,
}

/// Two copies for the same recipient, stamp by stamp.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Whom it convicts: index into [`Group::culprits`].
    pub culprit: usize,
    /// What to look at, in a sentence.
    pub what: String,
    /// For whom both were. Never shown to strangers.
    pub recipient: String,
    /// The stamps of the first, oldest first.
    pub left: Side,
    /// The stamps of the second.
    pub right: Side,
    /// Stamps from the oldest on that are equal in both; they part at the next.
    pub shared: usize,
}

/// One of two copies.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// Its Message-ID, as written.
    pub message_id: Option<String>,
    /// Its file.
    pub file: Option<String>,
    /// Where it begins there, in bytes.
    pub offset: Option<u64>,
    /// Its stamps, oldest first.
    pub stamps: Vec<Stamp>,
}

/// One `Received` field, for people.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stamp {
    /// The whole field, unfolded, as it stands there.
    pub text: String,
    /// The server that wrote it.
    pub by: Option<String>,
    /// The sender that it names.
    pub from: Option<String>,
    /// The sender's address.
    pub ip: Option<IpAddr>,
    /// Its id.
    pub id: Option<String>,
    /// The recipient it names. Never shown to strangers.
    pub for_: Option<String>,
    /// Its time.
    pub at_ms: Option<Ms>,
}

/// All evidence lines of a group, of all culprits, in their order.
pub fn evidence(group: &Group) -> impl Iterator<Item = &EvidenceLine> {
    group.culprits.iter().flat_map(|culprit| &culprit.evidence)
}
