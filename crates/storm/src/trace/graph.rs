//! Where copies part: the tree of equal stamps, from the oldest on, for each recipient.

use std::collections::BTreeMap;

use super::actor::{Actor, actor};
use super::chain::Chain;
use crate::facts::Ms;

/// Copies that one machine sent on from the same stamp, or from no common one, to the same recipient.
#[derive(Debug, Clone)]
pub(super) struct Parting {
    /// Stamps that the copies have in common; they part at the next.
    pub(super) depth: usize,
    /// Who sent them on.
    pub(super) actor: Actor,
    /// The ways on, each with the copies that went it; by time.
    pub(super) branches: Vec<Branch>,
    /// Copies of the same recipient that came here and went on otherwise, or not at all.
    pub(super) others: Vec<usize>,
}

/// One way on from a parting.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    /// Copies, by index.
    pub(super) chains: Vec<usize>,
    /// When it was taken, by the clock of the server behind the parting.
    pub(super) at_ms: Option<Ms>,
}

/// All partings among `chains`. Copies are compared if they are in the same set: for the same recipient,
/// and of the same list.
pub(super) fn partings<K: Ord>(chains: &[Chain], set_of: &[K]) -> Vec<Parting> {
    let mut found = Vec::new();
    for set in by_key(set_of.iter()).into_values() {
        // A stack instead of recursion: a chain has up to 128 stamps, and who knows what else one day.
        let mut todo = vec![(set, 0)];
        while let Some((set, depth)) = todo.pop() {
            if set.len() < 2 {
                continue;
            }
            let (ways, ended) = ways(chains, &set, depth);
            if ways.len() + usize::from(!ended.is_empty()) > 1 {
                found.extend(by_actor(chains, &ways, &set, depth));
            }
            todo.extend(ways.into_iter().map(|way| (way, depth + 1)));
        }
    }
    found
}

/// The places at which each key stands, in rising order.
pub(super) fn by_key<K: Ord>(keys: impl IntoIterator<Item = K>) -> BTreeMap<K, Vec<usize>> {
    let mut places: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (i, key) in keys.into_iter().enumerate() {
        places.entry(key).or_default().push(i);
    }
    places
}

/// The copies of `set` by their stamp at `depth`, and those that have none there.
fn ways(chains: &[Chain], set: &[usize], depth: usize) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut ways: BTreeMap<u128, Vec<usize>> = BTreeMap::new();
    let mut ended = Vec::new();
    for &i in set {
        match chains[i].hops.get(depth) {
            Some(hop) => ways.entry(hop.hash).or_default().push(i),
            None => ended.push(i),
        }
    }
    (ways.into_values().collect(), ended)
}

fn by_actor(chains: &[Chain], ways: &[Vec<usize>], set: &[usize], depth: usize) -> Vec<Parting> {
    let mut found: Vec<Parting> = Vec::new();
    for way in ways {
        let first = way.iter().copied().min_by_key(|i| (chains[*i].arrived_ms, chains[*i].id));
        let Some(first) = first else { continue };
        let actor = actor(&chains[first], depth);
        let at_ms = chains[first].hops.get(depth).and_then(|hop| hop.at_ms).or(chains[first].arrived_ms);
        let branch = Branch { chains: way.clone(), at_ms };
        match found.iter_mut().find(|parting| parting.actor.is_same(&actor)) {
            Some(parting) => {
                parting.actor.merge(&actor);
                parting.branches.push(branch);
            }
            None => found.push(Parting {
                depth,
                actor: (*actor).clone(),
                branches: vec![branch],
                others: Vec::new(),
            }),
        }
    }
    pool(&mut found);
    for parting in &mut found {
        parting.branches.sort_by_key(|branch| (branch.at_ms, branch.chains.first().map(|i| chains[*i].id)));
        let mine: Vec<usize> = parting.branches.iter().flat_map(|b| b.chains.iter().copied()).collect();
        parting.others = set.iter().copied().filter(|i| !mine.contains(i)).collect();
    }
    found
}

/// A server with several outgoing addresses is one sender.
fn pool(found: &mut Vec<Parting>) {
    let mut i = 0;
    while i < found.len() {
        let with = (0..i).find(|j| found[*j].actor.is_pool_of(&found[i].actor));
        match with {
            Some(j) => {
                let other = found.remove(i);
                found[j].actor.merge(&other.actor);
                found[j].branches.extend(other.branches);
            }
            None => i += 1,
        }
    }
}
