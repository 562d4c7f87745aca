//! From messages that were read to messages that are durable: handed in at the door many at a time, and
//! remembered before anybody hears that they may be deleted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quell_mail::id::QueueId;
use quell_queue::door::Answer;
use quell_queue::pickups::{Fate, Remembered};
use quell_relay::collect::{Collected, Digest};
use quell_storm::facts::{Answered, Ms};
use quell_wire::reply::Reply;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::warn;

use super::memory::Memory;
use super::trouble::{Kind, Trouble};
use crate::receive::complete::complete;
use crate::receive::smtp::Outer;
use crate::server::desk::Msg;

/// Messages that wait to be handed in. With those at the door, and each at most 64 KiB in memory unless there is
/// room for more, this bounds what an account takes.
const WAITING: usize = 64;
/// Messages at the door whose answers are not there.
const AT_DOOR: usize = 192;
/// Messages handed in at a time.
const AT_ONCE: usize = 64;
/// A large body is written by then.
const COMPLETE: Duration = Duration::from_secs(300);

/// What is known of the account, shared between its session and what hands in.
pub type Remembers = Arc<Mutex<Memory>>;

/// A message that was read.
pub struct Ready {
    /// What the session calls it.
    pub number: u32,
    /// What the server calls it for good.
    pub uid: Option<String>,
    /// Its size, as the server lists it.
    pub listed_bytes: u64,
    /// The message.
    pub collected: Collected,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What the session calls it.
    pub number: u32,
    /// What the server calls it for good.
    pub uid: Option<String>,
    /// Its bytes.
    pub bytes: u64,
    /// What.
    pub fate: Became,
}

/// What a message became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// Durable here, and remembered.
    Taken,
    /// It was taken earlier, then.
    Known(Ms),
    /// It cannot be taken, and stays there; why.
    Refused(String),
    /// It was not taken this time.
    Later(Trouble),
}

impl Became {
    /// All names.
    pub const NAMES: [&str; 4] = ["taken", "known", "refused", "later"];

    /// For metrics.
    pub fn name(&self) -> &'static str {
        let [taken, known, refused, later] = Self::NAMES;
        match self {
            Self::Taken => taken,
            Self::Known(_) => known,
            Self::Refused(_) => refused,
            Self::Later(_) => later,
        }
    }
}

/// The way in, for one session.
pub struct HandIn {
    ready: Option<mpsc::Sender<Ready>>,
    settled: mpsc::UnboundedReceiver<Settled>,
    under_way: usize,
    task: JoinHandle<()>,
}

/// At the door.
struct AtDoor {
    message: Named,
    id: QueueId,
    answer: oneshot::Receiver<Answer>,
    /// Its part of the memory for messages, until it is answered.
    _share: quell_relay::reception::Share,
}

/// What is said of a message afterwards.
#[derive(Clone)]
struct Named {
    number: u32,
    uid: Option<String>,
    listed_bytes: u64,
    bytes: u64,
    digest: Digest,
}

impl Named {
    /// What the memory calls it. Where the server has no names that last, the digest is one.
    fn uid(&self) -> String {
        let of_digest = || {
            let hex: String = self.digest.bytes.iter().map(|b| format!("{b:02x}")).collect();
            format!("-{hex}")
        };
        self.uid.clone().unwrap_or_else(of_digest)
    }

    fn remembered(&self, fate: Fate, now: Ms) -> Remembered {
        let (size_bytes, digest) = (self.listed_bytes, self.digest.bytes);
        Remembered { uid: self.uid(), size_bytes, digest, fate, at_ms: now, seen_ms: now }
    }

    fn settled(self, fate: Became) -> Settled {
        Settled { number: self.number, uid: self.uid, bytes: self.bytes, fate }
    }
}

impl HandIn {
    /// Opens the way.
    pub fn start(outer: Arc<Outer>, memory: Remembers) -> Self {
        let (ready, inbox) = mpsc::channel(WAITING);
        let (out, settled) = mpsc::unbounded_channel();
        let clerk = Clerk { outer, memory, out, at_door: VecDeque::new() };
        Self { ready: Some(ready), settled, under_way: 0, task: tokio::spawn(clerk.run(inbox)) }
    }

    /// Hands one in; waits while too many wait.
    pub async fn put(&mut self, message: Ready) {
        if let Some(ready) = &self.ready
            && ready.send(message).await.is_ok()
        {
            self.under_way += 1;
        }
    }

    /// Messages that were handed in, and of which nothing was said.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// Something is known already.
    pub fn has_news(&self) -> bool {
        !self.settled.is_empty()
    }

    /// What became of the next one. None: nothing is under way, or nobody will say any more. Safe to be dropped.
    pub async fn next(&mut self) -> Option<Settled> {
        if self.under_way == 0 {
            return None;
        }
        let settled = self.settled.recv().await;
        self.under_way = if settled.is_some() { self.under_way - 1 } else { 0 };
        settled
    }

    /// No more come: what became of the rest.
    pub async fn finish(mut self) -> Vec<Settled> {
        self.ready = None;
        let mut rest = Vec::new();
        while let Some(settled) = self.next().await {
            rest.push(settled);
        }
        if self.task.await.is_err() {
            warn!(
                event = "pickup_died",
                "what hands in collected mail has ended by a fault of quell: nothing that it had is deleted"
            );
        }
        rest
    }
}

/// Hands in, and remembers.
struct Clerk {
    outer: Arc<Outer>,
    memory: Remembers,
    out: mpsc::UnboundedSender<Settled>,
    at_door: VecDeque<AtDoor>,
}

impl Clerk {
    async fn run(mut self, mut inbox: mpsc::Receiver<Ready>) {
        let (mut batch, mut open) = (Vec::new(), true);
        while open || !self.at_door.is_empty() {
            let takes = open && self.at_door.len() < AT_DOOR;
            tokio::select! {
                some = inbox.recv_many(&mut batch, AT_ONCE), if takes => match some {
                    0 => open = false,
                    _ => self.hand_in(std::mem::take(&mut batch)).await,
                },
                answer = first(&mut self.at_door), if !self.at_door.is_empty() => self.answered(answer),
            }
        }
    }

    /// Those that are not known go to the door. Of one without an exact key it is written down first that it does: after a crash
    /// nothing else could tell.
    async fn hand_in(&mut self, batch: Vec<Ready>) {
        let now = self.outer.time.now().ms;
        let (mut new, mut notes, mut known) = (Vec::new(), Vec::new(), Vec::new());
        let mut again = Vec::new();
        for ready in batch {
            let is_same = |(other, ..): &(Named, _, _)| is_one(&other.digest, &ready.collected.digest);
            if new.iter().any(is_same) {
                again.push(ready);
                continue;
            }
            let Ready { number, uid, listed_bytes, collected } = ready;
            let Collected { submission, digest, size_bytes, share, .. } = collected;
            let message = Named { number, uid, listed_bytes, bytes: size_bytes, digest };
            self.wait_for_the_same(&digest).await;
            let taken = self.lock().taken(message.uid.as_deref(), listed_bytes, &digest, now);
            if let Some(at) = taken {
                notes.push(Remembered { at_ms: at, ..message.remembered(Fate::Taken, now) });
                known.push(message.settled(Became::Known(at)));
                continue;
            }
            if !digest.is_exact {
                notes.push(message.remembered(Fate::Taking(submission.queue_id()), now));
            }
            new.push((message, submission, share));
        }
        if let Err(trouble) = self.note(&notes) {
            let undone = new.into_iter().map(|(message, ..)| message.settled(Became::Later(trouble.clone())));
            undone.chain(known).for_each(|settled| self.say(settled));
            return;
        }
        known.into_iter().for_each(|settled| self.say(settled));
        for (message, submission, share) in new {
            let id = submission.queue_id();
            self.outer.metrics.arrived(submission.size_bytes());
            match complete(submission, COMPLETE).await {
                Err(reply) => self.incomplete(message, &reply),
                Ok(incoming) => {
                    let (tx, answer) = oneshot::channel();
                    self.outer.desk.send(Msg::Accept(Box::new(incoming), tx));
                    self.at_door.push_back(AtDoor { message, id, answer, _share: share });
                }
            }
        }
        if !again.is_empty() {
            Box::pin(self.hand_in(again)).await;
        }
    }

    /// What the ledger cannot tell apart must not be at the door twice at once.
    async fn wait_for_the_same(&mut self, digest: &Digest) {
        while self.at_door.iter().any(|at| is_one(&at.message.digest, digest)) {
            let answer = first(&mut self.at_door).await;
            self.answered(answer);
        }
    }

    fn incomplete(&self, message: Named, reply: &Reply) {
        let why = reply.text().to_owned();
        let fate = match reply.code() {
            450..=459 => Became::Later(Trouble::new(Kind::Here, why)),
            _ => Became::Refused(why),
        };
        self.settle(vec![(message, fate)]);
    }

    /// The first answer is there, and maybe those of others behind it.
    fn answered(&mut self, first: Option<Answer>) {
        let (mut next, mut settled) = (first, Vec::new());
        while let Some(AtDoor { message, id, .. }) = self.at_door.pop_front() {
            self.outer.desk.send(Msg::Answered(id, Answered::Fine));
            settled.push((message, self.became(next, id)));
            match self.at_door.front_mut().map(|front| front.answer.try_recv()) {
                Some(Ok(answer)) => next = Some(answer),
                _ => break,
            }
        }
        self.settle(settled);
    }

    fn became(&self, answer: Option<Answer>, id: QueueId) -> Became {
        match answer {
            None => Became::Later(Trouble::stopping()),
            Some(Answer::Accepted(_)) => Became::Taken,
            Some(Answer::Refused(reason)) => Became::Refused(format!("{} ({id})", reason.name())),
            Some(Answer::NoRoom(why) | Answer::Trouble(why)) => Became::Later(Trouble::new(Kind::Here, why)),
        }
    }

    /// Remembered first, then said.
    fn settle(&self, settled: Vec<(Named, Became)>) {
        let now = self.outer.time.now().ms;
        let mut notes = Vec::new();
        for (message, fate) in &settled {
            match fate {
                Became::Taken => notes.push(message.remembered(Fate::Taken, now)),
                Became::Refused(why) => notes.push(message.remembered(Fate::Refused(why.clone()), now)),
                Became::Known(_) | Became::Later(_) => {}
            }
        }
        let noted = self.note(&notes);
        for (message, fate) in settled {
            let fate = match (&noted, fate) {
                (Err(trouble), Became::Taken | Became::Refused(_)) => Became::Later(trouble.clone()),
                (_, fate) => fate,
            };
            self.say(message.settled(fate));
        }
    }

    fn note(&self, notes: &[Remembered]) -> Result<(), Trouble> {
        tokio::task::block_in_place(|| self.lock().note(notes))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, settled: Settled) {
        // A session that is gone hears of it at its next listing.
        let _gone = self.out.send(settled);
    }
}

/// One message, which the ledger would take for two.
fn is_one(a: &Digest, b: &Digest) -> bool {
    a.tells && !a.is_exact && a.bytes == b.bytes
}

/// The answer to the first at the door. None: the desk has stopped.
async fn first(at_door: &mut VecDeque<AtDoor>) -> Option<Answer> {
    let front = at_door.front_mut()?;
    (&mut front.answer).await.ok()
}
