//! The copies themselves, for whoever has to look at them: an mbox.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use jiff::Timestamp;
use memchr::memmem;
use quell_mail::header::fields;
use quell_mail::{date, hop};
use quell_storm::trace::report::{Finding, Group, Report};

use super::mails::{Mails, Plain};
use super::passes::{Reading, Traced};
use super::words;
use crate::archive::progress::Drawing;
use crate::archive::{Archive, Message, Place, Progress};

/// Messages held at a time, about.
const BATCH_BYTES: u64 = 16 << 20;

/// Writes the messages of the groups with culprits, and of those that nothing can be told of, in the
/// order of the archive, unchanged, as an mboxrd. How many there are.
///
/// # Errors
/// Those of `out`.
pub(super) fn write(
    archive: &Archive,
    traced: &Traced,
    reading: Reading,
    out: &mut dyn Write,
) -> io::Result<u64> {
    let wanted = wanted(&traced.report, &traced.members);
    let progress = Arc::new(Progress::default());
    let total = Some(wanted.iter().map(|(i, _)| traced.mails.bytes(*i)).sum());
    let _drawing = Drawing::start("Writing", Arc::clone(&progress), total, reading.quiet);
    let mut written = 0;
    for batch in batches(&wanted, &traced.mails) {
        let places: Vec<Place> = batch.iter().map(|(i, _)| traced.mails.place(*i)).collect();
        let keep = |kept: &mut Vec<(Place, Vec<u8>)>, message: Message<'_>| {
            let plain = Plain::of(archive, message.place.file(), message.bytes);
            kept.push((message.place, plain.whole().into_owned()));
        };
        // One file after the other; those that are gone meanwhile were told of before.
        let (kept, _) = archive.read(&places, 1, &progress, Vec::new, keep);
        for (place, message) in kept.into_iter().flatten() {
            let number = traced
                .mails
                .at(place)
                .and_then(|i| batch.binary_search_by_key(&i, |(i, _)| *i).ok().map(|at| batch[at].1));
            put(&message, number.unwrap_or(0), out)?;
            written += 1;
        }
    }
    out.flush()?;
    Ok(written)
}

/// The messages, each with the number that its group has on the terminal, in the archive's order.
fn wanted(report: &Report, members: &[(String, Vec<usize>)]) -> Vec<(usize, usize)> {
    let of: HashMap<&str, &Vec<usize>> = members.iter().map(|(key, all)| (key.as_str(), all)).collect();
    let is_wanted = |group: &Group| !group.culprits.is_empty() || group.finding == Finding::CannotTell;
    let ordered = words::in_order(&report.groups);
    let groups = (1..).zip(ordered).filter(|(_, group)| is_wanted(group));
    let all = groups.filter_map(|(number, group)| Some((number, *of.get(group.key.as_str())?)));
    let mut wanted: Vec<_> = all.flat_map(|(number, all)| all.iter().map(move |i| (*i, number))).collect();
    wanted.sort_unstable();
    wanted
}

/// So many messages at a time as have room.
fn batches<'a>(
    mut wanted: &'a [(usize, usize)],
    mails: &'a Mails,
) -> impl Iterator<Item = &'a [(usize, usize)]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |(i, _): &&(usize, usize)| {
            bytes += mails.bytes(*i);
            bytes <= BATCH_BYTES
        };
        let many = wanted.iter().take_while(fits).count().max(1).min(wanted.len());
        let (batch, rest) = wanted.split_at(many);
        wanted = rest;
        Some(batch).filter(|batch| !batch.is_empty())
    })
}

/// One message. Its postmark tells the group's number and when it came.
fn put(message: &[u8], number: usize, out: &mut dyn Write) -> io::Result<()> {
    let end: &[u8] = if is_crlf(message) { b"\r\n" } else { b"\n" };
    let time = Timestamp::from_millisecond(arrived_ms(message).unwrap_or(0)).unwrap_or(Timestamp::UNIX_EPOCH);
    write!(out, "From quell-trace-group-{number} {}", time.strftime("%a %b %e %H:%M:%S %Y"))?;
    out.write_all(end)?;
    let mut written = 0;
    for at in memmem::find_iter(message, b"From ") {
        let line = message[..at].iter().rposition(|b| *b != b'>').map_or(0, |last| last + 1);
        if line == 0 || message[line - 1] == b'\n' {
            out.write_all(&message[written..line])?;
            out.write_all(b">")?;
            written = line;
        }
    }
    out.write_all(&message[written..])?;
    if !message.ends_with(b"\n") {
        out.write_all(end)?;
    }
    out.write_all(end)
}

fn is_crlf(message: &[u8]) -> bool {
    memchr::memchr(b'\n', message).is_some_and(|lf| message[..lf].ends_with(b"\r"))
}

/// When it came: by its newest stamp, else its Date.
fn arrived_ms(message: &[u8]) -> Option<i64> {
    let header = quell_mail::header::split(message).0;
    let stamp = fields(header).filter(|f| f.is("received")).find_map(|f| hop::parse(f.value).date_ms);
    stamp.or_else(|| fields(header).find(|f| f.is("date")).and_then(|f| date::parse(f.value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quell_mail::mbox::{Dialect, is_postmark, unquoted};

    fn written(message: &str) -> String {
        let mut out = Vec::new();
        put(message.as_bytes(), 3, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_message_comes_back_as_it_was() {
        let message =
            "Received: by a; Sat, 21 Nov 2026 23:00:00 +0000\nFrom: b\n\nFrom here\n>From there\n>x From y\n";
        let text = written(message);
        let (postmark, rest) = text.split_once('\n').unwrap();
        assert_eq!(postmark, "From quell-trace-group-3 Sat Nov 21 23:00:00 2026");
        assert!(is_postmark(postmark.as_bytes()));
        assert!(rest.contains("\n>From here\n>>From there\n>x From y\n\n"), "{rest}");
        let rest = rest.strip_suffix("\n").unwrap();
        assert_eq!(&*unquoted(rest.as_bytes(), Dialect::Mboxrd), message.as_bytes());
    }

    #[test]
    fn line_ends_are_the_messages_own() {
        assert!(written("Date: x\r\n\r\nFrom a\r\n").ends_with("1970\r\nDate: x\r\n\r\n>From a\r\n\r\n"));
        assert!(written("Subject: x").ends_with("1970\nSubject: x\n\n"));
    }
}
