//! One session to a next hop: moves bytes between [`Attempt`], which decides, and the world.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use quell_queue::destination::Destination;
use quell_queue::ledger::Outcome;
use quell_queue::store::RowId;
use quell_relay::attempt::{Address, Attempt, Content, Reached, Sending, Settled, Step, Target};
use quell_relay::route::{Cleared, DnsError, NextHop};
use quell_wire::client::{Lost, Wait};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::bounds::{ToDot, kept_until};
use super::content::Stored;
use super::link::Link;
use super::log::Said;
use super::remote::{Remote, Stopping};
use super::slots::{Slot, WAIT};
use super::tls;
use crate::server::desk::Msg;

#[cfg(test)]
mod late;
mod life;
mod protect;

pub(in crate::deliver) use life::run;

/// Messages sent over one connection; then another is made.
const MAX_MESSAGES: usize = 1_000;
/// The same where others wait for a connection to that address: one busy destination must not keep
/// them away.
const MAX_MESSAGES_WANTED: usize = 10;
/// So long a session without more to do stays where others wait.
const IDLE_WANTED: Duration = Duration::from_millis(100);
/// QUIT is answered by then, or the connection is closed without.
const QUIT_WITHIN: Duration = Duration::from_secs(2);
/// What is written is taken by then (RFC 5321 §4.5.3.2.5).
const BLOCK: Duration = Duration::from_secs(Wait::DataBlock.secs());

/// Why sessions end when the server does.
const STOPS: &str = "the server stops";

/// One session, from its first claims to its end.
pub(super) struct Session {
    remote: Arc<Remote>,
    destination: Destination,
    stopping: Stopping,
    attempt: Attempt,
    /// What it goes by, from its first message on.
    sending: Arc<Sending>,
    hop: NextHop,
    link: Option<Link>,
    /// Where it leads.
    target: Option<Target>,
    slot: Option<Slot>,
    /// The connection takes no further message after that.
    kept_until: Option<Instant>,
    /// So long the present message may still wait for its turn at busy addresses.
    wait_left: Duration,
    /// So long it may take up to its dot.
    to_dot: ToDot,
    said: Option<bool>,
    quitting: bool,
    /// The reply that is waited for, and until when.
    reply_by: Option<(u64, Instant)>,
    /// The end of a message may have gone out, and its answer is not there.
    at_dot: bool,
}

impl Session {
    fn new(remote: &Arc<Remote>, destination: &Destination, claims: Vec<Cleared>, content: Content) -> Self {
        let now = remote.now();
        // Not by the routes in force, which may be others by now: what is claimed for this destination
        // later must not go where the first message would go today.
        let hop = NextHop::of_destination(destination);
        let (random, to_dot) = (remote.random(), ToDot::new(content.size_bytes, claims.len()));
        Self {
            attempt: Attempt::new(Arc::clone(&now.sending), hop.clone(), claims, content, random),
            sending: Arc::clone(&now.sending),
            remote: Arc::clone(remote),
            destination: destination.clone(),
            stopping: remote.stopping(),
            hop,
            link: None,
            target: None,
            slot: None,
            kept_until: None,
            wait_left: WAIT,
            to_dot,
            said: None,
            quitting: false,
            reply_by: None,
            at_dot: false,
        }
    }

    /// Another message on the same connection.
    async fn begin(&mut self, claims: Vec<Cleared>, stored: &Stored) -> bool {
        (self.wait_left, self.to_dot) = (WAIT, ToDot::new(stored.content.size_bytes, claims.len()));
        let random = self.remote.random();
        if let Err(claims) = self.attempt.begin(claims, stored.content, random) {
            // It is asked for no more than it said it can take.
            for claim in claims {
                self.remote.give_back(claim.into_claim(), "4.3.0 the session had ended");
            }
            return false;
        }
        self.drive(Some(stored)).await
    }

    /// Messages that it may send.
    fn most(&self) -> usize {
        match &self.slot {
            _ if self.keeps_for().is_zero() || !self.is_in_force() => 0,
            Some(slot) if slot.is_wanted() => MAX_MESSAGES_WANTED,
            _ => MAX_MESSAGES,
        }
    }

    /// It goes by what is in force. After a reload, which may demand more of connections than this one
    /// has, it takes no further message.
    fn is_in_force(&self) -> bool {
        Arc::ptr_eq(&self.sending, &self.remote.now().sending)
    }

    /// So long the connection still takes further messages.
    fn keeps_for(&self) -> Duration {
        self.kept_until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Says QUIT and closes.
    async fn quit(&mut self) {
        self.quitting = true;
        self.attempt.quit();
        self.drive(None).await;
    }

    /// Does what the attempt says until all its claims are settled. True: the connection takes
    /// another message.
    async fn drive(&mut self, stored: Option<&Stored>) -> bool {
        loop {
            match self.attempt.next() {
                Step::FindMx(domain) => {
                    match self.unless_stopping(self.remote.now().resolver.mx(&domain)).await {
                        Some(found) => self.attempt.found_mx(found),
                        None => self.attempt.interrupt(STOPS),
                    }
                }
                Step::FindAddresses(host) => match self.addresses(&host).await {
                    Some(found) => self.attempt.found_addresses(found),
                    None => self.attempt.interrupt(STOPS),
                },
                Step::Connect(target) => self.connect(target).await,
                Step::StartTls => self.handshake().await,
                Step::FindPolicy(domain) => self.find_policy(&domain).await,
                Step::FindTlsa { domain, host } => self.find_tlsa(&domain, &host).await,
                Step::Write(bytes) => self.write(&bytes).await,
                Step::NeedInput(wait) => self.read(wait).await,
                Step::SendBody => match stored {
                    Some(stored) => self.send_body(stored).await,
                    None => self.attempt.lost(Lost::Ours("there is no message".to_owned())),
                },
                Step::Dot(rows) => self.dot(rows).await,
                Step::Settle(settled) => self.settle(*settled),
                Step::GiveBack(back) => self.remote.give_back(back.claim, &back.status.to_string()),
                Step::Disconnect => self.disconnect().await,
                Step::Done => {
                    self.reached();
                    return true;
                }
                Step::Over => {
                    self.disconnect().await;
                    return false;
                }
            }
        }
    }

    async fn addresses(&self, host: &str) -> Option<Result<Vec<std::net::IpAddr>, DnsError>> {
        let now = self.remote.now();
        match self.hop {
            NextHop::Mx(_) => self.unless_stopping(now.resolver.addresses(host)).await,
            _ => {
                let found = async { now.resolver.configured(host).await.map_err(DnsError::Trouble) };
                self.unless_stopping(found).await
            }
        }
    }

    /// None: the server stops.
    async fn unless_stopping<V>(&self, asked: impl Future<Output = V>) -> Option<V> {
        unless(stopped(&mut self.remote.stopping(), false), asked).await
    }

    async fn connect(&mut self, target: Target) {
        if self.to_dot.left().is_zero() {
            return self.attempt.out_of_time();
        }
        let now = self.remote.now();
        let (most, clients) = (now.per_address, Arc::clone(&now.clients));
        let wait_left = &mut self.wait_left;
        let connected = async {
            let slot = match &target.address {
                Address::Tcp(address) => match self.remote.slots.enter(*address, most, wait_left).await {
                    Some(slot) => Some(slot),
                    None => return Ok(None),
                },
                Address::Unix(_) => None,
            };
            let (link, tls) = Link::connect(&target, &clients).await?;
            Ok::<_, String>(Some((link, slot, tls)))
        };
        let Some(connected) = unless(stopped(&mut self.stopping, false), connected).await else {
            return self.attempt.interrupt(STOPS);
        };
        match connected {
            Ok(None) => self.attempt.connect_declined("there are too many connections to it already"),
            Ok(Some((link, slot, tls))) => {
                (self.link, self.slot) = (Some(link), slot);
                self.attempt.connected();
                if let Some(tls) = tls {
                    self.attempt.secured(tls);
                }
                self.target = Some(target);
                self.kept_until = kept_until(self.attempt.is_second_choice());
            }
            Err(why) => self.attempt.connect_failed(&why),
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        let Some(link) = &mut self.link else { return self.attempt.lost(Lost::Closed) };
        if !link.gather(bytes) {
            return;
        }
        let within = if self.at_dot { BLOCK } else { BLOCK.min(self.to_dot.left()) };
        match unless(stopped(&mut self.stopping, self.at_dot), link.flush(within)).await {
            Some(Ok(())) => {}
            Some(Err(why)) => self.lost(lost(&why)),
            None => self.attempt.interrupt(STOPS),
        }
    }

    /// Reads, once all is written. The time is that of a whole reply, and not of its next byte, or one
    /// that comes in drips could hold a connection for weeks.
    async fn read(&mut self, wait: Wait) {
        let stopped = stopped(&mut self.stopping, wait == Wait::FinalDot);
        let Some(link) = &mut self.link else { return self.attempt.lost(Lost::Closed) };
        let mut within = Duration::from_secs(wait.secs());
        match wait {
            _ if self.quitting => within = within.min(QUIT_WITHIN),
            Wait::FinalDot => {}
            _ => within = within.min(self.to_dot.left()),
        }
        let (reply, reply_by) = (self.attempt.replies(), &mut self.reply_by);
        let read = async {
            link.flush(if wait == Wait::FinalDot { BLOCK } else { BLOCK.min(within) }).await?;
            let before = reply_by.filter(|(of, _)| *of == reply);
            let (_, by) = *reply_by.insert(before.unwrap_or((reply, Instant::now() + within)));
            link.read(by).await
        };
        match unless(stopped, read).await {
            Some(Ok([])) => self.attempt.lost(Lost::Closed),
            Some(Ok(bytes)) => {
                self.attempt.input(bytes);
                if wait == Wait::FinalDot {
                    self.to_dot.renew();
                }
            }
            Some(Err(why)) => self.lost(lost(&why)),
            None => self.attempt.interrupt(STOPS),
        }
    }

    /// The connection is of no more use, nor the attempt, if its time is over.
    fn lost(&mut self, why: Lost) {
        if why == Lost::TimedOut && !self.at_dot && self.to_dot.left().is_zero() {
            self.attempt.out_of_time();
        } else {
            self.attempt.lost(why);
        }
    }

    async fn send_body(&mut self, stored: &Stored) {
        self.at_dot = false;
        self.to_dot.body_begins();
        match self.pour(stored).await {
            Ok(()) => self.attempt.body_end(),
            Err(Some(why)) => self.lost(why),
            Err(None) => self.attempt.interrupt(STOPS),
        }
    }

    /// Without a reason: the server stops.
    async fn pour(&mut self, stored: &Stored) -> Result<(), Option<Lost>> {
        let link = self.link.as_mut().ok_or(Lost::Closed)?;
        // That counts as an attempt: a message that is damaged for good must expire.
        let unreadable = |why: io::Error| Lost::Ours(format!("the stored message cannot be read: {why}"));
        let mut pieces = stored.pieces().map_err(unreadable)?;
        loop {
            let mut piece = pieces.next().map_err(unreadable)?;
            if piece.is_empty() {
                return Ok(());
            }
            while !piece.is_empty() {
                let (taken, out) = self.attempt.body(piece);
                if self.stopping.has_begun() {
                    return Err(None);
                }
                if link.gather(out) {
                    let within = BLOCK.min(self.to_dot.left());
                    tokio::select! {
                        biased;
                        () = stopped(&mut self.stopping, false) => return Err(None),
                        written = link.flush(within) => written.map_err(|why| lost(&why))?,
                    }
                }
                piece = piece.get(taken..).unwrap_or_default();
            }
        }
    }

    /// That the end goes out is written down first.
    async fn dot(&mut self, rows: Vec<RowId>) {
        let (tx, recorded) = oneshot::channel();
        self.remote.desk.send(Msg::Dot(rows, tx));
        match recorded.await {
            Ok(Ok(())) => {
                self.at_dot = true;
                self.attempt.dot_recorded();
            }
            Ok(Err(why)) => self.attempt.interrupt(&format!("it cannot be written down: {why}")),
            Err(_) => self.attempt.interrupt("the desk has stopped"),
        }
    }

    fn settle(&mut self, settled: Settled) {
        self.at_dot = false;
        // Before the outcome, which then waits as long as its destination.
        self.reached_or_not(&settled.outcome);
        let Settled { claim, outcome, next_hop, tls, status } = settled;
        self.remote.settle(
            claim,
            outcome,
            &Said { next_hop: &next_hop, tls: tls.as_deref(), status: Some(&status) },
        );
    }

    fn reached_or_not(&mut self, outcome: &Outcome) {
        match (self.attempt.reached(), outcome) {
            (Reached::Yes, _) => self.reached(),
            (Reached::No(status), Outcome::Temporary { .. })
                if self.said != Some(false) && !self.stopping.has_begun() =>
            {
                self.said = Some(false);
                self.remote.desk.send(Msg::Destination(self.destination.clone(), Err(status)));
            }
            _ => {}
        }
    }

    fn reached(&mut self) {
        if self.said != Some(true) {
            self.said = Some(true);
            self.remote.desk.send(Msg::Destination(self.destination.clone(), Ok(())));
        }
    }

    async fn disconnect(&mut self) {
        if let Some(link) = self.link.take() {
            link.close().await;
        }
        (self.slot, self.reply_by) = (None, None);
    }
}

/// When the server stops, nobody is waited for but those that may have the message already, and these
/// no longer than `stop_secs`.
async fn stopped(stopping: &mut Stopping, may_be_there: bool) {
    let by = stopping.begun().await;
    if may_be_there {
        tokio::time::sleep_until(by).await;
    }
}

/// What `done` comes to, or None if `ended` comes first. What is there already counts: a reply must
/// not be lost to the end of the time.
async fn unless<V>(ended: impl Future<Output = ()>, done: impl Future<Output = V>) -> Option<V> {
    tokio::select! {
        biased;
        done = done => Some(done),
        () = ended => None,
    }
}

fn lost(why: &io::Error) -> Lost {
    match why.kind() {
        io::ErrorKind::TimedOut => Lost::TimedOut,
        // A certificate of ours that is not taken is told so, after the handshake.
        _ if tls::is_of_tls(why) => Lost::Broken(tls::in_words(why)),
        _ => Lost::Closed,
    }
}

/// Why there is no connection.
pub(in crate::deliver) fn in_words(why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::TimedOut => "it does not answer".to_owned(),
        io::ErrorKind::ConnectionRefused => "it refuses connections".to_owned(),
        io::ErrorKind::NotFound => "the socket is not there".to_owned(),
        io::ErrorKind::PermissionDenied => "this server's user may not use it".to_owned(),
        // Numbers of the system's errors are for programmers.
        _ => why.to_string().split(" (os error").next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_there_is_no_connection_is_said_without_numbers() {
        for (number, words) in [
            (2, "the socket is not there"),
            (13, "this server's user may not use it"),
            (111, "it refuses connections"),
            (110, "it does not answer"),
            (101, "Network is unreachable"),
        ] {
            assert_eq!(in_words(&io::Error::from_raw_os_error(number)), words);
        }
    }

    #[tokio::test]
    async fn a_reply_that_is_there_counts_before_the_end_of_the_time() {
        for _ in 0..100 {
            assert_eq!(unless(std::future::ready(()), std::future::ready("250")).await, Some("250"));
        }
        assert_eq!(unless(std::future::ready(()), std::future::pending::<()>()).await, None);
    }
}
