//! What an operator does: commands, console, reload, stop.

mod addresses;
mod check;
mod console;
mod copies;
mod culprits;
mod failing;
mod faults;
mod first;
mod held;
mod ledger;
mod mailboxes;
mod queue;
mod reload;
mod reports;
mod routes;
mod stop;
mod talk;
mod tell;

use crate::support::smtp::{Client, Reply, date_now, message};
use crate::support::{Server, maildir, wait_until};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long anything may take on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const JSON_LOG: &str = "[log]\nformat = \"json\"\n";

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(mut command: Command) -> Self {
        let output = command.stdin(Stdio::null()).output().expect("a command");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let status = output.status.code().expect("no signal");
        Said { status, out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// Runs a `quell` command with the server's configuration.
pub(crate) fn quell(server: &Server, arguments: &[&str]) -> Said {
    Said::of(server.command(arguments))
}

/// The same, wanting status 0; what it printed.
pub(crate) fn done(server: &Server, arguments: &[&str]) -> String {
    let said = quell(server, arguments);
    assert_eq!(said.status, 0, "{arguments:?}: {said:?}");
    said.out
}

/// The same with `--json`.
pub(crate) fn json(server: &Server, arguments: &[&str]) -> Value {
    let out = done(server, &[arguments, &["--json"]].concat());
    serde_json::from_str(&out).unwrap_or_else(|why| panic!("{arguments:?}: {why}: {out}"))
}

/// A message with this id, dated now.
pub(crate) fn mail(id: &str) -> Vec<u8> {
    message(id, &date_now(), "A message.")
}

/// Sends one message in a connection of its own, ended by QUIT.
pub(crate) fn send(server: &Server, to: &[&str], message: &[u8]) -> Reply {
    let mut client = Client::hello(server.smtp_port);
    let reply = client.send("sender@client.example", to, message).expect("a reply");
    client.quit().expect("a reply");
    reply
}

/// The queue id that a 250 names.
pub(crate) fn queue_id(reply: &Reply) -> String {
    assert_eq!(reply.code, 250, "{reply:?}");
    let id = reply.text().rsplit(' ').next().expect("an id").to_owned();
    assert_eq!(id.len(), 16, "{reply:?}");
    id
}

/// Sends and returns the queue id.
pub(crate) fn accepted(server: &Server, to: &[&str], message: &[u8]) -> String {
    queue_id(&send(server, to, message))
}

/// Waits until the mailbox has exactly this many messages.
pub(crate) fn wait_for_mails(server: &Server, local: &str, count: usize) -> Vec<maildir::Mail> {
    let folder = server.maildir("firm.example", local);
    wait_until(LIMIT, || maildir::count(&folder) >= count);
    let mails = maildir::read(&folder);
    assert_eq!(mails.len(), count, "{local}: {mails:?}\n{}", server.output());
    mails
}

/// Waits until nothing is open, so that what is not in a Maildir now will not come.
pub(crate) fn wait_for_empty_queue(server: &Server) {
    let open = || json(server, &["queue", "list"])["rows"].as_array().expect("rows").len();
    assert!(wait_until(LIMIT, || open() == 0), "{}", done(server, &["queue", "list"]));
}

/// The one row of a message.
pub(crate) fn row(server: &Server, id: &str) -> Value {
    let shown = json(server, &["queue", "show", id]);
    let rows = shown["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 1, "{shown}");
    rows[0].clone()
}

/// Waits until the one row of a message fits; the row.
pub(crate) fn wait_for_row(server: &Server, id: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    wait_until(LIMIT, || {
        last = row(server, id);
        fits(&last)
    });
    assert!(fits(&last), "{last}\n{}", server.output());
    last
}

/// Waits until the log has a line with all of these.
pub(crate) fn wait_for_log(server: &Server, parts: &[&str]) {
    let has = || server.output().lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(wait_until(LIMIT, has), "no line with {parts:?} in:\n{}", server.output());
}

/// Puts a symbolic link to itself in the place of `tmp/`: an error that time may heal (ELOOP).
fn make_undeliverable(maildir: &Path) {
    std::fs::remove_dir_all(maildir.join("tmp")).expect("a folder");
    std::os::unix::fs::symlink("tmp", maildir.join("tmp")).expect("a link");
}

/// Puts a link to a name longer than any can be in the place of `tmp/`: that is permanent.
fn make_no_mailbox(maildir: &Path) {
    std::fs::remove_dir_all(maildir.join("tmp")).expect("a folder");
    std::os::unix::fs::symlink("x".repeat(300), maildir.join("tmp")).expect("a link");
}

/// Undoes either.
fn repair(maildir: &Path) {
    std::fs::remove_file(maildir.join("tmp")).expect("a file");
    std::fs::create_dir(maildir.join("tmp")).expect("a folder");
}

/// Every line of a JSON log is an object with the fixed fields (DESIGN, "Log line").
fn assert_log_is_json(server: &Server) {
    let log = server.output();
    assert!(log.lines().count() > 2, "{log}");
    for line in log.lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        for name in ["ts", "level", "event"] {
            assert!(value[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {line}");
        }
        assert!(value["ts"].as_str().is_some_and(|ts| ts.ends_with('Z')), "{line}");
    }
}
