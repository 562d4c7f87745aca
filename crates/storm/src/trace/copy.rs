//! One copy as the trace keeps it: the fields that tell of its way, and nothing else.

use std::sync::Arc;

use memchr::memmem;
use quell_mail::header::{Field, fields};
use quell_mail::hop;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use crate::facts::Ms;

/// Bytes kept of one field; what is beyond is cut.
const MAX_FIELD_BYTES: usize = 2_048;
/// `Received` fields looked at of one copy: the newest and the oldest, half and half. RFC 5321 §6.3
/// lets a loop end at a hundred.
const MAX_STAMPS: usize = 128;

/// Fields that are kept beside `Received`.
const KEPT: [&str; 15] = [
    "message-id",
    "date",
    "from",
    "to",
    "cc",
    "subject",
    "list-id",
    "delivered-to",
    "x-original-to",
    "envelope-to",
    "return-path",
    "x-originalarrivaltime",
    "x-mimeole",
    "x-mailer",
    "resent-message-id",
];

/// Where a copy lies: a file by its number, and the byte there at which its header begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, as the caller counts them.
    pub file: u32,
    /// The byte in it.
    pub offset: u64,
}

/// One copy, as it is seen.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Its header.
    pub header: &'a [u8],
    /// The stamp that we gave it, if it is not in the header.
    pub own_stamp: Option<&'a str>,
    /// For whom it is.
    pub recipient: &'a str,
    /// When it came, where somebody knows better than its newest stamp.
    pub arrived_ms: Option<Ms>,
    /// What no other copy has: by it a copy is told from another with the same header.
    pub id: u64,
    /// Where it lies.
    pub place: Option<Place>,
}

/// A field kept of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// Where it begins in the header; for a stamp of our own 0.
    pub(super) at: u32,
    /// Where it begins in the bytes kept.
    start: u32,
    /// Its length there.
    len: u32,
}

/// One copy, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    pub(super) id: u64,
    pub(super) recipient: Arc<str>,
    pub(super) arrived_ms: Option<Ms>,
    pub(super) place: Option<Place>,
    /// An address of a collector's own pickup folder stands in its To or Cc.
    pub(super) pickup_address: bool,
    kept: Box<[Kept]>,
    bytes: Box<[u8]>,
}

/// Words of an address that a POP3 connector adds (INCIDENT.md, "How the copies look").
const PICKUP_ADDRESS: &[u8] = b"mspop3connector.";

impl Copy {
    /// Keeps of `seen` what tells of its way, at most `max_bytes`: from the middle of the trace stamps
    /// are left out then.
    pub fn new(seen: &Seen<'_>, max_bytes: usize) -> Self {
        let own = seen.own_stamp.map(str::as_bytes);
        let own_field = own.and_then(|stamp| fields(stamp).find(|f| f.is("received")));
        let mut chosen: Vec<(u32, &[u8], bool)> = own_field.iter().map(|f| (0, f.whole, true)).collect();
        let mut pickup_address = false;
        let mut at = 0usize;
        for field in fields(seen.header) {
            let is_stamp = field.is("received");
            if is_stamp || is_kept(&field) {
                let whole = &field.whole[..field.whole.len().min(MAX_FIELD_BYTES)];
                chosen.push((u32::try_from(at).unwrap_or(u32::MAX), whole, is_stamp));
            }
            if field.is("to") || field.is("cc") {
                // The whole field is looked at: linear, and a damaged server writes its own behind a thousand.
                pickup_address |= memmem::find(field.value, PICKUP_ADDRESS).is_some();
            }
            at += field.whole.len();
        }
        thin(&mut chosen, max_bytes);
        let (kept, bytes) = pack(&chosen);
        let (id, arrived_ms, place) = (seen.id, seen.arrived_ms, seen.place);
        Self { id, recipient: seen.recipient.into(), arrived_ms, place, pickup_address, kept, bytes }
    }

    /// The fields kept, from the top, each with where it begins in the header.
    pub(super) fn fields(&self) -> impl Iterator<Item = (u32, Field<'_>)> {
        let field = |kept: &Kept| {
            let start = kept.start as usize;
            let bytes = &self.bytes[start..start + kept.len as usize];
            Some((kept.at, fields(bytes).next()?))
        };
        self.kept.iter().filter_map(field)
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.bytes.len() + self.kept.len() * size_of::<Kept>() + self.recipient.len()
    }
}

fn is_kept(field: &Field<'_>) -> bool {
    KEPT.iter().any(|name| field.is(name))
}

/// Leaves out stamps from the middle until the rest fits, then whatever is last.
fn thin(chosen: &mut Vec<(u32, &[u8], bool)>, max_bytes: usize) {
    let bytes = |chosen: &[(u32, &[u8], bool)]| chosen.iter().map(|c| c.1.len()).sum::<usize>();
    let stamps: Vec<usize> = (0..chosen.len()).filter(|i| chosen[*i].2).collect();
    let mut out = vec![false; chosen.len()];
    let mut left = bytes(chosen);
    let mut number = stamps.len();
    // Half of the stamps that stay are from either end.
    let middle = stamps.len() / 2;
    for i in 0..stamps.len() {
        if left <= max_bytes && number <= MAX_STAMPS {
            break;
        }
        let place = if i % 2 == 0 { middle + i / 2 } else { middle - i.div_ceil(2) };
        if let Some(&stamp) = stamps.get(place) {
            (out[stamp], left, number) = (true, left - chosen[stamp].1.len(), number - 1);
        }
    }
    let mut place = 0;
    chosen.retain(|_| {
        place += 1;
        !out[place - 1]
    });
    while bytes(chosen) > max_bytes && chosen.pop().is_some() {}
}

fn pack(chosen: &[(u32, &[u8], bool)]) -> (Box<[Kept]>, Box<[u8]>) {
    let mut bytes = Vec::with_capacity(chosen.iter().map(|c| c.1.len()).sum());
    let mut kept = Vec::with_capacity(chosen.len());
    for (at, whole, _) in chosen {
        // `thin` keeps all together far below 4 GiB.
        let (start, len) = (bytes.len() as u32, whole.len() as u32);
        kept.push(Kept { at: *at, start, len });
        bytes.extend_from_slice(whole);
    }
    (kept.into(), bytes.into())
}

/// What a copy is counted under: the way it went, and for whom it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cells {
    /// The servers that stamped it, in their order, whatever their ids and times.
    pub(super) path: u64,
    /// Its recipient.
    pub(super) recipient: u64,
    /// The copy itself.
    pub(super) copy: u64,
}

/// The cells of a copy. The names of servers are looked for, and nothing else: this runs for each copy
/// of a storm, [`Copy::new`] only for those that are kept.
pub(super) fn cells(seen: &Seen<'_>, seed: u64) -> Cells {
    let mut path = Xxh3::with_seed(seed);
    let own = seen.own_stamp.unwrap_or_default().as_bytes();
    let stamps = fields(own).chain(fields(seen.header)).filter(|f| f.is("received"));
    for field in stamps.take(MAX_STAMPS) {
        let by = hop::by_of(field.value).0;
        path.update(&(by.len() as u32).to_le_bytes());
        path.update(by);
    }
    let recipient = xxh3_64_with_seed(seen.recipient.as_bytes(), seed);
    Cells { path: path.digest(), recipient, copy: xxh3_64_with_seed(&seen.id.to_le_bytes(), seed) }
}
