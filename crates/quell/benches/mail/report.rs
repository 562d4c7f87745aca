//! BENCHMARKS.md, and the same text on the terminal.

use crate::figures::{Aim, Figure, Section, median, number};
use crate::machine;
use crate::options::Options;
use std::path::Path;

/// What a person has to say about the figures.
const NOTES: &str = include_str!("notes.md");

/// Between these lines stands what `make bench` does not write.
const BY_HAND: (&str, &str) = ("<!-- by hand: from here -->", "<!-- by hand: to here -->");

/// Threads that take less of a message are left out.
const LEAST_MS: f64 = 0.0005;

/// The whole report as Markdown.
pub fn text(sections: &[Section], options: &Options, load_before: &str) -> String {
    let mut out = format!(
        "# Benchmarks\n\nWritten by `{}`; medians of {} rounds, interleaved. Rates are a second; CPU is \
         milliseconds for each message (or copy, or recipient) of each process. Every message was counted by \
         Message-ID and recipient where it arrived: a run that lost or doubled one fails.\n\n",
        options.command(),
        options.rounds
    );
    let load = format!("Load average before: {load_before}");
    let facts = machine::lines().into_iter().chain([load]).chain(machine::versions(&options.quell));
    facts.for_each(|fact| out += &format!("- {fact}\n"));
    if options.quick {
        out += "- QUICK: a tenth of the messages; the figures are rough\n";
    }
    out += &figures(sections);
    sections.iter().for_each(|section| out += &section_text(section));
    out += "\n";
    out += NOTES;
    out
}

/// Puts it into the root of the repository. What other commands measured and a person wrote down there stays,
/// above the notes.
pub fn write(text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../BENCHMARKS.md");
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let measured = text.strip_suffix(NOTES).unwrap_or(text);
    let text = format!("{measured}{}{NOTES}", by_hand(&before));
    std::fs::write(&path, text).expect("BENCHMARKS.md");
    println!("written: BENCHMARKS.md");
}

/// What stands between the marks, which stay with it, and an empty line.
fn by_hand(before: &str) -> String {
    let from = before.find(BY_HAND.0);
    let to = before.rfind(BY_HAND.1).map(|at| at + BY_HAND.1.len());
    match (from, to) {
        (Some(from), Some(to)) if from < to => format!("{}\n\n", &before[from..to]),
        (None, None) => String::new(),
        _ => panic!("BENCHMARKS.md: {} and {} belong together, in this order", BY_HAND.0, BY_HAND.1),
    }
}

fn figures(sections: &[Section]) -> String {
    let mut out =
        "\n## What was to be reached\n\n| figure | to reach | measured | |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for section in sections {
        for figure in &section.figures {
            out += &format!("| {}: {} |\n", section.title, figure_cells(figure));
        }
        for fault in &section.faults {
            out += &format!("| **broken promise** | none | {fault} | FAILED |\n");
        }
    }
    out
}

fn figure_cells(figure: &Figure) -> String {
    let aim = match figure.aim {
        Aim::AtLeast(least) => format!("at least {}{}", number(least), figure.unit),
        Aim::AtMost(most) => format!("at most {}{}", number(most), figure.unit),
    };
    let reached = if figure.is_reached() { "reached" } else { "**not reached**" };
    format!("{} | {aim} | {}{} | {reached}", figure.what, number(figure.measured), figure.unit)
}

fn section_text(section: &Section) -> String {
    let mut out = format!("\n## {}\n\n", section.title);
    if section.columns.is_empty() {
        return out + "It did not come to its end.\n";
    }
    section.notes.iter().for_each(|note| out += &format!("{note}\n\n"));
    out +=
        &format!("| | {} |\n|{}\n", section.columns.join(" | "), " --- |".repeat(section.columns.len() + 1));
    for row in &section.rows {
        let cells: Vec<String> = row.cells.iter().map(|rounds| cell(rounds)).collect();
        out += &format!("| {} | {} |\n", row.who, cells.join(" | "));
    }
    out + &threads(section)
}

/// Where the CPU time of a server goes.
fn threads(section: &Section) -> String {
    let mut out = String::new();
    for (who, threads) in section.threads.iter().filter(|(_, threads)| !threads.is_empty()) {
        let busy = threads.iter().filter(|(_, ms)| **ms >= LEAST_MS);
        let each: Vec<String> = busy.map(|(name, ms)| format!("{name} {ms:.4}")).collect();
        out += &format!("\nThreads of *{who}*, CPU ms: {}.\n", each.join(", "));
    }
    out
}

/// The median, and the least and most of several rounds.
fn cell(rounds: &[f64]) -> String {
    let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let most = rounds.iter().copied().fold(0.0, f64::max);
    let middle = number(median(rounds));
    if least >= most { middle } else { format!("{middle} ({}–{})", number(least), number(most)) }
}
