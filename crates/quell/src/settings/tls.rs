//! `[tls]`.

use serde::{Deserialize, Serialize};

use super::{Section, Setting, literal};

section! {
    /// The certificate by which this server shows who it is: to clients that bring mail, and on the
    /// console.
    Tls, TLS, "tls" {
        /// File with the certificate in PEM, and behind it those up to its root's: what Certbot calls
        /// fullchain.pem. With it STARTTLS is offered wherever SMTP listens. It is read again when it
        /// changes, within a minute, and on SIGHUP.
        certificate: Option<String> = None, "unset: no TLS", hint "\"/etc/quell/tls/fullchain.pem\"";
        /// File with its private key in PEM. Nobody else should be able to read it, and the server's
        /// user must be, also after the start, or a new one cannot be taken.
        key: Option<String> = None, "unset: no TLS", hint "\"/etc/quell/tls/privkey.pem\"";
    }
}
