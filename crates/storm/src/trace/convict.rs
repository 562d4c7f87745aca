//! From what speaks against machines to culprits: who made which copy, and how sure that is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::actor::Actor;
use super::chain::Chain;
use super::charge::{self, Charge, Known};
use super::graph::{self, Parting};
use super::mark::{self, Injection};
use super::origin::{Origin, passes};
use super::reason::{Reason, fold};
use super::rounds;
use crate::storm::{CulpritClass, MAX_CULPRITS};

/// Machines that are looked at because of marks: those of most copies. A real storm has a handful.
const MAX_MACHINES: usize = 32;
/// Machines told apart before that; what further ones did is not looked at.
const MAX_MET: usize = 256;
/// Recipients of one machine's copies at which proof is looked for: those with most of them.
const MAX_RECIPIENTS: usize = 32;

/// Marks in one single copy that are enough, in thousandths; see [`weight`].
const ONE_IS_ENOUGH: u32 = 800;

/// A machine that made copies.
#[derive(Debug, Clone)]
pub(super) struct Convict {
    pub(super) actor: Actor,
    pub(super) class: CulpritClass,
    /// Copies that it made and nobody after it, by index.
    pub(super) made: Vec<usize>,
    /// Copies that it made and another machine made more of.
    pub(super) passed_on: Vec<usize>,
    /// The stamps below its own in each of `made`.
    pub(super) depths: Vec<usize>,
    pub(super) reasons: Vec<Reason>,
    /// Copies to lay side by side, and the stamps they share; the best first.
    pub(super) pairs: Vec<(usize, usize, usize)>,
    pub(super) confidence_permille: u16,
}

/// What a group of copies turned out to be.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) convicts: Vec<Convict>,
    /// The most copies that a recipient has of one list, or of none, beyond those somebody made.
    pub(super) unexplained: usize,
    /// Recipients with more than one copy, for whatever reason.
    pub(super) have_several: bool,
}

/// Copies are compared if they are for the same recipient, and of the same list or of none.
type Set = (Arc<str>, Option<u64>);

/// The sets of copies that are compared. A copy with a new identity is compared with all: the list may be
/// one of those whom a faulty server sent it to.
fn sets(chains: &[Chain], origin: &Origin) -> Vec<Set> {
    let list = |i: usize, chain: &Chain| chain.list.filter(|_| !origin.is_foreign(i));
    chains.iter().enumerate().map(|(i, chain)| (Arc::clone(&chain.recipient), list(i, chain))).collect()
}

/// Judges a group; `chains` are distinct copies.
pub(super) fn judge(chains: &[Chain], origin: &Origin) -> Judgement {
    let sets = sets(chains, origin);
    let partings = graph::partings(chains, &sets);
    let turns: Vec<Charge> = rounds(chains, &sets, &partings);
    let mut known = Known::new(chains, origin, &[]);
    let mut charges = charges(&known, &partings, &turns);
    // Who puts messages back without a mark is known only now; what lies below is seen in another light.
    let again: Vec<Actor> =
        charges.iter().filter(|c| c.class == CulpritClass::Resends).map(|c| c.actor.clone()).collect();
    if !again.is_empty() {
        known = Known::new(chains, origin, &again);
        charges = self::charges(&known, &partings, &turns);
    }
    let mut convicts = attribute(chains, gather(charges));
    convicts.retain(|convict| !convict.made.is_empty() || !convict.passed_on.is_empty());
    for convict in &mut convicts {
        convict.confidence_permille = confidence(convict);
    }
    convicts.sort_by_key(|c| (std::cmp::Reverse(c.made.len()), c.actor.names.clone()));
    convicts.truncate(MAX_CULPRITS);
    let unexplained = unexplained(&known, &convicts, &partings);
    let mut recipients: Vec<&str> = chains.iter().map(|chain| &*chain.recipient).collect();
    recipients.sort_unstable();
    let have_several = recipients.windows(2).any(|pair| pair[0] == pair[1]);
    Judgement { convicts, unexplained, have_several }
}

/// All that speaks against machines.
fn charges(known: &Known<'_>, partings: &[Parting], turns: &[Charge]) -> Vec<Charge> {
    let mut charges = turns.to_vec();
    if turns.is_empty() {
        charges.extend(partings.iter().filter_map(|parting| charge::of_parting(known, parting)));
    }
    charges.extend(of_injections(known.chains, known.origin, &charges));
    charges
}

fn rounds(chains: &[Chain], sets: &[Set], partings: &[Parting]) -> Vec<Charge> {
    graph::by_key(sets)
        .values()
        .filter(|set| set.len() > 1)
        .flat_map(|set| rounds::charges(chains, set, partings))
        .collect()
}

/// Machines that put messages back into the stream, found by marks in copies that part nowhere twice:
/// several for one recipient, or one whose marks are enough.
fn of_injections(chains: &[Chain], origin: &Origin, charged: &[Charge]) -> Vec<Charge> {
    let mut machines: Vec<(Actor, Vec<Injection>)> = Vec::new();
    for injection in mark::injections(chains, origin) {
        let is_full = machines.len() >= MAX_MET;
        match machines.iter_mut().find(|(actor, _)| actor.is_same(&injection.actor)) {
            Some((actor, all)) => {
                actor.merge(&injection.actor);
                all.push(injection);
            }
            None if is_full => {}
            None => machines.push(((*injection.actor).clone(), vec![injection])),
        }
    }
    // Who forges as many machines as he likes shall not make this take as long as he likes.
    machines.sort_by_key(|(_, all)| std::cmp::Reverse(all.len()));
    machines.truncate(MAX_MACHINES);
    let of = graph::by_key(chains.iter().map(|chain| &*chain.recipient));
    machines.into_iter().filter_map(|(actor, all)| of_machine(chains, &of, actor, &all, charged)).collect()
}

fn of_machine(
    chains: &[Chain],
    of: &BTreeMap<&str, Vec<usize>>,
    actor: Actor,
    all: &[Injection],
    charged: &[Charge],
) -> Option<Charge> {
    let known = charged.iter().any(|c| c.class == CulpritClass::Resends && c.actor.is_same(&actor));
    let mut by_recipient: BTreeMap<&str, Vec<&Injection>> = BTreeMap::new();
    for injection in all {
        by_recipient.entry(&chains[injection.chain].recipient).or_default().push(injection);
    }
    let mut most: Vec<(&&str, &Vec<&Injection>)> = by_recipient.iter().collect();
    most.sort_by_key(|(_, mine)| std::cmp::Reverse(mine.len()));
    let looked_at = || most.iter().take(MAX_RECIPIENTS);
    let others = |recipient: &str| of.get(recipient).map_or(&[][..], Vec::as_slice);
    let proofs = looked_at().filter_map(|(to, mine)| proof(chains, others(to), &actor, mine));
    let proven = proofs.max_by_key(|p| p.1);
    let circles = || looked_at().find_map(|(_, mine)| circle(chains, mine));
    let proven = proven.or_else(circles);
    let mut reasons: Vec<Reason> = all.iter().flat_map(|i| i.marks.iter().copied()).collect();
    if proven.is_none() && !known {
        return None;
    }
    reasons.extend(proven.map(|_| Reason::HasOriginal));
    reasons.sort();
    reasons.dedup();
    let made = all.iter().map(|i| (i.chain, i.depth)).collect();
    Some(Charge { actor, class: CulpritClass::Resends, made, pair: proven.map(|p| p.0), reasons })
}

/// The pair that proves it, and what it weighs: the recipient has one that did not pass this machine.
fn proof(
    chains: &[Chain],
    others: &[usize],
    actor: &Actor,
    mine: &[&Injection],
) -> Option<((usize, usize, usize), u32)> {
    let first = mine.iter().min_by_key(|i| (chains[i.chain].arrived_ms, chains[i.chain].id))?;
    let copy = &chains[first.chain];
    let others = others.iter().map(|i| (*i, &chains[*i]));
    let others = others.filter(|(i, other)| *i != first.chain && !passes(other, actor));
    let (original, _) = others.min_by_key(|(_, c)| (c.arrived_ms.is_none(), c.arrived_ms, c.id))?;
    let weight = mine.iter().map(|i| weight_of(chains, i)).max().unwrap_or(0);
    let enough = mine.len() > 1 || weight >= ONE_IS_ENOUGH;
    let shared = rounds::shared(&chains[original], copy);
    enough.then_some(((original, first.chain, shared), weight + mine.len() as u32))
}

/// The pair that proves it where all copies passed this machine: one of them twice, as it comes to it again
/// with what it sent out itself, and another that did not.
fn circle(chains: &[Chain], mine: &[&Injection]) -> Option<((usize, usize, usize), u32)> {
    let times = |chain: usize| mine.iter().filter(|i| i.chain == chain).count();
    let more = mine.iter().map(|i| i.chain).max_by_key(|chain| times(*chain))?;
    let fewer = mine.iter().map(|i| i.chain).min_by_key(|chain| times(*chain))?;
    let leaves = mine.iter().any(|i| mark::leaves_house(&chains[i.chain], i.depth));
    let shared = rounds::shared(&chains[fewer], &chains[more]);
    (leaves && times(more) > times(fewer)).then_some(((fewer, more, shared), 1))
}

/// What the marks of one injection weigh together. That the message left for another house afterwards is
/// what a collector, a filter and a mailbox never do with it.
fn weight_of(chains: &[Chain], injection: &Injection) -> u32 {
    let marks: u32 = injection.marks.iter().map(weight).sum();
    let leaves = mark::leaves_house(&chains[injection.chain], injection.depth);
    marks + if leaves && injection.depth > 0 { 300 } else { 0 }
}

/// What a mark weighs where it stands alone, in thousandths of what convicts.
fn weight(mark: &Reason) -> u32 {
    match mark {
        Reason::PickupLine => 500,
        Reason::NewIdentity | Reason::LostTrace => 350,
        Reason::InnerId => 300,
        Reason::PickupAddress | Reason::OtherRecipient => 400,
        Reason::Collected => 450,
        Reason::ExchangeLines => 150,
        _ => 0,
    }
}

/// Charges against one machine put together.
fn gather(charges: Vec<Charge>) -> Vec<(Convict, Vec<(usize, usize)>)> {
    let mut all: Vec<(Convict, Vec<(usize, usize)>)> = Vec::new();
    for charge in charges {
        let known = all.iter_mut().find(|(c, _)| c.actor.is_same(&charge.actor));
        match known {
            Some((convict, made)) => {
                convict.actor.merge(&charge.actor);
                convict.class = graver(convict.class, charge.class);
                convict.reasons.extend(charge.reasons);
                convict.pairs.extend(charge.pair);
                made.extend(charge.made);
            }
            None => {
                let Charge { actor, class, made, pair, reasons } = charge;
                let pairs = pair.into_iter().collect();
                let convict = Convict {
                    passed_on: Vec::new(),
                    actor,
                    class,
                    made: Vec::new(),
                    depths: Vec::new(),
                    reasons,
                    pairs,
                    confidence_permille: 0,
                };
                all.push((convict, made));
            }
        }
    }
    for (convict, _) in &mut all {
        convict.reasons = fold(convict.reasons.drain(..));
    }
    all
}

fn graver(a: CulpritClass, b: CulpritClass) -> CulpritClass {
    let order = [CulpritClass::Loops, CulpritClass::Resends, CulpritClass::Injects, CulpritClass::Retries];
    let place = |class: CulpritClass| order.iter().position(|c| *c == class);
    if place(a) <= place(b) { a } else { b }
}

/// Gives each copy to the machine that made it last.
fn attribute(chains: &[Chain], gathered: Vec<(Convict, Vec<(usize, usize)>)>) -> Vec<Convict> {
    let mut last: Vec<Option<(usize, usize)>> = vec![None; chains.len()];
    for (who, (_, made)) in gathered.iter().enumerate() {
        for &(chain, depth) in made {
            if last[chain].is_none_or(|(known, _)| known <= depth) {
                last[chain] = Some((depth, who));
            }
        }
    }
    let mut convicts = Vec::with_capacity(gathered.len());
    for (who, (mut convict, made)) in gathered.into_iter().enumerate() {
        convict.passed_on =
            made.iter().map(|(i, _)| *i).filter(|i| last[*i].is_some_and(|l| l.1 != who)).collect();
        convict.passed_on.sort_unstable();
        convict.passed_on.dedup();
        convicts.push(convict);
    }
    for (chain, last) in last.iter().enumerate() {
        if let Some((depth, who)) = *last {
            convicts[who].made.push(chain);
            convicts[who].depths.push(depth);
        }
    }
    convicts
}

/// How sure it is, in thousandths: each line of evidence leaves a part of the doubt.
fn confidence(convict: &Convict) -> u16 {
    let part = |reason: &Reason| match reason {
        Reason::Parting { .. } | Reason::OtherRecipient => 0.5,
        Reason::HasOriginal | Reason::Collected | Reason::SlowAnswer { .. } => 0.4,
        Reason::PickupLine => 0.35,
        Reason::SameNextHop | Reason::AtOnce { .. } | Reason::NoCommonStamp => 0.6,
        Reason::Round => 0.2,
        Reason::NewIdentity | Reason::InnerId | Reason::PickupAddress => 0.6,
        Reason::ExchangeLines | Reason::LostTrace | Reason::Hearsay => 0.85,
    };
    let doubt: f64 = convict.reasons.iter().map(part).product();
    let copies = convict.made.len() as f64;
    let doubt = doubt * (0.35 + 0.65 / copies.max(1.0));
    let nameless = if convict.actor.ip.is_none() { 0.97 } else { 1.0 };
    ((1.0 - doubt).clamp(0.5, 0.99) * nameless * 1000.0).round() as u16
}

/// Copies for one recipient that have no reason and no maker.
fn unexplained(known: &Known<'_>, convicts: &[Convict], partings: &[Parting]) -> usize {
    let made = |i: &usize| convicts.iter().any(|convict| convict.made.contains(i));
    let of_parting = |parting: &Parting| {
        let left: usize = charge::without_reason(known, parting).iter().filter(|i| !made(i)).count();
        left.saturating_sub(1)
    };
    let parted = partings.iter().map(of_parting).max().unwrap_or(0);
    let mut bare: BTreeMap<(&str, Option<u64>), usize> = BTreeMap::new();
    for chain in known.chains.iter().filter(|chain| chain.hops.is_empty()) {
        *bare.entry((&chain.recipient, chain.list)).or_default() += 1;
    }
    parted.max(bare.values().map(|n| n - 1).max().unwrap_or(0))
}
