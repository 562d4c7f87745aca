//! `quell storms release|discard|digest`: what becomes of held mail.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use quell_storm::facts::Ms;

use crate::cli::Failure;
use crate::cli::ask::{ago, json as as_json, or_dash, refused};
use crate::cli::queue::sender;
use crate::control::Link;
use crate::ops::table::{Table, plain};
use crate::ops::time::size_text;
use crate::ops::{Changed, HeldRows, HeldShown, HeldWhich, Request, Response, RowRef, SLICE, StormDone};

/// Which held mail; what is given narrows it.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("held").required(true).multiple(true).args(["id", "message"]))]
pub struct Args {
    /// Storm id
    #[arg(value_name = "STORM")]
    pub id: Option<String>,
    /// Only for this recipient
    #[arg(long, value_name = "ADDRESS")]
    pub recipient: Option<String>,
    /// Only this message
    #[arg(long, value_name = "QUEUE-ID")]
    pub message: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Whose digest.
#[derive(Debug, Clone, clap::Args)]
pub struct DigestArgs {
    /// Storm id
    #[arg(value_name = "STORM")]
    pub id: String,
    /// Only what is held for this recipient
    #[arg(long, value_name = "ADDRESS")]
    pub recipient: Option<String>,
    /// Send nothing: list what is held
    #[arg(long)]
    pub print: bool,
    /// Send nothing: list what is held as JSON
    #[arg(long)]
    pub json: bool,
}

impl Args {
    fn which(&self) -> HeldWhich {
        let (storm, recipient, message) = (self.id.clone(), self.recipient.clone(), self.message.clone());
        HeldWhich { storm, recipient, message }
    }
}

/// Delivers it.
pub fn release(link: &mut Link, args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let changed = change(link, |after| Request::StormRelease { which: args.which(), after })?;
    done(&changed, args, "released: to be delivered now", out)
}

/// Throws it away.
pub fn discard(link: &mut Link, args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let changed = change(link, |after| Request::StormDiscard { which: args.which(), after })?;
    done(&changed, args, "discarded; `quell storms release` can still deliver it for 30 days", out)
}

/// Sends it as a digest, or lists it.
pub fn digest(link: &mut Link, args: &DigestArgs, now: Ms, out: &mut dyn Write) -> Result<(), Failure> {
    let recipient = args.recipient.clone();
    let which = HeldWhich { storm: Some(args.id.clone()), recipient, message: None };
    if args.json || args.print {
        let held = held(link, &which)?;
        return if args.json { as_json(&held, out) } else { list(&held.rows, now, out) };
    }
    let changed = change(link, |after| Request::StormDigest { which: which.clone(), after })?;
    let rows = rows(changed.done);
    Ok(writeln!(out, "{} {rows} go into digests within a minute; the server's log says so", changed.done)?)
}

fn change(link: &mut Link, request: impl Fn(Option<RowRef>) -> Request) -> Result<Changed, Failure> {
    let mut all = Changed::default();
    loop {
        match link.ask(&request(all.next.take()))? {
            Response::Changed(slice) => all.add(slice),
            other => return Err(refused(other)),
        }
        progress(&all);
        if all.next.is_none() {
            break;
        }
    }
    match all.done == 0 && all.refused.is_empty() && all.storm.is_none() {
        true => Err(Failure::Failed("nothing that was named is held".to_owned())),
        false => Ok(all),
    }
}

/// On a terminal only, on one line that is overwritten and then cleared.
fn progress(so_far: &Changed) {
    let mut err = std::io::stderr();
    if !err.is_terminal() {
        return;
    }
    let looked_at = so_far.done + so_far.skipped;
    let _ = match so_far.next {
        Some(_) => write!(err, "\r{looked_at} rows looked at, {} done", so_far.done),
        None => write!(err, "\r\x1b[K"),
    };
}

fn done(changed: &Changed, args: &Args, what: &str, out: &mut dyn Write) -> Result<(), Failure> {
    match (args.json, changed.done) {
        (true, _) => as_json(changed, out)?,
        (false, 0) => {}
        (false, n) => writeln!(out, "{n} {} {what}", rows(n))?,
    }
    if let (Some(storm), Some(id), false) = (changed.storm, &args.id, args.json) {
        let holds = if changed.done == 0 { "holds nothing now, and " } else { "" };
        writeln!(out, "storm {} {holds}{}", plain(id), from_now_on(storm))?;
    }
    if changed.refused.is_empty() {
        return Ok(());
    }
    let why: Vec<_> = changed.refused.iter().map(|line| plain(line)).collect();
    Err(Failure::Failed(why.join("\n")))
}

/// What the decision means for what still comes of a storm.
fn from_now_on(storm: StormDone) -> &'static str {
    match storm {
        StormDone::Released => "is released: what still comes of it passes, until it has ended",
        StormDone::Discarded => {
            "is discarded: what still comes of it is judged as before; copies of what was discarded are \
             absorbed, until a day after it has ended"
        }
    }
}

fn rows(n: u64) -> &'static str {
    if n == 1 { "row" } else { "rows" }
}

/// All that is held.
fn held(link: &mut Link, which: &HeldWhich) -> Result<HeldRows, Failure> {
    let mut all = HeldRows::default();
    loop {
        let after = all.next.take();
        match link.ask(&Request::StormHeld { which: which.clone(), after, limit: SLICE })? {
            Response::Held(slice) => {
                all.rows.extend(slice.rows);
                all.next = slice.next;
            }
            other => return Err(refused(other)),
        }
        if all.next.is_none() {
            return Ok(all);
        }
    }
}

pub(super) fn list(held: &[HeldShown], now: Ms, out: &mut dyn Write) -> Result<(), Failure> {
    if held.is_empty() {
        return Ok(writeln!(out, "nothing is held")?);
    }
    let mut table = Table::new(&["ID", ">HELD FOR", ">SIZE", "REASON", "FROM", "TO", "SUBJECT"]);
    for row in held {
        table.row([
            row.id.clone(),
            or_dash(ago(&row.since, now)),
            or_dash(row.size_bytes.map(size_text)),
            or_dash(row.reason.clone()),
            // Whom a person knows it by; the reverse-path where it has no From.
            or_dash(row.author.clone().or_else(|| row.sender.as_deref().map(sender))),
            row.recipient.clone(),
            or_dash(row.subject.clone()),
        ]);
    }
    Ok(out.write_all(table.text().as_bytes())?)
}

/// How much a storm holds at this moment, and what can be done.
pub fn in_short(link: &mut Link, id: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let which = HeldWhich { storm: Some(id.to_owned()), ..HeldWhich::default() };
    let held = held(link, &which)?;
    if held.rows.is_empty() {
        return Ok(());
    }
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for row in &held.rows {
        *reasons.entry(row.reason.as_deref().unwrap_or("unknown")).or_default() += 1;
    }
    let reasons: Vec<_> = reasons.into_iter().map(|(reason, n)| format!("{} {n}", plain(reason))).collect();
    let n = held.rows.len();
    writeln!(out, "\nHeld now: {n} {}: {}", rows(n as u64), reasons.join(", "))?;
    Ok(writeln!(
        out,
        "  quell storms digest {id} --print    to look at it\n  quell storms release {id}           to deliver it\n  \
         quell storms discard {id}           to throw it away"
    )?)
}
