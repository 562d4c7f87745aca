//! `quell explain`.

use std::collections::HashMap;
use std::io::Write;

use super::Failure;
use super::ask::{asker, json as as_json, or_dash, refused};
use super::queue::sender;
use crate::config::Config;
use crate::ops::table::plain;
use crate::ops::{ArrivalExplained, RecipientExplained, Request, Response};

/// Explain what was decided about a message and why.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Queue id (as in `Received`, in the 250 and in the log), 32 hex digits of a key, Message-ID, or a
    /// storm's id
    #[arg(value_name = "ID|KEY|MESSAGE-ID|STORM")]
    pub what: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Does it.
///
/// # Errors
/// What the server, or the store, says against it.
pub fn run(args: &Args, config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    match asker(config)?.ask(&Request::Explain { what: args.what.clone() })? {
        Response::Explained(explained) if args.json => as_json(&explained, out),
        Response::Explained(explained) => {
            if let Some(storm) = &explained.storm {
                let title = format!("Storm {} ({}, {})", storm.id, storm.class, storm.state);
                writeln!(out, "{}\n  {}\n", plain(&title), plain(&storm.text))?;
            }
            explained.arrivals.iter().try_for_each(|a| print(a, out))
        }
        other => Err(refused(other)),
    }
}

fn print(arrival: &ArrivalExplained, out: &mut dyn Write) -> Result<(), Failure> {
    let lines = [
        ("Message", format!("{} at {}", arrival.id, arrival.at)),
        ("From", format!("{}, brought by {}", sender(&arrival.sender), arrival.source)),
        ("Message-ID", or_dash(arrival.message_id.clone())),
        ("Key", or_dash(arrival.key.clone())),
    ];
    for (name, value) in lines {
        writeln!(out, "{:<12}{}", format!("{name}:"), plain(&value))?;
    }
    groups(&arrival.recipients).iter().try_for_each(|group| print_group(group, out))?;
    if arrival.recipients.is_empty() {
        let why = "its rows are forgotten, or have the body of a later copy (`quell queue show` names it)";
        writeln!(out, "\nNo row has its body any more: {why}")?;
    }
    let left_out = arrival.recipients_total.saturating_sub(arrival.recipients.len() as u64);
    if left_out > 0 {
        writeln!(out, "\nand {left_out} more recipients")?;
    }
    Ok(writeln!(out)?)
}

/// Recipients of whom the same is said.
type Group<'a> = Vec<&'a RecipientExplained>;

/// In the order of their first.
fn groups(recipients: &[RecipientExplained]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places: HashMap<(Option<&str>, &str), usize> = HashMap::new();
    for one in recipients {
        let at = *places.entry((one.verdict.as_deref(), &one.text)).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

/// What was decided once for all of them; what became of each once where that is the same, too.
fn print_group(group: &Group<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    let Some(first) = group.first() else { return Ok(()) };
    let now = |one: &RecipientExplained| one.state.map_or_else(String::new, |state| format!(", now {state}"));
    let alike = group.iter().all(|one| (one.state, &one.became) == (first.state, &first.became));
    let names: Vec<&str> = group.iter().map(|one| one.recipient.as_str()).collect();
    let verdict = or_dash(first.verdict.clone());
    let state = if alike { now(first) } else { String::new() };
    writeln!(out, "\n{}: {verdict}{state}\n  {}", plain(&names.join(", ")), plain(&first.text))?;
    match (&first.became, alike) {
        (Some(became), true) => writeln!(out, "  {}", plain(became))?,
        (None, true) => {}
        (_, false) => {
            for one in group {
                let became = one.became.as_deref().unwrap_or_default();
                writeln!(out, "  {}{}: {}", plain(&one.recipient), now(one), plain(became))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::State;

    fn one(recipient: &str, text: &str, state: State) -> RecipientExplained {
        RecipientExplained {
            recipient: recipient.into(),
            verdict: Some("pass".into()),
            class: None,
            reason: None,
            text: text.into(),
            state: Some(state),
            became: Some(format!("It is {state}.")),
        }
    }

    #[test]
    fn the_same_is_said_once() {
        let all = [
            one("a@x", "Long.", State::Held),
            one("b@x", "Other.", State::Held),
            one("c@x", "Long.", State::Held),
            one("d@x", "Other.", State::Waiting),
        ];
        let mut out = Vec::new();
        groups(&all).iter().try_for_each(|group| print_group(group, &mut out)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "\na@x, c@x: pass, now held\n  Long.\n  It is held.\n\nb@x, d@x: pass\n  Other.\n  b@x, now held: It \
             is held.\n  d@x, now waiting: It is waiting.\n"
        );
    }
}
