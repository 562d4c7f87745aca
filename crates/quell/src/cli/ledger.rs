//! `quell ledger forget`.

use std::io::{IsTerminal, Write};

use super::Failure;
use super::ask::{asker, json as as_json, refused, wall_ms};
use crate::config::Config;
use crate::ops::time::parse_when;
use crate::ops::{Forgotten, Request, Response, To};

/// Change what is remembered as delivered.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with the ledger.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Make redelivery possible, after a mailbox was restored from a backup
    Forget {
        /// Address or domain
        #[arg(long, value_name = "ADDRESS|DOMAIN")]
        to: String,
        /// Only what was delivered since then: 2d, 3h, 2026-11-20 (UTC), 2026-11-20T08:00:00Z
        #[arg(long, value_name = "TIME")]
        since: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Does it.
///
/// # Errors
/// What the server, or the store, says against it.
pub fn run(args: &Args, config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    let Command::Forget { to, since, json } = &args.command;
    let now = wall_ms();
    let since_ms = parse_when(since, now).map_err(Failure::Usage)?;
    if since_ms > now {
        return Err(Failure::Usage(format!("{since} is in the future")));
    }
    To::parse(to).map_err(Failure::Usage)?;
    let mut link = asker(config)?;
    let mut all = Forgotten::default();
    loop {
        let request = Request::LedgerForget { to: to.clone(), since_ms, after: all.next.take() };
        match link.ask(&request)? {
            Response::Forgotten(slice) => {
                all.forgotten += slice.forgotten;
                all.examined += slice.examined;
                all.next = slice.next;
            }
            other => return Err(refused(other)),
        }
        progress(&all);
        if all.next.is_none() {
            break;
        }
    }
    if *json {
        return as_json(&all, out);
    }
    let (forgotten, examined) = (all.forgotten, all.examined);
    Ok(writeln!(
        out,
        "{forgotten} of {examined} delivered rows forgotten: their messages can be delivered again"
    )?)
}

/// On a terminal only, on one line that is overwritten and then cleared.
fn progress(so_far: &Forgotten) {
    let mut err = std::io::stderr();
    if !err.is_terminal() {
        return;
    }
    let _ = match so_far.next {
        Some(_) => write!(err, "\r{} rows looked at, {} forgotten", so_far.examined, so_far.forgotten),
        None => write!(err, "\r\x1b[K"),
    };
}
