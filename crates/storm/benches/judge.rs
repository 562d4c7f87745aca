//! What a verdict, a copy's count in the storm book, and the tables of the statistical classes
//! and the rhythm of a source cost: `make bench-parts`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

#[path = "../../mail/benches/support/cpu.rs"]
mod cpu;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quell_mail::id::QueueId;
use quell_mail::key::{ExactKey, LedgerKey};
use quell_storm::book::{Book, CopySeen, Fate, KeyTotals};
use quell_storm::facts::{Answered, Counts, Facts, Ms, Recipient, RowState, RowView, Source, SourceId};
use quell_storm::judge::judge;
use quell_storm::limits::Limits;
use quell_storm::rhythm::{FloodLimits, Rhythm};
use quell_storm::said::Said;
use quell_storm::table::Table;
use quell_storm::verdict::Class;

use cpu::{CpuTime, criterion};

const NOW: Ms = 1_795_303_244_000;

fn recipient(n: usize) -> Recipient {
    let address = format!("solicitor{n}@firm.example");
    Recipient {
        identity: address.clone(),
        as_given: address,
        tenant: "firm.example".to_owned(),
        is_ours: true,
        notify: None,
        orcpt: None,
    }
}

fn facts(recipients: usize) -> Facts {
    Facts {
        queue_id: QueueId::new(NOW.unsigned_abs(), 1, 2),
        received_ms: NOW,
        source: Source {
            address: Some([192, 0, 2, 1].into()),
            helo: "mail.relay.example".into(),
            inside: false,
            user: None,
            pickup: None,
        },
        reverse_path: "news@publisher.example".to_owned(),
        reports_to: None,
        envid: None,
        ret_full: None,
        smtputf8: false,
        size_bytes: 4096,
        exact_key: Some(ExactKey([7; 32])),
        message_id: Some("<1@publisher.example>".to_owned()),
        hops: 6,
        tokens: Vec::new(),
        recipients: (0..recipients).map(recipient).collect(),
        is_author_ours: false,
        is_to_us: false,
        said: Said::default(),
    }
}

/// The row of a message that was relayed a minute ago.
fn row() -> RowView {
    RowView {
        state: RowState::Relayed,
        since_ms: NOW - 60_000,
        queue_id: QueueId::new(NOW.unsigned_abs() - 61_000, 1, 1),
        source: SourceId("192.0.2.2".to_owned()),
        answered: Answered::Fine,
        by_redirect: false,
        failed_recipient: false,
        lives_in_day: 0,
        storm_closed_ms: None,
        removed: false,
        exempt: None,
    }
}

fn verdicts(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("judge");
    let limits = Limits::default();
    for (name, recipients, known) in [
        ("1 recipient, new", 1, false),
        ("1 recipient, copy", 1, true),
        ("100 recipients, new", 100, false),
        ("100 recipients, copies", 100, true),
    ] {
        let facts = facts(recipients);
        let rows = vec![known.then(row); recipients];
        let seen = u32::from(known);
        let counts = Counts { key_copies: seen, rcpt_copies: vec![seen; recipients], ..Counts::default() };
        group.throughput(Throughput::Elements(recipients as u64));
        group.bench_function(name, |b| b.iter(|| judge(black_box(&facts), &rows, &counts, &limits, NOW)));
    }
}

fn book(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("storm book");
    let (mut book, mut copies, mut seed) = (Book::new(Limits::default()), 0u32, 1u64);
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed ^ seed >> 29
    };
    let (source, header) = (SourceId("192.0.2.2".to_owned()), vec![b'x'; 2400]);
    group.bench_function("copy of an open storm", |b| {
        b.iter(|| {
            copies += 1;
            let totals =
                KeyTotals { first_seen_ms: NOW, copies: copies.into(), absorbed: copies.into(), held: 0 };
            let copy = CopySeen {
                key: LedgerKey([7; 16]),
                public: ExactKey([7; 32]),
                recipient: "jane@firm.example",
                class: Class::Copies,
                fate: Fate::Absorbed,
                key_copies: copies,
                rcpt_copies: copies,
                totals,
                source: &source,
                header: &header,
                received: None,
                queue_id: QueueId::new(NOW.unsigned_abs(), 1, copies),
                now: NOW + Ms::from(copies / 1000),
            };
            book.copy(black_box(&copy), &mut random)
        });
    });
    assert!(copies < 5 || book.by_key(&LedgerKey([7; 16])).is_some(), "no storm has opened");
}

/// A key as the caller makes it: well mixed (SplitMix64).
fn hash(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

/// A full table of 200,000 entries of 32 bytes, from 5,000 sources.
fn table(c: &mut Criterion<CpuTime>) {
    const ENTRIES: u64 = 200_000;
    let mut group = c.benchmark_group("table");
    let mut table = Table::new(ENTRIES as usize);
    let mut n = 0;
    let insert = |table: &mut Table<[u64; 4]>, n: u64, sources: u64| {
        table.entry(hash(n), hash(n % sources), n as Ms, || [n; 4]).is_some()
    };
    while n < ENTRIES {
        n += 1;
        insert(&mut table, n, 5000);
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("miss", |b| {
        b.iter(|| {
            n += 1;
            table.get(black_box(hash(n))).is_some()
        });
    });
    group.bench_function("touch", |b| {
        b.iter(|| {
            n += 1;
            insert(&mut table, black_box(n * 7919 % ENTRIES + 1), 5000)
        });
    });
    let before = table.evicted();
    n = n.max(ENTRIES);
    for (name, sources) in [("insert into a full one", 5000), ("insert, each of another source", u64::MAX)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                n += 1;
                insert(&mut table, black_box(n), sources)
            });
        });
    }
    assert!(table.len() == ENTRIES as usize && table.evicted() >= before, "the table is not full");
}

/// Messages of one source: within an hour, and each in another one, or after weeks.
fn rhythm(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("rhythm");
    let limits = FloodLimits::default();
    for (name, step) in
        [("50 ms apart", 50), ("an hour apart", 3_600_000), ("three weeks apart", 1_814_400_000)]
    {
        let (mut rhythm, mut now) = (Rhythm::new(NOW), NOW);
        group.bench_function(name, |b| {
            b.iter(|| {
                now += step;
                rhythm.count(black_box(now), &limits)
            });
        });
    }
}

criterion_group! { name = parts; config = criterion(); targets = verdicts, book, table, rhythm }
criterion_main!(parts);
