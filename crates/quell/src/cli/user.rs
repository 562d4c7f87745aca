//! `quell user add|list|disable|enable|password|addresses|remove`: asks the running server, or changes
//! the users' file under the lock where none runs. Passwords are made into verifiers here: they go into
//! no request.

mod password;
#[cfg(test)]
mod tests;
mod way;

use std::io::Write;
use std::path::PathBuf;

use quell_queue::users::Verifier;

use self::way::Way;
use super::Failure;
use super::ask::{ago, json, or_dash, refused, strange, wall_ms};
use crate::config::Config;
use crate::data::random_bytes;
use crate::ops::table::plain;
use crate::ops::{Response, SLICE, UserShown, UsersRequest, UsersShown};
use crate::sign_in::accounts::{normal_name, normal_sender};
use crate::sign_in::{Users, verifier};

/// Add, list and change users who may sign in.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Where a password comes from; without any it is asked for at the terminal, twice.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(multiple = false)]
pub struct From {
    /// Read the password from the first line of FILE
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub password_stdin: bool,
}

/// What to do with users.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Make a user, who signs in with an address and a password and may send as that address
    Add {
        /// The address to sign in with, in one of our domains
        name: String,
        /// A further address the user may send as, or *@domain for all of a domain; may be repeated
        #[arg(long = "address", value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// Where the password comes from.
        #[command(flatten)]
        password: From,
    },
    /// List all users
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Refuse a user, at once: also over connections that are signed in
    Disable {
        /// The user
        name: String,
    },
    /// Let a disabled user in again
    Enable {
        /// The user
        name: String,
    },
    /// Give a user another password
    Password {
        /// The user
        name: String,
        /// Where the password comes from.
        #[command(flatten)]
        password: From,
    },
    /// Set what a user may send as beside the own name; without any that is nothing
    Addresses {
        /// The user
        name: String,
        /// Addresses, or *@domain for all of a domain
        addresses: Vec<String>,
    },
    /// Take a user out; the mailbox stays
    Remove {
        /// The user
        name: String,
    },
}

/// Does it.
pub fn run(args: &Args, config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.command {
        Command::Add { name, addresses, password } => add(config, name, addresses, password, out),
        Command::List { json } => list(config, *json, out),
        Command::Disable { name } => {
            change(config, name, None, Some(true), None)?;
            Ok(writeln!(out, "disabled: {name}")?)
        }
        Command::Enable { name } => {
            change(config, name, None, Some(false), None)?;
            Ok(writeln!(out, "enabled: {name}")?)
        }
        Command::Password { name, password } => {
            let verifier = make(&password::read(password)?)?;
            change(config, name, None, None, Some(verifier))?;
            Ok(writeln!(out, "changed: {name}")?)
        }
        Command::Addresses { name, addresses } => {
            let addresses = senders(addresses)?;
            change(config, name, Some(addresses.clone()), None, None)?;
            writeln!(out, "changed: {name}")?;
            strangers(config, &addresses, out)
        }
        Command::Remove { name } => {
            done(Way::open(config)?.ask(UsersRequest::Remove { name: address(name)? })?)?;
            Ok(writeln!(out, "removed: {name}")?)
        }
    }
}

fn address(name: &str) -> Result<String, Failure> {
    normal_name(name)
        .ok_or_else(|| Failure::Usage(format!("{name}: write an address, such as jane@firm.example")))
}

fn senders(addresses: &[String]) -> Result<Vec<String>, Failure> {
    let normal = |address: &String| {
        normal_sender(address)
            .ok_or_else(|| Failure::Usage(format!("{address}: write an address, or *@ and a domain")))
    };
    addresses.iter().map(normal).collect()
}

fn done(answer: Response) -> Result<(), Failure> {
    if answer == Response::Done { Ok(()) } else { Err(refused(answer)) }
}

fn make(password: &str) -> Result<Verifier, Failure> {
    let salts = random_bytes::<32>().map_err(|why| Failure::Failed(why.to_string()))?;
    verifier::make(password, &salts).map_err(|why| Failure::Failed(why.to_string()))
}

fn add(
    config: &Config,
    name: &str,
    addresses: &[String],
    from: &From,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (name, addresses) = (address(name)?, senders(addresses)?);
    let domain = name.rsplit_once('@').map_or("", |(_, domain)| domain);
    if !config.directory.is_ours(domain) {
        let file = config.file.display();
        let why = format!("{domain} is not ours: add [domains.\"{domain}\"] to {file}");
        return Err(Failure::Failed(why));
    }
    let verifier = Box::new(make(&password::read(from)?)?);
    // Only now: whoever types a password may take longer than a server waits for a request.
    let request = UsersRequest::Add { name: name.clone(), addresses: addresses.clone(), verifier };
    done(Way::open(config)?.ask(request)?)?;
    writeln!(out, "made: {name}")?;
    if let Users::Dovecot(_) = config.sign_in.users {
        let file = config.file.display();
        writeln!(out, "the password is not asked for: [submission] users in {file} asks Dovecot")?;
    }
    strangers(config, &addresses, out)
}

/// Says of which addresses the domain is not ours: mail sent as them may look forged elsewhere.
fn strangers(config: &Config, addresses: &[String], out: &mut dyn Write) -> Result<(), Failure> {
    for address in addresses {
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        if !config.directory.is_ours(domain) {
            writeln!(out, "{address}: the domain is not ours; others may take mail from it for forged")?;
        }
    }
    Ok(())
}

fn change(
    config: &Config,
    name: &str,
    addresses: Option<Vec<String>>,
    disabled: Option<bool>,
    verifier: Option<Verifier>,
) -> Result<(), Failure> {
    let (name, verifier) = (address(name)?, verifier.map(Box::new));
    done(Way::open(config)?.ask(UsersRequest::Change { name, addresses, disabled, verifier })?)
}

fn list(config: &Config, as_json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let (mut way, mut users, mut after) = (Way::open(config)?, Vec::new(), None);
    loop {
        match way.ask(UsersRequest::List { after, limit: SLICE })? {
            Response::Users(UsersShown { users: some, next }) => {
                users.extend(some);
                after = next;
            }
            Response::Error(failed) => return Err(refused(Response::Error(failed))),
            _ => return Err(strange()),
        }
        if after.is_none() {
            break;
        }
    }
    if as_json {
        return json(&serde_json::json!({ "users": users }), out);
    }
    let now = wall_ms();
    for user in &users {
        writeln!(out, "{}", line(user, now))?;
    }
    Ok(())
}

fn line(user: &UserShown, now: i64) -> String {
    let state = if user.disabled { "disabled" } else { "enabled " };
    let made = or_dash(ago(&user.made, now));
    let last = match &user.last_sign_in {
        Some(time) => format!("signed in {} ago", or_dash(ago(time, now))),
        None => "never signed in".to_owned(),
    };
    let also = match user.addresses.as_slice() {
        [] => String::new(),
        more => format!(", sends as {} too", more.join(", ")),
    };
    plain(&format!("{state}  {}  made {made} ago, {last}{also}", user.name))
}
