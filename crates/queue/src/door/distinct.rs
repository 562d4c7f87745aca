//! Recipients that are one: aliases of one identity.

use std::collections::HashMap;

use quell_storm::facts::{Facts, Notify, Recipient};

/// Two addresses of one identity (aliases) are one recipient: the first stands, and wants what
/// either wants.
pub(super) fn keep_distinct(facts: &mut Facts) {
    if facts.recipients.len() < 2 {
        return;
    }
    let mut first: HashMap<String, usize> = HashMap::with_capacity(facts.recipients.len());
    let mut distinct: Vec<Recipient> = Vec::with_capacity(facts.recipients.len());
    for recipient in facts.recipients.drain(..) {
        match first.get(&recipient.identity).and_then(|i| distinct.get_mut(*i)) {
            Some(same) => {
                same.notify = united(same.notify, recipient.notify);
                same.orcpt = same.orcpt.take().or(recipient.orcpt);
            }
            None => {
                first.insert(recipient.identity.clone(), distinct.len());
                distinct.push(recipient);
            }
        }
    }
    facts.recipients = distinct;
}

/// What either wants; NEVER only if both say so. Absent stands for FAILURE and DELAY (RFC 3461
/// §4.1).
pub(super) fn united(a: Option<Notify>, b: Option<Notify>) -> Option<Notify> {
    if a == b {
        return a;
    }
    let absent = Notify { failure: true, delay: true, ..Notify::default() };
    let (a, b) = (a.unwrap_or(absent), b.unwrap_or(absent));
    Some(Notify {
        never: a.never && b.never,
        success: a.success || b.success,
        failure: a.failure || b.failure,
        delay: a.delay || b.delay,
    })
}
