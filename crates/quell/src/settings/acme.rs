//! `[acme]`.

use serde::{Deserialize, Serialize};

use super::{Section, Setting, literal};

section! {
    /// A certificate by ACME (RFC 8555), such as Let's Encrypt gives: the server asks for it and renews it by
    /// itself. Only where quell was built for it: `cargo build --release --features acme`.
    Acme, ACME, "acme" {
        /// Mail address for the authority. Setting it turns ACME on, and says that you agree to the
        /// authority's terms of service. `certificate` and `key` in `[tls]` must be unset then.
        contact: Option<String> = None, "unset: no ACME", hint "\"jane@firm.example\"";
        /// The authority: the URL of its directory (RFC 8555 §7.1.1).
        directory: String = "https://acme-v02.api.letsencrypt.org/directory".to_owned(), "",
            hint "\"https://acme-v02.api.letsencrypt.org/directory\"";
        /// Host names that the certificate is for.
        names: Vec<String> = Vec::new(), "(`server.hostname`)", hint "[\"mx.firm.example\"]";
        /// How it is shown that the names are ours: "http-01" (RFC 8555 §8.3), or "tls-alpn-01" (RFC 8737).
        challenge: String = "http-01".to_owned(), "", hint "\"http-01\"";
        /// Where that is shown: address and port. The authority connects to port 80 for http-01, to 443 for
        /// tls-alpn-01; nothing else is answered there.
        listen: Option<String> = None, "unset: [::]:80 for http-01, [::]:443 for tls-alpn-01",
            hint "\"0.0.0.0:80\"";
        /// File with the certificates, in PEM, by which the authority's own server is known.
        ca_file: Option<String> = None, "unset: those that the system trusts", hint "\"/etc/quell/acme-ca.pem\"";
    }
}
