//! What one more copy of an open storm costs its trace, and what it costs to say who made them:
//! `make bench-parts PART=trace`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

#[path = "../../mail/benches/support/cpu.rs"]
mod cpu;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use quell_mail::id::QueueId;
use quell_mail::key::{ExactKey, LedgerKey};
use quell_storm::book::{Book, CopySeen, Fate, KeyTotals};
use quell_storm::facts::{Ms, SourceId};
use quell_storm::limits::Limits;
use quell_storm::trace::{Bounds, Seen, Trace};
use quell_storm::verdict::Class;

use cpu::{CpuTime, criterion};

const NOW: Ms = 1_795_303_244_000;
/// Copies that a full trace has seen before the measurement.
const BEFORE: u64 = 10_000;

fn stamp(from: &str, ip: &str, by: &str, id: u64, at: Ms) -> String {
    let date = quell_mail::date::print(at);
    format!(
        "Received: from {from} ({from} [{ip}])\r\n\tby {by} (8.14.4/8.14.4) with ESMTP id k{id:010}\r\n\t\
         for <solicitor@firm.example>; {date}\r\n"
    )
}

/// A header of six stamps, ours not among them: the oldest three are those of the original.
fn header(n: u64) -> String {
    let at = NOW + n as Ms * 250;
    let way = [
        ("gw.isp.example", "198.51.100.3", "mx.isp.example", n),
        ("dsl-7.isp.example", "198.51.100.99", "gw.isp.example", n),
        ("mail.faulty.example", "192.0.2.44", "dsl-7.isp.example", n),
        ("smarthost.publisher.example", "203.0.113.6", "mail.faulty.example", 0),
        ("news.publisher.example", "203.0.113.5", "smarthost.publisher.example", 0),
        ("app.publisher.example", "203.0.113.4", "news.publisher.example", 0),
    ];
    let time = |id: u64| if id == 0 { NOW - 60_000 } else { at };
    let stamps: String = way.iter().map(|(from, ip, by, id)| stamp(from, ip, by, *id, time(*id))).collect();
    stamps
        + "From: News <news@publisher.example>\r\nTo: all@publisher.example\r\nSubject: Monthly\r\n\
           Message-ID: <1@publisher.example>\r\nDate: Wed, 18 Nov 2026 10:56:00 +0000\r\n\
           MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nX-Filler: "
        + &"x".repeat(600)
        + "\r\n"
}

/// Copies with stamps of their own, for a few recipients, over and over.
struct Copies(Vec<(String, String, String)>);

impl Copies {
    fn new() -> Self {
        let own = |n| stamp("mx.isp.example", "198.51.100.2", "mx.firm.example", n, NOW + n as Ms * 250 + 90);
        Self(
            (0..1_000)
                .map(|n| (header(n + 1), own(n + 1), format!("solicitor{}@firm.example", n % 40)))
                .collect(),
        )
    }

    fn seen(&self, n: u64) -> Seen<'_> {
        let (header, own, recipient) = &self.0[(n % 1_000) as usize];
        let arrived_ms = Some(NOW + n as Ms * 250);
        Seen { header: header.as_bytes(), own_stamp: Some(own), recipient, arrived_ms, id: n, place: None }
    }
}

fn full(copies: &Copies) -> (Trace, u64) {
    let mut trace = Trace::new(Bounds::LIVE);
    (0..BEFORE).for_each(|n| trace.add(&copies.seen(n)));
    (trace, BEFORE)
}

fn trace(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("trace");
    let copies = Copies::new();
    let (mut trace, mut n) = full(&copies);
    group.bench_function("one more live copy", |b| {
        b.iter(|| {
            n += 1;
            trace.add(black_box(&copies.seen(n)));
        });
    });
    group.bench_function("culprits of a full trace", |b| b.iter(|| black_box(&trace).culprits()));
    let mut merged = full(&copies).0;
    merged.merge(&trace);
    assert!(!merged.culprits().is_empty(), "nobody is found");
    group.bench_function("two full traces merged", |b| {
        b.iter(|| {
            let mut merged = trace.clone();
            merged.merge(black_box(&trace));
            merged
        })
    });
    group.finish();
}

fn book(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("trace");
    let (copies, source) = (Copies::new(), SourceId("198.51.100.2".to_owned()));
    let (mut book, mut n, mut seed) = (Book::new(Limits::default()), 0u64, 1u64);
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed ^ seed >> 29
    };
    let mut one_more = |n: u64| {
        let seen = copies.seen(n);
        let totals = KeyTotals { first_seen_ms: NOW, copies: n, absorbed: n, held: 0 };
        let copy = CopySeen {
            key: LedgerKey([7; 16]),
            public: ExactKey([7; 32]),
            recipient: seen.recipient,
            class: Class::Copies,
            fate: Fate::Absorbed,
            key_copies: 20,
            rcpt_copies: 5,
            totals,
            source: &source,
            header: seen.header,
            received: seen.own_stamp,
            queue_id: QueueId::new(NOW.unsigned_abs(), 1, n as u32),
            now: NOW,
        };
        book.copy(black_box(&copy), &mut random)
    };
    (0..BEFORE).for_each(|n| drop(one_more(n)));
    group.bench_function("one more live copy, in the storm book", |b| {
        b.iter(|| {
            n += 1;
            one_more(BEFORE + n)
        });
    });
    group.finish();
}

criterion_group! { name = parts; config = criterion(); targets = trace, book }
criterion_main!(parts);
