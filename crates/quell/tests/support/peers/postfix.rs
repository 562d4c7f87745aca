//! Postfix as a sender: a private instance that hands all mail to one port.

use super::{START_LIMIT, directory_of, feed, program, with_lf};
use crate::support::process::run;
use crate::support::{Running, TempDir, free_port};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Runs until dropped. Needs root.
pub struct Postfix {
    running: Running,
    config: PathBuf,
    log: PathBuf,
    /// Takes mail for anybody and relays it.
    pub port: u16,
}

pub fn available() -> bool {
    super::available_to_root(&["postfix", "sendmail", "/usr/lib/postfix/sbin/master"])
}

impl Postfix {
    /// Delivers to `next_hop`, a port on 127.0.0.1; tries deferred mail again each second.
    pub fn start(directory: &TempDir, next_hop: u16) -> Self {
        Self::start_with(directory, next_hop, "")
    }

    /// The same with more lines of `main.cf`.
    pub fn start_with(directory: &TempDir, next_hop: u16, more: &str) -> Self {
        Self::start_with_services(directory, next_hop, more, "")
    }

    /// The same with more lines of `master.cf`.
    pub fn start_with_services(directory: &TempDir, next_hop: u16, more: &str, services: &str) -> Self {
        let (home, port) = (directory.join("postfix"), free_port());
        let (config, log) = (home.join("conf"), home.join("log"));
        for part in ["conf", "queue"] {
            fs::create_dir_all(home.join(part)).expect("a directory");
        }
        directory_of(&home.join("data"), "postfix");
        let home_text = home.to_str().expect("a path");
        fs::write(config.join("main.cf"), main_cf(home_text, next_hop) + more).expect("main.cf");
        fs::write(config.join("master.cf"), master_cf(port) + services).expect("master.cf");
        run(Command::new(program("postfix")).arg("-c").arg(&config).arg("check"));
        let mut command = Command::new("/usr/lib/postfix/sbin/master");
        command.arg("-c").arg(&config).arg("-d").env("MAIL_CONFIG", &config);
        let mut running = Running::start(command, &home.join("output"));
        running.wait_for_greeting(port, START_LIMIT);
        Postfix { running, config, log, port }
    }

    /// Submits by the `sendmail` command.
    pub fn send(&self, from: &str, to: &[&str], message: &[u8]) {
        let mut command = Command::new(program("sendmail"));
        command.env("MAIL_CONFIG", &self.config).args(["-i", "-f", from, "--"]).args(to);
        feed(&mut command, &with_lf(message));
    }

    /// Its log, in which `status=sent` stands for each recipient that was taken.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // On TERM master ends its children; killed outright it leaves them behind.
        self.running.term(Duration::from_secs(5));
    }
}

fn main_cf(home: &str, next_hop: u16) -> String {
    format!(
        "compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file = {home}/log
maillog_file_prefixes = {home}
myhostname = postfix.example
mydestination =
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{next_hop}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
alias_maps =
alias_database =
disable_dns_lookups = yes
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
"
    )
}

fn master_cf(port: u16) -> String {
    let mut services = format!("127.0.0.1:{port} inet n - n - - smtpd\n");
    for line in [
        "pickup unix n - n 1 1 pickup",
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 1 1 qmgr",
        "rewrite unix - - n - - trivial-rewrite",
        "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce",
        "trace unix - - n - 0 bounce",
        "verify unix - - n - 1 verify",
        "flush unix n - n 1000? 0 flush",
        "proxymap unix - - n - - proxymap",
        "smtp unix - - n - - smtp",
        "relay unix - - n - - smtp",
        "error unix - - n - - error",
        "retry unix - - n - - error",
        "discard unix - - n - - discard",
        "anvil unix - - n - 1 anvil",
        "tlsmgr unix - - n 1000? 1 tlsmgr",
        "scache unix - - n - 1 scache",
        "postlog unix-dgram n - n - 1 postlogd",
    ] {
        services.push_str(line);
        services.push('\n');
    }
    services
}
