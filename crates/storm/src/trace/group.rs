//! From a trace to what is said of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use quell_mail::key::ExactKey;

use super::Trace;
use super::actor::vouched;
use super::case::{Case, FileName};
use super::chain::{Chain, Reader};
use super::convict::Convict;
use super::report::Group;
use super::{names, picture, side, words};
use crate::facts::Ms;
use crate::storm::Culprit;

/// Names said of one culprit.
const MAX_NAMES: usize = 16;

impl Trace {
    /// What the copies seen so far say. `key` names the group, `file` the files of [`super::Place`].
    pub fn group(&self, key: &ExactKey, file: FileName<'_>) -> Group {
        let case = self.case();
        let total = case.makers_total();
        let scale = self.scale(&case);
        let culprits: Vec<Culprit> =
            case.judgement.convicts.iter().map(|c| culprit(&case, c, total, scale, file)).collect();
        let times = || case.chains.iter().filter_map(|chain| chain.arrived_ms);
        let original = case.origin.original.map(|i| &case.chains[i]);
        let finding = case.finding();
        Group {
            key: key.to_string(),
            subject: original.map(|chain| words::subject(&chain.subject())).unwrap_or_default(),
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
        case.judgement.convicts.iter().map(|c| culprit(&case, c, total, scale, &|_| None)).collect()
    }

    fn case(&self) -> Case {
        let mut reader = Reader::default();
        let mut seen = BTreeSet::new();
        let mut chains: Vec<Chain> = Vec::new();
        // Only the sample of all copies alike says how many each stands for.
        let weight = self.of_all.weight();
        let fair = self.of_all.copies().map(|copy| (copy, weight));
        let others = self.by_path.copies().chain(self.by_recipient.copies()).map(|copy| (copy, 0.0));
        for (copy, weight) in fair.chain(others) {
            if seen.insert(copy.id) {
                chains.push(vouched(reader.read(copy, weight)));
            }
        }
        Case::of(chains)
    }

    /// Messages for each unit of weight: more than one where some of the ways found no room.
    fn scale(&self, case: &Case) -> f64 {
        let weight: f64 = case.chains.iter().map(|chain| chain.weight).sum();
        let counted = self.messages.saturating_sub(case.doubles as u64) as f64;
        if weight > 0.0 { counted / weight } else { 1.0 }
    }
}

fn culprit(case: &Case, convict: &Convict, total: f64, scale: f64, file: FileName<'_>) -> Culprit {
    let copies = if convict.made.is_empty() { &convict.passed_on } else { &convict.made };
    let times: Vec<Ms> = copies.iter().filter_map(|i| case.chains[*i].arrived_ms).collect();
    let weight = case.weight(&convict.made);
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
        interval_ms: case.interval_ms(convict),
        evidence: side::lines(case, convict, file),
    }
}
