//! What is taken from a collected message's header, in one go when it has ended.

use std::net::IpAddr;

use quell_mail::header::fields;
use quell_mail::hop;
use quell_mail::reading::MAX_TOKENS;
use quell_mail::trace::token_in;

use super::Whose;
use super::stamps::{Stamped, may_have_token, return_path};

/// Fields that mailbox software adds and changes while a message lies there: they say nothing of what it
/// is.
const VOLATILE: [&str; 12] = [
    "status",
    "x-status",
    "x-keywords",
    "x-uid",
    "x-uidl",
    "x-imap",
    "x-imapbase",
    "content-length",
    "lines",
    "x-mozilla-status",
    "x-mozilla-status2",
    "x-mozilla-keys",
];

/// Delivered-To addresses that are looked at between two stamps.
const MAX_DELIVERED_TO: usize = 64;

/// What the header said.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// For whom, by the provider's stamp.
    pub stamped: Stamped,
    /// Who brought it to the provider, as its newest stamp with an address has it: address and name.
    pub brought_by: Option<(IpAddr, String)>,
    /// It has a `Received`.
    pub has_trace: bool,
    /// Of all fields that stay as they are, in their order.
    pub stable: [u8; 32],
    /// The newest Return-Path: what the sender's server gave, for the judge's eyes.
    pub return_path: String,
    /// For each of our tokens, newest first, the Delivered-To addresses that our own delivery put right above it.
    pub delivered_here: Vec<Vec<String>>,
}

impl Seen {
    pub fn of(header: &[u8], whose: &Whose) -> Self {
        let mut seen = Self::default();
        if let Whose::Stamped(stamp) = whose {
            seen.stamped = stamp.read(header);
        }
        let (mut hasher, mut has_return_path) = (blake3::Hasher::new(), false);
        for field in fields(header) {
            if !VOLATILE.iter().any(|name| field.is(name)) {
                hasher.update(&(field.value.len() as u64).to_le_bytes());
                hasher.update(field.value);
            }
            if field.is("received") {
                seen.has_trace = true;
                if seen.brought_by.is_none() {
                    seen.brought_by = brought_by(field.value);
                }
            } else if !has_return_path && field.is("return-path") {
                (seen.return_path, has_return_path) = (return_path(&field), true);
            }
        }
        seen.stable = *hasher.finalize().as_bytes();
        if may_have_token(header) {
            seen.delivered_here = delivered_here(header);
        }
        seen
    }
}

/// The newest stamp that knows an address from outside: inner hand-overs of the provider's are passed over.
fn brought_by(value: &[u8]) -> Option<(IpAddr, String)> {
    let hop = hop::parse(value);
    let ip = hop.ip.filter(|ip| hop::is_public(*ip))?;
    let name = hop.helo.or(hop.from).map(|word| word.lower()).unwrap_or_default();
    Some((ip, name.chars().take(255).collect()))
}

/// A provider's Delivered-To is no loop: a `Received` of its own stands between that and our token. What
/// stands right above the token our own delivery put there.
fn delivered_here(header: &[u8]) -> Vec<Vec<String>> {
    let (mut all, mut above) = (Vec::new(), Vec::new());
    for field in fields(header) {
        if field.is("received") {
            if token_in(field.value).is_some() && all.len() < MAX_TOKENS {
                all.push(above.clone());
            }
            above.clear();
        } else if field.is("delivered-to") && above.len() < MAX_DELIVERED_TO {
            let text = String::from_utf8_lossy(&field.value[..field.value.len().min(998)]);
            above.push(text.trim().trim_start_matches('<').trim_end_matches('>').to_lowercase());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The third is a provider's own network (RFC 6598), the fourth an address of IPv4 written as one of IPv6.
    #[test]
    fn the_newest_stamp_with_a_public_address_says_who_brought_it() {
        let inner = ["127.0.0.1", "10.0.0.1", "100.64.0.1", "IPv6:::ffff:192.168.0.1"];
        let inner = inner.map(|ip| format!("Received: from in.x.example ([{ip}]) by b; x\r\n"));
        let header = format!(
            "{}Received: from out.y.example ([192.0.2.9]) by in; x\r\nReceived: from z ([192.0.2.10]) by y; x\r\n\r\n",
            inner.concat()
        );
        let seen = Seen::of(header.as_bytes(), &Whose::These(Vec::new()));
        assert_eq!(seen.brought_by.map(|(ip, _)| ip), "192.0.2.9".parse().ok());
    }
}
