//! `quell demo`: a mail storm on this machine, without quell and with it.
//!
//! The hosts are those of `quell-sim`; here they get sockets ([`net`]), and the gateway is a process:
//! a plain relay, or quell as it is ([`gateway`]). Every number in the table was counted ([`tally`]) or
//! asked for.

mod args;
mod child;
mod console;
mod figures;
mod folder;
mod gateway;
mod link;
mod net;
mod phase;
pub mod relay;
mod show;
mod table;
mod tally;
mod world;

use std::io::{self, Write};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

pub use self::args::{Args, Asked, Shape};
use self::figures::{Kind, Report, Run};
use self::folder::Folder;
use self::phase::Plan;
use self::show::Show;
use super::Failure;

/// Threads that run hosts: two, so that hosts and gateway share a small machine.
const THREADS: usize = 2;
/// What is still at work when the demonstration is over ends with the process.
const LEAVE: Duration = Duration::from_millis(200);

/// Runs it.
///
/// # Errors
/// It could not be run, was interrupted, or quell has broken the promise that it shows.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let runtime = runtime()?;
    let report = runtime.block_on(async {
        tokio::select! {
            report = whole(args) => report,
            failure = interrupted() => Err(failure),
        }
    });
    runtime.shutdown_timeout(LEAVE);
    print(args, &report?, out)
}

/// The threads that run hosts.
fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()
}

/// Waits for Ctrl-C, Ctrl-\ and the like. Everything that runs is dropped then, and so ended and removed.
async fn interrupted() -> Failure {
    let signals =
        [SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut quit), Ok(mut terminate), Ok(mut hangup)] = signals.map(signal) else {
        return Failure::Failed("signals cannot be caught here".to_owned());
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = quit.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Failure::Failed("interrupted; nothing is left behind".to_owned())
}

/// All runs, one after the other: each has the machine for itself.
async fn whole(args: &Args) -> Result<Report, Failure> {
    let folder = Folder::new()?;
    let mut show = Show::new(args.json);
    let mut runs = Vec::new();
    for &shape in args.shape.shapes() {
        for gateway in [Kind::Relay, Kind::Quell] {
            show.say(&format!("{}, {}", shape.words(), gateway.words()));
            let inner = folder.make(&format!("{shape:?}-{gateway:?}").to_lowercase())?;
            let plan = Plan { args, shape, gateway, folder: &inner };
            runs.push(phase::run(plan, &mut show).await.map_err(Failure::Failed)?);
        }
    }
    Ok(report(args, runs))
}

fn report(args: &Args, runs: Vec<Run>) -> Report {
    let world = world::World::new(args, Shape::Trace);
    let is_one = |run: &Run| run.mail_at_recipient.most == 1 && run.mail_at_recipient.least == 1;
    let one_each = runs.iter().filter(|run| run.gateway == Kind::Quell).all(is_one);
    Report {
        version: env!("CARGO_PKG_VERSION"),
        seed: args.seed,
        firms: args.firms,
        recipients: world.recipients.len() as u64,
        faulty_servers: world.faulty_servers as u64,
        copies_limit: args.copies,
        seconds_limit: args.seconds,
        one_each,
        runs,
    }
}

fn print(args: &Args, report: &Report, out: &mut dyn Write) -> Result<(), Failure> {
    if args.json {
        let text = serde_json::to_string_pretty(report).map_err(|why| Failure::Failed(why.to_string()))?;
        writeln!(out, "{text}")?;
    } else {
        write!(out, "\n{}", table::text(report))?;
    }
    out.flush()?;
    match report.one_each {
        false => Err(Failure::Failed(
            "QUELL HAS BROKEN ITS PROMISE: with it, not every recipient had exactly one mail of the storm (see\n\
             the figures above). This is a fault: please report it with the seed."
                .to_owned(),
        )),
        true => Ok(()),
    }
}

#[cfg(test)]
mod tests;
