//! A storm as the store keeps it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use quell_mail::key::{ExactKey, LedgerKey};

use crate::evidence::{Evidence, Sample, Slot};
use crate::facts::{Ms, SourceId};
use crate::sources::{SourceCount, Sources};
use crate::storm::{ClassCounts, Culprit, CulpritClass, EvidenceLine, MAX_CULPRITS, Storm, StormState};
use crate::storm_id::{NotAStormId, StormId};
use crate::verdict::Class;

/// The version this program writes.
const VERSION: u32 = 3;
/// The oldest that it reads: without culprits, with three classes in a fixed order.
const OLDEST: u32 = 1;

/// A storm's numbers, for any serde format. Its evidence is kept beside it, slot by slot
/// ([`crate::book::Book::take_evidence`]). Version 2 has the culprits, version 3 the classes by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredStorm {
    version: u32,
    id: String,
    state: String,
    first_seen_ms: Ms,
    last_seen_ms: Ms,
    closed_ms: Option<Ms>,
    copies: u64,
    absorbed: u64,
    held: u64,
    delivered: Option<u64>,
    recipients: Option<u64>,
    key: [u8; 16],
    public: [u8; 32],
    by_class: ByClass,
    #[serde(default)]
    released: bool,
    sources: Vec<(String, u64, u64)>,
    evidence_offered: u64,
    #[serde(default)]
    culprits: Vec<StoredCulprit>,
}

/// Copies by class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum ByClass {
    /// Copies, retry, loop: up to version 2.
    Three([u64; 3]),
    /// By the classes' names.
    Named(BTreeMap<String, u64>),
}

impl From<&ClassCounts> for ByClass {
    fn from(counts: &ClassCounts) -> Self {
        let counted = Class::ALL.into_iter().filter(|class| counts.of(*class) > 0);
        Self::Named(counted.map(|class| (class.name().to_owned(), counts.of(class))).collect())
    }
}

impl From<ByClass> for ClassCounts {
    fn from(stored: ByClass) -> Self {
        let mut counts = Self::default();
        match stored {
            ByClass::Three([copies, retry, loops]) => {
                for (class, n) in [(Class::Copies, copies), (Class::Retry, retry), (Class::Loop, loops)] {
                    counts.add_many(class, n);
                }
            }
            // A class that this program does not know was one of a later version: a copy at least.
            ByClass::Named(named) => named.into_iter().for_each(|(name, n)| {
                counts.add_many(Class::from_name(&name).unwrap_or(Class::Copies), n);
            }),
        }
        counts
    }
}

/// As [`Culprit`]; the evidence lines with file and offset, of which a running server has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCulprit {
    host: Option<String>,
    ip: Option<IpAddr>,
    names: Vec<String>,
    software: Option<String>,
    class: Option<String>,
    copies: Option<u64>,
    share_permille: Option<u16>,
    confidence_permille: Option<u16>,
    first_seen_ms: Option<Ms>,
    last_seen_ms: Option<Ms>,
    interval_ms: Option<Ms>,
    evidence: Vec<(String, Option<String>, Option<u64>)>,
}

/// Why a stored storm cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadStorm {
    /// Written by a newer program.
    #[error("a storm of version {0}; this program reads up to {VERSION}")]
    Version(u32),
    /// A bad id.
    #[error(transparent)]
    Id(#[from] NotAStormId),
    /// A state that there is not.
    #[error("no state of a storm: {0:?}")]
    State(String),
}

impl From<&Storm> for StoredStorm {
    fn from(storm: &Storm) -> Self {
        let sources = storm.sources.top();
        Self {
            version: VERSION,
            id: storm.id.to_string(),
            state: storm.state.name().to_owned(),
            first_seen_ms: storm.first_seen_ms,
            last_seen_ms: storm.last_seen_ms,
            closed_ms: storm.closed_ms,
            copies: storm.copies,
            absorbed: storm.absorbed,
            held: storm.held,
            delivered: storm.delivered,
            recipients: storm.recipients,
            key: storm.key.0,
            public: storm.keys.first().map_or([0; 32], |k| k.0),
            by_class: ByClass::from(&storm.by_class),
            released: storm.released,
            sources: sources.iter().map(|c| (c.source.0.clone(), c.copies, c.over)).collect(),
            evidence_offered: storm.evidence.offered(),
            culprits: storm.culprits.iter().map(StoredCulprit::from).collect(),
        }
    }
}

impl StoredStorm {
    /// When it ended; None: it has not.
    pub fn closed_ms(&self) -> Option<Ms> {
        self.closed_ms
    }

    /// The storm, with the evidence stored beside it.
    ///
    /// # Errors
    /// [`BadStorm`].
    pub fn with_evidence(self, samples: impl IntoIterator<Item = (Slot, Sample)>) -> Result<Storm, BadStorm> {
        if !(OLDEST..=VERSION).contains(&self.version) {
            return Err(BadStorm::Version(self.version));
        }
        let state = StormState::from_name(&self.state).ok_or(BadStorm::State(self.state))?;
        let sources = self.sources.into_iter().map(|(source, copies, over)| SourceCount {
            source: SourceId(source),
            copies,
            over,
        });
        Ok(Storm {
            id: self.id.parse::<StormId>()?,
            state,
            first_seen_ms: self.first_seen_ms,
            last_seen_ms: self.last_seen_ms,
            closed_ms: self.closed_ms,
            copies: self.copies,
            absorbed: self.absorbed,
            held: self.held,
            delivered: self.delivered,
            recipients: self.recipients,
            keys: vec![ExactKey(self.public)],
            key: LedgerKey(self.key),
            by_class: self.by_class.into(),
            released: self.released,
            sources: Sources::restore(sources),
            culprits: self.culprits.into_iter().take(MAX_CULPRITS).map(Culprit::from).collect(),
            evidence: Evidence::restore(self.evidence_offered, samples),
        })
    }
}

impl From<&Culprit> for StoredCulprit {
    fn from(culprit: &Culprit) -> Self {
        let lines = culprit.evidence.iter();
        Self {
            host: culprit.host.clone(),
            ip: culprit.ip,
            names: culprit.names.clone(),
            software: culprit.software.clone(),
            class: culprit.class.map(|class| class.name().to_owned()),
            copies: culprit.copies,
            share_permille: culprit.share_permille,
            confidence_permille: culprit.confidence_permille,
            first_seen_ms: culprit.first_seen_ms,
            last_seen_ms: culprit.last_seen_ms,
            interval_ms: culprit.interval_ms,
            evidence: lines.map(|line| (line.text.clone(), line.file.clone(), line.offset)).collect(),
        }
    }
}

impl From<StoredCulprit> for Culprit {
    fn from(stored: StoredCulprit) -> Self {
        let lines = stored.evidence.into_iter();
        Self {
            host: stored.host,
            ip: stored.ip,
            names: stored.names,
            software: stored.software,
            class: stored.class.as_deref().and_then(CulpritClass::from_name),
            copies: stored.copies,
            share_permille: stored.share_permille,
            confidence_permille: stored.confidence_permille,
            first_seen_ms: stored.first_seen_ms,
            last_seen_ms: stored.last_seen_ms,
            interval_ms: stored.interval_ms,
            evidence: lines.map(|(text, file, offset)| EvidenceLine { text, file, offset }).collect(),
        }
    }
}
