//! Who may do what.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Method, StatusCode, header};

use super::Console;

/// Names that a Host header may have when no token is given: `localhost`, 127.0.0.1, `[::1]`, the
/// address listened on, the server's hostname; the port must be ours.
#[derive(Debug, Clone)]
pub struct KnownHosts {
    names: Vec<String>,
    port: u16,
}

impl KnownHosts {
    /// For a console that listens on `listen`.
    pub fn new(listen: SocketAddr, hostname: &str) -> Self {
        let of_ip = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let mut names: Vec<_> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).to_vec();
        names.push(of_ip(listen.ip()));
        names.push(hostname.to_ascii_lowercase());
        Self { names, port: listen.port() }
    }

    pub(super) fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    /// Whether `host` (RFC 9110 §7.2) names us. Without a port it means port 80.
    pub fn knows(&self, host: &str) -> bool {
        let bracket = host.rfind(']').unwrap_or(0);
        let (name, port) = match host.rfind(':').filter(|colon| *colon > bracket) {
            Some(colon) => (&host[..colon], port(&host[colon + 1..])),
            None => (host, Some(80)),
        };
        let name = name.to_ascii_lowercase();
        port == Some(self.port) && self.names.contains(&name)
    }
}

/// Digits only: `parse` would take a sign as well.
fn port(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// What a request has shown of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Whoever has the token: the operator.
    Operator,
    /// Anybody on this machine.
    Anybody,
}

/// Whose request it is, if it may go on; else the status and why.
pub(super) fn check(
    console: &Console,
    peer: SocketAddr,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Caller, (StatusCode, &'static str)> {
    match headers.get(header::AUTHORIZATION) {
        Some(value) if console.token.is(bearer(value.as_bytes())) => return Ok(Caller::Operator),
        Some(_) => return Err((StatusCode::UNAUTHORIZED, "the token is wrong; it stands in <data>/token")),
        None => {}
    }
    if *method != Method::GET && *method != Method::HEAD {
        return Err((
            StatusCode::UNAUTHORIZED,
            "this needs `Authorization: Bearer` and the token of <data>/token",
        ));
    }
    if !peer.ip().to_canonical().is_loopback() {
        return Err((StatusCode::FORBIDDEN, "without a token this is for loopback only"));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let known = hosts.next().and_then(|h| h.to_str().ok()).is_some_and(|h| console.hosts.knows(h));
    if !known || hosts.next().is_some() {
        return Err((StatusCode::FORBIDDEN, "the Host header names another server"));
    }
    Ok(Caller::Anybody)
}

/// The token in an Authorization field (RFC 6750 §2.1); empty if there is none, which is no token.
fn bearer(value: &[u8]) -> &[u8] {
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
        _ => b"",
    }
}
