//! What a class had something to decide on.

use quell_storm::verdict::Class;

/// Hops from which a message is one that may go round. The refusal stands at `[judge] max_hops`; honest
/// mail through lists and forwardings rarely has as many as these.
pub const MANY_HOPS: usize = 20;

/// An opportunity: a message on which a class of verdicts had something to decide, whatever it decided.
/// That none of so many was held or refused wrongly says how far a class is proved; a class that never had
/// one is not.
///
/// Those of the classes that look at rows are told here; those of suspicion by the tables they look at
/// ([`quell_storm::signs::Signs::opportunities`]): a content that came before for the recipient (`resent`),
/// what leaves the house by an author from outside (`reinjected`), a reply to many (`reply_all`), a machine's
/// message in turn with another (`auto_reply`), a report (`bounces`), whatever a known source brings (`flood`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Opportunity {
    /// `copies`: a message whose exact key came before for the same recipient.
    Copies,
    /// `retry`: one of these, and the arrival before, the first of that key for that recipient, was from
    /// the same source. (Whether its answer was late, which makes a retry, no archive tells.)
    Retry,
    /// `loop`: a message with a token in a `Received` field, as a quell writes it, or with
    /// [`MANY_HOPS`] hops or more.
    Loop,
}

/// What is known of a message as it arrives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Met {
    /// Its exact key came before for the same recipient; the first time from the same source.
    pub came_before: Option<SameSource>,
    /// A `Received` field has a token, whoever made it.
    pub has_token: bool,
    /// `Received` fields.
    pub hops: usize,
}

/// Whether two arrivals came from the same source.
pub type SameSource = bool;

impl Opportunity {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Copies, Self::Retry, Self::Loop];

    /// Whose opportunity it is.
    pub fn class(self) -> Class {
        match self {
            Self::Copies => Class::Copies,
            Self::Retry => Class::Retry,
            Self::Loop => Class::Loop,
        }
    }

    /// Whether the message is one.
    pub fn is_in(self, met: &Met) -> bool {
        match self {
            Self::Copies => met.came_before.is_some(),
            Self::Retry => met.came_before == Some(true),
            Self::Loop => met.has_token || met.hops >= MANY_HOPS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one() {
        let are = |met: Met| Opportunity::ALL.into_iter().filter(|o| o.is_in(&met)).collect::<Vec<_>>();
        let met = Met::default();
        assert_eq!(are(met), []);
        assert_eq!(are(Met { came_before: Some(false), ..met }), [Opportunity::Copies]);
        assert_eq!(are(Met { came_before: Some(true), ..met }), [Opportunity::Copies, Opportunity::Retry]);
        assert_eq!(are(Met { has_token: true, ..met }), [Opportunity::Loop]);
        assert_eq!(are(Met { hops: 19, ..met }), []);
        assert_eq!(are(Met { hops: 20, ..met }), [Opportunity::Loop]);
    }
}
