//! `quell pickup test`.

use std::io::Write;
use std::sync::{Arc, Mutex};

use quell_queue::pickups::SqlitePickups;

use super::super::ask::{json as print_json, or_dash, wall_ms};
use super::Failure;
use crate::config::Config;
use crate::data::Paths;
use crate::deliver::maildir::MaildirStore;
use crate::deliver::resolver::Resolver;
use crate::ops::table::Table;
use crate::ops::time::size_text;
use crate::pickup::memory::Memory;
use crate::pickup::preview::{Means, Preview, preview};
use crate::pickup::{Account, Trouble};

/// Tries each, one after the other. What is known already is read from the disk, beside a running server.
pub fn run(
    config: &Config,
    accounts: &[Arc<Account>],
    limit: usize,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut failed = Vec::new();
    let mut shown = Vec::new();
    for account in accounts {
        match runtime.block_on(test(config, account, limit)) {
            Ok(found) if json => shown.push(serde_json::json!(found)),
            Ok(found) => print(&found, out)?,
            Err(why) if json => {
                shown.push(serde_json::json!({ "account": account.name(), "server": account.server.to_string(), "trouble": why.why }));
                failed.push(account.name());
            }
            Err(why) => {
                writeln!(out, "{}: {why}", account.name())?;
                failed.push(account.name());
            }
        }
    }
    if json {
        print_json(&serde_json::json!({ "accounts": shown }), out)?;
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed(format!("not all accounts can be collected: {}", failed.join(", "))))
}

async fn test(config: &Config, account: &Account, limit: usize) -> Result<Preview, Trouble> {
    let path = Paths::new(&config.data).pickups();
    let store = SqlitePickups::open_read_only(&path);
    let store = store.map_err(|why| Trouble::new(crate::pickup::Kind::Here, why.to_string()))?;
    let (memory, _taking) = Memory::load(Arc::new(Mutex::new(store)), account.name())?;
    let resolver = Resolver::new(&config.outgoing.dns_servers, &config.outgoing.dnssec);
    let maildirs = MaildirStore::new(config.mail_root(), &config.hostname);
    // What the configuration names is made at the server's start.
    let exists = |domain: &str, local: &str| maildirs.told_exists(domain, local);
    let means = Means {
        directory: &config.directory,
        exists: &exists,
        resolver: &resolver,
        max_message_bytes: config.settings.smtp.max_message_bytes,
        now: wall_ms(),
        limit,
    };
    preview(account, &memory, &means).await
}

fn print(found: &Preview, out: &mut dyn Write) -> Result<(), Failure> {
    let Preview { account, server, listed, bytes, new, messages, .. } = found;
    let tls = found.tls.as_deref().unwrap_or("in the clear");
    let (messages_word, is) = if *listed == 1 { ("message", "is") } else { ("messages", "are") };
    writeln!(out, "{account}: signed in at {server} ({tls})")?;
    writeln!(
        out,
        "{listed} {messages_word}, {}; {new} {is_new} new",
        size_text(*bytes),
        is_new = if *new == 1 { "is" } else { "are" }
    )?;
    if !messages.is_empty() {
        let mut table = Table::new(&["DATE", "FROM", ">SIZE", "WHAT", "FOR", "WHY"]);
        for message in messages {
            let cut =
                |text: &Option<String>, most| text.as_ref().map(|text| text.chars().take(most).collect());
            table.row([
                or_dash(cut(&message.date, 22)),
                or_dash(cut(&message.from, 40)),
                size_text(message.bytes),
                message.what.to_owned(),
                match &message.recipients[..] {
                    [] => "-".to_owned(),
                    all => all.join(", "),
                },
                message.how.clone(),
            ]);
        }
        write!(out, "{}", table.text())?;
    }
    let shown = messages.len() as u64;
    if shown < *listed {
        writeln!(out, "the newest {shown} of {listed} {is} shown (--limit N)")?;
    }
    Ok(writeln!(out, "nothing was changed, here or there")?)
}
