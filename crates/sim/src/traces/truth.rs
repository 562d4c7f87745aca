//! What can be known: of all that happened, that which the seen mails tell.

use std::collections::{BTreeMap, BTreeSet};

use super::{Mail, TrueCulprit, TrueGroup};

/// What the right answer about a message is, as far as its kind decides it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub verdict: &'static str,
    pub decidable: bool,
    /// One copy of a maker is enough: it has marks that convict.
    pub one_convicts: bool,
}

/// A mail that was seen, with what only the maker of the world knows.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub mail: Mail,
    /// The faulty machines that it came of, and which of their deeds.
    pub made: Vec<(usize, u64)>,
    /// True times of its stamps.
    pub times: Vec<i64>,
}

/// A faulty machine.
#[derive(Debug, Clone)]
pub(super) struct Suspect {
    pub culprit: TrueCulprit,
    /// No server ever knew who it is.
    pub unknown: bool,
}

fn texts_of(number: usize, drafts: &[Draft]) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
    let its = drafts.iter().filter(move |draft| draft.made.iter().any(|made| made.0 == number));
    its.map(|draft| String::from_utf8_lossy(&draft.mail.bytes))
}

/// Takes away names and addresses that stand in none of the seen mails that came of the machine.
pub(super) fn forget_unseen(suspects: &mut [Suspect], drafts: &[Draft]) {
    for (number, suspect) in suspects.iter_mut().enumerate() {
        let TrueCulprit { names, ip, .. } = &mut suspect.culprit;
        let address = ip.map(|ip| ip.to_string());
        let mut seen = vec![false; names.len()];
        let mut address_seen = false;
        for text in texts_of(number, drafts) {
            for (name, seen) in names.iter().zip(&mut seen) {
                *seen = *seen || text.contains(name.as_str());
            }
            address_seen = address_seen || address.as_ref().is_some_and(|address| text.contains(address));
            if address_seen && seen.iter().all(|seen| *seen) {
                break;
            }
        }
        let mut seen = seen.into_iter();
        names.retain(|_| seen.next().unwrap_or(false));
        *ip = ip.filter(|_| address_seen);
    }
}

/// The right answer about each message of which a mail is seen.
pub(super) fn groups(plans: &[Plan], drafts: &[Draft], suspects: &[Suspect]) -> Vec<TrueGroup> {
    let mut groups = Vec::new();
    for (message, plan) in plans.iter().enumerate() {
        let its: Vec<&Draft> = drafts.iter().filter(|draft| draft.mail.message == message).collect();
        if its.is_empty() {
            continue;
        }
        let needed = if plan.one_convicts { 1 } else { 2 };
        let culprits = if plan.decidable { provable(&its, suspects, needed) } else { Vec::new() };
        let blames = matches!(plan.verdict, "culprit" | "retry" | "loop");
        let (verdict, decidable) = match (blames && culprits.is_empty(), its.len()) {
            (true, 1) => ("no_culprit", false),
            (true, _) => ("cannot_tell", false),
            (false, _) => (plan.verdict, plan.decidable),
        };
        groups.push(TrueGroup { message, verdict, culprits, decidable });
    }
    groups
}

/// Those of whom enough is seen. A machine can be proved faulty where one mailbox has copies that came of
/// `needed` deeds of it, and its name or address stands in a copy of this message. Of a machine that no server
/// ever knew, the deeds are enough: there the right answer is what was done.
fn provable(drafts: &[&Draft], suspects: &[Suspect], needed: usize) -> Vec<usize> {
    let mut deeds: BTreeMap<(usize, &str), BTreeSet<u64>> = BTreeMap::new();
    for draft in drafts {
        for (culprit, deed) in &draft.made {
            deeds.entry((*culprit, draft.mail.mailbox.as_str())).or_default().insert(*deed);
        }
    }
    let enough =
        |culprit: usize| deeds.iter().any(|((of, _), deeds)| *of == culprit && deeds.len() >= needed);
    let named = |culprit: usize| {
        let Suspect { culprit: TrueCulprit { names, ip, .. }, unknown } = &suspects[culprit];
        let marks: Vec<String> = names.iter().cloned().chain(ip.map(|ip| ip.to_string())).collect();
        let its = drafts.iter().filter(|draft| draft.made.iter().any(|made| made.0 == culprit));
        let mut texts = its.map(|draft| String::from_utf8_lossy(&draft.mail.bytes));
        *unknown || texts.any(|text| marks.iter().any(|mark| text.contains(mark.as_str())))
    };
    (0..suspects.len()).filter(|culprit| enough(*culprit) && named(*culprit)).collect()
}
