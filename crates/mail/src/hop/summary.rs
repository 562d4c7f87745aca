//! What follows from all that a stamp says: its kind, the names' roles, its software.

use super::clauses::Seen;
use super::protocol::{self, Protocol};
use super::{Hop, HopKind, Word, ip, software};

impl<'a> Hop<'a> {
    /// Whether the sender is the receiver's own machine: its address is 127/8 or ::1; or, without
    /// an address, its name is `localhost` or the receiver's own.
    pub fn is_loopback(&self) -> bool {
        if let Some(ip) = self.ip {
            return ip.is_loopback();
        }
        let Some(from) = self.from else { return false };
        let local = ["localhost", "localhost.localdomain", "localhost6"];
        local.iter().any(|name| from.is(name)) || self.by.is_some_and(|by| by.0.eq_ignore_ascii_case(from.0))
    }

    /// Whether the stamp names no sender at all, neither a name nor an address.
    pub fn has_no_from(&self) -> bool {
        self.from.is_none() && self.helo.is_none() && self.ip.is_none()
    }

    /// The id, if it is one: Exchange writes its version there, which is the same for all mail.
    pub fn queue_id(&self) -> Option<Word<'a>> {
        let is_version = matches!(self.protocol, Protocol::MicrosoftSmtp | Protocol::Mapi);
        self.id.filter(|_| !is_version)
    }
}

/// Fills in what needs the whole stamp.
pub(super) fn finish<'a>(hop: &mut Hop<'a>, seen: Seen) {
    hop.protocol = match (hop.with, hop.via) {
        (Some(with), _) => protocol::of(with.0),
        (None, Some(via)) => Some(protocol::of(via.0)).filter(|p| *p != Protocol::Other).unwrap_or_default(),
        (None, None) => Protocol::None,
    };
    if seen.starttls {
        hop.protocol = hop.protocol.encrypted();
    }
    software::from_words(hop);
    names(hop, seen);
    hop.kind = kind(hop, seen);
}

/// Which name is the HELO and which was looked up depends on what else stands there.
fn names<'a>(hop: &mut Hop<'a>, seen: Seen) {
    let Some(from) = hop.from else { return };
    if let Some((address, port)) = ip::read(from.0) {
        if hop.ip.is_none() {
            (hop.ip, hop.port) = (Some(address), port);
        } else if seen.ip_in_comment && !seen.helo {
            hop.helo = hop.helo.or(Some(from));
        }
        return;
    }
    if !seen.ip_in_comment {
        return;
    }
    // `from NAME (HELO x) (ip)` of qmail and `from NAME ([ip] helo=x)` of Exim give the name
    // looked up; Exim leaves `helo=` out where it is the same.
    // A collector knows its server by name.
    let is_server = is_collected(hop);
    if (seen.helo || is_server || is_software(hop, &[b"Exim"])) && hop.rdns.is_none() && !from.is("unknown") {
        hop.rdns = Some(Word(from.0.strip_suffix(b".").unwrap_or(from.0)));
    }
    if !seen.helo && !is_server {
        hop.helo = Some(from);
    }
}

fn is_software(hop: &Hop<'_>, names: &[&[u8]]) -> bool {
    hop.software.is_some_and(|s| names.contains(&s.name.0))
}

fn is_collected(hop: &Hop<'_>) -> bool {
    matches!(hop.protocol, Protocol::Pop3 | Protocol::Pop3s | Protocol::Imap)
        || is_software(hop, &[b"fetchmail", b"getmail", b"mpop"])
}

fn kind(hop: &Hop<'_>, seen: Seen) -> HopKind {
    let is_local_with =
        hop.with.is_some_and(|w| w.0.get(..6).is_some_and(|b| b.eq_ignore_ascii_case(b"local-")));
    if seen.pickup {
        HopKind::Pickup
    } else if seen.expanded || is_software(hop, &[b"Ecartis"]) {
        HopKind::Expanded
    } else if is_collected(hop) {
        HopKind::Collected
    } else if hop.protocol == Protocol::Http {
        HopKind::Http
    } else if seen.local || is_local_with || is_local(hop) {
        HopKind::Local
    } else {
        HopKind::Transfer
    }
}

/// Whether the protocol is local, or no other machine is told of at all.
fn is_local(hop: &Hop<'_>) -> bool {
    matches!(hop.protocol, Protocol::Local | Protocol::Mapi)
        || (hop.has_no_from() && hop.by.is_some() && !is_remote(hop))
}

/// Whether, without a `from`, something tells that the mail came over a wire: some servers hide
/// who gave it to them.
fn is_remote(hop: &Hop<'_>) -> bool {
    hop.authenticated.is_some()
        || hop.tls_version.is_some()
        || !matches!(hop.protocol, Protocol::None | Protocol::Other)
}
