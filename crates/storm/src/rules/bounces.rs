//! `bounces`: a flood of reports for one recipient, or of one message. So many are expected as messages
//! went out from there: who sends to a thousand may get a thousand back. Beyond that, and beyond a few in
//! any case, they are held.

use super::Case;
use crate::signs::Suspicion;

pub(super) fn suspects(case: &Case<'_>) -> Option<Suspicion> {
    let (reports, limits) = (case.signs.reports?, case.limits);
    let of_message = limits.bounces_per_message.max(reports.message_sent);
    if reports.of_message > of_message {
        return Some(Suspicion::Bounces { reports, of_message: true, limit: of_message });
    }
    let of_recipient = limits.bounces_per_recipient.max(reports.sent);
    let is_flood = reports.of_recipient > of_recipient;
    is_flood.then_some(Suspicion::Bounces { reports, of_message: false, limit: of_recipient })
}
