//! Conversations of many, and two who write to each other in turn: for `reply_all` and `auto_reply`.

use std::collections::VecDeque;

use quell_mail::letter::{Machine, address_hash};
use xxhash_rust::xxh3::xxh3_64;

use super::{Looked, Recent};
use crate::facts::{Facts, Ms};
use crate::limits::Limits;
use crate::signs::{Replies, Turns};

/// Replies remembered of one conversation: more than the rule's greatest threshold.
const MAX_REPLIES: usize = 256;

/// Authors of one conversation who are told; of more nobody is.
const MAX_TOLD: usize = 64;

/// What comes so soon after the other's last message answers it.
const AT_ONCE_MS: Ms = 60_000;

/// A conversation.
#[derive(Debug, Clone, Default)]
pub(super) struct Thread {
    people: u32,
    /// In order of time.
    replies: VecDeque<Reply>,
    /// Authors who were told that a reply of theirs is held.
    told: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reply {
    at_ms: Ms,
    author: u32,
    /// The message: it may come once for each of its recipients.
    message: u32,
}

impl Reply {
    fn of(facts: &Facts, now: Ms) -> Self {
        let letter = &facts.said.letter;
        let author = letter.author.as_deref().unwrap_or(&facts.reverse_path);
        let message = letter.message_id.unwrap_or_else(|| xxh3_64(facts.queue_id.bytes()));
        Self { at_ms: now, author: address_hash(author) as u32, message: message as u32 }
    }
}

/// How many people a message reaches, its author included.
fn people(facts: &Facts) -> u32 {
    let recipients = u32::try_from(facts.recipients.len()).unwrap_or(u32::MAX);
    let letter = &facts.said.letter;
    let author = letter.author.as_deref().map(address_hash);
    let is_among_them = author.is_some_and(|author| letter.addressed.binary_search(&author).is_ok());
    letter.addressed_total.max(recipients).saturating_add(u32::from(!is_among_them))
}

/// What a conversation is with this reply.
pub(super) fn replies(thread: Option<&Thread>, facts: &Facts, limits: &Limits, now: Ms) -> Replies {
    let this = Reply::of(facts, now);
    let mut authors = Distinct::default();
    authors.add(this.author);
    let (mut counted, mut seen) = (0, false);
    let is_within = |r: &&Reply| now.saturating_sub(r.at_ms) < limits.reply_all_window_ms;
    for before in thread.into_iter().flat_map(|thread| &thread.replies).filter(is_within) {
        authors.add(before.author);
        counted += 1;
        // One that has come already, for another recipient, stands where it stood.
        seen = before.message == this.message;
        if seen {
            break;
        }
    }
    Replies {
        people: people(facts).max(thread.map_or(0, |thread| thread.people)),
        replies: counted + u32::from(!seen),
        authors: authors.count,
        list: facts.said.letter.list.is_some(),
    }
}

/// Counts distinct authors, as many as there are replies and one more. Whoever makes up addresses that meet in one
/// place makes it take as long as to compare each with each: some 20 µs, and no longer.
struct Distinct {
    /// By the low bits, or the next place that was free; 0: free.
    places: [u32; 2 * MAX_REPLIES],
    count: u32,
}

impl Default for Distinct {
    fn default() -> Self {
        Self { places: [0; 2 * MAX_REPLIES], count: 0 }
    }
}

impl Distinct {
    fn add(&mut self, author: u32) {
        // An address whose hash is 0 would be taken for no author: it counts as the one next to it.
        let author = author.max(1);
        let mut at = author as usize % self.places.len();
        while self.places[at] != 0 && self.places[at] != author {
            at = (at + 1) % self.places.len();
        }
        self.count += u32::from(self.places[at] == 0);
        self.places[at] = author;
    }
}

impl Thread {
    pub(super) fn heap_bytes(&self) -> usize {
        self.replies.capacity() * size_of::<Reply>()
    }

    pub(super) fn add(&mut self, facts: &Facts, limits: &Limits, now: Ms) {
        self.people = self.people.max(people(facts));
        while self.replies.front().is_some_and(|r| now.saturating_sub(r.at_ms) >= limits.reply_all_window_ms)
            || self.replies.len() >= MAX_REPLIES
        {
            self.replies.pop_front();
        }
        let this = Reply::of(facts, now);
        if !self.replies.iter().any(|reply| reply.message == this.message) {
            self.replies.push_back(this);
        }
    }
}

/// Two addresses.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pair {
    last_ms: Ms,
    turns: u32,
    by_machines: u32,
    /// Which of the two wrote last.
    last_is_lower: bool,
    /// What each said last, as a hash of its own words; 0: nothing yet.
    said: [u32; 2],
}

/// Who wrote it.
pub(super) fn writer(facts: &Facts) -> Option<u64> {
    let author = facts.said.letter.author.as_deref();
    author.or(Some(facts.reverse_path.as_str()).filter(|path| !path.is_empty())).map(address_hash)
}

/// To whom: the address as it was given, since that is the one that answers.
pub(super) fn written_to(facts: &Facts, i: usize) -> u64 {
    facts.recipients.get(i).map_or(0, |r| address_hash(&r.as_given))
}

/// What the turns are with this message.
pub(super) fn turns(pair: Option<&Pair>, facts: &Facts, i: usize, limits: &Limits, now: Ms) -> Turns {
    let mut pair = pair.copied().unwrap_or_default();
    pair.add(facts, i, limits, now);
    Turns { turns: pair.turns, by_machines: pair.by_machines }
}

impl Pair {
    pub(super) fn add(&mut self, facts: &Facts, i: usize, limits: &Limits, now: Ms) {
        let is_lower = writer(facts).unwrap_or(0) < written_to(facts, i);
        let said = facts.said.content.as_ref().and_then(|content| content.template());
        let said = said.map_or(0, |hash| (hash as u32).max(1));
        let says_again = said != 0 && said == self.said[usize::from(is_lower)];
        // A machine that says the same again is one that answers only if it does: an order or an alert
        // that is acknowledged each time is no answer.
        let letter = &facts.said.letter;
        let is_answer = letter.thread.is_some() || now.saturating_sub(self.last_ms) <= AT_ONCE_MS;
        let is_by_machine = letter.machine == Machine::Answered || (says_again && is_answer);
        let is_over = now.saturating_sub(self.last_ms) >= limits.auto_reply_window_ms;
        if self.turns == 0 || is_over {
            *self = Self { turns: 1, by_machines: u32::from(is_by_machine), ..Self::default() };
        } else {
            let is_turn = self.last_is_lower != is_lower;
            self.turns = self.turns.saturating_add(u32::from(is_turn));
            self.by_machines = match (is_by_machine, is_turn) {
                (false, _) => 0,
                (true, true) => self.by_machines.saturating_add(1),
                (true, false) => self.by_machines.max(1),
            };
        }
        self.last_is_lower = is_lower;
        self.last_ms = now;
        self.said[usize::from(is_lower)] = said;
    }
}

impl Recent {
    /// Whether the author of a reply that is held is to be told: one of ours, once in a conversation.
    pub fn is_author_to_be_told(&mut self, facts: &Facts, looked: &Looked, now: Ms) -> bool {
        let is_ours = facts.is_author_ours && facts.source.inside;
        let Some(key) = looked.thread.filter(|_| is_ours) else { return false };
        let Some(thread) = self.threads.entry(key, looked.source, now, Thread::default) else { return false };
        let author = Reply::of(facts, now).author;
        let is_new = !thread.told.contains(&author) && thread.told.len() < MAX_TOLD;
        if is_new {
            thread.told.push(author);
        }
        is_new
    }

    /// The conversation that a reply to many belongs to.
    pub(super) fn thread_of(&self, facts: &Facts, limits: &Limits) -> Option<u64> {
        let letter = &facts.said.letter;
        let is_to_many = people(facts) >= limits.reply_all_people;
        let thread = letter.thread.filter(|_| letter.is_reply && is_to_many)?;
        Some(self.hash(b"thread", &[thread]))
    }
}
