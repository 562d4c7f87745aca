//! The provider: Dovecot with one maildrop.

use super::letters::Letters;
use crate::support::peers::{self, dovecot};
use crate::support::process::run;
use crate::support::{Running, TempDir, free_port};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

/// Who signs in.
pub const USER: &str = "jane";
pub const PASSWORD: &str = "test";

/// A maildrop that is served by POP3, in the clear.
pub struct Maildrop {
    pub port: u16,
    mail: PathBuf,
    // Ended before its directory goes.
    running: Running,
    _directory: TempDir,
}

impl Maildrop {
    /// An empty one, in memory: the provider's disk is another than ours. Needs root, whose privileges Dovecot gives up.
    pub fn start() -> Self {
        assert!(peers::is_root(), "dovecot gives up root's privileges, so it must have them");
        let (directory, port) = (TempDir::in_memory("bench-maildrop"), free_port());
        let mail = directory.join("mail");
        for folder in ["new", "cur", "tmp"] {
            fs::create_dir_all(mail.join(folder)).expect("a directory");
        }
        fs::create_dir_all(directory.join("index")).expect("a directory");
        run(Command::new("chown").args(["-R", "nobody:nogroup"]).arg(&mail).arg(directory.join("index")));
        let passdb = format!("driver = static\n  args = password={PASSWORD}");
        let running = dovecot::serve(directory.path(), port, "pop3", &passdb);
        Self { port, mail, running, _directory: directory }
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Puts these there as Dovecot does, with both sizes in the name.
    pub fn fill(&self, letters: &Letters) {
        for (number, content) in letters.contents().enumerate() {
            let (size, lines) = (content.len(), content.iter().filter(|byte| **byte == b'\n').count());
            let name = format!("{}.M{number}P7.store-3,S={size},W={}", 1_700_000_000 + number, size + lines);
            fs::write(self.mail.join("new").join(name), content).expect("a message");
        }
        run(Command::new("chown").args(["-R", "nobody:nogroup"]).arg(&self.mail));
    }

    /// How many messages lie there.
    pub fn messages(&self) -> usize {
        crate::support::maildir::count(&self.mail)
    }

    /// When the last went, in seconds since 1970.
    pub fn changed_secs(&self) -> f64 {
        let changed = |folder: &str| {
            let meta = fs::metadata(self.mail.join(folder)).expect("a folder");
            meta.mtime() as f64 + meta.mtime_nsec() as f64 / 1e9
        };
        changed("new").max(changed("cur"))
    }
}
