//! One verdict per recipient.

use crate::facts::{Counts, Facts, Ms, RowView};
use crate::limits::Limits;
use crate::policy::Policy;
use crate::rules::{Case, copies, loops, suspicion};
use crate::verdict::{Permit, Reason, Verdict};

/// Judges one arrival: one verdict per recipient, in the order of the transaction. `rows` has the
/// ledger's row of each (None: there is none) and `counts` its numbers, in the same order.
///
/// Pure: the same input gives the same verdicts, and no recipient's depends on another's (but that nobody is
/// refused for a suspicion beside others who are not). Two
/// recipients of one identity (aliases) are both judged against the row as it was; making them
/// one is the door's business. Rows are looked at only if the arrival has an exact key.
pub fn judge(
    facts: &Facts,
    rows: &[Option<RowView>],
    counts: &Counts,
    limits: &Limits,
    now: Ms,
) -> Vec<Verdict> {
    debug_assert_eq!(rows.len(), facts.recipients.len(), "a row, or None, for each recipient");
    let source = facts.source.id();
    let excepted = limits.exceptions.cover(facts);
    let judge_one = |i: usize| {
        let case = Case::new(facts, &source, i, rows, counts, limits, excepted, now);
        // A loop is judged before copies: the one that has gone round is to stop at its maker.
        match loops::judge(&case).unwrap_or_else(|| copies::judge(&case)) {
            Verdict::Pass(_, reason) => suspicion::judge(&case, reason),
            other => other,
        }
    };
    let mut verdicts: Vec<Verdict> = (0..facts.recipients.len()).map(judge_one).collect();
    hold_beside_others(facts, &mut verdicts);
    verdicts
}

/// The answer to a transaction is 250 as soon as one recipient is not refused, and then nobody tells the
/// sender of a suspicion: whoever would be refused beside others is held.
fn hold_beside_others(facts: &Facts, verdicts: &mut [Verdict]) {
    if verdicts.iter().all(|verdict| matches!(verdict, Verdict::Refuse(_))) {
        return;
    }
    for verdict in verdicts {
        if let Verdict::Refuse(Reason::Suspect(suspicion, _)) = verdict {
            *verdict = Verdict::Hold(Permit::of(facts), Reason::Suspect(*suspicion, Policy::Hold));
        }
    }
}
