//! Where mail goes next: the next hop of a recipient, and the hosts that take a domain's mail.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use quell_mail::address;
use quell_queue::destination::Destination;

mod cleared;
mod mx;
mod own;
#[cfg(test)]
mod tests;

pub use cleared::Cleared;
pub use mx::{DnsError, MAX_MX_HOSTS, MxHost, NoRoute, choose_hosts};
pub use own::Own;

/// The port of SMTP between servers (RFC 5321 §4.5.4.2).
pub const SMTP_PORT: u16 = 25;
/// The port of SMTP in implicit TLS (RFC 8314 §7.3).
pub const SMTPS_PORT: u16 = 465;
/// The port that LMTP servers are given by custom; it has none of its own (RFC 2033 §5).
pub const LMTP_PORT: u16 = 24;
/// Longest path of a Unix socket: what `sockaddr_un` holds. A longer one is an error.
pub const MAX_SOCKET_PATH_BYTES: usize = 107;

/// Where a message is delivered to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// A mailbox of this server.
    Maildir,
    /// This server, by SMTP.
    Smtp(Peer),
    /// This server, by LMTP over TCP.
    Lmtp(Peer),
    /// The server at this Unix socket, by LMTP. The path is absolute.
    LmtpUnix(String),
    /// Whatever DNS says of this domain (a lower-case A-label, or what is no domain at all and
    /// fails when it is tried).
    Mx(String),
    /// The server at this address, by SMTP: what an address literal says (RFC 5321 §4.1.3).
    Literal(IpAddr),
}

/// A server by the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Its address or name.
    pub host: Host,
    /// Its TCP port.
    pub port: u16,
    /// TLS from the first byte on (RFC 8314 §3).
    pub implicit_tls: bool,
}

/// An address, or a name that has some.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// IPv4-mapped addresses stand as IPv4.
    Address(IpAddr),
    /// Lower-case A-label.
    Name(String),
}

/// Text that names no next hop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NextHopError {
    /// Neither `maildir` nor a scheme that we speak.
    #[error("it must be \"maildir\" or begin with smtp://, smtps://, lmtp:// or lmtps://")]
    Scheme,
    /// No address and no name of a host.
    #[error("\"{0}\" is neither the name of a host nor an IP address (IPv6 stands in brackets)")]
    Host(String),
    /// No number from 1 to 65535.
    #[error("\"{0}\" is no port")]
    Port(String),
    /// Something after the port.
    #[error("nothing may follow the host and its port")]
    Rest,
    /// A path of a socket with control characters, or over [`MAX_SOCKET_PATH_BYTES`].
    #[error("the path of a socket has at most {MAX_SOCKET_PATH_BYTES} bytes and no control characters")]
    Path,
}

impl NextHop {
    /// Reads `maildir`, `smtp://HOST[:PORT]`, `lmtp://HOST[:PORT]`, the same as `smtps://` and `lmtps://`
    /// for implicit TLS, or `lmtp:///PATH`; HOST is a name, an IPv4 address, or an IPv6 address in
    /// brackets. Ports are [`SMTP_PORT`], [`SMTPS_PORT`] and [`LMTP_PORT`] unless given. [`NextHop::Mx`] and [`NextHop::Literal`] are never written so.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, NextHopError> {
        if text == Destination::maildir().as_str() {
            return Ok(Self::Maildir);
        }
        if let Some(rest) = text.strip_prefix("smtp://") {
            return Ok(Self::Smtp(Peer::parse(rest, SMTP_PORT, false)?));
        }
        if let Some(rest) = text.strip_prefix("smtps://") {
            return Ok(Self::Smtp(Peer::parse(rest, SMTPS_PORT, true)?));
        }
        if let Some(rest) = text.strip_prefix("lmtps://") {
            return Ok(Self::Lmtp(Peer::parse(rest, LMTP_PORT, true)?));
        }
        match text.strip_prefix("lmtp://").ok_or(NextHopError::Scheme)? {
            path if path.starts_with('/') => socket_path(path).map(Self::LmtpUnix),
            rest => Ok(Self::Lmtp(Peer::parse(rest, LMTP_PORT, false)?)),
        }
    }

    /// What its rows wait for. [`NextHop::of_destination`] leads back.
    pub fn destination(&self) -> Destination {
        Destination::new(&self.to_string())
    }

    /// The configuration names the server itself, and no DNS record or sender does.
    pub fn is_configured(&self) -> bool {
        matches!(self, Self::Smtp(_) | Self::Lmtp(_) | Self::LmtpUnix(_))
    }

    /// The next hop that a destination names.
    pub fn of_destination(destination: &Destination) -> Self {
        let name = destination.as_str();
        Self::parse(name).unwrap_or_else(|_| Self::of_domain(name))
    }

    /// Where mail for `domain` goes if nothing else is said.
    fn of_domain(domain: &str) -> Self {
        if let Some(address) = literal(domain) {
            return Self::Literal(address);
        }
        match address::normal_domain(domain) {
            Ok(domain) => Self::Mx(domain),
            // Nobody can be asked about it: it fails when it is tried.
            Err(_) => Self::Mx(domain.to_owned()),
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Maildir => f.write_str(Destination::maildir().as_str()),
            Self::Smtp(peer) => write!(f, "smtp{}://{peer}", peer.s()),
            Self::Lmtp(peer) => write!(f, "lmtp{}://{peer}", peer.s()),
            Self::LmtpUnix(path) => write!(f, "lmtp://{path}"),
            // A domain of that name is not our mailboxes.
            Self::Mx(domain) if domain == Destination::maildir().as_str() => write!(f, "{domain}."),
            Self::Mx(domain) => f.write_str(domain),
            Self::Literal(IpAddr::V4(address)) => write!(f, "[{address}]"),
            Self::Literal(IpAddr::V6(address)) => write!(f, "[ipv6:{address}]"),
        }
    }
}

impl Peer {
    /// `HOST[:PORT]`, as in a URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, default_port: u16, implicit_tls: bool) -> Result<Self, NextHopError> {
        if text.contains(['/', '?', '#']) {
            return Err(NextHopError::Rest);
        }
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, rest)) => {
                let address: Ipv6Addr = address.parse().map_err(|_| NextHopError::Host(text.to_owned()))?;
                (Host::Address(IpAddr::V6(address).to_canonical()), rest)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                (Host::parse(&text[..end])?, &text[end..])
            }
        };
        Ok(Self { host, port: port_of(port, default_port)?, implicit_tls })
    }

    /// What the name of the scheme has behind it.
    fn s(&self) -> &'static str {
        if self.implicit_tls { "s" } else { "" }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, NextHopError> {
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(address.into()));
        }
        host_name(text).map(Self::Name).ok_or_else(|| NextHopError::Host(text.to_owned()))
    }
}

/// What stands behind the host: nothing, or `:PORT`.
fn port_of(text: &str, default_port: u16) -> Result<u16, NextHopError> {
    let Some(digits) = text.strip_prefix(':') else {
        return if text.is_empty() { Ok(default_port) } else { Err(NextHopError::Rest) };
    };
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse() {
        Ok(port @ 1..) if is_number => Ok(port),
        _ => Err(NextHopError::Port(digits.to_owned())),
    }
}

fn socket_path(path: &str) -> Result<String, NextHopError> {
    let fits = (2..=MAX_SOCKET_PATH_BYTES).contains(&path.len()) && !path.contains(char::is_control);
    if fits { Ok(path.to_owned()) } else { Err(NextHopError::Path) }
}

/// DNS can be asked about it.
pub(crate) fn is_host_name(name: &str) -> bool {
    host_name(name).is_some()
}

/// The name of a host as lower-case A-labels. None for what is none, and for what looks like an IP
/// address: no top-level domain is a number (RFC 3696 §2).
pub(crate) fn host_name(text: &str) -> Option<String> {
    let name = address::normal_domain(text).ok().filter(|name| !name.starts_with('['))?;
    let top = name.rsplit('.').next().unwrap_or_default();
    (!top.bytes().all(|b| b.is_ascii_digit())).then_some(name)
}

/// The address that a literal says (RFC 5321 §4.1.3).
fn literal(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => {
            inner[5..].parse::<Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical())
        }
        _ => inner.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// Which way mail goes, by the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// Domains (lower-case A-labels) with a next hop of their own.
    pub domains: HashMap<String, NextHop>,
    /// The smart host for all others. None: they go where DNS says.
    pub via: Option<NextHop>,
}

impl Routes {
    /// The next hop of a recipient identity.
    pub fn of(&self, identity: &str) -> NextHop {
        let domain = address::split(identity).map_or(identity, |(_, domain)| domain);
        let normal = address::normal_domain(domain).unwrap_or_else(|_| domain.to_owned());
        match (self.domains.get(&normal), &self.via) {
            (Some(next_hop), _) | (None, Some(next_hop)) => next_hop.clone(),
            (None, None) => NextHop::of_domain(&normal),
        }
    }
}
