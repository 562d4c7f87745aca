//! What `[[pickup]]` means.

use quell_relay::collect::Whose;

use crate::config::Config;
use crate::pickup::{Account, Keep, Protocol, Secret, Tls};

pub(super) fn facts(config: &Config) -> Vec<String> {
    let mut facts: Vec<String> = config.pickup.iter().map(|account| about(account)).collect();
    if !facts.is_empty() {
        facts.push(
            "collected mail goes to nobody outside our domains, and To, Cc and Bcc say nothing".to_owned(),
        );
    }
    facts
}

fn about(account: &Account) -> String {
    let whose = match &account.mail.whose {
        Whose::These(to) => format!("goes to {}", to.join(", ")),
        Whose::Stamped(stamp) => {
            let field = stamp
                .field
                .as_deref()
                .map_or("the `for` clause".to_owned(), |name| format!("the top-most {name}"));
            let unplaced = account.mail.unplaced.as_deref().unwrap_or("the postmaster");
            format!("goes to whom {field} stamped by {} names, else to {unplaced}", stamp.hosts.join(", "))
        }
    };
    let keep = match account.keep {
        Keep::No => "nothing stays there".to_owned(),
        Keep::Yes => "everything stays there".to_owned(),
        Keep::Days(1) => "it stays there for a day".to_owned(),
        Keep::Days(days) => format!("it stays there for {days} days"),
    };
    let tls = match account.server.tls {
        Tls::Never => "in the clear",
        Tls::Implicit => "over TLS",
        Tls::Upgrade if account.server.protocol == Protocol::Pop3 => "over TLS by STLS",
        Tls::Upgrade => "over TLS by STARTTLS",
    };
    let idle = if account.idle { ", and at once where the server tells" } else { "" };
    format!(
        "mail of {} at {} ({tls}) {whose}; {keep}; looked at every {} s{idle}",
        account.name(),
        account.server,
        account.poll.as_secs()
    )
}

/// What cannot work as it stands. Nobody is asked: `quell pickup test` does that.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    for account in &config.pickup {
        let why = match &account.secret {
            // Commands may ask a person, or a service that counts.
            Secret::Command(_) | Secret::Token(..) => None,
            Secret::Env(name) if std::env::var_os(name).is_none() => {
                Some(format!("the environment variable {name} is not set here; the server needs it"))
            }
            Secret::Env(_) => None,
            Secret::File(_) => account.secret.read().err().map(|why| why.why),
        };
        warnings.extend(why.map(|why| format!("account {}: {why}", account.name())));
    }
    warnings
}
