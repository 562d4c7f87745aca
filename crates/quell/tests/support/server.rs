//! quell itself, as its users run it.

use super::process::Running;
use super::{TempDir, free_port};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// How long a start may take, recovery of a large queue included.
const START_LIMIT: Duration = Duration::from_secs(30);
/// SIGTERM ends it within 10 s; a bit more for a machine under load.
const TERM_LIMIT: Duration = Duration::from_secs(15);

/// Additions to the environment, such as `quell_powercut::Recording::environment` gives.
pub type Environment = Vec<(&'static str, OsString)>;

/// A running quell with a configuration and a data directory of its own. Killed when
/// dropped.
pub struct Server {
    running: Option<Running>,
    environment: Environment,
    config: PathBuf,
    log: PathBuf,
    /// Port of SMTP on 127.0.0.1.
    pub smtp_port: u16,
    /// Port of the console on 127.0.0.1.
    pub console_port: u16,
    /// `[server] data`.
    pub data: PathBuf,
}

/// A configuration for `firm.example` with mailboxes for jane and all others; what is in
/// `more` is appended. `{data}`, `{smtp}`, `{console}` are filled in by [`Server`].
pub fn config(more: &str) -> String {
    format!(
        r#"[server]
hostname = "mx.firm.example"
data = "{{data}}"
postmaster = "jane@firm.example"
[smtp]
listen = ["127.0.0.1:{{smtp}}"]
[console]
listen = "127.0.0.1:{{console}}"
[domains."firm.example"]
deliver = "maildir"
recipients = ["jane", "*"]
{more}"#
    )
}

impl Server {
    /// Starts it in `directory` with [`config`] or the like, and waits for its greeting.
    pub fn start(directory: &TempDir, config: &str) -> Self {
        Self::start_with(directory, config, Vec::new())
    }

    /// The same with additions to the environment, such as those of the recorder. The data
    /// directory is `directory/data/quell`: the recorder watches `directory/data`, which
    /// is there before.
    pub fn start_with(directory: &TempDir, config: &str, environment: Environment) -> Self {
        let mut server = Self::prepare(directory, config, environment);
        server.restart();
        server
    }

    /// Writes the configuration, and does not start it yet.
    pub fn prepare(directory: &TempDir, config: &str, environment: Environment) -> Self {
        let (smtp_port, console_port) = (free_port(), free_port());
        let data = directory.join("data/quell");
        std::fs::create_dir_all(directory.join("data")).expect("a directory");
        let text = config
            .replace("{data}", data.to_str().expect("a path"))
            .replace("{smtp}", &smtp_port.to_string())
            .replace("{console}", &console_port.to_string());
        let path = directory.join("quell.toml");
        std::fs::write(&path, text).expect("a configuration");
        let log = directory.join("quell.log");
        Server { running: None, environment, config: path, log, smtp_port, console_port, data }
    }

    /// A `quell` command with this configuration, such as `queue list --json`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
        command.args(arguments).arg("--config").arg(&self.config);
        command
    }

    /// Starts it (again) on the same data and ports, ending it first if it runs.
    pub fn restart(&mut self) {
        self.restart_by(&[]);
    }

    /// The same by another program in the same process, such as setpriv(1) and its options.
    pub fn restart_by(&mut self, starter: &[&str]) {
        self.running = None;
        let mut command = self.command(&["serve"]);
        if let Some((program, options)) = starter.split_first() {
            let server = std::mem::replace(&mut command, Command::new(program));
            command.args(options).arg(server.get_program()).args(server.get_args());
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let mut running = Running::start(command, &self.log);
        running.wait_for_greeting(self.smtp_port, START_LIMIT);
        self.running = Some(running);
    }

    /// From the next start on, with this environment.
    pub fn set_environment(&mut self, environment: Environment) {
        self.environment = environment;
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill9();
        }
    }

    /// SIGTERM; panics if it has not ended in time.
    pub fn term(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("a running server");
        let status = running.term(TERM_LIMIT);
        status.unwrap_or_else(|| panic!("runs on after SIGTERM:\n{}", self.output()))
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(|running| running.ended().is_none())
    }

    /// Process id while it runs.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("a running server").pid()
    }

    /// Its log, of all its lives: a server that runs gathers lines for 10 ms before it writes them.
    pub fn output(&self) -> String {
        if self.running.is_some() {
            std::thread::sleep(Duration::from_millis(50));
        }
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The Maildir of a mailbox; `local` in the form that stands on the disk.
    pub fn maildir(&self, domain: &str, local: &str) -> PathBuf {
        self.data.join("mail").join(domain).join(local)
    }

    /// `GET path` of the console: status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        super::smtp::http_get(self.console_port, path)
    }

    /// The configuration file.
    pub fn config_path(&self) -> &Path {
        &self.config
    }

    /// Resident memory in bytes (`VmRSS`).
    pub fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Most resident memory in bytes (`VmHWM`) since the last [`Server::reset_peak`].
    pub fn peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Lowers `VmHWM` to what is resident now (proc(5), clear_refs).
    pub fn reset_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("our own process");
    }

    /// Processor time that it has used, in clock ticks of the system (proc(5), stat).
    pub fn processor_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        let stat = stat.expect("a running server");
        // The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
        let behind = stat.rsplit(')').next().expect("fields");
        let fields: Vec<&str> = behind.split_whitespace().collect();
        fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
    }

    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("a running server");
        let line = status.lines().find(|line| line.starts_with(name)).expect("the line");
        let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
        kib.expect("a number") * 1024
    }
}
