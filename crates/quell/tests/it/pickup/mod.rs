//! Mail is collected from mailboxes at a provider (`[[pickup]]`), by POP3 and IMAP.

mod changes;
mod collect;
mod commands;
mod envelope;
mod faulty;
mod once;
mod second;
mod trouble;

use crate::crash::wait_until_empty;
use crate::operate::JSON_LOG;
use crate::support::peers::dns::Dns;
use crate::support::peers::provider::{ADDRESS, Options, Provider};
use crate::support::process::try_run;
use crate::support::promises::{Promises, Random, message};
use crate::support::server::{Environment, config};
use crate::support::smtp::date_now;
use crate::support::{Server, TempDir, maildir};
use serde_json::Value;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Liveness only.
const LIMIT: Duration = Duration::from_secs(60);
/// Of jane at the provider.
const OFFICE: &str = "office@provider.example";
const PASSWORD: &str = "a good password";

/// One `[[pickup]]` with OFFICE's password; asked only when a test says so.
fn account(directory: &TempDir, name: &str, server: &str, more: &str) -> String {
    let file = directory.join("office.password");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("a password");
    mode(&file, 0o600);
    format!(
        "[[pickup]]\nname = \"{name}\"\nserver = \"{server}\"\nuser = \"{OFFICE}\"\npassword_file = {file:?}\n\
         poll_secs = 86400\n{}{more}\n",
        if more.contains("idle = ") { "" } else { "idle = false\n" }
    )
}

fn mode(file: &Path, mode: u32) {
    std::fs::set_permissions(file, Permissions::from_mode(mode)).expect("a mode");
}

/// [`config`] with a mailbox for jane and john, and what is told in JSON.
fn two_mailboxes(more: &str) -> String {
    config(&format!("{JSON_LOG}{more}")).replace(r#"["jane", "*"]"#, r#"["jane", "john"]"#)
}

/// A provider where [`OFFICE`] has a mailbox, and what was delivered there.
struct World {
    // Before what it asks.
    server: Server,
    provider: Provider,
    _dns: Dns,
    directory: TempDir,
    promises: Promises,
    random: Random,
    date: String,
    delivered: usize,
}

impl World {
    /// `accounts` makes the `[[pickup]]`s. `None` where there is no Dovecot.
    fn start(
        name: &str,
        options: Options,
        accounts: impl FnOnce(&Provider, &TempDir) -> String,
    ) -> Option<Self> {
        let mut world = Self::prepare(name, options, accounts, |_| Vec::new())?;
        world.server.restart();
        Some(world)
    }

    /// The same with additions to the server's environment; it is not started yet.
    fn prepare(
        name: &str,
        options: Options,
        accounts: impl FnOnce(&Provider, &TempDir) -> String,
        environment: impl FnOnce(&TempDir) -> Environment,
    ) -> Option<Self> {
        if !crate::support::peers::provider::available() {
            return None;
        }
        let directory = TempDir::new(&format!("pickup-{name}"));
        let provider = Provider::start(options);
        provider.add_user(OFFICE, PASSWORD);
        let [a, b, c, d] = ADDRESS;
        let dns = Dns::start(&format!("*.example A {a}.{b}.{c}.{d}"));
        let accounts = accounts(&provider, &directory);
        let accounts = accounts.replace("{ca}", &format!("ca_file = {:?}", provider.ca));
        let tell = telling_script(&directory);
        let more =
            format!("[dns]\nservers = [\"{}\"]\n[tell]\ncommand = [{tell:?}]\n{accounts}", dns.server());
        let text = two_mailboxes(&more);
        std::fs::create_dir_all(directory.join("data")).expect("a directory");
        let environment = environment(&directory);
        let server = Server::prepare(&directory, &text, environment);
        Some(Self {
            server,
            provider,
            _dns: dns,
            directory,
            promises: Promises::default(),
            random: Random::new(7),
            date: date_now(),
            delivered: 0,
        })
    }

    /// `count` messages for these mailboxes come to [`OFFICE`], each of about so many bytes.
    fn deliver(&mut self, to: &[&str], count: usize, bytes: usize) {
        for _ in 0..count {
            let message = self.message(to, bytes);
            self.provider.deliver(OFFICE, &message);
        }
    }

    /// A message that must end up in these mailboxes.
    fn message(&mut self, to: &[&str], bytes: usize) -> Vec<u8> {
        self.delivered += 1;
        let id = format!("p{}", self.delivered);
        self.promises.answered(&id, to);
        message(&id, &self.date, bytes, &mut self.random)
    }

    /// `quell pickup run`: whether it succeeded, and what it said.
    fn run(&self, name: &str) -> (bool, String) {
        try_run(&mut self.server.command(&["pickup", "run", name]))
    }

    /// The same, which must succeed.
    fn collects(&self, name: &str) {
        let (ok, said) = self.run(name);
        assert!(ok, "{said}\n{}\n{}", self.server.output(), self.provider.said());
    }

    /// What is here now is right: each message that was delivered, whole, once.
    fn all_is_here(&self) {
        self.all_of(self.promises.count());
    }

    /// So many messages are here, and none that was not delivered, or twice.
    fn all_of(&self, count: usize) {
        wait_until_empty(&self.server, LIMIT);
        let found = self.promises.check(&self.server.data.join("mail/firm.example"));
        let found = found.unwrap_or_else(|wrong| panic!("{wrong}\n{}", end_of(&self.server.output())));
        assert_eq!(found, count, "{}", end_of(&self.server.output()));
    }

    fn mailbox(&self, name: &str) -> PathBuf {
        self.server.maildir("firm.example", name)
    }

    fn count(&self, name: &str) -> usize {
        maildir::count(&self.mailbox(name))
    }

    /// How often the operator was told of something.
    fn told(&self) -> usize {
        let told = std::fs::read_to_string(self.directory.join("told")).unwrap_or_default();
        told.lines().filter(|line| line.starts_with("subject=")).count()
    }

    /// Lines of the log with this event, of one account.
    fn events(&self, event: &str, account: &str) -> Vec<Value> {
        events(&self.server, event, account)
    }
}

/// What `[tell]` runs: writes down what is told.
fn telling_script(directory: &TempDir) -> PathBuf {
    let (told, script) = (directory.join("told"), directory.join("tell"));
    let text = format!("#!/bin/sh\n{{ echo \"subject=$QUELL_SUBJECT\"; cat; }} >> {}\n", told.display());
    std::fs::write(&script, text).expect("a script");
    mode(&script, 0o755);
    script
}

fn events(server: &Server, event: &str, account: &str) -> Vec<Value> {
    let output = server.output();
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"] == event && line["account"] == account).collect()
}

fn end_of(log: &str) -> &str {
    let from = log.len().saturating_sub(6_000);
    (from..log.len()).find_map(|from| log.get(from..)).unwrap_or_default()
}
