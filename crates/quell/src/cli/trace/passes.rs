//! An archive is read up to three times, each time fewer of its messages: all of them for what tells
//! them apart, those that may be copies under another identity for their content, and the copies for
//! the ways they went.

use std::sync::Arc;

use quell_mail::header::split;
use quell_storm::trace::grouping::{self, Record, Sights};
use quell_storm::trace::report::Report;
use quell_storm::trace::whole;

use super::batches;
use super::mails::{Found, Mails, Plain, place_of};
use crate::archive::progress::Drawing;
use crate::archive::{Archive, Damage, Damages, MAX_EXAMPLES, Progress};

/// How to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) threads: usize,
    /// Says nothing of how far it is.
    pub(super) quiet: bool,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Traced {
    pub(super) report: Report,
    pub(super) mails: Mails,
    /// The messages of each group, by index into `mails`, and the group's key in the report.
    pub(super) members: Vec<(String, Vec<usize>)>,
    /// What could not be read; the first of it.
    pub(super) damages: Vec<Damage>,
}

/// Reads `archive` and says what its copies say.
pub(super) fn trace(archive: &Archive, reading: Reading) -> Traced {
    let (mails, mut damaged) = scan(archive, reading);
    let wanted = grouping::wanted(&mails.records);
    let (sights, more) = compare(archive, &mails, &wanted, reading);
    add(&mut damaged, more);
    drop(wanted);
    let groups = grouping::groups(&mails.records, sights);
    let copies: usize = groups.iter().map(Vec::len).sum();
    let batches::Done { mut groups, members, damages } = batches::trace(archive, &mails, groups, reading);
    add(&mut damaged, damages);
    whole::sort(&mut groups);
    let messages = mails.len() as u64;
    let report = Report { messages, singles: messages - copies as u64, damaged: damaged.count, groups };
    Traced { report, mails, members, damages: damaged.examples }
}

/// Later passes find damage only where a file changed meanwhile.
pub(super) fn add(all: &mut Damages, more: Damages) {
    all.count += more.count;
    all.examples.extend(more.examples);
    all.examples.truncate(MAX_EXAMPLES);
}

/// Every message once.
fn scan(archive: &Archive, reading: Reading) -> (Mails, Damages) {
    let progress = Arc::new(Progress::default());
    let total = Some(archive.bytes_total());
    let drawing = Drawing::start("Reading", Arc::clone(&progress), total, reading.quiet);
    let (found, damages) = archive.scan(reading.threads, &progress, Found::default, |found, message| {
        let (header, body) = split(message.bytes);
        found.add(Record::new(place_of(message.place), header, body), message.place.len());
    });
    drop(drawing);
    (Mails::of(found), damages)
}

/// A look at the content of the messages `wanted`.
fn compare(archive: &Archive, mails: &Mails, wanted: &[usize], reading: Reading) -> (Sights, Damages) {
    if wanted.is_empty() {
        return (Sights::default(), Damages::default());
    }
    let progress = Arc::new(Progress::default());
    let total = Some(wanted.iter().map(|i| mails.bytes(*i)).sum());
    let drawing = Drawing::start("Comparing", Arc::clone(&progress), total, reading.quiet);
    let places: Vec<_> = wanted.iter().map(|i| mails.place(*i)).collect();
    let (seen, damages) =
        archive.read(&places, reading.threads, &progress, Sights::default, |sights, message| {
            let Some(i) = mails.at(message.place) else { return };
            let plain = Plain::of(archive, message.place.file(), message.bytes);
            sights.look(i, &mails.records[i], plain.header, &plain.body);
        });
    drop(drawing);
    let mut all = Sights::default();
    seen.into_iter().for_each(|sights| all.merge(sights));
    (all, damages)
}
