//! The way to a destination: from the next hop over DNS to addresses, one after the other.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use quell_wire::client::Status;

use super::job::{By, Said, Verdict};
use super::{Address, MAX_ADDRESSES_PER_HOST, MAX_TARGETS, Sending, Target};
use crate::route::{DnsError, Host, NextHop, NoRoute, Peer, choose_hosts};
use crate::tls::dane::{Found, Tlsa};
use crate::tls::sts::Policy;
use crate::tls::{Rule, Tls};

/// What is needed next to get on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
    /// The MTA-STS policy of this domain.
    Policy(String),
    /// The MX records of this domain.
    Mx(String),
    /// The addresses of this host.
    Addresses(String),
    /// The TLSA records of this host, which takes mail of this domain.
    Tlsa { domain: String, host: String },
    /// A connection.
    Connection(Target),
    /// Nothing: there is nowhere else to go.
    Nothing,
}

/// Where a way stands.
#[derive(Debug)]
pub(super) struct Way {
    random: u64,
    /// The domain whose MX is to be asked.
    mx: Option<String>,
    /// Hosts whose addresses are not known yet, the next one first.
    hosts: VecDeque<String>,
    /// Addresses of the present host that were not tried yet.
    targets: VecDeque<Target>,
    /// Addresses of the present host, whose TLSA records are not known yet.
    unproven: Option<(String, Vec<IpAddr>)>,
    port: u16,
    lmtp: bool,
    protection: Protection,
    /// The hosts stand in our configuration: what DNS does not know of them is our mistake, and no
    /// sender's.
    configured: bool,
    connections_left: usize,
    /// Places to go that were taken or could not be had since its beginning, whatever the message.
    gone_by: usize,
    /// Why a host, or all, could not be tried: the last of each kind.
    trouble: Option<NoRoute>,
    dead_end: Option<NoRoute>,
}

/// How the hosts on a way are to be protected.
#[derive(Debug)]
struct Protection {
    rule: Rule,
    implicit: bool,
    /// The domain whose own word counts.
    domain: Option<String>,
    /// Its policy is to be found.
    wants_policy: bool,
    /// Its hosts' TLSA records are.
    wants_tlsa: bool,
    policy: Option<Policy>,
    /// Those of the present host.
    tlsa: Option<Vec<Tlsa>>,
}

impl Protection {
    fn of(next_hop: &NextHop, sending: &Sending) -> Self {
        let asks = sending.tls.asks_the_domain(next_hop);
        let domain = match next_hop {
            NextHop::Mx(domain) if asks => Some(domain.clone()),
            _ => None,
        };
        Self {
            rule: sending.tls.of(next_hop).clone(),
            implicit: matches!(next_hop, NextHop::Smtp(peer) | NextHop::Lmtp(peer) if peer.implicit_tls),
            domain,
            wants_policy: asks && sending.mta_sts,
            wants_tlsa: asks && sending.dane,
            policy: None,
            tlsa: None,
        }
    }

    fn tls(&self, host: &str) -> Tls {
        let mut tls = Tls::by_rule(&self.rule, self.implicit, host);
        if self.policy.is_some() {
            tls.by_policy(host);
        }
        if let Some(records) = &self.tlsa {
            let names = [Some(host.to_owned()), self.domain.clone()];
            tls.by_dane(records, names.into_iter().flatten().collect());
        }
        tls
    }
}

impl Way {
    /// The way to `next_hop`, from its beginning.
    pub fn new(next_hop: &NextHop, sending: &Sending, random: u64) -> Self {
        let mut way = Self {
            random,
            mx: None,
            hosts: VecDeque::new(),
            targets: VecDeque::new(),
            unproven: None,
            protection: Protection::of(next_hop, sending),
            port: sending.port,
            lmtp: matches!(next_hop, NextHop::Lmtp(_) | NextHop::LmtpUnix(_)),
            configured: next_hop.is_configured(),
            connections_left: MAX_TARGETS,
            gone_by: 0,
            trouble: None,
            dead_end: None,
        };
        match next_hop {
            NextHop::Smtp(peer) | NextHop::Lmtp(peer) => way.begin_at(peer, sending),
            NextHop::LmtpUnix(path) => way.targets.push_back(Target {
                address: Address::Unix(path.clone()),
                name: path.clone(),
                lmtp: true,
                tls: way.protection.tls(path),
            }),
            NextHop::Mx(domain) if crate::route::is_host_name(domain) => way.mx = Some(domain.clone()),
            NextHop::Mx(_) => way.dead_end = Some(NoRoute::NoSuchDomain),
            NextHop::Literal(address) if sending.address_literals => {
                way.add_targets(&address.to_string(), &[*address], sending);
            }
            NextHop::Literal(_) => way.dead_end = Some(NoRoute::Literal),
            NextHop::Maildir => way.trouble = Some(NoRoute::Maildir),
        }
        way
    }

    fn begin_at(&mut self, peer: &Peer, sending: &Sending) {
        self.port = peer.port;
        match &peer.host {
            Host::Address(address) => self.add_targets(&address.to_string(), &[*address], sending),
            Host::Name(name) => self.hosts.push_back(name.clone()),
        }
    }

    /// Another message begins on a connection that the way has led to: only what lies ahead of it is
    /// left.
    pub fn renew(&mut self) {
        self.connections_left = MAX_TARGETS;
        (self.trouble, self.dead_end) = (None, None);
    }

    /// What is needed next; the same until it is there.
    pub fn need(&self) -> Need {
        if let Some(domain) = &self.mx {
            let wants_policy = self.protection.wants_policy;
            return if wants_policy { Need::Policy(domain.clone()) } else { Need::Mx(domain.clone()) };
        }
        if self.connections_left == 0 {
            return Need::Nothing;
        }
        if let (Some((host, _)), Some(domain)) = (&self.unproven, &self.protection.domain) {
            return Need::Tlsa { domain: domain.clone(), host: host.clone() };
        }
        match (self.targets.front(), self.hosts.front()) {
            (Some(target), _) => Need::Connection(target.clone()),
            (None, Some(host)) => Need::Addresses(host.clone()),
            (None, None) => Need::Nothing,
        }
    }

    /// DNS has answered [`Need::Mx`].
    pub fn found_mx(&mut self, answer: Result<Vec<(u16, String)>, DnsError>, sending: &Sending) {
        if self.protection.wants_policy {
            return;
        }
        let Some(domain) = self.mx.take() else { return };
        match choose_hosts(&domain, answer, &sending.own, self.random) {
            Ok(hosts) => self.add_hosts(hosts.into_iter().map(|host| host.name)),
            Err(why) => self.note(why),
        }
    }

    /// [`Need::Policy`] is found: the one that is in force.
    pub fn found_policy(&mut self, policy: Option<Policy>) {
        if std::mem::take(&mut self.protection.wants_policy) {
            self.protection.policy = policy;
        }
    }

    /// DNS has answered [`Need::Tlsa`]. A host of which that cannot be known is passed over: it may be
    /// one that is only to be spoken with in TLS (RFC 7672 §2.1).
    pub fn found_tlsa(&mut self, answer: Result<Found, String>, sending: &Sending) {
        let Need::Tlsa { .. } = self.need() else { return };
        let Some((host, addresses)) = self.unproven.take() else { return };
        match answer {
            Ok(found) => {
                self.protection.tlsa = match found {
                    Found::Proven(records) => Some(records),
                    Found::Nothing => None,
                };
                self.add_targets(&host, &addresses, sending);
            }
            Err(why) => {
                self.note(NoRoute::Trouble(format!("the TLSA of {host} cannot be looked up: {why}")));
            }
        }
    }

    /// RFC 8461 §5: what the policy does not name gets no mail.
    fn add_hosts(&mut self, hosts: impl Iterator<Item = String>) {
        for host in hosts {
            match &self.protection.policy {
                Some(policy) if !policy.names(&host) => self.note(NoRoute::NotInPolicy(host)),
                _ => self.hosts.push_back(host),
            }
        }
    }

    /// DNS has answered [`Need::Addresses`].
    pub fn found_addresses(&mut self, answer: Result<Vec<IpAddr>, DnsError>, sending: &Sending) {
        if !matches!(self.need(), Need::Addresses(_)) {
            return;
        }
        let Some(host) = self.hosts.pop_front() else { return };
        let why = match answer {
            Ok(addresses) if !addresses.is_empty() => {
                let addresses = in_order(addresses, self.random);
                if self.protection.wants_tlsa {
                    self.unproven = Some((host, addresses));
                    return;
                }
                return self.add_targets(&host, &addresses, sending);
            }
            // Of our own configuration senders learn no name.
            Err(DnsError::Trouble(why)) => {
                let host = if self.configured { "the next hop" } else { host.as_str() };
                NoRoute::Trouble(format!("the address of {host} cannot be looked up: {why}"))
            }
            _ if self.configured => NoRoute::Trouble("the next hop has no address".to_owned()),
            _ => NoRoute::NoHost,
        };
        self.note(why);
    }

    /// The connection of [`Need::Connection`] is made, or cannot be made.
    pub fn take_target(&mut self) -> Option<Target> {
        if !matches!(self.need(), Need::Connection(_)) {
            return None;
        }
        (self.connections_left, self.gone_by) = (self.connections_left - 1, self.gone_by + 1);
        if self.connections_left == 0 && self.targets.len() + self.hosts.len() > 1 {
            self.trouble.get_or_insert(NoRoute::TooMany);
        }
        self.targets.pop_front()
    }

    /// A target that was taken once more, as its TLS has failed.
    pub fn again(&mut self, target: Target) {
        self.targets.push_front(target);
    }

    /// The last target that was taken was not the first place to go.
    pub fn is_second_choice(&self) -> bool {
        self.gone_by > 1
    }

    /// What is said of those to whom no host has said anything.
    pub fn verdict(&self, by: &str) -> Verdict {
        // A way that ends without a reason has led to hosts, and these have said something to all: the
        // last one is never heard.
        let why = self.trouble.as_ref().or(self.dead_end.as_ref()).unwrap_or(&NoRoute::TooMany);
        let status = Status::new(why.enhanced(), None, &why.to_string());
        let permanent = status.enhanced.0 == 5;
        Verdict { permanent, all_tried: self.trouble.is_none(), said: Said { status, by: By::us(by) } }
    }

    /// Addresses of a host. An MX host that is ourselves ends the way: those behind it are not better
    /// than we are (RFC 5321 §5.1).
    fn add_targets(&mut self, name: &str, addresses: &[IpAddr], sending: &Sending) {
        for address in addresses {
            let address = SocketAddr::new(*address, self.port);
            if sending.own.listens_at(address) {
                self.note(NoRoute::LeadsBack);
                if !self.configured {
                    self.hosts.clear();
                    return self.targets.clear();
                }
            } else if is_unusable(address.ip()) {
                self.note(NoRoute::NoHost);
            } else {
                let (tls, name, lmtp) = (self.protection.tls(name), name.to_owned(), self.lmtp);
                self.targets.push_back(Target { address: Address::Tcp(address), name, lmtp, tls });
            }
        }
    }

    fn note(&mut self, why: NoRoute) {
        self.gone_by += 1;
        match why.enhanced().0 {
            4 => self.trouble = Some(why),
            // That the route leads back says more than that another host cannot be found.
            _ if self.dead_end == Some(NoRoute::LeadsBack) => {}
            _ => self.dead_end = Some(why),
        }
    }
}

/// No server can be there.
fn is_unusable(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    address.is_unspecified() || address.is_multicast() || is_broadcast
}

/// Each kind in the order that DNS gave (RFC 5321 §5.1), IPv4 and IPv6 in turns, which of them first
/// by chance: where one of the two does not work, the mail still gets through, and no faster or
/// slower for all.
fn in_order(addresses: Vec<IpAddr>, random: u64) -> Vec<IpAddr> {
    let addresses: Vec<IpAddr> = addresses.into_iter().map(|address| address.to_canonical()).collect();
    let (mut first, mut second): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == random.is_multiple_of(2));
    let mut ordered = Vec::new();
    while ordered.len() < MAX_ADDRESSES_PER_HOST {
        let Some(address) = first.pop_front().or_else(|| second.pop_front()) else { break };
        if !ordered.contains(&address) {
            ordered.push(address);
        }
        std::mem::swap(&mut first, &mut second);
    }
    ordered
}
