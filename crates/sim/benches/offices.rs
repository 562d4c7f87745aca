//! `make offices`: the judge on simulated offices, as tables.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a command")]

#[path = "../tests/offices/desk.rs"]
mod desk;
#[path = "../tests/offices/opportunity.rs"]
mod opportunity;
#[path = "../tests/offices/score.rs"]
mod score;

use std::collections::HashMap;
use std::process::ExitCode;

use quell_sim::offices::{Shape, StormKind};
use quell_storm::limits::Limits;

use score::{Count, Score, Storms};

/// Wrongly held of a hundred thousand, at most.
const TO_REACH: f64 = 1.0;
/// Failures of a seed and a kind that are shown.
const SHOWN: usize = 2;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() -> ExitCode {
    let (offices, first) = (number("OFFICES", 100), number("FIRST", 1_000_000));
    let (days, people) = (number("DAYS", 28), number("PEOPLE", 0));
    let only = std::env::var("STORM").unwrap_or_default();
    let kinds = StormKind::ALL.iter().copied().filter(|kind| only.is_empty() || kind.name() == only);
    let shape = Shape {
        people: (people > 0).then(|| usize::try_from(people).unwrap_or(usize::MAX)),
        days: u32::try_from(days).unwrap_or(u32::MAX),
        storms: kinds.collect(),
        ..Shape::default()
    };
    println!("# The judge on simulated offices\n");
    let score = in_two(first, offices, &shape);
    println!(
        "{offices} offices of 5 to 250 people, {days} days each, seeds from {first}: {} people, {} real messages; \
         `make offices OFFICES={offices} FIRST={first} DAYS={days}`.\n",
        score.people,
        score.real().messages
    );
    print(&score);
    let all_found = score.storms.values().all(|storms| storms.found == storms.all && storms.over == 0);
    let real = score.real().messages;
    let reached = score.classes.values().all(|count| per_100_000(count.wrong, real) <= TO_REACH);
    if reached && all_found && score.twice == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// On two threads.
fn in_two(first: u64, offices: u64, shape: &Shape) -> Score {
    let limits = Limits::default();
    let mut score = Score::default();
    let half = offices / 2;
    std::thread::scope(|scope| {
        let other = scope.spawn(|| Score::of(first, half, shape, &limits));
        score = Score::of(first + half, offices - half, shape, &limits);
        score.merge(other.join().unwrap());
    });
    score
}

fn per_100_000(wrong: u64, of: u64) -> f64 {
    wrong as f64 * 100_000.0 / of.max(1) as f64
}

fn print(score: &Score) {
    println!(
        "| class | opportunities | wrongly held | per 100,000 real messages | per 100,000 opportunities |\n\
         | --- | ---: | ---: | ---: | ---: |"
    );
    let real = score.real().messages;
    for (class, Count { messages, wrong }) in &score.classes {
        let (of_all, of_own) = (per_100_000(*wrong, real), per_100_000(*wrong, *messages));
        println!("| `{class}` | {messages} | {wrong} | {of_all:.2} | {of_own:.2} |");
    }
    println!("\n| real mail | messages | wrongly held |\n| --- | --- | --- |");
    for (kind, count) in &score.kinds {
        println!("| {} | {} | {} |", kind.name(), count.messages, count.wrong);
    }
    let Count { messages, wrong } = score.real();
    println!("| all | {messages} | {wrong} |");
    println!("\nTimes the operator was told of a flood at a real message: {}.", score.told);
    println!("Exact copies delivered to somebody who had it: {}.\n", score.twice);
    println!("| storm | storms | found | most before the hold | most in all | over what may pass |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (kind, storms) in &score.storms {
        let Storms { all, found, worst_before, worst_in_all, over } = storms;
        println!("| {} | {all} | {found} | {worst_before} | {worst_in_all} | {over} |", kind.name());
    }
    println!("\nWhat was wrong:\n");
    let mut shown: HashMap<(u64, &str), usize> = HashMap::new();
    for (seed, what) in &score.failures {
        let times = shown.entry((*seed, what.split(':').next().unwrap_or_default())).or_default();
        *times += 1;
        if *times <= SHOWN {
            println!("- {seed}: {what}");
        }
    }
}
