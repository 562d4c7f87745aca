//! Names of what was negotiated, as IANA's registries have them.

use quell_mail::trace::Tls;
use rustls::{CipherSuite, ProtocolVersion, SupportedCipherSuite};

/// Version and cipher suite; None before they are agreed on.
pub fn negotiated(version: Option<ProtocolVersion>, suite: Option<SupportedCipherSuite>) -> Option<Tls> {
    Some(Tls { version: version_name(version?), cipher: suite_name(suite?.suite()) })
}

fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        _ => "TLS",
    }
}

/// rustls calls the suites of TLS 1.3 `TLS13_…`.
fn suite_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or("unknown"),
    }
}
