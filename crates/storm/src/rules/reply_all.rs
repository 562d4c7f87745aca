//! `reply_all`: many answer all, and then all answer those. In a conversation of at least
//! `reply_all_people` people, replies to all beyond the threshold within the window are held, once enough
//! different people write them. A reply to the author alone is none and passes.

use super::Case;
use crate::limits::Limits;
use crate::signs::{Replies, Suspicion};

/// So many replies of one conversation are counted at least; a threshold beyond that is this.
const MOST_COUNTED: u32 = 250;

pub(super) fn suspects(case: &Case<'_>) -> Option<Suspicion> {
    let (replies, limits) = (case.signs.replies?, case.limits);
    let limit = limit(&replies, limits);
    let is_storm = replies.people >= limits.reply_all_people
        && replies.authors >= limits.reply_all_authors
        && replies.replies > limit;
    is_storm.then_some(Suspicion::ReplyAll { replies, limit })
}

/// So many replies pass.
pub(crate) fn limit(replies: &Replies, limits: &Limits) -> u32 {
    let share = replies.people / limits.reply_all_share.max(1);
    let factor = if replies.list { limits.reply_all_list_factor } else { 1 };
    (limits.reply_all_replies.max(share) * factor).min(MOST_COUNTED)
}
