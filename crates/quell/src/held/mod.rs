//! The end of held mail: a thread that asks the door once a second which digests are due, reads the
//! held messages, composes the digest, and hands it in at the door, which discards what the digest
//! tells of with the very batch that stores it. The door reminds the operator on the same occasion.
//!
//! Like a report, a digest is never withdrawn, and what is not taken comes again from the door.

mod compose;

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use quell_queue::clock::Now;
use quell_queue::door::{Answer, DigestFor, DigestJob, HeldCounts, HoldRules, ReportToken};
use tracing::{info, warn};

use crate::config::Hold;
use crate::report::{Broken, Reporter};
use crate::server::desk::ServerDoor;
use crate::server::vital_thread;

/// How often the door is asked.
const EVERY: Duration = Duration::from_secs(1);
/// The same while there are more held rows to look at: mail has its turn between.
const SOON: Duration = Duration::from_millis(20);
/// The pause after a digest was not taken, or while the disk is full.
const AFTER_TROUBLE: Duration = Duration::from_secs(30);
/// Digests given out at a time: their bodies are read one digest after the other.
const AT_ONCE: usize = 8;

/// As long as this lives the thread goes on.
pub struct Digesting(#[expect(dead_code, reason = "its end is what says something")] Sender<()>);

/// What is in force: `[hold]`, and `[tell] mail`.
pub type Rules = (Hold, Option<String>);

/// Makes and submits digests.
pub struct Digester {
    /// The way to the door, the bodies, who is who.
    pub means: Reporter,
    /// What is in force at the moment.
    pub now: Box<dyn Fn() -> Rules + Send>,
}

impl Digester {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn start(self) -> io::Result<(Digesting, JoinHandle<()>)> {
        let (tx, rx) = channel();
        let thread = vital_thread("held".to_owned(), move || self.run(&rx))?;
        Ok((Digesting(tx), thread))
    }

    fn run(&self, stop: &Receiver<()>) {
        let (mut pause, mut counted) = (EVERY, HeldCounts::default());
        while matches!(stop.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
            pause = match self.round(&mut counted) {
                Ok(true) => SOON,
                Ok(false) => EVERY,
                Err(Broken::Trouble) => AFTER_TROUBLE,
                Err(Broken::Stopping) => return,
            };
        }
    }

    /// Reminds, and makes what is due. True: there are more rows to look at.
    fn round(&self, counted: &mut HeldCounts) -> Result<bool, Broken> {
        let ((hold, operator), policy) = ((self.now)(), (self.means.policy)());
        // Digests are new mail: the last room is for outcomes. Reminders need none here.
        let room = self.means.room.enough(&self.means.data, 0).unwrap_or(false);
        let directory = std::sync::Arc::clone(&policy);
        let due = move |door: &mut ServerDoor, now: &Now| {
            let is_ours = |address: &str| compose::is_ours(&directory, address);
            let rules = HoldRules { keep_ms: hold.keep_ms, remind_ms: &hold.remind_ms, is_ours: &is_ours };
            let jobs = door.digests_due(&rules, now, if room { AT_ONCE } else { 0 });
            (jobs, door.held_counts(), door.looks_at_held())
        };
        let (jobs, counts, more) = self.means.ask(due)?;
        self.means.metrics.held(counted, &counts);
        *counted = counts;
        let mut jobs = jobs.into_iter();
        while let Some(job) = jobs.next() {
            if let Err(broken) = self.digest(job, &policy, operator.as_deref()) {
                self.give_back(jobs.map(|job| job.token).collect())?;
                return Err(broken);
            }
        }
        Ok(more)
    }

    fn give_back(&self, tokens: Vec<ReportToken>) -> Result<(), Broken> {
        self.means.ask(move |door, now| tokens.into_iter().for_each(|token| door.report_later(token, now)))
    }

    fn digest(
        &self,
        job: DigestJob,
        policy: &quell_relay::reception::Policy,
        operator: Option<&str>,
    ) -> Result<(), Broken> {
        let storm = job.storm.clone().unwrap_or_default();
        let (messages, to) = (job.messages.len(), words(&job.to));
        let now = self.means.time.now();
        let exists = |domain: &str, local: &str| self.means.maildirs.told_exists(domain, local);
        let found = compose::whom(&job.to, policy, operator, &exists);
        let (Some(whom), Some(queue_id)) = (found, self.means.time.queue_id(&now)) else {
            warn!(
                event = "digest_not_made",
                storm, to, messages, "nobody is there to get it: the mail stays held; see [tell] mail"
            );
            self.give_back(vec![job.token])?;
            return Err(Broken::Trouble);
        };
        let incoming = compose::compose(job, whom, policy, &self.means.bodies, queue_id, &now);
        match self.means.submit(incoming)? {
            Answer::Accepted(id) => {
                info!(event = "digest_sent", id = %id, storm, to, messages, "held mail is told in a digest and discarded");
                Ok(())
            }
            Answer::Refused(reason) => {
                warn!(event = "digest_refused", storm, to, reason = reason.name(), "the mail stays held");
                Ok(())
            }
            Answer::NoRoom(why) | Answer::Trouble(why) => {
                warn!(event = "digest_not_taken", storm, to, reason = why, "it is made again later");
                Err(Broken::Trouble)
            }
        }
    }
}

/// For the log, which names no more of people than its other lines do.
fn words(to: &DigestFor) -> String {
    match to {
        DigestFor::Recipient(address) => address.clone(),
        DigestFor::Sender(address) => format!("{address} and the operator"),
        DigestFor::Operator => "the operator".to_owned(),
    }
}
