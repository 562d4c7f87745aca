//! A storm of identical copies: one message with a Message-ID and the Date of today, sent again and
//! again. One goes out, all others are absorbed.

use crate::figures::{Aim, Section};
use crate::options::Options;
use crate::relay::{Arrive, COLUMNS, ceiling, relay};
use crate::servers::{PostfixServer, Quell, Server};
use crate::support::peers::smtp_source::Load;
use crate::support::{TempDir, smtp};
use std::path::{Path, PathBuf};

const COPIES: usize = 100_000;
/// It passes them all on, at its own pace.
const POSTFIX_COPIES: usize = 20_000;
const SESSIONS: usize = 5;

/// 5 sessions that stay open.
pub fn kept(options: &Options) -> Section {
    let title = "Storm of identical copies, 5 sessions, kept".to_owned();
    let mut section = Section { title, columns: COLUMNS.to_vec(), ..Section::default() };
    section.notes.push(
        "`smtp-source -F` sends one prepared message of 4 KiB again and again. Of quell one copy comes out;          Postfix passes all on. The ceiling takes the same file."
            .to_owned(),
    );
    let directory = TempDir::new("bench-copies");
    let file = write_copy(&directory);
    let more = ["-d", "-F", file.to_str().expect("a path")];
    let load = |copies| Load {
        to: "jane@other.example",
        messages: options.scaled(copies),
        sessions: SESSIONS,
        more: &more,
        ..Load::default()
    };
    for _ in 0..options.rounds {
        ceiling(&mut section, &load(COPIES));
        let all = Arrive { different: 1, total: options.scaled(POSTFIX_COPIES) };
        let start = |directory: &TempDir, sink| -> Box<dyn Server> {
            Box::new(PostfixServer::start(directory, sink))
        };
        relay(&mut section, &load(POSTFIX_COPIES), all, start);
        let start = |directory: &TempDir, sink| -> Box<dyn Server> {
            Box::new(Quell::start(&options.quell, directory, sink))
        };
        relay(&mut section, &load(COPIES), Arrive { different: 1, total: 1 }, start);
    }
    let rate = |who| section.median(who, "a second, end to end");
    let share = 100.0 * rate("quell") / rate("ceiling");
    let cpu = section.median("quell", "CPU server") / section.median("ceiling", "CPU sink");
    section.figure("rate of the ceiling", Aim::AtLeast(60.0), share, " %");
    section.figure("CPU a copy against smtp-sink", Aim::AtMost(1.3), cpu, " ×");
    section
}

/// The message, as `smtp-source -F` wants it.
fn write_copy(directory: &TempDir) -> PathBuf {
    let path = directory.join("copy");
    write(&path, &copy("storm"));
    path
}

/// A message of 4 KiB; `id` stands in its Message-ID.
pub fn copy(id: &str) -> Vec<u8> {
    let line = "The quick brown fox jumps over the lazy dog, again and again.\r\n";
    smtp::message(id, &smtp::date_now(), &line.repeat(4096 / line.len()))
}

/// With LF line ends: the CR are added when it is sent.
fn write(path: &Path, message: &[u8]) {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
    std::fs::write(path, text).expect("a file");
}
