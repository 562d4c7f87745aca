//! One file per class of verdict.

mod auto_reply;
pub(crate) mod bounces;
pub(crate) mod copies;
mod flood;
pub(crate) mod loops;
mod reinjected;
pub(crate) mod reply_all;
pub(crate) mod resent;
pub(crate) mod retry;
pub(crate) mod suspicion;
pub(crate) mod user_limit;

use crate::exceptions::LetPass;
use crate::facts::{Counts, Facts, Ms, Recipient, RowView, SourceId};
use crate::limits::Limits;
use crate::signs::Signs;
use crate::verdict::{Class, Copies, Permit};

/// What the rules look at: one recipient of one arrival, and its row.
pub(crate) struct Case<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) source: &'a SourceId,
    pub(crate) recipient: &'a Recipient,
    /// None without an exact key: a row is then never matched.
    pub(crate) row: Option<&'a RowView>,
    pub(crate) limits: &'a Limits,
    pub(crate) now: Ms,
    /// What the tables of the classes say; the default where they have nothing to say.
    pub(crate) signs: Signs,
    /// The operator said that no class is to suspect it, and where.
    pub(crate) excepted: Option<LetPass>,
    of_recipient: u32,
    of_key: u32,
}

impl<'a> Case<'a> {
    /// The right to be stored that this arrival may get.
    pub(crate) fn permit(&self) -> Permit {
        Permit::of(self.facts)
    }

    /// The case of recipient number `i`, which must exist.
    #[expect(clippy::too_many_arguments, reason = "what the judge was given, and whose case it is")]
    pub(crate) fn new(
        facts: &'a Facts,
        source: &'a SourceId,
        i: usize,
        rows: &'a [Option<RowView>],
        counts: &Counts,
        limits: &'a Limits,
        excepted: Option<LetPass>,
        now: Ms,
    ) -> Self {
        let row = facts.exact_key.and_then(|_| rows.get(i).and_then(Option::as_ref));
        Self {
            facts,
            source,
            recipient: &facts.recipients[i],
            row,
            limits,
            now,
            signs: counts.signs.get(i).copied().unwrap_or_default(),
            excepted,
            of_recipient: counts.rcpt_copies.get(i).copied().unwrap_or(0),
            of_key: counts.key_copies,
        }
    }

    /// The numbers of a copy that meets `row`, and its class.
    pub(crate) fn copies(&self, row: &RowView) -> Copies {
        Copies { class: retry::class(self, row), of_recipient: self.of_recipient, of_key: self.of_key }
    }

    /// True if the arrival that made `row` came from the same source as this one.
    pub(crate) fn same_source(&self, row: &RowView) -> bool {
        row.source == *self.source
    }
}

/// True if a person released `row` from the rule of `class`.
pub(crate) fn exempt(row: &RowView, class: Class) -> bool {
    row.exempt.as_deref() == Some(class.name())
}
