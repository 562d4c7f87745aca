//! `make near MAIL=FOLDER`: how well a fingerprint tells copies from other messages, on real mail. Prints
//! tables in Markdown; fails if a look-alike is taken for a copy.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a program of its own, for people"
)]

mod changes;
mod lookalikes;
#[path = "../../tests/near/mail.rs"]
mod mail;
mod mime;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use quell_mail::content::{Content, Likeness};

use changes::CHANGES;
use lookalikes::{FOOTER, LOOKALIKES, plain};
use mail::Message;

/// Pairs and failures shown.
const SHOWN: usize = 10;
/// Texts with fewer words are known again only unchanged.
const MIN_WORDS: u32 = 3;

fn main() -> ExitCode {
    // `cargo test --benches` and the like pass other arguments; a measurement is asked for with --bench.
    if !std::env::args().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    let folder = std::env::var("MAIL").unwrap_or_default();
    let messages = match mail::messages(Path::new(&folder)) {
        Ok(messages) if !messages.is_empty() => messages,
        Ok(_) => return failed(&format!("no message is in '{folder}'")),
        Err(why) => return failed(&format!("the mail in '{folder}' cannot be read: {why}")),
    };
    let said = std::env::var("MAIL_SAID").unwrap_or(folder);
    println!("`make near MAIL={said}`: {} messages.\n", messages.len());
    copies(&messages);
    let wrong = others(&messages);
    pairs(&messages);
    if wrong > 0 { failed(&format!("{wrong} look-alikes are taken for copies")) } else { ExitCode::SUCCESS }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("near: FAILED: {why}");
    ExitCode::FAILURE
}

/// Whether `later` is taken for a copy of `first`.
fn likeness(first: &Content, later: &Message) -> Likeness {
    later.content().likeness_to(&first.fingerprint())
}

/// How many changed copies are known again.
fn copies(messages: &[Message]) {
    println!(
        "| what happened on the way | messages | known again | of 100 | not, with fewer than {MIN_WORDS} words | \
         not, with more |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let mut missed = BTreeMap::<&str, Vec<String>>::new();
    for (name, change) in CHANGES {
        let (mut all, mut short, mut long) = (0, 0, 0);
        for message in messages {
            let Some(copy) = change(message) else { continue };
            all += 1;
            let first = message.content();
            if likeness(&first, &copy) != Likeness::Different {
                continue;
            }
            if first.fingerprint().words() < MIN_WORDS {
                short += 1;
            } else {
                long += 1;
                missed.entry(name).or_default().push(message.id());
            }
        }
        let known = all - short - long;
        println!("| {name} | {all} | {known} | {} | {short} | {long} |", percent(known, all));
    }
    // For whoever looks into it: the tables are what is written down.
    for (name, ids) in missed {
        eprintln!("not known again after {name}: {}", ids[..ids.len().min(SHOWN)].join(" "));
    }
}

fn percent(of: usize, all: usize) -> String {
    if all == 0 { "–".to_owned() } else { format!("{:.2}", of as f64 / all as f64 * 100.0) }
}

/// How many other messages are taken for copies, as they are and with a footer; their number.
fn others(messages: &[Message]) -> usize {
    println!(
        "\n| what looks alike | messages | taken for copies | with a footer: messages | taken for copies |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    let (mut sum, mut shown) = (0, Vec::new());
    for (name, change) in LOOKALIKES {
        let (mut all, mut wrong) = ([0, 0], [0, 0]);
        for message in messages {
            let Some(other) = change(message) else { continue };
            let footed = plain(&other, &|text| Some(format!("{text}{FOOTER}")));
            for (at, other) in [Some(other), footed].into_iter().enumerate() {
                let Some(other) = other else { continue };
                all[at] += 1;
                if likeness(&message.content(), &other) != Likeness::Different {
                    wrong[at] += 1;
                    shown.push(format!("{name}: {}", message.id()));
                }
            }
        }
        sum += wrong.iter().sum::<usize>();
        println!("| {name} | {} | {} | {} | {} |", all[0], wrong[0], all[1], wrong[1]);
    }
    shown.iter().take(SHOWN).for_each(|line| println!("\n- wrongly taken for a copy: {line}"));
    sum
}

/// All pairs of messages with one place in a table and two identities.
fn pairs(messages: &[Message]) {
    let mut places = BTreeMap::<u64, Vec<(String, Content)>>::new();
    let mut seen = BTreeSet::new();
    // Test messages without an identity of their own are left out.
    for message in messages.iter().filter(|message| message.id().contains('@')) {
        let content = message.content();
        if seen.insert((message.id(), content.key())) {
            places.entry(content.fingerprint().place()).or_default().push((message.id(), content));
        }
    }
    let (mut all, mut alike, mut shown) = (0, 0, Vec::new());
    for place in places.values() {
        let mut examples = Vec::new();
        for (n, (id, one)) in place.iter().enumerate() {
            for (other_id, other) in place[..n].iter().filter(|(other_id, _)| other_id != id) {
                all += 1;
                let both = [one.likeness_to(&other.fingerprint()), other.likeness_to(&one.fingerprint())];
                let found = both.into_iter().find(|likeness| *likeness != Likeness::Different);
                examples.extend(found.map(|likeness| format!("{likeness:?}: {other_id} {id}")));
            }
        }
        alike += examples.len();
        if let Some(example) = examples.first() {
            shown.push(format!("{} of one author and subject, such as {example}", examples.len()));
        }
    }
    println!(
        "\nPairs of real messages with one place and two Message-IDs: {all}; taken for copies: {alike}, of {} \
         authors and subjects.\n",
        shown.len()
    );
    shown.iter().take(SHOWN).for_each(|line| println!("- {line}"));
}
