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
    let pairs: Vec<Pair<'_>> = pairs(report);
    let notes: Vec<Vec<String>> = pairs.iter().map(|pair| notes(report, *pair)).collect();
    let shared = |note: &&String| pairs.len() > 1 && notes.iter().all(|others| others.contains(*note));
    let mut text = String::new();
    for (pair, notes) in pairs.iter().zip(&notes) {
        text += &format!("{}\n\n{}\n", pair.without.shape.words(), rows(*pair));
        let own = notes.iter().filter(|note| !shared(note)).cloned();
        lines(&mut text, verdict(pair.with).into_iter().chain(own));
    }
    lines(&mut text, notes.first().into_iter().flatten().filter(shared).cloned());
    text += "Go on: README.md says how quell is put in front of a mail server; then\n\
             `quell storms list` shows the storms, `quell storms show ID` the header sets\n\
             that name the servers. docs/manual.md.\n";
    text
}

/// The two runs of a shape.
#[derive(Debug, Clone, Copy)]
struct Pair<'a> {
    without: &'a Run,
    with: &'a Run,
}

impl Pair<'_> {
    fn any(self, which: impl Fn(&Run) -> u64) -> bool {
        which(self.without) > 0 || which(self.with) > 0
    }
}

fn pairs(report: &Report) -> Vec<Pair<'_>> {
    let pair = |shape| {
        let run = |kind| report.runs.iter().find(|run| run.shape == shape && run.gateway == kind);
        Some(Pair { without: run(Kind::Relay)?, with: run(Kind::Quell)? })
    };
    [Shape::Trace, Shape::Identity].into_iter().filter_map(pair).collect()
}

/// A paragraph, if there is anything in it.
fn lines(text: &mut String, lines: impl Iterator<Item = String>) {
    let before = text.len();
    for line in lines {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{line}");
    }
    if text.len() > before {
        text.push('\n');
    }
}

fn rows(pair: Pair<'_>) -> String {
    let mut table = Table::new(&["", ">without quell", ">with quell"]);
    let mut row = |name: &str, cell: &dyn Fn(&Run) -> String| {
        table.row([name.to_owned(), cell(pair.without), cell(pair.with)]);
    };
    row("copies sent by the faulty servers", &|run| thousands(run.copies_sent));
    row("mail at a recipient: most", &|run| thousands(run.mail_at_recipient.most));
    row("                     median", &|run| thousands(run.mail_at_recipient.median));
    row("                     least", &|run| thousands(run.mail_at_recipient.least));
    row("absorbed", &|run| count(run.absorbed));
    // What is never so here needs no word.
    if pair.any(|run| run.held.unwrap_or(0)) {
        row("held until an operator decides", &|run| count(run.held));
    }
    if pair.any(|run| run.refused) {
        row("refused in the answer (3)", &|run| thousands(run.refused));
    }
    if pair.any(beside_others) {
        row("refused beside others (3)", &|run| thousands(beside_others(run)));
    }
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
    row("time until cut off (2)", &|run| milliseconds(run.storm_ms));
    table.text()
}

/// Recipients that the judge refused although the transaction was answered 250.
fn beside_others(run: &Run) -> u64 {
    run.judged_refused.unwrap_or(0).saturating_sub(run.refused)
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

fn notes(report: &Report, pair: Pair<'_>) -> Vec<String> {
    let mut notes: Vec<_> = pair.with.storms.iter().take(MAX_STORMS).map(storm).collect();
    notes.push(cut_off(report, pair));
    if let Some(disk) = pair.with.disk {
        notes.push(format!(
            "(1) Beyond the {} that quell sets aside, however much mail there is: a\n\
             \x20   reserve for a full disk, and segments for bodies.",
            size_text(disk.set_aside_bytes)
        ));
    }
    notes.push(
        "(2) quell syncs each message to the disk before it says 250, and so takes\n\
         \x20   longer; the plain relay queues in memory."
            .to_owned(),
    );
    if pair.any(|run| run.refused) || pair.any(beside_others) {
        notes.push(REFUSED.to_owned());
    }
    notes
}

/// Storms that are told of.
const MAX_STORMS: usize = 5;

/// Which refusals are among the copies sent, and that they are no loss.
const REFUSED: &str = "\
(3) quell refuses a copy while its original is on its last step into the same
    mailbox. In the answer: its sender was told, and it is not among the copies
    sent. Beside others: the message was answered 250 for its other recipients,
    and it is among them. Nothing is lost: the original is what arrives there.
    The sender of a refused copy may be sent a report.";

fn cut_off(report: &Report, Pair { without, with }: Pair<'_>) -> String {
    let limit = |run: &Run| match run.ended_by {
        Ended::Copies => format!("at {} copies (--copies)", thousands(report.copies_limit)),
        Ended::Time => format!("after {} s (--seconds)", report.seconds_limit),
    };
    let limits = match (limit(without), limit(with)) {
        (one, other) if one == other => one,
        (one, other) => format!("without quell {one},\n    with quell {other}"),
    };
    format!("Cut off {limits}: the faulty servers would go on.")
}

/// What the figures of quell come to, in words; that a promise is broken is said when the demonstration
/// fails by it.
fn verdict(with: &Run) -> Option<String> {
    let at = with.mail_at_recipient;
    (at.most == 1 && at.least == 1).then(|| "With quell every recipient has exactly one.".to_owned())
}

fn storm(storm: &Value) -> String {
    let word = |name: &str| match storm.get(name) {
        None | Some(Value::Null) => dash(),
        Some(Value::String(word)) => plain(word),
        Some(other) => other.as_u64().map_or_else(|| plain(&other.to_string()), thousands),
    };
    let held = match storm.get("held").and_then(Value::as_u64) {
        None | Some(0) => String::new(),
        Some(n) => format!(", {} held", thousands(n)),
    };
    format!(
        "Storm {} as quell saw it:\n\
         \x20   class {}, {}, {} copies for {} recipients, {} absorbed{held}.",
        word("id"),
        word("class"),
        word("state"),
        word("copies"),
        word("recipients"),
        word("absorbed")
    )
}
