//! Relaying different messages with TLS 1.3 on both sides, as `relay` does in the clear.

use crate::figures::{Aim, Section};
use crate::load::{self, Recorder, Sent};
use crate::options::Options;
use crate::run::{COLUMNS, Pairs, Start, quell, through, through_to};
use crate::sender::Job;
use crate::servers::{Nothing, PostfixServer, Quell};
use crate::support::TempDir;
use crate::support::tls::Files;
use std::path::PathBuf;

/// As `relay`.
const BODY_BYTES: usize = 4096;
const SESSIONS: usize = 50;
const CEILING_MESSAGES: usize = 100_000;
const POSTFIX_MESSAGES: usize = 10_000;
const QUELL_MESSAGES: usize = 50_000;
const TIMES_POSTFIX: f64 = 4.0;

/// 50 sessions that stay open.
pub fn kept(options: &Options) -> Section {
    let title = "Relay with TLS on both sides, 4 KiB, 50 sessions, kept".to_owned();
    let mut section = Section { title, columns: COLUMNS.to_vec(), ..Section::default() };
    section.note(
        "TLS 1.3 from the first byte, in and out; the certificate of the next hop is verified. Our own sender, \
         since smtp-source speaks no TLS: as it, each command waits for the reply to the one before. Postfix once as it \
         comes, which makes a new connection for each message that goes out over TLS (resumed sessions, \
         smtp_tls_session_cache_database), once keeping them (smtp_tls_connection_reuse). The ceiling is the sender \
         straight into the sink; the last row is quell with the same load in the clear on both sides.",
    );
    let directory = TempDir::new("bench-tls");
    let files = Files::make(&directory);
    let job = |count: usize, ca: Option<PathBuf>| Job {
        port: 0,
        sessions: SESSIONS,
        count: options.scaled(count),
        body_bytes: BODY_BYTES,
        resumes: false,
        ca,
    };
    let secured = |count| job(count, Some(files.ca.clone()));
    let nothing: Start<'_> = &|_, next_hop| Box::new(Nothing(next_hop));
    let postfix = |keeps| {
        let files = &files;
        move |directory: &TempDir, next_hop| -> Box<dyn crate::servers::Server> {
            Box::new(PostfixServer::start_tls(directory, next_hop, files, keeps))
        }
    };
    let quell_tls: Start<'_> =
        &|directory, next_hop| Box::new(Quell::start_tls(&options.quell, directory, next_hop, &files));
    for _ in 0..options.rounds {
        run(&mut section, "ceiling", &files, nothing, &secured(CEILING_MESSAGES));
        run(&mut section, "Postfix", &files, &postfix(false), &secured(POSTFIX_MESSAGES));
        run(&mut section, "Postfix, keeping", &files, &postfix(true), &secured(POSTFIX_MESSAGES));
        run(&mut section, "quell", &files, quell_tls, &secured(QUELL_MESSAGES));
        let clear = job(QUELL_MESSAGES, None);
        let pairs = Pairs::each_once(clear.count);
        through(&mut section, "quell, in the clear", pairs, &quell(options), &sender(&clear));
    }
    for who in ["Postfix", "Postfix, keeping"] {
        let times = section.ratio("quell", who, "a second, end to end");
        section.figure(format!("rate against {who}"), Aim::AtLeast(TIMES_POSTFIX), times, " ×");
    }
    section
}

fn run(section: &mut Section, who: &str, files: &Files, start: Start<'_>, job: &Job) {
    let directory = TempDir::new("bench-run");
    let sink = Recorder::start_tls(&directory, files);
    let pairs = Pairs::each_once(job.count);
    through_to(section, who, pairs, (&directory, &sink), start, &sender(job));
}

/// Sends the job to whichever port.
fn sender(job: &Job) -> impl Fn(&TempDir, u16) -> Result<Sent, String> {
    |directory, port| load::take_turns(directory, &Job { port, ..job.clone() }).map(|(sent, _)| sent)
}
