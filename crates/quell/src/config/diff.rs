//! What a reload changes.

use super::Config;

/// Keys that a running server cannot change (DESIGN.md, "Configuration").
const NEEDS_RESTART: [&str; 17] = [
    "server.data",
    "server.user",
    "server.secret_file",
    "server.gateway",
    "smtp.listen",
    "smtp.listen_tls",
    "submission.listen",
    "submission.listen_tls",
    "console.listen",
    "console.tls",
    "acme.contact",
    "acme.directory",
    "acme.names",
    "acme.challenge",
    "acme.listen",
    "acme.ca_file",
    "judge.recent_entries",
];

/// A key whose value differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `smtp.max_line_bytes`
    pub key: String,
    /// The new value has no effect before the next start.
    pub needs_restart: bool,
}

pub(super) fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let (before, after) = (flat(old), flat(new));
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for key in keys {
        if before.get(key) != after.get(key) {
            // An account that comes or goes is one change.
            if let Some(account) = comes_or_goes(old, new, key) {
                let change = Change { key: account, needs_restart: false };
                if changes.last() != Some(&change) {
                    changes.push(change);
                }
                continue;
            }
            let needs_restart = NEEDS_RESTART.contains(&key.as_str());
            changes.push(Change { key: key.clone(), needs_restart });
        }
    }
    changes
}

/// `pickup.NAME`, if `key` is of an account that is in one of the two only.
fn comes_or_goes(old: &Config, new: &Config, key: &str) -> Option<String> {
    let has = |config: &Config| config.pickup.iter().any(|one| key.starts_with(&prefix(one.name())));
    if has(old) == has(new) {
        return None;
    }
    let all = old.pickup.iter().chain(&new.pickup);
    all.map(|one| prefix(one.name()))
        .find(|prefix| key.starts_with(prefix))
        .map(|prefix| prefix.trim_end_matches('.').to_owned())
}

fn prefix(account: &str) -> String {
    format!("pickup.{account}.")
}

/// Every key and its value. A list in a file counts as the value of its `recipients`.
fn flat(config: &Config) -> std::collections::BTreeMap<String, String> {
    let mut keys = std::collections::BTreeMap::new();
    if let Ok(value) = toml::Value::try_from(&config.settings) {
        let names: Vec<String> = config.pickup.iter().map(|one| one.name().to_owned()).collect();
        walk("", &value, &names, &mut keys);
    }
    for one in &config.outgoing.next_hops {
        // Files that were replaced count as their keys' values.
        let certificate = one.identity.as_ref().map(|identity| identity.key().cert.clone());
        let mut add = |key: &str, value: String| {
            keys.insert(format!("next_hops.{}.{key}", one.rule.name), value);
        };
        if let Some(chain) = certificate {
            add("certificate", chain.iter().map(|one| blake3::hash(one).to_string()).collect());
        }
        if let Some(authorities) = &one.authorities {
            add("ca_file", blake3::hash(format!("{:?}", authorities.roots).as_bytes()).to_string());
        }
    }
    for domain in config.directory.domains() {
        if let quell_relay::directory::Population::Listed(locals) = &domain.population {
            let mut locals: Vec<_> = locals.iter().map(String::as_str).collect();
            locals.sort_unstable();
            // "*" is not among them.
            let others = if domain.takes_others { " *" } else { "" };
            let value = format!("{}{others}", locals.join(" "));
            keys.insert(format!("domains.{}.recipients", domain.name), value);
        }
    }
    keys
}

fn walk(
    path: &str,
    value: &toml::Value,
    names: &[String],
    keys: &mut std::collections::BTreeMap<String, String>,
) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let dot = if path.is_empty() { "" } else { "." };
                walk(&format!("{path}{dot}{key}"), value, names, keys);
            }
        }
        // The accounts, in their order.
        toml::Value::Array(tables) if tables.iter().any(toml::Value::is_table) => {
            for (at, table) in tables.iter().enumerate() {
                let name = names.get(at).cloned().unwrap_or_else(|| at.to_string());
                walk(&format!("{path}.{name}"), table, names, keys);
            }
        }
        value => {
            keys.insert(path.to_owned(), value.to_string());
        }
    }
}
