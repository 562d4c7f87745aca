//! `quell explain`.

use std::io::Write;

use super::Failure;
use super::ask::{asker, json as as_json, or_dash, refused};
use super::queue::sender;
use crate::config::Config;
use crate::ops::table::plain;
use crate::ops::{ArrivalExplained, Request, Response};

/// Explain what was decided about a message and why.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Queue id (as in `Received`, in the 250 and in the log), 32 hex digits of a key, or Message-ID
    #[arg(value_name = "ID|KEY|MESSAGE-ID")]
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
        Response::Explained(explained) => explained.arrivals.iter().try_for_each(|a| print(a, out)),
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
    for one in &arrival.recipients {
        let verdict = or_dash(one.verdict.clone());
        let state = one.state.map_or_else(String::new, |state| format!(", now {state}"));
        writeln!(out, "\n{}: {verdict}{state}\n  {}", plain(&one.recipient), plain(&one.text))?;
        if let Some(became) = &one.became {
            writeln!(out, "  {}", plain(became))?;
        }
    }
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
