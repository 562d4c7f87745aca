//! How often a program asks the system to make something durable: counted by strace in a run of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A run under strace.
pub struct Traced {
    file: PathBuf,
    before: std::cell::Cell<usize>,
}

impl Traced {
    pub fn new(file: PathBuf) -> Self {
        Self { file, before: 0.into() }
    }

    /// The program under strace, which is no parent of it: the program has the id that the caller sees.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "--seccomp-bpf", "-qq", "-e", "signal=none"]);
        command.args(["-e", "trace=fsync,fdatasync,syncfs,sync", "-o"]).arg(&self.file).arg(program);
        command
    }

    /// The same as a program, for whoever starts one by its path.
    pub fn program(&self, program: &Path) -> PathBuf {
        let path = self.file.with_extension("sh");
        let command = self.command(program);
        let words: Vec<String> =
            command.get_args().map(|word| format!("'{}'", word.to_string_lossy())).collect();
        fs::write(&path, format!("#!/bin/sh\nexec strace {} \"$@\"\n", words.join(" "))).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
        path
    }

    /// Syncs until now do not count.
    pub fn begin(&self) {
        self.before.set(self.calls());
    }

    /// Syncs since [`Traced::begin`].
    pub fn syncs(&self) -> usize {
        // The tracer may be behind.
        std::thread::sleep(Duration::from_millis(500));
        self.calls() - self.before.get()
    }

    /// A call that another thread's interrupts has two lines; only the first has the parenthesis.
    fn calls(&self) -> usize {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().filter(|line| line.contains("sync(")).count()
    }
}
