//! How long a start takes with much mail in the queue.

use crate::figures::{Aim, Section};
use crate::load;
use crate::options::Options;
use crate::relay::relay_load;
use crate::servers::{Quell, Server};
use crate::support::peers::smtp_source::Load;
use crate::support::{TempDir, free_port};
use std::time::Instant;

const MESSAGES: usize = 100_000;
const COLUMNS: [&str; 5] = ["queued", "s to 220", "s to the right queue", "CPU s", "MiB at most"];

/// With half of the messages and with all, after SIGKILL: what a crash costs.
pub fn queued(options: &Options) -> Section {
    let title = "Start with 100,000 messages queued".to_owned();
    let mut section = Section { title, columns: COLUMNS.to_vec(), ..Section::default() };
    section.note(
        "The next hop is down. quell is killed (SIGKILL) and started again: from its start to the 220 of its first \
         connection, and to the moment when the queue of `GET /metrics` is right.",
    );
    let directory = TempDir::new("bench-startup");
    // Nobody listens there.
    let next_hop = free_port();
    let half = options.scaled(MESSAGES) / 2;
    let mut server = Quell::start(&options.quell, &directory, next_hop);
    for queued in [half, 2 * half] {
        let load = Load { messages: half, ..relay_load(&["-d"]) };
        if let Err(error) = load::send(&directory, server.port(), &load) {
            section.fault("quell", &error);
            return section;
        }
        for _ in 0..options.rounds {
            start_again(&mut section, &mut server, &directory, queued);
        }
    }
    let secs = |queued: usize| section.median(&name(queued), "s to the right queue");
    let (all, double) = (secs(2 * half), secs(2 * half) / secs(half));
    section.figure(format!("start with {} queued", 2 * half), Aim::AtMost(2.0), all, " s");
    section.figure("twice the messages against half of them", Aim::AtMost(2.2), double, " ×");
    section
}

fn name(queued: usize) -> String {
    format!("{queued} queued")
}

fn start_again(section: &mut Section, server: &mut Quell, directory: &TempDir, queued: usize) {
    server.kill9();
    let start = Instant::now();
    server.restart(directory);
    let greeted = start.elapsed().as_secs_f64();
    let rows = server.open_rows();
    let listed = start.elapsed().as_secs_f64();
    let cells = [queued as f64, greeted, listed, server.cpu_secs(), server.peak_mib()];
    println!(
        "  {queued} queued: 220 after {greeted:.2} s, {rows} listed after {listed:.2} s, CPU {:.2} s",
        cells[3]
    );
    if rows != queued {
        section.fault("quell", &format!("{rows} rows are open, {queued} were accepted"));
    }
    section.add(&name(queued), &cells);
}
