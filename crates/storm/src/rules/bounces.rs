//! `bounces`: a flood of reports for one recipient, or of one message. Of a message that went out here so
//! many are expected as it had recipients: who sends to a thousand may get a thousand back. Of all others, the
//! answers to mail that somebody else sent in this name, a few an hour pass. A server that has just started,
//! or that mail goes out past, does not know what went out, and lets more pass.

use super::Case;
use crate::limits::Limits;
use crate::signs::{Reports, Suspicion};

/// So many times as many pass while it is not known what went out in the last day.
const UNSETTLED: u32 = 10;

pub(super) fn suspects(case: &Case<'_>) -> Option<Suspicion> {
    let (reports, limits) = (case.signs.reports?, case.limits);
    let [of_message, of_recipient] = passing(&reports, limits);
    if reports.of_message > of_message {
        return Some(Suspicion::Bounces { reports, of_message: true, limit: of_message });
    }
    let is_flood = !is_ours(&reports) && reports.of_recipient > of_recipient;
    is_flood.then_some(Suspicion::Bounces { reports, of_message: false, limit: of_recipient })
}

/// It is about a message that went out here.
pub(crate) fn is_ours(reports: &Reports) -> bool {
    reports.of_message > 0 && reports.message_sent > 0
}

/// So many pass: of one message, and for one recipient.
pub(crate) fn passing(reports: &Reports, limits: &Limits) -> [u32; 2] {
    let patience = if reports.is_settled { 1 } else { UNSETTLED };
    let of_message = limits.bounces_per_message.saturating_mul(patience).max(reports.message_sent);
    let expected = if reports.of_message == 0 { reports.sent } else { 0 };
    [of_message, limits.bounces_per_recipient.saturating_mul(patience).max(expected)]
}
