//! Addresses in the form in which they are compared.

use super::Name;

/// Longest address looked up, in bytes (RFC 5321 §4.5.3.1.3 asks for 256); a longer one is none.
const MAX_ADDRESS_BYTES: usize = 1_024;

/// Local part (as written) and domain, parted at the last `@`.
pub(super) fn split(address: &str) -> Option<(&str, &str)> {
    let (local, domain) = address.rsplit_once('@')?;
    let fits = address.len() <= MAX_ADDRESS_BYTES && !local.is_empty() && !domain.is_empty();
    fits.then_some((local, domain))
}

/// Both parts in normal form.
pub(super) fn normal(local: &str, domain: &str) -> Option<Name> {
    Some((normal_local(local)?, normal_domain(domain)?))
}

/// Unquoted and in lower case; a quoted string and its content are one local part (RFC 5321
/// §4.1.2). None for control characters, and for quotes that do not match.
pub(super) fn normal_local(local: &str) -> Option<String> {
    let plain = match local.strip_prefix('"') {
        Some(rest) => unquoted(rest.strip_suffix('"')?)?,
        None if local.contains(['"', '\\', ' ']) => return None,
        None => local.to_owned(),
    };
    let good = !plain.is_empty() && !plain.contains(|c: char| c.is_control());
    good.then(|| plain.to_lowercase())
}

fn unquoted(inside: &str) -> Option<String> {
    let mut plain = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.push(chars.next()?),
            '"' => return None,
            _ => plain.push(c),
        }
    }
    Some(plain)
}

/// Lower-case A-label (RFC 5890 §2.3.2.1), without a dot at its end.
pub(super) fn normal_domain(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii_strict(domain.strip_suffix('.').unwrap_or(domain)).ok()?;
    let good = !ascii.is_empty() && ascii.len() <= 253;
    good.then_some(ascii)
}

/// `jane+list` without its detail; a leading `+` is no detail.
pub(super) fn strip_detail(local: &str) -> &str {
    match local.find('+') {
        Some(0) | None => local,
        Some(at) => &local[..at],
    }
}

/// Unquoted `@`, `%` or `!`: a route to another host in the clothes of a local part.
pub(super) fn has_route(local: &str) -> bool {
    let mut quoted = false;
    let mut escaped = false;
    for c in local.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '@' | '%' | '!' if !quoted => return true,
            _ => {}
        }
    }
    false
}

/// The address of a local part in normal form, quoted where RFC 5321 §4.1.2 needs quotes.
pub(super) fn joined(local: &str, domain: &str) -> String {
    let atext = |c: char| c.is_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    if local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext)) {
        return format!("{local}@{domain}");
    }
    let escaped = local.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"@{domain}")
}
