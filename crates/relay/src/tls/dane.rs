//! TLSA records (RFC 6698), as far as SMTP uses them (RFC 7672).

/// Most records of one host that are looked at; the rest is ignored.
pub const MAX_RECORDS: usize = 32;

/// One record: what a certificate, or the key in it, must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tlsa {
    /// 2: a certificate authority (DANE-TA); 3: the server's own certificate (DANE-EE).
    pub usage: u8,
    /// 0: the whole certificate; 1: its public key.
    pub selector: u8,
    /// 0: the thing itself; 1: its SHA-256; 2: its SHA-512.
    pub matching: u8,
    /// What it is compared with.
    pub data: Vec<u8>,
}

/// What DNS says of the TLSA records of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// None, or none that is proven: DANE does not count.
    Nothing,
    /// These, proven by DNSSEC as are the way to the host and its addresses. TLS must be had, even if
    /// none can be used. Never empty.
    Proven(Vec<Tlsa>),
}

impl Tlsa {
    /// RFC 7672 §3.1: usages 0 and 1 are not used with SMTP; what has the wrong length can match
    /// nothing, and counts as if it were not there.
    pub fn is_usable(&self) -> bool {
        let fits = match self.matching {
            0 => !self.data.is_empty(),
            1 => self.data.len() == 32,
            2 => self.data.len() == 64,
            _ => false,
        };
        matches!(self.usage, 2 | 3) && matches!(self.selector, 0 | 1) && fits
    }

    /// Whether the record is of a certificate with these DER bytes and this public key
    /// (SubjectPublicKeyInfo in DER). `sha256` and `sha512` are the hashes.
    pub fn matches(
        &self,
        certificate: &[u8],
        public_key: &[u8],
        sha256: impl Fn(&[u8]) -> Vec<u8>,
        sha512: impl Fn(&[u8]) -> Vec<u8>,
    ) -> bool {
        if !self.is_usable() {
            return false;
        }
        let selected = if self.selector == 0 { certificate } else { public_key };
        match self.matching {
            0 => self.data == selected,
            1 => self.data == sha256(selected),
            _ => self.data == sha512(selected),
        }
    }
}
