//! Dovecot with one maildrop, over POP3.

use crate::support::peers::{self, START_LIMIT, is_root, program};
use crate::support::process::run;
use crate::support::{Running, TempDir, free_port};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

pub fn available() -> bool {
    peers::available_to_root(&["dovecot", "/usr/lib/dovecot/pop3"])
}

pub struct Dovecot {
    pub port: u16,
    new: PathBuf,
    // Ended before its directory goes.
    running: Running,
    _directory: TempDir,
}

impl Dovecot {
    /// One that keeps these messages for `jane`, password `test word`. Needs root.
    pub fn start(messages: &[Vec<u8>]) -> Self {
        assert!(is_root(), "dovecot gives up root's privileges, so it must have them");
        let (directory, port) = (TempDir::new("pop3"), free_port());
        let home = directory.path();
        for folder in ["new", "cur", "tmp"] {
            fs::create_dir_all(home.join("mail").join(folder)).expect("a directory");
        }
        let new = home.join("mail/new");
        for (number, message) in messages.iter().enumerate() {
            // Named in the order of their arrival, as deliverers do.
            fs::write(new.join(format!("{}.M{number}.host", 1_700_000_000 + number)), message)
                .expect("a message");
        }
        fs::create_dir_all(home.join("index")).expect("a directory");
        run(Command::new("chown")
            .args(["-R", "nobody:nogroup"])
            .arg(home.join("mail"))
            .arg(home.join("index")));
        fs::write(home.join("users"), "jane:{PLAIN}test word\n").expect("a file");
        fs::write(home.join("dovecot.conf"), config(home.to_str().expect("a path"), port)).expect("a file");
        let mut command = Command::new(program("dovecot"));
        command.arg("-F").arg("-c").arg(home.join("dovecot.conf"));
        let mut running = Running::start(command, &home.join("output"));
        running.wait_for_greeting(port, START_LIMIT);
        Self { port, new, running, _directory: directory }
    }

    /// How many messages lie in the maildrop.
    pub fn messages(&self) -> usize {
        let cur = self.new.with_file_name("cur");
        [&self.new, &cur].map(|folder| fs::read_dir(folder).expect("a folder").count()).iter().sum()
    }

    /// What it said, for the text of a failure.
    pub fn said(&self) -> String {
        self.running.output()
    }
}

fn config(home: &str, port: u16) -> String {
    format!(
        "base_dir = {home}/base
state_dir = {home}/state
log_path = {home}/log
protocols = pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_failure_delay = 0
mail_location = maildir:{home}/mail:INDEX={home}/index/i:CONTROL={home}/index/c
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = passwd-file
  args = {home}/users
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={home}/index
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
"
    )
}
