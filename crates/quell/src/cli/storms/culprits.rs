//! Who makes the copies of a storm, in words.

use std::io::Write;

use quell_storm::storm::CulpritClass;
use serde_json::Value;

use super::{Failure, plain, word};

/// What a server that nobody can name is called.
const NAMELESS: &str = "a client that no stamp names";

/// For a table: the first one's name, and how many more there are.
pub(super) fn in_short(storm: &Value) -> String {
    let all = all(storm);
    let Some(first) = all.first() else { return "-".to_owned() };
    let (host, ip) = (word(first, "host"), word(first, "ip"));
    let name = if host == "-" { ip } else { host };
    let name = if name == "-" { "(no name)".to_owned() } else { name };
    match all.len() - 1 {
        0 => name,
        more => format!("{name} +{more}"),
    }
}

/// For people: what each is, what it does, and what says so.
pub(super) fn show(storm: &Value, out: &mut dyn Write) -> Result<(), Failure> {
    let all = all(storm);
    if all.is_empty() {
        return Ok(writeln!(out, "\nCulprit:    none: the copies that came do not tell who makes them")?);
    }
    for culprit in all {
        writeln!(out, "\n{:<12}{}", "Culprit:", plain(&name(culprit)))?;
        for line in [does(culprit), when(culprit), also(culprit)].into_iter().flatten() {
            writeln!(out, "  {}", plain(&line))?;
        }
        let lines = culprit.get("evidence").and_then(Value::as_array);
        for line in lines.into_iter().flatten() {
            writeln!(out, "    {}", plain(&word(line, "text")))?;
        }
    }
    Ok(())
}

fn all(storm: &Value) -> &[Value] {
    storm.get("culprits").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(culprit: &'a Value, name: &str) -> Option<&'a str> {
    culprit.get(name).and_then(Value::as_str)
}

fn name(culprit: &Value) -> String {
    let name = match (text(culprit, "host"), text(culprit, "ip")) {
        (Some(host), Some(ip)) => format!("{host} [{ip}]"),
        (Some(host), None) => host.to_owned(),
        (None, Some(ip)) => format!("[{ip}]"),
        (None, None) => NAMELESS.to_owned(),
    };
    text(culprit, "software").map_or_else(|| name.clone(), |software| format!("{name}, {software}"))
}

fn does(culprit: &Value) -> Option<String> {
    let class = text(culprit, "class").and_then(CulpritClass::from_name);
    let percent = |name: &str| {
        culprit.get(name).and_then(Value::as_f64).map(|part| format!("{} %", (part * 100.0).round()))
    };
    let copies = match culprit.get("copies").and_then(Value::as_u64)? {
        1 => "1 copy".to_owned(),
        n => format!("{n} copies"),
    };
    let share = percent("share").map(|share| format!(", {share} of those seen")).unwrap_or_default();
    let sure = percent("confidence").map(|sure| format!("; {sure} sure")).unwrap_or_default();
    let does = class.map_or("makes copies", CulpritClass::words);
    Some(format!("{does}: {copies}{share}{sure}"))
}

fn when(culprit: &Value) -> Option<String> {
    let (first, last) = (text(culprit, "first_seen")?, text(culprit, "last_seen")?);
    let interval = culprit.get("interval_s").and_then(Value::as_f64).filter(|s| *s >= 1.0);
    let often = interval.map(|s| format!(", one about every {} s", s.round())).unwrap_or_default();
    Some(format!("from {first} to {last}{often}"))
}

fn also(culprit: &Value) -> Option<String> {
    let host = text(culprit, "host");
    let names = culprit.get("names").and_then(Value::as_array)?;
    let others: Vec<&str> = names.iter().filter_map(Value::as_str).filter(|n| Some(*n) != host).collect();
    (!others.is_empty()).then(|| format!("also goes by {}", others.join(", ")))
}
