//! Which messages of an archive are copies of one message.
//!
//! Three readings, each of fewer messages. The first makes a [`Record`] of 40 bytes of every message. Of
//! those whose author and subject stand under several identities the second looks at the content
//! ([`Sights`]). What is then a group of two or more is read once more for its trace.
//!
//! Equal identities (Message-ID and Date) are one message. Messages of one content but with different
//! identities are put together only if one of them got its identity somewhere else than at its author's:
//! a person who sends twice, a monthly report and a series of patches stay apart.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use quell_mail::content::{self, Content, Likeness};
use quell_mail::header::fields;
use quell_mail::{date, hop};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::actor::vouched;
use super::chain::Reader;
use super::copy::{Copy, Place, Seen};
use super::origin::{Home, STRANGE, suspicion};
use crate::facts::Ms;

/// Contents kept to be compared line by line; of further ones only equal ones are found.
const MAX_CONTENTS: usize = 20_000;
/// Contents of one author and subject that are compared with each other; likewise.
const MAX_COMPARED: usize = 48;
/// Bytes of a trace that are looked at for where a message comes from.
const MAX_COPY_BYTES: usize = 32 << 10;
/// Copies without an original are taken for one message only if this many came within a day.
const MIN_STRANGERS: usize = 2;
const DAY_MS: Ms = 86_400_000;
/// Messages of one content that an author has sent himself from which on they are reports.
const MIN_REPORTS: usize = 3;

/// One message of an archive, in the first reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Where it lies.
    pub place: Place,
    /// A hash of its Message-ID and Date. 0: it has no Message-ID.
    identity: u64,
    /// A hash of its author and subject. 0: it has neither.
    bucket: u64,
    /// A hash of its body as it lies there.
    body: u64,
}

impl Record {
    /// Of the message at `place`. Costs a look at the header and a hash over the body.
    pub fn new(place: Place, header: &[u8], body: &[u8]) -> Self {
        let (mut id, mut at, mut from, mut subject) = (None, None, None, None);
        for field in fields(header) {
            let slot = match field.name.len() {
                10 if field.is("message-id") => &mut id,
                4 if field.is("date") => &mut at,
                4 if field.is("from") => &mut from,
                7 if field.is("subject") => &mut subject,
                _ => continue,
            };
            slot.get_or_insert(field.value);
        }
        let identity = id.map(|id: &[u8]| identity(id.trim_ascii(), at)).unwrap_or(0);
        let bucket = content::bucket(from, subject).unwrap_or(0);
        Self { place, identity, bucket, body: xxh3_64(body) }
    }
}

fn identity(id: &[u8], at: Option<&[u8]>) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(id);
    hash.update(&at.and_then(date::parse).unwrap_or(-1).to_le_bytes());
    hash.digest().max(1)
}

/// The messages of which more must be known, by index: one of each identity whose author and subject
/// stand under several identities.
pub fn wanted(records: &[Record]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..records.len()).filter(|i| records[*i].bucket != 0).collect();
    order.sort_unstable_by_key(|i| (records[*i].bucket, records[*i].identity, *i));
    let mut wanted: Vec<usize> = Vec::new();
    for bucket in order.chunk_by(|a, b| records[*a].bucket == records[*b].bucket) {
        let firsts =
            || bucket.chunk_by(|a, b| is_one(&records[*a], &records[*b])).filter_map(<[usize]>::first);
        if firsts().nth(1).is_some() {
            wanted.extend(firsts());
        }
    }
    wanted.sort_unstable_by_key(|i| records[*i].place);
    wanted
}

fn is_one(a: &Record, b: &Record) -> bool {
    a.identity != 0 && a.identity == b.identity
}

/// What was seen in the second reading; those of several workers are put together by [`Sights::merge`].
#[derive(Debug, Default)]
pub struct Sights {
    all: Vec<Sight>,
    contents: HashMap<u64, Content>,
    known: HashMap<u64, u64>,
    homes: HashMap<u64, Arc<Home>>,
}

#[derive(Debug, Clone)]
struct Sight {
    record: usize,
    content: u64,
    home: Arc<Home>,
    suspicion: u32,
    arrived_ms: Option<Ms>,
}

impl Sights {
    /// Looks at message `i` of [`wanted`].
    pub fn look(&mut self, i: usize, record: &Record, header: &[u8], body: &[u8]) {
        let seen =
            Seen { header, own_stamp: None, recipient: "", arrived_ms: None, id: i as u64, place: None };
        let chain = vouched(Reader::default().read(&Copy::new(&seen, MAX_COPY_BYTES), 1.0));
        let home = Home::of(&chain);
        let mut name = Xxh3::new();
        home.hash(&mut name);
        let name = name.digest();
        let home = Arc::clone(self.homes.entry(name).or_insert_with(|| Arc::new(home)));
        let content = self.content(record, header, body);
        let (suspicion, arrived_ms) = (suspicion(&chain), chain.arrived_ms);
        self.all.push(Sight { record: i, content, home, suspicion, arrived_ms });
    }

    /// The content's key. Equal bodies under equal fields are read once.
    fn content(&mut self, record: &Record, header: &[u8], body: &[u8]) -> u64 {
        let mut hash = Xxh3::new();
        hash.update(&record.bucket.to_le_bytes());
        hash.update(&record.body.to_le_bytes());
        for field in fields(header).filter(|field| shapes_content(field.name)) {
            hash.update(field.whole);
        }
        let as_it_lies = hash.digest();
        if let Some(known) = self.known.get(&as_it_lies) {
            return *known;
        }
        // A copy with a new identity is one whether or not a list handed it on.
        let content = content::content(header, body).without_list();
        let key = xxh3_64(&content.key().0);
        if self.known.len() < MAX_CONTENTS {
            self.known.insert(as_it_lies, key);
        }
        if self.contents.len() < MAX_CONTENTS {
            self.contents.entry(key).or_insert(content);
        }
        key
    }

    /// Takes in what another worker has seen.
    pub fn merge(&mut self, other: Self) {
        self.all.extend(other.all);
        for (key, content) in other.contents {
            if self.contents.len() < MAX_CONTENTS {
                self.contents.entry(key).or_insert(content);
            }
        }
    }
}

/// Whether a field says how the body is to be read, or which thread it belongs to.
fn shapes_content(name: &[u8]) -> bool {
    let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
        || is("in-reply-to")
        || is("references")
        || is("thread-index")
}

/// The groups of two or more, each the indices of its messages in the order of their places.
pub fn groups(records: &[Record], sights: Sights) -> Vec<Vec<usize>> {
    let mut sets = Sets::new(records.len());
    let mut order: Vec<usize> = (0..records.len()).filter(|i| records[*i].identity != 0).collect();
    order.sort_unstable_by_key(|i| (records[*i].identity, *i));
    for pair in order.windows(2).filter(|pair| is_one(&records[pair[0]], &records[pair[1]])) {
        sets.join(pair[0], pair[1]);
    }
    join_by_content(records, sights, &mut sets);
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for i in 0..records.len() {
        let root = sets.root(i);
        if root != i || sets.is_joined[i] {
            groups.entry(root).or_default().push(i);
        }
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().filter(|group| group.len() > 1).collect();
    for group in &mut groups {
        group.sort_unstable_by_key(|i| records[*i].place);
    }
    groups.sort_unstable_by_key(|group| records[group[0]].place);
    groups
}

fn join_by_content(records: &[Record], sights: Sights, sets: &mut Sets) {
    let Sights { mut all, contents, .. } = sights;
    all.sort_by_key(|sight| (records[sight.record].bucket, sight.content, sight.record));
    for bucket in all.chunk_by(|a, b| records[a.record].bucket == records[b.record].bucket) {
        let keys: Vec<&[Sight]> = bucket.chunk_by(|a, b| a.content == b.content).collect();
        let compared: Vec<Option<&Content>> =
            keys.iter().map(|same| contents.get(&same[0].content)).collect();
        let mut by_root: BTreeMap<usize, Vec<&Sight>> = BTreeMap::new();
        for (root, same) in clusters(&compared).into_iter().zip(keys) {
            by_root.entry(root).or_default().extend(same);
        }
        by_root.values_mut().for_each(|members| join(members, sets));
    }
}

/// Which contents are alike: of each the first that it is like, by way of others too.
fn clusters(contents: &[Option<&Content>]) -> Vec<usize> {
    let mut sets = Sets::new(contents.len());
    for (i, a) in contents.iter().enumerate().take(MAX_COMPARED) {
        for (j, b) in contents.iter().enumerate().take(MAX_COMPARED).skip(i + 1) {
            let alike = a.zip(*b).is_some_and(|(a, b)| !matches!(a.compare(b), Likeness::Different));
            if alike {
                sets.join(i, j);
            }
        }
    }
    (0..contents.len()).map(|i| sets.root(i)).collect()
}

/// Puts messages of one content together with the message of the author's that they are copies of.
fn join(members: &mut [&Sight], sets: &mut Sets) {
    members
        .sort_by_key(|sight| (sight.suspicion, sight.arrived_ms.is_none(), sight.arrived_ms, sight.record));
    let Some(own) = members.first().copied() else { return };
    // Homes are few, and copies may be a million.
    let mut same = HashMap::new();
    let (home, foreign): (Vec<&Sight>, Vec<&Sight>) = members.iter().partition(|sight| {
        *same.entry(Arc::as_ptr(&sight.home)).or_insert_with(|| sight.home.is_same(&own.home))
    });
    if home.iter().any(|sight| sight.suspicion >= STRANGE) {
        return join_strangers(members, sets);
    }
    let mut by_time = home.clone();
    by_time.sort_by_key(|sight| sight.arrived_ms);
    let authors = authors_of_their_own(&by_time, &foreign);
    let copies = foreign
        .iter()
        .filter(|sight| sight.suspicion >= STRANGE || !authors.contains(&Arc::as_ptr(&sight.home)));
    for sight in copies {
        let before = by_time.partition_point(|own| own.arrived_ms <= sight.arrived_ms);
        let nearest = before.checked_sub(1).map_or(home[0], |last| by_time[last]);
        sets.join(nearest.record, sight.record);
    }
}

/// Homes of messages that are no copies of the author's: they sent the same before he did, or he sends it
/// again and again himself, as machines do that report.
fn authors_of_their_own(home: &[&Sight], foreign: &[&Sight]) -> BTreeSet<*const Home> {
    let first = home.iter().find_map(|sight| sight.arrived_ms);
    let reports = home.len() >= MIN_REPORTS;
    let before =
        |sight: &&&Sight| reports || sight.arrived_ms.zip(first).is_some_and(|(at, first)| at < first);
    foreign.iter().filter(before).map(|sight| Arc::as_ptr(&sight.home)).collect()
}

/// Copies of which no original is there: marks stand in those of the least suspicious one's home, so that is
/// not the author's; and several came within a day.
fn join_strangers(members: &mut [&Sight], sets: &mut Sets) {
    members.sort_by_key(|sight| (sight.arrived_ms, sight.record));
    let span = |a: &Sight, b: &Sight| Some(b.arrived_ms?.saturating_sub(a.arrived_ms?));
    for few in members.windows(MIN_STRANGERS) {
        let within_a_day = span(few[0], few[MIN_STRANGERS - 1]).is_none_or(|ms| ms <= DAY_MS);
        if within_a_day {
            few.windows(2).for_each(|pair| sets.join(pair[0].record, pair[1].record));
        }
    }
}

/// Disjoint sets; the root of a set is its lowest member.
struct Sets {
    parent: Vec<usize>,
    is_joined: Vec<bool>,
}

impl Sets {
    fn new(len: usize) -> Self {
        Self { parent: (0..len).collect(), is_joined: vec![false; len] }
    }

    fn root(&mut self, mut i: usize) -> usize {
        while self.parent[i] != i {
            self.parent[i] = self.parent[self.parent[i]];
            i = self.parent[i];
        }
        i
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a.max(b)] = a.min(b);
        self.is_joined[a.min(b)] = true;
    }
}

/// The recipient of a message of an archive, where there is no envelope: the newest `Delivered-To`,
/// `X-Original-To` or `Envelope-To` if the server of final delivery wrote it, else the `for` clause of
/// one of the two newest stamps, else `mailbox`, the name of the file that it lies in.
pub fn recipient(header: &[u8], mailbox: &str) -> String {
    let mut stamps = 0;
    for field in fields(header) {
        if field.is("received") {
            stamps += 1;
        }
        let delivered = ["delivered-to", "x-original-to", "envelope-to"].iter().any(|name| field.is(name));
        let address = || super::names::address_in(&String::from_utf8_lossy(field.value));
        if let Some(address) = (delivered && stamps <= 1).then(address).flatten() {
            return address;
        }
    }
    let stamps = fields(header).filter(|field| field.is("received")).take(2);
    let stamps: Vec<&[u8]> = stamps.map(|field| field.value).collect();
    let by = |stamp: &[u8]| hop::by_of(stamp).lower();
    let newest = stamps.first().map(|stamp| by(stamp)).unwrap_or_default();
    // What another house was told says nothing of who reads it here.
    let here = stamps.iter().filter(|stamp| super::names::same_house(&by(stamp), &newest));
    let for_ = here.filter_map(|stamp| hop::for_of(stamp).map(|word| word.lower())).next();
    let is_told = |address: &String| address.contains('@') && !address.ends_with("@localhost");
    for_.filter(is_told).unwrap_or_else(|| mailbox.to_owned())
}
