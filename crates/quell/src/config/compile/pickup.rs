//! `[[pickup]]`: mailboxes at providers.

use std::sync::Arc;
use std::time::Duration;

use quell_relay::collect::{self, Stamp, Whose};
use quell_relay::directory::{Directory, Lookup, Query};
use quell_relay::route::Host;
use quell_wire::pop3::client::{MAX_USER_BYTES, Mechanism};

use super::Check;
use super::next_hops::read_authorities;
use crate::data::{DataError, check_key_mode};
use crate::pickup::account::MAX_NAME_BYTES;
use crate::pickup::{Account, Keep, Protocol, Secret, Server, Tls};
use crate::settings::{self, PickupTable, Settings};

/// Schemes, what they mean, and their ports (RFC 1939, 2595, 8314, 9051).
const SCHEMES: [(&str, Protocol, Tls, u16); 4] = [
    ("pop3s://", Protocol::Pop3, Tls::Implicit, 995),
    ("pop3://", Protocol::Pop3, Tls::Upgrade, 110),
    ("imaps://", Protocol::Imap, Tls::Implicit, 993),
    ("imap://", Protocol::Imap, Tls::Upgrade, 143),
];
/// Most days that a message may be kept.
const MAX_KEEP_DAYS: u64 = 36_500;

/// One table of the list.
struct At<'a> {
    index: String,
    table: &'a PickupTable,
}

impl At<'_> {
    fn key<'b>(&'b self, name: &'b str) -> [&'b str; 3] {
        ["pickup", &self.index, name]
    }
}

impl Check<'_> {
    /// All accounts; the faulty ones are left out.
    pub(super) fn pickup(&mut self, settings: &Settings, directory: &Directory) -> Vec<Arc<Account>> {
        let mut all: Vec<Arc<Account>> = Vec::new();
        for (index, table) in settings.pickup.iter().enumerate() {
            let at = At { index: index.to_string(), table };
            let before = self.problems.len();
            let Some(account) = self.account(&at, directory) else { continue };
            if let Some(other) = all.iter().find(|other| other.name() == account.name()) {
                let message = format!("\"{}\" is the name of another account, too", other.name());
                self.fault(&at.key("name"), message, "give each account a `name` of its own");
            }
            let is_same = |other: &&Arc<Account>| {
                (&other.server, &other.user, &other.mailbox)
                    == (&account.server, &account.user, &account.mailbox)
            };
            if let Some(other) = all.iter().find(is_same) {
                let warning = format!(
                    "accounts {} and {} collect the same mailbox: what one of them deletes the other never gets; write all recipients into the `to` of one",
                    other.name(),
                    account.name()
                );
                self.warnings.push(warning);
            }
            if self.problems.len() == before {
                all.push(Arc::new(account));
            }
        }
        all
    }

    fn account(&mut self, at: &At<'_>, directory: &Directory) -> Option<Account> {
        let table = at.table;
        let server = self.server(at);
        self.user(at);
        let secret = self.secret(at);
        let whose = self.whose(at, directory);
        self.poll(at);
        if let Some(unplaced) = &table.unplaced {
            self.is_somebody(at, "unplaced", unplaced, directory);
        }
        let mailbox = table.mailbox.trim();
        if mailbox != "INBOX" && server.as_ref().is_some_and(|server| server.protocol == Protocol::Pop3) {
            let help = "leave it out, or write imap:// or imaps:// as `server`";
            self.fault(&at.key("mailbox"), "by POP3 there is one mailbox only", help);
        } else if mailbox.is_empty() || mailbox.contains(char::is_control) || mailbox.len() > 1_000 {
            self.fault(&at.key("mailbox"), "no name of a mailbox", "write its name, as \"INBOX\"");
        }
        let keep = self.keep(at);
        let authorities = self.pickup_authorities(at);
        let server = server?;
        let name = self.name(at, &server)?;
        let mail = collect::Account { name, whose: whose?, unplaced: table.unplaced.clone() };
        Some(Account {
            mail: Arc::new(mail),
            user: table.user.clone(),
            secret: secret?,
            authorities,
            client: Arc::default(),
            keep,
            mailbox: mailbox.to_owned(),
            marks_seen: table.seen,
            poll: Duration::from_secs(table.poll_secs),
            idle: table.idle && server.protocol == Protocol::Imap,
            server,
        })
    }

    fn name(&mut self, at: &At<'_>, server: &Server) -> Option<String> {
        let (user, host) = (&at.table.user, server.host());
        let made = || if user.contains('@') { user.clone() } else { format!("{user}@{host}") };
        let name = at.table.name.clone().unwrap_or_else(made);
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
        if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.chars().all(allowed) {
            return Some(name);
        }
        let message = format!("\"{}\" cannot be the name of an account", name.escape_debug());
        self.fault(&at.key("name"), message, "write a `name` of 1 to 64 letters, digits and ._@+-");
        None
    }

    fn server(&mut self, at: &At<'_>) -> Option<Server> {
        let text = &at.table.server;
        let help = "write \"pop3s://HOST\", \"imaps://HOST\", \"pop3://HOST\" or \"imap://HOST\", with :PORT if it is not the usual one";
        let found = SCHEMES.iter().find_map(|scheme| Some((text.strip_prefix(scheme.0)?, scheme)));
        let Some((rest, (_, protocol, tls, port))) = found else {
            let message = if text.is_empty() { "no server" } else { "this names no POP3 or IMAP server" };
            self.fault(&at.key("server"), message, help);
            return None;
        };
        let peer = match quell_relay::route::Peer::parse(rest, *port, *tls == Tls::Implicit) {
            Ok(peer) => peer,
            Err(why) => {
                self.fault(&at.key("server"), why.to_string(), help);
                return None;
            }
        };
        let tls = self.protection(at, *tls, &peer.host);
        Some(Server { protocol: *protocol, host: peer.host, port: peer.port, tls })
    }

    fn protection(&mut self, at: &At<'_>, tls: Tls, host: &Host) -> Tls {
        match (at.table.tls.as_str(), tls) {
            ("require", tls) => tls,
            ("never", Tls::Upgrade) => {
                let is_local = matches!(host, Host::Address(address) if address.is_loopback());
                if !is_local {
                    let warning = format!(
                        "[[pickup]] {}: with tls = \"never\" the password and all mail cross the network in the clear",
                        at.table.user
                    );
                    self.warnings.push(warning);
                }
                Tls::Never
            }
            ("never", tls) => {
                let help = "write pop3:// or imap:// as `server`, or leave `tls` out";
                self.fault(&at.key("tls"), "the server's scheme is TLS from the first byte on", help);
                tls
            }
            (_, tls) => {
                self.fault(&at.key("tls"), "unknown word", "write \"require\" or \"never\"");
                tls
            }
        }
    }

    fn user(&mut self, at: &At<'_>) {
        let user = &at.table.user;
        if user.is_empty() {
            self.fault(&at.key("user"), "no user", "write the name to sign in with");
        } else if user.len() > MAX_USER_BYTES || user.contains(char::is_control) {
            let help = "write at most 320 bytes, and no control characters";
            self.fault(&at.key("user"), "this cannot be sent as a user name", help);
        }
    }

    fn secret(&mut self, at: &At<'_>) -> Option<Secret> {
        let table = at.table;
        let auth = self.mechanism(at);
        let mut found = Vec::new();
        if let Some(file) = &table.password_file {
            found.push(Secret::File(self.folder.join(file)));
        }
        if let Some(name) = &table.password_env {
            found.push(Secret::Env(name.clone()));
        }
        for (key, command) in
            [("password_command", &table.password_command), ("token_command", &table.token_command)]
        {
            let Some(command) = command else { continue };
            if command.is_empty() {
                self.fault(&at.key(key), "no program", "name the program and its arguments");
            }
            found.push(match key {
                "token_command" => Secret::Token(command.clone(), auth),
                _ => Secret::Command(command.clone()),
            });
        }
        let help = "write one of `password_file`, `password_env`, `password_command` and `token_command`";
        match found.len() {
            0 => self.fault(&at.key("password_file"), "nothing to sign in with", help),
            1 => {}
            _ => self.fault(&at.key("password_file"), "more than one way to sign in", help),
        }
        if let (Some(Secret::File(file)), true) = (found.first(), self.reads_keys)
            && let Err(why @ DataError::Open { .. }) = check_key_mode(file)
        {
            let help = "only the server's user, and its group, may be able to read it";
            self.fault(&at.key("password_file"), why.to_string(), help);
        }
        found.pop()
    }

    fn mechanism(&mut self, at: &At<'_>) -> Option<Mechanism> {
        let word = at.table.auth.as_deref()?;
        if at.table.token_command.is_none() {
            let help =
                "write `token_command`, or leave `auth` out: a password is shown as the server wants it";
            self.fault(&at.key("auth"), "it says how a token is shown, and there is none", help);
        }
        match word {
            "xoauth2" => Some(Mechanism::XOAuth2),
            "oauthbearer" => Some(Mechanism::OAuthBearer),
            _ => {
                self.fault(&at.key("auth"), "unknown word", "write \"xoauth2\" or \"oauthbearer\"");
                None
            }
        }
    }

    fn whose(&mut self, at: &At<'_>, directory: &Directory) -> Option<Whose> {
        let table = at.table;
        for address in &table.to {
            self.is_somebody(at, "to", address, directory);
        }
        let help = "write `to = [\"jane@firm.example\"]`; for a mailbox that takes several people's mail `envelope` and `stamped_by`";
        match (&table.envelope, table.to.is_empty()) {
            (None, true) => {
                self.fault(&at.key("to"), "it does not say whose the mail is", help);
                None
            }
            (Some(_), false) => {
                self.fault(&at.key("envelope"), "`to` says already whose the mail is", help);
                None
            }
            (None, false) => {
                let stamps = !table.stamped_by.is_empty() || table.envelope_prefix.is_some();
                if stamps {
                    let help = "leave it out, or write `envelope` in the place of `to`";
                    self.fault(&at.key("stamped_by"), "with `to` no stamp is looked at", help);
                }
                Some(Whose::These(table.to.clone()))
            }
            (Some(field), true) => self.stamp(at, field).map(Whose::Stamped),
        }
    }

    fn stamp(&mut self, at: &At<'_>, field: &str) -> Option<Stamp> {
        let name = field.trim_end_matches(':').to_ascii_lowercase();
        let is_token = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_stamp = ["for", "delivered-to", "envelope-to"].contains(&name.as_str())
            || name.strip_prefix("x-").is_some_and(|rest| !rest.is_empty());
        if !is_token || !is_stamp {
            let message = format!("\"{field}\" is nothing that a server stamps");
            let help = "write \"Delivered-To\", \"X-Original-To\", \"Envelope-To\", another X- field, or \"for\": whom a message is for never comes from what its writer wrote";
            self.fault(&at.key("envelope"), message, help);
            return None;
        }
        if at.table.stamped_by.is_empty() {
            let help = "write the host that stands behind `by` in the provider's Received, as stamped_by = [\"mx.provider.example\"]: anybody can write such a field into a message";
            self.fault(&at.key("stamped_by"), "no host whose stamp counts", help);
        }
        let hosts: Vec<String> =
            at.table.stamped_by.iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase()).collect();
        let bare = |host: &String| host.strip_prefix("*.").unwrap_or(host).to_owned();
        if let Some(bad) =
            hosts.iter().find(|host| quell_relay::directory::normal_domain(&bare(host)).is_none())
        {
            let help = "write host names, or \"*.provider.example\"";
            self.fault(&at.key("stamped_by"), format!("\"{bad}\" is no host name"), help);
        }
        let prefix = at.table.envelope_prefix.clone().unwrap_or_default().to_ascii_lowercase();
        Some(Stamp { field: (name != "for").then_some(name), hosts, prefix })
    }

    /// The address is one of ours, and there is somebody.
    fn is_somebody(&mut self, at: &At<'_>, key: &str, address: &str, directory: &Directory) {
        let query = Query { address, source_route: false, inside: false };
        let message = match directory.look_up(&query, &|_, _| Ok(true)) {
            Lookup::Local(_) | Lookup::Ask(_) | Lookup::CannotTell(_) => return,
            Lookup::UnknownUser => format!("nobody has the address \"{address}\""),
            _ => format!("\"{address}\" is no address in one of our domains"),
        };
        let help = "write an address in one of [domains], of somebody listed there: collected mail goes to nobody else";
        self.fault(&at.key(key), message, help);
    }

    fn poll(&mut self, at: &At<'_>) {
        let (least, most) = (10, 86_400);
        if !(least..=most).contains(&at.table.poll_secs) {
            let message = format!("{} is out of range", at.table.poll_secs);
            self.fault(
                &at.key("poll_secs"),
                message,
                format!("write a number from {least} to {most} seconds"),
            );
        }
    }

    fn keep(&mut self, at: &At<'_>) -> Keep {
        match at.table.keep {
            settings::Keep::Flag(true) => Keep::Yes,
            settings::Keep::Flag(false) | settings::Keep::Days(0) => Keep::No,
            settings::Keep::Days(days) if days <= MAX_KEEP_DAYS => {
                Keep::Days(u32::try_from(days).unwrap_or(u32::MAX))
            }
            settings::Keep::Days(_) => {
                let help = "write true to keep everything";
                self.fault(&at.key("keep"), "more than a hundred years", help);
                Keep::Yes
            }
        }
    }

    fn pickup_authorities(&mut self, at: &At<'_>) -> Option<Arc<rustls::RootCertStore>> {
        let file = self.folder.join(at.table.ca_file.as_deref().filter(|_| self.reads_keys)?);
        match read_authorities(&file) {
            Ok(authorities) => Some(Arc::new(authorities)),
            Err((message, help)) => {
                self.fault(&at.key("ca_file"), message, help);
                None
            }
        }
    }
}
