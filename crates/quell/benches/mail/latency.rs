//! How long other mail waits for its 250 while a storm comes in.

use crate::figures::{Aim, Section};
use crate::generator::Job;
use crate::load::{self, RUN_LIMIT, Recorder, SmtpSink};
use crate::options::Options;
use crate::run::{Pairs, SETTLE};
use crate::servers::{Quell, Server};
use crate::storm;
use crate::support::smtp::{self, Client};
use crate::support::{Running, TempDir};
use std::process::Command;
use std::time::{Duration, Instant};

/// To find out how many a second there can be.
const COPIES: usize = 100_000;
/// Long enough for a thousand other mails.
const STORM_SECS: usize = 10;
/// Other mail, evenly over the time of the storm.
const OTHERS_PER_SEC: usize = 100;
const COLUMNS: [&str; 5] = ["storm a second", "other mails", "median ms", "p99 ms", "most ms"];

/// At half of the rate that quell takes from the same generator.
pub fn beside_storm(options: &Options) -> Section {
    let title = "Other mail beside a storm".to_owned();
    let mut section = Section { title, columns: COLUMNS.to_vec(), ..Section::default() };
    section.note(
        "The pipelining generator sends copies at half of the rate that quell has just taken from it; a client in a \
         session of its own sends 100 other mails a second. Times are from MAIL to the 250 behind the dot, in \
         milliseconds. quell has synced each of them to disk by then; smtp-sink keeps nothing.",
    );
    let directory = TempDir::new("bench-latency");
    let job = storm::copies_job(&directory, options.scaled(COPIES), 1);
    let Some(most) = most_a_second(options, &job) else {
        section.fault("quell", "the storm did not come to its end");
        return section;
    };
    let job = Job { rate: most / 2, messages: options.scaled(most / 2 * STORM_SECS), ..job };
    for _ in 0..options.rounds {
        beside_sink(&mut section, &job);
        beside_quell(&mut section, options, &job);
    }
    let times = section.ratio("quell", "smtp-sink", "p99 ms");
    section.figure("p99 against smtp-sink", Aim::AtMost(2.0), times, " ×");
    section
}

/// What quell takes when there is nothing else.
fn most_a_second(options: &Options, job: &Job) -> Option<usize> {
    let directory = TempDir::new("bench-latency");
    let sink = Recorder::start(&directory);
    let server = Quell::start(&options.quell, &directory, sink.port);
    let sent = load::generate(&directory, &Job { port: server.port(), ..job.clone() }).ok()?;
    Box::new(server).stop();
    Some((job.messages as f64 / sent.wall.as_secs_f64()) as usize)
}

fn beside_sink(section: &mut Section, job: &Job) {
    let directory = TempDir::new("bench-latency");
    let sink = SmtpSink::start(&directory);
    measure(section, "smtp-sink", &directory, &Job { port: sink.port, ..job.clone() });
}

fn beside_quell(section: &mut Section, options: &Options, job: &Job) {
    let directory = TempDir::new("bench-latency");
    let sink = Recorder::start(&directory);
    let server = Quell::start(&options.quell, &directory, sink.port);
    let others = measure(section, "quell", &directory, &Job { port: server.port(), ..job.clone() });
    let pairs = Pairs::absorbed(job.messages + others, 1 + others);
    if sink.wait_for(pairs, Duration::from_secs(60)).is_none() {
        section.fault("quell", "not all came out");
    }
    std::thread::sleep(SETTLE);
    for fault in [sink.faults(pairs), server.faults(pairs)].concat() {
        section.fault("quell", &fault);
    }
    Box::new(server).stop();
}

/// Runs the storm, and other mail beside it; how many other mails there were.
fn measure(section: &mut Section, who: &str, directory: &TempDir, job: &Job) -> usize {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(job.arguments());
    let started = Instant::now();
    let mut storm = Running::start(command, &directory.join("generator.log"));
    let mut status = None;
    let mut client = Client::hello(job.port);
    let mut waits_ms: Vec<f64> = Vec::new();
    let date = smtp::date_now();
    while status.is_none() && started.elapsed() < RUN_LIMIT {
        let due = started + Duration::from_secs(1) * waits_ms.len() as u32 / OTHERS_PER_SEC as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        waits_ms.push(send_other(&mut client, who, waits_ms.len(), &date));
        status = storm.ended();
    }
    let wall = started.elapsed().as_secs_f64();
    if !status.is_some_and(|status| status.success()) {
        section.fault(who, &format!("the storm: {}", storm.output()));
    }
    waits_ms.sort_by(f64::total_cmp);
    let part = |part: f64| waits_ms[((waits_ms.len() - 1) as f64 * part).round() as usize];
    let cells = [job.messages as f64 / wall, waits_ms.len() as f64, part(0.5), part(0.99), part(1.0)];
    println!(
        "  {who}: {:.0} copies a second; median {:.2} ms, p99 {:.2} ms, most {:.2} ms",
        cells[0], cells[2], cells[3], cells[4]
    );
    section.add(who, &cells);
    waits_ms.len()
}

fn send_other(client: &mut Client, who: &str, number: usize, date: &str) -> f64 {
    let message = smtp::message(&format!("other-{number}"), date, &"other mail\r\n".repeat(300));
    let start = Instant::now();
    let reply = client.send("other@client.example", &["john@other.example"], &message);
    let reply = reply.unwrap_or_else(|error| panic!("{who}: {error}"));
    assert_eq!(reply.code, 250, "{who}: {reply:?}");
    start.elapsed().as_secs_f64() * 1000.0
}
