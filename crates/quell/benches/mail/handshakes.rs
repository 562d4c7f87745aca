//! TLS 1.3 handshakes a second: a new connection, the handshake, EHLO, QUIT.

use crate::figures::Section;
use crate::load;
use crate::options::Options;
use crate::sender::Job;
use crate::servers::{PostfixServer, Quell, Server};
use crate::support::tls::Files;
use crate::support::{TempDir, free_port};

const CLIENTS: usize = 16;
const POSTFIX_SESSIONS: usize = 10_000;
const QUELL_SESSIONS: usize = 20_000;
const COLUMNS: [&str; 5] = ["handshakes", "a second", "CPU server", "CPU clients", "% resumed"];

/// Whole ones, and such as take up an earlier session.
pub fn full_and_resumed(options: &Options) -> Section {
    let title = "TLS handshakes".to_owned();
    let mut section = Section { title, columns: COLUMNS.to_vec(), ..Section::default() };
    let directory = TempDir::new("bench-handshakes");
    let files = Files::make(&directory);
    for _ in 0..options.rounds {
        for resumes in [false, true] {
            let job = |count| Job {
                port: 0,
                sessions: CLIENTS,
                count: options.scaled(count),
                body_bytes: 0,
                resumes,
                ca: Some(files.ca.clone()),
            };
            measure(&mut section, &name("Postfix", resumes), &job(POSTFIX_SESSIONS), |directory| {
                Box::new(PostfixServer::start_tls(directory, free_port(), &files, true))
            });
            measure(&mut section, &name("quell", resumes), &job(QUELL_SESSIONS), |directory| {
                Box::new(Quell::start_tls(&options.quell, directory, free_port(), &files))
            });
        }
    }
    let times = |resumes| section.ratio(&name("quell", resumes), &name("Postfix", resumes), "a second");
    let (full, resumed) = (times(false), times(true));
    section.note(&format!(
        "{CLIENTS} clients at once, each again and again: connection, handshake (TLS 1.3, X25519, a certificate with \
         ECDSA P-256), greeting, EHLO, QUIT; the clients are one process, and its CPU time is that of the other half of \
         each handshake. quell makes **{full:.1} ×** as many whole handshakes a second as Postfix, and **{resumed:.1} ×** as \
         many where clients take up their sessions."
    ));
    section
}

fn name(who: &str, resumes: bool) -> String {
    format!("{who}, {}", if resumes { "resumed" } else { "whole" })
}

fn measure(section: &mut Section, who: &str, job: &Job, start: impl Fn(&TempDir) -> Box<dyn Server>) {
    let directory = TempDir::new("bench-run");
    let server = start(&directory);
    let (cpu_before, threads_before) = (server.cpu_secs(), server.threads());
    let (sent, resumed) = match load::take_turns(&directory, &Job { port: server.port(), ..job.clone() }) {
        Ok(done) => done,
        Err(error) => return section.fault(who, &error),
    };
    let (count, each) = (job.count as f64, 1000.0 / job.count as f64);
    let rate = count / sent.wall.as_secs_f64();
    let cpu = (server.cpu_secs() - cpu_before) * each;
    let cells = [count, rate, cpu, sent.cpu_secs * each, 100.0 * resumed as f64 / count];
    println!(
        "  {who}: {rate:.0} a second; CPU ms each: server {cpu:.4}, clients {:.4}; {:.1} % resumed",
        cells[3], cells[4]
    );
    section.add(who, &cells);
    let grown = |(name, secs): (String, f64)| {
        let before = threads_before.get(&name).copied().unwrap_or(0.0);
        (name, (secs - before) * each)
    };
    section.threads.insert(who.to_owned(), server.threads().into_iter().map(grown).collect());
    if !job.resumes && resumed > 0 {
        section.fault(who, &format!("{resumed} sessions were resumed"));
    }
    server.stop();
}
