//! For whom a provider's server has put a message into a mailbox that takes several people's mail, by the
//! stamp that it put there itself.
//!
//! What stands above the newest `Received` of the provider's host was added by that host or behind it,
//! so nobody who wrote to the mailbox can have put it there. What stands below may be anybody's. Where
//! that `Received` is missing, nothing is believed.

use memchr::memmem;
use quell_mail::address;
use quell_mail::header::{Field, fields};
use quell_mail::hop;

/// Addresses of one stamp that count. One with more names nobody: the message cannot be placed.
pub const MAX_ADDRESSES: usize = 100;

/// Longest value that is read.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// Which stamp tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Name of the field, in lower case; None: the `for` clause of the host's `Received`.
    pub field: Option<String>,
    /// The provider's hosts, in lower case; `*.provider.example` for all hosts of that domain.
    pub hosts: Vec<String>,
    /// What the provider's server puts before the local part, in lower case; empty: nothing.
    pub prefix: String,
}

/// What the stamp says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stamped {
    /// None of the hosts has stamped the message.
    #[default]
    NotByHost,
    /// The host's stamp names nobody: the field is not there, or is empty, or names too many.
    Nobody,
    /// These addresses, as they stand there.
    For(Vec<String>),
}

impl Stamp {
    /// What a header says. One walk through it, up to the host's `Received`.
    pub fn read(&self, header: &[u8]) -> Stamped {
        let mut top: Option<&[u8]> = None;
        for field in fields(header) {
            if top.is_none() && self.field.as_deref().is_some_and(|name| field.is(name)) {
                top = Some(field.value);
            } else if field.is("received") && self.is_by_host(&field) {
                let found = match &self.field {
                    Some(_) => top.map(|value| self.addresses(value)).unwrap_or_default(),
                    None => self.for_clause(field.value),
                };
                let fits = !found.is_empty() && found.len() <= MAX_ADDRESSES;
                return if fits { Stamped::For(found) } else { Stamped::Nobody };
            }
        }
        Stamped::NotByHost
    }

    fn is_by_host(&self, field: &Field<'_>) -> bool {
        let by = hop::by_of(hosts_words(field.value)).lower();
        let by = by.trim_end_matches('.');
        self.hosts.iter().any(|host| match host.strip_prefix("*.") {
            Some(domain) => by.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
            None => host == by,
        })
    }

    /// Only where it names one: which of several it was for, nobody knows.
    fn for_clause(&self, value: &[u8]) -> Vec<String> {
        let hop = hop::parse(hosts_words(value));
        match hop.for_ {
            Some(word) if !hop.for_many => self.addresses(word.0),
            _ => Vec::new(),
        }
    }

    /// Bare addresses or such in angle brackets, with commas between. One that cannot be read makes the whole
    /// stamp say nothing: what one reader passes over another takes for a recipient.
    fn addresses(&self, value: &[u8]) -> Vec<String> {
        let value = &value[..value.len().min(MAX_VALUE_BYTES)];
        let mut all = Vec::new();
        for part in value.split(|b| *b == b',').take(MAX_ADDRESSES + 1) {
            let bare = part.trim_ascii();
            let bare = bare.strip_prefix(b"<").and_then(|b| b.strip_suffix(b">")).unwrap_or(bare);
            match std::str::from_utf8(bare).ok().and_then(|text| self.address(text)) {
                Some(address) => all.push(address),
                None => return Vec::new(),
            }
        }
        all
    }

    fn address(&self, text: &str) -> Option<String> {
        let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !"<>()\"\\;:,".contains(c);
        let (local, domain) = address::split(text).filter(|_| text.chars().all(is_plain))?;
        let local = match local.get(..self.prefix.len()) {
            Some(start) if start.eq_ignore_ascii_case(&self.prefix) => &local[self.prefix.len()..],
            _ => local,
        };
        (!local.is_empty()).then(|| format!("{local}@{domain}"))
    }
}

/// The hosts that have stamped a message, the newest first, each once; at most `most`. For people who look for the right one.
pub fn by_hosts(header: &[u8], most: usize) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for field in fields(header).filter(|field| field.is("received")) {
        let host = hop::by_of(field.value).lower();
        if !host.is_empty() && hosts.len() < most && !hosts.contains(&host) {
            hosts.push(host.chars().take(255).collect());
        }
    }
    hosts
}

/// From the last `by` on, outside of comments and quotes: before it stands what the client called itself, and there are
/// servers that write that down with spaces in it.
fn hosts_words(value: &[u8]) -> &[u8] {
    let (mut depth, mut quoted, mut escaped, mut begins, mut last) = (0u32, false, false, true, 0);
    for (at, byte) in value.iter().enumerate() {
        let is_escaped = std::mem::take(&mut escaped);
        match byte {
            _ if is_escaped => {}
            b'\\' => escaped = quoted || depth > 0,
            b'"' if depth == 0 => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth = depth.saturating_sub(1),
            b'b' | b'B' if begins && !quoted && depth == 0 => {
                let is_by =
                    matches!(&value[at + 1..], [b'y' | b'Y', space, ..] if space.is_ascii_whitespace());
                last = if is_by { at } else { last };
            }
            _ => {}
        }
        begins = byte.is_ascii_whitespace();
    }
    &value[last..]
}

/// The address in the newest Return-Path; empty if there is none. Who is told of a failure is never found there.
pub(super) fn return_path(field: &Field<'_>) -> String {
    let value = &field.value[..field.value.len().min(998)];
    let text = String::from_utf8_lossy(value.trim_ascii());
    let bare = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).unwrap_or(&text);
    bare.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect()
}

/// Whether a header may hold one of our own tokens.
pub(super) fn may_have_token(header: &[u8]) -> bool {
    memmem::find(header, b"quell1").is_some()
}
