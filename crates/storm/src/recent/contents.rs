//! Contents, and who received them by which way: for `resent` and `reinjected`.

use quell_mail::content::{Content, Fingerprint, Likeness};
use quell_mail::letter::address_hash;

use super::{Looked, Recent};
use crate::facts::{Facts, Ms, Recipient};
use crate::limits::Limits;
use crate::said::{Mark, Way};
use crate::signs::Again;

/// Contents of one place that are told apart: of the same author, subject and conversation, with other
/// text. The longest unseen gives way.
const MAX_VERSIONS: usize = 2;
/// Distinct recipients outside that are remembered of one content.
const MAX_ADDRESSED: usize = 4;
/// Networks that are remembered to have brought copies to one recipient.
const MAX_SOURCES: usize = 4;
/// A house that stamps mail of so many other houses carries everybody's: a provider, a filter, a relay.
const CARRIED: usize = 8;

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
    /// By which way its author sends it, as far as is known: that of the first arrival without a mark.
    first: Way,
    is_first_marked: bool,
    /// How often its author has sent it: distinct Message-IDs, one after the other, by his own way.
    sendings: u32,
    /// The last of these, and when it came.
    last_id: u32,
    own_ms: Ms,
    /// It came for somebody here, by an author from outside.
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
    /// It came by another way than its author's own.
    other_way: bool,
    /// Its author's own way is to be learned anew from this one.
    is_learned: bool,
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
    /// It came by the author's way.
    own: bool,
    /// Arrivals by another way.
    others: u32,
    /// Who brought those, in short; the longest ago gives way.
    sources: [u32; MAX_SOURCES],
    /// The exact key of the last arrival, in short. The same again, without a row, is one that was not kept: its
    /// sender tries again.
    last_key: u32,
    last_ms: Ms,
}

/// A house whose servers stamp mail.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct House {
    /// Houses of the authors of that mail.
    authors: [u32; CARRIED],
}

impl House {
    fn is_carrier(&self) -> bool {
        self.authors.iter().all(|author| *author != 0)
    }

    fn carries(&mut self, author: u32) {
        if !self.authors.contains(&author)
            && let Some(place) = self.authors.iter_mut().find(|place| **place == 0)
        {
            *place = author;
        }
    }
}

/// How many distinct recipients outside stand in To and Cc, those of `before` included; counted up to four.
pub(super) fn addressed(before: Option<&Version>, facts: &Facts) -> u32 {
    let mut all = before.map_or([0; MAX_ADDRESSED], |version| version.addressed);
    add_addressed(&mut all, facts);
    all.iter().filter(|hash| **hash != 0).count() as u32
}

/// Whether recipient `i` stands in To or Cc.
pub(super) fn stands(facts: &Facts, i: usize) -> bool {
    let addressed = &facts.said.letter.addressed;
    let is_in = |r: &Recipient| addressed.binary_search(&address_hash(&r.as_given)).is_ok();
    facts.recipients.get(i).is_some_and(is_in)
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
        let is_learned = known.is_some_and(|version| is_learned(facts, version, limits, now));
        let other_way = match known {
            Some(version) => !is_learned && self.is_other_way(facts, version),
            None => facts.said.mark == Mark::Strong,
        };
        Some(Met { place, id, print, is_known: known.is_some(), other_way, is_learned })
    }

    /// Whether an arrival came by another way than its author's own. Without a mark it passed a house that the
    /// first did not; with one it is enough that the first passed another. Houses that carry everybody's mail
    /// say nothing. What a connector put back is never the author's own, whatever came first.
    fn is_other_way(&self, facts: &Facts, version: &Version) -> bool {
        let way = way(facts);
        let carries = |house: u32| self.houses.get(self.house_key(house)).is_some_and(House::is_carrier);
        match facts.said.mark {
            Mark::None => way.leaves_by(&version.first, carries),
            Mark::Weak => way.leaves_by(&version.first, carries) || version.first.leaves_by(&way, carries),
            Mark::Strong => true,
        }
    }

    fn house_key(&self, house: u32) -> u64 {
        self.hash(b"house", &[house.into()])
    }

    /// The houses of an arrival's way carry its author's mail.
    pub(super) fn note_houses(&mut self, facts: &Facts, source: u64, now: Ms) {
        let Some(author) = author_house(facts) else { return };
        for house in way(facts).houses().iter().filter(|house| **house != author) {
            let key = self.house_key(*house);
            // Most mail comes by carriers, of which nothing more is to be learned.
            if self.houses.get(key).is_some_and(House::is_carrier) {
                continue;
            }
            if let Some(entry) = self.houses.entry(key, source, now, House::default) {
                entry.carries(author.max(1));
            }
        }
    }

    pub(super) fn received_key(&self, facts: &Facts, i: usize, met: &Met) -> u64 {
        let recipient = facts.recipients.get(i).map_or(0, |r| self.text_hash(&r.identity));
        self.hash(b"received", &[met.id, recipient])
    }

    /// Whether recipient `i` has had this content.
    pub(super) fn had(&self, facts: &Facts, i: usize, met: &Met, limits: &Limits, now: Ms) -> bool {
        let before = self.received.get(self.received_key(facts, i, met));
        before.is_some_and(|r| {
            let is_retry = r.last_key != 0 && r.last_key == key_of(facts);
            !is_retry && now.saturating_sub(r.last_ms) < limits.resent_window_ms
        })
    }

    /// What is known of earlier arrivals of this content for recipient `i`; None: this is the first, and the
    /// author's own for all we know.
    pub(super) fn again(
        &self,
        facts: &Facts,
        i: usize,
        met: &Met,
        limits: &Limits,
        now: Ms,
    ) -> Option<Again> {
        let version = met.find(self.contents.get(met.place()))?;
        let before = self.received.get(self.received_key(facts, i, met));
        let before = before.filter(|r| now.saturating_sub(r.last_ms) < limits.resent_window_ms);
        let other_way = met.other_way;
        if before.is_none() && !other_way {
            return None;
        }
        let is_retry = before.is_some_and(|r| r.last_key != 0 && r.last_key == key_of(facts));
        let arrived = before.map_or(0, |r| u32::from(r.own).saturating_add(r.others));
        let source = self.source(facts) as u32;
        Some(Again {
            arrivals: arrived.saturating_add(u32::from(other_way && !is_retry)),
            other_way,
            same_source: before.is_some_and(|r| !is_retry && r.sources.contains(&source)),
            marked: facts.said.mark != Mark::None,
            words: met.print.words(),
            sendings: version.sendings.max(1),
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
        // Also from one of our own machines: a collector hands in what it took from a mailbox elsewhere.
        let came_in = !facts.is_author_ours && facts.recipients.iter().any(|r| r.is_ours);
        if let Some(contents) = self.contents.entry(met.place, looked.source, now, Contents::default) {
            contents.add(facts, met, came_in, now);
        }
        let (other_way, key, source) = (met.other_way, key_of(facts), looked.source as u32);
        for i in (0..facts.recipients.len()).filter(|i| is_new.get(*i) == Some(&true)) {
            let new =
                || Received { own: false, others: 0, sources: [0; MAX_SOURCES], last_key: 0, last_ms: now };
            let place = self.received_key(facts, i, met);
            let Some(received) = self.received.entry(place, looked.source, now, new) else { continue };
            if now.saturating_sub(received.last_ms) >= limits.resent_window_ms {
                *received = new();
            }
            received.last_ms = now;
            if key != 0 && received.last_key == key {
                continue;
            }
            received.last_key = key;
            received.own |= !other_way;
            if other_way {
                received.others = received.others.saturating_add(1);
                if !received.sources.contains(&source) {
                    received.sources.rotate_right(1);
                    received.sources[0] = source;
                }
            }
        }
    }
}

impl Contents {
    fn add(&mut self, facts: &Facts, met: &Met, came_in: bool, now: Ms) {
        let version = self.version(met, facts, now);
        if met.is_learned || (version.is_first_marked && facts.said.mark == Mark::None) {
            (version.first, version.is_first_marked) = (way(facts), facts.said.mark != Mark::None);
        }
        if !met.other_way {
            version.own_ms = now;
            let id = message_id(facts);
            version.sendings = version.sendings.saturating_add(u32::from(version.last_id != id));
            version.last_id = id;
        }
        version.last_ms = now;
        version.came_in |= came_in;
        if facts.source.inside && !facts.is_author_ours {
            add_addressed(&mut version.addressed, facts);
        }
    }

    /// That of the arrival; a new one takes the place of the longest unseen.
    fn version(&mut self, met: &Met, facts: &Facts, now: Ms) -> &mut Version {
        let new = Version {
            print: met.print,
            id: met.id,
            last_ms: now,
            first: way(facts),
            is_first_marked: facts.said.mark != Mark::None,
            sendings: 0,
            last_id: 0,
            own_ms: now,
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

/// Its Message-ID in short; 0 stands for none yet.
fn message_id(facts: &Facts) -> u32 {
    (facts.said.letter.message_id.unwrap_or_default() as u32).max(1)
}

/// Whether the author's own way is what this arrival shows: it passed a server of the author's own house, and
/// what was taken for his way did not; or nothing came by that for a whole window. Ways change: a provider, a filter,
/// a second MX.
fn is_learned(facts: &Facts, version: &Version, limits: &Limits, now: Ms) -> bool {
    let way = way(facts);
    let by_own_house = author_house(facts)
        .is_some_and(|own| way.houses().contains(&own) && !version.first.houses().contains(&own));
    let is_silent = now.saturating_sub(version.own_ms) >= limits.resent_window_ms;
    facts.said.mark == Mark::None && (by_own_house || is_silent)
}

/// The house of the author's domain.
fn author_house(facts: &Facts) -> Option<u32> {
    let (_, domain) = facts.said.letter.author.as_deref()?.rsplit_once('@')?;
    Way::house(domain)
}

/// The exact key in short; 0: it has none.
fn key_of(facts: &Facts) -> u32 {
    facts.exact_key.map_or(0, |key| {
        let [a, b, c, d, ..] = key.0;
        u32::from_le_bytes([a, b, c, d]).max(1)
    })
}

/// The way of an arrival: what its stamps say, and who brought it.
fn way(facts: &Facts) -> Way {
    let mut way = facts.said.way;
    way.add(&facts.source.helo);
    way
}
