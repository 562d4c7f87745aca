//! `quell pickup status`.

use std::io::Write;
use std::sync::Arc;

use quell_queue::pickups::{Pickups, SqlitePickups};
use quell_storm::facts::Ms;
use quell_storm::storm::rfc3339;
use serde_json::json;

use super::super::ask::{json as print_json, or_dash, wall_ms};
use super::{Failure, Server};
use crate::config::Config;
use crate::data::Paths;
use crate::ops::table::{Table, plain};
use crate::ops::time::{age_text, size_text as size};
use crate::pickup::{Account, Phase, Status};

/// Of the running server; without one, what is remembered.
pub fn run(
    config: &Config,
    accounts: &[Arc<Account>],
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (statuses, runs) = match Server::connect(config)? {
        Some(mut server) => (server.statuses()?, true),
        None => (remembered(config, accounts)?, false),
    };
    let all: Vec<&Status> = accounts
        .iter()
        .filter_map(|account| statuses.iter().find(|status| status.account == account.name()))
        .collect();
    if json {
        let all: Vec<_> = all.iter().map(|status| as_json(status, runs)).collect();
        return print_json(&json!({ "running": runs, "accounts": all }), out);
    }
    let now = wall_ms();
    let mut table = Table::new(&["ACCOUNT", "STATE", "LAST", "NEXT", ">TAKEN", ">BYTES", ">STAY"]);
    for status in &all {
        table.row([
            status.account.clone(),
            if runs { state(status, now) } else { "not running".to_owned() },
            or_dash(status.last_good_ms.map(|at| format!("{} ago", age_text(now - at)))),
            or_dash(status.next_ms.map(|at| if at <= now { "now".to_owned() } else { age_text(at - now) })),
            status.taken_ever.to_string(),
            size(status.bytes_ever),
            status.stay.to_string(),
        ]);
    }
    write!(out, "{}", table.text())?;
    for status in &all {
        if let Some(trouble) = &status.trouble {
            writeln!(out, "{}: {}", status.account, plain(trouble))?;
        }
    }
    for account in accounts.iter().filter(|one| !all.iter().any(|status| status.account == one.name())) {
        writeln!(
            out,
            "{}: not in the running server's configuration; SIGHUP makes it read it again",
            account.name()
        )?;
    }
    Ok(())
}

fn remembered(config: &Config, accounts: &[Arc<Account>]) -> Result<Vec<Status>, Failure> {
    let failed = |why: quell_queue::pickups::PickupError| Failure::Failed(why.to_string());
    let store = SqlitePickups::open_read_only(&Paths::new(&config.data).pickups()).map_err(failed)?;
    let mut all = Vec::new();
    for account in accounts {
        let mark = store.mark(account.name()).map_err(failed)?;
        all.push(Status {
            account: account.name().to_owned(),
            server: account.server.to_string(),
            trouble: mark.told,
            last_good_ms: mark.last_good_ms,
            taken_ever: mark.taken,
            bytes_ever: mark.bytes,
            ..Status::default()
        });
    }
    Ok(all)
}

fn state(status: &Status, now: Ms) -> String {
    match status.phase {
        Phase::Waiting => "waiting".to_owned(),
        Phase::Connecting => "connecting".to_owned(),
        Phase::Collecting => format!("collecting {} of {}", status.fetched, status.to_fetch),
        Phase::Idle => "waiting (IDLE)".to_owned(),
        Phase::Trouble => match status.trouble_since_ms {
            Some(at) => format!("trouble for {}", age_text(now - at)),
            None => "trouble".to_owned(),
        },
    }
}

fn as_json(status: &Status, runs: bool) -> serde_json::Value {
    let time = |at: Option<Ms>| at.map(rfc3339);
    json!({
        "account": status.account,
        "server": status.server,
        "state": if runs { json!(status.phase) } else { json!("not_running") },
        "trouble": status.trouble,
        "trouble_since": time(status.trouble_since_ms),
        "stay": status.stay,
        "last_good": time(status.last_good_ms),
        "next": time(status.next_ms),
        "listed": status.listed,
        "to_fetch": status.to_fetch,
        "fetched": status.fetched,
        "bytes": status.counts.bytes,
        "taken": status.counts.taken,
        "known": status.counts.known,
        "refused": status.counts.refused,
        "deleted": status.counts.deleted,
        "taken_ever": status.taken_ever,
        "bytes_ever": status.bytes_ever,
    })
}
