//! `make proof`: the false holds on real mail. Replays all mail in a folder with the built program and prints, per
//! class, on how many messages it had something to decide and how many it absorbed, held or refused, with date and
//! command. Fails if a message was held or refused that is not one of the known storms.
//!
//! `MAIL` names the folder, `MAIL_SAID` is what it is called in the answer, `QUELL` the program (without it, the one built along).

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a program of its own, for people"
)]

use std::process::{Command, ExitCode};

use serde_json::Value;

/// Storms that are in the public archives used so far: here a hold or a refusal is right.
const KNOWN: [&str; 2] = [
    // A sender that tries again: 3 copies in 411 minutes.
    "<fb0bfe97-41c2-8aeb-f4f2-e8a07c5fda92@maidavale.org>",
    // Submitted again and again: 22 copies within minutes.
    "<2024020516-decipher-unvaried-202a@gregkh>",
];
/// As many examples as an answer has at most. If all of them are holds and refusals, there may be more.
const MOST_EXAMPLES: usize = 20;

fn main() -> ExitCode {
    // `cargo test --benches` and the like pass other arguments; a measurement is asked for with --bench.
    if !std::env::args().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    match proof() {
        Ok(wrong) if wrong.is_empty() => ExitCode::SUCCESS,
        Ok(wrong) => {
            wrong.iter().for_each(|line| eprintln!("proof: FAILED: {line}"));
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("proof: FAILED: {why}");
            ExitCode::FAILURE
        }
    }
}

fn proof() -> Result<Vec<String>, String> {
    let mail = std::env::var("MAIL").ok().filter(|mail| !mail.is_empty());
    let mail = mail.ok_or("there is no mail to prove it on: name a folder, make proof MAIL=FOLDER")?;
    let quell = std::env::var("QUELL").unwrap_or_else(|_| env!("CARGO_BIN_EXE_quell").to_owned());
    let run = Command::new(&quell).args(["replay", "--json", "--quiet", &mail]).output();
    let run = run.map_err(|why| format!("{quell} cannot be run: {why}"))?;
    eprint!("{}", String::from_utf8_lossy(&run.stderr));
    if !run.status.success() {
        return Err(format!("quell replay ended with {}", run.status));
    }
    let answer: Value = serde_json::from_slice(&run.stdout).map_err(|why| format!("its answer: {why}"))?;
    if number(&answer["messages"]) == 0 {
        return Err(format!("no message is in {mail}"));
    }
    table(&answer, &std::env::var("MAIL_SAID").unwrap_or(mail));
    Ok(wrong(&answer))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn table(answer: &Value, mail: &str) {
    let now = jiff::Zoned::now().strftime("%-d %B %Y");
    println!("{now}, `make proof MAIL={mail}`: {} messages.\n", number(&answer["messages"]));
    println!("| class | opportunities | absorbed | held | refused |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (class, count) in answer["opportunities"].as_object().into_iter().flatten() {
        let verdicts = &answer["verdicts"][class];
        let [absorb, hold, refuse] = ["absorb", "hold", "refuse"].map(|name| number(&verdicts[name]));
        println!("| `{class}` | {} | {absorb} | {hold} | {refuse} |", number(count));
    }
    println!("\nStorms found: {}.", answer["storms"].as_array().map_or(0, Vec::len));
    let ids = answer["examples"].as_array().into_iter().flatten();
    for example in ids.filter(|example| KNOWN.iter().any(|id| example["message_id"] == *id)) {
        println!("Known storm {}: {}.", example["message_id"], example["verdict"]);
    }
}

/// What was held or refused and is no known storm.
fn wrong(answer: &Value) -> Vec<String> {
    let severe = number(&answer["hold"]) + number(&answer["refuse"]);
    let examples = answer["examples"].as_array().into_iter().flatten();
    let examples: Vec<&Value> = examples.filter(|example| example["verdict"] != "absorb").collect();
    let unknown = examples.iter().filter(|example| !KNOWN.iter().any(|id| example["message_id"] == *id));
    let mut wrong: Vec<String> = unknown
        .map(|e| {
            format!(
                "{} was not let pass ({}, {}): {}",
                e["message_id"], e["verdict"], e["class"], e["reason"]
            )
        })
        .collect();
    if examples.len() == MOST_EXAMPLES {
        wrong.push(format!("{severe} were held or refused, and only {MOST_EXAMPLES} examples are known"));
    }
    if severe > 0 && examples.is_empty() {
        wrong.push(format!("{severe} were held or refused, without an example"));
    }
    wrong
}
