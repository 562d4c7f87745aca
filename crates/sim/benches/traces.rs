//! `make trace-worlds`: the tracer on a thousand worlds of each kind, as a table.

#![allow(clippy::print_stdout, reason = "a command")]

#[path = "../tests/traces/score.rs"]
mod score;

use std::process::ExitCode;

use quell_sim::traces::kinds;

use score::Score;

/// What each kind is to reach.
const TO_REACH: f64 = 0.99;
/// Failing seeds shown of a kind.
const SHOWN: usize = 3;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() -> ExitCode {
    let (worlds, first) = (number("WORLDS", 1_000), number("FIRST", 1_000_000));
    let only = std::env::var("KIND").unwrap_or_default();
    println!("# The trace on worlds with a known truth\n");
    println!(
        "{worlds} worlds of each kind, seeds from {first}; `make trace-worlds WORLDS={worlds} FIRST={first}`.\n"
    );
    println!(
        "| kind | culprits named rightly | wrongly | missed | precision | recall | worlds with a false alarm | class right | copies counted rightly | verdict right |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut all = Score::default();
    let mut failures = Vec::new();
    let mut reached = true;
    for kind in kinds().iter().filter(|kind| only.is_empty() || kind.name() == only) {
        let score = Score::of(*kind, first, worlds);
        println!("{}", row(kind.name(), &score));
        reached &= score.precision() >= TO_REACH && score.recall() >= TO_REACH && score.alarms == 0;
        failures
            .extend(score.failures.iter().take(SHOWN).map(|(seed, what)| (kind.name(), *seed, what.clone())));
        all.merge(&score);
    }
    println!("{}\n", row("all", &all));
    println!("Kinds:\n");
    for kind in kinds() {
        println!("- *{}*: {}", kind.name(), kind.about());
    }
    println!("\nFirst seeds at which something was wrong:\n");
    for (kind, seed, what) in failures {
        println!("- {kind} {seed}: {what}");
    }
    if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn row(name: &str, score: &Score) -> String {
    let percent = |of: u64, all: u64| match all {
        0 => "–".to_owned(),
        all => format!("{:.1} %", of as f64 / all as f64 * 100.0),
    };
    let Score { right, wrong, missed, alarms, class_right, copies_right, verdicts, .. } = score;
    format!(
        "| {name} | {right} | {wrong} | {missed} | {} | {} | {alarms} | {} | {} | {} |",
        percent(*right, right + wrong),
        percent(*right, right + missed),
        percent(*class_right, *right),
        percent(*copies_right, *right),
        percent(verdicts.1, verdicts.0)
    )
}
