//! `make recent-memory`: what the tables of the classes of suspicion need for a day of mail no two of which
//! are alike, and at worst.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, reason = "a command")]

#[path = "support/day.rs"]
mod day;
#[path = "../tests/support/memory.rs"]
mod memory;

use std::process::ExitCode;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use quell_mail::key::LedgerKey;
use quell_storm::facts::{Facts, Ms};
use quell_storm::signs::{Again, Suspicion};

use day::{A_DAY, Desk, message, ordinary, reply, time_of};
use memory::most_mib;

/// Issue 6: memory at 10 million messages a day, beside the ledger's day filters.
const MOST_MIB: f64 = 256.0;
/// Messages made before they are counted, so that making them is in no figure.
const BATCH: u64 = 1_000;
/// Conversations and replies of each: more than are kept of both.
const CONVERSATIONS: u64 = 6_000;
const REPLIES: u64 = 300;
/// As many storms as may be open, and messages that each would keep.
const STORMS: u64 = 10_000;
const OF_STORM: u64 = 20;

const MIB: f64 = (1 << 20) as f64;

/// CPU time of this process so far.
fn cpu_used() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap())
}

fn main() -> ExitCode {
    let messages = std::env::var("MESSAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(A_DAY);
    let mut desk = Desk::new();
    drop(batch(0));
    let before = most_mib();
    println!("| | MiB at most | more than before | tables say | without room | messages a CPU second |");
    println!("| --- | --- | --- | --- | --- | --- |");
    row("nothing", before, &desk, None);
    let mut cpu = Duration::ZERO;
    for first in (0..messages).step_by(BATCH as usize) {
        let ready = batch(first);
        let began = cpu_used();
        for (facts, now) in &ready {
            desk.takes(facts, *now);
        }
        cpu += cpu_used() - began;
    }
    row("the day", before, &desk, Some(messages as f64 / cpu.as_secs_f64()));
    fill_conversations(&mut desk, time_of(messages));
    row("conversations full of replies", before, &desk, None);
    keep_for_storms(&mut desk, time_of(messages));
    row("as many storms as may be open", before, &desk, None);
    let reached = most_mib() - before < MOST_MIB;
    println!("\nto reach: less than {MOST_MIB} MiB: {}", if reached { "reached" } else { "NOT REACHED" });
    if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn row(name: &str, before: f64, desk: &Desk, rate: Option<f64>) {
    let (most, tables) = (most_mib(), desk.recent.bytes() as f64 / MIB);
    let rate = rate.map_or("–".to_owned(), |rate| format!("{rate:.0}"));
    println!(
        "| {name} | {most:.1} | {:.1} | {tables:.1} | {} | {rate} |",
        most - before,
        desk.recent.no_room()
    );
}

fn batch(first: u64) -> Vec<(Facts, Ms)> {
    (first + 1..=first + BATCH).map(|n| (message(n), time_of(n))).collect()
}

/// As many replies in as many conversations as are kept, each conversation from a network of its own.
fn fill_conversations(desk: &mut Desk, now: Ms) {
    let mut n = 1 << 40;
    for conversation in 0..CONVERSATIONS {
        let mut facts = reply(n, n + conversation, 1);
        facts.said.content = None;
        for _ in 0..REPLIES {
            n += 1;
            facts.said.letter.message_id = Some(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            desk.takes(&facts, now);
        }
    }
}

/// Storms that keep what they may.
fn keep_for_storms(desk: &mut Desk, now: Ms) {
    let again =
        Again { arrivals: 9, other_way: true, marked: true, words: 99, sendings: 1, same_source: true };
    let what = Suspicion::Resent { again, limit: 1 };
    for storm in 0..STORMS {
        let key = LedgerKey(u128::from(storm).to_le_bytes());
        for n in 0..OF_STORM {
            let facts = ordinary((1 << 50) + storm * OF_STORM + n, 1);
            let (looked, _) = desk.takes(&facts, now);
            desk.recent.keep(&facts, &looked, 0, &what, &key);
        }
    }
}
