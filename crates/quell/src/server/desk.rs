//! The desk: one task in which the door decides. It takes what waits in one go, lets the door
//! judge it, hands the committer one batch at a time, and carries out what the door says may be
//! done now.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender};
use std::time::Duration;

use quell_mail::id::QueueId;
use quell_queue::body::BodyRef;
use quell_queue::claim::{Claim, ClaimId};
use quell_queue::clock::Now;
use quell_queue::destination::Destination;
use quell_queue::door::{Answer, Destinations, Door, Effect, GivenUp, Incoming, Together, Verdicts};
use quell_queue::dots::{DotLog, DotRecord};
use quell_queue::ledger::Outcome;
use quell_queue::store::RowId;
use quell_queue::store::sqlite::SqliteReader;
use quell_storm::facts::Answered;
use quell_storm::limits::Limits;
use quell_storm::tell::Alert;
use tokio::runtime::Handle as Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::alarm::Alarm;
use super::committer::{Done, Job};
use super::fresh::{FreshBodies, whole};
use super::mark::Mark;
use super::sessions::{Dispatch, Free, Sessions};
use super::time::Timekeeper;
use super::upkeep::Upkeep;

/// Messages taken in one go; then others have their turn on the thread.
const AT_ONCE: usize = 256;
/// Claims given to a worker at a time: it syncs a folder once for all of them.
const CLAIMS: usize = 16;
/// How often the door is told that time has passed.
const TICK: Duration = Duration::from_secs(1);

/// The server's door.
pub type ServerDoor = Door<SqliteReader, oneshot::Sender<Answer>>;

/// A question for the door, asked where it is.
type Question = Box<dyn FnOnce(&mut ServerDoor, &Now) + Send>;

/// What comes to the desk.
pub enum Msg {
    /// An arrival, and where its answer goes.
    Accept(Box<Incoming>, oneshot::Sender<Answer>),
    /// The answer is out.
    Answered(QueueId, Answered),
    /// The answer was 451, since the commit came too late.
    Withdraw(QueueId),
    /// The client closed without another word after its 250.
    AnswerLost(QueueId),
    /// A worker wants claims.
    Idle(Sender<Vec<Claim>>),
    /// An attempt ended.
    Settle(Claim, Outcome),
    /// An attempt was not made, for trouble of our own.
    GiveBack(Claim),
    /// The session that had these claims has died.
    Abandoned(Vec<ClaimId>),
    /// A session is about to send the end of a message to these recipients: to be written down
    /// first.
    Dot(Vec<RowId>, oneshot::Sender<Result<(), String>>),
    /// A session has nothing to do. So many recipients its host takes in one transaction.
    Free(Destination, Free, usize),
    /// A session has ended.
    SessionOver(Destination),
    /// A next hop of the destination has greeted us, or none could be brought to that.
    Destination(Destination, Result<(), String>),
    /// Mail goes other ways from now on.
    Destinations(Destinations),
    /// From the committer.
    Done(Done),
    /// A person or the console asks.
    Ask(Question),
    /// To be answered when everything decided before it is durable; dropped if that failed.
    Durable(oneshot::Sender<()>),
    /// Other thresholds.
    Limits(Box<Limits>),
    /// Give no more claims: the workers end when they have done what they have.
    Drain,
    /// Write what is not written, and end. The sender is dropped when all is done.
    Stop(oneshot::Sender<()>),
}

/// What the desk tells the rest of the program; called on a network thread, so it must not block.
pub trait Listener: Send {
    /// Verdicts on one arrival.
    fn judged(&mut self, verdicts: &Verdicts);
    /// A row has failed, and no attempt's outcome has said so.
    fn given_up(&mut self, row: &GivenUp);
    /// The operator is to be told.
    fn tell(&mut self, alert: Alert);
    /// A batch became durable, so long after it was handed over.
    fn committed(&mut self, took: Duration);
    /// The store is away (with the reason), or back (None).
    fn store_state(&mut self, trouble: Option<&str>);
    /// Bytes the body store takes on the disk.
    fn spool_bytes(&mut self, bytes: u64);
    /// Sessions to next hops that are open, and next hops that are down; told about once a second.
    fn outward(&mut self, sessions: usize, down: usize);
}

/// The way to the desk, from any thread.
#[derive(Clone)]
pub struct Handle(UnboundedSender<Msg>);

impl Handle {
    /// Sends to the desk. An error means that it has stopped, and whoever waits for an answer sees
    /// that by its channel.
    pub fn send(&self, msg: Msg) {
        let _stopped = self.0.send(msg);
    }

    /// Asks the door. None: the desk has stopped.
    pub async fn ask<V: Send + 'static>(
        &self,
        question: impl FnOnce(&mut ServerDoor, &Now) -> V + Send + 'static,
    ) -> Option<V> {
        let (tx, rx) = oneshot::channel();
        self.send(Msg::Ask(Box::new(move |door, now| drop(tx.send(question(door, now))))));
        rx.await.ok()
    }

    /// Waits until everything decided so far is durable. False: it could not be written.
    pub async fn durable(&self) -> bool {
        let (tx, rx) = oneshot::channel();
        self.send(Msg::Durable(tx));
        rx.await.is_ok()
    }
}

/// Makes the channel to a desk that is not started yet.
pub fn channel_to_desk() -> (Handle, UnboundedReceiver<Msg>) {
    let (tx, rx) = unbounded_channel();
    (Handle(tx), rx)
}

/// The desk.
pub struct Desk<L> {
    door: ServerDoor,
    time: Timekeeper,
    jobs: SyncSender<Job>,
    idle: VecDeque<Sender<Vec<Claim>>>,
    sessions: Sessions,
    dots: DotLog,
    fresh: Arc<FreshBodies>,
    /// Of the batch that is being written, in the order of its bodies.
    not_yet_fresh: Vec<(QueueId, Arc<Vec<u8>>)>,
    /// To be written with the next others.
    at_dot: (Vec<DotRecord>, Vec<oneshot::Sender<Result<(), String>>>),
    listener: L,
    mark: Mark,
    handed_over_ms: u64,
    next_tick_ms: u64,
    upkeep: Upkeep,
    busy: bool,
    draining: bool,
    reopening: bool,
    commits: u64,
    untold: Vec<(u64, oneshot::Sender<()>)>,
    stopping: Option<oneshot::Sender<()>>,
}

impl<L: Listener + 'static> Desk<L> {
    /// A desk with an open door. `dots`: where it is written that the end of a message goes out.
    /// `fresh`: where deliveries find what was stored a moment ago.
    pub fn new(
        door: ServerDoor,
        time: Timekeeper,
        jobs: SyncSender<Job>,
        dispatch: Box<dyn Dispatch>,
        dots: DotLog,
        fresh: Arc<FreshBodies>,
        listener: L,
    ) -> Self {
        Self {
            door,
            time,
            jobs,
            idle: VecDeque::new(),
            sessions: Sessions::new(dispatch),
            dots,
            fresh,
            not_yet_fresh: Vec::new(),
            at_dot: Default::default(),
            listener,
            mark: Mark::default(),
            handed_over_ms: 0,
            next_tick_ms: 0,
            upkeep: Upkeep::new(),
            busy: false,
            draining: false,
            reopening: false,
            commits: 0,
            untold: Vec::new(),
            stopping: None,
        }
    }

    /// Starts it as a task of the network threads: most of what comes to it comes from there, and most
    /// of its answers go there, so nobody has to be woken for them.
    pub fn start(mut self, runtime: &Runtime, mut inbox: UnboundedReceiver<Msg>) -> JoinHandle<()> {
        super::vital_task(runtime, "desk", async move { self.run(&mut inbox).await })
    }

    async fn run(&mut self, inbox: &mut UnboundedReceiver<Msg>) {
        let (mut waiting, mut alarm) = (Vec::new(), Alarm::default());
        loop {
            if self.mark.is_last() && !self.busy {
                return;
            }
            let now = self.time.now();
            self.tick(&now);
            self.carry_out();
            self.give_claims(&now);
            self.hand_over(&now);
            self.carry_out();
            if self.stopping.is_some() && !self.busy {
                // All is written but the time of the end; what comes from now on comes too late.
                match self.mark.last(&self.time).filter(|_| !self.door.is_shut()) {
                    Some(mark) => self.door.note_high_water(mark),
                    None => return,
                }
                self.hand_over(&now);
            }
            // Whoever else has something to say says it first: one turn serves many.
            tokio::task::yield_now().await;
            let some = tokio::select! {
                biased;
                some = inbox.recv_many(&mut waiting, AT_ONCE) => some,
                () = alarm.at(Instant::now() + TICK) => continue,
            };
            if some == 0 {
                return;
            }
            let now = self.time.now();
            waiting.drain(..).for_each(|msg| self.take(msg, &now));
            self.write_dots(&now);
        }
    }

    fn take(&mut self, msg: Msg, now: &Now) {
        match msg {
            Msg::Accept(incoming, answer) => self.door.accept(*incoming, answer, now),
            Msg::Answered(id, how) => self.door.answered(&id, how, now),
            Msg::Withdraw(id) => self.door.withdraw(&id, now),
            Msg::AnswerLost(id) => self.door.answer_lost(&id),
            // A worker whose channel is dropped ends.
            Msg::Idle(worker) if self.draining => drop(worker),
            Msg::Idle(worker) => self.idle.push_back(worker),
            Msg::Settle(claim, outcome) => self.door.settle(claim, outcome, now),
            Msg::GiveBack(claim) => self.door.give_back(claim, now),
            Msg::Abandoned(claims) => self.door.abandoned(claims, now),
            Msg::Dot(rows, written) => {
                let records = self.door.at_dot(&rows, now);
                if records.len() < rows.len() {
                    // An outcome could not be written now, so nothing is sent.
                    self.door.dot_undone(&rows);
                    let _gone = written.send(Err("the store is away".to_owned()));
                } else {
                    self.at_dot.0.extend(records);
                    self.at_dot.1.push(written);
                }
            }
            // Whose channel is dropped ends.
            Msg::Free(_, session, _) if self.draining => drop(session),
            Msg::Free(destination, session, recipients) => {
                self.sessions.free(&destination, session, recipients);
            }
            Msg::SessionOver(destination) => self.sessions.over(&destination),
            Msg::Destination(destination, reached) => self.reached(&destination, reached, now),
            Msg::Destinations(destinations) => {
                self.door.set_destinations(destinations);
            }
            Msg::Done(done) => self.done(done, now),
            Msg::Ask(question) => question(&mut self.door, now),
            // The batch under way, and the one that is gathered now.
            Msg::Durable(told) => self.untold.push((self.commits + u64::from(self.busy) + 1, told)),
            Msg::Limits(limits) => self.door.set_limits(*limits),
            Msg::Drain => {
                self.draining = true;
                self.idle.clear();
                self.sessions.end_free();
            }
            Msg::Stop(done) => {
                self.door.flush(now);
                self.stopping = Some(done);
            }
        }
    }

    fn done(&mut self, done: Done, now: &Now) {
        match done {
            Done::Committed(places) => {
                self.busy = false;
                self.commits += 1;
                self.mark.durable(&self.time);
                self.keep_fresh(&places, now);
                self.door.committed(&places, now);
                let took = now.mono_ms.saturating_sub(self.handed_over_ms);
                self.listener.committed(Duration::from_millis(took));
            }
            Done::Failed(why) => {
                error!(event = "commit_failed", reason = %why, "a batch could not be written; its mail is answered 451");
                self.busy = false;
                self.mark.lost();
                self.untold.clear();
                self.not_yet_fresh.clear();
                self.door.failed(&why);
            }
            Done::Reopened(reader) => {
                // What failed before is over with this; what fails from now on is new.
                self.carry_out();
                self.reopening = false;
                self.upkeep.lost(now);
                match self.door.reopened(reader, now) {
                    Ok(()) => self.listener.store_state(None),
                    Err(why) => self.door.failed(&why),
                }
                // Outcomes first, alone: new mail may not find room, and must not keep them back.
                self.hand_over(now);
            }
            Done::Kept(more) => self.upkeep.done(more, now),
            Done::SpoolBytes(bytes) => self.listener.spool_bytes(bytes),
        }
    }

    /// What was written lies in the order in which it was handed over.
    fn keep_fresh(&mut self, places: &[(QueueId, BodyRef)], now: &Now) {
        let mut fresh = self.not_yet_fresh.drain(..).peekable();
        for (id, place) in places {
            if let Some((_, bytes)) = fresh.next_if(|(of, _)| of == id) {
                self.fresh.put(*place, bytes, now.mono_ms);
            }
        }
    }

    fn tick(&mut self, now: &Now) {
        if let Some(mark) = self.mark.due(&self.time) {
            self.door.note_high_water(mark);
        }
        if now.mono_ms < self.next_tick_ms {
            return;
        }
        self.next_tick_ms = now.mono_ms + TICK.as_millis() as u64;
        self.door.tick(now);
        self.fresh.tick(now.mono_ms);
        self.listener.outward(self.sessions.open(), self.door.destinations_down());
        if !self.door.is_shut()
            && self.stopping.is_none()
            && let Some(until) = self.upkeep.begin(self.busy, now)
        {
            self.job(Job::Upkeep(until));
        }
    }

    fn carry_out(&mut self) {
        let mut released = Vec::new();
        for effect in self.door.effects() {
            match effect {
                // The client may be gone: then nobody waits, and the row stays.
                Effect::Answer(ticket, answer) => drop(ticket.send(answer)),
                Effect::Release(body) => {
                    self.fresh.release(&body);
                    released.push(body);
                }
                Effect::DotsOver(rows) => self.dots.over(&rows),
                Effect::GivenUp(row) => self.listener.given_up(&row),
                Effect::Tell(alert) => self.listener.tell(*alert),
                Effect::Judged(verdicts) => self.listener.judged(&verdicts),
                // Only once until it is open again: a second reopening would take the store from
                // under the reader that the first has brought.
                Effect::StoreFailed(why) => {
                    self.listener.store_state(Some(&why));
                    // Nothing that was gathered came to be, the time mark neither.
                    self.untold.clear();
                    self.mark.lost();
                    if !std::mem::replace(&mut self.reopening, true) {
                        self.job(Job::Reopen);
                    }
                }
            }
        }
        if !released.is_empty() {
            self.job(Job::Release(released));
        }
    }

    /// Written without waiting for the disk: that a process killed from here on leaves it behind is
    /// all that is asked (DESIGN, "The ledger").
    fn write_dots(&mut self, now: &Now) {
        let (records, written) = std::mem::take(&mut self.at_dot);
        if written.is_empty() {
            return;
        }
        let done = self.dots.append(&records).map_err(|why| why.to_string());
        if let Err(why) = &done {
            error!(
                event = "dot_not_written",
                reason = why,
                "nothing is sent while it cannot be written down"
            );
            let rows: Vec<RowId> = records.into_iter().map(|record| record.row).collect();
            self.door.dot_undone(&rows);
            self.sessions.rest(now.mono_ms);
        }
        // A session that is gone has not sent it.
        written.into_iter().for_each(|session| drop(session.send(done.clone())));
    }

    fn reached(&mut self, destination: &Destination, reached: Result<(), String>, now: &Now) {
        let is_believed = self.sessions.is_believed(destination, reached.is_ok());
        let down = self.door.destinations_down();
        match reached {
            Ok(()) => {
                self.door.destination_up(destination, now);
                if self.door.destinations_down() < down {
                    info!(event = "next_hop_up", next_hop = %destination, "it can be reached again");
                }
            }
            Err(status) if is_believed => {
                self.door.destination_down(destination, &status, now);
                if self.door.destinations_down() > down {
                    warn!(event = "next_hop_down", next_hop = %destination, reason = status, "it is tried as one, its mail waits");
                }
            }
            Err(_) => {}
        }
    }

    fn give_claims(&mut self, now: &Now) {
        if self.draining {
            return;
        }
        self.sessions.tick(now.mono_ms);
        loop {
            let (idle, sessions) = (&self.idle, &mut self.sessions);
            let mut room = |destination: &Destination, probe| match destination.is_maildir() {
                true => !idle.is_empty(),
                false => sessions.has_room(destination, probe),
            };
            let Some(destination) = self.door.next_destination(now, &mut room) else { return };
            if !destination.is_maildir() {
                let some = self.sessions.recipients(&destination);
                let claims = self.door.claim_for(&destination, some, Together::OneMessage, now);
                if !claims.is_empty() {
                    self.sessions.give(destination, claims);
                }
                continue;
            }
            let claims = self.door.claim_for(&destination, CLAIMS, Together::Any, now);
            if claims.is_empty() {
                continue;
            }
            let Some(worker) = self.idle.pop_front() else { return };
            if let Err(lost) = worker.send(claims) {
                lost.0.into_iter().for_each(|claim| self.door.give_back(claim, now));
            }
        }
    }

    fn hand_over(&mut self, now: &Now) {
        if self.busy {
            return;
        }
        let work = self.door.take_batch();
        let (commits, nothing_left) = (self.commits, work.is_none() && !self.door.is_shut());
        let due = self.untold.extract_if(.., |(after, _)| nothing_left || *after <= commits);
        for (_, told) in due {
            let _gone = told.send(());
        }
        if let Some(work) = work {
            self.mark.handed_over();
            let fresh = work.bodies.iter().filter_map(|body| Some((body.queue_id, whole(body)?)));
            self.not_yet_fresh = fresh.collect();
            self.busy = true;
            self.handed_over_ms = now.mono_ms;
            self.job(Job::Write(Box::new(work)));
        }
    }

    fn job(&self, job: Job) {
        if self.jobs.send(job).is_err() {
            error!(event = "committer_gone", "the committer has ended: nothing more can be written");
        }
    }
}
