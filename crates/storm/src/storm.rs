//! A storm: many copies of one message, as one incident.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use quell_mail::key::{ExactKey, LedgerKey};

use crate::evidence::Evidence;
use crate::facts::Ms;
use crate::sources::Sources;
use crate::storm_id::StormId;
use crate::verdict::Class;

/// What a storm is doing. Legal steps: Open ↔ Quiet, Quiet → Closed, Open or Quiet → Discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StormState {
    /// Copies are coming.
    Open,
    /// None for `quiet_after_ms`; one more opens it again.
    Quiet,
    /// None for `closed_after_ms`; it has left memory.
    Closed,
    /// A person threw it away. Copies still count until it ends, then `closed_ms` says when.
    Discarded,
}

impl StormState {
    /// The name in the API and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Quiet => "quiet",
            Self::Closed => "closed",
            Self::Discarded => "discarded",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Open, Self::Quiet, Self::Closed, Self::Discarded].into_iter().find(|s| s.name() == name)
    }
}

/// Copies seen by class, since the storm opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassCounts([u64; Class::ALL.len()]);

impl ClassCounts {
    /// Counts one copy; one that has no class of storms is a copy.
    pub fn add(&mut self, class: Class) {
        self.add_many(class, 1);
    }

    /// Counts `n` copies.
    pub fn add_many(&mut self, class: Class, n: u64) {
        let class = if class == Class::New { Class::Copies } else { class };
        self.0[class as usize] = self.0[class as usize].saturating_add(n);
    }

    /// How many are of `class`.
    pub fn of(&self, class: Class) -> u64 {
        self.0[class as usize]
    }

    /// The classes that have some, or are those of every storm of copies.
    pub fn named(&self) -> impl Iterator<Item = (Class, u64)> {
        let always = |class| matches!(class, Class::Copies | Class::Retry | Class::Loop);
        let is_of_copies = Class::ALL.into_iter().all(|class| always(class) || self.of(class) == 0);
        let counts = Class::ALL.into_iter().map(|class| (class, self.of(class)));
        counts.filter(move |(class, n)| *n > 0 || (is_of_copies && always(*class)))
    }

    /// The class of most copies; where two are equal, copies.
    pub fn most(&self) -> Class {
        let leads = |class: &Class| {
            Class::ALL.iter().all(|other| other == class || self.of(*other) < self.of(*class))
        };
        Class::ALL.into_iter().find(leads).unwrap_or(Class::Copies)
    }
}

/// A storm. It serialises to exactly the JSON of the API (DESIGN, "Fixed points"); what the store
/// keeps is [`crate::stored::StoredStorm`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storm {
    /// Its name.
    pub id: StormId,
    /// Its state.
    pub state: StormState,
    /// When the key was first seen, or first seen again after its last storm.
    pub first_seen_ms: Ms,
    /// When the last copy came.
    pub last_seen_ms: Ms,
    /// When it ended. None while it is in memory.
    pub closed_ms: Option<Ms>,
    /// Pairs of an arrival and a recipient whose row existed, those before it opened included.
    pub copies: u64,
    /// Of these, absorbed.
    pub absorbed: u64,
    /// Of these, held.
    pub held: u64,
    /// Recipient rows delivered; from the ledger, by [`crate::book::Book::set_rows`]. None: not
    /// asked yet.
    pub delivered: Option<u64>,
    /// Distinct recipients; likewise.
    pub recipients: Option<u64>,
    /// Its keys in public form; one in this version.
    pub keys: Vec<ExactKey>,
    /// Its key in the ledger.
    pub key: LedgerKey,
    /// Copies by class, since it opened.
    pub by_class: ClassCounts,
    /// A person released all of it: what still comes of it is not suspected again.
    pub released: bool,
    /// Who brought the copies since it opened.
    pub sources: Sources,
    /// The servers that made the copies, as the trace last said
    /// ([`crate::book::Book::name_culprits`]); at most [`MAX_CULPRITS`].
    pub culprits: Vec<Culprit>,
    /// Header sets.
    pub evidence: Evidence,
}

impl Storm {
    /// Its class: that of most of its copies; where two are equal, copies.
    pub fn class(&self) -> Class {
        self.by_class.most()
    }
}

impl Serialize for Storm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut form = serializer.serialize_struct("Storm", 11)?;
        form.serialize_field("id", self.id.as_str())?;
        form.serialize_field("class", self.class().name())?;
        form.serialize_field("state", self.state.name())?;
        form.serialize_field("first_seen", &rfc3339(self.first_seen_ms))?;
        form.serialize_field("last_seen", &rfc3339(self.last_seen_ms))?;
        form.serialize_field("copies", &self.copies)?;
        form.serialize_field("absorbed", &self.absorbed)?;
        form.serialize_field("held", &self.held)?;
        form.serialize_field("delivered", &self.delivered)?;
        form.serialize_field("recipients", &self.recipients)?;
        form.serialize_field("culprits", &self.culprits)?;
        form.end()
    }
}

/// Culprits kept of a storm; those of fewest copies go.
pub const MAX_CULPRITS: usize = 16;

/// A server that made copies. What is not known is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// Its name, where a stamp names it.
    pub host: Option<String>,
    /// Its address, as the next honest server saw it.
    pub ip: Option<std::net::IpAddr>,
    /// All names it goes by.
    pub names: Vec<String>,
    /// What it runs.
    pub software: Option<String>,
    /// What it does.
    pub class: Option<CulpritClass>,
    /// Copies it made.
    pub copies: Option<u64>,
    /// Its part of all copies, in thousandths.
    pub share_permille: Option<u16>,
    /// How sure that is, in thousandths.
    pub confidence_permille: Option<u16>,
    /// Its first copy.
    pub first_seen_ms: Option<Ms>,
    /// Its last copy.
    pub last_seen_ms: Option<Ms>,
    /// Its rhythm: milliseconds between two copies.
    pub interval_ms: Option<Ms>,
    /// What says so.
    pub evidence: Vec<EvidenceLine>,
}

impl Culprit {
    /// Whether both speak of one machine: by address; where one has none, by a name that both go by; and
    /// two that nobody can name are one if they do the same.
    pub fn is_same_machine(&self, other: &Self) -> bool {
        match (self.ip, other.ip) {
            (Some(a), Some(b)) => a == b,
            _ if self.is_named() && other.is_named() => self
                .names
                .iter()
                .chain(&self.host)
                .any(|n| other.names.iter().chain(&other.host).any(|o| n == o)),
            _ => !self.is_named() && !other.is_named() && self.class == other.class,
        }
    }

    fn is_named(&self) -> bool {
        self.ip.is_some() || self.host.is_some()
    }
}

impl Serialize for Culprit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut form = serializer.serialize_struct("Culprit", 12)?;
        form.serialize_field("host", &self.host)?;
        form.serialize_field("ip", &self.ip)?;
        form.serialize_field("names", &self.names)?;
        form.serialize_field("software", &self.software)?;
        form.serialize_field("class", &self.class)?;
        form.serialize_field("copies", &self.copies)?;
        form.serialize_field("share", &self.share_permille.map(thousandths))?;
        form.serialize_field("confidence", &self.confidence_permille.map(thousandths))?;
        form.serialize_field("first_seen", &self.first_seen_ms.map(rfc3339))?;
        form.serialize_field("last_seen", &self.last_seen_ms.map(rfc3339))?;
        form.serialize_field("interval_s", &self.interval_ms.map(|ms| ms as f64 / 1000.0))?;
        form.serialize_field("evidence", &self.evidence)?;
        form.end()
    }
}

fn thousandths(n: u16) -> f64 {
    f64::from(n) / 1000.0
}

/// What a culprit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CulpritClass {
    /// Sends again what it has sent.
    Resends,
    /// Does not wait for, or does not get, the answer.
    Retries,
    /// Puts mail it has read back into the stream.
    Injects,
    /// Sends round.
    Loops,
}

impl CulpritClass {
    /// The name in the API and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resends => "resends",
            Self::Retries => "retries",
            Self::Injects => "injects",
            Self::Loops => "loops",
        }
    }

    /// The class of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Resends, Self::Retries, Self::Injects, Self::Loops].into_iter().find(|c| c.name() == name)
    }

    /// What such a server does, for a sentence that begins with its name.
    pub fn words(self) -> &'static str {
        match self {
            Self::Resends => "sends out again what had arrived already",
            Self::Retries => "sends the same again and again to the next server, as after a lost answer",
            Self::Injects => "hands in the same message again and again",
            Self::Loops => "sends the message back to a server that had it",
        }
    }
}

/// One line that speaks against a culprit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EvidenceLine {
    /// The line.
    pub text: String,
    /// Where it stands, if in a file.
    pub file: Option<String>,
    /// At which byte of it.
    pub offset: Option<u64>,
}

/// `ms` since 1970 as RFC 3339 in UTC; times no calendar holds become its ends.
pub fn rfc3339(ms: Ms) -> String {
    let end = if ms < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(ms).unwrap_or(end).to_string()
}
