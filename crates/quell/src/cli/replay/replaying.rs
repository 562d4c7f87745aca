//! The messages through the desk, in the order in which they came.

use std::collections::{HashMap, HashSet};

use quell_mail::key::ExactKey;
use quell_mail::reading::Reader;
use quell_queue::store::StoreError;
use quell_storm::limits::Limits;

use super::answer::{Answer, Example, MAX_EXAMPLES};
use super::desk::{Desk, Letter};
use super::headers::{Headers, portions};
use super::mails::Mails;
use super::opportunity::{Met, Opportunity};
use super::record::Record;
use crate::archive::{Damages, Place};

/// Storms whose Message-ID is looked for.
const MAX_NAMED: usize = 1_000;

/// Reads the headers at these places.
pub(super) type Read<'a> = dyn Fn(&[Place]) -> (Headers, Damages) + 'a;

/// Lets `mails` arrive once more. `read` reads headers again.
pub(super) fn replay(
    mails: &Mails,
    limits: &Limits,
    read: &Read<'_>,
) -> Result<(Answer, Damages), StoreError> {
    let began_ms = mails.records.first().map_or(0, arrival_ms);
    let mut replay = Replay {
        mails,
        limits,
        desk: Desk::open(limits, began_ms)?,
        answer: Answer::default(),
        before: HashMap::new(),
        told: HashSet::new(),
        severe: Vec::new(),
        absorbed: Vec::new(),
    };
    for opportunity in Opportunity::ALL {
        let class = opportunity.class().name();
        replay.answer.opportunities.insert(class, 0);
        replay.answer.by_class.insert(class, 0);
        replay.answer.verdicts.insert(class, Default::default());
    }
    let mut damages = Damages::default();
    let may_be_storm = |desk: &Desk, record: &Record| record.has_key && desk.may_be_storm(record.same);
    for portion in portions(&mails.records, |record| may_be_storm(&replay.desk, record)) {
        let records = &mails.records[portion];
        let wanted = records.iter().filter(|record| may_be_storm(&replay.desk, record));
        let places: Vec<Place> = wanted.map(|record| record.place).collect();
        let (mut headers, more) = read(&places);
        add(&mut damages, more);
        for record in records {
            replay.arrives(record, &mut headers)?;
        }
    }
    replay.end(read)?;
    Ok((replay.answer, damages))
}

/// A second reading finds damage only where a file changed meanwhile.
fn add(all: &mut Damages, more: Damages) {
    all.count += more.count;
    all.examples.extend(more.examples);
}

fn arrival_ms(record: &Record) -> i64 {
    i64::from(record.times.came) * 1_000
}

/// What is known of the first arrival of a key for a recipient.
struct First {
    source: u32,
    /// When the last of them came, in seconds since 1970.
    last: u32,
    /// Headers that came, as hashes; at most [`MAX_HEADERS`].
    headers: Vec<u64>,
}

/// Headers of one key and recipient that are remembered, to tell mail that lies there twice.
const MAX_HEADERS: usize = 8;

/// An example before its Message-ID is known.
struct Found {
    place: Place,
    class: &'static str,
    verdict: &'static str,
    reason: String,
}

struct Replay<'a> {
    mails: &'a Mails,
    limits: &'a Limits,
    desk: Desk,
    answer: Answer,
    /// Only keys that come again.
    before: HashMap<(ExactKey, u32), First>,
    /// Messages and reasons of which there is an example.
    told: HashSet<(u64, &'static str)>,
    severe: Vec<Found>,
    absorbed: Vec<Found>,
}

impl Replay<'_> {
    fn arrives(&mut self, record: &Record, headers: &mut Headers) -> Result<(), StoreError> {
        let (met, lies_twice, idle_ms) = self.meet(record);
        for opportunity in Opportunity::ALL.into_iter().filter(|o| o.is_in(&met)) {
            *self.answer.opportunities.entry(opportunity.class().name()).or_default() += 1;
        }
        let recipient = self.mails.recipients.get(record.recipient as usize).map_or("", |name| name);
        let source = self.mails.sources.get(record.source as usize).copied();
        let letter = Letter {
            ms: arrival_ms(record),
            key: record.exact_key(),
            same: record.same,
            source: source.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into()),
            recipient,
            size_bytes: u64::from(record.place.len()),
            hops: usize::from(record.hops),
            idle_ms,
            header: headers.remove(&record.place).unwrap_or_default(),
        };
        let (verdict, reason) = self.desk.judge(letter)?;
        let class = reason.class().name();
        self.answer.count(verdict, class);
        self.answer.lie_twice += u64::from(lies_twice && verdict == "absorb");
        if verdict != "pass" {
            self.show(record, verdict, class, &reason);
        }
        Ok(())
    }

    /// What is known of a message as it arrives, whether its whole header has come before, and how long ago
    /// the last of its key for its recipient came.
    fn meet(&mut self, record: &Record) -> (Met, bool, i64) {
        let mut met = Met { came_before: None, has_token: record.has_token, hops: usize::from(record.hops) };
        let Some(key) = record.exact_key().filter(|_| record.same > 1) else { return (met, false, 0) };
        let new = || First { source: record.source, last: record.times.came, headers: Vec::new() };
        let first = self.before.entry((key, record.recipient)).or_insert_with(new);
        if !first.headers.is_empty() {
            met.came_before = Some(first.source == record.source);
        }
        let idle_ms = i64::from(record.times.came.saturating_sub(first.last)) * 1_000;
        first.last = record.times.came;
        let lies_twice = first.headers.contains(&record.header);
        if !lies_twice && first.headers.len() < MAX_HEADERS {
            first.headers.push(record.header);
        }
        (met, lies_twice, idle_ms)
    }

    fn show(
        &mut self,
        record: &Record,
        verdict: &'static str,
        class: &'static str,
        reason: &quell_storm::verdict::Reason,
    ) {
        let list = if verdict == "absorb" { &mut self.absorbed } else { &mut self.severe };
        let message = match record.exact_key() {
            Some(ExactKey([a, b, c, d, e, f, g, h, ..])) => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            None => record.header,
        };
        if list.len() < MAX_EXAMPLES && self.told.insert((message, reason.name())) {
            let reason = reason.operator(self.limits);
            list.push(Found { place: record.place, class, verdict, reason });
        }
    }

    fn end(&mut self, read: &Read<'_>) -> Result<(), StoreError> {
        self.answer.storms = self.desk.storms()?;
        let mut found = std::mem::take(&mut self.severe);
        found.append(&mut self.absorbed);
        found.truncate(MAX_EXAMPLES);
        let of_storms: Vec<Option<Place>> = self.storm_places();
        let mut places: Vec<Place> = found.iter().map(|example| example.place).collect();
        places.extend(of_storms.iter().flatten());
        let ids = message_ids(read, &places);
        let id = |place: &Place| ids.get(place).cloned().flatten();
        self.answer.examples = found
            .into_iter()
            .map(|f| Example {
                message_id: id(&f.place),
                class: f.class,
                verdict: f.verdict,
                reason: f.reason,
            })
            .collect();
        self.answer.storm_ids = of_storms.iter().map(|place| place.as_ref().and_then(id)).collect();
        Ok(())
    }

    /// Where the first message of each storm lies.
    fn storm_places(&self) -> Vec<Option<Place>> {
        let storms = &self.answer.storms;
        let mut first: HashMap<ExactKey, Option<Place>> = storms
            .iter()
            .take(MAX_NAMED)
            .flat_map(|storm| storm.keys.first())
            .map(|key| (*key, None))
            .collect();
        if !first.is_empty() {
            for record in self.mails.records.iter().filter(|record| record.has_key && record.same > 1) {
                if let Some(place) = first.get_mut(&record.key) {
                    place.get_or_insert(record.place);
                }
            }
        }
        storms.iter().map(|storm| storm.keys.first().and_then(|key| *first.get(key)?)).collect()
    }
}

/// Message-IDs by place.
fn message_ids(read: &Read<'_>, places: &[Place]) -> HashMap<Place, Option<String>> {
    if places.is_empty() {
        return HashMap::new();
    }
    let (headers, _changed_meanwhile) = read(places);
    let id = |header: &[u8]| {
        let mut reader = Reader::new(usize::MAX);
        reader.push(header).ok()?;
        reader.finish(0).message_id
    };
    headers.iter().map(|(place, header)| (*place, id(header))).collect()
}
