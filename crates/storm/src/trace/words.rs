//! Findings as sentences for people who have never read a header.

use super::case::Case;

use super::reason::{Reason, fold};
use super::report::Finding;
use crate::facts::Ms;
use crate::storm::{Culprit, CulpritClass};

/// Characters of a subject that are shown.
const MAX_SUBJECT: usize = 200;

/// A subject as it is shown: one line, not too long.
pub(super) fn subject(text: &str) -> String {
    let decoded = quell_mail::content::decoded(text.as_bytes());
    decoded.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_SUBJECT).collect()
}

/// What is said of a group.
pub(super) fn of(case: &Case, finding: Finding, culprits: &[Culprit]) -> Vec<String> {
    let mut words: Vec<String> = culprits.iter().map(|culprit| deed(&called(culprit), culprit)).collect();
    let reasons = case.judgement.convicts.iter().flat_map(|convict| convict.reasons.iter().copied());
    words.extend(fold(reasons).iter().map(because));
    let inner = culprits.iter().any(|c| c.ip.is_none() && c.host.is_some());
    words
        .extend(inner.then(|| {
            "No stamp shows its public address: other machines may go by the same name.".to_owned()
        }));
    words.extend(without_culprit(case, finding));
    if case.doubles > 0 {
        words.push(format!(
            "{} the same mail kept twice, stamp by stamp: that is no copy that a server made.",
            if case.doubles == 1 {
                "One message is".to_owned()
            } else {
                format!("{} messages are", case.doubles)
            }
        ));
    }
    words
}

/// How a culprit is called in a sentence.
pub(super) fn called(culprit: &Culprit) -> String {
    match (&culprit.host, culprit.ip) {
        (Some(host), Some(ip)) => format!("{host} [{ip}]"),
        (Some(host), None) => host.clone(),
        (None, Some(ip)) => format!("The server at [{ip}]"),
        (None, None) => "A client that no stamp names".to_owned(),
    }
}

fn deed(name: &str, culprit: &Culprit) -> String {
    if culprit.copies == Some(0) {
        return format!("{name} made copies too; another server behind it made more of each of them.");
    }
    let copies = match culprit.copies {
        Some(1) => "one copy".to_owned(),
        Some(n) => format!("{n} copies"),
        None => "copies".to_owned(),
    };
    let often =
        culprit.interval_ms.filter(|ms| *ms >= 2_000).map(|ms| format!(", one about every {}", span(ms)));
    let often = often.unwrap_or_default();
    match culprit.class {
        Some(CulpritClass::Retries) => {
            format!(
                "{name} sent the message again and again to the same next server: {copies} too many{often}."
            )
        }
        Some(CulpritClass::Injects) => {
            format!("{name} handed in the same message again and again: {copies} too many{often}.")
        }
        Some(CulpritClass::Loops) => {
            format!(
                "{name} sends the message back to a server that had it: it goes round, with {copies}{often}."
            )
        }
        Some(CulpritClass::Resends) | None => {
            format!("{name} took a message that had already arrived and sent it out again: {copies}{often}.")
        }
    }
}

fn because(reason: &Reason) -> String {
    match reason {
        Reason::Parting { depth: 1 } => {
            "The oldest stamp of copies for one recipient is equal, with the same id and time: up to there it was \
             one message. Behind it there are several."
                .to_owned()
        }
        Reason::Parting { depth } => format!(
            "The oldest stamps of copies for one recipient are equal, up to {depth} of them, with the same ids and \
             times: up to there it was one message. Behind it there are several."
        ),
        Reason::PickupLine => {
            "The line of a pickup folder stands above older stamps: a mail that had travelled was put back into \
             the outgoing mail as if it were new."
                .to_owned()
        }
        Reason::Collected => {
            "It was collected from a mailbox, and went out to others after that.".to_owned()
        }
        Reason::NewIdentity => {
            "The copies have a Message-ID and a date of their own, that the author did not give them.".to_owned()
        }
        Reason::InnerId => {
            "That Message-ID ends in a name that is used only inside one house: the machine's own.".to_owned()
        }
        Reason::PickupAddress => {
            "The address of a POP3 connector (mspop3connector.) stands among the recipients.".to_owned()
        }
        Reason::ExchangeLines => {
            "Lines that Microsoft's mail service adds to what it takes in stand in the copies.".to_owned()
        }
        Reason::OtherRecipient => {
            "Just before, the message had been for somebody else: it had arrived, and went out again.".to_owned()
        }
        Reason::HasOriginal => "The recipients have the original as well, and that came another way.".to_owned(),
        Reason::LostTrace => "The stamps of its way until there are gone from the copies.".to_owned(),
        Reason::SameNextHop => {
            "All went from the same sender to the same next server, with time between, as a server does that \
             waits for an answer and tries again."
                .to_owned()
        }
        Reason::SlowAnswer { ms } => format!(
            "The next server was slow: between its own first two stamps lie up to {}. Many senders wait five or \
             ten minutes for an answer and then send again.",
            span(*ms)
        ),
        Reason::AtOnce { ms } => format!(
            "They came within {}: nobody waits for an answer in so short a time.",
            if *ms < 1_000 { "one second".to_owned() } else { span(*ms) }
        ),
        Reason::NoCommonStamp => "The copies have no stamp in common: each was handed in by itself.".to_owned(),
        Reason::Hearsay => {
            "They bring older stamps along that name other machines, and nobody vouches for those: the first server \
             to be trusted got them from this one."
                .to_owned()
        }
        Reason::Round => "Its stamps show the same server again and again, with others between.".to_owned(),
    }
}

fn without_culprit(case: &Case, finding: Finding) -> Vec<String> {
    match finding {
        Finding::List => vec![
            "One copy each for several recipients or lists, as a list, a publisher or a provider sends them. \
             Nobody made copies."
                .to_owned(),
        ],
        Finding::NoCulprit if case.chains.len() > 1 => vec![
            "Each copy may well have a good reason: another address of the same person, another list, or the author \
             sent it again."
                .to_owned(),
        ],
        Finding::CannotTell => vec![
            "There are more copies for one recipient than there should be, and nothing in their headers says \
             which server made them. Copies from other mailboxes may tell."
                .to_owned(),
        ],
        _ => Vec::new(),
    }
}

/// A span of time as people say it.
pub(super) fn span(ms: Ms) -> String {
    let seconds = (ms.max(0) + 500) / 1_000;
    match seconds {
        0..=90 => format!("{seconds} seconds"),
        91..=5_400 => format!("{} minutes", (seconds + 30) / 60),
        5_401..=172_800 => format!("{} hours", (seconds + 1_800) / 3_600),
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    }
}
