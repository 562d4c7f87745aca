//! The two that are measured: quell as it comes, and Debian's Postfix as it comes. Each with a
//! directory of its own on the same file system, each handing all mail to one next hop.

use crate::cpu;
use crate::run::Pairs;
use crate::support::peers::postfix::Postfix;
use crate::support::tls::{Files, NAME};
use crate::support::{Running, TempDir, free_port, smtp, wait_until};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(120);
/// The last outcomes are written after the last message has come.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
const TERM_LIMIT: Duration = Duration::from_secs(30);

/// Something that relays.
pub trait Server {
    /// Where it takes mail, on 127.0.0.1.
    fn port(&self) -> u16;
    /// CPU seconds of all its processes so far.
    fn cpu_secs(&self) -> f64;
    /// CPU seconds of its threads by name, where it is one process.
    fn threads(&self) -> BTreeMap<String, f64>;
    /// Most memory it has had resident, in MiB; not a number where that cannot be said.
    fn peak_mib(&self) -> f64;
    /// What its own books say against that.
    fn faults(&self, pairs: Pairs) -> Vec<String>;
    /// Ends it in good order.
    fn stop(self: Box<Self>);
}

/// quell with its default settings, `via` the next hop.
pub struct Quell {
    running: Running,
    config: PathBuf,
    program: PathBuf,
    smtp_port: u16,
    /// Where load goes: the same, or where TLS begins at once.
    load_port: u16,
    pub console_port: u16,
}

impl Quell {
    /// On a new data directory in `directory`.
    pub fn start(program: &Path, directory: &TempDir, next_hop: u16) -> Self {
        Self::start_on(program, directory, &directory.join("quell-data"), next_hop, "")
    }

    /// On this data directory, with `more` behind the rest of the configuration.
    pub fn start_on(program: &Path, directory: &TempDir, data: &Path, next_hop: u16, more: &str) -> Self {
        let via = format!("[relay]\nvia = \"smtp://127.0.0.1:{next_hop}\"\n{more}");
        Self::begin(program, directory, data, None, &via)
    }

    /// TLS from the first byte on both sides, each with a certificate of `files`; that of the next hop is looked at.
    pub fn start_tls(program: &Path, directory: &TempDir, next_hop: u16, files: &Files) -> Self {
        let via = format!(
            "[relay]\nvia = \"smtps://127.0.0.1:{next_hop}\"\n[next_hops.\"127.0.0.1\"]\nca_file = {:?}\n\
             name = \"{NAME}\"\n{}",
            files.ca,
            files.settings()
        );
        Self::begin(program, directory, &directory.join("quell-data"), Some(free_port()), &via)
    }

    /// `tls_port`: where mail comes with TLS, beside the port in the clear.
    fn begin(program: &Path, directory: &TempDir, data: &Path, tls_port: Option<u16>, more: &str) -> Self {
        let (smtp_port, console_port) = (free_port(), free_port());
        let listen_tls =
            tls_port.map_or(String::new(), |port| format!("listen_tls = [\"127.0.0.1:{port}\"]\n"));
        let config = directory.join("quell.toml");
        let text = format!(
            "[server]\nhostname = \"mx.firm.example\"\ndata = {data:?}\n[smtp]\nlisten = [\"127.0.0.1:{smtp_port}\"]\n\
             {listen_tls}[console]\nlisten = \"127.0.0.1:{console_port}\"\n{more}"
        );
        std::fs::write(&config, text).expect("a configuration");
        let mut running = Self::run(program, &config, directory);
        running.wait_for_greeting(smtp_port, START_LIMIT);
        let program = program.to_path_buf();
        Quell { running, config, program, smtp_port, load_port: tls_port.unwrap_or(smtp_port), console_port }
    }

    fn run(program: &Path, config: &Path, directory: &TempDir) -> Running {
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(config);
        Running::start(command, &directory.join("quell.log"))
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        self.running.kill9();
    }

    /// Starts it again on the same data and ports, and waits for its greeting.
    pub fn restart(&mut self, directory: &TempDir) {
        self.running = Self::run(&self.program, &self.config, directory);
        self.running.wait_for_greeting(self.smtp_port, START_LIMIT);
    }

    /// Rows that are not at their end.
    pub fn open_rows(&self) -> usize {
        let metrics = self.metrics();
        let states = ["waiting", "claimed", "held", "unknown"];
        states.iter().map(|state| number(&metrics, &format!("quell_queue_rows{{state=\"{state}\"}}"))).sum()
    }

    /// One of its metrics, with its labels.
    pub fn number(&self, name: &str) -> usize {
        number(&self.metrics(), name)
    }

    fn metrics(&self) -> String {
        smtp::http_get(self.console_port, "/metrics").1
    }
}

/// A number of `GET /metrics`, such as `quell_copies_total{class="copies"}`.
fn number(metrics: &str, name: &str) -> usize {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{metrics}"))
}

impl Server for Quell {
    fn port(&self) -> u16 {
        self.load_port
    }

    fn cpu_secs(&self) -> f64 {
        cpu::of_process(self.running.pid())
    }

    fn threads(&self) -> BTreeMap<String, f64> {
        cpu::of_threads(self.running.pid())
    }

    fn peak_mib(&self) -> f64 {
        cpu::peak_mib(self.running.pid())
    }

    fn faults(&self, pairs: Pairs) -> Vec<String> {
        wait_until(SETTLE_LIMIT, || self.open_rows() == 0);
        let metrics = self.metrics();
        let told = [
            ("rows are open", self.open_rows(), 0),
            ("passed", number(&metrics, "quell_messages_total{verdict=\"pass\"}"), pairs.different),
            (
                "absorbed",
                number(&metrics, "quell_messages_total{verdict=\"absorb\"}"),
                pairs.sent - pairs.different,
            ),
            ("relayed", number(&metrics, "quell_deliveries_total{outcome=\"relayed\"}"), pairs.different),
        ];
        let wrong = told.iter().filter(|(_, is, should)| is != should);
        wrong.map(|(what, is, should)| format!("{is} {what}, should be {should}")).collect()
    }

    fn stop(mut self: Box<Self>) {
        let status = self.running.term(TERM_LIMIT);
        assert!(
            status.is_some_and(|status| status.success()),
            "quell's end: {status:?}\n{}",
            self.running.output()
        );
    }
}

/// More recipients of a transaction than its 1000, since it is asked to take 10,000. Only what the
/// tests' configuration does not name: Postfix warns of a second line each time a process starts, and
/// so many lines at its start may fill the way to its own log before anybody reads there.
const POSTFIX: &str = "smtpd_recipient_limit = 100000\n";

/// Debian's Postfix, with a queue of its own.
pub struct PostfixServer {
    /// Ended when dropped.
    _postfix: Postfix,
    port: u16,
    master: u32,
}

impl PostfixServer {
    pub fn start(directory: &TempDir, next_hop: u16) -> Self {
        let postfix = Postfix::start_with(directory, next_hop, POSTFIX);
        let port = postfix.port;
        Self::of(directory, postfix, port)
    }

    /// TLS from the first byte on both sides, each with a certificate of `files`; that of the next hop is looked at.
    /// With `keeps` sessions to the next hop are kept, which Postfix does not do by itself where there is TLS.
    pub fn start_tls(directory: &TempDir, next_hop: u16, files: &Files, keeps: bool) -> Self {
        let port = free_port();
        let (ca, chain, key) = (files.ca.display(), files.chain.display(), files.key.display());
        let main = format!(
            "{POSTFIX}smtpd_tls_cert_file = {chain}\nsmtpd_tls_key_file = {key}\nsmtpd_tls_security_level = may\n\
             smtp_tls_wrappermode = yes\nsmtp_tls_security_level = secure\nsmtp_tls_CAfile = {ca}\n\
             smtp_tls_secure_cert_match = {NAME}\nsmtp_tls_connection_reuse = {}\n\
             smtp_tls_session_cache_database = btree:${{data_directory}}/smtp_scache\n",
            if keeps { "yes" } else { "no" }
        );
        let services = format!(
            "127.0.0.1:{port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\ntlsproxy unix - - n - 0 tlsproxy\n"
        );
        Self::of(directory, Postfix::start_with_services(directory, next_hop, &main, &services), port)
    }

    fn of(directory: &TempDir, postfix: Postfix, port: u16) -> Self {
        let file = directory.join("postfix/queue/pid/master.pid");
        let text = std::fs::read_to_string(&file).expect("master.pid");
        PostfixServer { _postfix: postfix, port, master: text.trim().parse().expect("a process id") }
    }
}

impl Server for PostfixServer {
    fn port(&self) -> u16 {
        self.port
    }

    fn cpu_secs(&self) -> f64 {
        cpu::of_family(self.master)
    }

    fn threads(&self) -> BTreeMap<String, f64> {
        BTreeMap::new()
    }

    fn peak_mib(&self) -> f64 {
        f64::NAN
    }

    fn faults(&self, _: Pairs) -> Vec<String> {
        Vec::new()
    }

    fn stop(self: Box<Self>) {}
}

/// No server: the load goes straight into the sink.
pub struct Nothing(pub u16);

impl Server for Nothing {
    fn port(&self) -> u16 {
        self.0
    }

    fn cpu_secs(&self) -> f64 {
        f64::NAN
    }

    fn threads(&self) -> BTreeMap<String, f64> {
        BTreeMap::new()
    }

    fn peak_mib(&self) -> f64 {
        f64::NAN
    }

    fn faults(&self, _: Pairs) -> Vec<String> {
        Vec::new()
    }

    fn stop(self: Box<Self>) {}
}
