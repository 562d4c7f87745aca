//! A child process: started, watched, measured, ended by its id.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often a process is looked at whose end is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Lines of a log that are shown, and bytes of it that are read for them.
const SHOWN_LINES: usize = 12;
const SHOWN_BYTES: usize = 8 << 10;

/// A child process that is killed when it is dropped. Its standard error goes into a file.
#[derive(Debug)]
pub struct Running {
    child: Child,
    what: &'static str,
    log: PathBuf,
}

impl Running {
    /// Starts `command`; `what` names it in messages. Its standard input and output are ours.
    ///
    /// # Errors
    /// Those of the system.
    pub fn start(what: &'static str, mut command: Command, log: PathBuf) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        // Ctrl-C is for us: we end it, once it has been measured or its data are not needed any more.
        let child = command.process_group(0).spawn()?;
        Ok(Self { child, what, log })
    }

    /// What it reads, and what it prints; each once.
    pub fn pipes(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>) {
        (self.child.stdin.take(), self.child.stdout.take())
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// That it ended, or did not do what it should, with the end of its log.
    pub fn obituary(&mut self, how: &str) -> String {
        let how = self.ended().map_or_else(|| how.to_owned(), |status| format!("ended ({status})"));
        let tail = tail(&fs::read(&self.log).unwrap_or_default());
        let said = if tail.is_empty() { "it said nothing".to_owned() } else { format!("it said:\n{tail}") };
        format!("{} {how}; {said}", self.what)
    }

    /// Most memory that it has had resident so far, in bytes (proc(5), `VmHWM`); `None` if that is not
    /// to be had.
    pub fn peak_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    }

    /// Waits until it has ended, no longer than `within`.
    pub async fn wait(&mut self, within: Duration) {
        let begun = Instant::now();
        while self.ended().is_none() && begun.elapsed() < within {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// SIGTERM; SIGKILL if it has not ended `within` that time. Returns whether it went by itself.
    pub async fn stop(mut self, within: Duration) -> bool {
        if let Ok(id) = i32::try_from(self.child.id()) {
            // It may have ended a moment ago; its id is not given away before we have waited for it.
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        self.wait(within).await;
        self.ended().is_some_and(|status| status.success())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // Fails only where it has ended meanwhile.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The last lines of a log.
fn tail(log: &[u8]) -> String {
    let end = &log[log.len().saturating_sub(SHOWN_BYTES)..];
    let text = String::from_utf8_lossy(end);
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    shown.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// This program's own file.
///
/// # Errors
/// Those of the system.
pub fn ourselves() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    // A program that was replaced while it runs is named so; the new one is as good.
    let name = path.to_string_lossy();
    Ok(name.strip_suffix(" (deleted)").map_or_else(|| path.clone(), |name| Path::new(name).to_path_buf()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::super::folder::Folder;
    use super::*;

    fn shell(script: &str, folder: &Folder) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Running::start("the shell", command, folder.make("").unwrap().join("log")).unwrap()
    }

    /// Once the shell has said that its trap is set.
    async fn set(running: &Running) {
        for _ in 0..1_000 {
            if fs::read(&running.log).unwrap() == b"set\n" {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    #[tokio::test]
    async fn ends_by_itself() {
        let folder = Folder::new().unwrap();
        let polite = shell("trap 'exit 0' TERM; echo set >&2; while :; do sleep 0.01; done", &folder);
        set(&polite).await;
        assert!(polite.peak_bytes().is_some_and(|bytes| bytes > 100_000));
        assert!(polite.stop(Duration::from_secs(20)).await);
    }

    #[tokio::test]
    async fn is_killed_if_it_does_not_listen() {
        let folder = Folder::new().unwrap();
        let deaf = shell("trap '' TERM; echo set >&2; while :; do sleep 0.01; done", &folder);
        set(&deaf).await;
        let id = deaf.child.id();
        assert!(!deaf.stop(Duration::from_millis(100)).await);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[tokio::test]
    async fn tells_how_it_ended() {
        let folder = Folder::new().unwrap();
        let mut broken = shell("for n in $(seq 100); do echo line $n >&2; done; exit 3", &folder);
        while broken.ended().is_none() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let said = broken.obituary("hangs");
        assert!(said.contains("the shell ended (exit status: 3)"), "{said}");
        assert!(said.ends_with("line 100") && !said.contains("line 88\n"), "{said}");
    }
}
