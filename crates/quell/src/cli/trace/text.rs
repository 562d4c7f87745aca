//! The answer for a terminal: one line for each group, its culprits, and the copies side by side.

use quell_storm::storm::Culprit;
use quell_storm::trace::report::{Finding, Group, Report};

use super::clean::clean;
use super::words;

pub(in crate::cli) mod columns;
mod pair;

use columns::{Ink, Lines, fit, wrap};

/// How to draw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextOptions {
    /// Columns of the terminal; kept within 40 to 240.
    pub width: usize,
    /// With colours (ANSI).
    pub colour: bool,
    /// Innocent groups too, all culprits' evidence, and all of their lines.
    pub all: bool,
}

/// Comparisons shown for a culprit without `all`.
const COMPARISONS: usize = 1;
/// Evidence lines shown for a culprit without `all`.
const EVIDENCE: usize = 6;

/// The whole answer; every line ends in LF. Nothing of mail reaches the terminal as anything but
/// letters.
pub fn text(report: &Report, options: &TextOptions) -> String {
    let report = clean(report);
    let mut lines = Lines::new(options.width.clamp(40, 240), options.colour);
    summary(&report, &mut lines);
    let ordered = words::in_order(&report.groups);
    let shown = ordered.iter().filter(|group| options.all || !words::is_innocent(group));
    for (number, group) in shown.enumerate() {
        draw_group(number + 1, group, options.all, &mut lines);
    }
    innocent(&report, options.all, &mut lines);
    lines.text
}

fn summary(report: &Report, lines: &mut Lines) {
    let parts = [
        words::counted(report.messages, "message read", "messages read"),
        words::counted(report.groups.len() as u64, "group of copies", "groups of copies"),
        words::counted(report.singles, "message without a copy", "messages without a copy"),
        format!("{} damaged", words::number(report.damaged)),
    ];
    let guilty = report.groups.iter().map(|group| group.culprits.len()).sum::<usize>();
    let found = match guilty {
        0 => "No server was found that makes copies.".to_owned(),
        1 => "One server was found that makes copies.".to_owned(),
        n => format!("{n} servers were found that make copies."),
    };
    lines.wrapped(0, &format!("{}. {found}", parts.join(", ")), Ink::Bold);
}

fn innocent(report: &Report, all: bool, lines: &mut Lines) {
    let groups = report.groups.iter().filter(|group| words::is_innocent(group)).count() as u64;
    if groups > 0 && !all {
        lines.blank();
        let are = words::counted(groups, "group is", "groups are");
        let tail = "no fault: lists, or copies with a good reason (--all shows them).";
        lines.wrapped(0, &format!("{are} {tail}"), Ink::Dim);
    }
}

fn draw_group(number: usize, group: &Group, all: bool, lines: &mut Lines) {
    lines.blank();
    heading(number, group, lines);
    for (index, culprit) in group.culprits.iter().enumerate() {
        draw_culprit(index, culprit, group, lines);
    }
    for sentence in &group.words {
        lines.wrapped(4, sentence, Ink::Plain);
    }
    for (index, culprit) in group.culprits.iter().enumerate() {
        let of_it = group.comparisons.iter().filter(|comparison| comparison.culprit == index);
        for comparison in of_it.take(if all { usize::MAX } else { COMPARISONS }) {
            pair::draw(comparison, index, culprit, lines);
        }
        evidence(index, culprit, all, lines);
    }
}

/// One line: number, copies, recipients, when, finding, and as much of the subject as fits.
fn heading(number: usize, group: &Group, lines: &mut Lines) {
    let ink = match group.finding {
        _ if !group.culprits.is_empty() => Ink::Alarm,
        Finding::List | Finding::NoCulprit => Ink::Plain,
        _ => Ink::Doubt,
    };
    let mut start = format!(
        "{number:>2}. {}, {}",
        words::counted(group.copies, "message", "messages"),
        words::counted(group.recipients, "recipient", "recipients"),
    );
    if let Some(when) = words::from_to(group.first_seen_ms, group.last_seen_ms) {
        start = format!("{start}, {when}");
    }
    let end = words::finding(group);
    let subject =
        if group.subject.is_empty() { "(no subject)".to_owned() } else { format!("“{}”", group.subject) };
    let taken = columns::width(&start) + columns::width(&end) + 6;
    // Below so many columns a subject says nothing: it gets a line of its own.
    if lines.width >= taken + 16 {
        let room = lines.width - taken;
        lines.line(&[
            (&start, Ink::Bold),
            ("  ", Ink::Plain),
            (&fit(&subject, room), Ink::Plain),
            ("  ", Ink::Plain),
            (&end, ink),
        ]);
    } else {
        lines.wrapped(0, &start, Ink::Bold);
        lines.line(&[("    ", Ink::Plain), (&fit(&end, lines.width - 4), ink)]);
        lines.line(&[("    ", Ink::Plain), (&fit(&subject, lines.width - 4), Ink::Plain)]);
    }
}

fn draw_culprit(index: usize, culprit: &Culprit, group: &Group, lines: &mut Lines) {
    let mut what = words::name_and_address(culprit);
    if let Some(software) = &culprit.software {
        what = format!("{what}, {software},");
    }
    let mut said = format!("{what} {}", words::does(culprit.class));
    let rhythm = culprit.interval_ms.and_then(words::every);
    let parts = [words::part(culprit, group.copies), rhythm, words::how_sure(culprit)];
    for part in parts.into_iter().flatten() {
        said = format!("{said}; {part}");
    }
    let letter = words::letter(index);
    for (n, line) in wrap(&said, lines.width - 7).iter().enumerate() {
        let label = if n == 0 { format!("    {letter}  ") } else { "       ".to_owned() };
        lines.line(&[(&label, Ink::Alarm), (line, if n == 0 { Ink::Bold } else { Ink::Plain })]);
    }
    let others: Vec<_> =
        culprit.names.iter().filter(|name| Some(*name) != culprit.host.as_ref()).cloned().collect();
    if !others.is_empty() {
        let more = others.len().saturating_sub(5);
        let named = words::listed(&others[..others.len() - more]);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        lines.wrapped(7, &format!("also called {named}{more}"), Ink::Dim);
    }
}

fn evidence(index: usize, culprit: &Culprit, all: bool, lines: &mut Lines) {
    if culprit.evidence.is_empty() {
        return;
    }
    lines.blank();
    lines.wrapped(4, &format!("Lines that point to {}:", words::letter(index)), Ink::Bold);
    let most = if all { usize::MAX } else { EVIDENCE };
    for line in culprit.evidence.iter().take(most) {
        lines.wrapped(6, &line.text, Ink::Plain);
        if let Some(place) = place(line.file.as_deref(), line.offset) {
            lines.wrapped(8, &place, Ink::Dim);
        }
    }
    let more = culprit.evidence.len().saturating_sub(most);
    if more > 0 {
        lines.wrapped(
            6,
            &format!("and {} (--all shows them)", words::counted(more as u64, "line", "lines")),
            Ink::Dim,
        );
    }
}

/// Where a line stands: `box.mbox, byte 1,234`.
fn place(file: Option<&str>, offset: Option<u64>) -> Option<String> {
    match (file, offset) {
        (Some(file), Some(offset)) => Some(format!("{file}, byte {}", words::number(offset))),
        (Some(file), None) => Some(file.to_owned()),
        (None, Some(offset)) => Some(format!("byte {}", words::number(offset))),
        (None, None) => None,
    }
}
