//! The configuration: read, checked as a whole, compiled into what the server works with.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quell_relay::directory::Directory;
use quell_relay::route::Routes;
use quell_relay::tls::{Rule, Rules};
use quell_storm::limits::Limits;
use rustls::RootCertStore;

use crate::deliver::resolver::Dnssec;
use crate::settings::Settings;
use crate::tls::Certificate;

mod acme;
mod compile;
mod diff;
mod hint;
pub mod ipnet;
mod problem;
#[cfg(test)]
mod tests;

pub use acme::{Acme, Challenge};
pub use diff::Change;
pub use ipnet::IpNet;
pub use problem::{Faults, Problem};

/// Largest configuration file and `file:` list, in bytes; a larger one is a fault.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// As written, with defaults: numbers are within their ranges.
    pub settings: Settings,
    /// Our own name, as an A-label.
    pub hostname: String,
    /// Folder of everything durable.
    pub data: PathBuf,
    /// File with the secret.
    pub secret_file: PathBuf,
    /// Where SMTP listens.
    pub smtp_listen: Vec<SocketAddr>,
    /// Who may sign in.
    pub sign_in: crate::sign_in::Rules,
    /// Mailboxes at providers.
    pub pickup: Vec<Arc<crate::pickup::Account>>,
    /// Where SMTP listens and TLS begins with the first byte.
    pub smtp_listen_tls: Vec<SocketAddr>,
    /// Where users hand in mail, after STARTTLS.
    pub submission_listen: Vec<SocketAddr>,
    /// The same where TLS begins with the first byte.
    pub submission_listen_tls: Vec<SocketAddr>,
    /// The certificate, and the files it came from.
    pub tls: Option<(TlsFiles, Certificate)>,
    /// Where a certificate comes from by itself.
    pub acme: Option<Acme>,
    /// Where the console listens.
    pub console_listen: SocketAddr,
    /// Our own machines.
    pub relay_from: Vec<IpNet>,
    /// Who a recipient is.
    pub directory: Directory,
    /// Which way mail goes.
    pub routes: Routes,
    /// What deliveries to next hops go by.
    pub outgoing: Outgoing,
    /// Thresholds of the judge.
    pub limits: Limits,
    /// What becomes of held mail.
    pub hold: Hold,
    /// What is allowed, but looks like a mistake.
    pub warnings: Vec<String>,
}

/// The files of `[tls]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, in PEM.
    pub certificate: PathBuf,
    /// The key, in PEM.
    pub key: PathBuf,
}

/// `[hold]`, compiled: milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// So long a message is held.
    pub keep_ms: i64,
    /// The operator is reminded so long after; ascending, each once.
    pub remind_ms: Vec<i64>,
}

/// `[next_hops."NAME"]`, compiled.
#[derive(Debug, Clone)]
pub struct NextHopTls {
    /// What is wanted, and for whom.
    pub rule: Rule,
    /// The authorities that count; None: the system's.
    pub authorities: Option<Arc<RootCertStore>>,
    /// The certificate that is shown.
    pub identity: Option<Certificate>,
}

/// How mail goes to next hops: `[relay]`, `[dns]` and `[server] stop_secs`, compiled.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// `eightbit = "bounce"`: 5.6.3 where a next hop lacks 8BITMIME; otherwise sent unchanged.
    pub eightbit_bounces: bool,
    /// Address literals are sent to.
    pub address_literals: bool,
    /// Port of servers found by MX records or named by a literal.
    pub port: u16,
    /// Most sessions at a time.
    pub max_sessions: usize,
    /// Most sessions at a time with one next hop.
    pub max_sessions_per_next_hop: usize,
    /// Most sessions at a time with one address.
    pub max_sessions_per_address: usize,
    /// Most recipients of one transaction.
    pub max_recipients: usize,
    /// How long a session without more mail is kept.
    pub keep_idle: Duration,
    /// DNS servers; empty: the system's.
    pub dns_servers: Vec<SocketAddr>,
    /// Domains are asked for MTA-STS policies.
    pub mta_sts: bool,
    /// DNSSEC is checked, and DANE with it.
    pub dnssec: Dnssec,
    /// What protects connections to next hops.
    pub next_hops: Vec<NextHopTls>,
    /// How long sessions may wait for the answer to the dot when the server stops.
    pub stop_within: Duration,
}

impl Outgoing {
    /// What `next_hops` say, as it decides.
    pub fn rules(&self) -> Rules {
        compile::next_hops::rules(&self.next_hops)
    }
}

impl Config {
    /// Wherever mail comes in.
    pub fn all_listen(&self) -> Vec<SocketAddr> {
        let smtp = [&self.smtp_listen[..], &self.smtp_listen_tls].concat();
        [&smtp[..], &self.submission_listen, &self.submission_listen_tls].concat()
    }

    /// Where the configuration is: `given`, else `./quell.toml`, else `/etc/quell/quell.toml`.
    pub fn search(given: Option<&Path>) -> PathBuf {
        match given {
            Some(path) => path.to_owned(),
            None if Path::new("quell.toml").exists() => PathBuf::from("quell.toml"),
            None => PathBuf::from("/etc/quell/quell.toml"),
        }
    }

    /// Reads `file` and the lists it names. All faults are returned, not the first alone.
    pub fn load(file: &Path) -> Result<Self, Faults> {
        Self::read(file, true)
    }

    fn read(file: &Path, keys: bool) -> Result<Self, Faults> {
        let text = match read_limited(file) {
            Ok(text) => text,
            Err(error) => {
                let help = "give the file with --config FILE; without it ./quell.toml is read, else \
                            /etc/quell/quell.toml. docs/quell.toml.example is one to begin with"
                    .to_owned();
                let message = format!("cannot be read: {error}");
                let problem = Problem { key: String::new(), span: None, message, help };
                let problems = vec![problem];
                return Err(Faults { file: file.to_owned(), text: String::new(), problems });
            }
        };
        Self::compile(file, &text, &machine_name(), keys)
    }

    /// As [`Config::load`], for a command that asks the server or its store: certificates and keys are not
    /// read, which whoever types it may have no right to, and which may be faulty while the server runs on.
    pub fn load_for_command(file: &Path) -> Result<Self, Faults> {
        Self::read(file, false)
    }

    /// As [`Config::load`], of a text. Relative paths start at the folder of `file`.
    /// `machine_name` is the host name where none is set.
    pub fn parse(file: &Path, text: &str, machine_name: &str) -> Result<Self, Faults> {
        Self::compile(file, text, machine_name, true)
    }

    /// `keys`: certificates and keys are read, too.
    fn compile(file: &Path, text: &str, machine_name: &str, keys: bool) -> Result<Self, Faults> {
        compile::compile(file, text, machine_name, keys).map_err(|problems| Faults {
            file: file.to_owned(),
            text: text.to_owned(),
            problems,
        })
    }

    /// Where the certificate is, or will be: by ACME it may come after the start.
    pub fn tls_files(&self) -> Option<TlsFiles> {
        let by_acme = || self.acme.as_ref().map(Acme::files);
        self.tls.as_ref().map(|(files, _)| files.clone()).or_else(by_acme)
    }

    /// Where the Maildirs are.
    pub fn mail_root(&self) -> PathBuf {
        self.data.join("mail")
    }

    /// True for a client in `[relay] from`.
    pub fn is_inside(&self, address: IpAddr) -> bool {
        self.relay_from.iter().any(|net| net.contains(address))
    }

    /// What changes from `old` to `new`, key by key.
    pub fn diff(old: &Self, new: &Self) -> Vec<Change> {
        diff::diff(old, new)
    }
}

/// Reads a text file of at most [`MAX_FILE_BYTES`].
fn read_limited(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(std::io::Error::other("larger than 16 MiB"));
    }
    Ok(text)
}

/// The kernel's host name; `localhost` if it has none.
fn machine_name() -> String {
    // Not from /proc/sys, which a service may not see.
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy();
    let name = name.trim();
    if name.is_empty() || name == "(none)" { "localhost".to_owned() } else { name.to_owned() }
}
