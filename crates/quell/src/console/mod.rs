//! The console's HTTP: health, metrics, storms.
//!
//! `GET /healthz`, `GET /metrics`, `GET /api/v1/storms`, `GET /api/v1/storms/{id}`,
//! `GET /api/v1/storms/{id}/held`, `POST /api/v1/storms/{id}/release|discard`.
//!
//! Who may: with `Authorization: Bearer` and the token, anybody; without a token GET only, from
//! loopback, and with a Host header that names us, so that a page in the operator's browser can
//! reach nothing by a name that it has made to point here (DNS rebinding).

mod access;
mod handlers;
mod held;
mod server;
#[cfg(test)]
mod tests;

pub use access::KnownHosts;
pub use server::serve;

use std::sync::Arc;

use crate::data::Token;
use crate::metrics::Metrics;
use crate::ops::Ask;
use crate::tls::Acceptor;

/// What makes TLS handshakes at this moment; None: there is no certificate any more.
pub type TlsNow = Box<dyn Fn() -> Option<Acceptor> + Send + Sync>;

/// What the console needs.
pub struct Console {
    /// The way to the desk.
    pub ask: Ask,
    /// The numbers.
    pub metrics: Arc<Metrics>,
    /// `<data>/token`.
    pub token: Token,
    /// Names that a Host header may have.
    pub hosts: KnownHosts,
    /// For HTTPS: what makes handshakes now.
    pub tls: Option<TlsNow>,
}
