//! `user_limit`: a user who has signed in sends more than people do, or to more people who never had mail from
//! them. So does whoever has stolen a password.

use super::Case;
use crate::limits::UserLimits;
use crate::signs::{Sent, SentWithin, Suspicion};

/// So many times as many new recipients pass while it is not known whom a user writes to: after a start all
/// are new.
const UNSETTLED: u32 = 4;

pub(super) fn suspects(case: &Case<'_>) -> Option<Suspicion> {
    let (sent, limits) = (case.signs.sent?, &case.limits.user);
    let over = |within, limit| Some(Suspicion::UserLimit { sent, within, limit });
    if sent.hour > limits.messages_per_hour {
        return over(SentWithin::Hour, limits.messages_per_hour);
    }
    if sent.day > limits.messages_per_day {
        return over(SentWithin::Day, limits.messages_per_day);
    }
    if is_over_new_recipients(&sent, limits) {
        return over(SentWithin::NewRecipients, new_recipients(&sent, limits));
    }
    None
}

/// Whether this recipient is new to the user, and one too many of those.
pub(crate) fn is_over_new_recipients(sent: &Sent, limits: &UserLimits) -> bool {
    sent.new_recipients.is_some_and(|count| count > new_recipients(sent, limits))
}

fn new_recipients(sent: &Sent, limits: &UserLimits) -> u32 {
    let patience = if sent.is_settled { 1 } else { UNSETTLED };
    limits.new_recipients_per_day.saturating_mul(patience)
}
