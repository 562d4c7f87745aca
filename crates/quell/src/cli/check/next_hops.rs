//! What `quell check` says of TLS on the way out.

use quell_relay::tls::Level;

use crate::config::{Config, NextHopTls};
use crate::deliver::resolver::Dnssec;
use crate::serve::certificate::{now_secs, until};

/// What protects connections to next hops.
pub(super) fn facts(config: &Config) -> Vec<String> {
    let set = &config.outgoing;
    let (others, named): (Vec<_>, Vec<_>) = set.next_hops.iter().partition(|one| one.rule.name == "*");
    let mut facts: Vec<String> =
        named.iter().map(|one| format!("to {}: {}", one.rule.name, about(config, one))).collect();
    facts.push(match others.first() {
        Some(one) => format!("to all other next hops: {}", about(config, one)),
        None => format!("to all other next hops: {}", wanted(config, None)),
    });
    facts
}

fn about(config: &Config, one: &NextHopTls) -> String {
    let mut text = wanted(config, one.rule.level);
    if let Some(authorities) = &one.authorities {
        text.push_str(&format!("; of {} authorities of its own", authorities.len()));
    }
    if let Some(name) = &one.rule.certificate_name {
        text.push_str(&format!("; the certificate must be for {name}"));
    }
    if let Some(identity) = &one.identity {
        text.push_str(&format!(
            "; our own certificate, until {}, is shown where it is asked for",
            until(&identity.leaf)
        ));
    }
    text
}

fn wanted(config: &Config, level: Option<Level>) -> String {
    let words = match level {
        Some(Level::Never) => "no TLS",
        Some(Level::Encrypt) => "TLS with any certificate, or the mail waits",
        Some(Level::Require) => "TLS with a valid certificate, or the mail waits",
        Some(Level::Opportunistic) | None => "TLS where it is offered, with any certificate",
    };
    let asked = match (config.outgoing.mta_sts, &config.outgoing.dnssec) {
        _ if level.is_some() => return words.to_owned(),
        (true, Dnssec::Off) => "MTA-STS",
        (false, Dnssec::Off) => return words.to_owned(),
        (true, _) => "DANE or MTA-STS",
        (false, _) => "DANE",
    };
    format!("{words}, unless the domain demands more by {asked}")
}

/// Certificates of our own that are at their end.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let ended =
        |one: &&NextHopTls| one.identity.as_ref().is_some_and(|own| own.leaf.not_after_secs < now_secs());
    let ended = config.outgoing.next_hops.iter().filter(ended);
    ended
        .map(|one| format!("the certificate that is shown to {} has ended: renew it", one.rule.name))
        .collect()
}
