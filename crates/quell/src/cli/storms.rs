//! `quell storms list|show|release|discard|digest`.

mod culprits;
mod held;

use std::io::Write;

use quell_storm::facts::Ms;
use serde_json::Value;

use super::Failure;
use super::ask::{ago, asker, json as as_json, or_dash, refused, wall_ms};
use crate::config::Config;
use crate::ops::table::{Table, plain};
use crate::ops::{Request, Response, SampleShown, StormShown, Storms};

/// See the storms, and decide on the mail they hold.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with storms.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// List storms, the last seen first
    List {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one storm with its evidence
    Show {
        /// Storm id
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Deliver what a storm holds, and what it held and was discarded (for 30 days): these messages are
    /// not judged again by the same rule
    Release(held::Args),
    /// Throw away what a storm holds: nobody gets it; for 30 days it can still be released
    Discard(held::Args),
    /// Send what a storm holds to its recipients now, in one digest each, as else at the end of its time;
    /// with --print or --json look at it only
    Digest(held::DigestArgs),
}

/// Does it.
///
/// # Errors
/// What the server, or the store, says against it.
pub fn run(args: &Args, config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    let mut link = asker(config)?;
    match &args.command {
        Command::List { limit, json } => match link.ask(&Request::Storms { limit: *limit as usize })? {
            Response::Storms(storms) if *json => as_json(&storms, out),
            Response::Storms(storms) => list(&storms, wall_ms(), out),
            other => Err(refused(other)),
        },
        Command::Show { id, json } => match link.ask(&Request::Storm { id: id.clone() })? {
            Response::Storm(shown) if *json => as_json(&shown, out),
            Response::Storm(shown) => {
                show(&shown, wall_ms(), out)?;
                held::in_short(&mut link, id, out)
            }
            other => Err(refused(other)),
        },
        Command::Release(args) => held::release(&mut link, args, out),
        Command::Discard(args) => held::discard(&mut link, args, out),
        Command::Digest(args) => held::digest(&mut link, args, wall_ms(), out),
    }
}

fn list(storms: &Storms, now: Ms, out: &mut dyn Write) -> Result<(), Failure> {
    let mut table = Table::new(&[
        "ID",
        "STATE",
        "CLASS",
        ">COPIES",
        ">ABSORBED",
        ">HELD",
        ">RCPTS",
        ">DELIVERED",
        ">SINCE",
        ">LAST",
        "CULPRIT",
    ]);
    for storm in &storms.storms {
        let time = |name: &str| storm.get(name).and_then(Value::as_str).and_then(|at| ago(at, now));
        table.row([
            word(storm, "id"),
            word(storm, "state"),
            word(storm, "class"),
            word(storm, "copies"),
            word(storm, "absorbed"),
            word(storm, "held"),
            word(storm, "recipients"),
            word(storm, "delivered"),
            or_dash(time("first_seen")),
            or_dash(time("last_seen")),
            culprits::in_short(storm),
        ]);
    }
    if table.is_empty() {
        return Ok(writeln!(out, "no storms")?);
    }
    Ok(out.write_all(table.text().as_bytes())?)
}

/// A member as a word; a dash where it is null.
fn word(object: &Value, name: &str) -> String {
    match object.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn show(shown: &StormShown, now: Ms, out: &mut dyn Write) -> Result<(), Failure> {
    let storm = &shown.storm;
    let time = |name: &str| {
        let at = word(storm, name);
        let how_long = or_dash(ago(&at, now));
        format!("{at}, {how_long} ago")
    };
    let by_class: Vec<_> = shown.by_class.iter().map(|(class, n)| format!("{class} {n}")).collect();
    let lines = [
        ("Storm", format!("{} ({}, {})", word(storm, "id"), word(storm, "class"), word(storm, "state"))),
        ("Key", shown.keys.join(", ")),
        ("First seen", time("first_seen")),
        ("Last seen", time("last_seen")),
        ("Copies", format!("{}; since it opened: {}", word(storm, "copies"), by_class.join(", "))),
        ("Absorbed", word(storm, "absorbed")),
        ("Held", word(storm, "held")),
        (
            "Recipients",
            format!("{}, of these have it: {}", word(storm, "recipients"), word(storm, "delivered")),
        ),
    ];
    for (name, value) in lines {
        writeln!(out, "{:<12}{}", format!("{name}:"), plain(&value))?;
    }
    sources(shown, out)?;
    culprits::show(storm, out)?;
    shown.evidence.iter().try_for_each(|sample| evidence(sample, out))
}

fn sources(shown: &StormShown, out: &mut dyn Write) -> Result<(), Failure> {
    let mut table = Table::new(&["SOURCE", ">COPIES"]);
    for source in &shown.sources {
        let about = if source.over > 0 { "at most " } else { "" };
        table.row([source.source.clone(), format!("{about}{}", source.copies)]);
    }
    let others = if shown.sources_partial { "and others\n" } else { "" };
    Ok(write!(out, "\n{}{others}", table.text())?)
}

fn evidence(sample: &SampleShown, out: &mut dyn Write) -> Result<(), Failure> {
    let who = format!("{} at {} from {} for {}", sample.id, sample.time, sample.source, sample.recipient);
    writeln!(out, "\nCopy {}", plain(&who))?;
    let received = sample.received.iter().flat_map(|field| field.lines());
    for line in received.chain(sample.header.lines()) {
        writeln!(out, "  {}", plain(&line.replace('\t', " ")))?;
    }
    if sample.header_bytes > sample.header.len() as u64 {
        writeln!(out, "  (cut: the header had {} bytes)", sample.header_bytes)?;
    }
    Ok(())
}
