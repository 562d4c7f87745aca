//! On which messages a class had something to decide, told by what they say and by what came before: not by
//! what the judge made of them.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use quell_mail::letter::Machine;
use quell_storm::facts::Facts;
use quell_storm::verdict::Class;

const DAY_MS: i64 = 86_400_000;
/// A conversation of so many people is one that `reply_all` looks at.
const MANY_PEOPLE: usize = 10;

/// What came before, in one office.
#[derive(Default)]
pub struct Opportunities {
    exact: HashSet<u64>,
    contents: HashSet<u64>,
    /// Who wrote to whom, and when last.
    wrote: HashMap<u64, i64>,
}

impl Opportunities {
    /// Classes that had something to decide on this arrival, which is counted.
    pub fn of(&mut self, facts: &Facts) -> Vec<Class> {
        let letter = &facts.said.letter;
        let author = letter.author.clone().unwrap_or_default();
        let is_ours = |address: &str| address.ends_with("@firm.example");
        let (mut copies, mut resent, mut turns) = (false, false, false);
        for recipient in &facts.recipients {
            let identity = recipient.identity.as_str();
            let came = facts.exact_key.is_some_and(|key| !self.exact.insert(hash((key, identity))));
            let content = facts.said.content.as_ref().map(|content| content.key());
            let known = content.is_some_and(|key| !self.contents.insert(hash((key, identity))));
            let answered = self.wrote.get(&hash((identity, author.as_str())));
            turns |= answered.is_some_and(|at| facts.received_ms - at < DAY_MS);
            self.wrote.insert(hash((author.as_str(), identity)), facts.received_ms);
            copies |= came;
            resent |= known && !came;
        }
        let leaves = facts.recipients.iter().any(|recipient| !is_ours(&recipient.identity));
        let people = facts.recipients.len().max(letter.addressed_total as usize);
        let mut classes = vec![(Class::Flood, true), (Class::Copies, copies), (Class::Resent, resent)];
        classes.push((Class::Reinjected, facts.source.inside && leaves && !is_ours(&author)));
        classes.push((Class::ReplyAll, letter.is_reply && people >= MANY_PEOPLE));
        classes.push((Class::AutoReply, turns || letter.machine == Machine::Answered));
        classes.push((Class::Bounces, letter.report.is_some()));
        classes.into_iter().filter(|(_, has)| *has).map(|(class, _)| class).collect()
    }
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
