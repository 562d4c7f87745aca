//! One run: load through a server to the sink that counts, or straight into `smtp-sink`.

use crate::figures::Section;
use crate::load::{self, RUN_LIMIT, Recorder, Sent, SmtpSink};
use crate::options::Options;
use crate::servers::{PostfixServer, Quell, Server};
use crate::support::TempDir;
use crate::support::peers::smtp_source::Load;
use std::time::Duration;

/// A second sending would come at once; waits for later tries are of minutes.
pub const SETTLE: Duration = Duration::from_millis(300);

/// Columns of all measurements in which something is relayed.
pub const COLUMNS: [&str; 7] = [
    "sent",
    "a second, end to end",
    "accepted a second",
    "CPU server",
    "CPU source",
    "CPU sink",
    "MiB at most",
];

/// What goes into a server, and what comes out: pairs of a message and a recipient.
#[derive(Clone, Copy)]
pub struct Pairs {
    pub sent: usize,
    /// Different ones among them.
    pub different: usize,
    /// All that come out.
    pub arrive: usize,
}

impl Pairs {
    /// So many different ones, each of which comes out.
    pub fn each_once(sent: usize) -> Self {
        Pairs { sent, different: sent, arrive: sent }
    }

    /// Copies of so many, of which one each comes out.
    pub fn absorbed(sent: usize, different: usize) -> Self {
        Pairs { sent, different, arrive: different }
    }
}

/// Starts a server in a directory, with the port of its next hop.
pub type Start<'a> = &'a dyn Fn(&TempDir, u16) -> Box<dyn Server>;
/// Sends the load to a port.
pub type Send<'a> = &'a dyn Fn(&TempDir, u16) -> Result<Sent, String>;

/// A new Postfix.
pub fn postfix(directory: &TempDir, next_hop: u16) -> Box<dyn Server> {
    Box::new(PostfixServer::start(directory, next_hop))
}

/// A new quell.
pub fn quell(options: &Options) -> impl Fn(&TempDir, u16) -> Box<dyn Server> {
    |directory, next_hop| Box::new(Quell::start(&options.quell, directory, next_hop))
}

/// `smtp-source` with this load.
pub fn source(load: &Load<'_>) -> impl Fn(&TempDir, u16) -> Result<Sent, String> {
    |directory, port| load::send(directory, port, load)
}

/// The load straight into `smtp-sink`.
pub fn ceiling(section: &mut Section, who: &str, sent: usize, send: Send<'_>) {
    let directory = TempDir::new("bench-ceiling");
    let sink = SmtpSink::start(&directory);
    let before = sink.cpu_secs();
    match send(&directory, sink.port) {
        Ok(run) => {
            let (rate, each) = (sent as f64 / run.wall.as_secs_f64(), 1000.0 / sent as f64);
            let sink_cpu = (sink.cpu_secs() - before) * each;
            report(
                section,
                who,
                &[sent as f64, rate, rate, f64::NAN, run.cpu_secs * each, sink_cpu, f64::NAN],
            );
        }
        Err(error) => section.fault(who, &error),
    }
}

/// The load through a server that is started for it.
pub fn through(section: &mut Section, who: &str, pairs: Pairs, start: Start<'_>, send: Send<'_>) {
    let directory = TempDir::new("bench-run");
    let sink = Recorder::start(&directory);
    through_to(section, who, pairs, (&directory, &sink), start, send);
}

/// The same with a sink that was started for it, in this directory.
pub fn through_to(
    section: &mut Section,
    who: &str,
    pairs: Pairs,
    (directory, sink): (&TempDir, &Recorder),
    start: Start<'_>,
    send: Send<'_>,
) {
    let server = start(directory, sink.port);
    let (cpu_before, sink_before, threads_before) = (server.cpu_secs(), sink.cpu_secs(), server.threads());
    let run = match send(directory, server.port()) {
        Ok(run) => run,
        Err(error) => return section.fault(who, &error),
    };
    let last = sink.wait_for(pairs, RUN_LIMIT);
    std::thread::sleep(SETTLE);
    for fault in [sink.faults(pairs), server.faults(pairs)].concat() {
        section.fault(who, &fault);
    }
    if let Some(last) = last {
        let whole = last.duration_since(run.started).max(run.wall).as_secs_f64();
        let (sent, each) = (pairs.sent as f64, 1000.0 / pairs.sent as f64);
        let cells = [
            sent,
            sent / whole,
            sent / run.wall.as_secs_f64(),
            (server.cpu_secs() - cpu_before) * each,
            run.cpu_secs * each,
            (sink.cpu_secs() - sink_before) * each,
            server.peak_mib(),
        ];
        report(section, who, &cells);
        let grown = |(name, secs): (String, f64)| {
            let before = threads_before.get(&name).copied().unwrap_or(0.0);
            (name, (secs - before) * each)
        };
        section.threads.insert(who.to_owned(), server.threads().into_iter().map(grown).collect());
    }
    server.stop();
}

/// A row of [`COLUMNS`], said at once.
fn report(section: &mut Section, who: &str, cells: &[f64]) {
    println!(
        "  {who}: {:.0} a second, accepted {:.0}; CPU ms each: server {:.4}, source {:.4}, sink {:.4}",
        cells[1], cells[2], cells[3], cells[4], cells[5]
    );
    section.add(who, cells);
}
