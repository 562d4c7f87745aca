//! Mail that no class suspects: the operator said so (`[exceptions]` in the configuration).

use std::net::IpAddr;

use crate::facts::Facts;

/// Senders, lists and hosts whose mail is never suspected. It is still counted, and copies of it are still
/// absorbed: that a recipient has a message already is no suspicion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exceptions {
    senders: Vec<String>,
    lists: Vec<String>,
    hosts: Vec<Network>,
}

/// Why a message passes that a class suspects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetPass {
    /// Its reverse-path or author stands in `[exceptions]`.
    Sender,
    /// Its List-Id does.
    List,
    /// Whoever brought it does.
    Host,
    /// A person has released its storm, or this message from the class.
    Released,
}

impl LetPass {
    /// For a sentence: the exception, and where it stands.
    pub fn words(self) -> &'static str {
        match self {
            Self::Sender => "its sender or author is excepted ([exceptions] senders)",
            Self::List => "its mailing list is excepted ([exceptions] lists)",
            Self::Host => "the host that brought it is excepted ([exceptions] hosts)",
            Self::Released => "a person has released its storm, or this message from the rule",
        }
    }
}

/// An address, or all that begin like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// What is written is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write an address, 192.0.2.1, or a network, 192.0.2.0/24")]
pub struct NoNetwork;

impl Network {
    /// `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`.
    ///
    /// # Errors
    /// [`NoNetwork`].
    pub fn parse(text: &str) -> Result<Self, NoNetwork> {
        let (first, bits) = match text.split_once('/') {
            Some((first, bits)) => (first, Some(bits.parse::<u8>().map_err(|_| NoNetwork)?)),
            None => (text, None),
        };
        let first: IpAddr = first.parse().map_err(|_| NoNetwork)?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        // An IPv4 network in IPv6's writing is one of IPv4 (RFC 4291 §2.5.5.2), or larger than all of that.
        let canonical = first.to_canonical();
        let before = if first.is_ipv6() && canonical.is_ipv4() { 96 } else { 0 };
        match bits.checked_sub(before) {
            Some(left) if bits <= most => Ok(Self { first: canonical, bits: left }),
            _ => Err(NoNetwork),
        }
    }

    /// Whether it is so large that hardly anybody is outside of it: an IPv4 network of more than 2^24
    /// addresses, an IPv6 network of 2^112 or more.
    pub fn is_nearly_everybody(&self) -> bool {
        self.bits < if self.first.is_ipv4() { 8 } else { 17 }
    }

    /// Whether `address` is in it.
    pub fn has(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let apart = u32::from(a) ^ u32::from(b);
                apart.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let apart = u128::from(a) ^ u128::from(b);
                apart.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl Exceptions {
    /// Of senders (`jane@firm.example`, or `@firm.example` for everybody there), lists (the id in
    /// List-Id) and networks.
    pub fn new(senders: &[String], lists: &[String], hosts: Vec<Network>) -> Self {
        let lower = |all: &[String]| all.iter().map(|one| one.trim().to_lowercase()).collect();
        Self { senders: lower(senders), lists: lower(lists), hosts }
    }

    /// By which of them an arrival is excepted; None: by none. A sender is believed as it is written: who
    /// forges it is not suspected either.
    pub fn cover(&self, facts: &Facts) -> Option<LetPass> {
        let letter = &facts.said.letter;
        let is_sender = || {
            self.has_sender(&facts.reverse_path)
                || letter.author.as_deref().is_some_and(|author| self.has_sender(author))
        };
        let is_list = || letter.list_id.as_deref().is_some_and(|list| self.lists.iter().any(|l| l == list));
        let is_host = |address| self.hosts.iter().any(|net| net.has(address));
        if !self.senders.is_empty() && is_sender() {
            Some(LetPass::Sender)
        } else if !self.lists.is_empty() && is_list() {
            Some(LetPass::List)
        } else {
            // Of what was collected the address is what its trace says, which may be anybody's word.
            let address = facts.source.address.filter(|_| facts.source.pickup.is_none());
            address.filter(|address| is_host(*address)).map(|_| LetPass::Host)
        }
    }

    fn has_sender(&self, address: &str) -> bool {
        let address = address.to_lowercase();
        self.senders.iter().any(|wanted| match wanted.strip_prefix('@') {
            Some(domain) => address.rsplit_once('@').is_some_and(|(_, there)| there == domain),
            None => *wanted == address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn networks() {
        for (net, address, has) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db8::1", true),
            ("192.0.2.0/24", "::ffff:192.0.2.7", true),
            ("::ffff:192.0.2.0/120", "192.0.2.7", true),
            ("::ffff:192.0.2.0/120", "192.0.3.7", false),
            ("::ffff:192.0.2.7", "192.0.2.7", true),
        ] {
            let net = Network::parse(net).unwrap();
            assert_eq!(net.has(address.parse().unwrap()), has, "{net:?} {address}");
        }
        for bad in ["", "x", "192.0.2.0/33", "2001:db8::/129", "192.0.2.0/", "192.0.2.0/-1", "::ffff:0:0/95"]
        {
            assert_eq!(Network::parse(bad), Err(NoNetwork), "{bad}");
        }
    }

    #[test]
    fn what_is_nearly_everybody() {
        for (net, everybody) in [
            ("0.0.0.0/0", true),
            ("0.0.0.0/1", true),
            ("8.0.0.0/7", true),
            ("10.0.0.0/8", false),
            ("192.0.2.1", false),
            ("::/0", true),
            ("2000::/3", true),
            ("2001:db8::/32", false),
            ("::ffff:0:0/96", true),
        ] {
            assert_eq!(Network::parse(net).unwrap().is_nearly_everybody(), everybody, "{net}");
        }
    }

    proptest! {
        #[test]
        fn any_network_is_asked(first: std::net::IpAddr, bits in 0u8..140, address: std::net::IpAddr) {
            if let Ok(net) = Network::parse(&format!("{first}/{bits}")) {
                net.has(address);
                prop_assert!(bits <= 128 && net.has(first) && net.has(first.to_canonical()));
            }
        }

        #[test]
        fn any_text_is_a_network_or_none(text: String, address: std::net::Ipv6Addr) {
            if let Ok(net) = Network::parse(&text) {
                net.has(address.into());
            }
        }
    }
}
