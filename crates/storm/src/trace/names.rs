//! Names and addresses of machines, as far as stamps tell them.

use std::net::IpAddr;

/// Second-level domains below which names are given away in two-letter domains.
const SHARED_SECOND: [&str; 16] =
    ["co", "com", "net", "org", "ac", "gov", "edu", "or", "ne", "gr", "go", "ltd", "plc", "me", "sch", "asn"];

/// The part of a host name that one owner has: its last two labels, or three below `co.uk` and the like.
/// An approximation of the public suffix list that errs towards two names being one owner's only where
/// many share a domain of the second level. None: it has no dot, or is an address.
pub(super) fn owner(name: &str) -> Option<&str> {
    let name = name.trim_end_matches('.');
    if name.parse::<IpAddr>().is_ok() || name.starts_with('[') {
        return None;
    }
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    let last = dots.next()?;
    let Some(second) = dots.next() else { return Some(name) };
    let top = &name[last + 1..];
    let below = &name[second + 1..last];
    // Names in documentation and tests (RFC 2606) imitate both `firm.ie` and `firm.co.uk`.
    let is_reserved = matches!(top, "example" | "test") && below.len() <= 3;
    if is_reserved || (top.len() == 2 && SHARED_SECOND.contains(&below)) {
        return Some(dots.next().map_or(name, |third| &name[third + 1..]));
    }
    Some(&name[second + 1..])
}

/// Whether two names have the same owner.
pub(super) fn same_owner(a: &str, b: &str) -> bool {
    let mine = || owner(a).filter(|_| !is_inner(a)).map(firm);
    a == b || mine().is_some_and(|mine| owner(b).map(firm) == Some(mine))
}

/// Who has a host, as everybody knows him; None for a name that only its own house knows.
pub(crate) fn owner_known_outside(name: &str) -> Option<&str> {
    (is_telling(name) && !is_inner(name)).then(|| owner(name).map(firm)).flatten()
}

/// Providers that hand mail from one of their domains to another, by the first of these.
fn firm(owner: &str) -> &str {
    const FIRMS: [&[&str]; 4] = [
        &["outlook.com", "office365.com", "exchangelabs.com", "microsoft.com", "hotmail.com"],
        &["google.com", "googlemail.com", "gmail.com", "1e100.net"],
        &["yahoo.com", "yahoodns.net", "yahoo.net"],
        &["zoho.com", "zohomail.com", "zoho.eu", "zohomail.eu"],
    ];
    FIRMS.iter().find(|domains| domains.contains(&owner)).map_or(owner, |domains| domains[0])
}

/// The word that a house is called by: of `mail.firm.example` and of `server.firm.local` it is `firm`. None:
/// the name has none, or one that says nothing.
pub(super) fn house(name: &str) -> Option<&str> {
    const NOTHING: [&str; 14] = [
        "server",
        "sbs",
        "mail",
        "exchange",
        "smallbusiness",
        "domain",
        "office",
        "company",
        "local",
        "home",
        "network",
        "workgroup",
        "internal",
        "example",
    ];
    let whole = if is_inner(name) { name.rsplit_once('.')?.0 } else { owner(name)?.split('.').next()? };
    let word = whole.rsplit('.').next()?;
    (word.len() > 3 && !NOTHING.contains(&word)).then_some(word)
}

/// Whether two names have the same owner, or one is an inner name of the house that the other names.
pub(super) fn same_house(a: &str, b: &str) -> bool {
    same_owner(a, b) || ((is_inner(a) || is_inner(b)) && house(a).is_some() && house(a) == house(b))
}

/// Whether a name says anything about who it is.
pub(crate) fn is_telling(name: &str) -> bool {
    !name.is_empty()
        && !matches!(
            name,
            "unknown" | "localhost" | "localhost.localdomain" | "local" | "mail pickup service"
        )
        && !name.starts_with("localhost")
        && name.parse::<IpAddr>().is_err()
        && !name.starts_with('[')
}

/// Whether only its own house knows this name: without a dot, or below a domain that the public
/// network does not have (RFC 6762 appendix G, RFC 2606, RFC 9476).
pub(crate) fn is_inner(name: &str) -> bool {
    const INNER: [&str; 12] = [
        "local",
        "lan",
        "internal",
        "intern",
        "intranet",
        "private",
        "corp",
        "home",
        "localdomain",
        "office",
        "domain",
        "priv",
    ];
    match name.trim_end_matches('.').rsplit_once('.') {
        None => true,
        Some((_, last)) => INNER.contains(&last),
    }
}

/// Whether a name is made of an address: one of a customer's line, which tells of the provider alone.
pub(super) fn is_made_of_address(name: &str, ip: Option<IpAddr>) -> bool {
    let v4 = match ip.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(v4)) => v4,
        Some(IpAddr::V6(v6)) => {
            let parts: Vec<&str> = name.split(['-', '.', ':', '_']).collect();
            let groups =
                v6.segments().into_iter().filter(|group| *group != 0).map(|group| format!("{group:x}"));
            return groups.filter(|group| parts.contains(&group.as_str())).count() >= 3;
        }
        None => return name.bytes().filter(u8::is_ascii_digit).count() >= 12,
    };
    let (mut found, octets) = (0u8, v4.octets());
    for digits in
        name.as_bytes().split(|b| !b.is_ascii_digit()).filter(|digits| (1..=3).contains(&digits.len()))
    {
        let number = digits.iter().fold(0u16, |number, digit| number * 10 + u16::from(digit - b'0'));
        let place =
            octets.iter().enumerate().find(|(i, o)| found & (1 << i) == 0 && u16::from(**o) == number);
        found |= place.map_or(0, |(i, _)| 1 << i);
    }
    found.count_ones() >= 3 || has_padded(name, v4)
}

/// Whether a machine is called what providers call those that take in and pass on.
pub(super) fn is_called_relay(name: &str) -> bool {
    const PASS_ON: [&str; 10] =
        ["smtp", "mx", "mxin", "relay", "out", "mailout", "smarthost", "outbound", "mta", "gw"];
    let first = name.split('.').next().unwrap_or_default();
    let first = first.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    name.contains('.') && PASS_ON.contains(&first)
}

/// Whether a name holds an address as twelve digits in a row.
fn has_padded(name: &str, v4: std::net::Ipv4Addr) -> bool {
    let mut run = name.as_bytes().split(|b| !b.is_ascii_digit()).filter(|digits| digits.len() == 12);
    run.any(|digits| {
        let octets =
            digits.chunks(3).map(|three| three.iter().fold(0u16, |n, d| n * 10 + u16::from(d - b'0')));
        octets.eq(v4.octets().into_iter().map(u16::from))
    })
}

/// A name in lower case, without brackets, dots at its end and what cannot stand in one.
pub(super) fn clean(name: &[u8]) -> String {
    const AROUND: &[u8] = b"<>[](),;\" \t\r\n";
    let mut name = name;
    while let [first, rest @ ..] = name
        && AROUND.contains(first)
    {
        name = rest;
    }
    while let [rest @ .., last] = name
        && (AROUND.contains(last) || *last == b'.')
    {
        name = rest;
    }
    let mut text = String::from_utf8_lossy(name).into_owned();
    text.make_ascii_lowercase();
    text
}

/// The address in a field such as From or Delivered-To, in lower case: within the last angle brackets,
/// or the first word with an `@`.
pub(crate) fn address_in(value: &str) -> Option<String> {
    let inner = value.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(inner, _)| inner);
    let word = inner.or_else(|| value.split([' ', ',', ';', '"']).find(|word| word.contains('@')))?;
    let word = word.trim().trim_matches(['<', '>']);
    (word.contains('@') && word.len() <= 320).then(|| word.to_lowercase())
}

/// Whether an address is one of a role, which several people or one may read (RFC 2142, and what firms use).
pub(super) fn is_role(address: &str) -> bool {
    const ROLES: [&str; 32] = [
        "info",
        "sales",
        "office",
        "accounts",
        "admin",
        "support",
        "contact",
        "mail",
        "post",
        "team",
        "help",
        "service",
        "marketing",
        "billing",
        "postmaster",
        "webmaster",
        "hostmaster",
        "abuse",
        "noc",
        "security",
        "hr",
        "jobs",
        "orders",
        "enquiries",
        "reception",
        "all",
        "staff",
        "everyone",
        "news",
        "press",
        "buero",
        "kontakt",
    ];
    address.split(['@', '+', '-', '.']).next().is_some_and(|local| ROLES.contains(&local))
}

/// Whether a mailbox keeps what is for others: copies that lie there may be each for somebody else.
pub(super) fn is_keepers(address: &str) -> bool {
    const KEEPERS: [&str; 9] =
        ["archive", "archiv", "journal", "backup", "copies", "catchall", "catch-all", "compliance", "bcc"];
    KEEPERS.contains(&address.split(['@', '+']).next().unwrap_or_default())
}

/// Whether To holds an address of an inner host beside others: one that was torn in two (INCIDENT.md).
pub(super) fn is_torn(value: &[u8]) -> bool {
    let value = &value[..value.len().min(4_096)];
    let has = |words: &[u8]| value.windows(words.len()).any(|window| window.eq_ignore_ascii_case(words));
    let inner = |at: usize| {
        let domain = &value[at + 1..];
        let ends = |b: &u8| b.is_ascii_whitespace() || b"<>,;\"()".contains(b);
        let end = domain.iter().position(ends).unwrap_or(domain.len());
        let last = domain[..end].rsplit(|b| *b == b'.').next().unwrap_or_default();
        let name = std::str::from_utf8(&domain[..end]).unwrap_or_default();
        end > 0 && (last.len() == end || name.is_ascii() && is_inner(&name.to_ascii_lowercase()))
    };
    // `unlisted-recipients:; (no To-header on input)` is what honest servers write; made an address it is torn.
    let mut ats = memchr::memchr_iter(b'@', value).peekable();
    (ats.peek().is_some() && has(b"unlisted-recipients:")) || ats.any(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners() {
        for (name, wanted) in [
            ("mail.firm.example", Some("firm.example")),
            ("firm.example", Some("firm.example")),
            ("a.b.firm.co.uk", Some("firm.co.uk")),
            ("mx.isp.ie", Some("isp.ie")),
            ("server", None),
            ("192.0.2.1", None),
            ("[192.0.2.1]", None),
        ] {
            assert_eq!(owner(name), wanted, "{name}");
        }
        assert!(same_owner("a.zoho.com", "b.zoho.com") && !same_owner("a.firm.co.uk", "b.other.co.uk"));
        assert!(!same_owner("a.sbs.local", "b.sbs.local") && same_owner("sbs.local", "sbs.local"));
    }

    #[test]
    fn houses() {
        assert!(same_house("mail.hollybank.ie", "exchange.hollybank.local"));
        assert!(same_house("hollybank.co.uk", "dc1.hollybank.lan"));
        assert!(!same_house("server.sbs.local", "mail.sbs.example") && !same_house("a.isp.ie", "b.isp.de"));
    }

    #[test]
    fn inner_names() {
        for name in ["server", "server.sbs.local", "pc.lan", "x.internal"] {
            assert!(is_inner(name), "{name}");
        }
        assert!(!is_inner("mail.firm.example") && !is_inner("isp.ie"));
    }

    #[test]
    fn names_of_customers_lines() {
        let ip = "81.2.3.45".parse().ok();
        assert!(is_made_of_address("adsl-81-2-3-45.isp.example", ip));
        assert!(is_made_of_address("45.3.2.81.dyn.isp.example", ip));
        assert!(!is_made_of_address("mail2.firm.example", ip));
    }

    #[test]
    fn addresses_in_fields() {
        assert_eq!(address_in("Law News <News@law.example>").as_deref(), Some("news@law.example"));
        assert_eq!(address_in("jane@firm.example").as_deref(), Some("jane@firm.example"));
        assert_eq!(address_in("\"x\" nobody"), None);
        assert!(is_torn(b"<a@server.sbs.local>, <firm1.example@server.sbs.local>, b@firm2.example"));
        assert!(!is_torn(b"a@firm1.example, b@firm2.example"));
        assert!(is_torn(b"<unlisted-recipients:@firm1.example>, <no@firm1.example>"));
        assert!(!is_torn(b" unlisted-recipients:; (no To-header on input)"));
    }
}
