//! `smtp-sink`: takes mail and writes it to a file.

use super::{START_LIMIT, directory_of, is_root, program};
use crate::support::{Running, TempDir, free_port, wait_until};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Takes any mail; counts by the value of `X-Test-Id`.
pub struct Sink {
    _running: Running,
    dump: PathBuf,
    pub port: u16,
}

impl Sink {
    pub fn start(directory: &TempDir) -> Self {
        let (home, port) = (directory.join("sink"), free_port());
        std::fs::create_dir_all(&home).expect("a directory");
        let dump = home.join("all");
        let mut command = Command::new(program("smtp-sink"));
        if is_root() {
            directory_of(&home, "nobody");
            command.args(["-u", "nobody"]);
        }
        command.arg("-D").arg(&dump).arg(format!("127.0.0.1:{port}")).arg("100");
        let mut running = Running::start(command, &directory.join("sink.log"));
        running.wait_for_greeting(port, START_LIMIT);
        Sink { _running: running, dump, port }
    }

    /// All it took, one after the other.
    pub fn taken(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.dump).unwrap_or_default()).into_owned()
    }

    /// How many messages it took (each begins with the client's address).
    pub fn count(&self) -> usize {
        self.taken().lines().filter(|line| line.starts_with("X-Client-Addr: ")).count()
    }

    /// Waits until `count` messages have come, and that no more come at once.
    pub fn expect(&self, count: usize) {
        let came = wait_until(Duration::from_secs(30), || self.count() >= count);
        std::thread::sleep(Duration::from_millis(50));
        assert!(came && self.count() == count, "{} instead of {count} messages", self.count());
    }
}
