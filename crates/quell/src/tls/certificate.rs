//! A certificate and its key, from files.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Largest file with certificates or a key.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Most certificates of a chain.
const MAX_CHAIN: usize = 16;

/// A certificate with its key, and what it says.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    /// What its own certificate says.
    pub leaf: Leaf,
}

/// What the server's own certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Host names it is for, in lower case; `*.` may stand in front.
    pub names: Vec<String>,
    /// Valid from and until: seconds since 1970.
    pub not_before_secs: i64,
    /// See above.
    pub not_after_secs: i64,
    /// Its issuer is itself: nobody else vouches for it.
    pub is_self_signed: bool,
}

/// Why there is no certificate. Names the file; never shows what is in it.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file.
    #[error("{0}: cannot be read: {1}")]
    Io(PathBuf, std::io::Error),
    /// No certificates in PEM.
    #[error("{0}: there is no certificate in it (PEM, BEGIN CERTIFICATE)")]
    NoCertificate(PathBuf),
    /// A certificate that is none.
    #[error("{0}: a certificate in it cannot be read")]
    BadCertificate(PathBuf),
    /// No key in PEM.
    #[error("{0}: there is no private key in it (PEM, BEGIN PRIVATE KEY)")]
    NoKey(PathBuf),
    /// A key of a kind that rustls does not use, or one that is not the certificate's.
    #[error("{0}: {1}")]
    BadKey(PathBuf, String),
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn load(chain_file: &Path, key_file: &Path) -> Result<Self, CertificateError> {
        Self::parse((&read(chain_file)?, chain_file), (&read(key_file)?, key_file))
    }

    /// Of the content of both files.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn parse(
        (chain, chain_file): (&[u8], &Path),
        (key, key_file): (&[u8], &Path),
    ) -> Result<Self, CertificateError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).take(MAX_CHAIN).collect();
        let chain = chain.map_err(|_| CertificateError::BadCertificate(chain_file.to_owned()))?;
        let Some(own) = chain.first() else {
            return Err(CertificateError::NoCertificate(chain_file.to_owned()));
        };
        let leaf = Leaf::read(own).ok_or_else(|| CertificateError::BadCertificate(chain_file.to_owned()))?;
        let key = PrivateKeyDer::from_pem_slice(key);
        let key = key.map_err(|_| CertificateError::NoKey(key_file.to_owned()))?;
        let key = CertifiedKey::from_der(chain, key, &super::provider()).map_err(|why| {
            let why = match why {
                rustls::Error::InconsistentKeys(_) => {
                    format!("the key is not that of the certificate in {}", chain_file.display())
                }
                why => format!("the key cannot be used: {why}"),
            };
            CertificateError::BadKey(key_file.to_owned(), why)
        })?;
        Ok(Self { key: Arc::new(key), leaf })
    }

    pub(crate) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

impl Leaf {
    fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        let names = alternatives.into_iter().flat_map(|names| &names.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        let validity = certificate.validity();
        Some(Self {
            names: names.collect(),
            not_before_secs: validity.not_before.timestamp(),
            not_after_secs: validity.not_after.timestamp(),
            is_self_signed: certificate.issuer() == certificate.subject(),
        })
    }

    /// Whether it is for this host (RFC 6125 §6.4.3: `*` is one whole label, the first).
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(of) => Some(of) == parent,
            None => *name == host,
        })
    }
}

/// The authorities in a file.
///
/// # Errors
/// [`CertificateError`]: it cannot be read, or there is no certificate in it.
pub fn authorities(file: &Path) -> Result<RootCertStore, CertificateError> {
    let bad = |_| CertificateError::BadCertificate(file.to_owned());
    let pem = read(file)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots
            .add(certificate.map_err(bad)?)
            .map_err(|_| CertificateError::BadCertificate(file.to_owned()))?;
    }
    if roots.is_empty() {
        return Err(CertificateError::NoCertificate(file.to_owned()));
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let io = |e| CertificateError::Io(path.to_owned(), e);
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(io)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io(std::io::Error::other("larger than 1 MiB")));
    }
    Ok(bytes)
}
