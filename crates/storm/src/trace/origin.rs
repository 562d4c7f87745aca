//! Where the message comes from: which copies are the author's own, and which have a new identity.

use std::collections::BTreeMap;

use super::actor::{Actor, actor};
use super::chain::{Chain, Identity};
use super::graph::Parting;
use super::names;
use quell_mail::hop::HopKind;

/// The original of a group, and what differs from it.
#[derive(Debug)]
pub(super) struct Origin {
    /// The copy that is the original, or the nearest to it.
    pub(super) original: Option<usize>,
    /// Whether a copy has an identity that somebody else than the author gave it.
    foreign: Vec<bool>,
}

impl Origin {
    /// Of a group.
    pub(super) fn of(chains: &[Chain]) -> Self {
        let original = (0..chains.len()).min_by_key(|i| {
            let chain = &chains[*i];
            (suspicion(chain), chain.arrived_ms.is_none(), chain.arrived_ms, chain.id)
        });
        let foreign = match original {
            // Not even the least suspicious one can be the author's own.
            Some(original) if is_nobodys_own(chains, original) => vec![true; chains.len()],
            Some(original) => foreign(chains, original),
            None => Vec::new(),
        };
        Self { original, foreign }
    }

    /// Whether copy `i` has a new identity, from another place than the author's.
    pub(super) fn is_foreign(&self, i: usize) -> bool {
        self.foreign.get(i).copied().unwrap_or(false)
    }

    /// Whether copy `i` has the author's identity, but comes from elsewhere, with a trace that begins there.
    pub(super) fn has_lost_trace(&self, chains: &[Chain], i: usize) -> bool {
        let Some(own) = self.original.map(|original| &chains[original]) else { return false };
        let there = actor(&chains[i], 0);
        chains[i].identity == own.identity && !there.is_same(&actor(own, 0)) && !passes(own, &there)
    }

    /// Whether a recipient of these copies has one that did not come by the machine of `parting`.
    pub(super) fn has_other_way(&self, chains: &[Chain], mine: &[usize], parting: &Parting) -> bool {
        let Some(recipient) = mine.first().map(|i| &chains[*i].recipient) else { return false };
        let other = |(i, chain): (usize, &Chain)| {
            let pool =
                |chain: &Chain| chain.machines.iter().any(|machine| machine.is_pool_of(&parting.actor));
            chain.recipient == *recipient
                && !mine.contains(&i)
                && !passes(chain, &parting.actor)
                && !pool(chain)
        };
        chains.iter().enumerate().any(other)
    }
}

/// Whether a copy was sent on by `machine` at any of its stamps.
pub(super) fn passes(chain: &Chain, machine: &Actor) -> bool {
    chain.machines.iter().any(|passed| passed.is_same(machine))
}

/// How little a copy looks like the original: marks, a foreign domain in its Message-ID.
pub(super) fn suspicion(chain: &Chain) -> u32 {
    let mut marks = chain.marks;
    if is_at_home(chain) {
        // Its own house's marks are those of any mail that the house sends.
        marks.inner_id = false;
        marks.exchange = false;
    }
    let pickups =
        chain.hops.iter().enumerate().filter(|(i, hop)| *i > 0 && hop.kind == HopKind::Pickup).count();
    let at_home = is_at_home(chain);
    u32::from(marks.pickup_address) * 4
        + u32::from(marks.inner_id) * 2
        + u32::from(marks.torn_to) * 2
        + u32::from(pickups > 0) * 2
        + u32::from(chain.hops.first().is_some_and(|hop| hop.kind == HopKind::Pickup)) * 2
        + u32::from(marks.exchange)
        + u32::from(!at_home)
}

/// Whether a copy passed a machine whose name is in the author's own domain.
fn passes_authors_house(chain: &Chain) -> bool {
    let Some(author) = chain.author_domain() else { return false };
    let by = chain.hops.iter().filter_map(|hop| hop.by.as_deref());
    let senders = chain.hops.iter().flat_map(|hop| hop.sender_names());
    by.chain(senders).any(|name| names::same_house(name, author))
}

/// Whether the author's domain is that of the Message-ID, or of the machine that it comes from.
fn is_at_home(chain: &Chain) -> bool {
    let Some(author) = chain.author_domain() else { return false };
    let machine = actor(chain, 0);
    let names =
        machine.names.iter().map(String::as_str).filter(|n| !names::is_made_of_address(n, machine.ip));
    let id = chain.id_domain().map(str::to_ascii_lowercase);
    id.iter().map(String::as_str).chain(names).any(|name| names::same_house(name, author))
}

/// From this suspicion on a message has an identity that its author did not give it, even if there is none
/// to compare it with: the sum of several marks.
pub(super) const STRANGE: u32 = 6;

/// Whether there are several identities, and not even the least suspicious comes from the author's home:
/// marks stand in others from the same machine.
fn is_nobodys_own(chains: &[Chain], original: usize) -> bool {
    let own = &chains[original];
    let home = Home::of(own);
    let strange = |chain: &&Chain| suspicion(chain) >= STRANGE && home.is_same(&Home::of(chain));
    chains.iter().any(|chain| chain.identity != own.identity) && chains.iter().find(strange).is_some()
}

/// Which copies have a new identity that does not come from where the original comes from.
fn foreign(chains: &[Chain], original: usize) -> Vec<bool> {
    let own = &chains[original];
    let mut by_identity: BTreeMap<&Identity, bool> = BTreeMap::new();
    by_identity.insert(&own.identity, false);
    for chain in chains {
        let foreign = is_foreign(chain, own);
        // One of an identity's copies that comes from home clears it.
        by_identity.entry(&chain.identity).and_modify(|known| *known &= foreign).or_insert(foreign);
    }
    chains.iter().map(|chain| by_identity.get(&chain.identity).copied().unwrap_or(false)).collect()
}

fn is_foreign(chain: &Chain, own: &Chain) -> bool {
    chain.identity.message_id != own.identity.message_id && !Home::of(chain).is_same(&Home::of(own))
}

/// Where a message got its identity: the machine of its oldest stamp, and the domain of its Message-ID.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Home {
    /// It passed a machine of the author's own house.
    is_authors: bool,
    machine: Actor,
    id_domain: Option<String>,
}

impl Home {
    pub(super) fn of(chain: &Chain) -> Self {
        let id_domain = chain.id_domain().map(str::to_ascii_lowercase);
        Self { is_authors: passes_authors_house(chain), machine: (*actor(chain, 0)).clone(), id_domain }
    }

    /// Whether the author of one could be at home where the other comes from.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same_domain = match (&self.id_domain, &other.id_domain) {
            (Some(a), Some(b)) => a == b || names::same_owner(a, b),
            _ => false,
        };
        same_domain
            || (self.is_authors && other.is_authors)
            || self.machine.is_same(&other.machine)
            || self.machine.is_pool_of(&other.machine)
    }
}
