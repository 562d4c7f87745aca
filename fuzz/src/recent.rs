//! Any sequence of arrivals through the tables of the classes and the judge.

use std::net::Ipv4Addr;

use quell_mail::content::content;
use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;
use quell_mail::letter::{Letter, Machine, Report, address_hash};
use quell_storm::facts::{Counts, Facts, Ms, Recipient, RowView, Source};
use quell_storm::judge::judge;
use quell_storm::limits::{Limits, UserLimits};
use quell_storm::recent::{Looked, Recent};
use quell_storm::rhythm::FloodLimits;
use quell_storm::said::{Mark, Said, Way};
use quell_storm::signs::{ClassSet, Signs};
use quell_storm::verdict::{Class, Reason, Verdict};

/// Steps of a sequence.
const MOST_STEPS: usize = 64;
/// Messages that fill all tables of the smallest size, once in a sequence.
const FLOOD: u32 = 1_500;
/// Bytes of a step.
const STEP_BYTES: usize = 8;
/// What the smallest tables may need.
const MOST_BYTES: usize = 4 << 20;
const NOW: Ms = 1_795_000_000_000;
/// Is a recipient of everything, and nothing is ever noted for him.
const ABSENT: &str = "absent@firm.example";

/// Arrivals made from the bytes, 8 of them each: looking changes nothing, the same arrivals get the same
/// verdicts, memory stays, whom nothing was noted for is not known, what a person released passes, and what an
/// open storm keeps nobody displaces.
pub fn recent(bytes: &[u8]) {
    let (mut desk, mut other) = (Desk::new(), Desk::new());
    let mut is_flooded = false;
    for step in bytes.as_chunks::<STEP_BYTES>().0.iter().take(MOST_STEPS) {
        desk.count += 1;
        other.count += 1;
        if step[0] % 8 == 7 {
            if !is_flooded {
                desk.flood();
                other.flood();
            }
            is_flooded = true;
        } else {
            let (verdicts, again) = (desk.takes(step), other.takes(step));
            assert_eq!(verdicts, again);
        }
        assert!(desk.recent.bytes() <= MOST_BYTES, "{}", desk.recent.bytes());
    }
    assert_eq!((desk.recent.no_room(), other.recent.no_room()), (0, 0));
}

struct Desk {
    recent: Recent,
    limits: Limits,
    now: Ms,
    count: u32,
    /// Open storms, and what the tables said of a message that each keeps what it is compared with.
    storms: Vec<(LedgerKey, Facts, Class)>,
}

impl Desk {
    fn new() -> Self {
        let flood = FloodLimits { least_five_minutes: 3, warm_up_factor: 1, ..FloodLimits::default() };
        let user = UserLimits { messages_per_hour: 5, messages_per_day: 9, new_recipients_per_day: 1 };
        let limits = Limits { recent_entries: 0, flood, user, ..Limits::default() };
        Self { recent: Recent::new(7, &limits), limits, now: NOW, count: 0, storms: Vec::new() }
    }

    fn look(&self, facts: &Facts) -> Looked {
        self.recent.look(facts, &self.limits, self.now)
    }

    fn judged(&self, facts: &Facts, looked: &Looked) -> Vec<Verdict> {
        let rows: Vec<Option<RowView>> = vec![None; facts.recipients.len()];
        let counts = Counts { key_copies: 0, rcpt_copies: vec![0; rows.len()], signs: looked.signs.clone() };
        judge(facts, &rows, &counts, &self.limits, self.now)
    }

    fn takes(&mut self, step: &[u8; STEP_BYTES]) -> Vec<Verdict> {
        self.now += Ms::from(step[6]) * Ms::from(step[6]) * 1_000;
        if step[7] & 0x40 != 0 && !self.storms.is_empty() {
            let (over, ..) = self.storms.remove(usize::from(step[1]) % self.storms.len());
            self.storms.retain(|(storm, ..)| *storm != over);
            self.recent.storm_over(&over);
        }
        let facts = arrival(step, self.count);
        let mut looked = self.look(&facts);
        assert_eq!(looked.signs, self.look(&facts).signs, "it changes nothing");
        let absent = facts.recipients.iter().position(|r| r.identity == ABSENT);
        if let Some(i) = absent {
            is_unknown(&looked.signs[i]);
        }
        let verdicts = self.judged(&facts, &looked);
        assert_eq!(verdicts, self.judged(&facts, &looked));
        self.release(&facts);
        if step[7] & 0x80 != 0 {
            looked.release(0, all_classes());
        }
        let is_new = |i: usize| Some(i) != absent && step[7] >> i & 1 == 0;
        let new: Vec<bool> = (0..facts.recipients.len()).map(is_new).collect();
        self.recent.note(&facts, &looked, &new, &self.limits, self.now);
        for (i, verdict) in verdicts.iter().enumerate().filter(|(i, _)| new[*i]) {
            let Reason::Suspect(suspicion, _) = verdict.reason() else { continue };
            let (storm, _) = self.recent.storm_key(&facts, &looked, i, suspicion.class());
            assert_eq!(storm, self.recent.storm_key(&facts, &looked, i, suspicion.class()).0);
            self.recent.keep(&facts, &looked, i, suspicion, &storm);
            let alone = Facts { recipients: vec![facts.recipients[i].clone()], ..facts.clone() };
            self.storms.push((storm, alone, suspicion.class()));
        }
        verdicts
    }

    /// What a person has released for everybody passes.
    fn release(&self, facts: &Facts) {
        let mut looked = self.look(facts);
        (0..facts.recipients.len()).for_each(|i| looked.release(i, all_classes()));
        let passes = |v: &Verdict| matches!(v, Verdict::Pass(_, why) if !matches!(why, Reason::Suspect(..)));
        assert!(self.judged(facts, &looked).iter().all(passes));
    }

    /// Very many messages, each of another network, author, content, conversation and recipient. What the open
    /// storms are compared with is still there.
    fn flood(&mut self) {
        let of_class = |signs: &Signs, class| match class {
            Class::Resent => signs.again.is_some(),
            Class::ReplyAll => signs.replies.is_some_and(|replies| replies.replies > 1),
            Class::AutoReply => signs.turns.is_some_and(|turns| turns.turns > 1),
            Class::Bounces => signs.reports.is_some_and(|reports| reports.of_recipient > 1),
            _ => true,
        };
        let known = |desk: &Self| -> Vec<bool> {
            desk.storms.iter().map(|(_, facts, class)| of_class(&desk.look(facts).signs[0], *class)).collect()
        };
        let before = known(self);
        for n in 0..FLOOD {
            let kind = n as u8 % 4;
            let facts = unlike(arrival(&[kind, 0, 0, 0, 0, 0, 0, 0], self.count), self.count << 16 | n);
            let looked = self.look(&facts);
            self.recent.note(&facts, &looked, &vec![true; facts.recipients.len()], &self.limits, self.now);
        }
        assert_eq!(known(self), before, "an open storm's entries stay");
    }
}

/// Nothing was ever noted for this recipient.
fn is_unknown(signs: &Signs) {
    assert!(signs.again.is_none_or(|again| again.arrivals <= 1), "{signs:?}");
    assert!(signs.turns.is_none_or(|turns| turns.turns == 1), "{signs:?}");
    assert!(signs.reports.is_none_or(|r| (r.of_recipient, r.sent) == (1, 0)), "{signs:?}");
}

fn all_classes() -> ClassSet {
    let mut classes = ClassSet::default();
    Class::ALL.into_iter().for_each(|class| classes.add(class));
    classes
}

/// The arrival that 8 bytes stand for: kind, content and conversation, author, recipients, source, way and mark,
/// time passed, for whom it is new.
fn arrival(step: &[u8; STEP_BYTES], count: u32) -> Facts {
    let [kind, about, author, to, from, way, ..] = *step;
    let (inside, is_author_ours) = (matches!(kind % 8, 3 | 4), kind % 8 == 3);
    let domain = if is_author_ours { "firm.example" } else { "client.example" };
    let author = format!("a{}@{domain}", author % 8);
    let there = if inside { "client.example" } else { "firm.example" };
    let mut recipients: Vec<Recipient> =
        (0..1 + to % 3).map(|i| recipient(&format!("a{}@{there}", (to / 4 + i) % 8), !inside)).collect();
    if to & 0x80 != 0 {
        recipients.push(recipient(ABSENT, true));
    }
    let letter = letter(kind, about, &author, &recipients, count);
    Facts {
        queue_id: QueueId::new(NOW.unsigned_abs(), 1, count),
        received_ms: NOW,
        source: Source {
            address: (from != 0xff).then(|| Ipv4Addr::new(192, 0, from % 8, 1).into()),
            helo: format!("mx.house{}.example", way % 8),
            inside,
            user: (inside && from & 0x10 != 0).then(|| format!("user{}", from % 4)),
            pickup: None,
        },
        reverse_path: if kind % 8 == 2 { String::new() } else { author.clone() },
        reports_to: None,
        envid: None,
        ret_full: None,
        smtputf8: false,
        size_bytes: 2_000,
        exact_key: None,
        message_id: None,
        hops: 3,
        tokens: Vec::new(),
        is_author_ours,
        is_to_us: false,
        said: said(letter, about, &author, way),
        recipients,
    }
}

fn letter(kind: u8, about: u8, author: &str, to: &[Recipient], count: u32) -> Letter {
    let mut addressed: Vec<u64> = to.iter().map(|r| address_hash(&r.as_given)).collect();
    addressed.sort_unstable();
    Letter {
        author: Some(author.to_owned()),
        addressed_total: if kind % 8 == 1 { 12 } else { addressed.len() as u32 },
        addressed,
        thread: Some(u64::from(about % 4)),
        message_id: (about & 0x40 == 0).then_some(u64::from(count)),
        is_reply: kind % 8 == 1,
        machine: if matches!(kind % 8, 2 | 5) || about & 0x10 != 0 { Machine::Answered } else { Machine::No },
        report: (kind % 8 == 2)
            .then(|| Report { original: (about & 0x20 == 0).then_some(u64::from(about % 4)) }),
        ..Letter::default()
    }
}

fn said(letter: Letter, about: u8, author: &str, way: u8) -> Said {
    // The upper bit puts lines in, the next makes another text in the same place.
    let footer = if about & 0x80 == 0 { "" } else { "-- \r\nThis is confidential.\r\n" };
    let version = about >> 3 & 1;
    let header = format!("From: {author}\r\nSubject: Matter {}\r\n", about % 8);
    let body = format!(
        "{}of the matter\r\nis enclosed, as we said\r\n{footer}",
        "Page two ".repeat(7 + usize::from(version))
    );
    let mut houses = Way::default();
    houses.add(&format!("mx.house{}.example", way / 8 % 8));
    let mark = [Mark::None, Mark::None, Mark::Weak, Mark::Strong][usize::from(way / 64)];
    Said { letter, content: Some(Box::new(content(header.as_bytes(), body.as_bytes()))), way: houses, mark }
}

fn recipient(address: &str, is_ours: bool) -> Recipient {
    Recipient {
        identity: address.to_owned(),
        as_given: address.to_owned(),
        tenant: "firm.example".to_owned(),
        is_ours,
        notify: None,
        orcpt: None,
    }
}

/// The same kind of message, of which nothing was seen before.
fn unlike(facts: Facts, n: u32) -> Facts {
    let author = format!("f{n}@bad.example");
    let header = format!("From: {author}\r\nSubject: Offer {n}\r\n");
    let content = Some(Box::new(content(header.as_bytes(), b"An offer that you never saw\r\n")));
    let letter = Letter {
        author: Some(author.clone()),
        thread: Some(u64::from(n) + 100),
        message_id: Some(u64::from(n) << 32),
        report: facts.said.letter.report.map(|_| Report { original: Some(u64::from(n) << 32 | 1) }),
        ..facts.said.letter
    };
    Facts {
        source: Source { address: Some(Ipv4Addr::from_bits(0x0a00_0001 + (n << 8)).into()), ..facts.source },
        reverse_path: author,
        recipients: vec![recipient(&format!("t{n}@firm.example"), !facts.source.inside)],
        said: Said { letter, content, ..facts.said },
        ..facts
    }
}
