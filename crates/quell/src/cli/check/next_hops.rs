//! What `quell check` says of TLS on the way out.

use std::net::IpAddr;

use quell_relay::route::NextHop;
use quell_relay::tls::{Level, Rule};

use crate::config::{Config, NextHopTls};
use crate::deliver::resolver::Dnssec;
use crate::serve::certificate::{now_secs, until};

const VALID: &str = "TLS with a valid certificate, or the mail waits";

/// What protects connections to next hops.
pub(super) fn facts(config: &Config) -> Vec<String> {
    let set = &config.outgoing;
    let (others, named): (Vec<_>, Vec<_>) = set.next_hops.iter().partition(|one| one.rule.name == "*");
    let mut facts: Vec<String> =
        named.iter().map(|one| format!("to {}: {}", one.rule.name, about(config, one))).collect();
    facts.push(match others.first() {
        Some(one) => format!("to all other next hops but those on this machine: {}", about(config, one)),
        None => format!("to all other next hops: {}", wanted(config, &Rule::default())),
    });
    facts
}

fn about(config: &Config, one: &NextHopTls) -> String {
    let mut text = wanted(config, &one.rule);
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

fn wanted(config: &Config, rule: &Rule) -> String {
    let rules = config.outgoing.rules();
    let configured = config.routes.domains.values().chain(&config.routes.via);
    let (implicit, plain): (Vec<_>, Vec<_>) =
        configured.filter(|hop| rules.of(hop).name == rule.name).partition(|hop| is_implicit(hop));
    let by_mx = !rule.is_named() || (implicit.is_empty() && plain.is_empty() && may_have_mx(&rule.name));
    if rule.level.is_none() && !implicit.is_empty() && plain.is_empty() && !by_mx {
        return VALID.to_owned();
    }
    let words = match rule.level {
        Some(Level::Never) => "no TLS",
        Some(Level::Encrypt) => "TLS with any certificate, or the mail waits",
        Some(Level::Require) => VALID,
        Some(Level::Opportunistic) | None => "TLS where it is offered, with any certificate",
    };
    let mut text = words.to_owned();
    // As `Rules::asks_the_domain` decides.
    let asks = by_mx && rule.level != Some(Level::Never) && !(rule.is_named() && rule.level.is_some());
    if let Some(asked) = asked(config).filter(|_| asks) {
        text.push_str(&match rule.level {
            None => format!(", unless the domain demands more by {asked}"),
            Some(_) => format!("; what the domain demands by {asked} counts too"),
        });
    }
    // As `Tls::by_rule` decides.
    let raised = rule.level.is_none() || (!rule.is_named() && rule.level != Some(Level::Require));
    if raised && !implicit.is_empty() {
        text.push_str(&format!("; over smtps:// and lmtps://: {VALID}"));
    }
    text
}

/// By what a domain may demand more.
fn asked(config: &Config) -> Option<&'static str> {
    match (config.outgoing.mta_sts, &config.outgoing.dnssec) {
        (true, Dnssec::Off) => Some("MTA-STS"),
        (false, Dnssec::Off) => None,
        (true, _) => Some("DANE or MTA-STS"),
        (false, _) => Some("DANE"),
    }
}

fn is_implicit(hop: &NextHop) -> bool {
    matches!(hop, NextHop::Smtp(peer) | NextHop::Lmtp(peer) if peer.implicit_tls)
}

/// It is no socket and no address.
fn may_have_mx(name: &str) -> bool {
    !name.starts_with('/') && name.parse::<IpAddr>().is_err()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn facts_of(text: &str) -> Vec<String> {
        let config = Config::parse(Path::new("/nowhere/quell.toml"), text, "machine.example").unwrap();
        facts(&config)
    }

    #[test]
    fn the_words_are_those_of_what_is_done() {
        let offered = "TLS where it is offered, with any certificate";
        let hops = "[relay]\nvia = \"smtps://via.example\"\n[domains.\"a.example\"]\ndeliver = \"smtp://in.example\"\nrecipients = [\"*\"]\n";
        let entry = |name: &str| format!("[next_hops.{name:?}]\n");
        for (name, said) in [
            ("via.example", VALID.to_owned()),
            ("in.example", offered.to_owned()),
            ("192.0.2.1", offered.to_owned()),
            ("partner.example", format!("{offered}, unless the domain demands more by MTA-STS")),
        ] {
            let facts = facts_of(&format!("{hops}{}", entry(name)));
            assert_eq!(facts[0], format!("to {name}: {said}"));
        }
        let facts = facts_of("");
        assert_eq!(
            facts,
            [format!("to all other next hops: {offered}, unless the domain demands more by MTA-STS")]
        );
        for (level, said) in [
            ("never", format!("no TLS; over smtps:// and lmtps://: {VALID}")),
            ("require", format!("{VALID}; what the domain demands by MTA-STS counts too")),
            (
                "encrypt",
                format!(
                    "TLS with any certificate, or the mail waits; what the domain demands by MTA-STS counts too; over smtps:// and lmtps://: {VALID}"
                ),
            ),
        ] {
            let facts = facts_of(&format!("{hops}[next_hops.\"*\"]\ntls = {level:?}\n"));
            assert_eq!(facts, [format!("to all other next hops but those on this machine: {said}")]);
        }
        let named = format!("{hops}[next_hops.\"via.example\"]\ntls = \"encrypt\"\n");
        assert_eq!(facts_of(&named)[0], "to via.example: TLS with any certificate, or the mail waits");
    }
}
