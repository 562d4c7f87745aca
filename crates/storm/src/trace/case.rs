//! A group of copies, read and judged: what the parts of the report are made of.

use std::collections::BTreeSet;

use super::chain::Chain;
use super::convict::{Convict, Judgement, judge};
use super::origin::Origin;
use super::report::{Finding, MAX_IDS};
use crate::facts::Ms;
use crate::storm::CulpritClass;

/// A group read and judged.
pub(super) struct Case {
    /// Distinct copies.
    pub(super) chains: Vec<Chain>,
    pub(super) origin: Origin,
    pub(super) judgement: Judgement,
    /// Messages that are each other's doubles, stamp by stamp: the same mail kept twice.
    pub(super) doubles: usize,
}

/// The name of a file by its number.
pub type FileName<'a> = &'a dyn Fn(u32) -> Option<String>;

/// Without the same mail kept twice: for the same recipient, with the same stamps from the first to the
/// last.
fn distinct(chains: Vec<Chain>) -> Vec<Chain> {
    let mut known = BTreeSet::new();
    let mut keep = Vec::with_capacity(chains.len());
    for chain in chains {
        let stamps: Vec<u128> = chain.hops.iter().map(|hop| hop.hash).collect();
        if stamps.is_empty() || known.insert((chain.recipient.clone(), chain.identity.clone(), stamps)) {
            keep.push(chain);
        }
    }
    keep
}

impl Case {
    /// Judges copies, in any order.
    pub(super) fn of(mut chains: Vec<Chain>) -> Self {
        chains.sort_by_key(|chain| (chain.arrived_ms, chain.id));
        let before = chains.len();
        let chains = distinct(chains);
        let doubles = before - chains.len();
        let origin = Origin::of(&chains);
        let judgement = judge(&chains, &origin);
        Self { chains, origin, judgement, doubles }
    }

    pub(super) fn weight(&self, made: &[usize]) -> f64 {
        made.iter().map(|i| self.chains[*i].weight).sum()
    }

    pub(super) fn makers_total(&self) -> f64 {
        let made: f64 = self.judgement.convicts.iter().map(|c| self.weight(&c.made)).sum();
        made + self.judgement.unexplained as f64
    }

    pub(super) fn finding(&self) -> Finding {
        let classes: Vec<CulpritClass> = self.judgement.convicts.iter().map(|c| c.class).collect();
        let has = |class| classes.contains(&class);
        if has(CulpritClass::Resends) || has(CulpritClass::Injects) {
            return Finding::Culprit;
        }
        if has(CulpritClass::Loops) {
            return Finding::Loop;
        }
        if has(CulpritClass::Retries) {
            return Finding::Retry;
        }
        if self.judgement.unexplained > 0 {
            return Finding::CannotTell;
        }
        let recipients: BTreeSet<&str> = self.chains.iter().map(|c| &*c.recipient).collect();
        let lists: BTreeSet<Option<u64>> = self.chains.iter().map(|c| c.list).collect();
        let many = recipients.len() > 1 || lists.len() > 1;
        let one_each = !self.judgement.have_several || lists.len() > 1;
        if many && one_each && self.chains.len() > 1 { Finding::List } else { Finding::NoCulprit }
    }

    pub(super) fn message_ids(&self) -> Vec<String> {
        let first = self.origin.original.map(|i| &self.chains[i]);
        let all = first.into_iter().chain(&self.chains).filter_map(|c| c.identity.message_id.clone());
        let mut known = BTreeSet::new();
        all.filter(|id| known.insert(id.clone())).take(MAX_IDS).collect()
    }

    /// The median time between two copies that it made for the same recipient, by the clock of the server
    /// that stamped them first: what lies behind it may have been slow.
    pub(super) fn interval_ms(&self, convict: &Convict) -> Option<Ms> {
        let mut times: Vec<(&str, Ms)> = Vec::new();
        for (&i, &depth) in convict.made.iter().zip(&convict.depths) {
            let chain = &self.chains[i];
            let at = chain.hops.get(depth).and_then(|hop| hop.at_ms).or(chain.arrived_ms);
            times.extend(at.map(|at| (&*chain.recipient, at)));
        }
        times.sort_unstable();
        let gap = |pair: &[(&str, Ms)]| (pair[0].0 == pair[1].0).then(|| pair[1].1.saturating_sub(pair[0].1));
        let mut gaps: Vec<Ms> = times.windows(2).filter_map(gap).collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied()
    }
}
