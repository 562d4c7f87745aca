//! `auto_reply`: machines that answer each other (RFC 3834 §2 and §4 say how they should not). Two
//! addresses take turns, and the last messages of both were written by machines: they say so, or each
//! says again what its sender had said before. People who write to each other quickly say new things.

use super::Case;
use crate::signs::Suspicion;

/// So many messages in a row must be a machine's: one that says the same twice may be a person.
const LEAST_BY_MACHINES: u32 = 3;

pub(super) fn suspects(case: &Case<'_>) -> Option<Suspicion> {
    let (turns, limit) = (case.signs.turns?, case.limits.auto_reply_turns);
    let are_machines = turns.by_machines >= LEAST_BY_MACHINES;
    (are_machines && turns.turns > limit).then_some(Suspicion::AutoReply { turns, limit })
}
