//! Contents, and who received them by which way: for `resent` and `reinjected`.

use quell_mail::content::{Content, Fingerprint, Likeness};
use quell_mail::letter::address_hash;

use super::{Looked, Recent};
use crate::facts::{Facts, Ms};
use crate::limits::Limits;
use crate::said::Way;
use crate::signs::Again;

/// Contents of one place that are told apart: of the same author, subject and conversation, with other
/// text. The longest unseen gives way.
const MAX_VERSIONS: usize = 2;
/// Distinct recipients outside that are remembered of one content.
const MAX_ADDRESSED: usize = 4;

/// The contents that have one place.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Contents {
    versions: [Option<Version>; MAX_VERSIONS],
}

/// One content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Version {
    print: Fingerprint,
    id: u64,
    last_ms: Ms,
    /// It came from outside for somebody here.
    came_in: bool,
    /// Low halves of the hashes of recipients outside who stand in its To and Cc; 0: none.
    addressed: [u32; MAX_ADDRESSED],
}

/// The content of an arrival, and which one before it was the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met {
    place: u64,
    id: u64,
    print: Fingerprint,
    is_known: bool,
}

impl Met {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn place(&self) -> u64 {
        self.place
    }

    /// The content that came before, if one did.
    pub(super) fn find<'a>(&self, contents: Option<&'a Contents>) -> Option<&'a Version> {
        contents?.versions.iter().flatten().find(|version| version.id == self.id && self.is_known)
    }
}

impl Version {
    pub(super) fn came_in(&self) -> bool {
        self.came_in
    }
}

/// Arrivals of one content for one recipient.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received {
    first: Way,
    /// The first, and those by another way.
    arrivals: u32,
    last_ms: Ms,
}

/// How many distinct recipients outside stand in To and Cc, those of `before` included; counted up to four.
pub(super) fn addressed(before: Option<&Version>, facts: &Facts) -> u32 {
    let mut all = before.map_or([0; MAX_ADDRESSED], |version| version.addressed);
    add_addressed(&mut all, facts);
    all.iter().filter(|hash| **hash != 0).count() as u32
}

fn add_addressed(all: &mut [u32; MAX_ADDRESSED], facts: &Facts) {
    for recipient in facts.recipients.iter().filter(|r| !r.is_ours) {
        let hash = address_hash(&recipient.as_given);
        if facts.said.letter.addressed.binary_search(&hash).is_err() {
            continue;
        }
        let hash = (hash as u32).max(1);
        if all.contains(&hash) {
            continue;
        }
        let Some(place) = all.iter_mut().find(|place| **place == 0) else { return };
        *place = hash;
    }
}

impl Recent {
    /// Which content the arrival has.
    pub(super) fn meet(&self, facts: &Facts, limits: &Limits, now: Ms) -> Option<Met> {
        let content: &Content = facts.said.content.as_deref()?;
        let print = content.fingerprint();
        let place = self.hash(b"place", &[print.place()]);
        let known = self
            .contents
            .get(place)
            .into_iter()
            .flat_map(|contents| contents.versions.iter().flatten())
            .find(|v| {
                now.saturating_sub(v.last_ms) < limits.resent_window_ms
                    && content.likeness_to(&v.print) != Likeness::Different
            });
        let id = known.map_or_else(|| self.hash(b"content", &[print.place(), print.key()]), |v| v.id);
        Some(Met { place, id, print, is_known: known.is_some() })
    }

    pub(super) fn received_key(&self, facts: &Facts, i: usize, met: &Met) -> u64 {
        let recipient = facts.recipients.get(i).map_or(0, |r| self.text_hash(&r.identity));
        self.hash(b"received", &[met.id, recipient])
    }

    /// What is known of earlier arrivals of this content for recipient `i`; None: this is the first.
    pub(super) fn again(
        &self,
        facts: &Facts,
        i: usize,
        met: &Met,
        limits: &Limits,
        now: Ms,
    ) -> Option<Again> {
        let before = self.received.get(self.received_key(facts, i, met))?;
        if now.saturating_sub(before.last_ms) >= limits.resent_window_ms {
            return None;
        }
        let other_way = way(facts).leaves(&before.first);
        Some(Again {
            arrivals: before.arrivals + u32::from(other_way),
            other_way,
            marked: facts.said.is_marked,
            words: met.print.words(),
        })
    }

    pub(super) fn note_content(
        &mut self,
        facts: &Facts,
        looked: &Looked,
        met: &Met,
        is_new: &[bool],
        limits: &Limits,
        now: Ms,
    ) {
        let came_in = !facts.source.inside && facts.recipients.iter().any(|r| r.is_ours);
        if let Some(contents) = self.contents.entry(met.place, looked.source, now, Contents::default) {
            contents.add(facts, met, came_in, now);
        }
        let way = way(facts);
        for i in (0..facts.recipients.len()).filter(|i| is_new.get(*i) == Some(&true)) {
            let new = || Received { first: way, arrivals: 0, last_ms: now };
            let key = self.received_key(facts, i, met);
            let Some(received) = self.received.entry(key, looked.source, now, new) else { continue };
            if now.saturating_sub(received.last_ms) >= limits.resent_window_ms {
                *received = new();
            }
            if received.arrivals == 0 || way.leaves(&received.first) {
                received.arrivals = received.arrivals.saturating_add(1);
            }
            received.last_ms = now;
        }
    }
}

impl Contents {
    fn add(&mut self, facts: &Facts, met: &Met, came_in: bool, now: Ms) {
        let version = self.version(met, now);
        version.last_ms = now;
        version.came_in |= came_in;
        if facts.source.inside && !facts.is_author_ours {
            add_addressed(&mut version.addressed, facts);
        }
    }

    /// That of the arrival; a new one takes the place of the longest unseen.
    fn version(&mut self, met: &Met, now: Ms) -> &mut Version {
        let new = Version {
            print: met.print,
            id: met.id,
            last_ms: now,
            came_in: false,
            addressed: [0; MAX_ADDRESSED],
        };
        let known = self.versions.iter().position(|v| v.is_some_and(|v| v.id == met.id));
        let seen_ms = |i: &usize| self.versions[*i].map_or(Ms::MIN, |v| v.last_ms);
        let oldest = (0..MAX_VERSIONS).min_by_key(seen_ms).unwrap_or(0);
        let place = &mut self.versions[known.unwrap_or(oldest)];
        if known.is_none() {
            *place = Some(new);
        }
        place.get_or_insert(new)
    }
}

/// The way of an arrival: what its stamps say, and who brought it.
fn way(facts: &Facts) -> Way {
    let mut way = facts.said.way;
    way.add(&facts.source.helo);
    way
}
