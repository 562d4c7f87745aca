//! `quell trace`: a large mailbox with some copies in it, and one storm.

use crate::cpu;
use crate::figures::{Aim, Section};
use crate::options::Options;
use crate::support::TempDir;
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub mod letters;

use letters::Shape;

const MESSAGES: usize = 200_000;
const COPIES: usize = 1_000_000;
const COLUMNS: [&str; 6] = ["MB", "s", "MB a second", "CPU s", "messages a second", "MiB at most"];
/// Reads with Python's own module, and does nothing with the messages.
const PYTHON: &str = "import mailbox, sys; print(sum(1 for message in mailbox.mbox(sys.argv[1])))";

/// A mailbox of letters, 2 % of them copies, beside what else reads mail.
pub fn mailbox(options: &Options) -> Section {
    let messages = options.scaled(MESSAGES);
    let title = format!("Trace: a mailbox of {messages} letters");
    let mut section = Section { title, columns: COLUMNS.to_vec(), ..Section::default() };
    section.note(
        "Letters of about 5 KiB with six stamps each in one mbox; each fiftieth belongs to a group of four copies, half of \
         the groups with new identities. The file has just been written, so it is in memory. mail-parser parses the same \
         messages in full on one core, without reading them; Python's mailbox walks over a tenth of them.",
    );
    let directory = TempDir::new("bench-trace");
    let (path, tenth) = (directory.join("letters.mbox"), directory.join("tenth.mbox"));
    let groups = letters::ordinary(&path, messages).expect("written");
    letters::ordinary(&tenth, messages / 10).expect("written");
    for _ in 0..options.rounds {
        quell(&mut section, "quell trace", options, &path, (messages, groups));
        program(
            &mut section,
            "grep -c ^Received:",
            Command::new("grep").args(["-c", "^Received:"]),
            &path,
            messages,
        );
        program(
            &mut section,
            "Python mailbox",
            Command::new("python3").args(["-c", PYTHON]),
            &tenth,
            messages / 10,
        );
        mail_parser(&mut section, &path);
    }
    let rate = section.median("quell trace", "MB a second") / 1000.0;
    let memory = section.median("quell trace", "MiB at most");
    section.figure("a second", Aim::AtLeast(1.5), rate, " GB");
    section.figure("memory", Aim::AtMost(256.0), memory, " MiB");
    section
}

/// A million copies of one message.
pub fn storm(options: &Options) -> Section {
    let copies = options.scaled(COPIES);
    let title = format!("Trace: {copies} copies of one message");
    let mut section = Section { title, columns: COLUMNS.to_vec(), ..Section::default() };
    section.note(
        "A message of about 2 KiB for 500 people, sent again and again by one server: with one Message-ID and other ids and \
         times at each pass; and with a Message-ID and a Date of its own each time, the older stamps lost.",
    );
    let directory = TempDir::new("bench-trace-storm");
    for (who, shape) in [("same identity", Shape::Trace), ("new identities", Shape::Identity)] {
        let path = directory.join("storm.mbox");
        letters::storm(&path, copies, shape).expect("written");
        for _ in 0..options.rounds {
            quell(&mut section, who, options, &path, (copies, 1));
        }
        let (secs, memory) = (section.median(who, "s"), section.median(who, "MiB at most"));
        section.figure(who, Aim::AtMost(5.0), secs, " s");
        section.figure(format!("{who}, memory"), Aim::AtMost(256.0), memory, " MiB");
    }
    section
}

/// Traces, and looks whether all was found: each group has one culprit.
fn quell(
    section: &mut Section,
    who: &str,
    options: &Options,
    path: &Path,
    (messages, groups): (usize, usize),
) {
    let answer = path.with_extension("json");
    let mut command = Command::new(&options.quell);
    command.args(["trace", "--json", "--quiet"]).arg(path).stdout(File::create(&answer).expect("a file"));
    measured(section, who, &mut command, path, messages);
    let text = std::fs::read(&answer).expect("an answer");
    let answer: Value = serde_json::from_slice(&text).unwrap_or_default();
    let found = answer["groups"].as_array().map_or(0, Vec::len);
    let one_each = answer["groups"].as_array().is_some_and(|groups| {
        groups.iter().all(|group| group["culprits"].as_array().is_some_and(|culprits| culprits.len() == 1))
    });
    if answer["messages"].as_u64() != Some(messages as u64) || found != groups || !one_each {
        section.fault(
            who,
            &format!("{} messages, {found} groups, one culprit each: {one_each}", answer["messages"]),
        );
    }
}

fn program(section: &mut Section, who: &str, command: &mut Command, path: &Path, messages: usize) {
    // Into /dev/null grep stops at the first line that it finds.
    let said = File::create(path.with_extension("said")).expect("a file");
    measured(section, who, command.arg(path).stdout(said), path, messages);
}

fn measured(section: &mut Section, who: &str, command: &mut Command, path: &Path, messages: usize) {
    let (before, start) = (cpu::of_ended_children(), Instant::now());
    let mut child = command.stdin(Stdio::null()).spawn().expect("a program");
    let mut peak = 0.0_f64;
    let status = loop {
        // Gone is not a number, which is never the greater one.
        peak = peak.max(cpu::peak_mib(child.id()));
        match child.try_wait().expect("a state") {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let secs = start.elapsed().as_secs_f64();
    if !status.success() {
        section.fault(who, &format!("ended with {status}"));
    }
    add(section, who, path, messages, (secs, cpu::of_ended_children() - before, peak));
}

fn add(section: &mut Section, who: &str, path: &Path, messages: usize, (secs, cpu, peak): (f64, f64, f64)) {
    let mb = std::fs::metadata(path).map_or(0.0, |meta| meta.len() as f64 / 1e6);
    println!("  {who}: {secs:.2} s, {:.0} MB/s, CPU {cpu:.2} s, {peak:.0} MiB", mb / secs);
    section.add(who, &[mb, secs, mb / secs, cpu, messages as f64 / secs, peak]);
}

/// The messages of the same file, parsed in full by another library.
fn mail_parser(section: &mut Section, path: &Path) {
    let bytes = std::fs::read(path).expect("the mailbox");
    let mut starts: Vec<usize> = memchr::memmem::find_iter(&bytes, b"\n\nFrom ").map(|at| at + 2).collect();
    starts.insert(0, 0);
    starts.push(bytes.len());
    let parser = mail_parser::MessageParser::default();
    let (mut parsed, start) = (0, Instant::now());
    for pair in starts.windows(2) {
        let message = &bytes[pair[0]..pair[1]];
        let header = memchr::memchr(b'\n', message).map_or(0, |lf| lf + 1);
        parsed += usize::from(std::hint::black_box(parser.parse(&message[header..])).is_some());
    }
    let secs = start.elapsed().as_secs_f64();
    if parsed + 1 != starts.len() {
        section.fault("mail-parser", &format!("parsed {parsed}"));
    }
    // It runs in this process: its memory is not told apart.
    add(section, "mail-parser, one core", path, parsed, (secs, secs, f64::NAN));
}
