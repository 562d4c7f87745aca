//! The mail of a day, no message like another: contents, sources, recipients, conversations, pairs, reports.

use quell_mail::content::content;
use quell_mail::id::QueueId;
use quell_mail::letter::{Letter, Report, address_hash};
use quell_storm::facts::{Counts, Facts, Ms, Recipient, Source};
use quell_storm::judge::judge;
use quell_storm::limits::Limits;
use quell_storm::recent::{Looked, Recent};
use quell_storm::said::Said;
use quell_storm::verdict::Verdict;

/// When the day begins.
pub const NOW: Ms = 1_795_303_244_000;
/// So many messages a day.
pub const A_DAY: u64 = 10_000_000;
/// Networks that they come from.
const NETWORKS: u64 = 200_000;
/// People who receive them.
const PEOPLE: u64 = 50_000;

/// The tables, and what the door does with them.
pub struct Desk {
    pub recent: Recent,
    pub limits: Limits,
}

impl Desk {
    pub fn new() -> Self {
        let limits = Limits::default();
        Self { recent: Recent::new(7, &limits), limits }
    }

    /// What the door does with an arrival that meets no row.
    pub fn takes(&mut self, facts: &Facts, now: Ms) -> (Looked, Vec<Verdict>) {
        let looked = self.recent.look(facts, &self.limits, now);
        let rows = vec![None; facts.recipients.len()];
        let counts = Counts { key_copies: 0, rcpt_copies: vec![0; rows.len()], signs: looked.signs.clone() };
        let verdicts = judge(facts, &rows, &counts, &self.limits, now);
        self.recent.note(facts, &looked, &vec![true; rows.len()], &self.limits, now);
        (looked, verdicts)
    }
}

/// When message `n` of the day comes.
pub fn time_of(n: u64) -> Ms {
    NOW + (n * 86_400_000 / A_DAY) as Ms
}

/// Message `n`. Of ten, six are ordinary and one of those has five recipients, two are sent by our own
/// people to others, one is a report, one a reply to fifty.
pub fn message(n: u64) -> Facts {
    match n % 10 {
        0 => report(n),
        1 => reply(n, n, 1),
        2 | 3 => sent(n),
        4 => ordinary(n, 5),
        _ => ordinary(n, 1),
    }
}

/// From outside for so many of ours.
pub fn ordinary(n: u64, recipients: u64) -> Facts {
    let author = format!("a{n}@client{}.example", n % 9973);
    let first = hash(n) % PEOPLE;
    let to = (0..recipients).map(|i| person((first + i) % PEOPLE)).collect();
    facts(n, author, to)
}

/// By one of ours to somebody outside.
fn sent(n: u64) -> Facts {
    let author = format!("s{n}@firm.example");
    let to = format!("to{n}@client.example");
    let facts = facts(n, author, vec![Recipient { is_ours: false, ..recipient(to) }]);
    Facts { source: Source { inside: true, ..facts.source }, is_author_ours: true, ..facts }
}

/// A report on one message of ours.
pub fn report(n: u64) -> Facts {
    let to = vec![person(hash(n) % PEOPLE)];
    let mut facts = facts(n, format!("mailer-daemon@mx{n}.example"), to);
    facts.reverse_path.clear();
    facts.said.letter.report = Some(Report { original: Some(hash(!n)) });
    facts
}

/// Number `n`, a reply to fifty in conversation `thread`, so many of whom are recipients of this transaction.
pub fn reply(n: u64, thread: u64, recipients: u64) -> Facts {
    let author = format!("r{n}@client.example");
    let mut facts = facts(n, author, (0..recipients).map(person).collect());
    let letter = &mut facts.said.letter;
    letter.addressed = (0..50).map(|i| address_hash(&person(i).identity)).collect();
    letter.addressed.sort_unstable();
    (letter.addressed_total, letter.thread, letter.is_reply) = (50, Some(hash(thread)), true);
    facts
}

fn facts(n: u64, author: String, recipients: Vec<Recipient>) -> Facts {
    let header = format!("From: {author}\r\nSubject: Matter {n}\r\nMessage-ID: <{n}@client.example>\r\n");
    let body = format!("Please find enclosed\r\nthe papers in the matter {n},\r\nas was agreed.\r\n");
    let said = Said {
        letter: Letter { author: Some(author.clone()), message_id: Some(hash(n)), ..Letter::default() },
        content: Some(Box::new(content(header.as_bytes(), body.as_bytes()))),
        ..Said::default()
    };
    let network = u32::try_from(hash(n) % NETWORKS).unwrap_or(0);
    Facts {
        queue_id: QueueId::new(NOW.unsigned_abs() + n, 1, 2),
        received_ms: NOW,
        source: Source {
            address: Some(std::net::Ipv4Addr::from_bits(0x0b00_0001 + (network << 8)).into()),
            helo: format!("mx.client{}.example", n % 9973),
            inside: false,
            user: None,
            pickup: None,
        },
        reverse_path: author,
        reports_to: None,
        envid: None,
        ret_full: None,
        smtputf8: false,
        size_bytes: 4096,
        exact_key: None,
        message_id: None,
        hops: 4,
        tokens: Vec::new(),
        recipients,
        is_author_ours: false,
        is_to_us: false,
        said,
    }
}

fn person(n: u64) -> Recipient {
    recipient(format!("solicitor{n}@firm.example"))
}

fn recipient(address: String) -> Recipient {
    Recipient {
        identity: address.clone(),
        as_given: address,
        tenant: "firm.example".to_owned(),
        is_ours: true,
        notify: None,
        orcpt: None,
    }
}

/// SplitMix64.
fn hash(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}
