//! A header with a million addresses: what it costs beside a message of the same size with a short one.

use crate::figures::{Aim, Section};
use crate::load::{RUN_LIMIT, Recorder};
use crate::options::Options;
use crate::run::{Pairs, SETTLE};
use crate::servers::{Quell, Server};
use crate::support::TempDir;
use crate::support::smtp::{self, Client};
use std::fmt::Write;
use std::time::Instant;

const ADDRESSES: usize = 1_000_000;
const COLUMNS: [&str; 5] = ["MB", "header MB", "CPU ms", "ms, end to end", "MiB at most"];
/// The message that comes before those that count: it pays for first uses.
const WARM_UP: usize = 1;
const TIMES: usize = 3;

/// Both messages have one recipient in the envelope.
pub fn million(options: &Options) -> Section {
    let title = "A header with 1,000,000 addresses".to_owned();
    let mut section = Section { title, columns: COLUMNS.to_vec(), ..Section::default() };
    section.note(&format!(
        "One recipient in the envelope; CPU of quell for taking the message and handing it on, mean of {TIMES} after \
         one that does not count."
    ));
    let addresses = if options.quick { ADDRESSES / 10 } else { ADDRESSES };
    for _ in 0..options.rounds {
        relay(&mut section, "short header", options, |id| short_header(id, addresses));
        relay(&mut section, "long header", options, |id| long_header(id, addresses));
    }
    let more = section.median("long header", "CPU ms") - section.median("short header", "CPU ms");
    section.figure("CPU more than with a short header", Aim::AtMost(50.0), more, " ms");
    section
}

fn relay(section: &mut Section, who: &str, options: &Options, make: impl Fn(usize) -> Vec<u8>) {
    let directory = TempDir::new("bench-header");
    let sink = Recorder::start(&directory);
    let server = Quell::start(&options.quell, &directory, sink.port);
    let (mut cpu, mut wall, mut sizes) = (0.0, 0.0, (0, 0));
    for number in 0..WARM_UP + TIMES {
        let message = make(number);
        sizes = (message.len(), header_bytes(&message));
        let (before, start) = (server.cpu_secs(), Instant::now());
        let reply = Client::hello(server.port()).send("a@client.example", &["jane@other.example"], &message);
        let reply = reply.expect("a reply");
        assert_eq!(reply.code, 250, "{who}: {reply:?}");
        let Some(last) = sink.wait_for(Pairs::each_once(number + 1), RUN_LIMIT) else {
            return section.fault(who, "never came");
        };
        std::thread::sleep(SETTLE);
        if number >= WARM_UP {
            cpu += server.cpu_secs() - before;
            wall += last.duration_since(start).as_secs_f64();
        }
    }
    let pairs = Pairs::each_once(WARM_UP + TIMES);
    for fault in [sink.faults(pairs), server.faults(pairs)].concat() {
        section.fault(who, &fault);
    }
    let (mean, mb) = (1000.0 / TIMES as f64, |bytes: usize| bytes as f64 / 1e6);
    let cells = [mb(sizes.0), mb(sizes.1), cpu * mean, wall * mean, server.peak_mib()];
    println!(
        "  {who}: {:.1} MB, CPU {:.1} ms, {:.1} ms end to end, {:.0} MiB",
        cells[0], cells[2], cells[3], cells[4]
    );
    section.add(who, &cells);
    Box::new(server).stop();
}

fn header_bytes(message: &[u8]) -> usize {
    memchr::memmem::find(message, b"\r\n\r\n").map_or(message.len(), |end| end + 4)
}

/// Three addresses on each line, as programs fold them; short ones, so that a million stay below the
/// default of `max_header_bytes`.
fn addresses(count: usize) -> String {
    let mut out = String::with_capacity(count * 30);
    for number in 0..count {
        let end = if number + 1 == count {
            "\r\n"
        } else if number % 3 == 2 {
            ",\r\n "
        } else {
            ", "
        };
        write!(out, "s{number}@firm{}.example{end}", number % 5000).expect("a string");
    }
    out
}

fn top(id: usize) -> String {
    let date = smtp::date_now();
    format!(
        "From: a@client.example\r\nSubject: Marketing\r\nDate: {date}\r\nMessage-ID: <{id}@client.example>\r\n"
    )
}

fn long_header(id: usize, count: usize) -> Vec<u8> {
    format!("{}To: {}\r\nText.\r\n", top(id), addresses(count)).into_bytes()
}

/// The same bytes, below the empty line.
fn short_header(id: usize, count: usize) -> Vec<u8> {
    format!("{}To: jane@other.example\r\n\r\n{}", top(id), addresses(count)).into_bytes()
}
