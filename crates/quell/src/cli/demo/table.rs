//! The table at the end: without quell and with it, side by side.

use std::fmt::Write as _;

use serde_json::Value;

use super::args::Shape;
use super::figures::{Ended, Kind, Report, Run};
use super::show::{milliseconds, thousands};
use crate::ops::table::{Table, plain};
use crate::ops::time::size_text;

/// All tables of `report`, with what is to be said under them.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    for shape in [Shape::Trace, Shape::Identity] {
        let run = |kind| report.runs.iter().find(|run| run.shape == shape && run.gateway == kind);
        if let (Some(without), Some(with)) = (run(Kind::Relay), run(Kind::Quell)) {
            text += &shape_text(report, without, with);
        }
    }
    text += "Go on: README.md says how quell is put in front of a mail server; then `quell storms list` shows\n\
             the storms, `quell storms show ID` the header sets that name the servers. docs/manual.md.\n";
    text
}

fn shape_text(report: &Report, without: &Run, with: &Run) -> String {
    let mut table = Table::new(&[without.shape.words(), ">without quell", ">with quell"]);
    let mut row = |name: &str, cell: &dyn Fn(&Run) -> String| {
        table.row([name.to_owned(), cell(without), cell(with)]);
    };
    row("copies sent by the faulty servers", &|run| thousands(run.copies_sent));
    row("mail at a recipient: most", &|run| thousands(run.mail_at_recipient.most));
    row("                     median", &|run| thousands(run.mail_at_recipient.median));
    row("                     least", &|run| thousands(run.mail_at_recipient.least));
    row("absorbed", &|run| count(run.absorbed));
    row("held", &|run| count(run.held));
    row("refused (2)", &|run| thousands(run.judged_refused.unwrap_or(0).max(run.refused)));
    row("bytes on disk: in the mailboxes", &|run| size_text(run.mailbox_bytes));
    row("               of the gateway (1)", &|run| {
        run.disk.map_or_else(dash, |disk| size_text(disk.bytes.saturating_sub(disk.set_aside_bytes)))
    });
    row("memory of the gateway, at most", &|run| run.memory_peak_bytes.map_or_else(dash, size_text));
    row("delay of other mail: median", &|run| delay(run, |spread| spread.median));
    row("                     worst", &|run| delay(run, |spread| spread.most));
    row("other mail arrived, of sent", &|run| {
        format!("{} of {}", run.other_mail.arrived, run.other_mail.sent)
    });
    row("time", &|run| milliseconds(run.storm_ms));
    let mut text = table.text();
    text.push('\n');
    for note in notes(report, without, with) {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{note}");
    }
    text.push('\n');
    text
}

fn dash() -> String {
    "-".to_owned()
}

fn count(number: Option<u64>) -> String {
    number.map_or_else(dash, thousands)
}

fn delay(run: &Run, which: impl Fn(super::figures::Spread) -> u64) -> String {
    run.other_mail.delay_ms.map_or_else(dash, |spread| milliseconds(which(spread)))
}

fn notes(report: &Report, without: &Run, with: &Run) -> Vec<String> {
    let mut notes = Vec::new();
    notes.push(cut_off(report, without));
    notes.push(cut_off(report, with));
    if let Some(disk) = with.disk {
        notes.push(format!(
            "(1) Beyond the {} that quell sets aside, however much mail there is: a reserve for a full disk, and\n\
             segments for bodies. It syncs each message before it says 250; the plain relay queues in memory.",
            size_text(disk.set_aside_bytes)
        ));
    }
    notes.push(
        "(2) quell refuses what comes round while its original is on its last step into the mailbox."
            .to_owned(),
    );
    notes.extend(verdict(with));
    notes.extend(with.storms.iter().take(MAX_STORMS).map(storm));
    notes
}

/// Storms that are told of.
const MAX_STORMS: usize = 5;

fn cut_off(report: &Report, run: &Run) -> String {
    let who = run.gateway.words();
    match run.ended_by {
        Ended::Copies => format!(
            "Cut off {who} at {} copies (--copies): the faulty servers would have gone on.",
            thousands(report.copies_limit)
        ),
        Ended::Time => format!(
            "Cut off {who} after {} s (--seconds): the faulty servers would have gone on.",
            report.seconds_limit
        ),
    }
}

/// What the figures of quell come to, in words.
fn verdict(with: &Run) -> Option<String> {
    let at = with.mail_at_recipient;
    match with.shape {
        _ if at.most == 1 && at.least == 1 => Some("With quell every recipient has exactly one.".to_owned()),
        // The same is said, louder, when the demonstration fails by it.
        Shape::Trace => None,
        Shape::Identity => Some(
            "NOT STOPPED YET: these copies have a Message-ID and a Date of their own, and this version of\n\
             quell knows copies by the identity of the message only."
                .to_owned(),
        ),
    }
}

fn storm(storm: &Value) -> String {
    let word = |name: &str| match storm.get(name) {
        None | Some(Value::Null) => dash(),
        Some(Value::String(word)) => plain(word),
        Some(other) => other.as_u64().map_or_else(|| plain(&other.to_string()), thousands),
    };
    format!(
        "Storm {} as quell saw it: class {}, {}, {} copies for {} recipients, {} absorbed.",
        word("id"),
        word("class"),
        word("state"),
        word("copies"),
        word("recipients"),
        word("absorbed")
    )
}
