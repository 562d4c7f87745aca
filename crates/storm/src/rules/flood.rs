//! `flood`: a source brings far more than it does at this hour of the week ([`crate::rhythm`]). It is
//! told, and nothing is held unless the operator wants that.

use super::Case;
use crate::signs::Suspicion;

pub(super) fn suspects(case: &Case<'_>) -> Option<Suspicion> {
    case.signs.flood.map(Suspicion::Flood)
}
