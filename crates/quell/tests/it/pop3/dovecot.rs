//! Dovecot with one maildrop, over POP3.

use crate::support::peers::{self, dovecot, is_root};
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
        let passdb = format!("driver = passwd-file\n  args = {}/users", home.display());
        let running = dovecot::serve(home, port, "pop3", &passdb);
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
