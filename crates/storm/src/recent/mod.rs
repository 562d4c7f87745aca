//! What came lately, counted for the classes that compare: contents, conversations, turns, reports, volume.
//!
//! ```text
//! Facts ─ look ─ Looked { signs of each recipient } ─ judge ─ verdicts ─ note
//! ```
//!
//! `look` changes nothing: the judge is given what the tables would say with this arrival counted. `note`
//! counts it, unless it was absorbed as an exact copy or refused as a loop: those are no new message.
//!
//! Everything here is in tables of a fixed size ([`crate::table`]): a new entry takes the place of the
//! coldest of the source that has the most, so whoever fills a table pushes out his own; entries of open
//! storms stay; and where there is no room the message passes that class. Keys are made with the
//! installation's secret, so nobody can aim at another's. After a restart the classes begin anew.

mod contents;
mod pins;
mod reports;
mod talk;
mod users;

use std::net::IpAddr;

use quell_mail::key::{ExactKey, LedgerKey};
use quell_mail::letter::Machine;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use self::contents::{Contents, House, Met, Received};
use self::pins::Pins;
use self::reports::{Address, Message};
use self::talk::{Pair, Thread};
use self::users::User;
use crate::facts::{Facts, Ms};
use crate::limits::Limits;
use crate::rhythm::Rhythm;
use crate::said::Mark;
use crate::signs::{ClassSet, Leaving, Signs, Suspicion};
use crate::table::Table;
use crate::verdict::Class;

/// Parts of [`Limits::recent_entries`] that the smaller tables have.
const CONTENTS_PART: usize = 4;
const PAIRS_PART: usize = 8;
const REPORTS_PART: usize = 8;
const THREADS_PART: usize = 128;
const HOUSES_PART: usize = 32;
const SOURCES_PART: usize = 128;
/// Fewest entries of a table.
const LEAST_ENTRIES: usize = 1 << 10;
/// A transaction with more recipients is no answer to somebody.
const MAX_ANSWERED: usize = 3;

/// The tables.
#[derive(Debug)]
pub struct Recent {
    seed: u64,
    contents: Table<Contents>,
    received: Table<Received>,
    threads: Table<Thread>,
    pairs: Table<Pair>,
    addresses: Table<Address>,
    messages: Table<Message>,
    houses: Table<House>,
    sources: Table<Rhythm>,
    users: Table<User>,
    /// When the first message went out.
    began_sending_ms: Option<Ms>,
    /// Entries of open storms, which are pinned.
    pins: Pins,
}

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Contents,
    Received,
    Threads,
    Pairs,
    Addresses,
    Messages,
}

/// What the tables say of an arrival; to be given back to [`Recent::note`].
#[derive(Debug, Default)]
pub struct Looked {
    /// Of each recipient, in their order.
    pub signs: Vec<Signs>,
    source: u64,
    content: Option<Met>,
    thread: Option<u64>,
    /// Of each recipient; 0: none.
    pairs: Vec<u64>,
    /// Its source is not counted for it.
    is_part: bool,
}

impl Recent {
    /// Empty tables. `seed` is made from the installation's secret.
    pub fn new(seed: u64, limits: &Limits) -> Self {
        let entries = |part: usize| (limits.recent_entries / part).max(LEAST_ENTRIES);
        Self {
            seed,
            contents: Table::new(entries(CONTENTS_PART)),
            received: Table::new(entries(1)),
            threads: Table::new(entries(THREADS_PART)),
            pairs: Table::new(entries(PAIRS_PART)),
            addresses: Table::new(entries(REPORTS_PART)),
            messages: Table::new(entries(REPORTS_PART)),
            houses: Table::new(entries(HOUSES_PART)),
            sources: Table::new(entries(SOURCES_PART)),
            users: Table::new(entries(SOURCES_PART)),
            began_sending_ms: None,
            pins: Pins::default(),
        }
    }

    /// What the tables say, this arrival included.
    pub fn look(&self, facts: &Facts, limits: &Limits, now: Ms) -> Looked {
        let mut looked = Looked { source: self.source(facts), ..Looked::default() };
        if facts.source.address.is_none() {
            looked.signs = vec![Signs::default(); facts.recipients.len()];
            return looked;
        }
        looked.content = self.meet(facts, limits, now);
        looked.thread = self.thread_of(facts, limits);
        let of_message = Signs {
            leaving: looked.content.as_ref().and_then(|met| self.leaving(facts, met)),
            replies: looked.thread.map(|key| talk::replies(self.threads.get(key), facts, limits, now)),
            // What is collected was not sent now: how fast it comes says nothing of who sent it.
            flood: if facts.source.pickup.is_some() { None } else { self.flood(looked.source, limits, now) },
            is_counted: self.sources.get(looked.source).is_some(),
            ..Signs::default()
        };
        let sent = self.sent(facts, looked.source, now);
        for i in 0..facts.recipients.len() {
            let pair = self.pair_key(facts, i);
            looked.pairs.push(pair);
            looked.signs.push(Signs {
                leaving: of_message.leaving.map(|leaving| Leaving {
                    stands: contents::stands(facts, i),
                    had: looked.content.as_ref().is_some_and(|met| self.had(facts, i, met, limits, now)),
                    ..leaving
                }),
                again: looked.content.as_ref().and_then(|met| self.again(facts, i, met, limits, now)),
                turns: (pair != 0).then(|| talk::turns(self.pairs.get(pair), facts, i, limits, now)),
                reports: self.reports(facts, i, now),
                sent: sent.as_ref().and_then(|sent| sent.get(i).copied()),
                ..of_message
            });
        }
        looked
    }

    fn flood(&self, source: u64, limits: &Limits, now: Ms) -> Option<crate::rhythm::Flood> {
        // A copy of one source's rhythm: some hundred bytes, and nothing is changed.
        let rhythm = self.sources.get(source).cloned();
        rhythm.unwrap_or_else(|| Rhythm::new(now)).count(now, &limits.flood)
    }

    /// Counts an arrival, for those recipients for whom it was judged as new.
    pub fn note(&mut self, facts: &Facts, looked: &Looked, is_new: &[bool], limits: &Limits, now: Ms) {
        if facts.source.address.is_none() || !is_new.contains(&true) {
            return;
        }
        self.fetch(facts, looked);
        self.note_houses(facts, looked.source, now);
        if let Some(met) = &looked.content {
            self.note_content(facts, looked, met, is_new, limits, now);
        }
        if let Some(key) = looked.thread
            && let Some(thread) = self.threads.entry(key, looked.source, now, Thread::default)
        {
            thread.add(facts, limits, now);
        }
        for (i, key) in
            looked.pairs.iter().enumerate().filter(|(i, key)| **key != 0 && is_new.get(*i) == Some(&true))
        {
            if let Some(pair) = self.pairs.entry(*key, looked.source, now, Pair::default) {
                pair.add(facts, i, limits, now);
            }
        }
        self.note_reports(facts, looked, is_new, now);
        self.note_sent_by_user(facts, looked, is_new, limits, now);
        if looked.is_part || facts.source.pickup.is_some() {
            return;
        }
        if let Some(rhythm) = self.sources.entry(looked.source, looked.source, now, || Rhythm::new(now)) {
            let _ = rhythm.count(now, &limits.flood);
        }
    }

    /// Looks at what counting a message for its first recipient will touch, in the large tables at once.
    fn fetch(&self, facts: &Facts, looked: &Looked) {
        if let Some(met) = &looked.content {
            self.contents.fetch(met.place(), looked.source);
            self.received.fetch(self.received_key(facts, 0, met), looked.source);
        }
        if let Some(pair) = looked.pairs.first().filter(|pair| **pair != 0) {
            self.pairs.fetch(*pair, looked.source);
        }
        self.sources.fetch(looked.source, looked.source);
    }

    /// The key of the storm that `suspicion` about recipient `i` is part of: as the ledger has it, and as
    /// people see it.
    pub fn storm_key(&self, facts: &Facts, looked: &Looked, i: usize, class: Class) -> (LedgerKey, ExactKey) {
        let key = match class {
            Class::Resent | Class::Reinjected => looked.content.as_ref().map_or(0, Met::id),
            Class::ReplyAll => looked.thread.unwrap_or(0),
            Class::AutoReply => looked.pairs.get(i).copied().unwrap_or(0),
            Class::Bounces => self.address_key(facts, i),
            Class::Flood | Class::UserLimit => looked.source,
            Class::New | Class::Copies | Class::Retry | Class::Loop => 0,
        };
        let bytes = [&[class as u8][..], &key.to_le_bytes()].concat();
        let half = |n: u64| xxh3_128_with_seed(&bytes, self.seed ^ n).to_le_bytes();
        let mut public = [0; 32];
        public[..16].copy_from_slice(&half(1));
        public[16..].copy_from_slice(&half(2));
        (LedgerKey(half(3)), ExactKey(public))
    }

    /// Keeps the entries that a storm's next message is compared with, until [`Recent::storm_over`].
    pub fn keep(&mut self, facts: &Facts, looked: &Looked, i: usize, what: &Suspicion, storm: &LedgerKey) {
        let mut keys: Vec<(Kind, u64)> = Vec::new();
        match what.class() {
            Class::Resent | Class::Reinjected => {
                keys.extend(looked.content.as_ref().map(|met| (Kind::Contents, met.place())));
                keys.extend(
                    looked.content.as_ref().map(|met| (Kind::Received, self.received_key(facts, i, met))),
                );
            }
            Class::ReplyAll => keys.extend(looked.thread.map(|key| (Kind::Threads, key))),
            Class::AutoReply => keys.extend(looked.pairs.get(i).map(|key| (Kind::Pairs, *key))),
            Class::Bounces => {
                keys.push((Kind::Addresses, self.address_key(facts, i)));
                keys.extend(self.report_key(facts, i).map(|key| (Kind::Messages, key)));
            }
            Class::Flood | Class::UserLimit | Class::New | Class::Copies | Class::Retry | Class::Loop => {}
        }
        for (kind, key) in keys {
            if !self.pins.wants(storm, (kind, key)) {
                continue;
            }
            let is_kept = match kind {
                Kind::Contents => self.contents.pin(key),
                Kind::Received => self.received.pin(key),
                Kind::Threads => self.threads.pin(key),
                Kind::Pairs => self.pairs.pin(key),
                Kind::Addresses => self.addresses.pin(key),
                Kind::Messages => self.messages.pin(key),
            };
            if is_kept {
                self.pins.add(storm, (kind, key));
            }
        }
    }

    /// A storm has ended: its entries may go when they are cold, unless another storm keeps them too.
    pub fn storm_over(&mut self, storm: &LedgerKey) {
        for (kind, key) in self.pins.over(storm) {
            let _ = match kind {
                Kind::Contents => self.contents.unpin(key),
                Kind::Received => self.received.unpin(key),
                Kind::Threads => self.threads.unpin(key),
                Kind::Pairs => self.pairs.unpin(key),
                Kind::Addresses => self.addresses.unpin(key),
                Kind::Messages => self.messages.unpin(key),
            };
        }
    }

    /// Messages that passed a class because their counters found no room.
    pub fn no_room(&self) -> u64 {
        self.contents.no_room()
            + self.received.no_room()
            + self.threads.no_room()
            + self.pairs.no_room()
            + self.addresses.no_room()
            + self.messages.no_room()
            + self.houses.no_room()
            + self.sources.no_room()
            + self.users.no_room()
    }

    /// Bytes of all tables in memory, the replies of conversations and what storms keep included. Looks at every
    /// conversation there is a place for.
    pub fn bytes(&self) -> usize {
        self.contents.bytes()
            + self.received.bytes()
            + self.threads.bytes()
            + self.pairs.bytes()
            + self.addresses.bytes()
            + self.messages.bytes()
            + self.houses.bytes()
            + self.sources.bytes()
            + self.users.bytes()
            + self.users.values().map(User::heap_bytes).sum::<usize>()
            + self.threads.values().map(Thread::heap_bytes).sum::<usize>()
            + self.pins.bytes()
    }

    /// Who brought it, as the tables count: a user, an IPv4 /24, an IPv6 /48. Whoever has one address has
    /// its neighbours.
    fn source(&self, facts: &Facts) -> u64 {
        if let Some(user) = &facts.source.user {
            return self.hash(b"user", &[self.text_hash(user)]);
        }
        let network = match facts.source.address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(v4)) => u64::from(u32::from(v4) >> 8),
            Some(IpAddr::V6(v6)) => u64::try_from(u128::from(v6) >> 80).unwrap_or_default() | 1 << 63,
            None => u64::MAX,
        };
        self.hash(b"source", &[network])
    }

    fn hash(&self, what: &[u8], parts: &[u64]) -> u64 {
        let mut bytes = [0u8; 40];
        let mut len = what.len().min(16);
        bytes[..len].copy_from_slice(&what[..len]);
        for part in parts.iter().take(3) {
            bytes[len..len + 8].copy_from_slice(&part.to_le_bytes());
            len += 8;
        }
        // 0 stands for none.
        xxh3_64_with_seed(&bytes[..len], self.seed).max(1)
    }

    fn text_hash(&self, text: &str) -> u64 {
        xxh3_64_with_seed(text.as_bytes(), self.seed).max(1)
    }

    /// The key of the two who write to each other; 0: this is no message from one to another.
    fn pair_key(&self, facts: &Facts, i: usize) -> u64 {
        let letter = &facts.said.letter;
        let is_to_few = facts.recipients.len() <= MAX_ANSWERED
            && letter.addressed_total as usize <= MAX_ANSWERED
            && letter.list.is_none();
        let (Some(from), true) = (talk::writer(facts), is_to_few) else { return 0 };
        if letter.machine == Machine::Sent && letter.report.is_some() {
            return 0;
        }
        let to = talk::written_to(facts, i);
        if from == to {
            return 0;
        }
        self.hash(b"pair", &[from.min(to), from.max(to)])
    }

    /// What is known of a message that leaves the house, but whether the recipient stands in it.
    fn leaving(&self, facts: &Facts, met: &Met) -> Option<Leaving> {
        let leaves = facts.source.inside && !facts.is_author_ours && facts.said.letter.author.is_some();
        let before = met.find(self.contents.get(met.place()));
        let addressed = contents::addressed(before, facts);
        // Once it has left for others, it is the same fault where it goes to our own people.
        (leaves && addressed > 0).then(|| Leaving {
            came_in: before.is_some_and(contents::Version::came_in),
            // A shop's own server, too, makes mail in a folder under a name that nobody knows; but its
            // customers are not written to together with us.
            marked: match facts.said.mark {
                Mark::Strong => true,
                Mark::Weak => facts.is_to_us,
                Mark::None => false,
            },
            stands: false,
            had: false,
            addressed,
        })
    }
}

/// The classes among `signs` that are over a person's release are put there by the door.
impl Looked {
    /// The classes that had something to decide on for any of the recipients.
    pub fn opportunities(&self) -> ClassSet {
        self.signs.iter().fold(ClassSet::default(), |all, signs| all.with(signs.opportunities()))
    }

    /// It is a part of a message that has been counted: its source is not counted again.
    pub fn is_part_of_a_message(&mut self) {
        self.is_part = true;
        for signs in &mut self.signs {
            (signs.flood, signs.is_counted) = (None, false);
        }
    }

    /// Sets the released classes of recipient `i`.
    pub fn release(&mut self, i: usize, classes: ClassSet) {
        if let Some(signs) = self.signs.get_mut(i) {
            signs.released = classes;
        }
    }
}
