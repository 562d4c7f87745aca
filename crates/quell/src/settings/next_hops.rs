//! `[next_hops."NAME"]`.

use serde::{Deserialize, Serialize};

use super::{Section, Setting, literal};

section! {
    /// How connections to a next hop are protected. NAME is a recipients' domain whose servers are
    /// found by MX records, the host (name, address, or path of a socket) of a `deliver` or `via`, or
    /// "*" for all others but sockets, loopback addresses and localhost; under it smtps:// and lmtps://
    /// require a valid certificate all the same.
    NextHopTable, NEXT_HOP, "next_hops.\"NAME\"" {
        /// "opportunistic": TLS where it is offered, whatever the certificate, else in the clear.
        /// "encrypt": TLS whatever the certificate, else the mail waits. "require": TLS with a
        /// certificate that is valid for the host, else the mail waits. "never": none.
        tls: Option<String> = None,
            "unset: as the domain says by DANE or MTA-STS, else \"opportunistic\"; \"require\" for smtps:// and lmtps://",
            hint "\"require\"";
        /// File with certificates in PEM of the authorities that count for this next hop.
        ca_file: Option<String> = None, "unset: the system's", hint "\"/etc/quell/tls/partner-ca.pem\"";
        /// Name that the certificate must have, where it is not that of the host.
        name: Option<String> = None, "unset: the host's", hint "\"relay.partner.example\"";
        /// File with a certificate in PEM, and those up to its root's, by which this server shows who
        /// it is, where the next hop asks for one.
        certificate: Option<String> = None, "unset: none is shown", hint "\"/etc/quell/tls/client.pem\"";
        /// File with its private key in PEM. Only the server's user and its group may be able to read it.
        key: Option<String> = None, "unset: none is shown", hint "\"/etc/quell/tls/client.key\"";
    }
}
