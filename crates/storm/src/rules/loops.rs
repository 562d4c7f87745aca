//! `loop`: passed here already, as our own stamp proves (DESIGN: the paragraph under the table).

use super::{Case, exempt};
use crate::facts::{RowState, RowView};
use crate::verdict::{Class, Reason, Verdict};

/// The verdict if this recipient's copy went round; None if that is not proven.
pub(crate) fn judge(case: &Case<'_>) -> Option<Verdict> {
    too_many_hops(case).or_else(|| been_here(case))
}

/// RFC 5321 §6.3. It needs no row and no token, and no exemption lifts it: it is the last bound
/// on a loop whose members strip every mark.
fn too_many_hops(case: &Case<'_>) -> Option<Verdict> {
    let (hops, limit) = (case.facts.hops, case.limits.max_hops);
    (hops >= limit).then_some(Verdict::Refuse(Reason::TooManyHops { hops, limit }))
}

/// Only a row of the same recipient that has been sent proves a loop. One made by a redirect is
/// left to the table of copies: its message carried our token before the row existed.
fn been_here(case: &Case<'_>) -> Option<Verdict> {
    let row = case.row?;
    if row.by_redirect || exempt(row, Class::Loop) || !proven(case, row) {
        return None;
    }
    match row.state {
        RowState::Delivered => Some(Verdict::Absorb(Reason::LoopDelivered)),
        RowState::Dot | RowState::Relayed | RowState::Unknown => Some(Verdict::Refuse(Reason::LoopSent)),
        RowState::Waiting | RowState::Failed | RowState::Held | RowState::Discarded => None,
    }
}

/// The row's queue id is among the message's own tokens; or the recipient's `Delivered-To` stands
/// above one of them.
///
/// The second covers a row whose body is by now another arrival's: it was sent, then removed or
/// failed, and got a new life from a later copy, so it carries the later id. When the delivery of
/// the *first* life comes back, it shows the first id, and `Delivered-To` above it says that it
/// went to this recipient from here.
fn proven(case: &Case<'_>, row: &RowView) -> bool {
    case.facts.tokens.iter().any(|token| {
        token.queue_id == row.queue_id
            || token.delivered_to_above.iter().any(|to| to.eq_ignore_ascii_case(&case.recipient.identity))
    })
}
