//! `quell queue list|show|retry|remove`.

mod outcome;
mod print;
mod which;

pub(super) use print::sender;

use std::io::Write;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use self::which::Which;
use super::Failure;
use super::ask::{asker, refused, strange, wall_ms};
use crate::config::Config;
use crate::control::Link;
use crate::ops::{Changed, Filter, Request, Response, RowRef, Rows, SLICE, Shown, State};

/// See and change what waits.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with the queue.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// List rows of the ledger: by default those that are open
    List(ListArgs),
    /// Show a message and all rows of its key
    Show {
        /// Queue id
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List where mail goes, what waits for it, and which next hops are down
    NextHops {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Try now: of a message what is waiting, unknown, or failed (its body is kept for five days); of a
    /// domain, of a next hop, or of all, what waits
    Retry(RetryArgs),
    /// Give up: the rows become discarded, without a report to the sender unless --report is given; a
    /// copy that comes later is new, and is delivered
    Remove {
        /// Queue id
        id: String,
        /// Only this recipient
        #[arg(long, value_name = "ADDRESS")]
        to: Option<String>,
        /// Tell the sender by a report, if the sender wants any
        #[arg(long)]
        report: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What to list.
#[derive(Debug, Clone, clap::Args)]
pub struct ListArgs {
    /// Rows in this state; may be given several times
    #[arg(long = "state", value_name = "STATE", value_parser = state())]
    pub states: Vec<State>,
    /// To this recipient
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<String>,
    /// To recipients in this domain
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// From this reverse-path; <> for reports
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to try.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["id", "domain", "next_hop", "all"]))]
pub struct RetryArgs {
    /// Queue id
    pub id: Option<String>,
    /// Only this recipient
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["domain", "next_hop", "all"])]
    pub to: Option<String>,
    /// All rows to recipients in this domain
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// All rows that go to this next hop, as `quell queue next-hops` names it; the scheme may be left
    /// out
    #[arg(long, value_name = "NEXT-HOP")]
    pub next_hop: Option<String>,
    /// All rows
    #[arg(long)]
    pub all: bool,
    /// Only rows in this state: waiting, unknown (counts as a sending), failed (a new life)
    #[arg(long = "state", value_name = "STATE", value_parser = state(), conflicts_with = "to")]
    pub states: Vec<State>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The states by their names, which `--help` and a shell's completion offer.
fn state() -> impl TypedValueParser<Value = State> {
    PossibleValuesParser::new(State::ALL.map(State::name)).try_map(|name| name.parse::<State>())
}

/// Does it.
///
/// # Errors
/// What the server, or the store, says against it.
pub fn run(args: &Args, config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    let mut link = asker(config)?;
    match &args.command {
        Command::List(args) => {
            let rows = list(&mut link, args)?;
            print::rows(&rows, args.json, wall_ms(), out)
        }
        Command::Show { id, json } => {
            let shown = show(&mut link, id)?;
            print::shown(&shown, *json, wall_ms(), out)
        }
        Command::NextHops { json } => match link.ask(&Request::NextHops {})? {
            Response::NextHops(found) => print::next_hops(&found, *json, wall_ms(), out),
            other => Err(refused(other)),
        },
        Command::Retry(args) => {
            let which = Which::of(&mut link, args, config)?;
            let request = |after| {
                let (target, states) = (which.target.clone(), args.states.clone());
                Request::QueueRetry { target, states, after }
            };
            let changed = change(&mut link, request)?;
            which.is_there(&mut link, &changed)?;
            done("to be tried now", &changed, args.json, out)?;
            args.id.as_deref().map_or(Ok(()), |id| meant(id, &changed, "waits, is unknown or failed"))
        }
        Command::Remove { id, to, report, json } => {
            let (id, report) = (id.as_str(), *report);
            let request = |after| {
                let (id, recipient) = (id.to_owned(), to.clone());
                Request::QueueRemove { id, recipient, report, after }
            };
            let changed = change(&mut link, request)?;
            done("removed", &changed, *json, out)?;
            meant(id, &changed, "can be removed")
        }
    }
}

fn list(link: &mut Link, args: &ListArgs) -> Result<Rows, Failure> {
    let filter =
        Filter { recipient: args.to.clone(), domain: args.domain.clone(), sender: args.from.clone() };
    let wanted = args.limit as usize;
    let mut all = Rows::default();
    loop {
        let limit = (wanted - all.rows.len()).min(SLICE);
        let (states, filter, after) = (args.states.clone(), filter.clone(), all.next.take());
        match link.ask(&Request::QueueList { states, filter, after, limit })? {
            Response::Rows(Rows { rows, next }) => {
                all.rows.extend(rows);
                all.next = next;
            }
            other => return Err(refused(other)),
        }
        if all.next.is_none() || all.rows.len() >= wanted {
            return Ok(all);
        }
    }
}

fn show(link: &mut Link, id: &str) -> Result<Shown, Failure> {
    let mut all: Option<Shown> = None;
    let mut after = None;
    loop {
        let Shown { message, rows, next } =
            match link.ask(&Request::QueueShow { id: id.to_owned(), after })? {
                Response::Shown(shown) => *shown,
                other => return Err(refused(other)),
            };
        let whole = all.get_or_insert_with(|| Shown { message, rows: Vec::new(), next: None });
        whole.rows.extend(rows);
        after = next;
        if after.is_none() {
            return all.ok_or_else(strange);
        }
    }
}

fn change(link: &mut Link, request: impl Fn(Option<RowRef>) -> Request) -> Result<Changed, Failure> {
    let mut all = Changed::default();
    loop {
        match link.ask(&request(all.next.take()))? {
            Response::Changed(slice) => all.add(slice),
            other => return Err(refused(other)),
        }
        if all.next.is_none() {
            return Ok(all);
        }
    }
}

/// Who names a message wants something done with it.
fn meant(id: &str, changed: &Changed, which: &str) -> Result<(), Failure> {
    if changed.done > 0 {
        return Ok(());
    }
    Err(Failure::Failed(format!("no row of {id} {which}: `quell queue show {id}` shows them")))
}

fn done(what: &str, changed: &Changed, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    print::changed(what, changed, json, out)?;
    if changed.refused.is_empty() {
        return Ok(());
    }
    let why: Vec<_> = changed.refused.iter().map(|line| crate::ops::table::plain(line)).collect();
    Err(Failure::Failed(why.join("\n")))
}
