//! From a trace to what is said of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use quell_mail::key::ExactKey;

use super::Trace;
use super::chain::{Chain, Reader};
use super::convict::{Convict, Judgement, judge};
use super::origin::Origin;
use super::report::{Finding, Group, MAX_IDS};
use super::{names, picture, side, words};
use crate::facts::Ms;
use crate::storm::{Culprit, CulpritClass};

/// Names said of one culprit.
const MAX_NAMES: usize = 16;

/// A group read and judged, for the parts of the report.
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

impl Trace {
    /// What the copies seen so far say. `key` names the group, `file` the files of [`super::Place`].
    pub fn group(&self, key: &ExactKey, file: FileName<'_>) -> Group {
        let case = self.case();
        let total = case.makers_total();
        let scale = self.scale(&case);
        let culprits: Vec<Culprit> =
            case.judgement.convicts.iter().map(|c| case.culprit(c, total, scale, file)).collect();
        let times = || case.chains.iter().filter_map(|chain| chain.arrived_ms);
        let original = case.origin.original.map(|i| &case.chains[i]);
        let finding = case.finding();
        Group {
            key: key.to_string(),
            subject: original.map(|chain| words::subject(&chain.subject)).unwrap_or_default(),
            message_ids: case.message_ids(),
            copies: self.messages,
            recipients: self.recipients(),
            first_seen_ms: self.first_ms.or_else(|| times().min()),
            last_seen_ms: self.last_ms.or_else(|| times().max()),
            words: words::of(&case, finding, &culprits),
            tree: picture::tree(&case, scale),
            timeline: picture::timeline(&case),
            comparisons: side::comparisons(&case, file),
            culprits,
            finding,
        }
    }

    /// Only the culprits, for what is asked for often.
    pub fn culprits(&self) -> Vec<Culprit> {
        let case = self.case();
        let (total, scale) = (case.makers_total(), self.scale(&case));
        case.judgement.convicts.iter().map(|c| case.culprit(c, total, scale, &|_| None)).collect()
    }

    fn case(&self) -> Case {
        let mut reader = Reader::default();
        let mut seen = BTreeSet::new();
        let mut chains: Vec<Chain> = Vec::new();
        // Those that stand for others come first: they carry the weight.
        for (copy, weight) in self.by_path.weighted() {
            seen.insert(copy.id);
            chains.push(reader.read(copy, weight));
        }
        for (copy, _) in self.by_recipient.weighted() {
            if seen.insert(copy.id) {
                chains.push(reader.read(copy, 0.0));
            }
        }
        chains.sort_by_key(|chain| (chain.arrived_ms, chain.id));
        let before = chains.len();
        let chains = distinct(chains);
        let doubles = before - chains.len();
        let origin = Origin::of(&chains);
        let judgement = judge(&chains, &origin);
        Case { chains, origin, judgement, doubles }
    }

    /// Messages for each unit of weight: more than one where some of the ways found no room.
    fn scale(&self, case: &Case) -> f64 {
        let weight: f64 = case.chains.iter().map(|chain| chain.weight).sum();
        let counted = self.messages.saturating_sub(case.doubles as u64) as f64;
        if weight > 0.0 { counted / weight } else { 1.0 }
    }
}

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
    fn weight(&self, made: &[usize]) -> f64 {
        made.iter().map(|i| self.chains[*i].weight).sum()
    }

    fn makers_total(&self) -> f64 {
        let made: f64 = self.judgement.convicts.iter().map(|c| self.weight(&c.made)).sum();
        made + self.judgement.unexplained as f64
    }

    fn finding(&self) -> Finding {
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

    fn message_ids(&self) -> Vec<String> {
        let first = self.origin.original.map(|i| &self.chains[i]);
        let all = first.into_iter().chain(&self.chains).filter_map(|c| c.identity.message_id.clone());
        let mut known = BTreeSet::new();
        all.filter(|id| known.insert(id.clone())).take(MAX_IDS).collect()
    }

    fn culprit(&self, convict: &Convict, total: f64, scale: f64, file: FileName<'_>) -> Culprit {
        let copies = if convict.made.is_empty() { &convict.passed_on } else { &convict.made };
        let times: Vec<Ms> = copies.iter().filter_map(|i| self.chains[*i].arrived_ms).collect();
        let weight = self.weight(&convict.made);
        let mut names: Vec<String> = convict.actor.names.iter().take(MAX_NAMES).cloned().collect();
        // What people call it comes first; a name made of the address says least.
        names.sort_by_key(|name| (names::is_made_of_address(name, convict.actor.ip), names::is_inner(name)));
        Culprit {
            host: names.first().cloned(),
            ip: convict.actor.ip.map(|ip: IpAddr| ip.to_canonical()),
            names,
            software: convict.actor.software.clone(),
            class: Some(convict.class),
            copies: Some((weight * scale).round() as u64),
            share_permille: (total > 0.0).then(|| (weight / total * 1000.0).round().min(1000.0) as u16),
            confidence_permille: Some(convict.confidence_permille),
            first_seen_ms: times.iter().min().copied(),
            last_seen_ms: times.iter().max().copied(),
            interval_ms: self.interval_ms(convict),
            evidence: side::lines(self, convict, file),
        }
    }

    /// The median time between two copies that it made for the same recipient, by the clock of the server
    /// that stamped them first: what lies behind it may have been slow.
    fn interval_ms(&self, convict: &Convict) -> Option<Ms> {
        let mut times: Vec<(&str, Ms)> = Vec::new();
        for (&i, &depth) in convict.made.iter().zip(&convict.depths) {
            let chain = &self.chains[i];
            let at = chain.hops.get(depth).and_then(|hop| hop.at_ms).or(chain.arrived_ms);
            times.extend(at.map(|at| (&*chain.recipient, at)));
        }
        times.sort_unstable();
        let gap = |pair: &[(&str, Ms)]| (pair[0].0 == pair[1].0).then(|| pair[1].1 - pair[0].1);
        let mut gaps: Vec<Ms> = times.windows(2).filter_map(gap).collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied()
    }
}
