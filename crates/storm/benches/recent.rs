//! What the classes of suspicion cost: a message read for them, and the tables, the judge and the count on
//! ready facts, after so much history: `make bench-parts PART=recent`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

#[path = "../../mail/benches/support/cpu.rs"]
mod cpu;
#[path = "support/day.rs"]
mod day;

use std::cell::RefCell;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use quell_mail::header::split;
use quell_storm::facts::{Counts, Facts};
use quell_storm::judge::judge;
use quell_storm::recent::Looked;
use quell_storm::said::{Mark, Said};
use quell_storm::signs::Signs;

use cpu::{CpuTime, criterion};
use day::{A_DAY, Desk, message, ordinary, reply, report, time_of};

/// Messages before those that are measured, which join them. After the second every table is full.
const HISTORIES: [(&str, u64); 3] = [("10,000", SHORT), ("1,000,000", 1_000_000), ("10,000,000", A_DAY)];
const SHORT: u64 = 10_000;
/// Messages made before they are measured.
const BATCH: BatchSize = BatchSize::NumIterations(1_000);
/// Numbers of messages beyond those of the history.
const FRESH: u64 = 1 << 40;
/// The conversation that all write to.
const BUSY: u64 = 1 << 50;

/// What is measured: message `n` of its kind.
type Kind = fn(u64) -> Facts;

const KINDS: [(&str, Kind); 7] = [
    ("ordinary, 1 recipient", |n| ordinary(n, 1)),
    ("ordinary, 5 recipients", |n| ordinary(n, 5)),
    ("ordinary, 100 recipients", |n| ordinary(n, 100)),
    ("report", report),
    ("busy conversation of 50, 1 recipient", |n| reply(n, BUSY, 1)),
    ("busy conversation of 50, 50 recipients", |n| reply(n, BUSY, 50)),
    ("copy met by content", copy),
];

/// The same content for the same recipient, by another house each time.
fn copy(n: u64) -> Facts {
    let mut facts = ordinary(FRESH - 1, 1);
    facts.said.letter.message_id = Some(n);
    facts.said.mark = Mark::Strong;
    facts.said.way.add(&format!("mx.house{}.example", n % 997));
    facts
}

fn classes(c: &mut Criterion<CpuTime>) {
    let (desk, fresh) = (RefCell::new((Desk::new(), 0)), RefCell::new(FRESH));
    for (name, history) in HISTORIES {
        let mut group = c.benchmark_group(format!("recent, after {name} messages"));
        for (what, kind) in KINDS {
            group.bench_function(what, |b| {
                let (mut desk, now) = (desk.borrow_mut(), time_of(history));
                after(history, &mut desk);
                let next = || {
                    *fresh.borrow_mut() += 1;
                    kind(*fresh.borrow())
                };
                // The first of its kind is not like the others.
                (0..300).for_each(|_| drop(desk.0.takes(&next(), now)));
                b.iter_batched_ref(next, |facts| desk.0.takes(black_box(facts), now), BATCH);
            });
        }
        group.finish();
    }
}

/// A desk that has taken the mail of the day up to message `history`. What took long may be used again.
fn after(history: u64, (desk, taken): &mut (Desk, u64)) {
    if *taken != history || history == SHORT {
        (*desk, *taken) = (Desk::new(), history);
        for n in 1..=history {
            desk.takes(&message(n), time_of(n));
        }
    }
}

/// What of that is looking, judging and counting, for ordinary messages when every table is full.
fn steps(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("recent, steps");
    let (mut both, now) = ((Desk::new(), 0), time_of(A_DAY));
    let mut n = FRESH;
    let mut next = move || {
        n += 1;
        ordinary(n, 1)
    };
    group.bench_function("look", |b| {
        after(1_000_000, &mut both);
        let desk = &both.0;
        b.iter_batched_ref(&mut next, |facts| desk.recent.look(facts, &desk.limits, now), BATCH);
    });
    group.bench_function("judge", |b| {
        let counts = Counts { rcpt_copies: vec![0], signs: vec![Signs::default()], ..Counts::default() };
        let limits = &both.0.limits;
        b.iter_batched_ref(&mut next, |facts| judge(facts, &[None], &counts, limits, now), BATCH);
    });
    group.bench_function("note", |b| {
        after(1_000_000, &mut both);
        let desk = RefCell::new(&mut both.0);
        let looked = || {
            let (facts, desk) = (next(), desk.borrow());
            let looked = desk.recent.look(&facts, &desk.limits, now);
            (facts, looked)
        };
        let note = |(facts, looked): &mut (Facts, Looked)| {
            let desk = &mut *desk.borrow_mut();
            desk.recent.note(facts, looked, &[true], &desk.limits, now);
        };
        b.iter_batched_ref(looked, note, BATCH);
    });
}

/// Five stamps, a header as mail has it, and a text of so many lines.
fn header(content_type: &str) -> String {
    let mut text = String::new();
    for hop in (0..5).rev() {
        text += &format!(
            "Received: from mail-{hop}.relay{hop}.example (mail-{hop}.relay{hop}.example [192.0.2.{hop}])\r\n\
             \tby mx-{hop}.provider{hop}.example (Postfix) with ESMTPS id 4T012345678{hop}\r\n\
             \tfor <jane@firm.example>; Sat, 21 Nov 2026 23:20:3{hop} +0000 (UTC)\r\n"
        );
    }
    let signature = "dGhpcyBpcyBhIHNpZ25hdHVyZSBvZiB0aGUga2luZCB0aGF0IHNlcnZlcnMgYWRk".repeat(4);
    text += &format!(
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=publisher.example; s=s1;\r\n\tb={signature}\r\n\
         From: \"The Publisher\" <news@publisher.example>\r\nTo: Jane <jane@firm.example>, tom@firm.example\r\n\
         Subject: Re: Figures of the third quarter\r\nMessage-ID: <20261121232030.4711@publisher.example>\r\n\
         In-Reply-To: <20261120.1@firm.example>\r\nReferences: <20261119.1@firm.example> <20261120.1@firm.example>\r\n\
         Date: Sat, 21 Nov 2026 23:20:30 +0000\r\nMIME-Version: 1.0\r\nContent-Type: {content_type}; charset=utf-8\r\n\r\n"
    );
    text
}

fn letter(content_type: &str, line: &str, bytes: usize) -> Vec<u8> {
    let mut text = header(content_type);
    for n in 0.. {
        if text.len() + line.len() > bytes {
            break;
        }
        text += &line.replace('#', &format!("{:04}", n % 10_000));
    }
    text.into_bytes()
}

fn reading(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("recent, said");
    let line = "The figures of the third quarter are attached, page #; please read them by Friday.\r\n";
    let row = "<tr><td style=\"font:12px Arial\"><a href=\"https://publisher.example/#\">Number #</a></td>\
               <td>&pound;&nbsp;#</td></tr>\r\n";
    for (name, message) in [
        ("text, 5 KiB, 5 stamps", letter("text/plain", line, 5 << 10)),
        ("HTML, 50 KiB", letter("text/html", row, 50 << 10)),
    ] {
        let (header, body) = split(&message);
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| Said::read(black_box(header), body, "news@publisher.example"))
        });
    }
}

criterion_group! { name = parts; config = criterion(); targets = reading, steps, classes }
criterion_main!(parts);
