//! Reverse-path and forward-path (RFC 5321 §4.1.2).
//!
//! `smtp-proto` drops source routes, takes the quotes off local parts and reads `<postmaster>` and
//! `<>` as the same; here these are facts that decide where mail may go, so paths are read by us.

/// Longest path taken, brackets and source route not counted (RFC 5321 §4.5.3.1.3 asks for 256;
/// rewriting schemes as SRS and VERP make longer ones). A longer one is refused.
pub const MAX_PATH_BYTES: usize = 512;

/// Longest domain (RFC 5321 §4.5.3.1.2).
pub const MAX_DOMAIN_BYTES: usize = 255;

/// What stands between the angle brackets, as given: quotes are kept, case is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    address: String,
    at: Option<usize>,
    source_route: bool,
}

/// Why a path is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It does not begin with `<`, or does not end with `>`.
    #[error("the address must stand in <>")]
    Brackets,
    /// The local part is not a string of atoms and not quoted.
    #[error("bad local part")]
    LocalPart,
    /// The domain is neither labels nor an address literal.
    #[error("bad domain")]
    Domain,
    /// Longer than [`MAX_PATH_BYTES`] or [`MAX_DOMAIN_BYTES`].
    #[error("the address is too long")]
    TooLong,
    /// Bytes that are not UTF-8.
    #[error("the address is not UTF-8")]
    NotUtf8,
}

impl Path {
    /// Reads the path that `text` begins with: the path, and what follows its `>` (nothing, or a
    /// space and parameters). Spaces before `<` are allowed, since many clients send them.
    ///
    /// Takes any dots between atoms (`a..b`, `a.`), which some carriers give out as addresses, and
    /// UTF-8 (RFC 6531 §3.3), of which [`Path::is_ascii`] tells. Says nothing of whether mail may
    /// go there.
    pub fn parse(text: &[u8]) -> Result<(Self, &[u8]), BadPath> {
        let inner = text.trim_ascii_start().strip_prefix(b"<").ok_or(BadPath::Brackets)?;
        let (source_route, inner) = skip_source_route(inner)?;
        let local = local_part(inner)?;
        let domain = match &inner[local..] {
            [b'@', domain @ ..] => 1 + domain_length(domain)?,
            _ => 0,
        };
        let rest = inner[local + domain..].strip_prefix(b">").ok_or(BadPath::Brackets)?;
        if !matches!(rest, [] | [b' ', ..]) {
            return Err(BadPath::Brackets);
        }
        check_shape(local, domain, source_route)?;
        let address = str::from_utf8(&inner[..local + domain]).map_err(|_| BadPath::NotUtf8)?;
        let at = (domain > 0).then_some(local);
        Ok((Self { address: address.to_owned(), at, source_route }, rest))
    }

    /// The null path `<>` (RFC 5321 §4.5.5).
    pub fn null() -> Self {
        Self { address: String::new(), at: None, source_route: false }
    }

    /// The address as given; empty for the null path `<>`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address as given, without copying it.
    pub fn into_address(self) -> String {
        self.address
    }

    /// Whether it is `<>` (RFC 5321 §4.5.5).
    pub fn is_null(&self) -> bool {
        self.address.is_empty()
    }

    /// Before the `@`, with its quotes if it has any: `"jane"@x` and `jane@x` are one mailbox.
    pub fn local_part(&self) -> &str {
        &self.address[..self.at.unwrap_or(self.address.len())]
    }

    /// After the `@`; `None` for `<>` and `<Postmaster>`.
    pub fn domain(&self) -> Option<&str> {
        self.at.map(|at| &self.address[at + 1..])
    }

    /// Whether the local part is a quoted string.
    pub fn is_quoted(&self) -> bool {
        self.address.starts_with('"')
    }

    /// Whether a source route stood before the address (RFC 5321 Appendix C). It is not kept.
    pub fn source_route(&self) -> bool {
        self.source_route
    }

    /// Whether it can be used without SMTPUTF8 (RFC 6531 §3.4).
    pub fn is_ascii(&self) -> bool {
        self.address.is_ascii()
    }
}

fn check_shape(local: usize, domain: usize, source_route: bool) -> Result<(), BadPath> {
    if local + domain > MAX_PATH_BYTES {
        return Err(BadPath::TooLong);
    }
    // `<>` has neither part, `<Postmaster>` has no domain; a route leads to a whole address.
    if local == 0 && (domain > 0 || source_route) {
        return Err(BadPath::LocalPart);
    }
    if domain == 0 && source_route {
        return Err(BadPath::Domain);
    }
    Ok(())
}

/// `@one,@two:` before an address (RFC 5321 §4.1.2, `A-d-l`).
fn skip_source_route(inner: &[u8]) -> Result<(bool, &[u8]), BadPath> {
    if !inner.starts_with(b"@") {
        return Ok((false, inner));
    }
    let mut rest = inner;
    while let Some(hop) = rest.strip_prefix(b"@") {
        let end = domain_length(hop)?;
        rest = match &hop[end..] {
            [b',', more @ ..] => more,
            [b':', address @ ..] => return Ok((true, address)),
            _ => return Err(BadPath::Domain),
        };
    }
    Err(BadPath::Domain)
}

/// How long the local part at the beginning of `text` is; 0 if there is none.
fn local_part(text: &[u8]) -> Result<usize, BadPath> {
    if text.starts_with(b"\"") {
        return quoted_string(text);
    }
    Ok(text.iter().take_while(|b| is_atext(**b) || **b == b'.').count())
}

/// RFC 5321 §4.1.2, `Quoted-string`; `text` begins with the quote.
fn quoted_string(text: &[u8]) -> Result<usize, BadPath> {
    let mut bytes = text.iter().enumerate().skip(1);
    while let Some((i, byte)) = bytes.next() {
        match byte {
            b'"' => return Ok(i + 1),
            b'\\' => match bytes.next() {
                Some((_, b' '..=b'~')) => {}
                _ => return Err(BadPath::LocalPart),
            },
            b' '..=b'~' | 0x80.. => {}
            _ => return Err(BadPath::LocalPart),
        }
    }
    Err(BadPath::LocalPart)
}

/// RFC 5322 §3.2.3, and UTF-8 (RFC 6531 §3.3).
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte) || byte >= 0x80
}

/// How long the domain or address literal at the beginning of `text` is.
fn domain_length(text: &[u8]) -> Result<usize, BadPath> {
    let length = match text {
        [b'[', inner @ ..] => address_literal(inner)?,
        _ => labels(text)?,
    };
    if length > MAX_DOMAIN_BYTES { Err(BadPath::TooLong) } else { Ok(length) }
}

/// RFC 5321 §4.1.3: what an address in brackets may be made of. Returns the length with both.
fn address_literal(inner: &[u8]) -> Result<usize, BadPath> {
    let is_part = |b: &&u8| b.is_ascii_alphanumeric() || b".:-".contains(*b);
    let length = inner.iter().take_while(is_part).count();
    match inner.get(length) {
        Some(b']') if length > 0 => Ok(length + 2),
        _ => Err(BadPath::Domain),
    }
}

/// Labels with dots between them. `_` is let through: names with it exist and receive mail.
fn labels(text: &[u8]) -> Result<usize, BadPath> {
    let is_part = |b: &&u8| b.is_ascii_alphanumeric() || b".-_".contains(*b) || **b >= 0x80;
    let length = text.iter().take_while(is_part).count();
    match text[..length].split(|b| *b == b'.').any(<[u8]>::is_empty) {
        true => Err(BadPath::Domain),
        false => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_is_sent() {
        for (text, address, domain, source_route, rest) in [
            ("<>", "", None, false, ""),
            (" <>", "", None, false, ""),
            ("<a@b.example>", "a@b.example", Some("b.example"), false, ""),
            ("<A.b+c@B.Example> SIZE=1", "A.b+c@B.Example", Some("B.Example"), false, " SIZE=1"),
            ("<@x,@y.example:a@b>", "a@b", Some("b"), true, ""),
            ("<\"a>b @c\\\"\"@d>", "\"a>b @c\\\"\"@d", Some("d"), false, ""),
            ("<a@[192.0.2.1]>", "a@[192.0.2.1]", Some("[192.0.2.1]"), false, ""),
            ("<a@[IPv6:::1]>", "a@[IPv6:::1]", Some("[IPv6:::1]"), false, ""),
            ("<Postmaster>", "Postmaster", None, false, ""),
            ("<../../x@firm.example>", "../../x@firm.example", Some("firm.example"), false, ""),
            ("<a%b!c@d>", "a%b!c@d", Some("d"), false, ""),
            ("<jané@bücher.example>", "jané@bücher.example", Some("bücher.example"), false, ""),
        ] {
            let (path, left) = Path::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(path.address(), address);
            assert_eq!((path.domain(), path.source_route()), (domain, source_route), "{text}");
            assert_eq!(left, rest.as_bytes());
        }
    }

    #[test]
    fn refuses_what_is_none() {
        let long_local = format!("<{}@b>", "a".repeat(MAX_PATH_BYTES));
        let long_domain = format!("<a@{}>", "b".repeat(MAX_DOMAIN_BYTES + 1));
        for (text, why) in [
            ("", BadPath::Brackets),
            ("a@b", BadPath::Brackets),
            ("<a@b", BadPath::Brackets),
            ("<a@b>x", BadPath::Brackets),
            ("<a b@c>", BadPath::Brackets),
            ("<a@b@c>", BadPath::Brackets),
            ("<<a@b>>", BadPath::Brackets),
            ("<@b>", BadPath::Domain),
            ("<@x:>", BadPath::LocalPart),
            ("<@x:a>", BadPath::Domain),
            ("<@x,y:a@b>", BadPath::Domain),
            ("<a@>", BadPath::Domain),
            ("<a@.b>", BadPath::Domain),
            ("<a@b..c>", BadPath::Domain),
            ("<a@[]>", BadPath::Domain),
            ("<a@[1>", BadPath::Domain),
            ("<\"a@b>", BadPath::LocalPart),
            ("<\"a\\", BadPath::LocalPart),
            (&long_local, BadPath::TooLong),
            (&long_domain, BadPath::TooLong),
        ] {
            assert_eq!(Path::parse(text.as_bytes()), Err(why), "{text}");
        }
        assert_eq!(Path::parse(b"<\xff@b>"), Err(BadPath::NotUtf8));
    }

    proptest! {
        #[test]
        fn never_panics_and_keeps_what_was_given(text in "<[@a.,:\"\\\\\\[\\]> é]{0,12}") {
            if let Ok((path, rest)) = Path::parse(text.as_bytes()) {
                let rest = str::from_utf8(rest).unwrap();
                let end = format!("{}>{}", path.address(), rest);
                prop_assert!(text.ends_with(&end), "{} {}", text, end);
                prop_assert_eq!(path.is_null(), path.local_part().is_empty());
            }
        }
    }
}
