//! Who can reach what, and what they may do there.

use std::net::SocketAddr;

use crate::config::Config;
use crate::config::ipnet::is_private;
use crate::sign_in::Users;

/// One line for each thing that can be reached.
pub(super) fn facts(config: &Config) -> Vec<String> {
    let mut facts = Vec::new();
    for address in config.smtp_listen.iter().chain(&config.smtp_listen_tls) {
        facts.push(format!(
            "reachable: SMTP at {address}, by {}: mail for our domains from everybody, for others {}",
            from_where(address),
            relaying(config)
        ));
    }
    for address in config.submission_listen.iter().chain(&config.submission_listen_tls) {
        facts.push(format!(
            "reachable: submission at {address}, by {}: mail from users who have signed in over TLS ({}), under their own addresses, to everybody",
            from_where(address),
            match &config.sign_in.users {
                Users::Store => "of `quell user list`".to_owned(),
                Users::Dovecot(socket) => format!("asked of Dovecot at {}", socket.display()),
            }
        ));
    }
    let console = &config.console_listen;
    let read = "to read, from this machine without the token, else with it; to change something with it";
    facts.push(format!("reachable: the console at {console}, by {}: {read}", from_where(console)));
    if let Some(acme) = &config.acme {
        let who = from_where(&acme.listen);
        facts.push(format!("reachable: answers to {} at {}, by {who}", acme.challenge.name(), acme.listen));
    }
    let socket = config.data.join("control.sock");
    facts.push(format!("reachable: {}, by this server's user and root on this machine", socket.display()));
    facts
}

fn relaying(config: &Config) -> String {
    match &config.relay_from[..] {
        [] => "from nobody".to_owned(),
        nets => format!("from {} only", super::list(nets)),
    }
}

/// In words.
fn from_where(address: &SocketAddr) -> &'static str {
    match address.ip() {
        ip if ip.is_loopback() => "this machine only",
        ip if is_private(ip) => "the private network",
        _ => "everybody who reaches this machine",
    }
}

/// What should not be reachable so.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut found: Vec<String> = about_console(config).into_iter().collect();
    if let Users::Dovecot(socket) = &config.sign_in.users
        && !socket.exists()
    {
        let socket = socket.display();
        found.push(format!("{socket} is not there: nobody can sign in until Dovecot's service auth makes it ([submission] users)"));
    }
    found
}

fn about_console(config: &Config) -> Option<String> {
    let console = config.console_listen.ip();
    if console.is_loopback() || config.settings.console.tls {
        return None;
    }
    Some(format!(
        "the console at {} can be reached from other machines and is not encrypted, so its token can be read on the way: set tls = true in [console], or let it listen on 127.0.0.1",
        config.console_listen
    ))
}
