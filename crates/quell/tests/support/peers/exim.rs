//! Exim as a sender, from its unpacked package.

use super::{START_LIMIT, copy_unpacked, directory_of, feed, with_lf};
use crate::support::{Running, TempDir, free_port};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Runs until dropped. Needs root.
pub struct Exim {
    running: Running,
    home: PathBuf,
    /// Takes mail for anybody and relays it.
    pub port: u16,
}

pub fn available() -> bool {
    super::available_to_root(&["@/usr/sbin/exim4"])
}

impl Exim {
    /// Delivers to `next_hop`, a port on 127.0.0.1; tries deferred mail again each second.
    pub fn start(directory: &TempDir, next_hop: u16) -> Self {
        Self::start_with(directory, next_hop, "")
    }

    /// The same with more lines of its transport.
    pub fn start_with(directory: &TempDir, next_hop: u16, more: &str) -> Self {
        let (home, port) = (directory.join("exim"), free_port());
        copy_unpacked(&["@/usr/sbin/exim4"], &home.join("bin"));
        directory_of(&home.join("spool"), "Debian-exim");
        directory_of(&home.join("log"), "Debian-exim");
        let text = config(home.to_str().expect("a path"), port, next_hop, more);
        fs::write(home.join("exim.conf"), text).expect("a configuration");
        let mut exim = Command::new(home.join("bin/exim4"));
        exim.env("LD_LIBRARY_PATH", home.join("bin"));
        exim.arg("-C").arg(home.join("exim.conf")).args(["-bdf", "-q1s"]);
        let mut running = Running::start(exim, &home.join("output"));
        running.wait_for_greeting(port, START_LIMIT);
        Exim { running, home, port }
    }

    /// Submits by its `sendmail` command.
    pub fn send(&self, from: &str, to: &[&str], message: &[u8]) {
        let mut command = Command::new(self.home.join("bin/exim4"));
        command.env("LD_LIBRARY_PATH", self.home.join("bin"));
        command.arg("-C").arg(self.home.join("exim.conf")).args(["-i", "-f", from, "--"]).args(to);
        feed(&mut command, &with_lf(message));
    }

    /// Its log, in which `=>` stands for each recipient that was taken.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.join("log/mainlog")).unwrap_or_default()
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        self.running.term(Duration::from_secs(5));
    }
}

fn config(home: &str, port: u16, next_hop: u16, more: &str) -> String {
    format!(
        "primary_hostname = exim.example
exim_path = {home}/bin/exim4
spool_directory = {home}/spool
log_file_path = {home}/log/%slog
log_selector = +incoming_port
exim_user = Debian-exim
exim_group = Debian-exim
deliver_drop_privilege = true
keep_environment = LD_LIBRARY_PATH
acl_smtp_rcpt = accept
acl_smtp_data = accept
host_lookup =
disable_ipv6 = true
tls_advertise_hosts =
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
smtp_accept_max = 100
begin routers
all:
  driver = manualroute
  transport = out
  route_list = * 127.0.0.1 byname
  self = send
  host_find_failed = defer
begin transports
out:
  driver = smtp
  port = {next_hop}
  allow_localhost = true
  hosts_try_fastopen =
{more}begin retry
* * F,1h,1s
"
    )
}
