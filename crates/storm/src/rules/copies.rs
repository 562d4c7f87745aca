//! `copies`: the same exact key again for the same recipient (DESIGN: the table in "The ledger").

use super::{Case, exempt};
use crate::facts::{RowState, RowView};
use crate::verdict::{Class, Reason, Verdict};

/// The verdict of the table. There always is one.
pub(crate) fn judge(case: &Case<'_>) -> Verdict {
    match case.row {
        None => pass(case, new(case)),
        Some(row) => meets(case, row),
    }
}

/// Why there is no row to compare with.
fn new(case: &Case<'_>) -> Reason {
    if case.facts.exact_key.is_none() {
        Reason::NoExactKey
    } else if case.facts.tokens.is_empty() {
        Reason::FirstArrival
    } else {
        Reason::TokenWithoutRow
    }
}

fn meets(case: &Case<'_>, row: &RowView) -> Verdict {
    match row.state {
        RowState::Waiting | RowState::Dot => Verdict::Absorb(Reason::CopyOfWaiting(case.copies(row))),
        RowState::Delivered | RowState::Relayed => Verdict::Absorb(Reason::CopyOfDelivered(case.copies(row))),
        RowState::Unknown => Verdict::Absorb(Reason::CopyOfUnknown(case.copies(row))),
        RowState::Held => held(case, row),
        RowState::Failed => failed(case, row),
        RowState::Discarded => discarded(case, row),
    }
}

/// From another source it is judged on its own, so that nobody can get a message held by sending
/// it first. No class of this version holds, so it passes, and its body takes the row over.
fn held(case: &Case<'_>, row: &RowView) -> Verdict {
    if case.same_source(row) {
        Verdict::Absorb(Reason::CopyOfHeld(case.copies(row)))
    } else {
        pass(case, Reason::OtherSourceThanHeld)
    }
}

/// The ceiling of lives stands above everything: without it each failure could make a report and
/// each report another copy. A person's exemption lifts only the short refusal after a failure.
fn failed(case: &Case<'_>, row: &RowView) -> Verdict {
    let limit = case.limits.max_lives_per_day;
    if row.lives_in_day >= limit {
        return Verdict::Refuse(Reason::NoMoreLives { limit });
    }
    if !failed_just_now(case, row) {
        return pass(case, Reason::NewLife { life: row.lives_in_day + 1 });
    }
    match exemption(row) {
        Some(class) => pass(case, Reason::Exempt(class.name().to_owned())),
        None => Verdict::Refuse(Reason::FailedJustNow),
    }
}

fn failed_just_now(case: &Case<'_>, row: &RowView) -> bool {
    row.failed_recipient
        && case.same_source(row)
        && younger(case.now, row.since_ms, case.limits.failed_window_ms)
}

/// `retry` is a kind of copy, so an exemption from either counts here.
fn exemption(row: &RowView) -> Option<Class> {
    [Class::Copies, Class::Retry].into_iter().find(|class| exempt(row, *class))
}

fn discarded(case: &Case<'_>, row: &RowView) -> Verdict {
    let fresh =
        row.storm_closed_ms.is_none_or(|closed| younger(case.now, closed, case.limits.discarded_window_ms));
    if row.removed || !fresh {
        pass(case, Reason::NewAfterDiscard)
    } else {
        Verdict::Absorb(Reason::CopyOfDiscarded(case.copies(row)))
    }
}

fn younger(now: i64, since: i64, window_ms: i64) -> bool {
    now.saturating_sub(since) < window_ms
}

fn pass(case: &Case<'_>, reason: Reason) -> Verdict {
    Verdict::Pass(case.permit(), reason)
}
