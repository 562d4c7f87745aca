//! Addresses (RFC 5321 §4.1.2): parting them, and the normal forms by which they are compared.
//! What goes out is always the address as given.

use std::borrow::Cow;

use crate::cfws::is_atext;

/// Longest address taken, in bytes: RFC 5321 §4.5.3.1.3 allows a path of 256, and asks for limits
/// to be generous. A longer one is an error.
pub const MAX_ADDRESS_BYTES: usize = 1_024;
/// Longest domain in its normal form (RFC 1035 §3.1).
pub const MAX_DOMAIN_BYTES: usize = 255;

/// What is wrong with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// More than [`MAX_ADDRESS_BYTES`].
    #[error("the address is longer than 1024 bytes")]
    TooLong,
    /// No `@` outside of quotes.
    #[error("the address has no domain")]
    NoDomain,
    /// Not a dot-string nor a quoted string.
    #[error("the part before the @ is not well-formed")]
    Local,
    /// Neither a host name nor an address literal.
    #[error("the domain is not well-formed")]
    Domain,
}

/// An address in its normal form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mailbox {
    /// As [`normal_local`] gives it; the case is kept.
    pub local: String,
    /// As [`normal_domain`] gives it.
    pub domain: String,
}

impl Mailbox {
    /// The normal form of `address` (without angle brackets).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(address: &str) -> Result<Self, AddressError> {
        if address.len() > MAX_ADDRESS_BYTES {
            return Err(AddressError::TooLong);
        }
        let (local, domain) = split(address).ok_or(AddressError::NoDomain)?;
        Ok(Self { local: normal_local(local)?.into_owned(), domain: normal_domain(domain)? })
    }
}

impl std::fmt::Display for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

/// Parts an address at its last `@` outside of quotes. None: it has none, a quoted string does
/// not end, a part is empty, or it has more than [`MAX_ADDRESS_BYTES`].
pub fn split(address: &str) -> Option<(&str, &str)> {
    if address.len() > MAX_ADDRESS_BYTES {
        return None;
    }
    let at = last_unquoted(address, b"@").ok()??;
    let (local, domain) = (&address[..at], &address[at + 1..]);
    (!local.is_empty() && !domain.is_empty()).then_some((local, domain))
}

/// A quoted string does not end.
struct Unterminated;

/// Place of the last byte outside of quoted strings that is one of `wanted`. A backslash escapes
/// only within quotes.
fn last_unquoted(text: &str, wanted: &[u8]) -> Result<Option<usize>, Unterminated> {
    let (mut quoted, mut escaped, mut last) = (false, false, None);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if !quoted && wanted.contains(&byte) => last = Some(at),
            _ => {}
        }
    }
    if quoted { Err(Unterminated) } else { Ok(last) }
}

/// Whether a local part could send the mail on to somewhere else at a server that still knows
/// `user%host@relay`, `host!user` or `user@host@relay`: `@ % !` outside of quotes, or quotes that
/// do not end. Such recipients are refused from outside.
pub fn local_is_risky_from_outside(local: &str) -> bool {
    last_unquoted(local, b"@%!").map_or(true, |found| found.is_some())
}

/// The normal form of a domain: a host name in lower-case A-labels (RFC 5890 §2.3.2.1), without a
/// dot at its end; an address literal in lower case.
///
/// # Errors
/// [`AddressError::Domain`].
pub fn normal_domain(domain: &str) -> Result<String, AddressError> {
    if domain.len() > MAX_ADDRESS_BYTES {
        return Err(AddressError::TooLong);
    }
    if domain.starts_with('[') {
        return is_literal(domain).then(|| domain.to_ascii_lowercase()).ok_or(AddressError::Domain);
    }
    let host = if domain.is_ascii() {
        domain.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(domain).map_err(|_| AddressError::Domain)?
    };
    let host = host.strip_suffix('.').unwrap_or(&host);
    is_host_name(host).then(|| host.to_owned()).ok_or(AddressError::Domain)
}

/// RFC 5321 §4.1.3: brackets around printable characters without brackets and backslash.
fn is_literal(domain: &str) -> bool {
    let inner = domain.strip_prefix('[').and_then(|d| d.strip_suffix(']'));
    let dtext = |b: u8| b.is_ascii_graphic() && !b"[]\\".contains(&b);
    domain.len() <= MAX_DOMAIN_BYTES && inner.is_some_and(|i| !i.is_empty() && i.bytes().all(dtext))
}

/// Labels of 1 to 63 letters, digits, hyphens and underscores (which real host names have).
fn is_host_name(host: &str) -> bool {
    let ldh = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let label = |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(ldh);
    host.len() <= MAX_DOMAIN_BYTES && host.split('.').all(label)
}

/// The normal form of a local part: quotes where it needs them and nowhere else, so that
/// `"jane"@firm.example` and `jane@firm.example` are one. The case is kept (RFC 5321 §2.4).
/// Dots may stand anywhere: real addresses have two in a row, or one at the end.
///
/// # Errors
/// [`AddressError::Local`]: empty, control characters, or a character that needs quotes without.
pub fn normal_local(local: &str) -> Result<Cow<'_, str>, AddressError> {
    if !local.is_empty() && needs_no_quotes(local) {
        return Ok(Cow::Borrowed(local));
    }
    let content = content(local).ok_or(AddressError::Local)?;
    if !content.is_empty() && needs_no_quotes(&content) {
        return Ok(Cow::Owned(content));
    }
    let escaped = content.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(Cow::Owned(format!("\"{escaped}\"")))
}

fn needs_no_quotes(local: &str) -> bool {
    local.bytes().all(|b| is_atext(b) || b == b'.') && !local.chars().any(char::is_control)
}

/// What a local part says once its quotes are undone; words and quoted strings in any order.
fn content(local: &str) -> Option<String> {
    let (mut quoted, mut escaped, mut content) = (false, false, String::new());
    for c in local.chars() {
        let plain = !c.is_ascii() || is_atext(c as u8) || c == '.';
        match c {
            _ if c.is_control() => return None,
            _ if escaped => escaped = false,
            '\\' if quoted => {
                escaped = true;
                continue;
            }
            '"' => {
                quoted = !quoted;
                continue;
            }
            _ if !quoted && !plain => return None,
            _ => {}
        }
        content.push(c);
    }
    (!quoted && !local.is_empty()).then_some(content)
}

/// A local part of one of our domains in the case in which it is compared.
pub fn lower_local(local: &str) -> String {
    local.to_lowercase()
}

/// The addresses in the value of From, Sender, To and the like, in mailboxes and groups (RFC 5322 §3.4), as they
/// stand there: they need not be well-formed. A mailbox without an address is passed over.
pub fn in_field(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    crate::content::address::Addresses::new(value)
}

/// `local` without its `+detail` (RFC 5233). One that begins with `+`, or is quoted, stays.
pub fn strip_detail(local: &str) -> &str {
    match local.find('+') {
        Some(at) if at > 0 && !local.starts_with('"') => &local[..at],
        _ => local,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_at_the_last_unquoted_at() {
        for (address, wanted) in [
            ("a@b", Some(("a", "b"))),
            ("a@b@c", Some(("a@b", "c"))),
            ("\"a@b\"@c", Some(("\"a@b\"", "c"))),
            ("\"a\\\"@b\"@c", Some(("\"a\\\"@b\"", "c"))),
            ("a\\@b", Some(("a\\", "b"))),
            ("a@[192.0.2.1]", Some(("a", "[192.0.2.1]"))),
            ("a", None),
            ("", None),
            ("@b", None),
            ("a@", None),
            ("\"a@b", None),
        ] {
            assert_eq!(split(address), wanted, "{address}");
        }
        let long = |n: usize| format!("{}@b", "a".repeat(n - 2));
        assert!(split(&long(1_024)).is_some() && split(&long(1_025)).is_none());
        assert_eq!(Mailbox::parse(&long(1_025)), Err(AddressError::TooLong));
    }

    #[test]
    fn domains() {
        for (domain, wanted) in [
            ("Firm.EXAMPLE", "firm.example"),
            ("firm.example.", "firm.example"),
            ("B\u{dc}cher.example", "xn--bcher-kva.example"),
            ("XN--Bcher-Kva.example", "xn--bcher-kva.example"),
            ("b\u{fc}cher\u{3002}example", "xn--bcher-kva.example"),
            ("a_b.example", "a_b.example"),
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]"),
        ] {
            assert_eq!(normal_domain(domain).as_deref(), Ok(wanted), "{domain}");
        }
        let label = "a".repeat(64);
        for domain in [
            "", ".", "a..b", ".a", "a b", "a/b", "..", "a..", "[", "[]", "[a", "[a]]", "a]", "\u{ff0f}",
            "a\r\n", "a@b", &label,
        ] {
            assert_eq!(normal_domain(domain), Err(AddressError::Domain), "{domain}");
        }
    }

    #[test]
    fn local_parts() {
        for (local, wanted) in [
            ("Jane", "Jane"),
            ("\"Jane\"", "Jane"),
            ("\"ja\\ne\"", "jane"),
            ("\"a b\"", "\"a b\""),
            ("\"a\\ b\"", "\"a b\""),
            ("\"a\\\"b\\\\\"", "\"a\\\"b\\\\\""),
            ("\"a\".b", "a.b"),
            ("a..b.", "a..b."),
            ("\"\"", "\"\""),
            ("\"a@b\"", "\"a@b\""),
            ("gr\u{fc}n", "gr\u{fc}n"),
            ("../../x", "../../x"),
        ] {
            assert_eq!(normal_local(local).as_deref(), Ok(wanted), "{local}");
        }
        for local in
            ["", "a b", "a@b", "\"a", "a\"", "a\\b", "a(b)", "a\0", "\"a\r\nb\"", "a,b", "<a>", "a\u{85}"]
        {
            assert_eq!(normal_local(local), Err(AddressError::Local), "{local}");
        }
    }

    #[test]
    fn whole_addresses() {
        let jane = Mailbox::parse("\"Jane\"@FIRM.example.").unwrap();
        assert_eq!(jane.to_string(), "Jane@firm.example");
        assert_eq!(Mailbox::parse("jane"), Err(AddressError::NoDomain));
        assert_eq!(Mailbox::parse("a b@c"), Err(AddressError::Local));
        assert_eq!(Mailbox::parse("a@b/c"), Err(AddressError::Domain));
    }

    #[test]
    fn risky_from_outside() {
        for local in ["a%b", "a!b", "a@b", "\"a\"%b", "a\\@b", "\"a", "\"a\\\"@b"] {
            assert!(local_is_risky_from_outside(local), "{local}");
        }
        for local in ["a", "\"a%b\"", "\"a@b\"", "\"a\\\"!b\"", "a+b"] {
            assert!(!local_is_risky_from_outside(local), "{local}");
        }
    }

    #[test]
    fn details() {
        for (local, wanted) in
            [("a+b", "a"), ("a+b+c", "a"), ("a", "a"), ("+a", "+a"), ("\"a+b c\"", "\"a+b c\"")]
        {
            assert_eq!(strip_detail(local), wanted);
        }
        assert_eq!(lower_local("J\u{c4}ne"), "j\u{e4}ne");
    }

    fn address() -> impl Strategy<Value = String> {
        prop_oneof!["[a-c\"@.\\\\ +%!]{0,12}", "\\PC{0,20}", "[a-zA-Z\"\\\\ ]{1,6}@[a-zA-Z0-9.\u{fc}-]{1,12}"]
    }

    proptest! {
        #[test]
        fn settled_at_once(address in address()) {
            if let Some((local, domain)) = split(&address) {
                prop_assert_eq!(format!("{local}@{domain}"), address.clone());
            }
            if let Ok(mailbox) = Mailbox::parse(&address) {
                prop_assert_eq!(Mailbox::parse(&mailbox.to_string()), Ok(mailbox.clone()));
                prop_assert!(mailbox.domain.is_ascii() && !mailbox.domain.contains(['/', '@', ' ']));
                prop_assert!(!mailbox.local.chars().any(char::is_control));
            }
        }

        #[test]
        fn quotes_say_nothing(content in "[a-zA-Z0-9.@ \"\\\\]{1,12}") {
            let quoted = format!("\"{}\"", content.replace('\\', "\\\\").replace('"', "\\\""));
            let every: String = content.chars().map(|c| format!("\\{c}")).collect();
            let every = format!("\"{every}\"");
            prop_assert_eq!(normal_local(&quoted), normal_local(&every));
            if let Ok(plain) = normal_local(&content) && !content.contains('"') {
                prop_assert_eq!(Ok(plain), normal_local(&quoted));
            }
        }
    }
}
