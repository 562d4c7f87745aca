//! Chosen messages once more.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;

use super::scan::skip;
use super::sink::Sink;
use super::source::{FromHere, Source, fill};
use super::stream::READ_BYTES;
use super::unpack::unpack;
use super::work::divide;
use super::{Archive, Damages, Message, Packing, Place, Progress, What};

/// So much between two messages is read along with them: more than a separator and a postmark.
const MOST_BETWEEN: u64 = 4 << 10;

/// Most messages of files that are not compressed in one job.
const PLACES_PER_JOB: usize = 256;

impl Archive {
    /// Hands on the messages at `places`, which `scan` or an earlier `read` gave; otherwise as `scan`.
    /// `Progress` counts the bytes of these messages. A compressed file is decompressed again up to the
    /// last of its places.
    pub fn read<S: Send>(
        &self,
        places: &[Place],
        threads: usize,
        progress: &Progress,
        make: impl Fn() -> S + Sync,
        each: impl Fn(&mut S, Message<'_>) + Sync,
    ) -> (Vec<S>, Damages) {
        let mut places = Cow::Borrowed(places);
        if !places.is_sorted() {
            places.to_mut().sort();
        }
        let jobs = self.jobs_for(&places);
        divide(self, &jobs, (threads, progress), make, each, |job, sink| {
            of_one_file(&places[job.clone()], sink)
        })
    }

    /// Places of one file each; all of it, if it must be decompressed for them.
    fn jobs_for(&self, places: &[Place]) -> Vec<Range<usize>> {
        let (mut jobs, mut at) = (vec![], 0);
        for of_file in places.chunk_by(|a, b| a.file() == b.file()) {
            let packed = of_file.first().and_then(|place| self.file(place.file()));
            let packed = packed.is_some_and(|info| info.packing != Packing::Plain);
            let (end, most) = (at + of_file.len(), if packed { of_file.len() } else { PLACES_PER_JOB });
            while at < end {
                jobs.push(at..(at + most).min(end));
                at = jobs.last().map_or(end, |job| job.end);
            }
        }
        jobs
    }
}

fn of_one_file(places: &[Place], sink: &mut Sink<'_>) {
    let Some(first) = places.first() else { return };
    let (archive, file) = (sink.archive, first.file());
    let Some(info) = archive.file(file) else {
        return places.iter().for_each(|place| sink.damage(file, place.offset(), What::NoSuchPlace));
    };
    let source = match archive.source(file) {
        Ok(source) => source,
        Err(error) => return sink.damage(file, first.offset(), What::Unreadable(error.to_string())),
    };
    let packing = match info.packing {
        // A message of a Maildir was not looked at when the archive was opened.
        Packing::Plain if info.kind == super::Kind::Message => packing_of(&source),
        packing => packing,
    };
    let mut buffer = std::mem::take(&mut sink.buffer);
    match packing {
        Packing::Plain => {
            places.chunk_by(is_near).for_each(|run| together(run, &source, &mut buffer, sink));
        }
        packing => streamed(places, packing, &source, &mut buffer, sink),
    }
    if buffer.len() > super::stream::KEPT_BYTES {
        buffer = Vec::new();
    }
    sink.buffer = buffer;
}

fn packing_of(source: &Source<'_>) -> Packing {
    let mut magic = [0; 8];
    let (filled, _) = fill(&mut FromHere { source, at: 0, end: u64::MAX }, &mut magic);
    Packing::of(&magic[..filled])
}

/// Room for a message. No more than one may have is asked for, whatever a place says.
fn room<'b>(place: Place, buffer: &'b mut Vec<u8>, sink: &Sink<'_>) -> Option<&'b mut [u8]> {
    let len = usize::try_from(place.len()).ok().filter(|len| *len <= sink.archive.limits.message_bytes)?;
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    Some(&mut buffer[..len])
}

/// Whether the second message lies so close behind the first that they are read in one go.
fn is_near(first: &Place, second: &Place) -> bool {
    let end = first.offset().saturating_add(u64::from(first.len()));
    (end..=end.saturating_add(MOST_BETWEEN)).contains(&second.offset())
}

/// Messages that lie close together, as many at a time as have room.
fn together(mut run: &[Place], source: &Source<'_>, buffer: &mut Vec<u8>, sink: &mut Sink<'_>) {
    while let Some(first) = run.first() {
        let begin = first.offset();
        let span = |place: &Place| (place.offset() - begin).saturating_add(u64::from(place.len()));
        let many = run.partition_point(|place| span(place) <= READ_BYTES as u64);
        let (now, rest) = run.split_at(many.max(1));
        run = rest;
        let bytes = now.last().map_or(0, |last| usize::try_from(span(last)).unwrap_or(usize::MAX));
        let most = sink.archive.limits.message_bytes;
        let possible = now.len() > 1 && now.iter().all(|place| place.len() as usize <= most);
        if !possible || !fills(begin, bytes, source, buffer) {
            // One by one it is seen which of them is damaged.
            now.iter().for_each(|place| one(*place, source, buffer, sink));
            continue;
        }
        for place in now {
            let at = usize::try_from(place.offset() - begin).unwrap_or(usize::MAX);
            sink.progress.bytes(u64::from(place.len()));
            sink.again(*place, &buffer[at..at + place.len() as usize]);
        }
    }
}

/// Reads `bytes` bytes, at most [`READ_BYTES`], from `begin` on; false if they are not there.
fn fills(begin: u64, bytes: usize, source: &Source<'_>, buffer: &mut Vec<u8>) -> bool {
    if buffer.len() < bytes {
        buffer.resize(bytes, 0);
    }
    let (filled, error) = fill(&mut FromHere { source, at: begin, end: u64::MAX }, &mut buffer[..bytes]);
    filled == bytes && error.is_none()
}

fn one(place: Place, source: &Source<'_>, buffer: &mut Vec<u8>, sink: &mut Sink<'_>) {
    let Some(bytes) = room(place, buffer, sink) else {
        return sink.damage(place.file(), place.offset(), What::NoSuchPlace);
    };
    let mut stream = FromHere { source, at: place.offset(), end: u64::MAX };
    let (filled, error) = fill(&mut stream, bytes);
    sink.progress.bytes(filled as u64);
    match error {
        Some(error) => sink.broken(place.file(), place.offset(), &error),
        None if filled < bytes.len() => sink.damage(place.file(), place.offset(), What::Shrunk),
        None => sink.again(place, bytes),
    }
}

fn streamed(
    places: &[Place],
    packing: Packing,
    source: &Source<'_>,
    buffer: &mut Vec<u8>,
    sink: &mut Sink<'_>,
) {
    let taken = Cell::new(0);
    let packed = FromHere { source, at: 0, end: u64::MAX };
    let mut stream = unpack(packing, packed, &taken, &sink.archive.limits);
    let (mut at, mut last) = (0, None);
    for place in places {
        // The same message asked for twice is at hand.
        let again = last == Some(*place);
        let Some(bytes) = room(*place, buffer, sink).filter(|_| again || place.offset() >= at) else {
            sink.damage(place.file(), place.offset(), What::NoSuchPlace);
            continue;
        };
        if !again {
            let skipped = skip(&mut stream, place.offset() - at);
            let (filled, error) = if skipped.is_ok() { fill(&mut stream, bytes) } else { (0, None) };
            match skipped.err().or(error) {
                Some(error) => return sink.broken(place.file(), place.offset(), &error),
                None if filled < bytes.len() => {
                    return sink.damage(place.file(), place.offset(), What::Shrunk);
                }
                None => at = place.offset() + filled as u64,
            }
        }
        sink.progress.bytes(u64::from(place.len()));
        last = Some(*place);
        sink.again(*place, bytes);
    }
}
