//! A storm as the store keeps it.

use serde::{Deserialize, Serialize};

use quell_mail::key::{ExactKey, LedgerKey};

use crate::evidence::{Evidence, Sample, Slot};
use crate::facts::{Ms, SourceId};
use crate::sources::{SourceCount, Sources};
use crate::storm::{ClassCounts, Storm, StormState};
use crate::storm_id::{NotAStormId, StormId};

/// The version this program writes.
const VERSION: u32 = 1;

/// A storm's numbers, for any serde format. Its evidence is kept beside it, slot by slot
/// ([`crate::book::Book::take_evidence`]). Culprits are not stored in version 1: none are made.
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
    by_class: [u64; 3],
    sources: Vec<(String, u64, u64)>,
    evidence_offered: u64,
}

/// Why a stored storm cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadStorm {
    /// Written by a newer program.
    #[error("a storm of version {0}; this program reads {VERSION}")]
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
            by_class: [storm.by_class.copies, storm.by_class.retry, storm.by_class.loops],
            sources: sources.iter().map(|c| (c.source.0.clone(), c.copies, c.over)).collect(),
            evidence_offered: storm.evidence.offered(),
        }
    }
}

impl StoredStorm {
    /// The storm, with the evidence stored beside it.
    ///
    /// # Errors
    /// [`BadStorm`].
    pub fn with_evidence(self, samples: impl IntoIterator<Item = (Slot, Sample)>) -> Result<Storm, BadStorm> {
        if self.version != VERSION {
            return Err(BadStorm::Version(self.version));
        }
        let state = StormState::from_name(&self.state).ok_or(BadStorm::State(self.state))?;
        let [copies, retry, loops] = self.by_class;
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
            by_class: ClassCounts { copies, retry, loops },
            sources: Sources::restore(sources),
            culprits: Vec::new(),
            evidence: Evidence::restore(self.evidence_offered, samples),
        })
    }
}
