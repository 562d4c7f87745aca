//! TLS where others connect to us: the certificate, how a handshake is made, what was negotiated.
//!
//! TLS 1.2 and 1.3 only, by rustls with ring; the order of the cipher suites is ours.

mod certificate;
mod names;
mod stream;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

pub use certificate::{Certificate, CertificateError, Leaf, authorities};
pub use names::negotiated;
pub use stream::Stream;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection};
use tokio_rustls::TlsAcceptor;

/// A handshake takes no longer.
pub const HANDSHAKE: Duration = Duration::from_secs(30);

/// What signs, hashes and encrypts.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Makes handshakes with the certificate in force.
#[derive(Clone)]
pub struct Acceptor {
    tls: TlsAcceptor,
    certificate: Arc<InForce>,
}

/// The certificate in force; another one serves the next handshake.
#[derive(Debug)]
struct InForce(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for InForce {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Acceptor {
    /// With this certificate.
    ///
    /// # Errors
    /// The system gives no random numbers for session tickets.
    pub fn new(certificate: &Certificate) -> Result<Self, rustls::Error> {
        let in_force = Arc::new(InForce(RwLock::new(certificate.key())));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&in_force) as Arc<dyn ResolvesServerCert>);
        config.ignore_client_order = true;
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        Ok(Self { tls: TlsAcceptor::from(Arc::new(config)), certificate: in_force })
    }

    /// Another certificate from the next handshake on.
    pub fn replace(&self, certificate: &Certificate) {
        *self.certificate.0.write().unwrap_or_else(PoisonError::into_inner) = certificate.key();
    }

    /// Whether handshakes are made with just this certificate.
    pub fn serves(&self, certificate: &Certificate) -> bool {
        self.certificate.0.read().unwrap_or_else(PoisonError::into_inner).cert == certificate.key().cert
    }

    /// Secures a connection on which the client begins with its handshake now.
    ///
    /// # Errors
    /// The handshake failed, or took longer than [`HANDSHAKE`].
    pub async fn accept(&self, stream: Stream) -> io::Result<Stream> {
        let Stream::Plain(stream) = stream else { return Err(io::ErrorKind::InvalidInput.into()) };
        let secured = tokio::time::timeout(HANDSHAKE, self.tls.accept(stream)).await??;
        Ok(Stream::Tls(Box::new(secured)))
    }
}

/// What was negotiated on a connection.
pub fn of_connection(connection: &ServerConnection) -> Option<quell_mail::trace::Tls> {
    negotiated(connection.protocol_version(), connection.negotiated_cipher_suite())
}
