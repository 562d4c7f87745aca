//! A storm of identical copies: one message with a Message-ID and the Date of today, sent again and
//! again. One goes out, all others are absorbed.

use crate::figures::{Aim, Section};
use crate::generator::Job;
use crate::load::{self, Sent};
use crate::options::Options;
use crate::run::{COLUMNS, Pairs, ceiling, postfix, quell, source, through};
use crate::support::peers::smtp_source::Load;
use crate::support::{TempDir, smtp};
use std::path::{Path, PathBuf};

const COPIES: usize = 100_000;
/// It passes them all on, at its own pace.
const POSTFIX_COPIES: usize = 20_000;
const SESSIONS: usize = 5;
/// Sessions of the pipelining generator: with one round trip a message, some must wait while others
/// are served.
pub const PIPELINING_SESSIONS: usize = 16;
const BDAT_WINDOW: usize = 8;
/// The Dublin storm (INCIDENT.md): over half a million mails to a mail database.
const DUBLIN_COPIES: usize = 500_000;
const DUBLIN_RECIPIENTS: usize = 200;

/// From `smtp-source`, 5 sessions that stay open.
pub fn kept(options: &Options) -> Section {
    let title = "Storm of identical copies, 5 sessions, kept".to_owned();
    let mut section = Section { title, columns: COLUMNS.to_vec(), ..Section::default() };
    section.note(
        "`smtp-source -F` sends one prepared message of 4 KiB again and again. Of quell one copy comes out; Postfix \
         passes all on. The ceiling takes the same file.",
    );
    let directory = TempDir::new("bench-copies");
    let file = directory.join("copy");
    write_with_lf(&file, &copy("storm"));
    let more = ["-d", "-F", file.to_str().expect("a path")];
    let load = |copies| Load {
        to: "jane@other.example",
        messages: options.scaled(copies),
        sessions: SESSIONS,
        more: &more,
        ..Load::default()
    };
    let (many, few) = (load(COPIES), load(POSTFIX_COPIES));
    for _ in 0..options.rounds {
        ceiling(&mut section, "ceiling", many.messages, &source(&many));
        let passed = Pairs { sent: few.messages, different: 1, arrive: few.messages };
        through(&mut section, "Postfix", passed, &postfix, &source(&few));
        through(&mut section, "quell", Pairs::absorbed(many.messages, 1), &quell(options), &source(&many));
    }
    let share = 100.0 * section.ratio("quell", "ceiling", "a second, end to end");
    let cpu = section.median("quell", "CPU server") / section.median("ceiling", "CPU sink");
    section.figure("rate of the ceiling", Aim::AtLeast(60.0), share, " %");
    section.figure("CPU a copy against smtp-sink", Aim::AtMost(1.3), cpu, " ×");
    section
}

/// From the generator that pipelines.
pub fn pipelined(options: &Options) -> Section {
    let title = "Storm of identical copies, pipelined".to_owned();
    let mut section = Section { title, columns: COLUMNS.to_vec(), ..Section::default() };
    section.note(&format!(
        "Our own generator, {PIPELINING_SESSIONS} sessions: with DATA, the next MAIL, RCPT and DATA stand behind the \
         dot; with BDAT, {BDAT_WINDOW} messages are under way in each session. The ceiling is the generator with DATA \
         straight into smtp-sink."
    ));
    let directory = TempDir::new("bench-copies");
    let job = |window| Job { window, ..copies_job(&directory, options.scaled(COPIES), 1) };
    let (data, bdat) = (job(0), job(BDAT_WINDOW));
    for _ in 0..options.rounds {
        ceiling(&mut section, "ceiling", data.messages, &generator(&data));
        let absorbed = Pairs::absorbed(data.messages, 1);
        through(&mut section, "quell, DATA", absorbed, &quell(options), &generator(&data));
        through(&mut section, "quell, BDAT", absorbed, &quell(options), &generator(&bdat));
    }
    for who in ["quell, DATA", "quell, BDAT"] {
        let rate = section.median(who, "a second, end to end");
        section.figure(format!("copies a second ({who})"), Aim::AtLeast(40_000.0), rate, "");
    }
    section
}

/// Half a million copies from five servers to 200 recipients. Once, whatever the number of rounds.
pub fn dublin(options: &Options) -> Section {
    let title = "The Dublin storm".to_owned();
    let mut section = Section { title, columns: COLUMNS.to_vec(), ..Section::default() };
    let directory = TempDir::new("bench-copies");
    let job = copies_job(&directory, options.scaled(DUBLIN_COPIES), DUBLIN_RECIPIENTS);
    let pairs = Pairs::absorbed(job.messages, DUBLIN_RECIPIENTS);
    through(&mut section, "quell", pairs, &quell(options), &generator(&job));
    let secs = job.messages as f64 / section.median("quell", "a second, end to end");
    section.note(&format!(
        "{} messages, all the same, each a transaction with one of {DUBLIN_RECIPIENTS} recipients, from five servers \
         in {PIPELINING_SESSIONS} sessions: **{secs:.1} s**. Each recipient got one.",
        job.messages
    ));
    section
}

/// A job that sends one message of 4 KiB, which is written to `directory`.
pub fn copies_job(directory: &TempDir, messages: usize, recipients: usize) -> Job {
    let message: PathBuf = directory.join("message");
    std::fs::write(&message, copy("pipelined")).expect("a file");
    Job { port: 0, sessions: PIPELINING_SESSIONS, messages, recipients, window: 0, rate: 0, message }
}

/// Sends the job to whichever port.
pub fn generator(job: &Job) -> impl Fn(&TempDir, u16) -> Result<Sent, String> {
    |directory, port| load::generate(directory, &Job { port, ..job.clone() })
}

/// A message of 4 KiB; `id` stands in its Message-ID.
pub fn copy(id: &str) -> Vec<u8> {
    let line = "The quick brown fox jumps over the lazy dog, again and again.\r\n";
    smtp::message(id, &smtp::date_now(), &line.repeat(4096 / line.len()))
}

/// `smtp-source -F` adds the CR itself.
fn write_with_lf(path: &Path, message: &[u8]) {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
    std::fs::write(path, text).expect("a file");
}
