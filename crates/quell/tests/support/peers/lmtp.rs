//! Dovecot's LMTP as a next hop: delivers into Maildirs, answers the dot for each recipient.

use super::{START_LIMIT, directory_of, program};
use crate::support::{Running, TempDir, free_port};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

pub fn available() -> bool {
    super::available_to_root(&["dovecot", "/usr/lib/dovecot/lmtp"])
}

/// Runs until dropped. Needs root. Others than its users get 550 5.1.1 at RCPT.
pub struct Lmtp {
    running: Running,
    home: PathBuf,
    /// On 127.0.0.1.
    pub port: u16,
    /// A Unix socket of the same service.
    pub socket: PathBuf,
}

impl Lmtp {
    /// With mailboxes for these addresses; those of `full` take nothing: 552 5.2.2 after DATA.
    pub fn start(directory: &TempDir, users: &[&str], full: &[&str]) -> Self {
        Self::start_with(directory, users, full, "")
    }

    /// The same with more lines of `dovecot.conf`.
    pub fn start_with(directory: &TempDir, users: &[&str], full: &[&str], more: &str) -> Self {
        let (home, port) = (directory.join("lmtp"), free_port());
        directory_of(&home.join("mail"), "nobody");
        let user = |address: &&str| format!("{address}:::::::\n");
        let full_user = |address: &&str| format!("{address}:::::::userdb_quota_rule=*:bytes=1\n");
        let lines = users.iter().map(user).chain(full.iter().map(full_user));
        fs::write(home.join("users"), lines.collect::<String>()).expect("users");
        let text = config(home.to_str().expect("a path"), port) + more;
        fs::write(home.join("dovecot.conf"), text).expect("a configuration");
        let mut command = Command::new(program("dovecot"));
        command.arg("-F").arg("-c").arg(home.join("dovecot.conf"));
        let mut running = Running::start(command, &home.join("output"));
        running.wait_for_greeting(port, START_LIMIT);
        Lmtp { running, port, socket: home.join("lmtp"), home }
    }

    /// The Maildir of an address.
    pub fn maildir(&self, address: &str) -> PathBuf {
        self.home.join("mail").join(address)
    }

    /// Its log, in which `saved mail to INBOX` stands for each delivery.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.join("log")).unwrap_or_default() + &self.running.output()
    }
}

impl Drop for Lmtp {
    fn drop(&mut self) {
        // On TERM the master ends its services; killed outright it leaves them behind.
        self.running.term(Duration::from_secs(5));
    }
}

fn config(home: &str, port: u16) -> String {
    format!(
        "base_dir = {home}/base
state_dir = {home}/state
log_path = {home}/log
protocols = lmtp
listen = 127.0.0.1
ssl = no
mail_location = maildir:{home}/mail/%u
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
first_valid_gid = 1
mail_plugins = quota
plugin {{
  quota = maildir:User quota
}}
passdb {{
  driver = passwd-file
  args = {home}/users
}}
userdb {{
  driver = passwd-file
  args = {home}/users
  default_fields = uid=nobody gid=nogroup home={home}/mail/%u
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener {home}/lmtp {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
}}
"
    )
}
