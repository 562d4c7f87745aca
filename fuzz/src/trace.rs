//! What of a message's lines leaves the house on a page for a server's owner.

use quell::cli::replay::in_memory::replayed;
use quell::cli::trace::clean::harmless;
use quell::cli::trace::owner::hop;
use quell_storm::trace::whole::{Mail, report};
use quell_storm::trace::{Bounds, Place, Seen, Trace, id_of};

/// A line of a header, cut down to what it says about machines: no local part is left in it, and
/// what a terminal would obey is not either.
pub fn hop_line(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let line = hop::hop_line(&text);
    assert_eq!(line.matches('@').count(), line.matches("…@").count(), "{line}");
    assert!(!line.chars().any(char::is_control), "{line:?}");
    let shown = harmless(&text);
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert_eq!(harmless(&shown), shown);
}

/// What stands between the messages of the target [`trace`].
const BETWEEN: &[u8] = b"\n=====\n";

/// The trace of any messages: numbers add up, nobody made more copies than there are, and the order of the
/// copies and the number of those who saw them change nothing.
pub fn trace(bytes: &[u8]) {
    let mut offset = 0;
    let mut mails = Vec::new();
    for part in split_at(bytes, BETWEEN).take(64) {
        mails.push(Mail { place: Place { file: 0, offset }, bytes: part, mailbox: "jane@firm.example" });
        offset += part.len() as u64 + 1;
    }
    let report = report(&mails, Bounds::ARCHIVE, &|_| Some("mbox".to_owned()));
    assert_eq!(report.messages, mails.len() as u64);
    assert_eq!(report.singles + report.groups.iter().map(|group| group.copies).sum::<u64>(), report.messages);
    for group in &report.groups {
        assert!(group.copies >= 2 && group.recipients >= 1);
        assert!(
            group.tree.nodes.iter().enumerate().all(|(i, node)| node.parent.is_none_or(|parent| parent < i))
        );
        for culprit in &group.culprits {
            assert!(culprit.copies.is_some_and(|copies| copies <= group.copies), "{culprit:?}");
            assert!(culprit.confidence_permille.is_some_and(|permille| permille <= 1_000));
        }
    }
    merged_in_any_order(&mails);
}

fn split_at<'a>(bytes: &'a [u8], between: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let at = bytes.windows(between.len()).position(|window| window == between);
        rest = at.map(|at| &bytes[at + between.len()..]);
        Some(&bytes[..at.unwrap_or(bytes.len())])
    })
}

fn merged_in_any_order(mails: &[Mail<'_>]) {
    let small = Bounds { copies: 4, copy_bytes: 1 << 10 };
    let (mut all, mut parts) = (Trace::new(small), [Trace::new(small), Trace::new(small)]);
    for (i, mail) in mails.iter().enumerate() {
        let (header, _) = quell_mail::header::split(mail.bytes);
        let recipient = quell_storm::trace::grouping::recipient(header, mail.mailbox);
        let seen = Seen {
            header,
            own_stamp: None,
            recipient: &recipient,
            arrived_ms: None,
            id: id_of(mail.place),
            place: Some(mail.place),
        };
        all.add(&seen);
        parts[i % 2].add(&seen);
    }
    let [mut one, mut two] = parts.clone();
    one.merge(&parts[1]);
    two.merge(&parts[0]);
    assert!(one == all && two == all);
}

/// A day in 2030.
const NOW_MS: i64 = 1_900_000_000_000;

/// The replay of any messages: each gets one verdict, no class has more to decide on than there are, and whether a
/// message goes round does not depend on the order in which they lie there.
pub fn replay(bytes: &[u8]) {
    let mails: Vec<&[u8]> = split_at(bytes, BETWEEN).take(64).collect();
    let judged = |mails: &[&[u8]]| replayed(mails, NOW_MS).expect("the store in memory does not fail");
    let ([pass, absorb, hold, refuse], opportunities) = judged(&mails);
    assert_eq!(pass + absorb + hold + refuse, mails.len() as u64);
    assert!(opportunities.iter().all(|n| *n <= mails.len() as u64));
    let mut other_way: Vec<&[u8]> = mails;
    other_way.reverse();
    let (figures, again) = judged(&other_way);
    assert_eq!(figures.iter().sum::<u64>(), other_way.len() as u64);
    // Whether it goes round stands in a message itself.
    assert_eq!((figures[3], again.get(1)), (refuse, opportunities.get(1)));
}
