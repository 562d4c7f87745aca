//! The way to a destination: from the next hop over DNS to addresses, one after the other.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use quell_wire::client::Status;

use super::job::{Said, Verdict};
use super::{Address, MAX_ADDRESSES_PER_HOST, MAX_TARGETS, Sending, Target};
use crate::route::{DnsError, Host, NextHop, NoRoute, Peer, choose_hosts};

/// What is needed next to get on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
    /// The MX records of this domain.
    Mx(String),
    /// The addresses of this host.
    Addresses(String),
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
    port: u16,
    lmtp: bool,
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

impl Way {
    /// The way to `next_hop`, from its beginning.
    pub fn new(next_hop: &NextHop, sending: &Sending, random: u64) -> Self {
        let mut way = Self {
            random,
            mx: None,
            hosts: VecDeque::new(),
            targets: VecDeque::new(),
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
            return Need::Mx(domain.clone());
        }
        if self.connections_left == 0 {
            return Need::Nothing;
        }
        match (self.targets.front(), self.hosts.front()) {
            (Some(target), _) => Need::Connection(target.clone()),
            (None, Some(host)) => Need::Addresses(host.clone()),
            (None, None) => Need::Nothing,
        }
    }

    /// DNS has answered [`Need::Mx`].
    pub fn found_mx(&mut self, answer: Result<Vec<(u16, String)>, DnsError>, sending: &Sending) {
        let Some(domain) = self.mx.take() else { return };
        match choose_hosts(&domain, answer, &sending.own, self.random) {
            Ok(hosts) => self.hosts.extend(hosts.into_iter().map(|host| host.name)),
            Err(why) => self.note(why),
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
                return self.add_targets(&host, &in_order(addresses, self.random), sending);
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
        Verdict { permanent, all_tried: self.trouble.is_none(), said: Said { status, by: by.to_owned() } }
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
                let (name, lmtp) = (name.to_owned(), self.lmtp);
                self.targets.push_back(Target { address: Address::Tcp(address), name, lmtp });
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
