//! `retry`: the same from the same source after an answer that was late or lost. It is absorbed
//! like any copy; it has its own class because the remedy differs (answer sooner, or have the
//! client wait as long as RFC 5321 §4.5.3.2.6 says, ten minutes).

use super::Case;
use crate::facts::{Answered, RowView};
use crate::verdict::Class;

/// The class of a copy that meets `row`.
pub(super) fn class(case: &Case<'_>, row: &RowView) -> Class {
    let unanswered = matches!(row.answered, Answered::Late | Answered::Lost);
    if unanswered && case.same_source(row) { Class::Retry } else { Class::Copies }
}
