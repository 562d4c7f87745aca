//! How well a connection to a next hop is protected: what the configuration wants (`[next_hops]`),
//! and what the recipient's domain itself says, by DANE ([`dane`]) and MTA-STS ([`sts`]).

use std::collections::HashMap;
use std::sync::Arc;

use quell_wire::client::Starttls;

use crate::route::{Host, NextHop};

pub mod dane;
pub mod sts;
#[cfg(test)]
mod tests;

/// What is wanted of connections to a next hop. Later ones want more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// No TLS.
    Never,
    /// TLS where it is offered and works, whatever the certificate; else in clear.
    Opportunistic,
    /// TLS, whatever the certificate: else the mail waits. Keeps out who only listens.
    Encrypt,
    /// TLS with a certificate that is valid for the host: else the mail waits.
    Require,
}

/// What one entry of `[next_hops]` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its name: a domain, a host, an address, the path of a socket. Empty: the defaults.
    pub name: String,
    /// What is wanted. None: what DANE and MTA-STS say; without them opportunistic TLS, and for
    /// implicit TLS a valid certificate.
    pub level: Option<Level>,
    /// Name that the certificate must have, if it is not that of the host.
    pub certificate_name: Option<String>,
}

/// For next hops on this machine that have none of their own.
static HERE: Rule = Rule { name: String::new(), level: None, certificate_name: None };

impl Rule {
    /// It is for one next hop, and not for `"*"`.
    pub fn is_named(&self) -> bool {
        !matches!(self.name.as_str(), "" | "*")
    }
}

/// `[next_hops]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Those with a name, by it.
    pub named: HashMap<String, Rule>,
    /// `"*"`: all others, but those on this machine.
    pub others: Rule,
}

impl Rules {
    /// The rule for a next hop: by the domain whose MX is asked, else by host, address or path.
    pub fn of(&self, next_hop: &NextHop) -> &Rule {
        let named = match next_hop {
            NextHop::Maildir => None,
            NextHop::Smtp(peer) | NextHop::Lmtp(peer) => match &peer.host {
                Host::Address(address) => self.named.get(&address.to_string()),
                Host::Name(name) => self.named.get(name),
            },
            NextHop::LmtpUnix(path) => self.named.get(path),
            NextHop::Mx(domain) => self.named.get(domain),
            NextHop::Literal(address) => self.named.get(&address.to_string()),
        };
        named.unwrap_or(if is_here(next_hop) { &HERE } else { &self.others })
    }

    /// True if the domain's own word counts: no one here has decided for it by name, or against TLS.
    pub fn asks_the_domain(&self, next_hop: &NextHop) -> bool {
        let rule = self.of(next_hop);
        let decided = rule.level.is_some() && rule.is_named();
        matches!(next_hop, NextHop::Mx(_)) && !decided && rule.level != Some(Level::Never)
    }
}

/// A socket, or a loopback address: nobody stands in between. By what the configuration says, not the
/// DNS: who can forge an answer could name a loopback address.
fn is_here(next_hop: &NextHop) -> bool {
    match next_hop {
        NextHop::LmtpUnix(_) => true,
        NextHop::Smtp(peer) | NextHop::Lmtp(peer) => match &peer.host {
            Host::Address(address) => address.to_canonical().is_loopback(),
            // RFC 6761 §6.3: a resolver answers it without asking.
            Host::Name(name) => name == "localhost",
        },
        NextHop::Literal(address) => address.to_canonical().is_loopback(),
        NextHop::Maildir | NextHop::Mx(_) => false,
    }
}

/// Whose word it is that a certificate must be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The configuration's.
    Configuration,
    /// The domain's, by MTA-STS.
    MtaSts,
}

/// What is asked of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Nothing: whoever stands there is taken for the next hop.
    Nothing,
    /// It is valid for this name, by a certificate authority.
    Name {
        /// A host name, or an address.
        name: String,
        /// Who wants it.
        by: By,
    },
    /// It matches a record that the domain's own DNS proves (RFC 7672).
    Dane {
        /// Never empty.
        records: Arc<[dane::Tlsa]>,
        /// For certificates under an authority that a record names: one of these names (RFC 7672
        /// §3.2.2).
        names: Vec<String>,
    },
}

/// How to speak with a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// What is asked for in SMTP or LMTP.
    pub starttls: Starttls,
    /// TLS from the first byte on (RFC 8314 §3).
    pub implicit: bool,
    /// What the certificate must prove, where there is TLS.
    pub check: Check,
    /// [`Rule::name`] of the rule that holds: which authorities and which certificate of ours.
    pub rule: String,
}

impl Tls {
    /// By a rule, for a host of this name. Only a rule of its own asks less of implicit TLS than a valid
    /// certificate.
    pub fn by_rule(rule: &Rule, implicit: bool, host: &str) -> Self {
        let usual = if implicit { Level::Require } else { Level::Opportunistic };
        let level = match rule.level {
            // What is wanted of all others raises, and takes nothing from who wrote `smtps://`.
            Some(level) if implicit && !rule.is_named() => level.max(usual),
            level => level.unwrap_or(usual),
        };
        let name = rule.certificate_name.as_deref().unwrap_or(host).to_owned();
        Self {
            starttls: match level {
                _ if implicit => Starttls::Never,
                Level::Never => Starttls::Never,
                Level::Opportunistic => Starttls::Offered,
                Level::Encrypt | Level::Require => Starttls::Required,
            },
            implicit,
            check: match level {
                Level::Require => Check::Name { name, by: By::Configuration },
                _ => Check::Nothing,
            },
            rule: rule.name.clone(),
        }
    }

    /// The domain's MTA-STS policy is enforced (RFC 8461 §5): a certificate that is valid for the host.
    pub fn by_policy(&mut self, host: &str) {
        self.starttls = Starttls::Required;
        if self.check == Check::Nothing {
            self.check = Check::Name { name: host.to_owned(), by: By::MtaSts };
        }
    }

    /// The host has TLSA records that are proven (RFC 7672 §2.2). They count before any certificate
    /// authority (RFC 8461 §2); where none of them can be used TLS is had without knowing with whom.
    pub fn by_dane(&mut self, records: &[dane::Tlsa], names: Vec<String>) {
        self.starttls = Starttls::Required;
        let usable: Arc<[dane::Tlsa]> = records.iter().filter(|record| record.is_usable()).cloned().collect();
        if !usable.is_empty() {
            self.check = Check::Dane { records: usable, names };
        }
    }

    /// TLS that fails is done without.
    pub fn is_opportunistic(&self) -> bool {
        self.starttls == Starttls::Offered
    }
}
