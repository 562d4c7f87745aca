//! `quell check`: is the configuration right, and what does it mean?

mod names;
mod next_hops;
mod pickup;
mod reach;
mod tls;

use std::collections::HashSet;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid};
use quell_relay::directory::{DomainPlan, Population, Resolved};
use quell_relay::route::NextHop;
use quell_storm::policy::Policy;
use quell_storm::verdict::Class;
use serde_json::json;

use super::Failure;
use crate::config::{Config, Faults};
use crate::data::{Paths, belongs_to_another, open_to_others};
use crate::deliver::maildir::MaildirStore;
use crate::deliver::resolver::{RESOLV_CONF, system_servers};
use crate::serve::privileges::STAYS_ROOT;
use crate::settings::{SECTIONS, Setting, Settings};

/// Most names of a list that are printed.
const MAX_NAMES: usize = 10;

/// Check the configuration and explain it.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The file; without it as for every command
    pub file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Do not look up MX, address and PTR records; without it that is done if the server can be reached from
    /// outside
    #[arg(long)]
    pub no_dns: bool,
}

/// What a configuration means, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Who receives what, who may relay, where things lie.
    pub facts: Vec<String>,
    /// Settings that differ from their default: key, value, default.
    pub changed: Vec<(String, String, String)>,
    /// What looks like a mistake.
    pub warnings: Vec<String>,
}

/// Checks `args.file`, else `default`.
pub fn run(args: &Args, default: PathBuf, out: &mut dyn Write) -> Result<(), Failure> {
    let file = args.file.clone().unwrap_or(default);
    match Config::load(&file) {
        Ok(config) => {
            let explanation = explained(&config, args.no_dns);
            if args.json { print_json(&config, &explanation, out) } else { print_text(&explanation, out) }
        }
        Err(faults) => {
            if args.json {
                writeln!(out, "{}", faults_json(&faults))?;
            }
            Err(Failure::Configuration(faults))
        }
    }
}

/// With what the DNS says.
fn explained(config: &Config, no_dns: bool) -> Explanation {
    let mut explanation = explain(config);
    if !no_dns && names::is_wanted(config) {
        let found = names::look_up(config);
        explanation.facts.extend(found.facts);
        explanation.warnings.extend(found.warnings);
    }
    explanation
}

/// What `config` means, together with what lies on the disk.
pub fn explain(config: &Config) -> Explanation {
    let mut facts = vec![
        format!("{} greets as {}", config.file.display(), config.hostname),
        format!("everything is kept in {}", config.data.display()),
        format!("mail comes in at {}", list(&config.smtp_listen)),
        format!(
            "the console is at {}://{}",
            if config.settings.console.tls { "https" } else { "http" },
            config.console_listen
        ),
    ];
    facts.extend(tls::facts(config));
    facts.extend(config.directory.domains().map(|domain| about_domain(config, domain)));
    facts.push(format!("postmaster's mail goes to {}", names(config.directory.postmaster())));
    let mut aliases: Vec<_> = config.directory.aliases().collect();
    aliases.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    facts.extend(aliases.iter().map(|(alias, to)| format!("{alias} goes to {}", names(to))));
    facts.extend(pickup::facts(config));
    facts.push(match &config.relay_from[..] {
        [] => "no machine counts as our own".to_owned(),
        nets => format!("our own machines are {}", list(nets)),
    });
    facts.push(match &config.routes.via {
        Some(next_hop) => format!("mail from them for other domains goes to {next_hop}"),
        None => "mail from them for other domains goes to the servers in the domains' MX records".to_owned(),
    });
    facts.push("mail from others for other domains is refused".to_owned());
    facts.extend(next_hops::facts(config));
    facts.push(where_names_are_looked_up(&config.outgoing.dns_servers));
    facts.extend(about_suspicion(config));
    facts.extend(reach::facts(config));
    Explanation { facts, changed: changed(&config.settings), warnings: warnings(config) }
}

/// What is done with what the classes suspect, and with what is held.
fn about_suspicion(config: &Config) -> Vec<String> {
    let with = |policy| {
        let of = |class: &Class| class.suspects() && config.limits.policies.of(*class) == policy;
        Class::ALL.into_iter().filter(of).map(Class::name).collect::<Vec<_>>().join(", ")
    };
    let done = [
        (Policy::Hold, "held for a person"),
        (Policy::Tell, "told and delivered"),
        (Policy::Refuse, "refused"),
    ];
    let mut facts: Vec<String> = done
        .into_iter()
        .map(|(policy, what)| (with(policy), what))
        .filter(|(classes, _)| !classes.is_empty())
        .map(|(classes, what)| format!("what these classes suspect is {what}: {classes}"))
        .collect();
    facts.push(format!(
        "held mail that nobody decides on ends in digests after {} h",
        config.settings.hold.keep_hours
    ));
    facts
}

/// The servers of the configuration, or the system's.
fn where_names_are_looked_up(servers: &[SocketAddr]) -> String {
    if !servers.is_empty() {
        return format!("names are looked up at {} ([dns] servers)", list(servers));
    }
    match system_servers() {
        Err(why) => {
            format!("{RESOLV_CONF} cannot be read ({why}): no names are looked up; write [dns] servers")
        }
        Ok(none) if none.is_empty() => {
            format!("{RESOLV_CONF} names no DNS server: no names are looked up; write [dns] servers")
        }
        Ok(found) => format!("names are looked up at {} ({RESOLV_CONF})", found.join(", ")),
    }
}

fn about_domain(config: &Config, domain: &DomainPlan) -> String {
    let who = match &domain.population {
        Population::Existing => "whoever has a mailbox".to_owned(),
        Population::Asked => "whomever its next hop takes: it is asked at RCPT".to_owned(),
        Population::Listed(locals) => some_of(locals),
    };
    let others = match config.directory.catch_all(&domain.name) {
        Some(to) => format!("all others go to {}", names(to)),
        None if domain.takes_others => "all others go on as they are".to_owned(),
        None => "all others are refused".to_owned(),
    };
    let way = match next_hop(config, domain) {
        NextHop::Maildir => String::new(),
        next_hop => format!(" goes to {next_hop}"),
    };
    match domain.population {
        Population::Asked => format!("{}{way}: {who}", domain.name),
        _ if who.is_empty() && domain.takes_others => {
            let others = others.replacen("all others go", "every address goes", 1);
            format!("{}{way}: {}", domain.name, others.replacen("as they are", "as it is", 1))
        }
        _ => format!("{}{way}: {who}; {others}", domain.name),
    }
}

fn next_hop(config: &Config, domain: &DomainPlan) -> NextHop {
    config.routes.domains.get(&domain.name).cloned().unwrap_or(NextHop::Maildir)
}

fn some_of(locals: &HashSet<String>) -> String {
    let mut locals: Vec<_> = locals.iter().map(String::as_str).collect();
    locals.sort_unstable();
    let more = locals.len().saturating_sub(MAX_NAMES);
    locals.truncate(MAX_NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", locals.join(", "))
}

/// Where mail goes, for programs.
fn routes_json(config: &Config) -> serde_json::Value {
    let domains = config.directory.domains().map(|domain| {
        let recipients = match &domain.population {
            Population::Existing => "existing",
            Population::Asked => "ask",
            Population::Listed(_) => "listed",
        };
        json!({
            "domain": domain.name, "next_hop": next_hop(config, domain).to_string(),
            "recipients": recipients, "others": domain.takes_others,
        })
    });
    json!({
        "domains": domains.collect::<Vec<_>>(),
        "relay": {
            "from": config.relay_from.iter().map(ToString::to_string).collect::<Vec<_>>(),
            // Null: by MX.
            "via": config.routes.via.as_ref().map(ToString::to_string),
        },
    })
}

fn names(to: &[Resolved]) -> String {
    to.iter().take(MAX_NAMES).map(|r| r.identity.as_str()).collect::<Vec<_>>().join(", ")
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn changed(settings: &Settings) -> Vec<(String, String, String)> {
    let Ok(tree) = toml::Value::try_from(settings) else { return Vec::new() };
    let value = |s: &Setting| tree.get(s.section)?.get(s.name).map(toml::Value::to_string);
    let all = SECTIONS.iter().flat_map(|section| section.settings);
    all.filter_map(|setting| {
        let default = (setting.default)();
        let value = value(setting).filter(|value| Some(value) != default.as_ref())?;
        Some((setting.key(), value, default.unwrap_or_else(|| setting.unit.to_owned())))
    })
    .collect()
}

fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = config.warnings.clone();
    warnings.extend(tls::warnings(config));
    warnings.extend(next_hops::warnings(config));
    warnings.extend(pickup::warnings(config));
    warnings.extend(reach::warnings(config));
    warnings.extend(about_folder(&config.data));
    warnings.extend(about_rights(config));
    let store = MaildirStore::new(config.mail_root(), &config.hostname);
    match store.list() {
        Err(e) => warnings.push(format!("{}: {e}", config.mail_root().display())),
        Ok(mailboxes) => {
            let stray = mailboxes.iter().filter(|m| !config.directory.has_maildirs(&m.domain));
            warnings.extend(stray.map(|m| {
                let why = match config.directory.is_ours(&m.domain) {
                    true => "whose mail goes to a next hop",
                    false => "that is not in the configuration",
                };
                format!("{}: a mailbox of a domain {why}", m.path.display())
            }));
        }
    }
    let here = |to: &&Resolved| config.directory.has_maildirs(&to.domain);
    for to in config.directory.postmaster().iter().filter(here) {
        if !matches!(store.exists(&to.domain, &to.mailbox), Ok(true)) {
            let name = &to.identity;
            warnings
                .push(format!("the postmaster's mailbox {name} is not there yet: `quell serve` makes it"));
        }
    }
    warnings
}

/// Others must not read or write what lies in the data folder, and its owner is to be who serves.
fn about_rights(config: &Config) -> Vec<String> {
    let us = geteuid();
    let user = config.settings.server.user.as_ref();
    let mut found = Vec::new();
    let serves = match user.map(|name| (name, User::from_name(name))) {
        None => us,
        Some((_, Ok(Some(user)))) => user.uid,
        Some((name, _)) => {
            found.push(format!("[server] user = \"{name}\": there is no such user on this machine"));
            us
        }
    };
    // Whoever checks need not be who serves, where nobody is named.
    let owner = owner_of(&config.data).filter(|owner| user.is_none() && us.is_root() && !owner.is_root());
    if let Some(owner) = owner {
        let name = User::from_uid(owner).ok().flatten().map_or_else(|| owner.to_string(), |user| user.name);
        found.push(format!(
            "{} belongs to the user {name}, and this check was run as root: if the server runs as {name}, check as {name}, too (`sudo -u {name} quell check`)",
            config.data.display()
        ));
    } else {
        if serves.is_root() {
            found.push(STAYS_ROOT.to_owned());
        }
        found.extend(belongs_to_another(&config.data, serves).map(|e| e.to_string()));
    }
    let unread = config.tls.iter().filter(|(files, _)| !may_read(&files.key, owner.unwrap_or(serves)));
    found.extend(unread.map(|(files, _)| {
        format!(
            "{} cannot be read by the user the server runs as: it works until the key is renewed or the configuration reloaded; let that user read it",
            files.key.display()
        )
    }));
    let open = open_to_others(&Paths::new(&config.data), &config.secret_file);
    found.extend(open.iter().map(ToString::to_string));
    found
}

fn owner_of(folder: &Path) -> Option<Uid> {
    std::fs::metadata(folder).ok().map(|meta| Uid::from_raw(meta.uid()))
}

/// Whether the mode of the file lets this user read it; folders above it are not looked at. What cannot be
/// found out counts as yes.
fn may_read(file: &Path, who: Uid) -> bool {
    let (Ok(meta), Ok(Some(user))) = (std::fs::metadata(file), User::from_uid(who)) else { return true };
    let groups = || {
        let name = std::ffi::CString::new(user.name.as_str()).ok()?;
        nix::unistd::getgrouplist(&name, user.gid).ok()
    };
    let in_group = || groups().is_none_or(|groups| groups.iter().any(|group| group.as_raw() == meta.gid()));
    who.is_root()
        || (meta.uid() == who.as_raw() && meta.mode() & 0o400 != 0)
        || (meta.mode() & 0o040 != 0 && in_group())
        || meta.mode() & 0o004 != 0
}

/// We must be able to write there.
fn about_folder(data: &Path) -> Option<String> {
    let name = data.display();
    match std::fs::metadata(data) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => Some(format!("{name}: {e}")),
        Ok(meta) if !meta.is_dir() => Some(format!("{name} is not a folder")),
        Ok(meta) if meta.permissions().readonly() => Some(format!("{name} cannot be written to")),
        Ok(_) => None,
    }
}

fn print_text(explanation: &Explanation, out: &mut dyn Write) -> Result<(), Failure> {
    for fact in &explanation.facts {
        writeln!(out, "{fact}")?;
    }
    for (key, value, default) in &explanation.changed {
        writeln!(out, "set: {key} = {value} (default: {default})")?;
    }
    for warning in &explanation.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

fn print_json(config: &Config, explanation: &Explanation, out: &mut dyn Write) -> Result<(), Failure> {
    let changed: Vec<_> = explanation
        .changed
        .iter()
        .map(|(key, value, default)| json!({ "key": key, "value": value, "default": default }))
        .collect();
    let whole = json!({
        "file": config.file, "ok": true, "facts": explanation.facts, "changed": changed,
        "routes": routes_json(config), "warnings": explanation.warnings, "errors": [],
    });
    Ok(writeln!(out, "{whole}")?)
}

fn faults_json(faults: &Faults) -> serde_json::Value {
    let errors: Vec<_> = faults
        .problems
        .iter()
        .map(|problem| {
            let position = faults.position(problem);
            json!({
                "key": problem.key, "line": position.map(|p| p.0), "column": position.map(|p| p.1),
                "message": problem.message, "help": problem.help,
            })
        })
        .collect();
    json!({ "file": faults.file, "ok": false, "errors": errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, json: bool) -> (Result<(), Failure>, String) {
        let name = format!("quell-check-{}-{json}-{}", std::process::id(), text.len());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, text).unwrap();
        let mut out = Vec::new();
        let result = run(&Args { file: Some(file.clone()), json, no_dns: false }, PathBuf::new(), &mut out);
        std::fs::remove_file(file).unwrap();
        (result, String::from_utf8(out).unwrap())
    }

    #[test]
    fn explains_who_receives_and_what_differs() {
        let text = "[smtp]\nmax_errors = 7\n[domains.\"f.example\"]\nrecipients = [\"jane\", \"*\"]\n";
        let (result, out) = check(text, false);
        result.unwrap();
        assert!(out.contains("f.example: jane; all others go to postmaster@f.example\n"), "{out}");
        assert!(out.contains("set: smtp.max_errors = 7 (default: 20)\n"), "{out}");
        let (result, out) = check(text, true);
        result.unwrap();
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&json["ok"], &json["changed"][0]["key"]), (&json!(true), &json!("smtp.max_errors")));
    }

    #[test]
    fn explains_where_mail_goes() {
        let text = "[relay]\nvia = \"smtp://10.0.0.3\"\nfrom = []\n[domains.\"a.example\"]\n\
                    [domains.\"b.example\"]\ndeliver = \"smtp://10.0.0.2\"\n\
                    [domains.\"c.example\"]\ndeliver = \"lmtp:///run/lmtp\"\nrecipients = [\"jo\", \"*\"]\n\
                    [domains.\"d.example\"]\ndeliver = \"smtp://10.0.0.2\"\nrecipients = [\"*\"]\n\
                    [dns]\nservers = [\"192.0.2.53\"]\n";
        let (result, out) = check(text, false);
        result.unwrap();
        for line in [
            "a.example: whoever has a mailbox; all others are refused\n",
            "b.example goes to smtp://10.0.0.2:25: whomever its next hop takes: it is asked at RCPT\n",
            "c.example goes to lmtp:///run/lmtp: jo; all others go on as they are\n",
            "mail from them for other domains goes to smtp://10.0.0.3:25\n",
            "d.example goes to smtp://10.0.0.2:25: every address goes on as it is\n",
            "no machine counts as our own\n",
            "names are looked up at 192.0.2.53:53 ([dns] servers)\n",
        ] {
            assert!(out.contains(line), "{out}");
        }
        let (_, out) = check(text, true);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(json["routes"]["relay"]["via"], "smtp://10.0.0.3:25");
        let want = json!({
            "domain": "b.example", "next_hop": "smtp://10.0.0.2:25", "recipients": "ask", "others": false,
        });
        assert_eq!(json["routes"]["domains"][1], want);
    }

    #[test]
    fn faults_end_with_status_2_and_a_place() {
        let (result, out) = check("[smtp]\nmax_errors = 0\n", true);
        assert_eq!(result.unwrap_err().status(), 2);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        let error = &json["errors"][0];
        assert_eq!((&error["line"], &error["column"]), (&json!(2), &json!(14)));
        assert_eq!(error["key"], "smtp.max_errors");
    }

    #[test]
    fn what_is_open_to_others_is_warned_of() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("quell-open-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mode = |mode| std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode));
        let text = format!("[server]\ndata = {folder:?}\n[domains.\"f.example\"]\n");
        let command = format!("run `chmod 700 {}`", folder.display());
        mode(0o755).unwrap();
        assert!(check(&text, false).1.contains(&command));
        mode(0o700).unwrap();
        assert!(!check(&text, false).1.contains("chmod"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
