//! An account as configured: which server, who signs in, whose the mail is, what stays there.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quell_relay::collect;
use quell_relay::route::Host;
use quell_wire::pop3::client::Mechanism;
use rustls::{ClientConfig, RootCertStore};

/// Longest name of an account.
pub const MAX_NAME_BYTES: usize = 64;

/// One `[[pickup]]`, checked.
#[derive(Clone)]
pub struct Account {
    /// Its name, and whose its mail is.
    pub mail: Arc<collect::Account>,
    /// Where it is.
    pub server: Server,
    /// Who signs in.
    pub user: String,
    /// With what.
    pub secret: Secret,
    /// The authorities that count; None: the system's.
    pub authorities: Option<Arc<RootCertStore>>,
    /// What TLS is made by; made when it is first needed, so that further sessions are resumed.
    pub client: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
    /// What stays on the server.
    pub keep: Keep,
    /// The mailbox (IMAP).
    pub mailbox: String,
    /// Whether what stays is marked as seen (IMAP).
    pub marks_seen: bool,
    /// The pause between two looks.
    pub poll: Duration,
    /// Whether the server is asked to tell of new mail (IMAP).
    pub idle: bool,
}

/// A server of a provider's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Its name or address.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 1939.
    Pop3,
    /// RFC 9051, RFC 3501.
    Imap,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// From its first byte on (RFC 8314).
    Implicit,
    /// By STLS or STARTTLS, before anybody signs in (RFC 2595).
    Upgrade,
    /// Not at all.
    Never,
}

/// Where the password, or the token, comes from. It is asked for at each sign-in, and not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// The first line of this file.
    File(PathBuf),
    /// This environment variable.
    Env(String),
    /// What this program prints.
    Command(Vec<String>),
    /// An access token that this program prints; None: shown as the server wants it.
    Token(Vec<String>, Option<Mechanism>),
}

/// What stays on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    No,
    /// Each message so many days after it was collected.
    Days(u32),
    /// Everything.
    Yes,
}

impl Account {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.mail.name
    }

    /// Whether it is the same in all that its task goes by.
    pub fn is_same(&self, other: &Self) -> bool {
        let authorities = |account: &Self| account.authorities.as_ref().map(|all| all.roots.clone());
        (&self.mail, &self.server, &self.user, &self.secret, self.keep, &self.mailbox)
            == (&other.mail, &other.server, &other.user, &other.secret, other.keep, &other.mailbox)
            && (self.marks_seen, self.poll, self.idle) == (other.marks_seen, other.poll, other.idle)
            && authorities(self) == authorities(other)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name(), self.server)
    }
}

impl Server {
    /// Its host, as written.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name.clone(),
        }
    }

    /// What our `Received` says (IANA's WITH protocol types have neither; fetchmail and getmail write
    /// the same).
    pub fn with(&self) -> &'static str {
        match (self.protocol, self.tls) {
            (Protocol::Pop3, Tls::Never) => "POP3",
            (Protocol::Pop3, _) => "POP3S",
            (Protocol::Imap, Tls::Never) => "IMAP",
            (Protocol::Imap, _) => "IMAPS",
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::Pop3 => "pop3",
            Protocol::Imap => "imap",
        };
        let s = if self.tls == Tls::Implicit { "s" } else { "" };
        match &self.host {
            Host::Address(address @ std::net::IpAddr::V6(_)) => {
                write!(f, "{scheme}{s}://[{address}]:{}", self.port)
            }
            _ => write!(f, "{scheme}{s}://{}:{}", self.host(), self.port),
        }
    }
}
