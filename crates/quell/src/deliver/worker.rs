//! Delivery workers: threads that claim rows, deliver them, and report how it ended.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use quell_queue::body::{BodyReader, SpoolReader};
use quell_queue::claim::Claim;
use quell_queue::ledger::Outcome;
use quell_relay::directory::{Resolved, mailbox_of};

use super::log::{Said, log};
use super::maildir::{DeliverError, Delivered, Delivery, Kind, MaildirStore};
use crate::metrics::Metrics;
use crate::server::desk::{Handle, Msg};
use crate::server::fresh::FreshBodies;
use crate::server::time::Timekeeper;

/// The directory as it is at this moment: reload replaces it.
pub type Directory = Arc<dyn Fn() -> Arc<quell_relay::reception::Policy> + Send + Sync>;

/// What a worker needs.
#[derive(Clone)]
pub struct Worker {
    /// Where claims come from and outcomes go.
    pub desk: Handle,
    /// Reads bodies.
    pub bodies: SpoolReader,
    /// What was stored a moment ago.
    pub fresh: Arc<FreshBodies>,
    /// Where mail lies.
    pub maildirs: Arc<MaildirStore>,
    /// Who is who.
    pub policy: Directory,
    /// The clock.
    pub time: Timekeeper,
    /// Numbers for the console.
    pub metrics: Arc<Metrics>,
}

impl Worker {
    /// Starts a thread that works until the desk gives no more claims.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn start(self, number: usize) -> std::io::Result<JoinHandle<()>> {
        crate::server::vital_thread(format!("deliver-{number}"), move || self.run())
    }

    fn run(&self) {
        loop {
            let (tx, claims) = channel();
            self.desk.send(Msg::Idle(tx));
            let Ok(claims) = claims.recv() else { return };
            self.deliver(claims);
        }
    }

    /// All of them together, as far as their mailboxes and bodies are there.
    fn deliver(&self, claims: Vec<Claim>) {
        let mut ready = Vec::with_capacity(claims.len());
        for claim in claims {
            let found = self.mailbox(claim.identity()).and_then(|mailbox| Ok((mailbox, self.body(&claim)?)));
            match found {
                Ok((mailbox, body)) => ready.push((claim, mailbox, body)),
                Err(outcome) => self.ended(claim, outcome),
            }
        }
        let rows = ready.iter_mut().map(|(claim, mailbox, body)| (delivery(claim, mailbox), body));
        let delivered = self.maildirs.deliver_all(rows);
        for ((claim, ..), delivered) in ready.into_iter().zip(delivered) {
            let outcome = match delivered {
                Ok(Delivered::Now | Delivered::Before) => Outcome::Delivered,
                Err(why) => failed(&why, claim.identity()),
            };
            self.ended(claim, outcome);
        }
    }

    fn ended(&self, claim: Claim, outcome: Outcome) {
        self.metrics.delivery(&outcome);
        let delay_ms = self.time.now().ms.saturating_sub(claim.received_ms());
        log(&claim, &outcome, &Said { next_hop: "maildir", ..Said::default() }, delay_ms);
        self.desk.send(Msg::Settle(claim, outcome));
    }

    /// What was stored a moment ago is still in memory.
    fn body(&self, claim: &Claim) -> Result<Body, Outcome> {
        if let Some(bytes) = self.fresh.get(claim.body()) {
            return Ok(Body::Fresh(bytes, 0));
        }
        self.bodies.open(claim.body()).map(|reader| Body::Stored(Box::new(reader))).map_err(|why| {
            Outcome::Temporary { status: format!("4.3.0 the stored message cannot be read: {why}") }
        })
    }

    /// The identity's own mailbox, as long as it is there: one that the configuration names will be
    /// there again, and only one that came and went with its folder is gone for good.
    fn mailbox(&self, identity: &str) -> Result<Resolved, Outcome> {
        let mailbox = mailbox_of(identity).ok_or_else(gone)?;
        match self.maildirs.told_exists(&mailbox.domain, &mailbox.mailbox) {
            Ok(true) => Ok(mailbox),
            Ok(false) if (self.policy)().directory.names(&mailbox) => Err(missing(identity)),
            Ok(false) => Err(gone()),
            Err(why) => {
                let status = format!("4.3.0 the mailbox cannot be looked at: {why}");
                Err(Outcome::Temporary { status })
            }
        }
    }
}

fn delivery<'a>(claim: &'a Claim, mailbox: &'a Resolved) -> Delivery<'a> {
    Delivery {
        queue_id: claim.queue_id(),
        recipient: claim.identity(),
        delivered_to: claim.identity(),
        domain: &mailbox.domain,
        mailbox: &mailbox.mailbox,
        reverse_path: (!claim.is_for_the_house()).then(|| claim.reverse_path()),
        search_first: claim.search_first(),
    }
}

/// A message's bytes.
enum Body {
    /// From memory; so many of them were read.
    Fresh(Arc<Vec<u8>>, usize),
    /// From the body store.
    Stored(Box<BodyReader>),
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Fresh(bytes, at) => {
                let read = bytes.get(*at..).unwrap_or_default().read(buffer)?;
                *at += read;
                Ok(read)
            }
            Self::Stored(reader) => reader.read(buffer),
        }
    }
}

fn gone() -> Outcome {
    let status = "5.1.1 there is no such mailbox any more".to_owned();
    Outcome::Failed { status, about_recipient: true }
}

/// Trouble of our own, since the mail was accepted: it waits.
fn missing(identity: &str) -> Outcome {
    let advice = format!("`quell mailbox add {identity}` makes it, unless a disk is not mounted");
    Outcome::Temporary { status: format!("4.3.5 the mailbox directory is missing: {advice}") }
}

fn failed(why: &DeliverError, identity: &str) -> Outcome {
    let status = format!("{} {why}", why.status);
    match why.kind {
        Kind::Temporary => Outcome::Temporary { status },
        Kind::Missing => missing(identity),
        Kind::Permanent => Outcome::Failed {
            about_recipient: why.status.starts_with("5.1") || why.status.starts_with("5.2"),
            status,
        },
    }
}
