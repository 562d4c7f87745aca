//! Running other programs, and ending them by their ids.

use super::wait_until;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A program that runs until it is ended or dropped. Its output goes to a file.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command` with its standard output and error appended to `log`.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("a log");
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("a log")).stderr(file);
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Running { child, log: log.to_path_buf() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its exit status if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a state")
    }

    /// Waits until a connection to `port` is greeted with 220, OK or the like.
    pub fn wait_for_greeting(&mut self, port: u16, limit: Duration) {
        let mut ended = None;
        let greeted = wait_until(limit, || {
            ended = self.ended();
            ended.is_some() || super::smtp::greets(port)
        });
        if ended.is_some() || !greeted {
            panic!("no greeting on port {port} ({ended:?}); it said:\n{}", self.output());
        }
    }

    /// SIGTERM; `None` if it runs on after `limit`.
    pub fn term(&mut self, limit: Duration) -> Option<ExitStatus> {
        signal(self.pid(), "TERM");
        let mut status = None;
        wait_until(limit, || {
            status = self.ended();
            status.is_some()
        });
        status
    }

    /// SIGKILL, and waits for the end.
    pub fn kill9(&mut self) {
        // Fails only for a process that has ended by itself.
        let _ = self.child.kill();
        self.child.wait().expect("an end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Sends a signal to one process by its id.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).output();
    status.expect("kill");
}

/// Runs a command to its end, at most 60 s; panics with what it said if it fails.
pub fn run(command: &mut Command) -> String {
    let (ok, said) = try_run(command);
    assert!(ok, "{command:?} failed:\n{said}");
    said
}

/// Runs a command to its end, at most 60 s; whether it succeeded, and what it said.
pub fn try_run(command: &mut Command) -> (bool, String) {
    let mut whole = Command::new("timeout");
    whole.arg("60").arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => whole.env(name, value),
            None => whole.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        whole.current_dir(directory);
    }
    let output = whole.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
