//! From a session's first claims to its end: message after message, and what is said of it to the desk.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use quell_queue::claim::{Claim, ClaimId};
use quell_queue::destination::Destination;
use quell_queue::ledger::Outcome;
use quell_relay::route::{Cleared, NextHop};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{error, info};

use super::{IDLE_WANTED, MAX_MESSAGES, Session};
use crate::deliver::content::Stored;
use crate::deliver::log::{Said, log};
use crate::deliver::remote::{Remote, Stopping};
use crate::server::alarm::Alarm;
use crate::server::desk::{Handle, Msg};

/// Of a claim that was not cleared.
const STAYS: &str = "4.3.5 it was collected for our own people, and goes to no other server: put its domain back \
                     into [domains], or remove it with `quell queue remove`";

/// Counts a session as long as it lives, whatever becomes of it.
struct Counted<'a> {
    remote: &'a Remote,
    destination: &'a Destination,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.remote.desk.send(Msg::SessionOver(self.destination.clone()));
        self.remote.ended();
    }
}

/// The claims of the message that a session has now. If it panics, nobody settles them: the desk is
/// told, or they would stay claimed until a restart.
struct Given<'a> {
    desk: &'a Handle,
    claims: Vec<ClaimId>,
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!(
                event = "session_died",
                recipients = self.claims.len(),
                "a session to a next hop has ended by a fault of quell: its recipients wait, or are unknown"
            );
            self.desk.send(Msg::Abandoned(std::mem::take(&mut self.claims)));
        }
    }
}

/// Runs a session.
pub(in crate::deliver) async fn run(remote: Arc<Remote>, destination: Destination, claims: Vec<Claim>) {
    let _counted = Counted { remote: &remote, destination: &destination };
    let mut given = Given { desk: &remote.desk, claims: Vec::new() };
    let mut claims = Some(claims);
    let mut session: Option<Session> = None;
    let (mut sent, mut waits) = (0, (remote.stopping(), Alarm::default()));
    while let Some(some) = claims.take() {
        given.claims = some.iter().map(Claim::which).collect();
        let stored = match stored(&remote, &some) {
            Ok(stored) => stored,
            Err(why) => {
                unreadable(&remote, some, &why);
                claims = remote.more(&destination, session.as_ref(), &mut waits).await;
                continue;
            }
        };
        let some = remote.clear(some, &destination);
        if some.is_empty() {
            claims = remote.more(&destination, session.as_ref(), &mut waits).await;
            continue;
        }
        // The configuration was read again while it waited for them: they get a connection of their own.
        if let Some(mut old) = session.take_if(|session| !session.is_in_force()) {
            old.quit().await;
            sent = 0;
        }
        let kept = match session.as_mut() {
            Some(session) => session.begin(some, &stored).await,
            None => {
                let new = Session::new(&remote, &destination, some, stored.content);
                session.insert(new).drive(Some(&stored)).await
            }
        };
        if !kept {
            return;
        }
        sent += 1;
        // Asked for after that, claims would have nobody to send them.
        if sent >= session.as_ref().map_or(MAX_MESSAGES, Session::most) {
            break;
        }
        claims = remote.more(&destination, session.as_ref(), &mut waits).await;
    }
    if let Some(session) = &mut session {
        session.quit().await;
    }
}

fn stored(remote: &Remote, claims: &[Claim]) -> io::Result<Stored> {
    let first = claims.first().ok_or(io::ErrorKind::InvalidInput)?;
    match remote.fresh.get(first.body()) {
        Some(bytes) => Ok(Stored::held(bytes, &remote.bodies, first.body())),
        None => tokio::task::block_in_place(|| Stored::open(&remote.bodies, first.body())),
    }
}

fn unreadable(remote: &Remote, claims: Vec<Claim>, why: &io::Error) {
    for claim in claims {
        let status = format!("4.3.0 the stored message cannot be read: {why}");
        remote.settle(claim, Outcome::Temporary { status }, &Said::default());
    }
}

impl Remote {
    /// A session that is free asks for more. None: nothing came in time, or others want its place.
    async fn more(
        &self,
        destination: &Destination,
        session: Option<&Session>,
        (stopping, alarm): &mut (Stopping, Alarm),
    ) -> Option<Vec<Claim>> {
        if stopping.has_begun() {
            return None;
        }
        let (tx, mut more) = oneshot::channel();
        let recipients = session.map_or(0, |session| session.attempt.takes_recipients());
        self.desk.send(Msg::Free(destination.clone(), tx, recipients));
        let slot = session.and_then(|session| session.slot.as_ref());
        let keep_idle = self.now().keep_idle.min(session.map_or(Duration::MAX, Session::keeps_for));
        let idle = async {
            alarm.at(Instant::now() + keep_idle.min(IDLE_WANTED)).await;
            let rest = keep_idle.saturating_sub(IDLE_WANTED);
            match slot {
                // Its end is as good as the time's.
                Some(slot) => drop(tokio::time::timeout(rest, slot.wanted()).await),
                None => tokio::time::sleep(rest).await,
            }
        };
        tokio::select! {
            biased;
            claims = &mut more => return claims.ok(),
            () = idle => {}
            _ = stopping.begun() => {}
        }
        // What was given at the last moment is not lost.
        more.close();
        more.try_recv().ok()
    }

    /// Those of `claims` that may go there by the routes in force. Collected mail whose domain is no longer
    /// served here waits, until it is again.
    fn clear(&self, claims: Vec<Claim>, destination: &Destination) -> Vec<Cleared> {
        let (hop, routes) = (NextHop::of_destination(destination), Arc::clone(&self.now().routes));
        let mut cleared = Vec::with_capacity(claims.len());
        for claim in claims {
            match routes.clear(claim, &hop) {
                Ok(claim) => cleared.push(claim),
                Err(claim) => {
                    let status = STAYS.to_owned();
                    self.settle(*claim, Outcome::Temporary { status }, &Said::default());
                }
            }
        }
        cleared
    }

    pub(super) fn settle(&self, claim: Claim, outcome: Outcome, said: &Said<'_>) {
        self.metrics.delivery(&outcome);
        let delay_ms = self.time.now().ms.saturating_sub(claim.received_ms());
        log(&claim, &outcome, said, delay_ms);
        self.desk.send(Msg::Settle(claim, outcome));
    }

    pub(super) fn give_back(&self, claim: Claim, why: &str) {
        info!(event = "given_back", id = %claim.queue_id(), rcpt = claim.identity(), reason = why);
        self.desk.send(Msg::GiveBack(claim));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::desk::channel_to_desk;

    #[test]
    fn the_desk_hears_of_claims_only_if_their_session_panics() {
        let (desk, mut inbox) = channel_to_desk();
        drop(Given { desk: &desk, claims: Vec::new() });
        assert!(inbox.try_recv().is_err());
        let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _given = Given { desk: &desk, claims: Vec::new() };
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(died.is_err());
        assert!(matches!(inbox.try_recv(), Ok(Msg::Abandoned(_))));
    }
}
