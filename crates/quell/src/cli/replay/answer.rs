//! The answer.

use std::collections::BTreeMap;

use quell_storm::storm::Storm;
use serde::Serialize;

/// Examples given.
pub(super) const MAX_EXAMPLES: usize = 20;

/// What quell would have done. Verdicts are one for each message and recipient; of a message in an archive
/// one recipient is known.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Answer {
    pub(super) messages: u64,
    pub(super) pass: u64,
    pub(super) absorb: u64,
    pub(super) hold: u64,
    pub(super) refuse: u64,
    /// Verdicts that are not pass, by class.
    pub(super) by_class: BTreeMap<&'static str, u64>,
    /// The same by class and verdict.
    pub(super) verdicts: BTreeMap<&'static str, Verdicts>,
    /// Each as the API has it; the last seen first.
    pub(super) storms: Vec<Storm>,
    /// Of each message and reason one; what would have been held or refused before what would have been
    /// absorbed, else by time.
    pub(super) examples: Vec<Example>,
    /// Messages on which a class had something to decide.
    pub(super) opportunities: BTreeMap<&'static str, u64>,
    /// Messages that were absorbed though their whole header, stamps and all, had come before: mail that
    /// lies there twice rather than mail that came twice.
    pub(super) lie_twice: u64,
    /// The Message-ID of each storm, in their order: for people.
    #[serde(skip)]
    pub(super) storm_ids: Vec<Option<String>>,
}

/// Verdicts of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Verdicts {
    pub(super) absorb: u64,
    pub(super) hold: u64,
    pub(super) refuse: u64,
}

/// One message that would not have passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Example {
    pub(super) message_id: Option<String>,
    pub(super) class: &'static str,
    pub(super) verdict: &'static str,
    /// In the operator's words.
    pub(super) reason: String,
}

impl Answer {
    /// Counts a verdict by its name and its class's.
    pub(super) fn count(&mut self, verdict: &'static str, class: &'static str) {
        self.messages += 1;
        if verdict == "pass" {
            self.pass += 1;
            return;
        }
        *self.by_class.entry(class).or_default() += 1;
        let of_class = self.verdicts.entry(class).or_default();
        let (all, own) = match verdict {
            "absorb" => (&mut self.absorb, &mut of_class.absorb),
            "hold" => (&mut self.hold, &mut of_class.hold),
            _ => (&mut self.refuse, &mut of_class.refuse),
        };
        *all += 1;
        *own += 1;
    }
}
