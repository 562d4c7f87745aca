//! Marks: lines and places that show that a message was put back into the stream.

use std::sync::Arc;

use quell_mail::hop::{HopKind, is_public};

use super::actor::{Actor, actor};
use super::chain::{Chain, Hop};
use super::names;
use super::origin::Origin;
use super::reason::Reason;

/// Marks of re-injection at stamp `i` of a copy; none if that stamp is as any.
pub(super) fn of_stamp(chains: &[Chain], chain: usize, i: usize, origin: &Origin) -> Vec<Reason> {
    let copy = &chains[chain];
    let mut marks = Vec::new();
    let Some(hop) = copy.hops.get(i) else { return marks };
    match hop.kind {
        HopKind::Pickup if i > 0 => marks.push(Reason::PickupLine),
        HopKind::Collected if leaves_house(copy, i) => marks.push(Reason::Collected),
        _ if i > 0 && comes_from_nowhere(copy, i) && leaves_house(copy, i) => marks.push(Reason::Collected),
        _ => {}
    }
    let is_new = i == 0 && origin.is_foreign(chain);
    if is_new {
        marks.push(Reason::NewIdentity);
        marks.extend(copy.marks.inner_id.then_some(Reason::InnerId));
        marks.extend((hop.kind == HopKind::Pickup).then_some(Reason::PickupLine));
    }
    if i == 0 && !is_new && hop.kind == HopKind::Pickup && origin.has_lost_trace(chains, chain) {
        marks.extend([Reason::PickupLine, Reason::LostTrace]);
    }
    if !marks.is_empty() {
        marks.extend(copy.marks.pickup_address.then_some(Reason::PickupAddress));
        marks.extend(copy.marks.exchange.then_some(Reason::ExchangeLines));
    }
    marks
}

/// Whether stamp `i` was made on a machine of another house than the stamp below, and nobody handed it over:
/// it was taken from a mailbox there.
fn comes_from_nowhere(chain: &Chain, i: usize) -> bool {
    let hop = &chain.hops[i];
    // qmail's own line names nobody; the one below it does.
    let there = chain.hops[..i].iter().rev().take(2).find_map(|below| below.by.as_deref());
    let (Some(there), Some(here)) = (there, hop.by.as_deref()) else { return false };
    // In the author's own house it began, whatever lines stand below.
    let is_authors = chain.author_domain().is_some_and(|domain| names::same_house(here, domain));
    hop.is_made_there()
        && !is_authors
        && hop.kind != HopKind::Expanded
        && names::is_telling(there)
        && names::is_telling(here)
        && !names::same_house(there, here)
}

/// Whether a copy went on to another house after stamp `i`.
pub(super) fn leaves_house(chain: &Chain, i: usize) -> bool {
    let here = chain.hops.get(i).and_then(|hop| hop.by.as_deref()).filter(|by| names::is_telling(by));
    let elsewhere = |hop: &Hop| {
        let there = hop.by.as_deref().filter(|by| names::is_telling(by) && !names::is_inner(by));
        let domain = chain.recipient.rsplit_once('@').map_or("", |(_, domain)| domain);
        // What is called `server` may be in the recipient's own house, and has not left it then.
        let at_home = |here: &str| {
            names::house(here).is_none() && there.is_some_and(|there| names::same_house(there, domain))
        };
        here.zip(there).is_some_and(|(here, there)| !names::same_house(here, there) && !at_home(here))
    };
    let over_network = |hop: &Hop| hop.has_sender() && hop.ip.is_some_and(is_public);
    chain.hops.iter().skip(i + 1).any(|hop| over_network(hop) || elsewhere(hop))
}

/// A message that `actor` put back into the stream, found in one copy alone.
#[derive(Debug, Clone)]
pub(super) struct Injection {
    pub(super) chain: usize,
    /// Stamps below.
    pub(super) depth: usize,
    pub(super) actor: Arc<Actor>,
    pub(super) marks: Vec<Reason>,
}

/// The places in all copies where a message was put back into the stream, by its marks.
pub(super) fn injections(chains: &[Chain], origin: &Origin) -> Vec<Injection> {
    let mut found = Vec::new();
    for (chain, copy) in chains.iter().enumerate() {
        for depth in 0..copy.hops.len() {
            let marks = of_stamp(chains, chain, depth, origin);
            if !marks.is_empty() {
                found.push(Injection { chain, depth, actor: actor(copy, depth), marks });
            }
        }
    }
    found
}
