//! From the text to a [`Config`], with every fault found on the way.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use quell_relay::directory::{Directory, DomainPlan, Place, Plan, PlanError, normal_domain};
use quell_storm::limits::Limits;
use quell_storm::rhythm::FloodLimits;

use super::ipnet::{IpNet, is_private};
use super::problem::{Places, Problem};
use super::{Config, hint};
use crate::settings::{Judge, PICKUP, SECTIONS, Settings};

mod acme;
mod domains;
mod hold;
pub(super) mod next_hops;
mod outgoing;
mod pickup;
mod submission;
mod suspicion;
mod tls;

pub(super) fn compile(
    file: &Path,
    text: &str,
    machine_name: &str,
    reads_keys: bool,
) -> Result<Config, Vec<Problem>> {
    let places = Places::of(text);
    let settings: Settings = toml::from_str(text).map_err(|e| vec![read_fault(text, &places, &e)])?;
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let mut check = Check { places, problems: Vec::new(), warnings: Vec::new(), folder, reads_keys };
    let config = check.config(file, settings, machine_name);
    match config {
        Some(config) if check.problems.is_empty() => Ok(Config { warnings: check.warnings, ..config }),
        _ => Err(check.problems),
    }
}

/// No TOML, an unknown key, or a wrong type. Only the first can be found.
fn read_fault(text: &str, places: &Places<'_>, error: &toml::de::Error) -> Problem {
    let span = error.span();
    let key = span.clone().map(|s| places.key_at(s.start)).unwrap_or_default();
    let hint = hint::of(text, span.as_ref(), error.message());
    let all = "docs/settings.md lists every key, its type and its default";
    let help = hint.unwrap_or_else(|| all.to_owned());
    Problem { key, span, message: error.message().to_owned(), help }
}

struct Check<'a> {
    places: Places<'a>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
    folder: PathBuf,
    /// Certificates and keys are read.
    reads_keys: bool,
}

impl Check<'_> {
    fn fault(&mut self, path: &[&str], message: impl Into<String>, help: impl Into<String>) {
        let names: Vec<_> = path.iter().filter(|step| step.parse::<usize>().is_err()).collect();
        let quoted = names.iter().map(|n| match n.contains(['.', '@']) {
            true => format!("\"{n}\""),
            false => (**n).to_owned(),
        });
        self.problems.push(Problem {
            key: quoted.collect::<Vec<_>>().join("."),
            span: self.places.span(path),
            message: message.into(),
            help: help.into(),
        });
    }

    fn config(&mut self, file: &Path, settings: Settings, machine: &str) -> Option<Config> {
        self.ranges(&settings);
        self.words(&settings);
        let hostname = self.hostname(&settings, machine);
        let data = self.folder.join(&settings.server.data);
        let secret_file = match &settings.server.secret_file {
            Some(path) => self.folder.join(path),
            None => data.join("secret"),
        };
        let smtp_listen = self.listen(&["smtp", "listen"], &settings.smtp.listen);
        let smtp_listen_tls = self.addresses(&["smtp", "listen_tls"], &settings.smtp.listen_tls);
        let console = [settings.console.listen.clone()];
        let console_listen = self.listen(&["console", "listen"], &console);
        let submission = &settings.submission;
        let submission_listen = self.addresses(&["submission", "listen"], &submission.listen);
        let submission_listen_tls = self.addresses(&["submission", "listen_tls"], &submission.listen_tls);
        let for_users = [&submission_listen[..], &submission_listen_tls].concat();
        let all_listen = [&smtp_listen[..], &smtp_listen_tls, &for_users].concat();
        self.listens_once(&settings);
        let relay_from = self.relay(&settings, &all_listen);
        let acme = self.acme(&settings, &hostname, &data);
        let tls = self.tls(&settings, acme.as_ref());
        self.needs_tls(&settings, &smtp_listen);
        let (plans, mut routes) = self.domains(&settings);
        routes.via = self.smart_host(&settings);
        self.no_way_back(&settings, &routes, &hostname, &all_listen);
        let directory = self.directory(&settings, &hostname, plans);
        self.tell(&settings, &directory);
        let pickup = self.pickup(&settings, &directory);
        let hold = self.hold(&settings);
        let sign_in = self.sign_in(&settings, &directory);
        Some(Config {
            file: file.to_owned(),
            limits: self.limits(&settings),
            hold,
            pickup,
            sign_in,
            hostname,
            data,
            secret_file,
            smtp_listen,
            smtp_listen_tls,
            submission_listen,
            submission_listen_tls,
            tls,
            acme,
            console_listen: *console_listen.first()?,
            relay_from,
            outgoing: self.outgoing(&settings, &routes),
            routes,
            directory,
            warnings: Vec::new(),
            settings,
        })
    }

    /// Every number against the range that its declaration gives.
    fn ranges(&mut self, settings: &Settings) {
        let Ok(tree) = toml::Value::try_from(settings) else { return };
        let single = SECTIONS.iter().filter(|section| section.name != PICKUP.name);
        for setting in single.flat_map(|section| section.settings) {
            let value = tree.get(setting.section).and_then(|s| s.get(setting.name));
            let (Some((least, most)), Some(value)) = (setting.range, value.and_then(toml::Value::as_integer))
            else {
                continue;
            };
            if !u64::try_from(value).is_ok_and(|value| (least..=most).contains(&value)) {
                let message = format!("{value} is out of range");
                let help = format!("write a number from {least} to {most} {}", setting.unit);
                self.fault(&[setting.section, setting.name], message, help.trim_end());
            }
        }
    }

    fn words(&mut self, settings: &Settings) {
        if !["json", "text"].contains(&settings.log.format.as_str()) {
            self.fault(&["log", "format"], "unknown format", "write \"json\" or \"text\"");
        }
        let levels = ["error", "warn", "info", "debug", "trace"];
        if !levels.contains(&settings.log.level.as_str()) {
            let help = format!("write one of {}", levels.join(", "));
            self.fault(&["log", "level"], "unknown level", help);
        }
        let judge = &settings.judge;
        if judge.closed_after_secs <= judge.quiet_after_secs {
            let help = "write more than quiet_after_secs";
            self.fault(&["judge", "closed_after_secs"], "a storm would close before it is quiet", help);
        }
        if settings.smtp.max_commands <= settings.smtp.max_recipients {
            let help = "write more than max_recipients";
            self.fault(
                &["smtp", "max_commands"],
                "a transaction with all its recipients would not fit",
                help,
            );
        }
    }

    fn hostname(&mut self, settings: &Settings, machine: &str) -> String {
        let written = settings.server.hostname.as_deref();
        let name = normal_domain(written.unwrap_or(machine));
        if name.is_none() && written.is_some() {
            let help = "write the full name of this machine, for example \"mx.firm.example\"";
            self.fault(&["server", "hostname"], "not a host name", help);
        }
        name.unwrap_or_else(|| "localhost".to_owned())
    }

    fn listen(&mut self, path: &[&str], addresses: &[String]) -> Vec<SocketAddr> {
        if addresses.is_empty() {
            self.fault(path, "nothing to listen on", "name at least one address and port");
        }
        self.addresses(path, addresses)
    }

    fn addresses(&mut self, path: &[&str], addresses: &[String]) -> Vec<SocketAddr> {
        let mut all = Vec::new();
        for (at, address) in addresses.iter().enumerate() {
            match address.parse() {
                Ok(address) => all.push(address),
                Err(_) => {
                    let help = "write address and port, for example \"127.0.0.1:2525\" or \"[::]:25\"";
                    let index = at.to_string();
                    let path: Vec<_> = path.iter().copied().chain([index.as_str()]).collect();
                    self.fault(&path, format!("\"{address}\" is no address with a port"), help);
                }
            }
        }
        all
    }

    /// No port of an address is listened on twice.
    fn listens_once(&mut self, settings: &Settings) {
        let (smtp, submission) = (&settings.smtp, &settings.submission);
        let console = std::slice::from_ref(&settings.console.listen);
        let lists = [
            (["smtp", "listen"], &smtp.listen[..]),
            (["smtp", "listen_tls"], &smtp.listen_tls),
            (["submission", "listen"], &submission.listen),
            (["submission", "listen_tls"], &submission.listen_tls),
            (["console", "listen"], console),
        ];
        let mut taken: Vec<(SocketAddr, [&str; 2])> = Vec::new();
        for (path, list) in lists {
            for address in list.iter().filter_map(|text| text.parse::<SocketAddr>().ok()) {
                let is_same = |(other, _): &&(SocketAddr, [&str; 2])| {
                    let all = other.ip().is_unspecified() || address.ip().is_unspecified();
                    address.port() != 0
                        && other.port() == address.port()
                        && (other.ip() == address.ip() || all && other.is_ipv4() == address.is_ipv4())
                };
                if let Some((other, [table, key])) = taken.iter().find(is_same) {
                    let message =
                        format!("{address} is listened on already: {other} by `{key}` in [{table}]");
                    self.fault(&path, message, "write another port, or remove one of the two");
                }
                taken.push((address, path));
            }
        }
    }

    fn relay(&mut self, settings: &Settings, listen: &[SocketAddr]) -> Vec<IpNet> {
        let mut nets = Vec::new();
        let public_listener = listen.iter().any(|address| !is_private(address.ip()));
        for (at, text) in settings.relay.from.iter().enumerate() {
            let index = at.to_string();
            let path = ["relay", "from", index.as_str()];
            match text.parse::<IpNet>() {
                Err(e) => self.fault(&path, format!("\"{text}\" is no network"), e.to_string()),
                Ok(net) => {
                    nets.push(net);
                    if public_listener && !net.is_private() && !settings.relay.allow_wide_relay {
                        let message = format!(
                            "{net} has public addresses, and a listener of [smtp] is public: strangers might relay"
                        );
                        let help = "name private networks only, or set allow_wide_relay = true in [relay] if all of it is yours";
                        self.fault(&path, message, help);
                    }
                }
            }
        }
        nets
    }

    fn directory(&mut self, settings: &Settings, hostname: &str, domains: Vec<DomainPlan>) -> Directory {
        let plan = Plan {
            hostname: hostname.to_owned(),
            domains,
            postmaster: settings.server.postmaster.clone(),
            aliases: settings.aliases.clone(),
            address_literals: settings.relay.address_literals,
        };
        if plan.domains.is_empty() {
            let warning = "no domain: add [domains.\"firm.example\"], or all mail from outside is refused";
            self.warnings.push(warning.to_owned());
        }
        match Directory::new(&plan) {
            Ok(directory) => directory,
            Err(errors) => {
                errors.iter().for_each(|error| self.plan_fault(error));
                Directory::default()
            }
        }
    }

    fn plan_fault(&mut self, error: &PlanError) {
        let (PlanError::NotLocal { place, .. }
        | PlanError::Nobody { place, .. }
        | PlanError::AliasLoop { place, .. }
        | PlanError::AliasTooLarge { place }) = error;
        let help = match error {
            PlanError::NotLocal { .. } => "write an address in one of [domains]",
            PlanError::Nobody { .. } => "add the name to `recipients`, or correct it",
            PlanError::AliasLoop { .. } => "take one of the aliases out of the circle",
            PlanError::AliasTooLarge { .. } => "split the alias",
        };
        let path = match place {
            Place::Postmaster => vec!["server", "postmaster"],
            Place::CatchAll(domain) => vec!["domains", domain, "catch_all"],
            Place::Alias(alias) => vec!["aliases", alias],
        };
        self.fault(&path, error.to_string(), help);
    }

    fn tell(&mut self, settings: &Settings, directory: &Directory) {
        if settings.tell.command.as_ref().is_some_and(Vec::is_empty) {
            self.fault(&["tell", "command"], "no program", "name the program and its arguments");
        }
        let Some(mail) = &settings.tell.mail else { return };
        // Without domains the directory may be missing for another fault, which is told already.
        let ours = mail.rsplit_once('@').and_then(|(_, domain)| normal_domain(domain));
        let ours = ours.is_some_and(|domain| directory.is_ours(&domain));
        if let Err(why) = directory.own_mail_to(mail, &|_, _| Ok(true)) {
            let help = match ours {
                true => "add the name to `recipients`, or correct it",
                false => "write an address, such as \"jane@firm.example\"",
            };
            self.fault(&["tell", "mail"], format!("\"{mail}\": {why}"), help);
        }
    }
}

/// Numbers are within their ranges when this is used, so the conversions cannot overflow.
fn limits(judge: &Judge) -> Limits {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let ms = |secs: u64| i64::try_from(secs.saturating_mul(1_000)).unwrap_or(i64::MAX);
    Limits {
        max_hops: judge.max_hops as usize,
        storm_rcpt_copies: small(judge.storm_rcpt_copies),
        storm_key_copies: small(judge.storm_key_copies),
        quiet_after_ms: ms(judge.quiet_after_secs),
        closed_after_ms: ms(judge.closed_after_secs),
        failed_window_ms: ms(judge.failed_window_secs),
        max_lives_per_day: small(judge.max_lives_per_day),
        discarded_window_ms: ms(judge.discarded_window_secs),
        late_answer_ms: ms(judge.late_answer_secs),
        resent_arrivals: small(judge.resent_arrivals),
        resent_least_words: small(judge.resent_least_words),
        resent_window_ms: ms(judge.resent_window_hours * 3_600),
        reply_all_people: small(judge.reply_all_people),
        reply_all_replies: small(judge.reply_all_replies),
        reply_all_share: small(judge.reply_all_share),
        reply_all_authors: small(judge.reply_all_authors),
        reply_all_list_factor: small(judge.reply_all_list_factor),
        reply_all_window_ms: ms(judge.reply_all_window_mins * 60),
        auto_reply_turns: small(judge.auto_reply_turns),
        auto_reply_window_ms: ms(judge.auto_reply_window_hours * 3_600),
        bounces_per_recipient: small(judge.bounces_per_recipient),
        bounces_per_message: small(judge.bounces_per_message),
        flood: FloodLimits {
            factor: small(judge.flood_factor),
            least_five_minutes: small(judge.flood_least_five_minutes),
            least_hour: small(judge.flood_least_hour),
            least_day: small(judge.flood_least_day),
            warm_up_days: small(judge.flood_warm_up_days),
            ..FloodLimits::default()
        },
        held_storm_bytes: judge.held_storm_mib << 20,
        recent_entries: judge.recent_entries as usize,
        ..Limits::default()
    }
}
