//! One run: one shape of copies, one gateway.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quell_sim::host::{Address, Moment, Note, Service};
use tokio::task::JoinSet;

use super::args::{Args, Shape};
use super::figures::{Ended, Kind, Run, Sample, Spread};
use super::gateway::{Counts, Gateway};
use super::net::{self, Directory, Notes, Placed};
use super::show::{Scene, Show};
use super::tally::{Tally, Totals};
use super::world::{self, World};

/// How often it is looked at whether the run is over.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often quell is asked for its counts.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// Samples of the timeline, at most so many, and at least so far apart.
const MAX_SAMPLES: u64 = 600;
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// After the faulty servers have been stopped, what is under way may take so long to arrive …
const DRAIN: Duration = Duration::from_secs(20);
/// … and is not waited for any longer once nothing has come for so long.
const SILENCE: Duration = Duration::from_secs(3);
/// What nobody counts on may still come: a transaction whose answer its sender did not live to read.
const SETTLE: Duration = Duration::from_millis(300);

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// As asked for.
    pub args: &'a Args,
    /// How the copies look.
    pub shape: Shape,
    /// What stands at the gateway.
    pub gateway: Kind,
    /// For what lies on the disk; nothing else is in it.
    pub folder: &'a Path,
}

/// Everything that runs.
struct Stage<'a> {
    plan: Plan<'a>,
    tally: Arc<Mutex<Tally>>,
    gateway: Gateway,
    /// Who sends; ended when the storm has been long enough.
    senders: JoinSet<()>,
    /// Who is sent to.
    receivers: JoinSet<()>,
    begun: Instant,
    /// Recipients of the newsletter.
    newsletter: u64,
    counts: Option<Counts>,
    asked: Option<Instant>,
    timeline: Vec<Sample>,
    draining: bool,
}

/// Runs it.
///
/// # Errors
/// In words, why it could not be run to its end.
pub async fn run(plan: Plan<'_>, show: &mut Show) -> Result<Run, String> {
    let mut stage = Stage::set(plan).await?;
    let ended_by = stage.storm(show).await?;
    let storm_ms = stage.elapsed_ms();
    stage.senders.shutdown().await;
    stage.drain(show).await?;
    let storms = stage.gateway.storms().await?;
    let run = stage.figures(ended_by, storm_ms, storms);
    let Stage { gateway, receivers, .. } = stage;
    gateway.stop().await;
    drop(receivers);
    run
}

impl<'a> Stage<'a> {
    async fn set(plan: Plan<'a>) -> Result<Self, String> {
        let world = World::new(plan.args, plan.shape);
        let newsletter = world.recipients.len() as u64;
        let tally = Arc::new(Mutex::new(Tally::new(world.recipients.iter().cloned())));
        let mut directory = Directory::new();
        let mut placed = Vec::new();
        for host in world.hosts {
            let host = net::place(host, &mut directory).await;
            placed.push(host.map_err(|why| format!("no port on 127.0.0.1: {why}"))?);
        }
        let isp = directory.get(&Address { host: world::isp(), service: Service::Lmtp });
        let isp = *isp.ok_or("the ISP does not listen")?;
        let gateway = match plan.gateway {
            Kind::Relay => Gateway::relay(isp, plan.folder).await?,
            Kind::Quell => Gateway::quell(&world.domains, isp, plan.folder).await?,
        };
        directory.insert(Address { host: world::gateway(), service: Service::Smtp }, gateway.smtp());
        let (senders, receivers) = spawn(placed, directory, &notes(&tally));
        Ok(Self {
            plan,
            tally,
            gateway,
            senders,
            receivers,
            begun: Instant::now(),
            newsletter,
            counts: None,
            asked: None,
            timeline: Vec::new(),
            draining: false,
        })
    }

    /// Until the faulty servers have sent enough, or the time is over.
    async fn storm(&mut self, show: &mut Show) -> Result<Ended, String> {
        let time = Duration::from_secs(self.plan.args.seconds);
        loop {
            self.look(show).await?;
            if self.totals().copies_sent >= self.plan.args.copies {
                return Ok(Ended::Copies);
            }
            if self.begun.elapsed() >= time {
                return Ok(Ended::Time);
            }
        }
    }

    /// Until all that the gateway has taken is somewhere: in a mailbox, absorbed, held.
    async fn drain(&mut self, show: &mut Show) -> Result<(), String> {
        self.draining = true;
        let begun = Instant::now();
        let (mut before, mut moved) = (self.progress(), Instant::now());
        while begun.elapsed() < DRAIN {
            self.look(show).await?;
            let now = self.progress();
            if now != before {
                (before, moved) = (now, Instant::now());
            }
            let patience = if self.settled() { SETTLE } else { SILENCE };
            if moved.elapsed() >= patience {
                break;
            }
        }
        self.ask().await?;
        self.sample();
        show.last_of_all(&self.scene());
        Ok(())
    }

    /// Waits a moment, then looks at everything.
    async fn look(&mut self, show: &mut Show) -> Result<(), String> {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Some(obituary) = self.gateway.dead() {
            return Err(obituary);
        }
        if self.senders.try_join_next().is_some() || self.receivers.try_join_next().is_some() {
            return Err("a host of the demonstration has ended by itself: a fault of quell's".to_owned());
        }
        if self.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY) {
            self.ask().await?;
        }
        let span = SAMPLE_EVERY.as_millis() as u64;
        let span = span.max(self.plan.args.seconds * 1000 / MAX_SAMPLES);
        if self.timeline.last().is_none_or(|last| self.elapsed_ms() >= last.ms + span) {
            self.sample();
        }
        show.scene(&self.scene());
        Ok(())
    }

    async fn ask(&mut self) -> Result<(), String> {
        self.counts = match self.gateway.counts().await {
            Ok(counts) => counts,
            Err(why) => return Err(self.gateway.dying().await.unwrap_or(why)),
        };
        self.asked = Some(Instant::now());
        Ok(())
    }

    fn sample(&mut self) {
        // The storm's time and the drain's; what is beyond them is no part of either.
        if (self.timeline.len() as u64) < 3 * MAX_SAMPLES {
            self.timeline.push(self.now());
        }
    }

    fn totals(&self) -> Totals {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).totals
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What has come to its end, in numbers: mail in mailboxes, and verdicts.
    fn progress(&self) -> (Totals, Option<Counts>) {
        (self.totals(), self.counts)
    }

    fn settled(&self) -> bool {
        let (totals, counts) = self.progress();
        let counts = counts.unwrap_or_default();
        let ends = totals.arrived + totals.others_arrived + counts.absorbed + counts.held + counts.refused;
        ends >= totals.taken() && counts.open_rows == 0
    }

    fn now(&self) -> Sample {
        let totals = self.totals();
        Sample {
            ms: self.elapsed_ms(),
            copies_sent: self.copies(&totals),
            arrived: totals.arrived,
            absorbed: self.counts.map(|counts| counts.absorbed),
        }
    }

    fn copies(&self, totals: &Totals) -> u64 {
        let counts = self.counts.unwrap_or_default();
        // Where the sender was answered with a refusal, nothing was taken.
        let beside_others = counts.refused.saturating_sub(totals.refused);
        totals.copies(self.newsletter, counts.absorbed + counts.held + beside_others)
    }

    fn scene(&self) -> Scene {
        let totals = self.totals();
        Scene {
            sample: self.now(),
            copies_limit: self.plan.args.copies,
            others: (totals.others_sent, totals.others_arrived, totals.last_delay_ms),
            draining: self.draining,
        }
    }

    fn figures(
        &mut self,
        ended_by: Ended,
        storm_ms: u64,
        storms: Vec<serde_json::Value>,
    ) -> Result<Run, String> {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let totals = tally.totals;
        let none = Spread { most: 0, median: 0, least: 0 };
        Ok(Run {
            shape: self.plan.shape,
            gateway: self.plan.gateway,
            ended_by,
            storm_ms,
            copies_sent: self.copies(&totals),
            sendings: totals.sendings,
            refused: totals.refused,
            arrived: totals.arrived,
            mail_at_recipient: tally.mail_at_recipient().unwrap_or(none),
            absorbed: self.counts.map(|counts| counts.absorbed),
            held: self.counts.map(|counts| counts.held),
            judged_refused: self.counts.map(|counts| counts.refused),
            mailbox_bytes: totals.mailbox_bytes,
            disk: self.gateway.disk(),
            memory_peak_bytes: self.gateway.peak_bytes(),
            other_mail: tally.other_mail(),
            storms,
            timeline: std::mem::take(&mut self.timeline),
        })
    }
}

fn notes(tally: &Arc<Mutex<Tally>>) -> Notes {
    let tally = Arc::clone(tally);
    Arc::new(move |note: Note, now: Moment| {
        tally.lock().unwrap_or_else(PoisonError::into_inner).note(note, now);
    })
}

/// One task for each host: those that send, and the ISP.
fn spawn(placed: Vec<Placed>, directory: Directory, notes: &Notes) -> (JoinSet<()>, JoinSet<()>) {
    let (directory, isp) = (Arc::new(directory), world::isp());
    let (mut senders, mut receivers) = (JoinSet::new(), JoinSet::new());
    for host in placed {
        let set = if *host.name() == isp { &mut receivers } else { &mut senders };
        set.spawn(net::run(host, Arc::clone(&directory), Arc::clone(notes)));
    }
    (senders, receivers)
}
