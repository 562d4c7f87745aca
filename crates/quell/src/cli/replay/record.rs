//! What is kept of each message while an archive is replayed: about 100 bytes.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

use quell_mail::header::fields;
use quell_mail::key::ExactKey;
use quell_mail::reading::Reader;
use quell_mail::{date, hop};
use quell_storm::trace::grouping;
use xxhash_rust::xxh3::xxh3_64;

use super::when::{Secs, Times};
use crate::archive::Place;
use crate::cli::trace::mails::Plain;

/// Stamps that are looked at for a time, from the newest down; of a message without one in these, the Date
/// counts.
const MAX_STAMPS: usize = 16;
/// Longest recipient kept, in bytes (64 + 1 + 255, RFC 5321 §4.5.3.1); a longer one is cut.
const MAX_RECIPIENT_BYTES: usize = 320;
/// Most of a header that is kept as evidence of a copy: as the server does.
pub(super) const EVIDENCE_BYTES: usize = 64 << 10;
/// Records that lie together: what a worker finds lies in many small pieces, so that none is ever moved
/// to grow.
const PIECE: usize = 2_048;

/// One message of an archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    /// Zeros if it has none.
    pub(super) key: ExactKey,
    /// Where it lies.
    pub(super) place: Place,
    /// A hash of its whole header: tells equal arrivals from others.
    pub(super) header: u64,
    /// When it came, and what else may be said of that.
    pub(super) times: Times,
    /// Index of the recipient.
    pub(super) recipient: u32,
    /// Index of the source.
    pub(super) source: u32,
    /// Bytes of its header that are kept as evidence.
    pub(super) evidence_bytes: u32,
    /// How many messages of the archive have its exact key, this one included.
    pub(super) same: u32,
    /// `Received` fields, at most 65,535.
    pub(super) hops: u16,
    /// It has an exact key, if its time is near its Date.
    pub(super) has_key: bool,
    /// A `Received` field has a token, whoever made it.
    pub(super) has_token: bool,
}

impl Record {
    /// Its exact key.
    pub(super) fn exact_key(&self) -> Option<ExactKey> {
        self.has_key.then_some(self.key)
    }
}

/// Values by number.
#[derive(Debug)]
pub(super) struct Numbered<V> {
    numbers: HashMap<V, u32>,
}

impl<V: Eq + Hash> Default for Numbered<V> {
    fn default() -> Self {
        Self { numbers: HashMap::new() }
    }
}

impl<V: Eq + Hash> Numbered<V> {
    fn number(&mut self, value: V) -> u32 {
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(value).or_insert(next)
    }

    fn number_of_text(&mut self, text: &str) -> u32
    where
        V: for<'t> From<&'t str> + std::borrow::Borrow<str>,
    {
        match self.numbers.get(text) {
            Some(number) => *number,
            None => self.number(text.into()),
        }
    }

    /// The values in the order of their numbers.
    pub(super) fn into_values(self) -> Vec<V> {
        let mut all: Vec<(V, u32)> = self.numbers.into_iter().collect();
        all.sort_unstable_by_key(|(_, number)| *number);
        all.into_iter().map(|(value, _)| value).collect()
    }
}

/// What one worker has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) pieces: Vec<Vec<Record>>,
    pub(super) recipients: Numbered<Box<str>>,
    pub(super) sources: Numbered<IpAddr>,
}

impl Found {
    /// Takes a message. `mailbox` is where it lies, `latest` the last time that is believed.
    pub(super) fn add(&mut self, plain: &Plain<'_>, place: Place, mailbox: &str, latest: Secs) {
        let said = said_by(plain.header, latest);
        let mut reader = Reader::new(usize::MAX);
        let mut read = reader.push(plain.head());
        if !reader.header_ended() {
            // It ends where the message does.
            read = read.and_then(|()| reader.push(b"\n\n"));
        }
        let read = read.and_then(|()| reader.push(&plain.body));
        let reading = reader.finish(said.date_ms.unwrap_or_default());
        // Of a message that was cut the body is not known. (Without a limit every header fits.)
        let key = reading.exact_key.ok().filter(|_| read.is_ok() && !place.is_cut());
        let recipient = grouping::recipient(plain.header, mailbox).to_lowercase();
        let recipient = &recipient[..recipient.floor_char_boundary(MAX_RECIPIENT_BYTES)];
        let record = Record {
            key: key.unwrap_or(ExactKey([0; 32])),
            place,
            header: xxh3_64(plain.header),
            times: said.times,
            recipient: self.recipients.number_of_text(recipient),
            source: self.sources.number(said.source),
            evidence_bytes: plain.header.len().min(EVIDENCE_BYTES) as u32,
            same: 1,
            hops: u16::try_from(reading.hops).unwrap_or(u16::MAX),
            has_key: key.is_some(),
            has_token: !reading.tokens.is_empty(),
        };
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.push(record),
            // An archive of few messages needs no whole piece.
            _ => {
                let mut piece = Vec::with_capacity(if self.pieces.is_empty() { 16 } else { PIECE });
                piece.push(record);
                self.pieces.push(piece);
            }
        }
    }
}

/// What the header says of the arrival itself.
struct Said {
    times: Times,
    date_ms: Option<i64>,
    source: IpAddr,
}

fn said_by(header: &[u8], latest: Secs) -> Said {
    let (mut stamps, mut dates, mut told, mut date_ms, mut source) = (0, 0, Vec::new(), None, None);
    for field in fields(header) {
        if field.is("received") && stamps < MAX_STAMPS && told.len() < 2 {
            stamps += 1;
            let hop = hop::parse(field.value);
            source.get_or_insert_with(|| source_of(&hop));
            told.extend(hop.date_ms.and_then(|ms| Times::believed(ms, latest)));
        } else if field.is("date") {
            dates += 1;
            if dates == 1 {
                date_ms = date::parse(field.value);
            }
        }
    }
    Said { times: Times::of(&told, date_ms, latest), date_ms, source: source.unwrap_or_else(|| named(b"")) }
}

/// Who brought it, as the newest stamp has it: the address; where there is none, the name stands for one.
fn source_of(hop: &hop::Hop<'_>) -> IpAddr {
    let name = || hop.rdns.or(hop.helo).or(hop.from).map(|name| name.lower()).unwrap_or_default();
    hop.ip.unwrap_or_else(|| named(name().as_bytes()))
}

/// An address that stands for a name: of the net for examples (RFC 3849), which nobody's mail comes from.
fn named(name: &[u8]) -> IpAddr {
    let hash = xxh3_64(name).to_le_bytes();
    let part = |n: usize| u16::from_le_bytes([hash[n], hash[n + 1]]);
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, part(0), part(2), 0, 0, 0, 1))
}
