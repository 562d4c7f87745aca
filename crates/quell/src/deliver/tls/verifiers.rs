//! Who is taken for the next hop, where no authority of a list decides.

use std::sync::Arc;

use quell_relay::tls::dane::Tlsa;
use ring::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::tls::provider;

/// What is said where no record matches.
pub(super) const NO_MATCH: &str = "its certificate matches none of its TLSA records";

/// Anybody: keeps out who only listens. Signatures are not looked at either, since whoever stands there
/// may have any key; so certificates of old kinds do.
#[derive(Debug)]
pub(super) struct Anybody(Arc<CryptoProvider>);

impl Default for Anybody {
    fn default() -> Self {
        Self(provider())
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Whom TLSA records name (RFC 7672 §3.1).
#[derive(Debug)]
pub(super) struct Dane {
    records: Arc<[Tlsa]>,
    names: Vec<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Dane {
    /// `names` are those that a certificate under a named authority may have.
    pub fn new(records: &Arc<[Tlsa]>, names: &[String]) -> Self {
        let names = names.iter().filter_map(|name| ServerName::try_from(name.clone()).ok()).collect();
        Self { records: Arc::clone(records), names, provider: provider() }
    }

    /// The records of this usage that are of a certificate.
    fn name(&self, usage: u8, certificate: &CertificateDer<'_>) -> bool {
        let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return false };
        let public_key = parsed.subject_public_key_info();
        let hash = |with: &'static digest::Algorithm| {
            move |bytes: &[u8]| digest::digest(with, bytes).as_ref().to_vec()
        };
        self.records.iter().filter(|record| record.usage == usage).any(|record| {
            record.matches(certificate, &public_key, hash(&digest::SHA256), hash(&digest::SHA512))
        })
    }

    /// The authorities that records name: certificates of the chain, and those that stand whole in a
    /// record.
    fn authorities(&self, chain: &[CertificateDer<'_>]) -> RootCertStore {
        let in_records = self
            .records
            .iter()
            .filter(|record| (record.usage, record.selector, record.matching) == (2, 0, 0));
        let in_records = in_records.map(|record| CertificateDer::from(record.data.as_slice()));
        let in_chain = chain.iter().filter(|certificate| self.name(2, certificate)).cloned();
        let mut authorities = RootCertStore::empty();
        authorities.add_parsable_certificates(in_chain.chain(in_records).map(CertificateDer::into_owned));
        authorities
    }
}

impl ServerCertVerifier for Dane {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // RFC 7672 §3.1.1: neither the name nor the time in the server's own certificate counts.
        if self.name(3, end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let authorities = self.authorities(intermediates);
        let mut why = Error::General(NO_MATCH.to_owned());
        if authorities.is_empty() {
            return Err(why);
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&self.provider))
                .build()
                .map_err(|why| Error::General(why.to_string()))?;
        for name in &self.names {
            match verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now) {
                Ok(verified) => return Ok(verified),
                Err(because) => why = because,
            }
        }
        Err(why)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
