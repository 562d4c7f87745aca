//! Arrivals, rows and copies to test with.

use quell_mail::id::QueueId;
use quell_mail::key::{ExactKey, LedgerKey};
use quell_storm::book::{CopySeen, Fate, KeyTotals};
use quell_storm::facts::*;
use quell_storm::judge::judge;
use quell_storm::limits::Limits;
use quell_storm::said::Said;
use quell_storm::verdict::{Class, Verdict};

pub const MINUTE: Ms = 60_000;
pub const HOUR: Ms = 60 * MINUTE;
pub const NOW: Ms = 1_795_000_000_000;

pub fn source(n: u8) -> Source {
    Source {
        address: Some([192, 0, 2, n].into()),
        helo: "client.example".into(),
        inside: false,
        user: None,
        pickup: None,
    }
}

pub fn id(n: u32) -> QueueId {
    QueueId::new(NOW as u64, 1, n)
}

pub fn recipient(identity: &str) -> Recipient {
    Recipient {
        identity: identity.into(),
        as_given: identity.into(),
        tenant: "firm.example".into(),
        is_ours: true,
        notify: None,
        orcpt: None,
    }
}

/// An arrival from source 1 with an exact key, queue id 100, no token.
pub fn arrival(recipients: &[&str]) -> Facts {
    Facts {
        queue_id: id(100),
        received_ms: NOW,
        source: source(1),
        reverse_path: "ann@client.example".into(),
        reports_to: None,
        envid: None,
        ret_full: None,
        smtputf8: false,
        size_bytes: 2000,
        exact_key: Some(ExactKey([7; 32])),
        message_id: Some("<1@client.example>".into()),
        hops: 3,
        tokens: Vec::new(),
        recipients: recipients.iter().map(|r| recipient(r)).collect(),
        is_author_ours: false,
        is_to_us: false,
        said: Said::default(),
    }
}

/// A row of arrival 1, brought by source 1, answered in time, ten minutes old.
pub fn row(state: RowState) -> RowView {
    RowView {
        state,
        since_ms: NOW - 10 * MINUTE,
        queue_id: id(1),
        source: source(1).id(),
        answered: Answered::Fine,
        by_redirect: false,
        failed_recipient: false,
        lives_in_day: 0,
        storm_closed_ms: None,
        removed: false,
        exempt: None,
    }
}

pub fn token(n: u32) -> OwnToken {
    OwnToken { queue_id: id(n), delivered_to_above: Vec::new() }
}

/// The verdict on `facts`' only recipient; the copy counts as the 3rd for it and the 8th of all.
pub fn one(facts: &Facts, row: Option<RowView>) -> Verdict {
    let counts = Counts { key_copies: 8, rcpt_copies: vec![3], ..Counts::default() };
    judge(facts, &[row], &counts, &Limits::default(), NOW).remove(0)
}

/// One word for a verdict, and the reason's name.
pub fn short(verdict: &Verdict) -> (&'static str, &'static str) {
    (verdict.name(), verdict.reason().name())
}

/// A copy of key `k` at `now`, the `n`-th for its recipient and of its key.
pub fn copy<'a>(k: u8, n: u32, source: &'a SourceId, header: &'a [u8], now: Ms) -> CopySeen<'a> {
    CopySeen {
        key: LedgerKey([k; 16]),
        public: ExactKey([k; 32]),
        recipient: "jane@firm.example",
        class: Class::Copies,
        fate: Fate::Absorbed,
        key_copies: n.min(20),
        rcpt_copies: n.min(5),
        totals: KeyTotals { first_seen_ms: NOW - HOUR, copies: n.into(), absorbed: n.into(), held: 0 },
        source,
        header,
        received: None,
        queue_id: id(n),
        now,
    }
}

/// A seeded source of numbers (SplitMix64).
pub fn rng(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = seed;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}
