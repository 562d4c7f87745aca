//! What a message costs from the bytes of its session to the facts for the door, and from its claim
//! to its outcome: `make bench-parts`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

#[path = "../../mail/benches/support/mod.rs"]
mod support;

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use quell_mail::id::QueueId;
use quell_mail::key::Secret;
use quell_queue::body::{LargeWriter, SpoolError};
use quell_queue::clock::Now;
use quell_queue::door::{Answer, Incoming};
use quell_relay::attempt::fuzz::{claims, cleared, facts, sending};
use quell_relay::attempt::{Attempt, Content, Step};
use quell_relay::directory::{CannotTell, Directory, DomainPlan, Plan, Population};
use quell_relay::reception::{Memory, Policy, Reception, Refused, RefusedRecipient, Want, World};
use quell_relay::route::NextHop;
use quell_wire::server::Settings;

use support::cpu::{CpuTime, criterion};
use support::letter::{NOW_MS, letter};

const KIB: usize = 1 << 10;

/// A world that has a clock that stands, and ids.
struct Still(Cell<u32>);

impl World for Still {
    fn exists(&self, _: &str, _: &str) -> Result<bool, CannotTell> {
        Ok(false)
    }
    fn room(&self, _: Option<u64>) -> bool {
        true
    }
    fn now(&self) -> Now {
        Now { ms: NOW_MS, wall_ms: NOW_MS, mono_ms: 0, may_expire: true }
    }
    fn queue_id(&self, _: &Now) -> Option<QueueId> {
        self.0.set(self.0.get() + 1);
        Some(QueueId::new(NOW_MS.unsigned_abs(), 1, self.0.get()))
    }
    fn begin_large(&self) -> Result<LargeWriter, SpoolError> {
        Err(SpoolError::SyncFailed("no body is so large here".to_owned()))
    }
    fn refused(&self, _: Refused) {}
    fn recipient_refused(&self, _: &RefusedRecipient<'_>) {}
}

fn policy() -> Arc<Policy> {
    let domain = DomainPlan {
        name: "firm.example".to_owned(),
        maildir: true,
        population: Population::Listed(["jane".to_owned()].into()),
        takes_others: false,
        catch_all: None,
    };
    let plan = Plan { domains: vec![domain], ..Plan::default() };
    Arc::new(Policy {
        hostname: "mx.firm.example".to_owned(),
        secret: Secret::new(1, [1; 32]),
        directory: Directory::new(&plan).unwrap(),
        max_header_bytes: 8 << 20,
        spill_bytes: 256 * KIB,
        max_rows: 100,
        memory: Memory::new(64 << 20),
    })
}

/// Gives all of `input`, and lets every message be accepted. The last of them.
fn feed(reception: &mut Reception, mut input: &[u8], world: &Still) -> Option<Incoming> {
    let mut incoming = None;
    loop {
        let (taken, want) = reception.advance(input, world);
        input = &input[taken..];
        match want {
            Want::Submit(submission) => {
                let id = submission.queue_id();
                incoming = submission.complete().ok();
                reception.answered(&Answer::Accepted(id));
            }
            Want::Flush => {}
            Want::Input
            | Want::Ask(_)
            | Want::StartTls
            | Want::SignIn(_)
            | Want::ScramFor(_)
            | Want::Close(_) => break,
        }
    }
    black_box(reception.output()).clear();
    incoming
}

fn reception(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("reception");
    group.throughput(Throughput::Elements(1));
    let (world, policy, settings) =
        (Still(Cell::new(0)), policy(), Arc::new(Settings::new("mx.firm.example")));
    let begin = || {
        let (policy, settings) = (Arc::clone(&policy), Arc::clone(&settings));
        let mut reception = Reception::new(policy, settings, [192, 0, 2, 1].into(), false);
        feed(&mut reception, b"EHLO mail.relay.example\r\n", &world);
        reception
    };
    const ENVELOPE: &[u8] = b"MAIL FROM:<news@publisher.example>\r\nRCPT TO:<jane@firm.example>\r\nDATA\r\n";
    for kib in [4, 64] {
        let content = [&letter(1, kib * KIB)[..], b".\r\n"].concat();
        let mut kept = begin();
        group.bench_function(format!("{kib} KiB, kept, pipelined"), |b| {
            b.iter(|| {
                feed(&mut kept, ENVELOPE, &world);
                let pieces = content.chunks(16 * KIB);
                pieces.filter_map(|piece| feed(&mut kept, black_box(piece), &world)).last().unwrap()
            });
        });
    }
    let content = [&letter(1, 4 * KIB)[..], b".\r\n"].concat();
    group.bench_function("4 KiB, a connection of its own", |b| {
        b.iter(|| {
            let mut reception = begin();
            feed(&mut reception, ENVELOPE, &world);
            feed(&mut reception, black_box(&content), &world).unwrap()
        });
    });
}

const GREETING: &[u8] = b"220 mx.provider.example ESMTP Postfix\r\n";
const OFFER: &[u8] =
    b"250-mx.provider.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-8BITMIME\r\n250 DSN\r\n";
const TAKEN: &[u8] = b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n";
const QUEUED: &[u8] = b"250 2.0.0 Ok: queued as 4T2B3C4D5E6F\r\n";

/// Drives an attempt to its end, with these replies. How many claims were settled.
fn drive(attempt: &mut Attempt, replies: &[&[u8]], message: &[u8]) -> usize {
    let (mut replies, mut settled) = (replies.iter(), 0);
    loop {
        match attempt.next() {
            Step::Connect(_) => attempt.connected(),
            Step::Write(bytes) => drop(black_box(bytes)),
            Step::NeedInput(_) => attempt.input(replies.next().unwrap()),
            Step::SendBody => {
                let mut rest = message;
                while !rest.is_empty() {
                    rest = &rest[black_box(attempt.body(rest)).0..];
                }
                attempt.body_end();
            }
            Step::Dot(rows) => {
                black_box(rows);
                attempt.dot_recorded();
            }
            Step::Settle(what) => {
                black_box(what);
                settled += 1;
            }
            Step::Done | Step::Over => return settled,
            Step::GiveBack(_) | Step::Disconnect | Step::FindMx(_) | Step::FindAddresses(_) => {}
            Step::FindPolicy(_) | Step::FindTlsa { .. } | Step::StartTls => {}
        }
    }
}

fn attempt(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("attempt");
    group.throughput(Throughput::Elements(1)).sample_size(30);
    let (sending, message) = (Arc::new(sending()), letter(1, 4 * KIB));
    let hop = NextHop::parse("smtp://192.0.2.1:25").unwrap();
    let content = Content { size_bytes: message.len() as u64, eight_bit: false, header_non_ascii: false };
    let claims = || cleared(claims(facts(1, &["jane@firm.example"])));
    let new = |claims| Attempt::new(Arc::clone(&sending), hop.clone(), claims, content, 1);
    group.bench_function("4 KiB, a connection of its own", |b| {
        b.iter_batched(
            claims,
            |claims| {
                let mut attempt = new(claims);
                assert_eq!(drive(&mut attempt, &[GREETING, OFFER, TAKEN, QUEUED], &message), 1);
                attempt.quit();
                drive(&mut attempt, &[b"221 2.0.0 Bye\r\n"], b"");
            },
            BatchSize::SmallInput,
        );
    });
    let mut kept = new(claims());
    drive(&mut kept, &[GREETING, OFFER, TAKEN, QUEUED], &message);
    group.bench_function("4 KiB, kept", |b| {
        b.iter_batched(
            claims,
            |claims| {
                kept.begin(claims, content, 1).unwrap();
                assert_eq!(drive(&mut kept, &[TAKEN, QUEUED], &message), 1);
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group! { name = parts; config = criterion(); targets = reception, attempt }
criterion_main!(parts);
