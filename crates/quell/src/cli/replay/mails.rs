//! All messages of an archive, in the order in which they came.

use std::net::IpAddr;
use std::sync::Arc;

use quell_mail::exact::MAX_DATE_DISTANCE_MS;

use super::record::{Found, Record};
use super::when::{Times, set_right};
use crate::archive::progress::Drawing;
use crate::archive::{Archive, Damages, Kind, Progress};
use crate::cli::trace::mails::{Plain, mailbox};

/// The messages, oldest first.
#[derive(Debug)]
pub(super) struct Mails {
    pub(super) records: Vec<Record>,
    pub(super) recipients: Vec<Box<str>>,
    pub(super) sources: Vec<IpAddr>,
}

/// Reads every message once.
pub(super) fn scan(archive: &Archive, threads: usize, quiet: bool, now_ms: i64) -> (Mails, Damages) {
    let progress = Arc::new(Progress::default());
    let total = Some(archive.bytes_total());
    let drawing = Drawing::start("Reading", Arc::clone(&progress), total, quiet);
    let latest = Times::latest(now_ms);
    let (found, damages) = archive.scan(threads, &progress, Found::default, |found, message| {
        let plain = Plain::of(archive, message.place.file(), message.bytes);
        found.add(&plain, message.place, &mailbox(archive, message.place.file()), latest);
    });
    drop(drawing);
    let mut mails = Mails::of(found);
    mails.put_in_order(|a, b| is_one_mailbox(archive, a, b));
    (mails, damages)
}

impl Mails {
    /// Puts together what workers have found; how many there were does not show.
    pub(super) fn of(found: Vec<Found>) -> Self {
        let (mut pieces, mut recipients, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        for Found { pieces: of_worker, recipients: r, sources: s } in found {
            pieces.push(of_worker);
            recipients.push(r.into_values());
            sources.push(s.into_values());
        }
        let all = pieces.iter().flatten().map(Vec::len).sum();
        let (people, machines) = (united(&recipients), united(&sources));
        let mut records: Vec<Record> = Vec::with_capacity(all);
        for (worker, of_worker) in pieces.into_iter().enumerate() {
            for mut record in of_worker.into_iter().flatten() {
                record.recipient = number_in(&people, &recipients[worker], record.recipient);
                record.source = number_in(&machines, &sources[worker], record.source);
                records.push(record);
            }
        }
        Self { records, recipients: people, sources: machines }
    }

    /// Finds out when each came (`is_one_mailbox` says of two files whether they are neighbours), which have the same exact key, and sorts them. Messages of one second come
    /// in an order that depends on themselves only, so that the order of files does not show.
    pub(super) fn put_in_order(&mut self, is_one_mailbox: impl Fn(u32, u32) -> bool) {
        let records = &mut self.records;
        records.sort_unstable_by_key(|r| r.place);
        for mailbox in records.chunk_by_mut(|a, b| is_one_mailbox(a.place.file(), b.place.file())) {
            set_right(mailbox.iter_mut().map(|r| &mut r.times));
        }
        for record in records.iter_mut() {
            let apart_ms = u64::from(record.times.came.abs_diff(record.times.date)) * 1_000;
            record.has_key &= record.times.date != 0 && apart_ms <= MAX_DATE_DISTANCE_MS;
        }
        records.sort_unstable_by_key(|r| (r.has_key, r.key));
        for same in records.chunk_by_mut(|a, b| a.has_key && b.has_key && a.key == b.key) {
            let count = u32::try_from(same.len()).unwrap_or(u32::MAX);
            same.iter_mut().for_each(|r| r.same = count);
        }
        records.sort_unstable_by_key(|r| (r.times.came, r.key, r.recipient, r.source, r.header, r.place));
    }
}

/// Messages of one mbox, and of files in one folder, are neighbours.
fn is_one_mailbox(archive: &Archive, a: u32, b: u32) -> bool {
    let info = |file: u32| archive.files().get(file as usize);
    let (Some(one), Some(other)) = (info(a), info(b)) else { return false };
    a == b || (one.kind == Kind::Message && other.kind == Kind::Message && one.folder() == other.folder())
}

/// All values once, in their own order.
fn united<V: Ord + Clone>(parts: &[Vec<V>]) -> Vec<V> {
    let mut all: Vec<V> = parts.iter().flatten().cloned().collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The number in `all` of what is `number` in `part`.
fn number_in<V: Ord>(all: &[V], part: &[V], number: u32) -> u32 {
    let found = part.get(number as usize).and_then(|value| all.binary_search(value).ok());
    found.and_then(|at| u32::try_from(at).ok()).unwrap_or(0)
}
