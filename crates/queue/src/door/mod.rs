//! The door: the one desk that every arrival and every outcome passes. It looks up, lets the judge
//! judge, gathers what must be durable into one batch, and says what is to be done once it is.
//!
//! It holds no thread and no clock: [`Door::accept`] and its siblings take a [`Now`] and leave
//! [`Effect`]s; [`Door::take_batch`] gives the next batch to whoever commits, and
//! [`Door::committed`] or [`Door::failed`] brings the answer back. While one batch is being
//! written, the next is gathered and judged against what the first will make true.

mod accept;
mod answered;
mod claims;
mod counters;
mod distinct;
mod dots;
mod downs;
mod fetch;
mod held;
mod lane;
mod look;
mod operator;
mod overlay;
mod reports;
mod settle;
mod storms;
mod suspicion;
mod turns;
mod types;
mod waited;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use quell_mail::id::QueueId;
use quell_mail::key::{LedgerKey, Secret};
use quell_storm::book::Book;
use quell_storm::facts::{Ms, RowState};
use quell_storm::limits::Limits;
use quell_storm::recent::Recent;
use quell_storm::verdict::Permit;

use self::answered::Unanswered;
use self::claims::Out;
pub use self::claims::{GIVEN_BACK_WAIT_MS, Phase, Together};
use self::counters::Counters;
use self::dots::Restoring;
use self::downs::Downs;
pub use self::downs::{DestinationView, Destinations, DownView};
use self::held::Ends;
pub use self::held::{
    DigestFor, DigestJob, HeldCounts, HeldMessage, HoldRules, MAX_ROWS_PER_DIGEST, WishRefused,
};
pub use self::operator::Refusal;
use self::overlay::Layer;
pub use self::reports::*;
use self::reports::{Line, Message};
use self::turns::Turns;
pub use self::types::*;
use crate::body::BodyRef;
use crate::claim::{Claim, ClaimId};
use crate::clock::Now;
use crate::ledger::Outcome;
use crate::store::{Arrival, Batch, KeyRow, Reader, Row, RowId, RowWrite, StoreError, StoredStorm};

/// Verdicts remembered for `quell explain`.
const REMEMBERED: usize = 10_000;

/// What is being gathered, or being written.
struct Gathering<T> {
    number: u64,
    bodies: Vec<NewBody>,
    /// Bytes of those that are held in memory.
    body_bytes: usize,
    tickets: Vec<(T, Answer)>,
    outcomes: Vec<(Claim, Outcome)>,
    releases: Vec<BodyRef>,
    /// Under which key each new arrival is kept: its rows may be answered or withdrawn before its
    /// body's place is known.
    kids: HashMap<QueueId, QueueId>,
    /// Rows that a person has given a new life.
    woken: Vec<RowId>,
    /// Rows that an earlier life left at the dot, Unknown with this batch.
    restored: Vec<RowId>,
    /// Messages of which rows owe a report.
    owing: HashSet<Message>,
    /// Rows given up.
    given_up: Vec<GivenUp>,
    /// Storms that have ended: written again if this batch is lost, or they would end twice.
    ended: Vec<Ended>,
    /// Counts of rows are in it.
    counts: bool,
    rest: Batch,
}

impl<T> Gathering<T> {
    fn new(number: u64) -> Self {
        Self {
            number,
            bodies: Vec::new(),
            body_bytes: 0,
            tickets: Vec::new(),
            outcomes: Vec::new(),
            releases: Vec::new(),
            kids: HashMap::new(),
            woken: Vec::new(),
            restored: Vec::new(),
            owing: HashSet::new(),
            given_up: Vec::new(),
            ended: Vec::new(),
            counts: false,
            rest: Batch::default(),
        }
    }
}

/// A storm that has ended.
struct Ended {
    key: LedgerKey,
    ended_ms: Ms,
    stored: StoredStorm,
}

/// By what the keys of what came lately are made: the same after a restart, so that a storm goes on, and
/// nobody else's guess.
fn recent_seed(secret: &Secret) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = secret.mac(b"recent", b"");
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The door. `R` reads the store, `T` is whatever the caller answers arrivals with.
pub struct Door<R, T> {
    reader: Option<R>,
    secret: Secret,
    settings: DoorSettings,
    started_ms: Ms,
    keys: Layer<LedgerKey, Arc<KeyRow>>,
    rows: Layer<RowId, Arc<Row>>,
    arrivals: Layer<(QueueId, QueueId), Arc<Arrival>>,
    permits: HashMap<RowId, Permit>,
    gathering: Gathering<T>,
    writing: Option<Gathering<T>>,
    /// The monotonic clock at the last call.
    mono_ms: u64,
    counters: Counters,
    book: Book,
    /// What came lately.
    recent: Recent,
    comes_in_parts: bool,
    turns: Turns,
    destination_of: Destinations,
    downs: Downs,
    claimed: HashMap<RowId, Out>,
    /// Claims given so far.
    claims_given: u64,
    /// Claims that nobody has any more, to be settled when the store is back.
    abandoned: Vec<ClaimId>,
    restoring: Restoring,
    unanswered: HashMap<QueueId, Unanswered>,
    release_when_known: HashSet<QueueId>,
    /// When bodies are next looked for that nobody asks for any more.
    next_release_ms: Ms,
    effects: Vec<Effect<T>>,
    remembered: VecDeque<Arc<Verdicts>>,
    remembered_rows: usize,
    open_rows: HashMap<RowState, u64>,
    jitter_seed: u64,
    reports: Line,
    ends: Ends,
    rng: Box<dyn FnMut() -> u64 + Send>,
}

impl<R: Reader, T> Door<R, T> {
    /// Opens the door on what the store says. `destinations` says where the row of a recipient
    /// identity goes; `rng` names storms, draws samples, and spreads retries.
    ///
    /// # Errors
    /// Those of the store.
    pub fn open(
        reader: R,
        secret: Secret,
        settings: DoorSettings,
        destinations: Destinations,
        mut rng: Box<dyn FnMut() -> u64 + Send>,
        now: &Now,
    ) -> Result<Self, StoreError> {
        let mut door = Self {
            book: Book::new(settings.limits.clone()),
            recent: Recent::new(recent_seed(&secret), &settings.limits),
            comes_in_parts: false,
            reader: None,
            secret,
            settings,
            started_ms: now.ms,
            keys: Layer::default(),
            rows: Layer::default(),
            arrivals: Layer::default(),
            permits: HashMap::new(),
            gathering: Gathering::new(1),
            writing: None,
            mono_ms: now.mono_ms,
            counters: Counters::default(),
            turns: Turns::default(),
            destination_of: destinations,
            downs: Downs::default(),
            claimed: HashMap::new(),
            claims_given: 0,
            abandoned: Vec::new(),
            restoring: Restoring::new(),
            unanswered: HashMap::new(),
            release_when_known: HashSet::new(),
            next_release_ms: now.ms,
            effects: Vec::new(),
            remembered: VecDeque::new(),
            remembered_rows: 0,
            open_rows: HashMap::new(),
            jitter_seed: rng(),
            reports: Line::default(),
            ends: Ends::new(reader.high_water()?),
            rng,
        };
        door.restore_storms(&reader)?;
        door.reopened(reader, now)?;
        Ok(door)
    }

    /// Other limits from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.book.set_limits(limits.clone());
        self.settings.limits = limits;
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// The store works again: the queue is read anew, and outcomes that were not written are
    /// written now.
    ///
    /// # Errors
    /// Those of the store; the door then stays shut.
    pub fn reopened(&mut self, reader: R, now: &Now) -> Result<(), StoreError> {
        self.forget_undone();
        self.mono_ms = now.mono_ms;
        self.turns.start_anew();
        self.reports.start_anew();
        self.ends.start_anew();
        self.open_rows = reader.open_counts()?.into_iter().collect();
        self.ends.held_now.count_anew(reader.held_counts()?);
        self.reader = Some(reader);
        if let Err(why) = self.fetch(now) {
            self.reader = None;
            return Err(why);
        }
        self.restore(now);
        let ended: Vec<_> = self.gathering.ended.iter().map(|e| (e.key, e.ended_ms)).collect();
        ended.into_iter().for_each(|(key, ended_ms)| self.note_end(&key, ended_ms));
        let lost = std::mem::take(&mut self.gathering.outcomes);
        for (claim, outcome) in lost {
            self.settle(claim, outcome, now);
        }
        let abandoned = std::mem::take(&mut self.abandoned);
        self.abandoned(abandoned, now);
        Ok(())
    }

    /// True while the store is away: arrivals are answered 451 and nothing is claimed.
    pub fn is_shut(&self) -> bool {
        self.reader.is_none()
    }

    /// What has become due since the last call: answers, releases, alerts, log records.
    pub fn effects(&mut self) -> Vec<Effect<T>> {
        std::mem::take(&mut self.effects)
    }

    /// What time alone does; to be called about once a second.
    pub fn tick(&mut self, now: &Now) {
        if self.is_shut() {
            return;
        }
        self.time_passes(now);
        self.tick_storms(now);
        self.release_bodies_due(now);
        self.fetch_owing(now);
        for (key, touches) in self.counters.due(now.ms, false) {
            self.write_counts(key, touches);
        }
        self.look_at_who_waited(now);
        if !self.is_shut() && self.turns.wants_more(now.ms) {
            let fetched = self.fetch(now);
            self.check(fetched);
        }
        self.forget_unused_downs();
    }

    /// Writes counts and storms that are not yet written: before a stop.
    pub fn flush(&mut self, now: &Now) {
        if self.is_shut() {
            return;
        }
        for (key, touches) in self.counters.due(now.ms, true) {
            self.write_counts(key, touches);
        }
        self.persist_storms(now, true);
    }

    /// Notes the clock's new high-water mark for the next batch.
    pub fn note_high_water(&mut self, mark: Ms) {
        self.gathering.rest.high_water = Some(mark);
    }

    /// The next batch, if there is something to write and none is being written.
    pub fn take_batch(&mut self) -> Option<Work> {
        if self.writing.is_some() || self.is_shut() || !self.something_to_write() {
            return None;
        }
        let next = Gathering::new(self.gathering.number + 1);
        let mut work = std::mem::replace(&mut self.gathering, next);
        let mut batch = std::mem::take(&mut work.rest);
        batch.keys.reserve_exact(self.keys.dirty());
        batch.arrivals.reserve_exact(self.arrivals.dirty());
        batch.rows.reserve_exact(self.rows.dirty());
        self.keys.take_dirty(|_, key| batch.keys.extend(key.map(Arc::unwrap_or_clone)));
        self.arrivals.take_dirty(|id, arrival| match arrival {
            Some(arrival) => batch.arrivals.push(Arc::unwrap_or_clone(arrival)),
            None => batch.forget_arrivals.push(*id),
        });
        let permits = &mut self.permits;
        self.rows.take_dirty(|id, row| match (row.map(Arc::unwrap_or_clone), permits.remove(id)) {
            (Some(row), Some(permit)) => batch.rows.push(RowWrite::by_permit(row, permit)),
            (Some(row), None) => batch.rows.push(RowWrite::Step(row)),
            (None, _) => batch.forget.push(id.clone()),
        });
        let bodies = std::mem::take(&mut work.bodies);
        let number = work.number;
        self.writing = Some(work);
        Some(Work { number, batch, bodies })
    }

    fn something_to_write(&self) -> bool {
        let layers = self.keys.has_dirty() || self.rows.has_dirty() || self.arrivals.has_dirty();
        let g = &self.gathering;
        // Outcomes that change nothing still end their claims; releases follow the next commit.
        let waits = !g.tickets.is_empty() || !g.outcomes.is_empty() || !g.releases.is_empty();
        layers || waits || !g.rest.is_empty()
    }

    /// The batch being written is durable; its bodies lie at `places`.
    pub fn committed(&mut self, places: &[(QueueId, BodyRef)], now: &Now) {
        let Some(done) = self.writing.take() else { return };
        self.mono_ms = now.mono_ms;
        self.rows.durable(done.number, now.mono_ms);
        self.keys.durable(done.number, now.mono_ms);
        for (queue_id, body) in places {
            self.place(done.kids.get(queue_id).unwrap_or(queue_id), queue_id, *body);
        }
        self.arrivals.durable(done.number, now.mono_ms);
        done.kids.keys().for_each(|queue_id| self.now_durable(queue_id, now));
        self.effects.extend(done.releases.into_iter().map(Effect::Release));
        self.effects.extend(done.given_up.into_iter().map(|row| Effect::GivenUp(Box::new(row))));
        self.effects.extend(done.tickets.into_iter().map(|(t, answer)| Effect::Answer(t, answer)));
        let settled = done.outcomes.iter().map(|(claim, _)| (claim.id.kid, claim.queue_id)).collect();
        self.claims_ended(done.outcomes, now);
        self.restored(done.restored, now);
        done.woken.iter().for_each(|id| self.wait_again(id, now));
        self.owing_durable(done.owing, settled, now);
    }

    /// The outcomes of these claims are durable.
    fn claims_ended(&mut self, outcomes: Vec<(Claim, Outcome)>, now: &Now) {
        let mut over = Vec::new();
        for (claim, _) in outcomes {
            let out = self.claimed.remove(&claim.id);
            self.turns.done(&claim.id);
            match &out {
                Some(out) if out.destination != (self.destination_of)(&claim.id.rcpt) => {
                    self.wait_elsewhere(&claim.id, now);
                }
                _ => self.wait_again(&claim.id, now),
            }
            if let Some(out) = out {
                self.probe_may_be_over(&out.destination);
                over.extend((out.phase == Phase::Dot).then_some(claim.id));
            }
        }
        if !over.is_empty() {
            self.effects.push(Effect::DotsOver(over));
        }
    }

    /// A body is known to lie at `body`: the next batch may already speak of its arrival.
    fn place(&mut self, kid: &QueueId, queue_id: &QueueId, body: BodyRef) {
        if self.release_when_known.remove(queue_id) {
            self.gathering.releases.push(body);
        }
        self.arrivals.patch(&(*kid, *queue_id), |a| {
            if a.is_wanted() && a.body.is_none() {
                Arc::make_mut(a).body = Some(body);
            }
        });
    }

    /// The batch being written was lost: everything that waits for it, and everything judged on
    /// top of it, is answered 451. The door is shut until [`Door::reopened`].
    pub fn failed(&mut self, why: &StoreError) {
        self.reader = None;
        let mut outcomes = Vec::new();
        let number = self.gathering.number + 1;
        let gathered = std::mem::replace(&mut self.gathering, Gathering::new(number));
        for mut lost in self.writing.take().into_iter().chain([gathered]) {
            outcomes.extend(lost.outcomes);
            self.gathering.ended.append(&mut lost.ended);
            let answer = || match why {
                StoreError::Full(why) => Answer::NoRoom(why.clone()),
                why => Answer::Trouble(why.to_string()),
            };
            let answers = lost.tickets.into_iter().map(|(ticket, _)| Effect::Answer(ticket, answer()));
            self.effects.extend(answers);
        }
        self.gathering.outcomes = outcomes;
        self.forget_undone();
        self.effects.push(Effect::StoreFailed(why.to_string()));
    }

    /// What was decided and is not durable never happened: also not what the rest of a call has
    /// put here after the store failed in its middle.
    fn forget_undone(&mut self) {
        self.keys.clear();
        self.rows.clear();
        self.arrivals.clear();
        self.permits.clear();
        self.counters.clear();
        self.unanswered.retain(|_, u| u.durable);
        self.release_when_known.clear();
        let g = &mut self.gathering;
        (g.bodies, g.body_bytes, g.releases, g.kids, g.woken, g.restored) = Default::default();
        (g.owing, g.given_up, g.counts) = Default::default();
        let storms = g.ended.iter().map(|e| e.stored.clone()).collect();
        g.rest = Batch { storms, high_water: g.rest.high_water, ..Batch::default() };
    }

    /// An error that cannot be undone half way shuts the door.
    fn check<V>(&mut self, result: Result<V, StoreError>) -> Option<V> {
        match result {
            Ok(value) => Some(value),
            Err(why) => {
                self.failed(&why);
                None
            }
        }
    }

    /// Open rows by state; claimed ones as what the store has them for ([`Door::claimed_rows`]).
    pub fn open_rows(&self) -> impl Iterator<Item = (RowState, u64)> + '_ {
        self.open_rows.iter().map(|(state, n)| (*state, *n))
    }

    /// When [`Door::next_destination`] may next have something, if it is known.
    pub fn next_due(&self) -> Option<Ms> {
        self.turns.next_due()
    }

    /// True if a row is ready now; its destination may be down.
    pub fn any_ready(&self, now: &Now) -> bool {
        !self.is_shut() && self.turns.any_ready(now.ms)
    }
}
