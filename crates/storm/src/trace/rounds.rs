//! Messages that go round: copies that come back to a server which had them.

use super::actor::{Actor, actor};
use super::chain::Chain;
use super::charge::Charge;
use super::graph::{Branch, Parting};
use super::names::{is_called_relay, is_made_of_address, is_telling, owner, same_house, same_owner};
use super::reason::Reason;
use crate::storm::CulpritClass;
use quell_mail::hop::HopKind;

/// Visits of one server from which on a message goes round: once back is what a forwarder or a filter in
/// another house does.
const MIN_VISITS: usize = 3;

/// One way round, in one copy.
struct Round {
    /// The stamps of the server that is visited again and again.
    visits: Vec<usize>,
}

/// What going round says against the machines that send back. `in_set` are copies of one recipient.
pub(super) fn charges(chains: &[Chain], in_set: &[usize], partings: &[Parting]) -> Vec<Charge> {
    let mut found: Vec<Charge> = Vec::new();
    let longest =
        in_set.iter().filter_map(|i| Some((*i, round(&chains[*i])?))).max_by_key(|(_, r)| r.visits.len());
    let Some((longest, round)) = longest else { return found };
    // A copy that ended before its last visit is the proof that each turn leaves one behind.
    // It shares all of the way until it was there last: what parts before is no round, or another.
    let server = chains[longest].hops[round.visits[0]].by.clone().unwrap_or_default();
    let shorter = in_set.iter().copied().filter(|i| {
        let visits = visits_of(&chains[*i], &server);
        let last = visits.last().copied();
        visits.len() < round.visits.len()
            && last.is_some_and(|last| shared(&chains[*i], &chains[longest]) > last)
    });
    let Some(pair) = shorter.max_by_key(|i| chains[*i].hops.len()) else { return found };
    // The last turn is a whole one.
    let turn = round.visits.len() - 2;
    let (from, to) = (round.visits[turn], round.visits[turn + 1]);
    let mut machines: Vec<Actor> = Vec::new();
    for machine in (from + 1..=to).map(|at| (*actor(&chains[longest], at)).clone()).filter(Actor::is_known) {
        match machines.iter_mut().find(|known| known.is_same(&machine)) {
            Some(known) => known.merge(&machine),
            None => machines.push(machine),
        }
    }
    // Those that turn it back are in the houses that it is for; what lies between passes on what it gets.
    if multiplies(chains, partings, &machines) {
        return found;
    }
    machines.retain(|machine| {
        is_addressed(&chains[longest], machine) || !is_providers(&chains[longest], machine)
    });
    found.extend(machines.into_iter().map(|machine| charge(chains, in_set, machine, (pair, longest))));
    found
}

/// Whether one of the machines sent more than one on from one stamp: then it is no round, or not only one.
fn multiplies(chains: &[Chain], partings: &[Parting], machines: &[Actor]) -> bool {
    let leaves = |parting: &Parting, branch: &Branch| {
        let hop = branch.chains.first().and_then(|i| chains[*i].hops.get(parting.depth));
        let by = hop.and_then(|hop| hop.by.as_deref()).unwrap_or_default();
        !parting.actor.names.iter().any(|name| same_house(name, by))
    };
    partings.iter().filter(|parting| parting.depth > 0).any(|parting| {
        machines.iter().any(|machine| machine.is_same(&parting.actor))
            && parting.branches.iter().filter(|branch| leaves(parting, branch)).count() > 1
    })
}

/// Whether a machine is of a house that a recipient of the message is in.
fn is_addressed(chain: &Chain, machine: &Actor) -> bool {
    let to = chain.to();
    let fors = chain.hops.iter().filter_map(|hop| hop.for_.as_deref());
    let all = fors.chain(chain.delivered_to.iter().map(String::as_str)).chain([&*chain.recipient]);
    let mut domains = all.chain(to.iter().map(String::as_str)).filter_map(|a| Some(a.rsplit_once('@')?.1));
    domains.any(|domain| {
        let own = |name: &&String| !is_made_of_address(name, machine.ip);
        machine.names.iter().filter(own).any(|name| same_house(name, domain))
    })
}

/// Whether a machine is one of a provider's: its owner has given names to the lines of customers, or it is
/// called what providers call the servers that take in and pass on.
fn is_providers(chain: &Chain, machine: &Actor) -> bool {
    let own = machine.names.iter().filter(|name| !is_made_of_address(name, machine.ip));
    let owners: Vec<&str> = own.filter_map(|name| owner(name)).collect();
    let lines = chain
        .hops
        .iter()
        .filter(|hop| hop.ip != machine.ip)
        .filter_map(|hop| Some((hop.rdns.as_deref()?, hop.ip)));
    let mut lines = lines.filter(|(name, ip)| is_made_of_address(name, *ip));
    lines.any(|(name, _)| owner(name).is_some_and(|owner| owners.contains(&owner)))
        || machine.names.iter().any(|name| is_called_relay(name))
}

fn charge(chains: &[Chain], in_set: &[usize], machine: Actor, (short, long): (usize, usize)) -> Charge {
    let mut made = Vec::new();
    for &i in in_set {
        let Some(visits) = visits(&chains[i]) else { continue };
        let back = visits.get(1).copied().unwrap_or(0);
        // The machine that sent it on last, of those that send it round.
        let last = (back..chains[i].hops.len()).rev().find(|at| actor(&chains[i], *at).is_same(&machine));
        made.extend(last.map(|at| (i, at)));
    }
    let common = shared(&chains[short], &chains[long]);
    let reasons = vec![Reason::Parting { depth: common }, Reason::Round];
    Charge { actor: machine, class: CulpritClass::Loops, made, pair: Some((short, long, common)), reasons }
}

/// Stamps that two copies have in common, from the oldest on.
pub(super) fn shared(a: &Chain, b: &Chain) -> usize {
    a.hops.iter().zip(&b.hops).take_while(|(a, b)| a.hash == b.hash).count()
}

/// The way round in a copy, if it went round often enough and nobody put it back into the stream.
fn round(chain: &Chain) -> Option<Round> {
    let put_back = |hop: &HopKind| matches!(hop, HopKind::Pickup | HopKind::Collected);
    let clean = !chain.hops.iter().skip(1).any(|hop| put_back(&hop.kind));
    let visits = visits(chain).filter(|visits| clean && visits.len() >= MIN_VISITS)?;
    // It is a round only if the way is the same again: a provider's server is passed at many ends of mail.
    let between =
        |from: usize, to: usize| chain.hops[from + 1..to].iter().filter_map(|hop| hop.by.as_deref());
    let [.., a, b, c] = visits[..] else { return None };
    let again = between(a, b).any(|by| is_telling(by) && between(b, c).any(|other| other == by));
    again.then_some(Round { visits })
}

/// The stamps of the server that a copy visits most often, with another house between any two; at least
/// two of them.
fn visits(chain: &Chain) -> Option<Vec<usize>> {
    let mut known: Vec<&str> = Vec::new();
    let mut most: Option<Vec<usize>> = None;
    for name in chain.hops.iter().filter_map(|hop| hop.by.as_deref()).filter(|by| is_telling(by)) {
        if known.contains(&name) {
            continue;
        }
        known.push(name);
        let visits = visits_of(chain, name);
        if visits.len() > most.as_ref().map_or(1, Vec::len) {
            most = Some(visits);
        }
    }
    most
}

/// The stamps of the server `name`, those with nothing but its own house between counted once.
fn visits_of(chain: &Chain, name: &str) -> Vec<usize> {
    let (mut visits, mut away) = (Vec::new(), true);
    for (i, hop) in chain.hops.iter().enumerate() {
        match hop.by.as_deref().filter(|by| is_telling(by)) {
            Some(by) if by == name && away => {
                visits.push(i);
                away = false;
            }
            Some(by) if by != name && !same_owner(by, name) => away = true,
            _ => {}
        }
    }
    visits
}
