//! `quell mailbox add|list|remove`: works on the Maildirs themselves, with the server running or
//! not, since RCPT looks at the folder. A running server is told, to forget what it has listed.

use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use quell_relay::directory::{Lookup, Query, normal_domain, normal_local};

use super::Failure;
use super::ask::refused;
use crate::config::Config;
use crate::control::{Client, ClientError};
use crate::data::Paths;
use crate::deliver::maildir::{Added, MaildirStore, Removed};
use crate::ops::{Request, Response};

/// Add, list and remove mailboxes.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with mailboxes.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Make a mailbox
    Add {
        /// Its address, in one of our domains
        address: String,
    },
    /// List all mailboxes with their numbers of messages
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a mailbox that is empty and that the configuration does not name
    Remove {
        /// Its address
        address: String,
        /// With all mail in it
        #[arg(long)]
        force: bool,
    },
}

/// Does it.
pub fn run(args: &Args, config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    let store = MaildirStore::new(config.mail_root(), &config.hostname);
    match &args.command {
        Command::Add { address } => {
            add(&store, config, address, out)?;
            tell_server(config)
        }
        Command::List { json } => list(&store, *json, out),
        Command::Remove { address, force } => {
            remove(&store, config, address, *force, out)?;
            tell_server(config)
        }
    }
}

/// What was asked for is done by now, whether the server hears of it or not.
fn tell_server(config: &Config) -> Result<(), Failure> {
    let told = Client::connect(&Paths::new(&config.data).control())
        .and_then(|mut server| server.ask(&Request::MailboxesChanged {}));
    match told {
        Ok(Response::Done) | Err(ClientError::NobodyThere) => Ok(()),
        Ok(other) => Err(refused(other)),
        Err(why) => Err(Failure::Failed(format!("it is done, but the running server was not told: {why}"))),
    }
}

fn parts(address: &str) -> Result<(String, String), Failure> {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    match (normal_local(local), normal_domain(domain)) {
        (Some(local), Some(domain)) => Ok((local, domain)),
        _ => Err(Failure::Usage(format!("{address}: write an address, such as jane@firm.example"))),
    }
}

fn add(store: &MaildirStore, config: &Config, address: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let (local, domain) = parts(address)?;
    if !config.directory.is_ours(&domain) {
        let file = config.file.display();
        return Err(Failure::Failed(format!("{domain} is not ours: add [domains.\"{domain}\"] to {file}")));
    }
    if !config.directory.has_maildirs(&domain) {
        let next_hop = config.routes.of(&format!("x@{domain}"));
        return Err(Failure::Failed(format!(
            "{domain} has no mailboxes here: `deliver` in {} sends its mail to {next_hop}",
            config.file.display()
        )));
    }
    let path = store.path(&domain, &local);
    let failed = |e: io::Error| Failure::Failed(format!("{}: {e}", path.display()));
    let added = store.ensure(&domain, &local).map_err(failed)?;
    if nix::unistd::geteuid().is_root() {
        give_to_server(config, &path).map_err(failed)?;
    }
    let word = if added == Added::Made { "made" } else { "was there" };
    writeln!(out, "{word}: {}", path.display())?;
    if !gets_mail(config, &local, &domain) {
        let file = config.file.display();
        writeln!(out, "no mail will come into it: `recipients` of {domain} in {file} does not name {local}")?;
    }
    Ok(())
}

/// Whether mail for the address comes into the mailbox of that name.
fn gets_mail(config: &Config, local: &str, domain: &str) -> bool {
    let address = format!("{local}@{domain}");
    let query = Query { address: &address, source_route: false, inside: true };
    match config.directory.look_up(&query, &|_, _| Ok(true)) {
        Lookup::Local(found) => found.iter().any(|r| r.mailbox == local && r.domain == domain),
        _ => false,
    }
}

/// What root makes, the server must be able to write to: it goes to `[server] user`, else to whom
/// the data folder belongs.
fn give_to_server(config: &Config, mailbox: &Path) -> io::Result<()> {
    let named = config.settings.server.user.as_deref().map(nix::unistd::User::from_name);
    let owner = match named.transpose()?.flatten() {
        Some(user) => (user.uid.as_raw(), user.gid.as_raw()),
        None => std::fs::metadata(&config.data).map(|data| (data.uid(), data.gid()))?,
    };
    let parts = ["tmp", "new", "cur"].map(|name| mailbox.join(name));
    let above = mailbox.ancestors().take_while(|folder| folder.starts_with(&config.data));
    for folder in parts.iter().map(|part| &**part).chain(above) {
        // Folders only, and no links: a mailbox of a user may hold whatever he has put there.
        if std::fs::symlink_metadata(folder)?.is_dir() {
            chown(folder, Some(owner.0), Some(owner.1))?;
        }
    }
    Ok(())
}

fn list(store: &MaildirStore, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let mut all = Vec::new();
    for mailbox in store.list()? {
        all.push((store.count(&mailbox)?, mailbox));
    }
    if json {
        let list: Vec<_> = all
            .iter()
            .map(|(messages, m)| {
                serde_json::json!({
                    "address": format!("{}@{}", m.local, m.domain), "messages": messages, "path": m.path,
                })
            })
            .collect();
        return Ok(writeln!(out, "{}", serde_json::json!({ "mailboxes": list }))?);
    }
    for (messages, mailbox) in all {
        writeln!(out, "{:>8}  {}@{}", messages, mailbox.local, mailbox.domain)?;
    }
    Ok(())
}

fn remove(
    store: &MaildirStore,
    config: &Config,
    address: &str,
    force: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (local, domain) = parts(address)?;
    // Mail for it would still be accepted, and then fail.
    if config.directory.named_mailboxes().iter().any(|m| m.domain == domain && m.mailbox == local) {
        let file = config.file.display();
        return Err(Failure::Failed(format!(
            "{address}: {file} names it, so mail for it is accepted: take it out there first, and reload"
        )));
    }
    match store.remove(&domain, &local, force)? {
        Removed::Gone => Ok(writeln!(out, "removed: {address}")?),
        Removed::WasNotThere => Err(Failure::Failed(format!("{address}: there is no such mailbox"))),
        Removed::NotEmpty => {
            let advice = "there is something in it; --force deletes it with all mail";
            Err(Failure::Failed(format!("{address}: {advice}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn mailboxes_are_made_listed_and_removed() {
        let folder = std::env::temp_dir().join(format!("quell-mailbox-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let text = "[domains.\"f.example\"]\n[domains.\"hop.example\"]\ndeliver = \"smtp://10.0.0.2\"\n";
        let config = Config::parse(Path::new(&folder.join("quell.toml")), text, "m.example").unwrap();
        let done = |command: Command| {
            let mut out = Vec::new();
            run(&Args { command }, &config, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        let add = |address: &str| done(Command::Add { address: address.to_owned() });
        let remove = |address: &str| done(Command::Remove { address: address.to_owned(), force: false });
        assert!(add("Jane@F.example").unwrap().starts_with("made: "));
        assert!(add("jane@f.example").unwrap().starts_with("was there: "));
        let text = "[server]\npostmaster = \"jane@f.example\"\n[domains.\"f.example\"]\nrecipients = [\"jane\", \"*\"]\n";
        let other = Config::parse(Path::new(&folder.join("quell.toml")), text, "m.example").unwrap();
        assert!(gets_mail(&other, "jane", "f.example") && !gets_mail(&other, "bob", "f.example"));
        assert_eq!(add("jane").unwrap_err().status(), 2);
        assert_eq!(add("jane@other.example").unwrap_err().status(), 1);
        let Failure::Failed(why) = add("jane@hop.example").unwrap_err() else { panic!() };
        assert!(why.contains("sends its mail to smtp://10.0.0.2:25"), "{why}");
        assert_eq!(done(Command::List { json: false }).unwrap(), "       0  jane@f.example\n");
        let json = done(Command::List { json: true }).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["mailboxes"][0]["address"], "jane@f.example");
        assert_eq!(remove("jane@f.example").unwrap(), "removed: jane@f.example\n");
        assert_eq!(remove("jane@f.example").unwrap_err().status(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
