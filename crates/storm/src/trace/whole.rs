//! The trace of messages that are all in memory: what `quell trace` does with files, in one call.

use quell_mail::exact::exact_key;
use quell_mail::header::split;
use quell_mail::key::ExactKey;

use super::case::FileName;
use super::copy::{Place, Seen};
use super::grouping::{self, Record, Sights};
use super::report::{Finding, Group, Report};
use super::{Bounds, Trace, id_of};

/// One message.
#[derive(Debug, Clone, Copy)]
pub struct Mail<'a> {
    /// Where it lies.
    pub place: Place,
    /// All of it.
    pub bytes: &'a [u8],
    /// Whose mail lies there, where the message does not tell.
    pub mailbox: &'a str,
}

/// What they say.
pub fn report(mails: &[Mail<'_>], bounds: Bounds, file: FileName<'_>) -> Report {
    let parts: Vec<(&[u8], &[u8])> = mails.iter().map(|mail| split(mail.bytes)).collect();
    let records =
        mails.iter().zip(&parts).map(|(mail, (header, body))| Record::new(mail.place, header, body));
    let records: Vec<Record> = records.collect();
    let mut sights = Sights::default();
    for i in grouping::wanted(&records) {
        sights.look(i, &records[i], parts[i].0, parts[i].1);
    }
    let groups = grouping::groups(&records, sights);
    let copies: usize = groups.iter().map(Vec::len).sum();
    let mut report = Report {
        messages: mails.len() as u64,
        singles: (mails.len() - copies) as u64,
        damaged: 0,
        groups: Vec::new(),
    };
    for members in &groups {
        let mut trace = Trace::new(bounds);
        for &i in members {
            let recipient = grouping::recipient(parts[i].0, mails[i].mailbox);
            trace.add(&Seen {
                header: parts[i].0,
                own_stamp: None,
                recipient: &recipient,
                arrived_ms: None,
                id: id_of(mails[i].place),
                place: Some(mails[i].place),
            });
        }
        report.groups.push(trace.group(&key_of(mails[members[0]].bytes), file));
    }
    sort(&mut report.groups);
    report
}

/// The key that names a group: the exact key of its first message, or, where that has none, a hash over
/// all of it.
pub fn key_of(message: &[u8]) -> ExactKey {
    let at = quell_mail::header::fields(split(message).0).find(|field| field.is("date"));
    let sent_ms = at.and_then(|field| quell_mail::date::parse(field.value)).unwrap_or(0);
    exact_key(message, sent_ms).unwrap_or_else(|_| {
        let (a, b) =
            (xxhash_rust::xxh3::xxh3_128(message), xxhash_rust::xxh3::xxh3_128_with_seed(message, 1));
        let mut key = [0; 32];
        key[..16].copy_from_slice(&a.to_le_bytes());
        key[16..].copy_from_slice(&b.to_le_bytes());
        ExactKey(key)
    })
}

/// Groups with culprits first, then those with open questions; the largest first.
pub fn sort(groups: &mut [Group]) {
    let place = |finding: Finding| match finding {
        Finding::Culprit | Finding::Loop => 0,
        Finding::Retry => 1,
        Finding::CannotTell => 2,
        Finding::List | Finding::NoCulprit => 3,
    };
    groups.sort_by(|a, b| {
        let order = |g: &Group| (place(g.finding), std::cmp::Reverse(g.copies), g.first_seen_ms);
        order(a).cmp(&order(b)).then_with(|| a.key.cmp(&b.key))
    });
}
