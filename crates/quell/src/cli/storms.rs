//! `quell storms list|show|release|discard|digest`.

mod culprits;
mod held;

use std::io::Write;

use quell_storm::facts::Ms;
use quell_storm::verdict::Class;
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
    /// not judged again by the same rule. Of a whole storm also what still comes passes, until it has ended
    Release(held::Args),
    /// Throw away what a storm holds: nobody gets it; for 30 days it can still be released
    Discard(held::Args),
    /// Send what a storm holds to its recipients now, in one digest each, as else at the end of its time;
    /// with --print or --json only list it, with authors and subjects
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
        ">HELD NOW",
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
            state(storm),
            word(storm, "class"),
            word(storm, "copies"),
            word(storm, "absorbed"),
            word(storm, "held"),
            word(storm, "held_now"),
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

/// Its state, and that a person has released it.
fn state(storm: &Value) -> String {
    let released = storm.get("released").and_then(Value::as_bool) == Some(true);
    format!("{}{}", word(storm, "state"), if released { ", released" } else { "" })
}

fn show(shown: &StormShown, now: Ms, out: &mut dyn Write) -> Result<(), Failure> {
    let storm = &shown.storm;
    let time = |name: &str| {
        let at = word(storm, name);
        let how_long = or_dash(ago(&at, now));
        format!("{at}, {how_long} ago")
    };
    let by_class: Vec<_> = shown.by_class.iter().map(|(class, n)| format!("{class} {n}")).collect();
    let class = Class::from_name(&word(storm, "class")).unwrap_or(Class::Copies);
    let count = format!("{}; since it opened: {}", word(storm, "copies"), by_class.join(", "));
    let recipients = word(storm, "recipients");
    let lines = [
        ("Storm", format!("{} ({}, {})", word(storm, "id"), class.name(), state(storm))),
        ("What it is", class.words().replace('\n', " ")),
        ("Key", shown.keys.join(", ")),
        ("First seen", time("first_seen")),
        ("Last seen", time("last_seen")),
        (if class.suspects() { "Messages" } else { "Copies" }, count),
        ("Absorbed", word(storm, "absorbed")),
        ("Held", format!("{} in all, {} now", word(storm, "held"), word(storm, "held_now"))),
        // Only of copies the ledger knows who has the message already.
        match class.suspects() {
            true => ("Recipients", recipients),
            false => ("Recipients", format!("{recipients}, of these have it: {}", word(storm, "delivered"))),
        },
    ];
    for (name, value) in lines {
        writeln!(out, "{:<12}{}", format!("{name}:"), plain(&value))?;
    }
    sources(shown, class, out)?;
    match who_makes_it(class) {
        Some(who) => writeln!(out, "\n{who}")?,
        None => culprits::show(storm, out)?,
    }
    shown.evidence.iter().try_for_each(|sample| evidence(sample, class, out))
}

/// Who makes a storm that is no copies of one message, so that no trace can say it.
fn who_makes_it(class: Class) -> Option<&'static str> {
    match class {
        Class::ReplyAll => Some("No server is at fault: people answer all. The headers below say who."),
        Class::AutoReply => Some(
            "Two machines make it, each for an address: the headers below say which. Switch one of them off.",
        ),
        Class::Bounces => Some(
            "Servers report mail that they could not deliver; what did not go out here was sent by somebody else in \
             this name. The headers below say who reports.",
        ),
        Class::Flood => Some("The source above brings it. What it is, the headers below show."),
        Class::UserLimit => Some(
            "The user above sends it, or somebody who has the password: ask. `quell user disable` stops it at once; \
             `quell storms release` lets the user go on.",
        ),
        _ => None,
    }
}

fn sources(shown: &StormShown, class: Class, out: &mut dyn Write) -> Result<(), Failure> {
    let mut table = Table::new(&["SOURCE", if class.suspects() { ">MESSAGES" } else { ">COPIES" }]);
    for source in &shown.sources {
        let about = if source.over > 0 { "at most " } else { "" };
        table.row([source.source.clone(), format!("{about}{}", source.copies)]);
    }
    let others = if shown.sources_partial { "and others\n" } else { "" };
    Ok(write!(out, "\n{}{others}", table.text())?)
}

fn evidence(sample: &SampleShown, class: Class, out: &mut dyn Write) -> Result<(), Failure> {
    let who = format!("{} at {} from {} for {}", sample.id, sample.time, sample.source, sample.recipient);
    let what = if class.suspects() { "Message" } else { "Copy" };
    writeln!(out, "\n{what} {}", plain(&who))?;
    let received = sample.received.iter().flat_map(|field| field.lines());
    for line in received.chain(sample.header.lines()) {
        writeln!(out, "  {}", plain(&line.replace('\t', " ")))?;
    }
    if sample.header_bytes > sample.header.len() as u64 {
        writeln!(out, "  (cut: the header had {} bytes)", sample.header_bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
