//! Where mail goes: domains with a next hop that is asked, the smart host, and reload of both.

use super::*;
use crate::support::TempDir;
use crate::support::peers::aiosmtpd::{self, At, Fault, Script, Scripted};
use crate::support::process::signal;
use crate::support::server::config;

/// `quell.toml` with these replacements is in force.
fn reload(server: &Server, changes: &[(&str, &str)]) {
    let mut text = std::fs::read_to_string(server.config_path()).expect("a configuration");
    for (old, new) in changes {
        assert!(text.contains(old), "{old} is not in\n{text}");
        text = text.replace(old, new);
    }
    std::fs::write(server.config_path(), text).expect("a configuration");
    let done = || server.output().matches("\"event\":\"reloaded\"").count();
    let before = done();
    signal(server.pid(), "HUP");
    assert!(wait_until(LIMIT, || done() > before), "{}", server.output());
}

fn rcpt(server: &Server, to: &str) -> String {
    let mut client = Client::hello(server.smtp_port);
    assert_eq!(client.command("MAIL FROM:<sender@client.example>").expect("a reply").code, 250);
    let reply = client.command(&format!("RCPT TO:<{to}>")).expect("a reply");
    format!("{} {}", reply.code, reply.text().split(' ').next().unwrap_or_default())
}

/// Addresses of all messages that a next hop took.
fn taken(hop: &Scripted) -> Vec<String> {
    hop.sendings().iter().flat_map(|sending| sending.recipients.iter().map(|r| r.to.clone())).collect()
}

#[test]
fn routes_and_who_is_asked_follow_the_configuration() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("operate-routes");
    let no_such = Fault::reply(At::Rcpt, "550 5.1.1 nobody of that name").of("gone@firm.example");
    let hop = Scripted::start(&directory, &Script::with([no_such]));
    let smart_host = Scripted::start(&directory, &Script::default());
    let aliases = "[aliases]\n\"info@firm.example\" = [\"Boss@firm.example\"]\n[relay]\n";
    let server = Server::start(&directory, &config(&format!("{aliases}{JSON_LOG}")));
    let maildir = "deliver = \"maildir\"\nrecipients = [\"jane\", \"*\"]";
    let next_hop = format!("deliver = \"smtp://127.0.0.1:{}\"", hop.port);
    let via = format!("[relay]\nvia = \"smtp://127.0.0.1:{}\"", smart_host.port);
    reload(&server, &[(maildir, &next_hop), ("[relay]", &via)]);
    for key in ["domains.firm.example.deliver", "domains.firm.example.recipients", "relay.via"] {
        wait_for_log(&server, &["\"event\":\"reload\"", &format!("\"key\":\"{key}\"")]);
    }
    assert_eq!(rcpt(&server, "gone@firm.example"), "550 5.1.1");
    assert_eq!(rcpt(&server, "Bob+x@Firm.Example"), "250 2.1.5");
    assert!(hop.sendings().is_empty(), "asking sends nothing");
    let to = ["Bob+x@Firm.Example", "info@firm.example", "Max+y@Elsewhere.example"];
    accepted(&server, &to, &mail("one"));
    wait_for_empty_queue(&server);
    let mut here = taken(&hop);
    here.sort_unstable();
    assert_eq!(here, ["Bob+x@Firm.Example", "boss@firm.example"]);
    assert_eq!(taken(&smart_host), ["Max+y@Elsewhere.example"]);
    let said = quell(&server, &["mailbox", "add", "bob@firm.example"]);
    assert!(said.status == 1 && said.err.contains("has no mailboxes here"), "{said:?}");
    // And back.
    reload(&server, &[(&next_hop, maildir)]);
    assert_eq!(rcpt(&server, "gone@firm.example"), "250 2.1.5");
    accepted(&server, &["jane@firm.example"], &mail("two"));
    wait_for_mails(&server, "jane", 1);
    assert_eq!(taken(&hop).len(), 2);
}

#[test]
fn a_next_hop_that_cannot_be_asked_makes_nobody_unknown() {
    if !aiosmtpd::available() {
        return;
    }
    let directory = TempDir::new("operate-unasked");
    let hop = Scripted::start(&directory, &Script { lmtp: true, ..Script::default() });
    let text = config(JSON_LOG).replace(
        "deliver = \"maildir\"\nrecipients = [\"jane\", \"*\"]",
        &format!("deliver = \"lmtp://127.0.0.1:{}\"\nrecipients = \"ask\"", hop.port),
    );
    let server = Server::start(&directory, &text);
    assert_eq!(rcpt(&server, "bob@firm.example"), "250 2.1.5");
    drop(hop);
    assert_eq!(rcpt(&server, "max@firm.example"), "451 4.4.3");
    // The configuration names the postmaster; bob was there a moment ago.
    assert_eq!(rcpt(&server, "jane@firm.example"), "250 2.1.5");
    assert_eq!(rcpt(&server, "postmaster"), "250 2.1.5");
    assert_eq!(rcpt(&server, "bob@firm.example"), "250 2.1.5");
}
