//! What speaks against a machine: copies that it sent on from one stamp to one recipient, and messages
//! that it put back into the stream.

use super::actor::{Actor, actor, is_written_by};
use super::chain::{Chain, Hop};
use super::graph::{Branch, Parting};
use super::mark::of_stamp;
use super::names;
use super::origin::Origin;
use super::reason::Reason;
use crate::facts::Ms;
use crate::storm::CulpritClass;
use quell_mail::hop::{HopKind, is_public};

/// Copies closer together than this were not sent again: they were sent at once. Retry schedules begin
/// at a minute and more (Postfix `minimal_backoff_time` 5 min, Exim 15 min, Sendmail's queue run,
/// Exchange's glitch retry 1 min), a collector's poll likewise.
pub(super) const AT_ONCE_MS: Ms = 45_000;
/// A gap so long between two copies is no accident of two transactions to one server.
const LONG_GAP_MS: Ms = 4 * 60_000;
/// From here on a receiver's delay between its own two stamps counts as slow: RFC 5321 §4.5.3.2.6 wants
/// the answer within ten minutes, and many clients wait for five.
const SLOW_MS: Ms = 5 * 60_000;

/// Times that one person may be in a list, by several addresses or by mistake.
const MAX_IN_LIST: usize = 5;

/// Longer than this no server sits on an answer: one of the two stamps tells a wrong time.
const MAX_SLOW_MS: Ms = 3 * 3_600_000;

/// One thing that speaks against a machine.
#[derive(Debug, Clone)]
pub(super) struct Charge {
    pub(super) actor: Actor,
    pub(super) class: CulpritClass,
    /// Copies that it made, by index, with the number of stamps below.
    pub(super) made: Vec<(usize, usize)>,
    /// Two copies to lay side by side, and the stamps they share.
    pub(super) pair: Option<(usize, usize, usize)>,
    pub(super) reasons: Vec<Reason>,
}

/// What is known of a group while it is judged.
pub(super) struct Known<'a> {
    pub(super) chains: &'a [Chain],
    pub(super) origin: &'a Origin,
    /// Of each copy the stamps at which somebody put it back into the stream, and who, by a name.
    pub(super) put_back: Vec<Vec<(usize, String)>>,
}

impl<'a> Known<'a> {
    /// `again` are machines that are known to do so though they leave no mark.
    pub(super) fn new(chains: &'a [Chain], origin: &'a Origin, again: &[Actor]) -> Self {
        let put_back = (0..chains.len()).map(|i| put_back(chains, i, origin, again)).collect();
        Self { chains, origin, put_back }
    }
}

fn put_back(chains: &[Chain], i: usize, origin: &Origin, again: &[Actor]) -> Vec<(usize, String)> {
    let name = |actor: &Actor| match (actor.ip, actor.names.first()) {
        (Some(ip), _) => ip.to_string(),
        (None, Some(name)) => name.clone(),
        (None, None) => String::new(),
    };
    let mut found = Vec::new();
    for depth in 0..chains[i].hops.len() {
        let machine = actor(&chains[i], depth);
        let known = again.iter().any(|other| machine.is_known() && other.is_same(&machine));
        if known || !of_stamp(chains, i, depth, origin).is_empty() {
            found.push((depth, name(&machine)));
        }
    }
    found
}

/// What a parting says against the machine that sent the copies on.
pub(super) fn of_parting(known: &Known<'_>, parting: &Parting) -> Option<Charge> {
    let (chains, origin) = (known.chains, known.origin);
    let (next, others) = same_next(known, parting);
    let at_all = next.len();
    if at_all < 2 || is_author_again(chains, &next, origin) {
        return None;
    }
    let actor = match is_own_house_alone(chains, parting, &next) {
        true => stranger_within(chains, &next)?,
        false => parting.actor.clone(),
    };
    let facts = Facts::of(chains, parting, &next, others, origin);
    if !facts.has_marks && !facts.is_linked && is_own_gateway(chains, &actor, parting.depth, &next) {
        return None;
    }
    let class = facts.class(at_all)?;
    let mut reasons = facts.reasons(parting.depth, class);
    reasons.sort();
    let first = usize::from(!facts.is_elsewhere && !facts.has_marks);
    let made = next.iter().skip(first).flat_map(|b| b.chains.iter().map(|c| (*c, parting.depth))).collect();
    let pair = Some((*next[0].chains.first()?, *next[1].chains.first()?, parting.depth));
    Some(Charge { actor, class, made, pair, reasons })
}

/// Branches that went to the same next server: its owner and who put it back later; the recipient there.
type Next<'a> = ((String, Option<String>), Option<String>, Vec<&'a Branch>);

/// The branches that went to the same next server and envelope recipient: the largest set of such. One
/// branch each to several is what a server does that has several recipients who share a mailbox.
fn same_next<'a>(known: &Known<'_>, parting: &'a Parting) -> (Vec<&'a Branch>, usize) {
    let mut sets: Vec<Next<'_>> = Vec::new();
    for branch in &parting.branches {
        let Some(&first) = branch.chains.first() else { continue };
        let (by, for_) = next_of(&known.chains[first], parting.depth);
        // A message that somebody put back into the stream later was for somebody else until there.
        let later = known.put_back[first].iter().find(|(depth, _)| *depth > parting.depth);
        let by = (by, later.map(|(_, who)| who.clone()));
        let fits = |set: &&mut Next<'_>| set.0 == by && (set.1.is_none() || for_.is_none() || set.1 == for_);
        match sets.iter_mut().find(fits) {
            Some(set) => {
                set.1 = set.1.take().or(for_);
                set.2.push(branch);
            }
            None => sets.push((by, for_, vec![branch])),
        }
    }
    let largest = sets.into_iter().max_by_key(|set| set.2.len()).map(|set| set.2).unwrap_or_default();
    let others = parting.branches.len() - largest.len();
    (largest, others)
}

/// Copies at a parting that have no reason: from one sender to one next server and recipient, and not sent
/// again by the author himself. One of each branch, by index.
pub(super) fn without_reason(known: &Known<'_>, parting: &Parting) -> Vec<usize> {
    let (chains, origin) = (known.chains, known.origin);
    let (next, others) = same_next(known, parting);
    if next.len() < 2 || is_author_again(chains, &next, origin) {
        return Vec::new();
    }
    let facts = Facts::of(chains, parting, &next, others, origin);
    let at_once = facts.median_gap_ms.is_none_or(|gap| gap < AT_ONCE_MS);
    if at_once && facts.is_linked && !facts.same_for {
        // As good a reason as any: several addresses of one person.
        return Vec::new();
    }
    if facts.may_be_roles && (next.len() <= 1 + facts.roles_there || facts.explodes) {
        return Vec::new();
    }
    next.iter().filter_map(|branch| branch.chains.first().copied()).collect()
}

/// The owner of the server behind stamp `depth`, and the recipient named there.
fn next_of(chain: &Chain, depth: usize) -> (String, Option<String>) {
    let by = chain.hops.get(depth).and_then(|hop| hop.by.as_deref()).unwrap_or_default();
    let house = names::owner(by).unwrap_or(by);
    let same_house = |hop: &&std::sync::Arc<Hop>| {
        hop.by.as_deref().is_some_and(|other| other == by || names::same_owner(other, by))
    };
    let mut behind = chain.hops.iter().skip(depth);
    let there = chain.hops.iter().skip(depth).take_while(same_house).find_map(|hop| hop.for_.clone());
    // Where the next house does not say, those behind it may: the recipient's own server knows best.
    let for_ = there.or_else(|| behind.rfind(|hop| hop.for_.is_some()).and_then(|hop| hop.for_.clone()));
    (house.to_owned(), for_.or_else(|| chain.only_address()))
}

/// Whether the copies begin with stamps of the recipient's own house, and none says who brought them there:
/// then its inner server did not make them, it is the first that is left of their way.
fn is_own_house_alone(chains: &[Chain], parting: &Parting, branches: &[&Branch]) -> bool {
    let Some(first) = branches.first().and_then(|b| b.chains.first()).map(|i| &chains[*i]) else {
        return false;
    };
    let from_outside = first.hops.iter().any(|hop| hop.ip.is_some_and(is_public));
    let author = first.author_domain().unwrap_or_default();
    let is_authors = parting.actor.names.iter().any(|name| names::same_house(name, author));
    let is_inner = parting.actor.ip.is_none() && parting.actor.client_of.is_none();
    parting.depth == 0 && is_inner && !from_outside && !is_authors
}

/// The client that handed the copies in on the recipient's own server and gave itself another house's name: a
/// program there, or whoever is behind a proxy. The server itself did not make them.
fn stranger_within(chains: &[Chain], branches: &[&Branch]) -> Option<Actor> {
    let first = branches.first().and_then(|b| b.chains.first()).map(|i| &chains[*i])?;
    let hop = first.hops.first()?;
    let by = hop.by.as_deref()?;
    let is_stranger = hop.loopback && hop.sender_names().any(|name| !names::same_house(name, by));
    is_stranger.then(|| Actor { client_of: Some(by.to_owned()), ..Actor::default() })
}

/// Whether it is a gateway of the recipient's own house that leaves no stamp: whoever is behind it stays hidden.
fn is_own_gateway(chains: &[Chain], actor: &Actor, depth: usize, branches: &[&Branch]) -> bool {
    let Some(first) = branches.first().and_then(|b| b.chains.first()).map(|i| &chains[*i]) else {
        return false;
    };
    let domain = first.recipient.rsplit_once('@').map_or("", |(_, domain)| domain);
    let by = first.hops.get(depth).and_then(|hop| hop.by.as_deref()).unwrap_or_default();
    let own = |name: &String| names::same_house(name, domain) || names::same_house(name, by);
    let author = first.author_domain().unwrap_or_default();
    let is_authors = actor.names.iter().any(|name| names::same_house(name, author));
    actor.ip.is_none() && actor.names.iter().any(own) && !is_authors
}

/// Whether the author himself sent it again: other Dates, from his own place.
fn is_author_again(chains: &[Chain], branches: &[&Branch], origin: &Origin) -> bool {
    let firsts = || branches.iter().filter_map(|b| b.chains.first());
    let mut identities: Vec<_> = firsts().map(|i| &chains[*i].identity).collect();
    identities.sort();
    identities.dedup();
    let mut resent: Vec<_> = firsts().filter_map(|i| chains[*i].resent.as_ref()).collect();
    resent.sort();
    resent.dedup();
    // Who redirects a message by hand says so (RFC 5322 §3.6.6).
    (identities.len() > 1 && firsts().all(|i| !origin.is_foreign(*i))) || resent.len() == branches.len()
}

/// What is to be known of a parting.
struct Facts {
    depth: usize,
    median_gap_ms: Option<Ms>,
    span_ms: Ms,
    /// The stamp before was written by the machine that sent on.
    is_linked: bool,
    /// Marks of re-injection stand right here.
    has_marks: bool,
    marks: Vec<Reason>,
    /// The recipient has it by another way too.
    is_elsewhere: bool,
    /// The stamp before names another recipient.
    other_recipient: bool,
    slow_ms: Option<Ms>,
    same_for: bool,
    /// Addresses of roles that the recipient may read, each with a transaction of its own.
    roles_there: usize,
    may_be_roles: bool,
    /// The sender is the list's own server, or what it got was for an address of its own house, and it sent
    /// all on at once.
    explodes: bool,
    /// All bring stamps along that nobody vouches for.
    hearsay: bool,
    is_list: bool,
    is_known: bool,
}

impl Facts {
    fn of(chains: &[Chain], parting: &Parting, next: &[&Branch], others: usize, origin: &Origin) -> Self {
        let depth = parting.depth;
        let firsts: Vec<&Chain> = next.iter().filter_map(|b| b.chains.first()).map(|i| &chains[*i]).collect();
        let times: Vec<Ms> = next.iter().filter_map(|branch| branch.at_ms).collect();
        let median_gap_ms = median_gap_ms(&times, &firsts, depth);
        let before = depth.checked_sub(1).and_then(|n| firsts.first().and_then(|c| c.hops.get(n)));
        let hops = || firsts.iter().filter_map(|chain| chain.hops.get(depth));
        let marks = marks(chains, next, depth, origin);
        let fors: Vec<&String> = hops().filter_map(|hop| hop.for_.as_ref()).collect();
        let mine: Vec<usize> = next.iter().flat_map(|b| b.chains.iter().copied()).collect();
        let same_for = fors.len() == firsts.len() && fors.windows(2).all(|pair| pair[0] == pair[1]);
        let slow_ms = slow_ms(&firsts, depth);
        let before = before.map(|hop| &**hop);
        let at_once = median_gap_ms.is_none_or(|gap| gap < AT_ONCE_MS);
        Self {
            depth,
            median_gap_ms,
            span_ms: times.last().zip(times.first()).map_or(0, |(last, first)| last.saturating_sub(*first)),
            is_linked: before.is_some_and(|hop| is_written_by(hop, &parting.actor)),
            has_marks: marks.iter().any(|mark| *mark != Reason::ExchangeLines),
            is_elsewhere: others == 0 && origin.has_other_way(chains, &mine, parting),
            other_recipient: before.is_some_and(|hop| is_for_another(hop, &firsts, depth)),
            slow_ms,
            same_for,
            roles_there: firsts.iter().map(|chain| chain.roles_there()).max().unwrap_or(0),
            may_be_roles: !same_for
                && (slow_ms.is_none() || firsts.iter().any(|c| names::is_keepers(&c.recipient))),
            explodes: explodes(parting, &firsts, before, at_once),
            hearsay: depth == 0 && firsts.iter().all(|chain| chain.hearsay > 0),
            is_list: hops().any(|hop| hop.kind == HopKind::Expanded)
                || firsts.iter().any(|c| c.list.is_some()),
            is_known: parting.actor.is_known(),
            marks,
        }
    }

    fn class(&self, copies: usize) -> Option<CulpritClass> {
        if self.has_marks {
            return Some(CulpritClass::Resends);
        }
        if self.may_be_roles && copies <= 1 + self.roles_there {
            return None;
        }
        // Who is in a list several times gets it as often.
        if self.may_be_roles && self.explodes && copies <= MAX_IN_LIST {
            return None;
        }
        // Who forges stamps does not wait for answers.
        let wait_ms = if self.hearsay { LONG_GAP_MS } else { AT_ONCE_MS };
        let at_once = self.median_gap_ms.is_none_or(|gap| gap < wait_ms);
        let unlinked = !self.is_linked;
        if unlinked && self.is_known && (self.is_elsewhere || self.other_recipient) && !self.is_list {
            return (copies > 2 || !at_once).then_some(CulpritClass::Resends);
        }
        if at_once {
            // A server that has the message for several addresses of one person sends it so often at once.
            let one_address = self.same_for || unlinked;
            let class = if unlinked { CulpritClass::Injects } else { CulpritClass::Resends };
            return ((copies > 2 || self.hearsay) && one_address).then_some(class);
        }
        let two_are_enough = self.slow_ms.is_some()
            || self.same_for
            || self.median_gap_ms.is_some_and(|gap| gap >= LONG_GAP_MS);
        (copies > 2 || two_are_enough).then_some(CulpritClass::Retries)
    }

    fn reasons(&self, depth: usize, class: CulpritClass) -> Vec<Reason> {
        let mut reasons = self.marks.clone();
        reasons.push(if depth > 0 { Reason::Parting { depth } } else { Reason::NoCommonStamp });
        if self.is_elsewhere {
            reasons.push(Reason::HasOriginal);
            reasons.extend(
                (self.depth == 0 && !self.marks.contains(&Reason::NewIdentity)).then_some(Reason::LostTrace),
            );
        }
        reasons.extend(self.hearsay.then_some(Reason::Hearsay));
        reasons.extend(self.other_recipient.then_some(Reason::OtherRecipient));
        match class {
            CulpritClass::Retries => {
                reasons.push(Reason::SameNextHop);
                reasons.extend(self.slow_ms.map(|ms| Reason::SlowAnswer { ms }));
            }
            CulpritClass::Injects => reasons.push(Reason::AtOnce { ms: self.span_ms }),
            CulpritClass::Resends | CulpritClass::Loops => {}
        }
        reasons
    }
}

/// Whether the sender of the copies hands on what is sent to an address of its own: a list, an alias of many.
fn explodes(parting: &Parting, copies: &[&Chain], before: Option<&Hop>, at_once: bool) -> bool {
    let own = |name: &str| parting.actor.names.iter().any(|other| names::same_house(other, name));
    let lists = copies.iter().all(|copy| copy.list_name.as_deref().is_some_and(own));
    let alias = || before.and_then(|hop| hop.for_.as_deref()?.rsplit_once('@')).is_some_and(|(_, d)| own(d));
    lists || (at_once && alias())
}

/// The median time between two copies, by the clock of the server behind the parting. Where that is several
/// servers, each has a clock of its own: then the arrivals count if they lie closer together.
fn median_gap_ms(times: &[Ms], copies: &[&Chain], depth: usize) -> Option<Ms> {
    let median = |times: &[Ms]| {
        let mut gaps: Vec<Ms> = times.windows(2).map(|w| w[1].saturating_sub(w[0])).collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied()
    };
    let by = |chain: &&Chain| chain.hops.get(depth).and_then(|hop| hop.by.clone());
    let one_clock = copies.windows(2).all(|pair| by(&pair[0]) == by(&pair[1]));
    let mut arrivals: Vec<Ms> = copies.iter().filter_map(|chain| chain.arrived_ms).collect();
    arrivals.sort_unstable();
    let arrived = median(&arrivals).filter(|_| !one_clock);
    median(times).into_iter().chain(arrived).min()
}

/// Marks that stand at the parting itself.
fn marks(chains: &[Chain], next: &[&Branch], depth: usize, origin: &Origin) -> Vec<Reason> {
    let mut marks = Vec::new();
    for &i in next.iter().filter_map(|branch| branch.chains.first()) {
        marks.extend(of_stamp(chains, i, depth, origin));
    }
    marks.sort();
    marks.dedup();
    marks
}

/// Whether stamp `before` says that the message was for somebody else than the copies are.
fn is_for_another(before: &Hop, copies: &[&Chain], depth: usize) -> bool {
    let Some(was) = before.for_.as_deref() else { return false };
    let local = |address: &str| address.split('@').next().unwrap_or_default().to_owned();
    copies.iter().all(|copy| {
        let now = next_of(copy, depth).1.unwrap_or_else(|| copy.recipient.to_string());
        now != was && local(&now) != local(was)
    })
}

/// The longest time that the next server kept a copy between its own two stamps, if it is long, and not
/// just of the last one.
fn slow_ms(copies: &[&Chain], depth: usize) -> Option<Ms> {
    let delays = copies.iter().filter_map(|copy| {
        let (first, then) = (copy.hops.get(depth)?, copy.hops.get(depth + 1)?);
        let same = first.by.as_deref().zip(then.by.as_deref().or(then.from.as_deref()));
        let same = same.is_some_and(|(a, b)| a == b || names::same_owner(a, b))
            || then
                .sender_names()
                .any(|name| first.by.as_deref().is_some_and(|by| names::same_owner(name, by)));
        same.then(|| then.at_ms.zip(first.at_ms).map(|(then, first)| then.saturating_sub(first))).flatten()
    });
    delays.max().filter(|ms| (SLOW_MS..MAX_SLOW_MS).contains(ms))
}
