//! The messages through the desk, in the order in which they came.

use std::collections::{HashMap, HashSet};

use quell_mail::key::ExactKey;
use quell_mail::reading::Reader;
use quell_queue::store::StoreError;
use quell_storm::exceptions::{Exceptions, Network};
use quell_storm::limits::Limits;
use quell_storm::verdict::Class;

use super::again::{Agains, Wanted, portions};
use super::answer::{Answer, Example, MAX_EXAMPLES};
use super::desk::{Desk, Letter};
use super::mails::Mails;
use super::opportunity::{Met, Opportunity};
use super::record::Record;
use crate::archive::{Damages, Place};

/// Storms whose Message-ID is looked for.
const MAX_NAMED: usize = 1_000;

/// Reads messages again.
pub(super) type Read<'a> = dyn Fn(&[Wanted]) -> (Agains, Damages) + Sync + 'a;

/// Lets `mails` arrive once more. `read` reads messages again, while those before are judged. `exact`: only
/// the classes that no threshold decides are asked.
pub(super) fn replay(
    mails: &Mails,
    limits: &Limits,
    exact: bool,
    read: &Read<'_>,
) -> Result<(Answer, Damages), StoreError> {
    let without_suspicion = Limits { exceptions: everybody(), ..limits.clone() };
    let began_ms = mails.records.first().map_or(0, arrival_ms);
    let mut replay = Replay {
        mails,
        limits,
        desk: Desk::open(if exact { &without_suspicion } else { limits }, began_ms)?,
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
    if !exact {
        for class in Class::ALL.into_iter().filter(|class| class.suspects()) {
            replay.answer.opportunities.insert(class.name(), 0);
            replay.answer.by_class.insert(class.name(), 0);
            replay.answer.verdicts.insert(class.name(), Default::default());
        }
    }
    let least = storm_copies(limits);
    let wanted = |record: &Record| Wanted {
        place: record.place,
        said: !exact,
        header: !exact || (record.has_key && record.same > least),
    };
    let portions = portions(&mails.records, wanted);
    let mut damages = Damages::default();
    std::thread::scope(|scope| {
        // One portion is read while the one before it is judged.
        let (sender, portions_read) = std::sync::mpsc::sync_channel(0);
        let ranges = portions.clone();
        scope.spawn(move || {
            for range in ranges {
                let wanted: Vec<Wanted> = mails.records[range].iter().map(wanted).collect();
                if sender.send(read(&wanted)).is_err() {
                    return;
                }
            }
        });
        for (range, (mut agains, more)) in portions.into_iter().zip(portions_read) {
            add(&mut damages, more);
            for record in &mails.records[range] {
                replay.arrives(record, &mut agains)?;
            }
        }
        Ok::<_, StoreError>(())
    })?;
    replay.end(read)?;
    Ok((replay.answer, damages))
}

fn everybody() -> Exceptions {
    let all = ["0.0.0.0/0", "::/0"].into_iter().filter_map(|net| Network::parse(net).ok());
    Exceptions::new(&[], &[], all.collect())
}

/// More of one key than this can be a storm.
fn storm_copies(limits: &Limits) -> u32 {
    limits.storm_rcpt_copies.min(limits.storm_key_copies)
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
    fn arrives(&mut self, record: &Record, agains: &mut Agains) -> Result<(), StoreError> {
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
            again: agains.take(record.place).unwrap_or_default(),
        };
        let (verdict, reason, opportunities) = self.desk.judge(letter)?;
        for class in Class::ALL.into_iter().filter(|class| opportunities.has(*class)) {
            if let Some(count) = self.answer.opportunities.get_mut(class.name()) {
                *count += 1;
            }
        }
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
    let wanted: Vec<Wanted> =
        places.iter().map(|place| Wanted { place: *place, said: false, header: true }).collect();
    let (agains, _changed_meanwhile) = read(&wanted);
    let id = |header: &[u8]| {
        let mut reader = Reader::new(usize::MAX);
        reader.push(header).ok()?;
        reader.finish(0).message_id
    };
    agains.iter().map(|(place, again)| (*place, id(&again.header))).collect()
}
