//! Rows for people, or as JSON.

use std::io::Write;

use quell_storm::facts::Ms;

use super::Failure;
use super::outcome::outcome;
use crate::cli::ask::{ago, json as as_json, or_dash, until};
use crate::ops::table::{Table, plain};
use crate::ops::time::size_text;
use crate::ops::{Changed, NextHops, RowShown, Rows, Shown};

pub fn rows(rows: &Rows, json: bool, now: Ms, out: &mut dyn Write) -> Result<(), Failure> {
    if json {
        return as_json(rows, out);
    }
    if rows.rows.is_empty() {
        return Ok(writeln!(out, "no rows")?);
    }
    out.write_all(table(&rows.rows, now).text().as_bytes())?;
    if rows.next.is_some() {
        writeln!(out, "there may be more than these {}: --limit N", rows.rows.len())?;
    }
    Ok(())
}

/// Copies stand there only where some row has some.
fn table(rows: &[RowShown], now: Ms) -> Table {
    let copies = rows.iter().any(|row| row.copies > 0);
    let mut heads = vec!["ID", "STATE", ">AGE", ">SIZE", ">TRIES"];
    heads.extend(copies.then_some(">COPIES"));
    heads.extend([">NEXT", "FROM", "TO", "NEXT HOP", "LAST OUTCOME"]);
    let mut table = Table::new(&heads);
    for row in rows {
        let mut cells = vec![
            row.id.clone(),
            row.state.to_string(),
            or_dash(row.received.as_deref().and_then(|at| ago(at, now))),
            or_dash(row.size_bytes.map(size_text)),
            row.attempts.to_string(),
        ];
        cells.extend(copies.then(|| row.copies.to_string()));
        cells.extend([
            or_dash(row.next.as_deref().and_then(|at| until(at, now))),
            or_dash(row.sender.as_ref().map(|s| sender(s))),
            row.recipient.clone(),
            row.next_hop.clone(),
            or_dash(outcome(row, now)),
        ]);
        table.row(cells);
    }
    table
}

pub fn sender(reverse_path: &str) -> String {
    if reverse_path.is_empty() { "<>".to_owned() } else { reverse_path.to_owned() }
}

pub fn shown(shown: &Shown, json: bool, now: Ms, out: &mut dyn Write) -> Result<(), Failure> {
    if json {
        return as_json(shown, out);
    }
    let message = &shown.message;
    let kept = if message.body_kept { "kept" } else { "no longer needed" };
    let lines = [
        ("Message", message.id.clone()),
        ("From", sender(&message.sender)),
        ("Message-ID", or_dash(message.message_id.clone())),
        ("Received", format!("{}, from {}", message.received, message.source)),
        ("Size", format!("{}, body {kept}", size_text(message.size_bytes))),
    ];
    let key = (message.key != message.id).then(|| ("Key", format!("first seen with {}", message.key)));
    for (name, value) in lines.into_iter().chain(key) {
        writeln!(out, "{:<12}{}", format!("{name}:"), plain(&value))?;
    }
    writeln!(out)?;
    Ok(out.write_all(table(&shown.rows, now).text().as_bytes())?)
}

pub fn next_hops(found: &NextHops, json: bool, now: Ms, out: &mut dyn Write) -> Result<(), Failure> {
    if json {
        return as_json(found, out);
    }
    if found.next_hops.is_empty() {
        return Ok(writeln!(out, "nothing waits, and no next hop is known to be down")?);
    }
    let mut table =
        Table::new(&["NEXT HOP", ">DUE", ">LATER", ">SENDING", ">DOWN FOR", ">NEXT", "LAST FAILURE"]);
    for hop in &found.next_hops {
        table.row([
            hop.next_hop.clone(),
            hop.ready.to_string(),
            hop.waiting.to_string(),
            hop.claimed.to_string(),
            or_dash(hop.down_since.as_deref().and_then(|at| ago(at, now))),
            or_dash(hop.next.as_deref().and_then(|at| until(at, now))),
            or_dash(hop.status.clone()),
        ]);
    }
    out.write_all(table.text().as_bytes())?;
    match found.more {
        0 => Ok(()),
        more => Ok(writeln!(out, "and {more} more")?),
    }
}

pub fn changed(what: &str, changed: &Changed, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if json {
        return as_json(changed, out);
    }
    let rows = |n: u64| if n == 1 { "row" } else { "rows" };
    Ok(writeln!(out, "{} {} {what}", changed.done, rows(changed.done))?)
}
