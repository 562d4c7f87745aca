//! Addresses in the form in which they are compared: as `quell_mail::address` has them, but with
//! local parts unquoted and in lower case, since mailboxes are named by what they say.

pub(super) use quell_mail::address::{local_is_risky_from_outside, split, strip_detail};

use quell_mail::address;

use super::Name;

/// Both parts in normal form.
pub(super) fn normal(local: &str, domain: &str) -> Option<Name> {
    Some((normal_local(local)?, normal_domain(domain)?))
}

/// Unquoted and in lower case; a quoted string and its content are one local part (RFC 5321
/// §4.1.2). None for control characters, and for what needs quotes and has none.
pub(super) fn normal_local(local: &str) -> Option<String> {
    let normal = address::normal_local(local).ok()?;
    let plain = match normal.strip_prefix('"') {
        Some(quoted) => unquoted(quoted.strip_suffix('"')?),
        None => normal.into_owned(),
    };
    (!plain.is_empty()).then(|| address::lower_local(&plain))
}

/// Undoes the escapes of a quoted string's inside.
fn unquoted(inside: &str) -> String {
    let mut plain = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

/// Lower-case A-label (RFC 5890 §2.3.2.1), or an address literal.
pub(super) fn normal_domain(domain: &str) -> Option<String> {
    address::normal_domain(domain).ok()
}

/// The address of a local part in normal form, with quotes where it needs them.
pub(super) fn joined(local: &str, domain: &str) -> String {
    let quoted = format!("\"{}\"", local.replace('\\', "\\\\").replace('"', "\\\""));
    match address::normal_local(&quoted) {
        Ok(local) => format!("{local}@{domain}"),
        // Not reached with a local part in normal form; the quoted one is right in any case.
        Err(_) => format!("{quoted}@{domain}"),
    }
}
