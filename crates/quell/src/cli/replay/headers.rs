//! Headers of messages that may be part of a storm, read again in portions: whoever makes the copies is
//! found from them.

use std::collections::HashMap;
use std::ops::Range;

use quell_mail::header::split;

use super::record::{EVIDENCE_BYTES, Record};
use crate::archive::{self, Archive, Damages, Place, Progress};

/// What the headers of one portion may take.
const PORTION_BYTES: u64 = 32 << 20;

/// Headers by place.
pub(super) type Headers = HashMap<Place, Vec<u8>>;

/// Which records are judged together, so that the headers of those that `wanted` takes have room.
pub(super) fn portions(records: &[Record], wanted: impl Fn(&Record) -> bool) -> Vec<Range<usize>> {
    let own = |record: &Record| if wanted(record) { u64::from(record.evidence_bytes) } else { 0 };
    archive::portions(records.iter().map(own), PORTION_BYTES)
}

/// The headers of the messages at `places`.
pub(super) fn read(archive: &Archive, places: &[Place], threads: usize) -> (Headers, Damages) {
    if places.is_empty() {
        return (Headers::new(), Damages::default());
    }
    let (found, damages) =
        archive.read(places, threads, &Progress::default(), Headers::new, |headers, message| {
            let header = split(message.bytes).0;
            headers.insert(message.place, header[..header.len().min(EVIDENCE_BYTES)].to_vec());
        });
    (found.into_iter().flatten().collect(), damages)
}
