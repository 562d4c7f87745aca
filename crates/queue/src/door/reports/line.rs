//! Messages of which something is to be told, in the order in which they fall due, and the jobs that
//! are out.

use std::collections::{BTreeSet, HashMap};

use quell_mail::dsn::Action;
use quell_mail::id::QueueId;
use quell_storm::facts::Ms;

use super::{LATER_MS, Message, ReportCounts, ReportToken};
use crate::store::RowId;

/// Messages in line; further ones are found again in the store once there is room.
const MAX_MESSAGES: usize = 100_000;
/// A job that was not given back within this time is given out again.
const LOST_MS: Ms = 10 * 60_000;

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Falls due then.
    Due(Ms),
    /// A job of it is out; it falls due again then.
    Out(Option<Ms>),
}

/// A job that is out.
#[derive(Debug)]
pub struct Job {
    pub message: Message,
    /// The reverse-path.
    pub to: String,
    /// Recipient identities, and what is told of each.
    pub rows: Vec<(String, Action)>,
    /// There is more to tell of the message.
    pub more: bool,
    pub made_ms: Ms,
}

/// The line.
#[derive(Debug)]
pub struct Line {
    due: BTreeSet<(Ms, Message)>,
    places: HashMap<Message, Place>,
    /// By token; at most one for each message in line.
    jobs: HashMap<u64, Job>,
    last_token: u64,
    /// Rows from here on were not looked at.
    rest: Option<RowId>,
    pub counts: ReportCounts,
}

impl Default for Line {
    fn default() -> Self {
        let (due, places, jobs) = Default::default();
        Self { due, places, jobs, last_token: 0, rest: Some(start()), counts: ReportCounts::default() }
    }
}

fn start() -> RowId {
    RowId { kid: QueueId::from_bytes([0; 10]), rcpt: String::new() }
}

impl Line {
    /// Forgets all: the store is read anew. Tokens that are out are worth nothing from now on.
    pub fn start_anew(&mut self) {
        *self = Self { last_token: self.last_token, counts: self.counts, ..Self::default() };
    }

    /// The message falls due by `due_ms`.
    pub fn note(&mut self, message: Message, due_ms: Ms) {
        let full = self.places.len() >= MAX_MESSAGES;
        match self.places.get_mut(&message) {
            Some(Place::Due(at)) if *at <= due_ms => {}
            Some(Place::Due(at)) => {
                self.due.remove(&(*at, message));
                self.due.insert((due_ms, message));
                *at = due_ms;
            }
            Some(Place::Out(again)) => *again = Some(again.map_or(due_ms, |at| at.min(due_ms))),
            None if full => self.rest = Some(start()),
            None => {
                self.due.insert((due_ms, message));
                self.places.insert(message, Place::Due(due_ms));
            }
        }
    }

    pub fn contains(&self, message: &Message) -> bool {
        self.places.contains_key(message)
    }

    /// The first message that is due; it is out until [`Line::ended`].
    pub fn next(&mut self, now: Ms) -> Option<Message> {
        let (at, message) = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        self.due.remove(&(at, message));
        self.places.insert(message, Place::Out(None));
        Some(message)
    }

    pub fn give_out(&mut self, job: Job) -> ReportToken {
        let token = self.new_token();
        self.jobs.insert(token.0, job);
        token
    }

    /// One that was never given out before.
    pub fn new_token(&mut self) -> ReportToken {
        self.last_token += 1;
        ReportToken(self.last_token)
    }

    pub fn is_out(&self, token: &ReportToken) -> bool {
        self.jobs.contains_key(&token.0)
    }

    pub fn take_job(&mut self, token: &ReportToken) -> Option<Job> {
        self.jobs.remove(&token.0)
    }

    /// What was out of a message is done; it falls due again at `more`.
    pub fn ended(&mut self, message: Message, more: Option<Ms>) {
        let again = match self.places.remove(&message) {
            Some(Place::Out(again)) => again.into_iter().chain(more).min(),
            _ => more,
        };
        if let Some(at) = again {
            self.due.insert((at, message));
            self.places.insert(message, Place::Due(at));
        }
    }

    /// Whoever had a job and does not come back with it does not keep it.
    pub fn take_back_lost(&mut self, now: Ms) {
        let lost = self.jobs.extract_if(|_, job| now - job.made_ms >= LOST_MS);
        let lost: Vec<_> = lost.map(|(_, job)| job.message).collect();
        lost.into_iter().for_each(|message| self.ended(message, Some(now + LATER_MS)));
    }

    /// From where on rows are to be looked at, if any are left and there is room.
    pub fn rest_from(&self) -> Option<RowId> {
        self.rest.clone().filter(|_| self.places.len() < MAX_MESSAGES)
    }

    /// Rows were looked at, up to `rest`.
    pub fn fetched_up_to(&mut self, rest: Option<RowId>) {
        self.rest = rest;
    }
}
