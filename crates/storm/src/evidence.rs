//! Header sets kept of a storm: the first, the last, and a fair sample between.

use crate::facts::{Ms, SourceId};
use crate::limits::Limits;
use crate::sources::cut;
use quell_mail::id::QueueId;

/// First byte of a stored sample.
const VERSION: u8 = 1;
/// Bytes kept of a recipient; RFC 5321 §4.5.3.1 allows 320.
pub(crate) const MAX_RECIPIENT_BYTES: usize = 512;
/// Bytes kept of a source's name.
const MAX_SOURCE_BYTES: usize = 64;
/// Bytes kept of our own stamp.
const MAX_RECEIVED_BYTES: usize = 1024;
/// What the first and last header set of a storm may always have, even with the book full.
pub const ALWAYS_BYTES: usize = 4 << 10;
/// Samples beside the first and the last, whatever the settings say.
const MAX_SAMPLES: usize = 200;

/// Where in a storm's evidence a sample stands: the first copy it saw, the latest, or one of the
/// random ones. The number is what the store keeps it under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u8);

impl Slot {
    /// The copy that opened the storm.
    pub const FIRST: Self = Self(0);
    /// The latest copy.
    pub const LAST: Self = Self(1);

    fn random(i: usize) -> Self {
        Self((i + 2) as u8)
    }
}

/// One copy as evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The arrival.
    pub queue_id: QueueId,
    /// When.
    pub time_ms: Ms,
    /// Who brought it.
    pub source: SourceId,
    /// For whom: the recipient identity.
    pub recipient: String,
    /// The stamp we gave it, if one was made.
    pub received: Option<String>,
    /// Its header as it came, cut at `evidence_header_bytes`.
    pub header: Vec<u8>,
    /// Bytes the header had.
    pub header_bytes: u64,
}

/// Why stored bytes are no [`Sample`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored header set is damaged or of an unknown version")]
pub struct BadSample;

/// What there is to keep of one copy.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The arrival.
    pub queue_id: QueueId,
    /// When.
    pub time_ms: Ms,
    /// Who brought it.
    pub source: &'a SourceId,
    /// The recipient identity.
    pub recipient: &'a str,
    /// The stamp we gave it.
    pub received: Option<&'a str>,
    /// Its header as it came.
    pub header: &'a [u8],
}

/// The evidence of one storm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    slots: Vec<Kept>,
    /// Copies offered to the random sample.
    offered: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    slot: Slot,
    changed: bool,
    sample: Sample,
}

impl Evidence {
    /// Keeps what is due of one more copy: the first of all, always the last, and with the
    /// chance that makes the sample fair (Vitter's algorithm R) one of the random ones. `room` is
    /// what the book has left; see [`Limits::evidence_book_bytes`]. Returns by how much the bytes
    /// held have changed.
    pub fn add(
        &mut self,
        seen: &Seen<'_>,
        limits: &Limits,
        room: usize,
        rng: &mut dyn FnMut() -> u64,
    ) -> isize {
        let before = self.bytes();
        if self.find(Slot::FIRST).is_none() {
            self.keep(Slot::FIRST, seen, limits, room);
        } else if let Some(slot) = self.draw(limits, rng) {
            self.keep(slot, seen, limits, room);
        }
        let grown = self.bytes().saturating_sub(before);
        self.keep(Slot::LAST, seen, limits, room.saturating_sub(grown));
        self.bytes() as isize - before as isize
    }

    fn draw(&mut self, limits: &Limits, rng: &mut dyn FnMut() -> u64) -> Option<Slot> {
        let size = limits.evidence_samples.min(MAX_SAMPLES) as u64;
        self.offered += 1;
        let i = if self.offered <= size { self.offered - 1 } else { rng() % self.offered };
        (i < size).then(|| Slot::random(i as usize))
    }

    /// Fills `slot`. A random slot that finds no room stays as it was; the first and the last
    /// take [`ALWAYS_BYTES`] of the header then.
    fn keep(&mut self, slot: Slot, seen: &Seen<'_>, limits: &Limits, room: usize) {
        let at = self.find(slot);
        let freed = at.map_or(0, |i| self.slots[i].sample.bytes());
        let whole = seen.header.len().min(limits.evidence_header_bytes);
        let fits = Sample::bytes_with(seen, whole) <= room.saturating_add(freed);
        let len = match fits {
            true => whole,
            false if slot > Slot::LAST => return,
            false => whole.min(ALWAYS_BYTES),
        };
        match at {
            Some(i) => {
                self.slots[i].sample.set(seen, len);
                self.slots[i].changed = true;
            }
            None => self.slots.push(Kept { slot, changed: true, sample: Sample::new(seen, len) }),
        }
    }

    fn find(&self, slot: Slot) -> Option<usize> {
        self.slots.iter().position(|k| k.slot == slot)
    }

    /// The first copy kept.
    pub fn first(&self) -> Option<&Sample> {
        self.find(Slot::FIRST).map(|i| &self.slots[i].sample)
    }

    /// The latest copy.
    pub fn last(&self) -> Option<&Sample> {
        self.find(Slot::LAST).map(|i| &self.slots[i].sample)
    }

    /// The random sample, in no order.
    pub fn random(&self) -> impl Iterator<Item = &Sample> {
        self.slots.iter().filter(|k| k.slot > Slot::LAST).map(|k| &k.sample)
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        self.slots.iter().map(|k| k.sample.bytes()).sum()
    }

    /// Copies that were offered to the random sample: to be stored with it.
    pub fn offered(&self) -> u64 {
        self.offered
    }

    /// What has changed since it was last asked, in stored form.
    pub fn take_changed(&mut self) -> Vec<(Slot, Vec<u8>)> {
        let changed = self.slots.iter_mut().filter(|k| k.changed);
        changed
            .map(|k| {
                k.changed = false;
                (k.slot, k.sample.to_bytes())
            })
            .collect()
    }

    /// Takes back what was stored, with [`Evidence::offered`]. Slots beyond the bound, and doubles,
    /// are left out.
    pub fn restore(offered: u64, samples: impl IntoIterator<Item = (Slot, Sample)>) -> Self {
        let mut all = Self { slots: Vec::new(), offered };
        for (slot, sample) in samples {
            if slot <= Slot::random(MAX_SAMPLES - 1) && all.find(slot).is_none() {
                all.slots.push(Kept { slot, changed: false, sample });
            }
        }
        all
    }
}

impl Sample {
    fn new(seen: &Seen<'_>, len: usize) -> Self {
        let mut sample = Self {
            queue_id: seen.queue_id,
            time_ms: seen.time_ms,
            source: SourceId(String::new()),
            recipient: String::new(),
            received: None,
            header: Vec::new(),
            header_bytes: 0,
        };
        sample.set(seen, len);
        sample
    }

    /// Overwrites in place: while sizes stay alike, nothing is allocated.
    fn set(&mut self, seen: &Seen<'_>, len: usize) {
        self.queue_id = seen.queue_id;
        self.time_ms = seen.time_ms;
        refill(&mut self.source.0, cut(&seen.source.0, MAX_SOURCE_BYTES));
        refill(&mut self.recipient, cut(seen.recipient, MAX_RECIPIENT_BYTES));
        match (&mut self.received, seen.received) {
            (Some(old), Some(new)) => refill(old, cut(new, MAX_RECEIVED_BYTES)),
            (old, new) => *old = new.map(|text| cut(text, MAX_RECEIVED_BYTES).to_owned()),
        }
        self.header.clear();
        self.header.extend_from_slice(&seen.header[..len]);
        // Room once needed for a long header is given back, else the book's count means nothing.
        self.header.shrink_to(len.saturating_mul(2));
        self.header_bytes = seen.header.len() as u64;
    }

    /// Bytes it holds; room kept in reserve is at most as much again.
    fn bytes(&self) -> usize {
        let received = self.received.as_ref().map_or(0, String::len);
        size_of::<Kept>() + self.source.0.len() + self.recipient.len() + received + self.header.len()
    }

    /// What [`Sample::bytes`] would be with `len` bytes of the header.
    fn bytes_with(seen: &Seen<'_>, len: usize) -> usize {
        let received = seen.received.map_or(0, |r| cut(r, MAX_RECEIVED_BYTES).len());
        let source = cut(&seen.source.0, MAX_SOURCE_BYTES).len();
        size_of::<Kept>() + source + cut(seen.recipient, MAX_RECIPIENT_BYTES).len() + received + len
    }

    /// The stored form: version, queue id, time, the header's length before it was cut, then
    /// source, recipient, stamp and header, each with its length (u32, low byte first) before it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(self.queue_id.bytes());
        out.extend_from_slice(&self.time_ms.to_le_bytes());
        out.extend_from_slice(&self.header_bytes.to_le_bytes());
        out.push(u8::from(self.received.is_some()));
        let received = self.received.as_deref().unwrap_or_default().as_bytes();
        for part in [self.source.0.as_bytes(), self.recipient.as_bytes(), received, &self.header] {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
        out
    }

    /// Reads the stored form. Takes no more room than the bytes given.
    ///
    /// # Errors
    /// [`BadSample`] for anything [`Sample::to_bytes`] did not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadSample> {
        Self::read(bytes).ok_or(BadSample)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, rest) = bytes.split_first()? else {
            return None;
        };
        let (id, rest) = rest.split_first_chunk::<10>()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let (header_bytes, rest) = rest.split_first_chunk::<8>()?;
        let (has_received, rest) = rest.split_first()?;
        let (source, rest) = text(rest)?;
        let (recipient, rest) = text(rest)?;
        let (received, rest) = text(rest)?;
        let (header, []) = part(rest)? else {
            return None;
        };
        let received = match (has_received, &received[..]) {
            (0, "") => None,
            (1, _) => Some(received),
            _ => return None,
        };
        Some(Self {
            queue_id: QueueId::from_bytes(*id),
            time_ms: Ms::from_le_bytes(*time),
            source: SourceId(source),
            recipient,
            received,
            header: header.to_vec(),
            header_bytes: u64::from_le_bytes(*header_bytes),
        })
    }
}

fn refill(text: &mut String, with: &str) {
    text.clear();
    text.push_str(with);
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}

fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (text, rest) = part(bytes)?;
    Some((std::str::from_utf8(text).ok()?.to_owned(), rest))
}
