//! Relaying different messages: from `smtp-source` through the server to a sink, end to end.
//!
//! `smtp-source` gives each message a Message-ID and a Date of its own run, so each has an exact key,
//! and no two have the same.

use crate::figures::{Aim, Section};
use crate::load::{self, RUN_LIMIT, Recorder, SmtpSink};
use crate::options::Options;
use crate::servers::{PostfixServer, Quell, Server};
use crate::support::TempDir;
use crate::support::peers::smtp_source::Load;
use std::time::Duration;

/// Bytes of a body; the header that `smtp-source` makes is some 200 more.
const BODY_BYTES: usize = 4096;
const SESSIONS: usize = 50;
/// A second sending would come at once; waits for later tries are of minutes.
pub const SETTLE: Duration = Duration::from_millis(300);

/// What differs between the two ways of sending.
struct Way {
    title: &'static str,
    /// Options of `smtp-source`.
    more: &'static [&'static str],
    messages: Messages,
    /// Rate against Postfix's.
    times_postfix: f64,
    /// CPU against source and sink together.
    times_load: f64,
}

/// So many that each run lasts some seconds.
struct Messages {
    ceiling: usize,
    postfix: usize,
    quell: usize,
}

/// What comes out of a server.
#[derive(Clone, Copy)]
pub struct Arrive {
    /// Different pairs of message and recipient.
    pub different: usize,
    /// And all together.
    pub total: usize,
}

/// Columns of all measurements in which something is relayed.
pub const COLUMNS: [&str; 7] = [
    "messages",
    "a second, end to end",
    "accepted a second",
    "CPU server",
    "CPU source",
    "CPU sink",
    "MiB at most",
];

/// 50 sessions that stay open.
pub fn kept(options: &Options) -> Section {
    let messages = Messages { ceiling: 100_000, postfix: 10_000, quell: 50_000 };
    measure(
        options,
        &Way {
            title: "Relay, 4 KiB, 50 sessions, kept",
            more: &["-d"],
            messages,
            times_postfix: 8.0,
            times_load: 2.0,
        },
    )
}

/// A connection for each message.
pub fn connection_each(options: &Options) -> Section {
    let messages = Messages { ceiling: 50_000, postfix: 10_000, quell: 40_000 };
    measure(
        options,
        &Way {
            title: "Relay, 4 KiB, 50 sessions, a connection each",
            more: &[],
            messages,
            times_postfix: 5.0,
            times_load: 1.6,
        },
    )
}

fn measure(options: &Options, way: &Way) -> Section {
    let mut section =
        Section { title: way.title.to_owned(), columns: COLUMNS.to_vec(), ..Section::default() };
    section.notes.push(
        "End to end: from the start of smtp-source to the last message at the sink. The ceiling is smtp-source \
         straight into smtp-sink; the servers hand over to our own sink, which counts each message."
            .to_owned(),
    );
    for _ in 0..options.rounds {
        let load = |messages| Load { messages: options.scaled(messages), ..relay_load(way.more) };
        ceiling(&mut section, &load(way.messages.ceiling));
        let start = |directory: &TempDir, sink| -> Box<dyn Server> {
            Box::new(PostfixServer::start(directory, sink))
        };
        each_once(&mut section, &load(way.messages.postfix), start);
        let start = |directory: &TempDir, sink| -> Box<dyn Server> {
            Box::new(Quell::start(&options.quell, directory, sink))
        };
        each_once(&mut section, &load(way.messages.quell), start);
    }
    let rate = |who| section.median(who, "a second, end to end");
    let times = rate("quell") / rate("Postfix");
    let cost = section.median("ceiling", "CPU source") + section.median("ceiling", "CPU sink");
    let cpu = section.median("quell", "CPU server") / cost;
    section.figure("rate against Postfix", Aim::AtLeast(way.times_postfix), times, " ×");
    section.figure("CPU a message against source and sink", Aim::AtMost(way.times_load), cpu, " ×");
    section
}

fn relay_load(more: &'static [&'static str]) -> Load<'static> {
    Load { to: "jane@other.example", sessions: SESSIONS, bytes: BODY_BYTES, more, ..Load::default() }
}

fn each_once(section: &mut Section, load: &Load<'_>, start: impl FnOnce(&TempDir, u16) -> Box<dyn Server>) {
    relay(section, load, Arrive { different: load.messages, total: load.messages }, start);
}

/// The load straight into `smtp-sink`.
pub fn ceiling(section: &mut Section, load: &Load<'_>) {
    let directory = TempDir::new("bench-ceiling");
    let sink = SmtpSink::start(&directory);
    let before = sink.cpu_secs();
    match load::send(&directory, sink.port, load) {
        Ok(sent) => {
            let per = per_message(load);
            let rate = load.messages as f64 / sent.wall.as_secs_f64();
            let sink_cpu = (sink.cpu_secs() - before) * per;
            report(
                section,
                "ceiling",
                &[load.messages as f64, rate, rate, 0.0, sent.cpu_secs * per, sink_cpu, 0.0],
            );
        }
        Err(error) => section.fault("ceiling", &error),
    }
}

/// The load through a server that is started for it, of which so much comes out.
pub fn relay(
    section: &mut Section,
    load: &Load<'_>,
    arrive: Arrive,
    start: impl FnOnce(&TempDir, u16) -> Box<dyn Server>,
) {
    let directory = TempDir::new("bench-relay");
    let sink = Recorder::start(&directory);
    let server = start(&directory, sink.port);
    let (cpu_before, sink_before) = (server.cpu_secs(), sink.cpu_secs());
    let sent = match load::send(&directory, server.port(), load) {
        Ok(sent) => sent,
        Err(error) => return section.fault(server.name(), &error),
    };
    let last = sink.wait_for(arrive, RUN_LIMIT);
    std::thread::sleep(SETTLE);
    for fault in [sink.faults(arrive), server.faults(load.messages, arrive)].concat() {
        section.fault(server.name(), &fault);
    }
    if let Some(last) = last {
        let whole = last.duration_since(sent.started).max(sent.wall).as_secs_f64();
        let per = per_message(load);
        let cells = [
            load.messages as f64,
            load.messages as f64 / whole,
            load.messages as f64 / sent.wall.as_secs_f64(),
            (server.cpu_secs() - cpu_before) * per,
            sent.cpu_secs * per,
            (sink.cpu_secs() - sink_before) * per,
            server.peak_mib(),
        ];
        report(section, server.name(), &cells);
    }
    server.stop();
}

/// From seconds of a run to milliseconds of a message.
fn per_message(load: &Load<'_>) -> f64 {
    1000.0 / load.messages as f64
}

/// A row of [`COLUMNS`], said at once.
fn report(section: &mut Section, who: &str, cells: &[f64]) {
    println!(
        "  {who}: {:.0} a second, accepted {:.0}; CPU ms each: server {:.4}, source {:.4}, sink {:.4}",
        cells[1], cells[2], cells[3], cells[4], cells[5]
    );
    section.add(who, cells);
}
