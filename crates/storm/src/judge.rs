//! One verdict per recipient.

use crate::facts::{Counts, Facts, Ms, RowView};
use crate::limits::Limits;
use crate::rules::{Case, copies, loops};
use crate::verdict::Verdict;

/// Judges one arrival: one verdict per recipient, in the order of the transaction. `rows` has the
/// ledger's row of each (None: there is none) and `counts` its numbers, in the same order.
///
/// Pure: the same input gives the same verdicts, and no recipient's depends on another's. Two
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
    let judge_one = |i: usize| {
        let case = Case::new(facts, &source, i, rows, counts, limits, now);
        // A loop is judged before copies: the one that has gone round is to stop at its maker.
        loops::judge(&case).unwrap_or_else(|| copies::judge(&case))
    };
    (0..facts.recipients.len()).map(judge_one).collect()
}
