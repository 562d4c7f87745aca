//! One account's task: looks, waits, looks again.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use quell_storm::facts::Ms;
use quell_storm::tell::Alert;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use super::account::{Account, Protocol};
use super::backoff::{Backoff, with_jitter};
use super::hand_in::Remembers;
use super::imap::{self, Open};
use super::keeper::Means;
use super::memory::Memory;
use super::pop3;
use super::round::Look;
use super::status::{Counts, Phase, Shown, Status};
use super::trouble::{Kind, Trouble};

/// A corrected password file is seen so soon.
const LOOK_AT_SECRET: Duration = Duration::from_secs(5);
/// Trouble that may pass by itself is told after so long.
const TELL_AFTER: Duration = Duration::from_secs(3_600);
/// News comes in several pieces, and a server that never stops telling is not asked without end.
const AFTER_NEWS: Duration = Duration::from_secs(1);
/// The longest pause that a server may want: what it says may be nonsense.
const MOST_WANTED: Duration = Duration::from_secs(24 * 3_600);
/// The state of a long collection is in the log so often.
const PROGRESS: Duration = Duration::from_secs(30);
/// A look of which nothing comes for so long is broken off.
const MOST_STUCK: Duration = Duration::from_secs(3600);

/// What a look has come to.
pub struct Done {
    /// There is more, at once.
    pub more: bool,
    /// The server wants pauses of at least so long.
    pub least_pause: Duration,
}

impl Done {
    /// The pause until the next look; None: there is none.
    fn pause(&self, poll: Duration) -> Option<Duration> {
        let wanted = self.least_pause.min(MOST_WANTED);
        match self.more {
            true => Some(wanted).filter(|wanted| !wanted.is_zero()),
            false => Some(poll.max(wanted)),
        }
    }
}

/// One account's task.
pub struct Task {
    /// The account.
    pub account: Arc<Account>,
    /// The rest of the server.
    pub means: Arc<Means>,
    /// For people.
    pub status: Shown,
    /// It is to end.
    pub stop: watch::Receiver<bool>,
    /// A person wants a look now.
    pub wake: Arc<Notify>,
    /// A person wanted the look that comes next.
    pub asked: bool,
}

impl Task {
    /// Until it is to end.
    pub async fn run(mut self) {
        let (mut backoff, mut idles, mut since) = (Backoff::default(), Backoff::default(), None);
        let mut connection: Option<Open> = None;
        let mut told = false;
        let memory = loop {
            match self.remember().await {
                Ok(memory) => break memory,
                Err(trouble) => {
                    if !told && trouble.kind != Kind::Stopping {
                        told = true;
                        self.alert(&trouble);
                    }
                    let pause = backoff.failed(&trouble, self.random());
                    self.trouble(&trouble, pause);
                    self.status.set(|status| {
                        (status.phase, status.trouble) = (Phase::Trouble, Some(trouble.why.clone()));
                        status.rounds += 1;
                    });
                    if self.pause(pause, None).await {
                        return;
                    }
                }
            }
        };
        loop {
            // Before it is read: one that is corrected meanwhile has changed.
            let secret = self.account.secret.changed();
            let ended = self.round(&memory, &mut connection).await;
            if *self.stop.borrow() {
                return;
            }
            let (pause, secret) = match ended {
                Ok(done) => {
                    backoff.worked();
                    self.worked(&memory, since.take());
                    match done.pause(self.account.poll) {
                        Some(pause) => (with_jitter(pause, self.random()), None),
                        None => continue,
                    }
                }
                Err(trouble) => {
                    connection = None;
                    let pause = backoff.failed(&trouble, self.random());
                    self.trouble(&trouble, pause);
                    let since = *since.get_or_insert_with(Instant::now);
                    self.tell(&memory, &trouble, since);
                    let is_secret = matches!(trouble.kind, Kind::SignIn | Kind::Secret);
                    (pause, is_secret.then_some(secret))
                }
            };
            if self.wait(pause, secret, &mut connection, &mut idles).await {
                return;
            }
        }
    }

    /// What is known of the account, and of what was being handed in when the last life ended.
    async fn remember(&self) -> Result<Remembers, Trouble> {
        let name = self.account.name();
        let loaded = tokio::task::block_in_place(|| Memory::load(Arc::clone(&self.means.store), name));
        let (mut memory, taking) = loaded?;
        for (uid, id) in taking {
            let known = self.means.outer.desk.ask(move |door, _| door.knows_arrival(&id)).await;
            let known = known.ok_or_else(Trouble::stopping)?;
            let known = known.map_err(|why| Trouble::new(Kind::Here, format!("the ledger: {why}")))?;
            let now = self.means.outer.time.now().ms;
            tokio::task::block_in_place(|| memory.was_taken(&uid, known, now))?;
        }
        let mark = &memory.mark;
        self.status.set(|status| {
            status.last_good_ms = mark.last_good_ms;
            (status.taken_ever, status.bytes_ever) = (mark.taken, mark.bytes);
        });
        Ok(Arc::new(Mutex::new(memory)))
    }

    async fn round(&mut self, memory: &Remembers, connection: &mut Option<Open>) -> Result<Done, Trouble> {
        let now = self.means.outer.time.now();
        let before = self.status.set(|status| {
            (status.phase, status.began_ms, status.next_ms) = (Phase::Connecting, now.wall_ms, None);
            (status.listed, status.to_fetch, status.fetched) = (0, 0, 0);
            status.counts
        });
        let (policy, max_message_bytes) = (self.means.policy)();
        let look = Look {
            account: Arc::clone(&self.account),
            means: Arc::clone(&self.means),
            memory: Arc::clone(memory),
            status: self.status.clone(),
            policy,
            max_message_bytes,
            stop: self.stop.clone(),
            suspect: Mutex::default(),
            again: std::mem::take(&mut self.asked),
        };
        let ended = tokio::select! {
            ended = self.look(&look, connection) => ended,
            stuck = self.progress() => Err(stuck),
        };
        if ended.as_ref().is_err_and(|trouble| matches!(trouble.kind, Kind::Net | Kind::Server)) {
            look.broke_off();
        }
        self.ended(memory, before, &ended);
        ended
    }

    async fn look(&self, look: &Look, connection: &mut Option<Open>) -> Result<Done, Trouble> {
        look.recipients_are_there()?;
        match self.account.server.protocol {
            // What a server sends can make the client's parser panic.
            Protocol::Imap => match AssertUnwindSafe(imap::collect(look, connection)).catch_unwind().await {
                Ok(ended) => ended,
                Err(_) => {
                    let why = format!("{} sends what cannot be understood", self.account.server);
                    Err(Trouble::new(Kind::Server, why))
                }
            },
            Protocol::Pop3 => pop3::collect(look).await,
        }
    }

    /// Says how far a long look is. Ends where nothing comes of it.
    async fn progress(&self) -> Trouble {
        until_stuck(|| {
            let status = self.status.get();
            if status.phase == Phase::Collecting {
                let (account, fetched, to_fetch, bytes) =
                    (self.account.name(), status.fetched, status.to_fetch, status.counts.bytes);
                info!(event = "pickup_progress", account, fetched, to_fetch, bytes, "collecting");
            }
            (status.listed, status.fetched, status.counts)
        })
        .await;
        let why = format!("{} has not sent one whole message for an hour", self.account.server);
        Trouble::new(Kind::Net, why)
    }

    /// A look has ended: what it came to goes into the log, and is kept; then others see that it has.
    fn ended(&self, memory: &Remembers, before: Counts, ended: &Result<Done, Trouble>) {
        let now: Ms = self.means.outer.time.now().wall_ms;
        let status = self.status.get();
        let counts = status.counts.since(before);
        let Counts { bytes, taken, known, refused, deleted } = counts;
        let (account, listed, good) = (self.account.name(), status.listed, ended.is_ok());
        if status.fetched + refused + deleted > 0 {
            info!(
                event = "pickup_done",
                account, taken, known, refused, deleted, bytes, listed, good, "collected"
            );
        }
        self.mark(memory, &status, taken > 0, good.then_some(now));
        self.tell_refused(memory);
        let stay = memory.lock().unwrap_or_else(PoisonError::into_inner).stay();
        self.means.outer.metrics.account(account, good, now, stay);
        self.status.set(|status| {
            status.stay = stay;
            status.trouble_since_ms = if good { None } else { status.trouble_since_ms.or(Some(now)) };
            (status.phase, status.trouble) = match ended {
                Ok(done) if done.more => (Phase::Connecting, None),
                Ok(_) => (Phase::Waiting, None),
                Err(trouble) => (Phase::Trouble, Some(trouble.why.clone())),
            };
            status.last_good_ms = if good { Some(now) } else { status.last_good_ms };
            status.rounds += 1;
        });
    }

    /// Keeps the account's figures: where there are new ones, and now and then the time.
    fn mark(&self, memory: &Remembers, status: &Status, has_new: bool, good_ms: Option<Ms>) {
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        let last = memory.mark.last_good_ms;
        let is_due = good_ms.is_some_and(|now| last.is_none_or(|last| now - last > 60_000));
        if !has_new && !is_due {
            return;
        }
        let kept = tokio::task::block_in_place(|| {
            memory.set_mark(|mark| {
                mark.first_ms = mark.first_ms.or(Some(status.began_ms));
                (mark.taken, mark.bytes) = (status.taken_ever, status.bytes_ever);
                mark.last_good_ms = good_ms.or(last);
            })
        });
        if let Err(why) = kept {
            let account = self.account.name();
            warn!(event = "pickup_not_marked", account, reason = %why, "the account's figures are of an earlier time after a restart");
        }
    }

    /// Says, once, what cannot be taken and stays there.
    fn tell_refused(&self, memory: &Remembers) {
        let news = memory.lock().unwrap_or_else(PoisonError::into_inner).take_news();
        let account = self.account.name();
        for (uid, why) in &news {
            warn!(event = "pickup_refused", account, uid, reason = %why, "a message cannot be taken, and stays on the server");
        }
        if let Some((_, why)) = news.first() {
            let server = self.account.server.to_string();
            self.means.outbox.put(Alert::pickup_refused(account, &server, news.len(), why));
        }
    }

    /// It works, or works again after trouble since then.
    fn worked(&self, memory: &Remembers, since: Option<Instant>) {
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        let was_told = memory.mark.told.is_some();
        if since.is_some() || was_told {
            info!(event = "pickup_works", account = self.account.name(), "the account is collected again");
        }
        if was_told {
            let server = self.account.server.to_string();
            self.means.outbox.put(Alert::pickup_works(self.account.name(), &server));
            // If it cannot be kept, it is said once more.
            let _said_again = tokio::task::block_in_place(|| memory.set_mark(|mark| mark.told = None));
        }
    }

    fn trouble(&self, trouble: &Trouble, pause: Duration) {
        if trouble.kind != Kind::Stopping {
            let (account, again_secs) = (self.account.name(), pause.as_secs());
            warn!(event = "pickup_trouble", account, again_secs, reason = %trouble, "an account could not be collected");
        }
    }

    /// Tells the operator, once until it works again.
    fn tell(&self, memory: &Remembers, trouble: &Trouble, since: Instant) {
        let is_due = trouble.needs_a_person() || since.elapsed() >= TELL_AFTER;
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_due || trouble.kind == Kind::Stopping || memory.mark.told.is_some() {
            return;
        }
        self.alert(trouble);
        let told = Some(trouble.why.clone());
        // If it cannot be kept, it is told once more.
        let _told_again = tokio::task::block_in_place(|| memory.set_mark(|mark| mark.told = told));
    }

    fn alert(&self, trouble: &Trouble) {
        let (account, server) = (self.account.name(), self.account.server.to_string());
        self.means.outbox.put(Alert::pickup(account, &server, &trouble.why));
    }

    /// Waits for the next look. True: it is to end.
    async fn wait(
        &mut self,
        pause: Duration,
        secret: Option<Option<SystemTime>>,
        connection: &mut Option<Open>,
        idles: &mut Backoff,
    ) -> bool {
        let next = self.means.outer.time.now().wall_ms + i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        self.status.set(|status| status.next_ms = Some(next));
        let Some(open) = connection.as_mut().filter(|open| open.can_idle() && self.account.idle) else {
            *connection = None;
            return self.pause(pause, secret).await;
        };
        self.status.set(|status| status.phase = Phase::Idle);
        let (mut stop, until) = (self.stop.clone(), Instant::now() + pause);
        let still = tokio::select! {
            still = AssertUnwindSafe(open.idle(pause)).catch_unwind() => still.unwrap_or(false),
            () = self.wake.notified() => {
                // A person is in a hurry: the next look makes another.
                *connection = None;
                return false;
            }
            _ = stop.wait_for(|stop| *stop) => return true,
        };
        if still {
            idles.worked();
            return self.pause(AFTER_NEWS, None).await;
        }
        // A server that refuses IDLE, or ends each that idles, is not signed in to over and over.
        *connection = None;
        self.status.set(|status| status.phase = Phase::Waiting);
        let again = idles.failed(&Trouble::new(Kind::Net, "it does not idle"), self.random());
        self.pause(again.min(until.saturating_duration_since(Instant::now())), None).await
    }

    /// True: it is to end.
    async fn pause(&mut self, pause: Duration, secret: Option<Option<SystemTime>>) -> bool {
        let until = Instant::now() + pause;
        let look = || async {
            match &secret {
                None => std::future::pending().await,
                Some(before) => loop {
                    tokio::time::sleep(LOOK_AT_SECRET).await;
                    if self.account.secret.changed() != *before {
                        return;
                    }
                },
            }
        };
        let mut stop = self.stop.clone();
        tokio::select! {
            () = tokio::time::sleep_until(until) => false,
            () = self.wake.notified() => {
                self.asked = true;
                false
            }
            () = look() => false,
            _ = stop.wait_for(|stop| *stop) => true,
        }
    }

    fn random(&self) -> u64 {
        (self.means.random)()
    }
}

/// Asks every [`PROGRESS`] how far something is; ends when that has not changed for [`MOST_STUCK`]: a server that sends a line
/// now and then holds up the time limits of single answers.
async fn until_stuck<F: PartialEq>(how_far: impl Fn() -> F) {
    let (mut last, mut since) = (None, Instant::now());
    while since.elapsed() < MOST_STUCK {
        tokio::time::sleep(PROGRESS).await;
        let now = Some(how_far());
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn a_look_ends_an_hour_after_the_last_that_came_of_it() {
        let (began, asked) = (Instant::now(), Cell::new(0));
        until_stuck(|| {
            asked.set(asked.get() + 1);
            asked.get().min(100)
        })
        .await;
        assert_eq!(began.elapsed(), 100 * PROGRESS + MOST_STUCK);
    }

    #[test]
    fn a_server_gets_the_pauses_that_it_wants_within_reason() {
        let (poll, secs) = (Duration::from_secs(300), Duration::from_secs);
        for (more, least_pause, pause) in [
            (false, 0, Some(300)),
            (false, 900, Some(900)),
            (false, u32::MAX, Some(24 * 3_600)),
            (true, 0, None),
            // A big mailbox is collected in several sessions: a sign-in that comes too soon is refused.
            (true, 60, Some(60)),
        ] {
            let done = Done { more, least_pause: secs(least_pause.into()) };
            assert_eq!(done.pause(poll), pause.map(secs), "{more} {least_pause}");
        }
    }
}
