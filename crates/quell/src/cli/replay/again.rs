//! Messages read again in portions, in the order in which they came: what the classes of suspicion want to
//! know of each, and the headers of those that may be part of a storm, from which is found who makes the
//! copies.

use std::ops::Range;

use quell_mail::canon::relaxed_value_to_vec;
use quell_mail::header::fields;
use quell_mail::hop;
use quell_storm::said::Said;

use super::record::{EVIDENCE_BYTES, Record};
use crate::archive::{self, Archive, Damages, Place, Progress};
use crate::cli::trace::mails::Plain;

/// What the headers and the contents of one portion may take.
const PORTION_BYTES: u64 = 32 << 20;
/// What is known of one message's content, as a rule: the longest takes some 25 KiB.
const SAID_BYTES: u64 = 4 << 10;

/// What is to be read again of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) place: Place,
    /// What it says, for the classes of suspicion.
    pub(super) said: bool,
    /// Its header, as evidence.
    pub(super) header: bool,
}

/// What was read again.
#[derive(Debug, Default)]
pub(super) struct Again {
    pub(super) header: Vec<u8>,
    pub(super) said: Said,
    /// What the host that brought it called itself.
    pub(super) helo: String,
    /// Empty for the null one.
    pub(super) reverse_path: String,
}

/// By place.
#[derive(Debug, Default)]
pub(super) struct Agains {
    /// Each thread's: what it has found is not moved any more.
    found: Vec<Vec<(Place, Again)>>,
    /// Where what lies at a place is, in order of place.
    index: Vec<(Place, u32, u32)>,
}

impl Agains {
    /// What was read at `place`, which is not there any more then. None: it was not wanted, or not found.
    pub(super) fn take(&mut self, place: Place) -> Option<Again> {
        let at = self.index.binary_search_by_key(&place, |(place, ..)| *place).ok()?;
        let (_, thread, n) = self.index[at];
        let (_, again) = self.found.get_mut(thread as usize)?.get_mut(n as usize)?;
        Some(std::mem::take(again))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(Place, Again)> {
        self.found.iter().flatten()
    }

    fn of(found: Vec<Vec<(Place, Again)>>) -> Self {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let in_thread = |(thread, all): (usize, &Vec<(Place, Again)>)| {
            let places = all.iter().map(|(place, _)| *place).enumerate();
            places.map(|(n, place)| (place, number(thread), number(n))).collect::<Vec<_>>()
        };
        let mut index: Vec<_> = found.iter().enumerate().flat_map(in_thread).collect();
        index.sort_unstable();
        Self { found, index }
    }
}

impl FromIterator<(Place, Again)> for Agains {
    fn from_iter<I: IntoIterator<Item = (Place, Again)>>(all: I) -> Self {
        Self::of(vec![all.into_iter().collect()])
    }
}

/// Which records are judged together, so that what is read again of them has room.
pub(super) fn portions(records: &[Record], wanted: impl Fn(&Record) -> Wanted) -> Vec<Range<usize>> {
    let cost = |record: &Record| {
        let wanted = wanted(record);
        let header = if wanted.header { u64::from(record.evidence_bytes) } else { 0 };
        header + if wanted.said { SAID_BYTES } else { 0 }
    };
    archive::portions(records.iter().map(cost), PORTION_BYTES)
}

/// Reads the messages that are wanted.
pub(super) fn read(archive: &Archive, wanted: &[Wanted], threads: usize) -> (Agains, Damages) {
    let mut all: Vec<Wanted> = wanted.iter().filter(|w| w.said || w.header).copied().collect();
    if all.is_empty() {
        return (Agains::default(), Damages::default());
    }
    all.sort_by_key(|wanted| wanted.place);
    all.dedup_by_key(|wanted| wanted.place);
    let places: Vec<Place> = all.iter().map(|wanted| wanted.place).collect();
    let (found, damages) =
        archive.read(&places, threads, &Progress::default(), Vec::new, |found, message| {
            if let Ok(at) = places.binary_search(&message.place) {
                let plain = Plain::of(archive, message.place.file(), message.bytes);
                found.push((message.place, Again::of(&plain, all[at])));
            }
        });
    (Agains::of(found), damages)
}

impl Again {
    pub(super) fn of(plain: &Plain<'_>, wanted: Wanted) -> Self {
        let evidence_bytes = if wanted.header { plain.header.len().min(EVIDENCE_BYTES) } else { 0 };
        let evidence = &plain.header[..evidence_bytes];
        let mut again = Self { header: evidence.to_vec(), ..Self::default() };
        if wanted.said {
            let (helo, reverse_path) = envelope(plain.header);
            // Of a message that was cut the body is not known.
            let body: &[u8] = if wanted.place.is_cut() { b"" } else { &plain.body };
            again.said = Said::read(plain.header, body, &reverse_path);
            if wanted.place.is_cut() {
                again.said.content = None;
            }
            (again.helo, again.reverse_path) = (helo, reverse_path);
        }
        again
    }
}

/// What the newest stamp and Return-Path tell of who brought it. Without a Return-Path it was not the null
/// one, for all we know.
fn envelope(header: &[u8]) -> (String, String) {
    let (mut helo, mut path) = (None, None);
    for field in fields(header) {
        if field.is("received") && helo.is_none() {
            let hop = hop::parse(field.value);
            helo = Some(hop.rdns.or(hop.helo).or(hop.from).map(|name| name.lower()).unwrap_or_default());
        } else if field.is("return-path") && path.is_none() {
            let value = String::from_utf8_lossy(&relaxed_value_to_vec(field.value)).into_owned();
            path = Some(value.trim_matches(['<', '>', ' ']).to_owned());
        }
    }
    (helo.unwrap_or_default(), path.unwrap_or_else(|| "unknown@invalid".to_owned()))
}
