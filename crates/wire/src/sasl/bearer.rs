//! OAUTHBEARER (RFC 7628): a bearer token, and perhaps whose.

use super::scram::{Gs2, gs2_header};
use super::{Credentials, Secret};

/// What a refused client is told (RFC 7628 §3.2.2), before it says `^A` and is refused.
pub(super) const INVALID_TOKEN: &[u8] = br#"{"status":"invalid_token"}"#;

const MALFORMED: &str = "that is not OAUTHBEARER, RFC 7628 3.1";

/// `gs2-header ^A key=value ^A … ^A ^A`. `host` and `port` are let through unread: they are for
/// mechanisms that sign them.
pub(super) fn read(message: &[u8]) -> Result<Option<Credentials>, &'static str> {
    let end = memchr::memchr(1, message).ok_or(MALFORMED)?;
    let (header, pairs) = message.split_at(end);
    let Gs2 { for_whom, rest } = gs2_header(header)?;
    if !rest.is_empty() {
        return Err(MALFORMED);
    }
    // `^A` before the first pair and behind each, and one more at the end.
    let inner = pairs.strip_prefix(b"\x01").and_then(|rest| rest.strip_suffix(b"\x01")).ok_or(MALFORMED)?;
    let inner = inner.strip_suffix(b"\x01").ok_or(MALFORMED)?;
    let mut token = None;
    for pair in inner.split(|byte| *byte == 1) {
        let (key, value) = key_value(pair).ok_or(MALFORMED)?;
        if key.eq_ignore_ascii_case(b"auth") && token.replace(bearer(value).ok_or(MALFORMED)?).is_some() {
            return Err(MALFORMED);
        }
    }
    let token = Secret::new(token.ok_or(MALFORMED)?);
    Ok(Some(Credentials::Token { user: for_whom, token }))
}

/// RFC 7628 §3.1: letters, and printable characters and white space.
fn key_value(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', pair)?;
    let (key, value) = (&pair[..at], &pair[at + 1..]);
    let of_key = !key.is_empty() && key.iter().all(u8::is_ascii_alphabetic);
    let of_value = |b: &u8| matches!(b, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    (of_key && value.iter().all(of_value)).then_some((key, value))
}

/// `Bearer` and a token (RFC 6750 §2.1). A client that sends none wants to be told what there is:
/// it has none that is right, the empty one is as good as any.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    if value.is_empty() {
        return Some(value);
    }
    let (scheme, token) = value.split_at_checked(7)?;
    let end = token.iter().position(|b| *b == b'=').unwrap_or(token.len());
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(b);
    let padded = token[end..].iter().all(|b| *b == b'=');
    let good = end > 0 && token[..end].iter().all(plain) && padded;
    (scheme.eq_ignore_ascii_case(b"Bearer ") && good).then_some(token)
}
