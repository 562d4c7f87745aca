//! OpenSMTPD as a sender, from its unpacked package.
//!
//! Its spool, its chroot and its socket have fixed paths, so it runs in a mount namespace
//! of its own in which these places are private directories.

use super::{START_LIMIT, copy_unpacked};
use crate::support::process::{run, try_run};
use crate::support::smtp::{Reply, send_all};
use crate::support::{Running, TempDir, free_port};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

/// Runs until dropped. Needs root.
pub struct OpenSmtpd {
    running: Running,
    /// Takes mail for anybody and relays it.
    pub port: u16,
}

/// Also asks whether mount namespaces are allowed here.
pub fn available() -> bool {
    if !super::available_to_root(&["@/usr/sbin/smtpd", "unshare"]) {
        return false;
    }
    let (allowed, said) = try_run(Command::new("unshare").args(["-m", "true"]));
    allowed || super::skip(&format!("OpenSMTPD needs a mount namespace: {said}"))
}

const START: &str = r#"
mount --bind "$1/run" /run
mount --bind "$1/var/spool" /var/spool
mount --bind "$1/var/lib" /var/lib
exec "$1/bin/smtpd" -d -f "$1/smtpd.conf"
"#;

impl OpenSmtpd {
    /// Delivers to `next_hop`, a port on 127.0.0.1.
    pub fn start(directory: &TempDir, next_hop: u16) -> Self {
        Self::start_with(directory, &format!("smtp://127.0.0.1:{next_hop}"), "")
    }

    /// Delivers to a host as smtpd.conf(5) writes it, with more options of the action `relay`.
    pub fn start_with(directory: &TempDir, host: &str, more: &str) -> Self {
        let (home, port) = (directory.join("opensmtpd"), free_port());
        copy_unpacked(&["@/usr/sbin/smtpd"], &home.join("bin"));
        for part in ["run", "var/spool/smtpd", "var/lib/opensmtpd/empty"] {
            fs::create_dir_all(home.join(part)).expect("a directory");
        }
        let mode = |path: &str, mode| {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(home.join(path), mode).expect("permissions");
        };
        mode("var/spool/smtpd", 0o711);
        let config = format!(
            "listen on 127.0.0.1 port {port} hostname opensmtpd.example\n\
             action \"out\" relay host {host} helo opensmtpd.example {more}\n\
             match from any for any action \"out\"\n"
        );
        fs::write(home.join("smtpd.conf"), config).expect("a configuration");
        mode("smtpd.conf", 0o600);
        run(Command::new("chown").args(["-R", "root"]).arg(home.join("var")));
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-euc", START, "sh"]).arg(&home);
        command.env("LD_LIBRARY_PATH", home.join("bin"));
        let mut running = Running::start(command, &home.join("log"));
        running.wait_for_greeting(port, START_LIMIT);
        OpenSmtpd { running, port }
    }

    /// Submits by SMTP.
    pub fn send(&self, from: &str, to: &[&str], message: &[u8]) -> Reply {
        let replies = send_all(self.port, from, to, &[message.to_vec()]);
        replies.into_iter().next_back().expect("a reply")
    }

    /// Its log, in which `result="Ok"` stands for each recipient that was taken.
    pub fn log(&self) -> String {
        self.running.output()
    }
}

impl Drop for OpenSmtpd {
    fn drop(&mut self) {
        self.running.term(Duration::from_secs(5));
    }
}
