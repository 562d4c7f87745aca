//! Every setting, declared once. From this one declaration come the serde structures, the defaults,
//! `docs/quell.toml.example`, `docs/settings.md`, and what `quell check` says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One setting as people read about it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Table it stands in: `smtp`, `domains."NAME"`.
    pub section: &'static str,
    /// Its name within the table.
    pub name: &'static str,
    /// Its Rust type, as declared.
    pub kind: &'static str,
    /// Its default as a TOML value; None: unset.
    pub default: fn() -> Option<String>,
    /// Unit of a number; for unset settings, what then happens.
    pub unit: &'static str,
    /// What it does.
    pub help: &'static [&'static str],
    /// A value to copy, as TOML.
    pub example: &'static str,
    /// The example file sets it; otherwise the line is commented out.
    pub live: bool,
    /// Least and greatest value of a number.
    pub range: Option<(u64, u64)>,
}

/// One table of the file.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its name: `smtp`, `domains."NAME"`.
    pub name: &'static str,
    /// What the table is about.
    pub help: &'static [&'static str],
    /// Its settings, in the order of the manual.
    pub settings: &'static [Setting],
}

/// A default as TOML, None for an unset one.
fn literal<T: Serialize>(value: T) -> Option<String> {
    toml::Value::try_from(value).ok().map(|value| value.to_string())
}

/// Declares one table: structure, defaults, and the [`Section`] that describes it.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $table:ident, $constant:ident, $path:literal {
            $(
                $(#[doc = $help:literal])*
                $field:ident: $kind:ty = $default:expr, $unit:literal, $mode:ident $example:literal
                $(, $least:literal ..= $greatest:literal)?;
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $table {
            $( $(#[doc = $help])* pub $field: $kind, )*
        }

        impl Default for $table {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        #[doc = concat!("What the manual says of `[", $path, "]`.")]
        pub const $constant: Section = Section {
            name: $path,
            help: &[$($about),*],
            settings: &[ $( Setting {
                section: $path,
                name: stringify!($field),
                kind: stringify!($kind),
                default: || { let value: $kind = $default; literal(value) },
                unit: $unit,
                help: &[$($help),*],
                example: $example,
                live: section!(@$mode),
                range: section!(@range $($least, $greatest)?),
            }, )* ],
        };
    };
    (@live) => { true };
    (@hint) => { false };
    (@range) => { None };
    (@range $least:literal, $greatest:literal) => { Some(($least, $greatest)) };
}

mod acme;
mod judging;
mod next_hops;
mod pickup;
mod submission;
mod tls;
pub use acme::{ACME, Acme};
pub use judging::{EXCEPTIONS, ExceptionsTable, HOLD, Hold, JUDGE, Judge, POLICY, PolicyTable};
pub use next_hops::{NEXT_HOP, NextHopTable};
pub use pickup::{Keep, PICKUP, PickupTable};
pub use submission::{SUBMISSION, Submission};
pub use tls::{TLS, Tls};

section! {
    /// The server itself.
    Server, SERVER, "server" {
        /// Name by which the server greets and which it writes into `Received` fields
        /// (RFC 5321 §4.1.1.1): its own fully qualified name, as its MX record has it.
        hostname: Option<String> = None, "unset: the machine's own name", live "\"mx.firm.example\"";
        /// Folder of the queue, the ledger and the Maildirs (`mail/<domain>/<local-part>/`).
        /// A relative path starts at the folder of the configuration file.
        data: String = "quell-data".to_owned(), "", live "\"quell-data\"";
        /// Where mail for postmaster@ any of our domains goes, unless `[aliases]` says otherwise:
        /// an address in one of our domains.
        postmaster: Option<String> = None,
            "unset: a mailbox named postmaster in the first domain", live "\"jane@firm.example\"";
        /// File with the secret by which ledger keys and tokens are made. Sibling gateways share it.
        secret_file: Option<String> = None,
            "unset: `secret` in the data folder, made at the first start", hint "\"/etc/quell/secret\"";
        /// Number of this gateway among its siblings; it stands in every queue id.
        gateway: u64 = 0, "", hint "0", 0..=255;
        /// System user that the server becomes once its ports are open: needs a start as root. The
        /// data folder must be that user's.
        user: Option<String> = None, "unset: stays who started it", hint "\"quell\"";
        /// When the server stops, sessions on their way out whose message has been sent may wait for
        /// its answer so long. What is not answered by then is tried again, and may arrive twice.
        stop_secs: u64 = 60, "seconds", hint "60", 0..=3600;
    }
}

section! {
    /// How mail comes in.
    Smtp, SMTP, "smtp" {
        /// Addresses and ports to listen on.
        listen: Vec<String> = vec!["127.0.0.1:2525".to_owned()], "", live "[\"127.0.0.1:2525\"]";
        /// Addresses and ports where TLS begins with the first byte. Needs `[tls] certificate`.
        listen_tls: Vec<String> = Vec::new(), "(none)", hint "[\"127.0.0.1:2465\"]";
        /// Take mail over TLS only; before STARTTLS, MAIL is answered 530 5.7.0. Many servers in the
        /// world still send in the clear: on a public port this loses their mail (RFC 3207 §4).
        require_tls: bool = false, "", hint "false";
        /// Largest message; a larger one is refused with 552 5.3.4.
        max_message_bytes: u64 = 64 << 20, "bytes", hint "67108864", 65536..=4294967296;
        /// Largest header; a message with a larger one is refused with 552 5.3.4.
        max_header_bytes: u64 = 32 << 20, "bytes", hint "33554432", 65536..=4294967296;
        /// Memory that messages take while they come in, over all connections, beyond 64 KiB for
        /// each. Where it is used up bodies go to the disk early, and a message whose header does
        /// not fit is refused with 452 4.3.1. At least four times `max_header_bytes`, whatever is
        /// written.
        max_memory_bytes: u64 = 256 << 20, "bytes", hint "268435456", 1048576..=1099511627776;
        /// Longest command line. Lines of a message may have any length.
        max_line_bytes: u64 = 4096, "bytes", hint "4096", 512..=1048576;
        /// Most recipients of a transaction; further ones get 452 4.5.3.
        max_recipients: u64 = 10_000, "", hint "10000", 100..=1000000;
        /// Most connections at a time; further ones get 421 4.7.0.
        max_connections: u64 = 1_000, "", hint "1000", 1..=100000;
        /// Most connections at a time from one IPv4 address or one IPv6 /64 network; further ones
        /// get 421 4.7.0.
        max_connections_per_address: u64 = 100, "", hint "100", 1..=100000;
        /// Most commands of a connection without a message accepted between them; then 421 4.7.0.
        /// More than `max_recipients`.
        max_commands: u64 = 50_000, "", hint "50000", 100..=100000000;
        /// Most errors of a connection; then 421 4.7.0.
        max_errors: u64 = 20, "", hint "20", 1..=100000;
        /// Longest silence of a client, in commands and in data; then 421 4.4.2.
        idle_secs: u64 = 300, "seconds", hint "300", 1..=86400;
        /// Least rate, averaged over `idle_secs`, at which data must flow. There is no other limit
        /// on the time that a message may take.
        least_rate_bytes_per_sec: u64 = 100, "bytes per second", hint "100", 0..=1048576;
        /// The end of a message is answered within this time; 451 4.3.0 if it could not be stored
        /// by then.
        answer_secs: u64 = 30, "seconds", hint "30", 1..=300;
    }
}

section! {
    /// The console: health, metrics, and the list of storms over HTTP.
    Console, CONSOLE, "console" {
        /// Address and port of the console.
        listen: String = "127.0.0.1:8025".to_owned(), "", live "\"127.0.0.1:8025\"";
        /// HTTPS instead of HTTP. Needs `[tls] certificate`.
        tls: bool = false, "", hint "false";
    }
}

section! {
    /// A domain for which mail is taken. One table for each.
    Domain, DOMAIN, "domains.\"NAME\"" {
        /// Where its mail goes: "maildir" for mailboxes here, or the server that takes it, as
        /// "smtp://10.0.0.2:25", "lmtp://127.0.0.1:24" or "lmtp:///run/dovecot/lmtp" (a socket).
        deliver: String = "maildir".to_owned(), "", live "\"maildir\"";
        /// Who exists: a list of local parts (the part before the @), or "file:PATH" with one
        /// local part on each line. "*" stands for all others: in a domain with Maildirs their mail
        /// goes to `catch_all`, else to the next hop as it is. "ask": whomever the next hop takes;
        /// it is asked while the sender waits.
        recipients: Option<Recipients> = None,
            "unset: whoever has a mailbox; with a next hop \"ask\"", live "[\"jane\", \"*\"]";
        /// Mailbox for all others: a local part of this domain or an address in one of our domains.
        /// Only where `deliver` is "maildir".
        catch_all: Option<String> = None, "unset: where the postmaster's mail goes", hint "\"jane\"";
    }
}

section! {
    /// Who may send to other domains, and how mail goes out.
    Relay, RELAY, "relay" {
        /// Addresses and networks of our own machines, which may send to other domains. Bare line
        /// ends are normalised for them, and refused from all others.
        from: Vec<String> = vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()], "",
            live "[\"127.0.0.0/8\", \"::1/128\"]";
        /// Smart host that takes mail for other domains.
        via: Option<String> = None, "unset: the servers that a domain's MX records name",
            hint "\"smtp://127.0.0.1:2626\"";
        /// Start although a public listener meets a `from` with public addresses in it.
        allow_wide_relay: bool = false, "", hint "false";
        /// A message with bytes above 127, at a next hop that does not offer 8BITMIME: "send" it
        /// unchanged, or "bounce" it with 5.6.3.
        eightbit: String = "send".to_owned(), "", hint "\"send\"";
        /// Ask the domains of recipients for their MTA-STS policy (RFC 8461) and keep it, and send only
        /// to the servers it names, in TLS with valid certificates, where it is enforced.
        mta_sts: bool = true, "", hint "true";
        /// Take mail from our own machines for addresses such as jane@[192.0.2.1]; else 550 5.1.2.
        address_literals: bool = false, "", hint "false";
        /// Port of servers that are found by MX records or named by an address literal.
        port: u64 = 25, "", hint "25", 1..=65535;
        /// Most sessions on their way out at a time; mail beyond that waits.
        max_sessions: u64 = 200, "", hint "200", 1..=10000;
        /// Most sessions at a time with one next hop: a `deliver`, `via`, or a domain found by MX.
        max_sessions_per_next_hop: u64 = 20, "", hint "20", 1..=10000;
        /// Most sessions at a time with one address and port, whichever domains are served there.
        max_sessions_per_address: u64 = 20, "", hint "20", 1..=10000;
        /// Most recipients of one transaction; more go in further transactions. A next hop that
        /// takes fewer is given fewer; one that says it takes more (RFC 9422) is given more, up to 1000.
        max_recipients_per_transaction: u64 = 100, "", hint "100", 1..=1000;
        /// A session without more mail for its next hop is kept so long.
        keep_idle_secs: u64 = 5, "seconds", hint "5", 0..=300;
    }
}

section! {
    /// Where names are looked up, to find the servers of other domains.
    Dns, DNS, "dns" {
        /// DNS servers by address, with a port if it is not 53. They must be resolvers that look up any
        /// name.
        servers: Vec<String> = Vec::new(), "(the system's, in /etc/resolv.conf)",
            hint "[\"127.0.0.1:53\"]";
        /// Check the signatures of DNSSEC, and by TLSA records that are proven the certificates of other
        /// domains' servers (DANE, RFC 7672). Off, since it needs DNS servers that hand on signatures,
        /// and domains that are signed wrongly get no mail then.
        dnssec: bool = false, "", hint "false";
        /// File with the DNSKEY records that DNSSEC is trusted by, as a zone file has them.
        trust_anchor: Option<String> = None, "unset: the keys of the root", hint "\"/etc/quell/root.key\"";
    }
}

section! {
    /// Who is told when a storm opens and when it ends, when mail was given up that may have been delivered, when
    /// sign-ins are guessed at, and when an account at a provider cannot be collected.
    Tell, TELL, "tell" {
        /// Program and arguments; the message for people comes on its standard input.
        command: Option<Vec<String>> = None, "unset: none is run", hint "[\"/usr/local/bin/page-the-operator\"]";
        /// Address that gets a mail.
        mail: Option<String> = None, "unset: no mail", live "\"jane@firm.example\"";
    }
}

section! {
    /// The log, on standard error.
    Log, LOG, "log" {
        /// `text` for people, `json` for programs.
        format: String = "text".to_owned(), "", hint "\"text\"";
        /// `error`, `warn`, `info`, `debug` or `trace`.
        level: String = "info".to_owned(), "", hint "\"info\"";
    }
}

section! {
    /// What is kept of people's mail beyond delivery.
    Privacy, PRIVACY, "privacy" {
        /// Evidence and header sets of absorbed copies are deleted after this time.
        evidence_days: u64 = 30, "days", hint "30", 1..=3650;
    }
}

section! {
    /// Further names for addresses in our domains: each with the list of addresses that get its mail.
    /// Targets may be aliases themselves.
    AliasesTable, ALIASES, "aliases" {}
}

/// All tables, in the order of the manual.
pub const SECTIONS: [Section; 19] = [
    SERVER, TLS, ACME, SMTP, SUBMISSION, CONSOLE, DOMAIN, ALIASES, PICKUP, RELAY, NEXT_HOP, DNS, JUDGE,
    POLICY, EXCEPTIONS, HOLD, TELL, LOG, PRIVACY,
];

/// `recipients` of a domain as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "write a list of local parts, [\"jane\", \"*\"], or \"file:PATH\"")]
pub enum Recipients {
    /// Local parts.
    List(Vec<String>),
    /// `file:PATH` or `ask`.
    Word(String),
}

/// The whole file as written: types are right, meanings are not yet checked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `[server]`
    pub server: Server,
    /// `[tls]`
    pub tls: Tls,
    /// `[acme]`
    pub acme: Acme,
    /// `[smtp]`
    pub smtp: Smtp,
    /// `[submission]`
    pub submission: Submission,
    /// `[console]`
    pub console: Console,
    /// `[domains."NAME"]`
    pub domains: BTreeMap<String, Domain>,
    /// `[aliases]`
    pub aliases: BTreeMap<String, Vec<String>>,
    /// `[[pickup]]`
    pub pickup: Vec<PickupTable>,
    /// `[relay]`
    pub relay: Relay,
    /// `[next_hops."NAME"]`
    pub next_hops: BTreeMap<String, NextHopTable>,
    /// `[dns]`
    pub dns: Dns,
    /// `[judge]`
    pub judge: Judge,
    /// `[policy]`
    pub policy: PolicyTable,
    /// `[exceptions]`
    pub exceptions: ExceptionsTable,
    /// `[hold]`
    pub hold: Hold,
    /// `[tell]`
    pub tell: Tell,
    /// `[log]`
    pub log: Log,
    /// `[privacy]`
    pub privacy: Privacy,
}

impl Section {
    /// Its heading in the file, for a table of that name.
    pub fn heading(&self, name: &str) -> String {
        if self.repeats() { format!("[[{name}]]") } else { format!("[{name}]") }
    }

    /// There may be several tables of its name.
    fn repeats(&self) -> bool {
        self.name == PICKUP.name
    }
}

impl Setting {
    /// `smtp.max_line_bytes`
    pub fn key(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

/// `docs/settings.md`.
pub fn manual() -> String {
    let mut text = String::from(
        "# Settings\n\nGenerated by `quell manual settings`; a test compares. Every key has a \
         default, unknown keys are errors.\n",
    );
    for section in &SECTIONS {
        let heading = section.heading(section.name);
        text.push_str(&format!("\n## `{heading}`\n\n{}\n", joined(section.help)));
        for setting in section.settings {
            text.push_str(&format!("\n### `{}`\n\n{}\n\n", setting.name, joined(setting.help)));
            text.push_str(&format!("{}\n", facts(setting)));
            text.push_str(&format!("```toml\n{} = {}\n```\n", setting.name, setting.example));
        }
    }
    text
}

fn joined(help: &[&str]) -> String {
    help.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// Default, unit and range in one line.
fn facts(setting: &Setting) -> String {
    let mut facts = match (setting.default)() {
        Some(default) => format!("Default: `{default}` {}", setting.unit).trim_end().to_owned(),
        None => format!("Default: {}", setting.unit),
    };
    if let Some((least, most)) = setting.range {
        facts.push_str(&format!("; from {least} to {most}"));
    }
    facts + ".\n"
}

/// `docs/quell.toml.example`: a configuration that works as it stands.
pub fn example() -> String {
    let mut text = String::from(
        "# An example configuration: generated by `quell manual example`, a test compares.\n\
         # A line that starts with # and a key shows its default or a possible value.\n",
    );
    for section in &SECTIONS {
        // A rule for a next hop is of somebody else's domain.
        let of = if section.name.starts_with("next_hops") { "partner.example" } else { "firm.example" };
        let name = section.name.replace("NAME", of);
        // Each of its tables is one more account: the example has none.
        let mark = if section.repeats() { "#" } else { "" };
        text.push_str(&format!("\n# {}\n{mark}{}\n", joined(section.help), section.heading(&name)));
        for setting in section.settings {
            for line in setting.help {
                text.push_str(&format!("#  {}\n", line.trim()));
            }
            let mark = if setting.live { "" } else { "#" };
            text.push_str(&format!("#  {}", facts(setting)));
            text.push_str(&format!("{mark}{} = {}\n", setting.name, setting.example));
        }
        if section.name == "aliases" {
            text.push_str("\"info@firm.example\" = [\"jane@firm.example\"]\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::path::Path;

    fn keys(value: &toml::Value) -> Vec<String> {
        let mut keys = Vec::new();
        for (section, value) in value.as_table().unwrap() {
            // A list of tables is empty by default.
            let Some(table) = value.as_table() else { continue };
            keys.extend(table.keys().map(|key| format!("{section}.{key}")));
        }
        keys
    }

    /// Structure and description come from one declaration; what is left to prove is that every
    /// table is in [`SECTIONS`], and that every example can be read.
    #[test]
    fn every_table_and_key_is_described() {
        let written = toml::Value::try_from(Settings::default()).unwrap();
        let described: Vec<_> = SECTIONS.iter().flat_map(|s| s.settings).map(Setting::key).collect();
        for key in keys(&written) {
            assert!(described.contains(&key), "{key} is not described");
        }
        for table in written.as_table().unwrap().keys() {
            let found = SECTIONS.iter().any(|s| s.name.split('.').next() == Some(table.as_str()));
            assert!(found, "[{table}] is not described");
        }
        for setting in SECTIONS.iter().flat_map(|s| s.settings) {
            assert!(!setting.help.is_empty(), "{}", setting.key());
            let section = SECTIONS.iter().find(|section| section.name == setting.section).unwrap();
            let heading = section.heading(&setting.section.replace("NAME", "firm.example"));
            let text = format!("{heading}\n{} = {}\n", setting.name, setting.example);
            toml::from_str::<Settings>(&text).unwrap_or_else(|e| panic!("{text}{e}"));
        }
    }

    #[test]
    fn the_example_works_as_it_stands() {
        let config = Config::parse(Path::new("quell.toml"), &example(), "m.example");
        let config = config.unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(config.directory.postmaster()[0].identity, "jane@firm.example");
    }

    #[test]
    fn generated_files_are_fresh() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        for (file, text) in [("settings.md", manual()), ("quell.toml.example", example())] {
            let there = std::fs::read_to_string(docs.join(file)).unwrap_or_default();
            assert_eq!(there, text, "make it anew: scripts/generate");
        }
    }
}
