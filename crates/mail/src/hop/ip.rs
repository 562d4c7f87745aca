//! Addresses as stamps write them: `192.0.2.1`, `[192.0.2.1]:25`, `[IPv6:2001:db8::1]`,
//! `fe80::1%6`, and with a port after a colon or a dot.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest text of an IPv6 address (RFC 4291 §2.2).
const MAX_V6_BYTES: usize = 45;

/// The address that all of `text` is, and its port. Brackets, parentheses in them and `IPv6:` are
/// taken off; an address of IPv4 mapped into IPv6 is one of IPv4.
pub(super) fn read(text: &[u8]) -> Option<(IpAddr, Option<u16>)> {
    let text = text.trim_ascii();
    if let [b'[', inside @ ..] = text {
        let end = memchr::memchr(b']', inside)?;
        let (ip, within) = read_bare(inside[..end].trim_ascii())?;
        let behind = match &inside[end + 1..] {
            b"" => None,
            [b':', digits @ ..] => Some(port(digits)?),
            _ => return None,
        };
        return Some((ip, within.or(behind)));
    }
    read_bare(text)
}

/// Whether an address is one that the next server on the public network would see: none of a house (RFC 1918, RFC 4193),
/// of a provider's own network (RFC 6598), of one link or machine.
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared)
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local())
        }
    }
}

/// Whether `text` can begin an address at all: a quick look that spares most words the reading.
fn may_begin(text: &[u8]) -> bool {
    text.first().is_some_and(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'i' | b'I' | b'('))
}

fn read_bare(text: &[u8]) -> Option<(IpAddr, Option<u16>)> {
    if !may_begin(text) {
        return None;
    }
    if let Some(inside) = text.strip_prefix(b"(").and_then(|t| t.strip_suffix(b")")) {
        return read_bare(inside);
    }
    if let Some((v4, rest)) = v4(text) {
        return match rest {
            [] => Some((v4.into(), None)),
            [b':' | b'.', digits @ ..] => Some((v4.into(), Some(port(digits)?))),
            _ => None,
        };
    }
    v6(text).map(|ip| (ip, None))
}

fn port(digits: &[u8]) -> Option<u16> {
    if !(1..=5).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0u32, |n, d| n * 10 + u32::from(d - b'0'));
    u16::try_from(number).ok()
}

/// Dotted decimal at the beginning of `text`, and what follows it.
fn v4(text: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let (mut octets, mut at) = ([0u8; 4], 0);
    for (n, octet) in octets.iter_mut().enumerate() {
        if n > 0 {
            (text.get(at) == Some(&b'.')).then_some(())?;
            at += 1;
        }
        let start = at;
        let mut number = 0u32;
        while let Some(digit @ b'0'..=b'9') = text.get(at) {
            number = number * 10 + u32::from(digit - b'0');
            at += 1;
            (at - start <= 3).then_some(())?;
        }
        (at > start).then_some(())?;
        *octet = u8::try_from(number).ok()?;
    }
    Some((Ipv4Addr::from(octets), &text[at..]))
}

fn v6(text: &[u8]) -> Option<IpAddr> {
    let tagged = text.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case(b"ipv6:"));
    let text = if tagged { &text[5..] } else { text };
    // A zone index (RFC 4007 §11) is of use on that machine only.
    let text = &text[..memchr::memchr(b'%', text).unwrap_or(text.len())];
    if text.len() > MAX_V6_BYTES || memchr::memchr(b':', text).is_none() {
        // Some write `[IPv6:192.0.2.1]`.
        return if tagged {
            v4(text).filter(|(_, rest)| rest.is_empty()).map(|(ip, _)| ip.into())
        } else {
            None
        };
    }
    let ip: Ipv6Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(IpAddr::V6(ip).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, ip, port) in [
            ("192.0.2.1", "192.0.2.1", None),
            ("[192.0.2.1]", "192.0.2.1", None),
            (" 192.0.2.1 ", "192.0.2.1", None),
            ("[192.0.2.1]:21818", "192.0.2.1", Some(21818)),
            ("192.0.2.1:25", "192.0.2.1", Some(25)),
            ("[192.0.2.1:25]", "192.0.2.1", Some(25)),
            ("[192.0.2.1.63559]", "192.0.2.1", Some(63559)),
            ("[(192.0.2.1)]", "192.0.2.1", None),
            ("[IPv6:::ffff:192.0.2.1]", "192.0.2.1", None),
            ("::ffff:192.0.2.1", "192.0.2.1", None),
            ("[IPV6:2001:DB8::1]:25", "2001:db8::1", Some(25)),
            ("fe80::1%6", "fe80::1", None),
            ("2401:db00:1110:50e8:face:0000:002f:0000", "2401:db00:1110:50e8:face:0:2f:0", None),
            ("[IPv6:192.0.2.1]", "192.0.2.1", None),
        ] {
            assert_eq!(read(text.as_bytes()), Some((ip.parse().unwrap(), port)), "{text}");
        }
    }

    #[test]
    fn of_a_house_and_of_the_world() {
        for ip in ["192.0.2.1", "100.63.255.255", "100.128.0.0", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.0.1",
            "127.0.0.1",
            "169.254.0.1",
            "0.0.0.0",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["::", "::1", "fc00::1", "fdff::1", "fe80::1", "febf::1", "::ffff:10.0.0.1"] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn no_addresses() {
        for text in [
            "",
            "[",
            "[]",
            "1.2.3",
            "1.2.3.256",
            "1.2.3.4.5.6",
            "1.2.3.4a",
            "1234.2.3.4",
            "1.2.3.4:99999",
            "8.12.6/8.9.3",
            "[1.2.3.4]x",
            "?.?.?.?",
            "abc",
            "((((((",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
