//! Where load comes from and where it goes: `smtp-source`, `smtp-sink`, and our counting sink.

use crate::cpu;
use crate::run::Pairs;
use crate::support::peers::smtp_source::{self, Load};
use crate::support::tls::Files;
use crate::support::{Running, TempDir, free_port, peers, wait_until};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// No run may take longer.
pub const RUN_LIMIT: Duration = Duration::from_secs(300);
const START_LIMIT: Duration = Duration::from_secs(20);

/// Postfix's own sink, which counts nothing.
pub struct SmtpSink {
    running: Running,
    pub port: u16,
}

impl SmtpSink {
    pub fn start(directory: &TempDir) -> Self {
        let port = free_port();
        let mut command = Command::new(peers::program("smtp-sink"));
        if peers::is_root() {
            command.args(["-u", "nobody"]);
        }
        command.arg(format!("127.0.0.1:{port}")).arg("1000");
        let mut running = Running::start(command, &directory.join("smtp-sink.log"));
        running.wait_for_greeting(port, START_LIMIT);
        SmtpSink { running, port }
    }

    pub fn cpu_secs(&self) -> f64 {
        cpu::of_process(self.running.pid())
    }
}

/// What the counting sink has got.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Recipients over all messages.
    pub recipients: usize,
    /// Different pairs of Message-ID and recipient.
    pub different: usize,
    /// Messages without a Message-ID.
    pub unnamed: usize,
    /// Since the last message came.
    pub since_last: Duration,
}

/// The counting sink, a process of its own.
pub struct Recorder {
    running: Running,
    client: std::cell::RefCell<crate::support::smtp::Client>,
    /// Where mail goes.
    pub port: u16,
}

impl Recorder {
    pub fn start(directory: &TempDir) -> Self {
        let port = free_port();
        Self::start_with(directory, port, port, &[])
    }

    /// Mail comes with TLS from the first byte.
    pub fn start_tls(directory: &TempDir, files: &Files) -> Self {
        let (asked, port) = (free_port(), free_port());
        let more = [port.to_string().into(), files.chain.clone(), files.key.clone()];
        Self::start_with(directory, asked, port, &more)
    }

    /// It is asked in the clear.
    fn start_with(directory: &TempDir, asked: u16, port: u16, more: &[PathBuf]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(crate::sink::ROLE).arg(asked.to_string()).args(more);
        let mut running = Running::start(command, &directory.join("recorder.log"));
        running.wait_for_greeting(asked, START_LIMIT);
        let client = crate::support::smtp::Client::hello(asked).into();
        Recorder { running, client, port }
    }

    pub fn cpu_secs(&self) -> f64 {
        cpu::of_process(self.running.pid())
    }

    pub fn count(&self) -> Count {
        let reply = self.client.borrow_mut().command("XCOUNT");
        let reply = reply.unwrap_or_else(|error| panic!("the sink: {error}\n{}", self.running.output()));
        let text = reply.text();
        let numbers: Vec<u64> = text.split(' ').map(|number| number.parse().expect("a number")).collect();
        Count {
            recipients: numbers[0] as usize,
            different: numbers[1] as usize,
            unnamed: numbers[2] as usize,
            since_last: Duration::from_micros(numbers[3]),
        }
    }

    /// Waits until all of it has come; when the last did.
    pub fn wait_for(&self, pairs: Pairs, limit: Duration) -> Option<Instant> {
        let mut at = None;
        wait_until(limit, || {
            let count = self.count();
            if count.different >= pairs.different && count.recipients >= pairs.arrive {
                at = Instant::now().checked_sub(count.since_last);
            }
            at.is_some()
        });
        at
    }

    /// What is wrong if this should have come, and nothing else.
    pub fn faults(&self, pairs: Pairs) -> Vec<String> {
        let count = self.count();
        let (lost, foreign) =
            (pairs.different.checked_sub(count.different), count.different.checked_sub(pairs.different));
        let more = count.recipients.checked_sub(pairs.arrive);
        let told = [
            (lost, "never came"),
            (foreign, "came that nobody had sent"),
            (more, "came once more than they should"),
            (Some(count.unnamed), "came without a Message-ID"),
        ];
        let wrong = told.iter().filter(|(number, _)| number.is_some_and(|number| number > 0));
        wrong.map(|(number, what)| format!("{} {what}", number.unwrap_or(0))).collect()
    }
}

/// What `smtp-source` took.
pub struct Sent {
    pub started: Instant,
    /// All was answered.
    pub wall: Duration,
    pub cpu_secs: f64,
}

/// `smtp-source`, which takes no length beside a prepared file.
fn source(port: u16, load: &Load<'_>) -> Command {
    if !load.more.contains(&"-F") {
        return smtp_source::command(port, load);
    }
    let mut command = Command::new(peers::program("smtp-source"));
    command.args(["-M", "source.example", "-f", load.from, "-t", load.to]);
    command.args(["-m", &load.messages.to_string(), "-s", &load.sessions.to_string()]);
    command.args(load.more).arg(format!("127.0.0.1:{port}"));
    command
}

/// Sends all of it; an error if something was refused, or it took too long.
pub fn send(directory: &TempDir, port: u16, load: &Load<'_>) -> Result<Sent, String> {
    run_to_end(source(port, load), directory, "smtp-source")
}

fn run_to_end(command: Command, directory: &TempDir, name: &str) -> Result<Sent, String> {
    let before = cpu::of_ended_children();
    let started = Instant::now();
    let mut running = Running::start(command, &directory.join(format!("{name}.log")));
    let mut status = None;
    wait_until(RUN_LIMIT, || {
        status = running.ended();
        status.is_some()
    });
    let wall = started.elapsed();
    match status {
        Some(status) if status.success() => {
            Ok(Sent { started, wall, cpu_secs: cpu::of_ended_children() - before })
        }
        Some(_) => Err(format!("{name}: {}", running.output().trim())),
        None => Err(format!("{name} had not ended after {RUN_LIMIT:?}")),
    }
}

/// The same for a job of the pipelining generator.
pub fn generate(directory: &TempDir, job: &crate::generator::Job) -> Result<Sent, String> {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(job.arguments());
    run_to_end(command, directory, "generator")
}

/// The same for a job of the sender that takes turns; and how many of its sessions were resumed.
pub fn take_turns(directory: &TempDir, job: &crate::sender::Job) -> Result<(Sent, usize), String> {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(job.arguments());
    let sent = run_to_end(command, directory, "sender")?;
    let said = std::fs::read_to_string(directory.join("sender.log")).unwrap_or_default();
    let resumed = said.trim().parse().map_err(|_| format!("sender: {said}"))?;
    Ok((sent, resumed))
}
