//! Evidence: copies laid side by side, and the lines that prove it with the place where they stand.

use super::case::{Case, FileName};
use super::chain::{Chain, Hop};
use super::convict::Convict;
use super::report::{Comparison, Side, Stamp};
use crate::storm::EvidenceLine;

/// Copies laid side by side for one culprit.
const MAX_PAIRS: usize = 2;
/// Lines of evidence for one culprit.
const MAX_LINES: usize = 12;
/// Bytes shown of a line.
const MAX_LINE_BYTES: usize = 1_000;

/// The comparisons of all culprits.
pub(super) fn comparisons(case: &Case, file: FileName<'_>) -> Vec<Comparison> {
    let mut all = Vec::new();
    for (culprit, convict) in case.judgement.convicts.iter().enumerate() {
        for &(left, right, shared) in best(convict).iter().take(MAX_PAIRS) {
            let (a, b) = (&case.chains[left], &case.chains[right]);
            all.push(Comparison {
                culprit,
                what: what(shared),
                recipient: a.recipient.to_string(),
                left: side(a, file),
                right: side(b, file),
                shared,
            });
        }
    }
    all
}

/// Pairs that show most come first: two copies of its own, then those that part late.
fn best(convict: &Convict) -> Vec<(usize, usize, usize)> {
    let mut pairs = convict.pairs.clone();
    let own = |i: usize| u8::from(!convict.made.contains(&i));
    pairs.sort_by_cached_key(|&(left, right, shared)| {
        (own(left) + own(right), std::cmp::Reverse(shared), left, right)
    });
    pairs.dedup();
    pairs
}

fn what(shared: usize) -> String {
    match shared {
        0 => "Two copies for the same recipient, without a stamp in common.".to_owned(),
        1 => "Two copies for the same recipient: their oldest stamp is the same, then they part.".to_owned(),
        n => format!(
            "Two copies for the same recipient: their {n} oldest stamps are the same, then they part."
        ),
    }
}

fn side(chain: &Chain, file: FileName<'_>) -> Side {
    Side {
        message_id: chain.identity.message_id.clone(),
        file: chain.place.and_then(|place| file(place.file)),
        offset: chain.place.map(|place| place.offset),
        stamps: chain.hops.iter().map(|hop| stamp(hop)).collect(),
    }
}

fn stamp(hop: &Hop) -> Stamp {
    Stamp {
        text: cut(&hop.text()),
        by: hop.by.clone(),
        from: hop.sender_names().next().map(str::to_owned).or_else(|| hop.from.clone()),
        ip: hop.ip,
        id: hop.id.clone(),
        for_: hop.for_.clone(),
        at_ms: hop.at_ms,
    }
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_LINE_BYTES);
    text[..end].to_owned()
}

/// The lines that speak against one culprit: of the best pair the last stamp in common, the next of
/// either copy and the one that shows its address; then the marks.
pub(super) fn lines(case: &Case, convict: &Convict, file: FileName<'_>) -> Vec<EvidenceLine> {
    let mut lines = Vec::new();
    for &(left, right, shared) in best(convict).iter().take(MAX_PAIRS) {
        let (a, b) = (&case.chains[left], &case.chains[right]);
        lines.extend(shared.checked_sub(1).and_then(|at| line(a, at, file)));
        for chain in [a, b] {
            lines.extend((shared..shared + 2).filter_map(|at| line(chain, at, file)));
        }
        lines.extend(marks(b, file));
    }
    let mut known = Vec::new();
    lines.retain(|line: &EvidenceLine| {
        let fresh = !known.contains(line);
        known.push(line.clone());
        fresh
    });
    lines.truncate(MAX_LINES);
    lines
}

fn line(chain: &Chain, at: usize, file: FileName<'_>) -> Option<EvidenceLine> {
    let hop = chain.hops.get(at)?;
    Some(placed(chain, chain.at.get(at).copied(), &hop.text(), file))
}

fn marks(chain: &Chain, file: FileName<'_>) -> Vec<EvidenceLine> {
    chain.mark_lines().map(|(at, text)| placed(chain, Some(at), &text, file)).collect()
}

fn placed(chain: &Chain, at: Option<u32>, text: &str, file: FileName<'_>) -> EvidenceLine {
    let name = chain.place.and_then(|place| file(place.file));
    let offset = chain.place.zip(at).filter(|_| name.is_some()).map(|(p, at)| p.offset + u64::from(at));
    EvidenceLine { text: cut(text), file: name, offset }
}
