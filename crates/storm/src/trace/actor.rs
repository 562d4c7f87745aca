//! The machine that sent a copy on its next way: whom a stamp speaks of.

use std::net::IpAddr;
use std::sync::Arc;

use quell_mail::hop::{HopKind, is_public};

use super::chain::{Chain, Hop};
use super::names::{self, is_telling};

/// Stamps looked at above a machine's own for the address under which the public network knows it.
const MAX_INNER_HOPS: usize = 4;

/// Stamps in a row that one machine may have written itself; filters hand mail back a few times.
const MAX_MADE_THERE: usize = 12;

/// Addresses of a pool that are told apart.
const MAX_IPS: usize = 64;

/// A machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Actor {
    /// Its address, as the next server on the public network saw it.
    pub(super) ip: Option<IpAddr>,
    /// Further addresses, where it is a pool of outgoing servers.
    pub(super) more_ips: Vec<IpAddr>,
    /// Its names, the surest first.
    pub(super) names: Vec<String>,
    /// Set for a client that no stamp names: the server that took its mail.
    pub(super) client_of: Option<String>,
    /// What it runs.
    pub(super) software: Option<String>,
    /// The owner of all its names of the public network, if it could be one of a pool of servers.
    pub(super) pool: Option<String>,
}

impl Actor {
    /// Whether there is anything by which it can be told from others.
    pub(super) fn is_known(&self) -> bool {
        self.ip.is_some() || !self.names.is_empty()
    }

    /// Whether the two are one machine: by address; where one has none, by a name of the public network
    /// or by all that is known. Equal inner names at different addresses are different machines.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self.ip, other.ip) {
            (Some(a), Some(b)) => a == b || self.more_ips.contains(&b) || other.more_ips.contains(&a),
            // Inner names are in many houses: they tell only between two that both have nothing else.
            (None, None) if self.is_known() && other.is_known() => {
                self.names.iter().any(|name| other.names.contains(name))
            }
            _ if self.is_known() && other.is_known() => {
                self.names.iter().any(|name| !names::is_inner(name) && other.names.contains(name))
            }
            _ => self.is_known() == other.is_known() && self.client_of == other.client_of,
        }
    }

    /// Whether the two are outgoing servers of one pool: names of one owner, that each gives itself and
    /// its address bears, and that are not made of the address of a customer's line.
    pub(super) fn is_pool_of(&self, other: &Self) -> bool {
        self.pool.is_some() && self.pool == other.pool && !self.is_same(other)
    }

    fn owner_of_pool(&self) -> Option<&str> {
        let mut outer = self.names.iter().filter(|name| !names::is_inner(name));
        let first = outer.next().filter(|name| !names::is_made_of_address(name, self.ip))?;
        outer.all(|name| names::same_owner(name, first)).then(|| names::owner(first)).flatten()
    }

    /// Takes in what another sight of the same machine, or of its pool, says.
    pub(super) fn merge(&mut self, other: &Self) {
        for name in &other.names {
            self.add_name(name);
        }
        for ip in other.ip.iter().chain(&other.more_ips) {
            if self.ip.is_none() {
                self.ip = Some(*ip);
            } else if self.ip != Some(*ip) && !self.more_ips.contains(ip) && self.more_ips.len() < MAX_IPS {
                self.more_ips.push(*ip);
            }
        }
        if self.software.is_none() {
            self.software.clone_from(&other.software);
        }
    }

    fn add_name(&mut self, name: &str) {
        if is_telling(name) && !self.names.iter().any(|known| known == name) && self.names.len() < 32 {
            self.names.push(name.to_owned());
        }
    }
}

/// The machine that brought about stamp `i` of `chain`: its sender, or the server itself where the stamp
/// says that the message was made there.
pub(super) fn actor(chain: &Chain, i: usize) -> Arc<Actor> {
    chain.machines.get(i).map(Arc::clone).unwrap_or_default()
}

fn find(chain: &Chain, i: usize, hop: &Hop) -> Actor {
    let mut actor = if hop.is_made_there() {
        made_there(chain, i)
    } else if hop.has_sender() {
        sender(chain, i)
    } else {
        hidden_client(chain, i, hop)
    };
    actor.pool = actor.owner_of_pool().map(str::to_owned);
    actor
}

/// A message that came into being on the machine that stamped it.
fn made_there(chain: &Chain, i: usize) -> Actor {
    let mut actor = Actor::default();
    let mut own = Vec::new();
    for (n, hop) in chain.hops.iter().enumerate().skip(i).take(MAX_MADE_THERE) {
        if n == i || hop.is_made_there() {
            own.extend(hop.by.as_deref());
            actor.software = actor.software.or_else(|| hop.software.clone());
            continue;
        }
        if hop.has_sender() && !is_another(chain, n, &own) {
            see_from_outside(&mut actor, chain, n);
        }
        break;
    }
    own_names(&mut actor, &own);
    if !actor.is_known() {
        actor.client_of = chain.hops.get(i).and_then(|hop| hop.by.clone());
    }
    actor
}

/// Whether the sender of stamp `n` is another machine than the one that calls itself `own`: one of another
/// house that took it on and left no stamp. An address of one's own house says nothing to strangers, and
/// what is called a relay is one.
fn is_another(chain: &Chain, n: usize, own: &[&str]) -> bool {
    let mut machine = Actor::default();
    see_from_outside(&mut machine, chain, n);
    let outer: Vec<&String> =
        machine.names.iter().filter(|name| !names::is_inner(name) && !is_customer(name, &machine)).collect();
    let mine = |name: &&&String| own.iter().any(|own| names::same_house(own, name));
    let strange = !outer.is_empty() && !outer.iter().any(|name| mine(&name));
    strange && (machine.ip.is_none() || outer.iter().any(|name| names::is_called_relay(name)))
}

/// The names that a machine gives itself in its own stamps. Such a stamp can be forged: a name of the
/// public network that the next server saw nothing of is not taken over.
fn own_names(actor: &mut Actor, own: &[&str]) {
    let seen: Vec<String> = actor.names.clone();
    for name in own.iter().filter(|name| is_telling(name)) {
        let fits = seen.is_empty()
            || names::is_inner(name)
            || seen.iter().any(|other| names::same_house(name, other))
            || seen.iter().all(|other| names::is_inner(other) || names::is_made_of_address(other, actor.ip));
        if fits {
            actor.add_name(name);
        }
    }
}

/// What the next server saw of a machine, at stamp `n` and, while addresses are those of its own house,
/// at the ones above.
fn see_from_outside(actor: &mut Actor, chain: &Chain, n: usize) {
    let Some(hop) = chain.hops.get(n) else { return };
    hop.sender_names().for_each(|name| actor.add_name(name));
    for hop in chain.hops.iter().skip(n).take(MAX_INNER_HOPS) {
        if hop.ip.is_some_and(is_public) {
            actor.ip = hop.ip;
            return;
        }
        // Within one's own house it goes on; in another's it is that one's address that follows.
        let is_out = hop.by.as_deref().is_some_and(|by| {
            let is_strange = actor.names.iter().any(|name| is_telling(name) && !names::is_inner(name))
                || names::is_called_relay(by);
            is_strange && !actor.names.iter().any(|name| names::same_house(name, by))
        });
        if is_out || !(hop.loopback || hop.ip.is_some()) {
            return;
        }
    }
}

fn sender(chain: &Chain, i: usize) -> Actor {
    let mut actor = Actor::default();
    see_from_outside(&mut actor, chain, i);
    let before = i.checked_sub(1).and_then(|n| chain.hops.get(n));
    if let Some(before) = before.filter(|hop| is_written_by(hop, &actor)) {
        actor.software.clone_from(&before.software);
        own_names(&mut actor, before.by.as_deref().as_slice());
    }
    actor
}

/// Whether stamp `hop` was written by `actor`, as far as names tell.
pub(super) fn is_written_by(hop: &Hop, actor: &Actor) -> bool {
    let Some(by) = hop.by.as_deref() else { return false };
    let address = by.parse::<IpAddr>().ok();
    (address.is_some() && address == actor.ip)
        || actor
            .names
            .iter()
            .any(|name| name == by || (names::same_house(name, by) && !is_customer(name, actor)))
}

/// The copy without what nobody vouches for, and with the machines that it passed.
pub(super) fn vouched(mut chain: Chain) -> Chain {
    let stamps = hearsay(&chain);
    chain.distrust(stamps);
    chain.machines = chain.hops.iter().enumerate().map(|(i, hop)| Arc::new(find(&chain, i, hop))).collect();
    chain
}

/// Stamps at the old end of a chain that nobody vouches for: the first server that did not write them got
/// the message from a client without a name of its own, and the stamp below names quite another machine.
/// Anybody can write such lines.
fn hearsay(chain: &Chain) -> usize {
    let breaks = (1..chain.hops.len()).rev().find(|i| {
        let hop = &chain.hops[*i];
        if !hop.is_made_there() && !hop.has_sender() {
            return is_gap(&chain.hops[i - 1], hop);
        }
        if hop.is_made_there() {
            return false;
        }
        let client = sender(chain, *i);
        // A client that says who it is may have made the mail itself, whatever it calls itself at home.
        let says_who = hop.helo.as_deref().is_some_and(|helo| is_telling(helo) && !names::is_inner(helo));
        let made_it = says_who && chain.hops[i - 1].kind == HopKind::Pickup;
        !made_it
            && is_nameless(&client)
            && !is_written_by(&chain.hops[i - 1], &client)
            && is_elsewhere(&chain.hops[i - 1])
    });
    breaks.unwrap_or(0)
}

/// Whether a stamp that names no sender stands above one of another house: nobody says how it came there.
fn is_gap(below: &Hop, hop: &Hop) -> bool {
    let (Some(below), Some(by)) = (below.by.as_deref(), hop.by.as_deref()) else { return false };
    let public = |name: &str| is_telling(name) && !names::is_inner(name) && name.parse::<IpAddr>().is_err();
    public(below) && public(by) && !names::same_house(below, by)
}

/// Whether a machine has no name of the public network but one made of its address.
fn is_nameless(machine: &Actor) -> bool {
    machine.names.iter().all(|name| names::is_inner(name) || is_customer(name, machine))
}

/// Whether a stamp was written by a server of the public network, that came by it from elsewhere.
fn is_elsewhere(hop: &Hop) -> bool {
    hop.by.as_deref().is_some_and(|by| is_telling(by) && !names::is_inner(by))
}

fn is_customer(name: &str, actor: &Actor) -> bool {
    names::is_made_of_address(name, actor.ip)
}

/// A stamp without sender: an inner one of the server before, or that of a client nobody names.
fn hidden_client(chain: &Chain, i: usize, hop: &Hop) -> Actor {
    let before = i.checked_sub(1).and_then(|n| chain.hops.get(n)).and_then(|hop| hop.by.as_deref());
    match before {
        Some(name) if is_telling(name) => Actor { names: vec![name.to_owned()], ..Actor::default() },
        _ => Actor { client_of: Some(hop.by.clone().unwrap_or_default()), ..Actor::default() },
    }
}
