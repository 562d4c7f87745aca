//! Two copies laid side by side, stamp by stamp.

use quell_storm::storm::Culprit;
use quell_storm::trace::report::{Comparison, Side, Stamp};

use super::super::words;
use super::columns::{Ink, Lines, padded, width as columns_of, wrap};
use super::place;

/// From so many columns on the copies stand beside each other.
const SIDE_BY_SIDE: usize = 100;
/// Columns of a stamp's number, with what parts it from the stamp.
const NUMBER: usize = 6;
/// What stands behind a stamp that both have, where there is room.
const SAME: &str = "   the same in both";

/// Draws the comparison that convicts `culprit`.
pub fn draw(comparison: &Comparison, index: usize, culprit: &Culprit, lines: &mut Lines) {
    lines.blank();
    let letter = words::letter(index);
    lines.wrapped(4, &format!("Evidence against {letter}, two copies for one recipient:"), Ink::Bold);
    if !comparison.what.is_empty() {
        lines.wrapped(4, &comparison.what, Ink::Plain);
    }
    if !comparison.recipient.is_empty() {
        lines.wrapped(4, &format!("Both were for {}.", comparison.recipient), Ink::Plain);
    }
    let (left, right) = (&comparison.left, &comparison.right);
    let shared = comparison.shared.min(left.stamps.len()).min(right.stamps.len());
    let beside = lines.width >= SIDE_BY_SIDE;
    if beside {
        both(lines, "", &about("first copy", left), &about("second copy", right), Ink::Dim);
    } else {
        for line in about("first copy", left).iter().chain(&about("second copy", right)) {
            lines.wrapped(NUMBER + 4, line, Ink::Dim);
        }
    }
    for (n, stamp) in left.stamps.iter().take(shared).enumerate() {
        same(lines, n + 1, stamp);
    }
    parting(lines, shared, &words::name(culprit), &letter);
    let parted = (&left.stamps[shared..], &right.stamps[shared..]);
    if beside { beside_each_other(lines, shared, parted) } else { one_after_the_other(lines, shared, parted) }
}

/// Who a side is: its name, its place, its Message-ID.
fn about(name: &str, side: &Side) -> Vec<String> {
    let place = place(side.file.as_deref(), side.offset);
    let first = place.map_or_else(|| name.to_owned(), |place| format!("{name}: {place}"));
    [Some(first), side.message_id.clone()].into_iter().flatten().collect()
}

fn same(lines: &mut Lines, number: usize, stamp: &Stamp) {
    let said = stamp_lines(stamp);
    for (n, line) in said.iter().enumerate() {
        let room = lines.width.saturating_sub(NUMBER + 4);
        for (part, line) in wrap(line, room).iter().enumerate() {
            let first = n == 0 && part == 0;
            let label = if first { format!("    {number:>3} = ") } else { format!("{:10}", "") };
            let fits = columns_of(line) + SAME.len() <= room;
            let mark = if first && fits { SAME } else { "" };
            lines.line(&[(&label, Ink::Same), (line, Ink::Plain), (mark, Ink::Same)]);
        }
    }
}

fn parting(lines: &mut Lines, shared: usize, name: &str, letter: &str) {
    let said = match shared {
        0 => "── not one stamp is in both: each copy was made anew ".to_owned(),
        _ => format!("── here the copies part: at {letter}, {name} "),
    };
    let room = lines.width.saturating_sub(4);
    for line in wrap(&said, room) {
        let rest = room.saturating_sub(columns_of(&line) + 1);
        lines.line(&[("    ", Ink::Plain), (&format!("{line} {}", "─".repeat(rest)), Ink::Alarm)]);
    }
}

fn beside_each_other(lines: &mut Lines, shared: usize, (left, right): (&[Stamp], &[Stamp])) {
    let none = || vec!["(no further stamp)".to_owned()];
    for n in 0..left.len().max(right.len()) {
        let said = |stamps: &[Stamp]| match stamps.get(n) {
            Some(stamp) => stamp_lines(stamp),
            None if n == stamps.len() => none(),
            None => Vec::new(),
        };
        both(lines, &format!("{:>3} ≠", shared + n + 1), &said(left), &said(right), Ink::Plain);
    }
}

fn one_after_the_other(lines: &mut Lines, shared: usize, (left, right): (&[Stamp], &[Stamp])) {
    let room = lines.width.saturating_sub(NUMBER + 4);
    for (name, stamps) in [("first copy", left), ("second copy", right)] {
        lines.wrapped(NUMBER + 4, &format!("{name}, from here on:"), Ink::Dim);
        for (n, stamp) in stamps.iter().enumerate() {
            for (part, line) in stamp_lines(stamp).iter().flat_map(|line| wrap(line, room)).enumerate() {
                let label =
                    if part == 0 { format!("    {:>3} ≠ ", shared + n + 1) } else { format!("{:10}", "") };
                lines.line(&[(&label, Ink::Doubt), (&line, Ink::Plain)]);
            }
        }
        if stamps.is_empty() {
            lines.wrapped(NUMBER + 4, "(no further stamp)", Ink::Plain);
        }
    }
}

/// Two columns with a rule between them; `label` stands before the first line.
fn both(lines: &mut Lines, label: &str, left: &[String], right: &[String], ink: Ink) {
    let room = (lines.width.saturating_sub(NUMBER + 4 + 3)) / 2;
    let cells = |said: &[String]| said.iter().flat_map(|line| wrap(line, room)).collect::<Vec<_>>();
    let (left, right) = (cells(left), cells(right));
    for n in 0..left.len().max(right.len()) {
        let cell = |cells: &[String]| cells.get(n).cloned().unwrap_or_default();
        let label = if n == 0 { format!("    {label:<6}") } else { format!("{:10}", "") };
        let first = padded(&cell(&left), room);
        lines.line(&[(&label, Ink::Doubt), (&first, ink), (" │ ", Ink::Dim), (&cell(&right), ink)]);
    }
}

/// A stamp: its time, its way, its id.
fn stamp_lines(stamp: &Stamp) -> Vec<String> {
    let time =
        stamp.at_ms.map_or_else(|| "no time".to_owned(), |ms| format!("{} UTC", words::stamp_time(ms)));
    let address = stamp.ip.map(|ip| ip.to_string());
    let from = match (stamp.from.clone(), address) {
        (Some(name), Some(ip)) if !name.contains(&ip) => Some(format!("from {name} [{ip}]")),
        (Some(name), _) => Some(format!("from {name}")),
        (None, Some(ip)) => Some(format!("from [{ip}]")),
        (None, None) => None,
    };
    let by = stamp.by.as_ref().map(|by| format!("by {by}"));
    let way: Vec<_> = [from, by].into_iter().flatten().collect();
    let way = if way.is_empty() { stamp.text.clone() } else { way.join(" ") };
    let id = stamp.id.as_ref().map(|id| format!("id {id}"));
    [Some(time), Some(way), id].into_iter().flatten().collect()
}
