//! Networks in CIDR notation, for `[relay] from`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// An address and the length of its prefix (RFC 4632 §3.1, RFC 4291 §2.3). Bits behind the prefix
/// are zero; IPv4-mapped networks are kept as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpNet {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotANet {
    /// Neither part can be read.
    #[error("write an address or a network, for example \"192.0.2.7\" or \"192.0.2.0/24\"")]
    Unreadable,
    /// The prefix is longer than the address.
    #[error("the prefix is longer than the address: /32 is the most for IPv4, /128 for IPv6")]
    PrefixTooLong,
    /// Bits behind the prefix are set, so it is unclear what was meant.
    #[error("bits behind the prefix are set: write {0}, or a longer prefix")]
    HostBits(IpNet),
}

/// Private and loopback ranges: RFC 1918, RFC 1122 §3.2.1.3, RFC 3927, RFC 4193, RFC 4291.
const PRIVATE: [&str; 8] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// IPv4-mapped IPv6 addresses (`::ffff:192.0.2.7`) as the IPv4 address that they are.
pub fn unmap(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// True for loopback, link-local and private addresses: nobody on the open internet has one.
pub fn is_private(address: IpAddr) -> bool {
    private_nets().any(|net| net.contains(address))
}

fn private_nets() -> impl Iterator<Item = IpNet> {
    PRIVATE.iter().filter_map(|text| text.parse().ok())
}

impl IpNet {
    /// True if `address` (IPv4-mapped ones unmapped first) lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(unmap(address), self.prefix) == Some(self.address)
            && unmap(address).is_ipv4() == self.address.is_ipv4()
    }

    /// True if every address of it is private (see [`is_private`]).
    pub fn is_private(&self) -> bool {
        private_nets().any(|net| net.prefix <= self.prefix && net.contains(self.address))
    }
}

/// `address` with the bits behind `prefix` cleared; None if the prefix is too long for it.
fn masked(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    let prefix = u32::from(prefix);
    Some(match address {
        IpAddr::V4(v4) if prefix <= 32 => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) if prefix <= 128 => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
        _ => return None,
    })
}

impl FromStr for IpNet {
    type Err = NotANet;

    fn from_str(text: &str) -> Result<Self, NotANet> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let given: IpAddr = address.parse().map_err(|_| NotANet::Unreadable)?;
        let widest = if given.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = match prefix {
            Some(digits) => digits.parse().map_err(|_| NotANet::Unreadable)?,
            None => widest,
        };
        let start = masked(given, prefix).ok_or(NotANet::PrefixTooLong)?;
        let net = unmapped_net(start, prefix);
        if start == given { Ok(net) } else { Err(NotANet::HostBits(net)) }
    }
}

/// `::ffff:192.0.2.0/120` is `192.0.2.0/24`: clients' addresses are unmapped before they are compared.
fn unmapped_net(address: IpAddr, prefix: u8) -> IpNet {
    match unmap(address) {
        v4 @ IpAddr::V4(_) if address.is_ipv6() && prefix >= 96 => IpNet { address: v4, prefix: prefix - 96 },
        _ => IpNet { address, prefix },
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nets_contain_what_they_should() {
        let cases = [
            ("127.0.0.0/8", "127.9.9.9", true),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("127.0.0.0/8", "128.0.0.1", false),
            ("0.0.0.0/0", "9.9.9.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "9.9.9.9", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
        ];
        for (net, address, inside) in cases {
            let parsed: IpNet = net.parse().unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), inside, "{net} {address}");
        }
    }

    #[test]
    fn refuses_with_a_reason() {
        assert_eq!("10.0.0.0/33".parse::<IpNet>(), Err(NotANet::PrefixTooLong));
        assert_eq!("firm.example".parse::<IpNet>(), Err(NotANet::Unreadable));
        let Err(NotANet::HostBits(net)) = "10.1.2.3/8".parse::<IpNet>() else { panic!() };
        assert_eq!(net.to_string(), "10.0.0.0/8");
    }

    #[test]
    fn private_means_wholly_private() {
        for (net, private) in [
            ("10.0.0.0/8", true),
            ("10.3.0.0/16", true),
            ("8.0.0.0/5", false),
            ("0.0.0.0/0", false),
            ("::/0", false),
            ("fd00::/8", true),
        ] {
            assert_eq!(net.parse::<IpNet>().unwrap().is_private(), private, "{net}");
        }
    }

    proptest! {
        #[test]
        fn text_and_back(bits: u32, prefix in 0u8..=32) {
            let address = masked(IpAddr::V4(bits.into()), prefix).unwrap();
            let net = IpNet { address, prefix };
            prop_assert_eq!(net.to_string().parse(), Ok(net));
            prop_assert!(net.contains(address));
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<IpNet>();
        }
    }
}
