//! Telling senders what became of their mail: a thread that asks the door once a second which
//! reports are due, reads the original, lets [`quell_relay::report`] write the report, and hands it
//! in at the door, which clears the debt with the very batch that stores it.
//!
//! A report is never withdrawn, however long the disk takes: its debt would be gone with it. What is
//! not taken (no room, trouble of our own) comes again from the door.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use quell_mail::dsn::{MAX_ORIGINAL_BYTES, Original};
use quell_queue::body::{BodyRef, SpoolReader};
use quell_queue::clock::Now;
use quell_queue::door::{Answer, Incoming, ReportCounts, ReportJob, ReportToken};
use quell_queue::reserve::Room;
use quell_relay::reception::Policy;
use quell_relay::report::{NotMade, make};
use quell_storm::facts::Answered;
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::deliver::maildir::MaildirStore;
use crate::metrics::Metrics;
use crate::server::desk::{Handle, Msg, ServerDoor};
use crate::server::time::Timekeeper;
use crate::server::vital_thread;

/// How often the door is asked.
const EVERY: Duration = Duration::from_secs(1);
/// The pause after a report was not taken, or while the disk is full.
const AFTER_TROUBLE: Duration = Duration::from_secs(30);
/// Reports made in one go. Each takes a commit.
const AT_ONCE: usize = 50;

/// As long as this lives the thread goes on.
pub struct Reporting(#[expect(dead_code, reason = "its end is what says something")] Sender<()>);

/// Makes and submits reports.
pub struct Reporter {
    /// The way to the door.
    pub desk: Handle,
    /// Time and ids.
    pub time: Timekeeper,
    /// Which mailboxes there are.
    pub maildirs: Arc<MaildirStore>,
    /// The originals.
    pub bodies: SpoolReader,
    /// Who is who, at the moment.
    pub policy: Box<dyn Fn() -> Arc<Policy> + Send>,
    /// Numbers for the console.
    pub metrics: Arc<Metrics>,
    /// How much room there must be on the disk.
    pub room: Room,
    /// Where.
    pub data: PathBuf,
}

/// Why a round ended before its end.
pub(crate) enum Broken {
    /// There is no room, or a report was not taken; the rest was given back.
    Trouble,
    /// The desk has stopped.
    Stopping,
}

impl Reporter {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn start(self) -> io::Result<(Reporting, JoinHandle<()>)> {
        let (tx, rx) = channel();
        let thread = vital_thread("report".to_owned(), move || self.run(&rx))?;
        Ok((Reporting(tx), thread))
    }

    fn run(&self, stop: &Receiver<()>) {
        let (mut pause, mut counted) = (EVERY, ReportCounts::default());
        while matches!(stop.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
            pause = match self.round(&mut counted) {
                Ok(AT_ONCE..) => Duration::ZERO,
                Ok(_) => EVERY,
                Err(Broken::Trouble) => AFTER_TROUBLE,
                Err(Broken::Stopping) => return,
            };
        }
    }

    /// Makes what is due, at most [`AT_ONCE`]; how many.
    fn round(&self, counted: &mut ReportCounts) -> Result<usize, Broken> {
        // Reports are new mail: the last room is for outcomes.
        if !self.room.enough(&self.data, 0).unwrap_or(false) {
            return Err(Broken::Trouble);
        }
        let due = |door: &mut ServerDoor, now: &Now| (door.reports_due(now, AT_ONCE), door.report_counts());
        let (jobs, counts) = self.ask(due)?;
        self.metrics.reports(counted, &counts);
        *counted = counts;
        let made = jobs.len();
        let mut jobs = jobs.into_iter();
        while let Some(job) = jobs.next() {
            if let Err(broken) = self.report(job) {
                let rest: Vec<_> = jobs.map(|job| job.token).collect();
                self.ask(move |door, now| rest.into_iter().for_each(|token| door.report_later(token, now)))?;
                return Err(broken);
            }
        }
        Ok(made)
    }

    /// Asks the door, on its thread.
    pub(crate) fn ask<V: Send + 'static>(
        &self,
        question: impl FnOnce(&mut ServerDoor, &Now) -> V + Send + 'static,
    ) -> Result<V, Broken> {
        let (tx, rx) = channel();
        self.desk.send(Msg::Ask(Box::new(move |door, now| drop(tx.send(question(door, now))))));
        rx.recv().map_err(|_| Broken::Stopping)
    }

    fn report(&self, job: ReportJob) -> Result<(), Broken> {
        let (of, to, rows) = (job.queue_id, job.reverse_path.clone(), job.rows.len());
        let now = self.time.now();
        let Some(queue_id) = self.time.queue_id(&now) else {
            self.give_back(job.token, true)?;
            return Err(Broken::Trouble);
        };
        let (bytes, whole) = self.original(&job);
        let original = Original { bytes: &bytes, whole };
        let exists = |domain: &str, local: &str| self.maildirs.told_exists(domain, local);
        let incoming = match make(job, original, &(self.policy)(), &exists, queue_id, &now) {
            Ok(incoming) => incoming,
            Err(not) => return self.not_made(not, &of.to_string(), &to),
        };
        match self.submit(incoming)? {
            Answer::Accepted(id) => {
                info!(event = "report_sent", id = %id, of = %of, to, recipients = rows, "the sender is told");
            }
            Answer::Refused(reason) => {
                warn!(event = "report_refused", of = %of, to, reason = reason.name(), "the report was refused: the sender is not told");
            }
            Answer::NoRoom(why) | Answer::Trouble(why) => {
                warn!(event = "report_not_taken", of = %of, to, reason = why, "it is made again later");
                return Err(Broken::Trouble);
            }
        }
        Ok(())
    }

    fn not_made(&self, not: NotMade, of: &str, to: &str) -> Result<(), Broken> {
        let (later, why) = (not.is_for_now(), &not.why);
        info!(event = "report_not_made", of, to, reason = %why, later, "the sender is not told");
        self.give_back(not.token, later)
    }

    fn give_back(&self, token: ReportToken, later: bool) -> Result<(), Broken> {
        self.ask(
            move |door, now| {
                if later { door.report_later(token, now) } else { door.report_dropped(token, now) }
            },
        )
    }

    /// The original, or the beginning of a large one; true if it is all of it. One that cannot be
    /// read is returned with no report, but its sender is told.
    fn original(&self, job: &ReportJob) -> (Vec<u8>, bool) {
        let Some(body) = &job.body else { return (Vec::new(), false) };
        match self.read(body) {
            Ok(bytes) if bytes.len() > MAX_ORIGINAL_BYTES => (bytes, false),
            Ok(bytes) => (bytes, true),
            Err(why) => {
                warn!(event = "original_unreadable", id = %job.queue_id, reason = %why, "the report goes without it");
                (Vec::new(), false)
            }
        }
    }

    /// At most one byte more than a report returns. Of what ends before that the checksum was right.
    fn read(&self, body: &BodyRef) -> io::Result<Vec<u8>> {
        let reader = self.bodies.open(body).map_err(io::Error::other)?;
        let mut bytes = Vec::new();
        reader.take(MAX_ORIGINAL_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn submit(&self, incoming: Incoming) -> Result<Answer, Broken> {
        let id = incoming.facts.queue_id;
        let (tx, answer) = oneshot::channel();
        self.desk.send(Msg::Accept(Box::new(incoming), tx));
        let answer = answer.blocking_recv().map_err(|_| Broken::Stopping)?;
        self.desk.send(Msg::Answered(id, Answered::Fine));
        Ok(answer)
    }
}
