//! `[acme]`, compiled.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::TlsFiles;

/// Where a certificate comes from by itself (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// Mail address for the authority.
    pub contact: String,
    /// The authority's directory, an https URL.
    pub directory: String,
    /// What the certificate is for, as A-labels; at least one.
    pub names: Vec<String>,
    /// How it is shown that they are ours.
    pub challenge: Challenge,
    /// Where that is shown.
    pub listen: SocketAddr,
    /// By which the authority's server is known; None: by those of the system.
    pub ca_file: Option<PathBuf>,
    /// Where account and certificate are kept.
    pub folder: PathBuf,
}

/// How it is shown that a name is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// A file over HTTP (RFC 8555 §8.3).
    Http01,
    /// A certificate in a TLS handshake (RFC 8737).
    TlsAlpn01,
}

impl Challenge {
    /// As ACME has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }

    /// The port that authorities connect to.
    pub fn port(self) -> u16 {
        match self {
            Self::Http01 => 80,
            Self::TlsAlpn01 => 443,
        }
    }
}

impl Acme {
    /// The certificate and its key: one file, so that both change at once.
    pub fn files(&self) -> TlsFiles {
        let file = self.folder.join("certificate.pem");
        TlsFiles { certificate: file.clone(), key: file }
    }
}
