//! `resent`: the same content with a new identity, or with the same identity and changed bytes, by
//! another way than the first. The original and one more pass; with a mark of re-injection the original
//! alone.
//!
//! What came by no house that the first did not pass is never suspected: people send again, machines
//! report the same each day. Without a mark little text is never suspected either: "test" is written
//! often, and from everywhere.

use super::Case;
use crate::limits::Limits;
use crate::signs::{Again, Suspicion};

pub(super) fn suspects(case: &Case<'_>) -> Option<Suspicion> {
    let again = case.signs.again.filter(|again| again.other_way)?;
    // What one of ours sends on to an address of his own comes by our house, as often as it came to him; who
    // sends on more than that is the business of `reinjected`.
    if !again.marked && case.facts.source.inside && !case.recipient.is_ours {
        return None;
    }
    let limit = limit(&again, case.limits);
    // Without a mark nobody can tell who is the author: one of each network passes, so that nobody gets a
    // message held by sending it first.
    let is_known = again.same_source && again.words >= case.limits.resent_least_words;
    ((again.marked || is_known) && again.arrivals > limit).then_some(Suspicion::Resent { again, limit })
}

/// So many arrivals pass. Whoever has his mail redirected gets by that way what its author sends each day.
pub(crate) fn limit(again: &Again, limits: &Limits) -> u32 {
    let limit = if again.marked { 1 } else { limits.resent_arrivals };
    limit.saturating_mul(again.sendings)
}
