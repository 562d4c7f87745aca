//! Every message once.

use std::cell::Cell;
use std::io::Read;

use quell_mail::mbox::Ends;

use super::single::read_single;
use super::sink::Sink;
use super::source::FromHere;
use super::stream::{Part, borders, read_part};
use super::unpack::unpack;
use super::work::divide;
use super::{Archive, Damages, FileInfo, Kind, Message, Packing, Progress, What};

/// Most messages, and about most bytes, of small files that are one job.
const FILES_PER_JOB: usize = 128;
const BYTES_PER_JOB: u64 = 4 << 20;

/// What one thread does in one go.
enum Job {
    /// A part of an mbox.
    Part(Part),
    /// A compressed mbox.
    Stream(Part),
    /// Files of one message each.
    Singles(std::ops::Range<u32>),
}

impl Archive {
    /// Hands on every message once. Each of `threads` threads has a state that `make` made and `each`
    /// is called with; all are given back. A thread gets its messages in the archive's order. The
    /// damages are those of the opening and of this reading.
    pub fn scan<S: Send>(
        &self,
        threads: usize,
        progress: &Progress,
        make: impl Fn() -> S + Sync,
        each: impl Fn(&mut S, Message<'_>) + Sync,
    ) -> (Vec<S>, Damages) {
        let jobs = self.jobs(threads);
        let (states, mut damages) =
            divide(self, &jobs, (threads, progress), make, each, |job, sink| match job {
                Job::Part(part) => plain(part, sink),
                Job::Stream(part) => packed(part, sink),
                Job::Singles(files) => files.clone().for_each(|file| read_single(file, sink)),
            });
        damages.merge(self.damages.clone());
        (states, damages)
    }

    fn jobs(&self, threads: usize) -> Vec<Job> {
        let (mut jobs, mut bytes) = (vec![], 0);
        for (index, file) in (0..).zip(&self.files) {
            let Kind::Mbox(dialect) = file.kind else {
                bytes += file.bytes;
                match jobs.last_mut() {
                    Some(Job::Singles(files)) if files.len() < FILES_PER_JOB && bytes <= BYTES_PER_JOB => {
                        files.end = index + 1;
                    }
                    _ => {
                        jobs.push(Job::Singles(index..index + 1));
                        bytes = file.bytes;
                    }
                }
                continue;
            };
            let (ends, start) = (dialect.ends(), u64::from(file.start));
            let size = if file.packing == Packing::Plain { file.bytes } else { 0 };
            let part = |start, end, first| Part { file: index, ends, start, end, first, size };
            match (file.packing, ends) {
                (Packing::Plain, Ends::Postmarks) => {
                    let mut at = start;
                    while at < file.bytes {
                        let end = (at + self.limits.part_bytes).min(file.bytes);
                        jobs.push(Job::Part(part(at, end, at == start)));
                        at = end;
                    }
                }
                (Packing::Plain, Ends::Lengths) => {
                    let whole = part(start, file.bytes, true);
                    let mut at = start;
                    for border in self.borders(&whole, threads) {
                        jobs.push(Job::Part(part(at, border, true)));
                        at = border;
                    }
                    jobs.push(Job::Part(part(at, file.bytes, true)));
                }
                _ => jobs.push(Job::Stream(part(start, u64::MAX, true))),
            }
        }
        jobs
    }
}

impl Archive {
    /// Where an mbox can be divided that must be walked in order: one walk that hands on nothing, at
    /// several GB/s, finds the places from which the threads walk then. None for one thread.
    fn borders(&self, whole: &Part, threads: usize) -> Vec<u64> {
        let worth_it = threads > 1 && whole.size > self.limits.part_bytes.saturating_mul(2);
        let Some(source) = worth_it.then(|| self.source(whole.file).ok()).flatten() else { return vec![] };
        // The threads meet the same damage again, and tell.
        let (progress, mut nothing) = (Progress::default(), |_: Message<'_>| ());
        let mut sink = Sink::new(self, &progress, &mut nothing);
        let mut stream = FromHere { source: &source, at: whole.start, end: whole.size };
        borders(whole, &mut stream, &mut sink, self.limits.part_bytes)
    }
}

/// Reads a part of an mbox that is not compressed.
fn plain(part: &Part, sink: &mut Sink<'_>) {
    let archive = sink.archive;
    let source = match archive.source(part.file) {
        Ok(source) => source,
        Err(error) => return sink.damage(part.file, part.start, What::Unreadable(error.to_string())),
    };
    let at = if part.first { part.start } else { part.start.saturating_sub(3) };
    // What was written behind its end meanwhile is left to another scan.
    let mut stream = FromHere { source: &source, at, end: part.size };
    let (progress, mut told) = (sink.progress, part.start);
    let mut advanced = |here: u64| {
        let here = here.min(part.end);
        progress.bytes(here.saturating_sub(told));
        told = told.max(here);
    };
    read_part(part, &mut stream, sink, &mut advanced);
    advanced(part.end);
}

/// Reads a compressed mbox from its beginning to its end.
fn packed(part: &Part, sink: &mut Sink<'_>) {
    let archive = sink.archive;
    let Some(info) = archive.file(part.file) else { return };
    let source = match archive.source(part.file) {
        Ok(source) => source,
        Err(error) => return sink.damage(part.file, 0, What::Unreadable(error.to_string())),
    };
    let (taken, mut told) = (Cell::new(0), 0);
    let packed = FromHere { source: &source, at: 0, end: info.bytes };
    let mut stream = unpack(info.packing, packed, &taken, &archive.limits);
    if let Err(error) = skip(&mut stream, part.start) {
        return sink.broken(part.file, 0, &error);
    }
    let progress = sink.progress;
    let mut advanced = |_| {
        progress.bytes(taken.get() - told);
        told = taken.get();
    };
    read_part(part, &mut stream, sink, &mut advanced);
    progress.bytes(info.bytes.saturating_sub(told));
    shorter(info, &source, part.file, taken.get(), sink);
}

/// A compressed file that lost its end meanwhile.
fn shorter(info: &FileInfo, source: &super::Source<'_>, file: u32, taken: u64, sink: &mut Sink<'_>) {
    if taken < info.bytes && source.read_at(&mut [0], info.bytes - 1).is_ok_and(|count| count == 0) {
        sink.damage(file, 0, What::Shrunk);
    }
}

/// Reads over `count` bytes.
pub(super) fn skip(stream: &mut impl Read, count: u64) -> std::io::Result<()> {
    let skipped = std::io::copy(&mut stream.by_ref().take(count), &mut std::io::sink())?;
    if skipped < count { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}
