//! `reinjected`: the fault of 2005 at its source. A message leaves the house whose author is from outside,
//! which came in before (or bears the mark of a collector), for two or more people who stand in its To and
//! Cc: somebody read its recipients out of the header. The first is held.
//!
//! A redirect to one address passes, and so does what goes to addresses that do not stand in the header,
//! as from a list or a forwarding, whoever else it goes to; the first time.

use super::Case;
use crate::signs::Suspicion;

/// People of its To and Cc to whom a re-injected message goes.
const LEAST_ADDRESSED: u32 = 2;

pub(super) fn suspects(case: &Case<'_>) -> Option<Suspicion> {
    let leaving = case.signs.leaving?;
    let is_read_from_header = (leaving.stands || leaving.had) && leaving.addressed >= LEAST_ADDRESSED;
    (is_read_from_header && (leaving.came_in || leaving.marked)).then_some(Suspicion::Reinjected(leaving))
}
