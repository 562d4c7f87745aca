//! TLS where we connect to others: by which authorities, with which certificate of our own, and what
//! came of it.

#[cfg(test)]
mod tests;
mod verifiers;
mod words;

pub use words::{in_words, is_of_tls};

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use quell_relay::attempt::{HANDSHAKE_SECS, Target};
use quell_relay::tls::{By, Check};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use self::verifiers::{Anybody, Dane};
use crate::config::NextHopTls;
use crate::tls::{negotiated, provider};

/// A handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(HANDSHAKE_SECS);

/// What all connections to next hops go by: one for each entry of `[next_hops]`.
pub struct Clients {
    named: HashMap<String, Client>,
    /// Without an entry.
    plain: Client,
    system: OnceLock<Result<Arc<RootCertStore>, String>>,
}

/// What one entry says. Its configurations are made when they are first needed, and kept: they remember
/// sessions, so that most handshakes are short.
#[derive(Default)]
struct Client {
    authorities: Option<Arc<RootCertStore>>,
    identity: Option<Arc<CertifiedKey>>,
    anybody: OnceLock<Result<Arc<ClientConfig>, String>>,
    known: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Clients {
    /// By the configuration.
    pub fn new(next_hops: &[NextHopTls]) -> Self {
        let client = |one: &NextHopTls| Client {
            authorities: one.authorities.clone(),
            identity: one.identity.as_ref().map(crate::tls::Certificate::key),
            ..Client::default()
        };
        let named = next_hops.iter().map(|one| (one.rule.name.clone(), client(one))).collect();
        Self { named, plain: Client::default(), system: OnceLock::new() }
    }

    /// Makes `stream` a TLS connection with the target: it, and what was negotiated, for the log.
    ///
    /// # Errors
    /// Why it cannot be, in words for the operator.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        target: &Target,
        stream: S,
    ) -> Result<(TlsStream<S>, String), String> {
        let (config, name) = (self.config(target)?, server_name(target));
        let connecting = TlsConnector::from(config).connect(name, stream);
        let stream = match tokio::time::timeout(HANDSHAKE, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(why)) => return Err(in_words(&why)),
            Err(_) => return Err("the handshake takes too long".to_owned()),
        };
        let facts = facts(stream.get_ref().1, &target.tls.check);
        Ok((stream, facts))
    }

    /// A configuration for public servers whose certificates the system's authorities vouch for.
    ///
    /// # Errors
    /// There are none.
    pub fn public(&self) -> Result<Arc<ClientConfig>, String> {
        self.plain.known(|| self.system())
    }

    fn config(&self, target: &Target) -> Result<Arc<ClientConfig>, String> {
        let client = self.named.get(&target.tls.rule).unwrap_or(&self.plain);
        match &target.tls.check {
            Check::Nothing => client.anybody(),
            Check::Name { .. } => client.known(|| self.system()),
            // Its records may be others at the next connection: nothing is kept.
            Check::Dane { records, names } => client.make(Arc::new(Dane::new(records, names))).map(Arc::new),
        }
    }

    fn system(&self) -> Result<Arc<RootCertStore>, String> {
        self.system.get_or_init(system_authorities).clone()
    }
}

impl Client {
    fn anybody(&self) -> Result<Arc<ClientConfig>, String> {
        self.anybody.get_or_init(|| self.make(Arc::new(Anybody::default())).map(Arc::new)).clone()
    }

    fn known(
        &self,
        system: impl Fn() -> Result<Arc<RootCertStore>, String>,
    ) -> Result<Arc<ClientConfig>, String> {
        let of = || self.authorities.clone().map_or_else(&system, Ok);
        self.known.get_or_init(|| self.make(authorised(of()?)?).map(Arc::new)).clone()
    }

    fn make(&self, verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, String> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|why| why.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        Ok(match &self.identity {
            Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key)))),
            None => builder.with_no_client_auth(),
        })
    }
}

fn authorised(authorities: Arc<RootCertStore>) -> Result<Arc<WebPkiServerVerifier>, String> {
    WebPkiServerVerifier::builder_with_provider(authorities, provider())
        .build()
        .map_err(|why| why.to_string())
}

/// A configuration for servers whose certificates `authorities` vouch for; None: the system's.
///
/// # Errors
/// The system has none.
pub fn trusting(authorities: Option<Arc<RootCertStore>>) -> Result<Arc<ClientConfig>, String> {
    let client = Client { authorities, ..Client::default() };
    client.known(system_authorities)
}

/// Those of the system. One that cannot be read is left out.
fn system_authorities() -> Result<Arc<RootCertStore>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut authorities = RootCertStore::empty();
    authorities.add_parsable_certificates(found.certs);
    if authorities.is_empty() {
        return Err(
            "the system knows no certificate authority: install ca-certificates, or write ca_file".to_owned()
        );
    }
    Ok(Arc::new(authorities))
}

/// The name that is asked for (SNI), and looked for. What has none asks for none.
fn server_name(target: &Target) -> ServerName<'static> {
    let name = match &target.tls.check {
        Check::Name { name, .. } => name,
        Check::Nothing | Check::Dane { .. } => &target.name,
    };
    ServerName::try_from(name.clone()).unwrap_or_else(|_| IpAddr::V4(Ipv4Addr::UNSPECIFIED).into())
}

/// `TLSv1.3 TLS_AES_256_GCM_SHA384 verified`.
fn facts(connection: &ClientConnection, check: &Check) -> String {
    let how = match check {
        Check::Nothing => "unverified",
        Check::Name { by: By::Configuration, .. } => "verified",
        Check::Name { by: By::MtaSts, .. } => "sts",
        Check::Dane { .. } => "dane",
    };
    match negotiated(connection.protocol_version(), connection.negotiated_cipher_suite()) {
        Some(tls) => format!("{} {} {how}", tls.version, tls.cipher),
        None => format!("TLS {how}"),
    }
}
