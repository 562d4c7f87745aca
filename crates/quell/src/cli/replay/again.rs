//! Messages read again in portions, in the order in which they came: what the classes of suspicion want to
//! know of each, and the headers of those that may be part of a storm, from which is found who makes the
//! copies.

use std::collections::HashMap;
use std::ops::Range;

use quell_mail::canon::relaxed_value_to_vec;
use quell_mail::header::{fields, split};
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
pub(super) type Agains = HashMap<Place, Again>;

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
    let all: HashMap<Place, Wanted> =
        wanted.iter().filter(|w| w.said || w.header).map(|w| (w.place, *w)).collect();
    if all.is_empty() {
        return (Agains::new(), Damages::default());
    }
    let places: Vec<Place> = wanted.iter().filter(|w| all.contains_key(&w.place)).map(|w| w.place).collect();
    let (found, damages) =
        archive.read(&places, threads, &Progress::default(), Agains::new, |agains, message| {
            if let Some(wanted) = all.get(&message.place) {
                let plain = Plain::of(archive, message.place.file(), message.bytes);
                let again = Again::of(&plain, split(message.bytes).0, *wanted);
                agains.insert(message.place, again);
            }
        });
    (found.into_iter().flatten().collect(), damages)
}

impl Again {
    /// `header` is that of the message as it lies there.
    pub(super) fn of(plain: &Plain<'_>, header: &[u8], wanted: Wanted) -> Self {
        let evidence = &header[..if wanted.header { header.len().min(EVIDENCE_BYTES) } else { 0 }];
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
