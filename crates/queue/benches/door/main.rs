//! What a message costs between its session and its next hop, part by part: `make bench-parts`.
//! A round is 50 messages to one recipient each.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

#[path = "../../../mail/benches/support/cpu.rs"]
mod cpu;
mod rig;

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use quell_mail::id::QueueId;
use quell_queue::dots::{DotLog, DotRecord};
use quell_queue::ledger::{Event, Outcome, step};
use quell_queue::store::{Extra, Row, RowId, Store};
use quell_storm::facts::RowState;

use cpu::{CpuTime, criterion};
use rig::{Clock, Dir, PARTS, Part, ROUND, Rig, is_measured};

const NOW: i64 = 1_795_303_244_000;
/// Recipients of the one message to very many.
const MANY: usize = 10_000;

fn row() -> Row {
    let queue_id = QueueId::new(NOW.unsigned_abs(), 1, 1);
    Row {
        id: RowId { kid: queue_id, rcpt: "jane@firm.example".to_owned() },
        queue_id,
        state: RowState::Waiting,
        since_ms: NOW,
        next_ms: NOW,
        tenant: "firm.example".to_owned(),
        gateway: 1,
        key_version: 1,
        attempts: 0,
        sendings: 0,
        copies: 0,
        last_copy_ms: 0,
        times: Vec::new(),
        status: String::new(),
        extra: Extra::default(),
    }
}

fn ledger(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("ledger step");
    let (row, relayed) = (row(), Event::Ended(Outcome::Relayed { reports: false }));
    group.bench_function("dot, then relayed", |b| {
        b.iter_batched(
            || row.clone(),
            |mut row| {
                step(&mut row, &Event::Dot, NOW, true).unwrap();
                step(&mut row, black_box(&relayed), NOW, true).unwrap();
                row
            },
            criterion::BatchSize::SmallInput,
        );
    });
}

fn dots(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("dot log");
    for count in [1, ROUND] {
        let dir = Dir::new();
        let mut log = DotLog::open(&dir.0).unwrap().0;
        let record = |n: usize| DotRecord {
            row: RowId { kid: row().queue_id, rcpt: format!("solicitor{n}@firm.example") },
            queue_id: row().queue_id,
            attempts: 0,
            at_ms: NOW,
        };
        let records: Vec<_> = (0..count).map(record).collect();
        let rows: Vec<_> = records.iter().map(|record| record.row.clone()).collect();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{count} written and over"), |b| {
            b.iter(|| {
                log.append(black_box(&records)).unwrap();
                log.over(&rows);
            });
        });
    }
}

/// A round in all, and by its parts.
fn parts<S: Store>(group: &mut BenchmarkGroup<'_, CpuTime>, rig: impl Fn(Clock, Option<Part>) -> Rig<S>) {
    group.throughput(Throughput::Elements(ROUND as u64)).sample_size(20);
    let all = PARTS.iter().map(|(part, name)| (Some(*part), *name));
    for (part, name) in [(None, "00 all")].into_iter().chain(all) {
        let mut rig = Lazy(None, || rig(cpu::used, part));
        group.bench_function(name, |b| b.iter_custom(|rounds| rig.get().rounds(rounds)));
    }
}

/// What the disk makes wait for, by the clock on the wall.
fn elapsed(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("50 messages, disk, elapsed");
    group.throughput(Throughput::Elements(ROUND as u64)).sample_size(20);
    let parts = [(None, "all"), (Some(Part::Sync), "sync"), (Some(Part::Commit), "commit")];
    for (part, name) in parts.into_iter().chain([(Some(Part::CommitOutcomes), "commit of outcomes")]) {
        let mut rig = Lazy(None, || Rig::on_disk(on_the_wall, part));
        group.bench_function(name, |b| b.iter_custom(|rounds| rig.get().rounds(rounds)));
    }
}

static ELAPSED: OnceLock<Instant> = OnceLock::new();

fn on_the_wall() -> Duration {
    ELAPSED.get_or_init(Instant::now).elapsed()
}

/// Made when it is needed: most benches are left out when one is asked for by its name.
struct Lazy<V, F>(Option<V>, F);

impl<V, F: Fn() -> V> Lazy<V, F> {
    fn get(&mut self) -> &mut V {
        self.0.get_or_insert_with(&self.1)
    }
}

fn rounds(c: &mut Criterion<CpuTime>) {
    parts(&mut c.benchmark_group("50 messages, memory"), Rig::in_memory);
    parts(&mut c.benchmark_group("50 messages, disk"), Rig::on_disk);
}

fn copies<S: Store>(group: &mut BenchmarkGroup<'_, CpuTime>, rig: impl Fn() -> Rig<S>, name: &str) {
    group.throughput(Throughput::Elements(ROUND as u64));
    for (relayed, state) in [(false, "waiting"), (true, "relayed")] {
        let ready = || {
            let mut rig = rig();
            let number = rig.original(relayed);
            (rig, number)
        };
        let mut lazy = Lazy(None, ready);
        group.bench_function(format!("50 of a row that is {state}, {name}"), |b| {
            let (rig, number) = lazy.get();
            b.iter_custom(|rounds| (0..rounds).map(|_| rig.copies(*number)).sum());
        });
    }
}

fn storm(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("copies");
    copies(&mut group, || Rig::in_memory(cpu::used, Some(Part::Accept)), "memory");
    copies(&mut group, || Rig::on_disk(cpu::used, Some(Part::Accept)), "disk");
}

fn many(c: &mut Criterion<CpuTime>) {
    let count = if is_measured() { MANY } else { 200 };
    let mut group = c.benchmark_group("one message to 10,000 recipients");
    group.throughput(Throughput::Elements(MANY as u64)).sample_size(10);
    let wanted =
        [None, Some(Part::Accept), Some(Part::Commit), Some(Part::Claim), Some(Part::CommitOutcomes)];
    for part in wanted {
        let name = PARTS.iter().find(|(p, _)| Some(*p) == part).map_or("00 all", |(_, name)| name);
        let mut rig = Lazy(None, || Rig::on_disk(cpu::used, part));
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| (0..rounds).map(|_| rig.get().large_round(count)).sum());
        });
    }
}

/// What the clock itself costs, for those who compare parts: each is timed once a round.
fn clock(c: &mut Criterion<CpuTime>) {
    c.bench_function("reading the clock", |b| b.iter(cpu::used));
}

criterion_group! { name = all; config = criterion(); targets = ledger, dots, rounds, elapsed, storm, many, clock }
criterion_main!(all);
