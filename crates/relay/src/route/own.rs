//! Who we are, so that no route leads back to us.

use std::net::{IpAddr, SocketAddr};

/// What this server is called and where it listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// Its names, lower-case A-labels: an MX of such a name is ourselves.
    pub names: Vec<String>,
    /// Where it takes SMTP.
    pub listens: Vec<SocketAddr>,
    /// The addresses of this machine: what a listener on all addresses (`0.0.0.0`, `[::]`) hears.
    pub addresses: Vec<IpAddr>,
}

impl Own {
    /// True if `name` (a lower-case A-label) is ours.
    pub fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }

    /// True if a connection to `peer` would reach our own listener, as far as addresses tell: behind
    /// an address translation they do not, and the token in our `Received` has to.
    pub fn listens_at(&self, peer: SocketAddr) -> bool {
        let address = peer.ip().to_canonical();
        let is_here = address.is_loopback()
            || address.is_unspecified()
            || self.addresses.iter().any(|own| own.to_canonical() == address);
        self.listens.iter().any(|own| {
            let listens = own.ip().to_canonical();
            own.port() == peer.port() && (listens == address || (listens.is_unspecified() && is_here))
        })
    }
}
