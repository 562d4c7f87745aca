//! Dovecot as a provider: ways in, certificates, tokens, names of messages.

use super::Talk;
use crate::message;
use crate::support::peers::cutter::{Cut, Cutter};
use crate::support::peers::provider::{self, ADDRESS, Certificate, NAME, Options, Provider};
use crate::support::process::try_run;
use std::net::SocketAddr;
use std::process::Command;

const JANE: &str = "jane@firm.example";

/// What curl gets by a scheme, and whether it did.
fn curl(provider: &Provider, scheme: &str, path: &str, more: &[&str]) -> (bool, String) {
    let port = provider.at(scheme).port();
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20", "--ssl-reqd", "--cacert"]).arg(&provider.ca);
    command.arg("--resolve").arg(format!("{NAME}:{port}:{}", provider.at(scheme).ip()));
    command.args(more).arg(format!("{}/{path}", provider.url(scheme)));
    try_run(&mut command)
}

fn with_password<'a>() -> [&'a str; 2] {
    ["-u", "jane@firm.example:p w"]
}

fn started(options: Options) -> Option<Provider> {
    if !provider::available() {
        return None;
    }
    let provider = Provider::start(options);
    provider.add_user("other@firm.example", "x");
    provider.add_user(JANE, "p w");
    Some(provider)
}

#[test]
fn a_provider_serves_pop3_and_imap_by_tls() {
    let Some(provider) = started(Options::default()) else { return };
    let one = message("one");
    provider.deliver(JANE, &one);
    for (scheme, path) in [("pop3", "1"), ("pop3s", "1"), ("imap", "INBOX;UID=1"), ("imaps", "INBOX;UID=1")] {
        let (ok, said) = curl(&provider, scheme, path, &with_password());
        assert!(ok && said.contains("X-Test-Id: one"), "{scheme}: {said}\n{}", provider.said());
        let (ok, said) = curl(&provider, scheme, path, &["-u", "jane@firm.example:wrong"]);
        assert!(!ok, "{scheme}: {said}");
    }
    assert_eq!(provider.sign_ins(), (4, 4), "{}", provider.said());
    assert_eq!(provider.messages(JANE, "INBOX"), [one]);
    assert_eq!(provider.left("other@firm.example"), 0);
    assert!(curl(&provider, "pop3s", "1", &["-u", "jane@firm.example:p w", "-X", "DELE", "-I"]).0);
    provider.expect_left(JANE, 0);
}

#[test]
fn a_provider_takes_no_password_in_the_clear() {
    let Some(provider) = started(Options::default()) else { return };
    let (mut pop3, greeting) = Talk::to(provider.at("pop3"));
    assert!(greeting.starts_with("+OK"), "{greeting}");
    assert!(pop3.ask("USER jane@firm.example").starts_with("-ERR"));
    let (mut imap, greeting) = Talk::to(provider.at("imap"));
    assert!(greeting.contains("LOGINDISABLED"), "{greeting}");
    imap.say("a LOGIN jane@firm.example \"p w\"");
    let said = imap.until("a ");
    assert!(said.last().is_some_and(|line| line.contains("PRIVACYREQUIRED")), "{said:?}");
}

#[test]
fn a_providers_certificate_may_be_wrong() {
    let Some(mut provider) = started(Options::default()) else { return };
    for (certificate, right) in
        [(Certificate::Expired, false), (Certificate::WrongName, false), (Certificate::Right, true)]
    {
        provider.set_certificate(certificate);
        for scheme in ["pop3", "pop3s", "imap", "imaps"] {
            let (ok, said) = curl(&provider, scheme, "", &with_password());
            assert_eq!(ok, right, "{certificate:?}, {scheme}: {said}");
        }
    }
}

#[test]
fn a_provider_takes_tokens() {
    let Some(provider) = started(Options::default()) else { return };
    provider.deliver(JANE, &message("one"));
    for (scheme, path) in [("pop3s", "1"), ("imaps", "INBOX;UID=1")] {
        for way in ["AUTH=XOAUTH2", "AUTH=OAUTHBEARER"] {
            let ask = |token: &str| {
                let more = ["-u", "jane@firm.example", "--oauth2-bearer", token, "--login-options", way];
                curl(&provider, scheme, path, &more)
            };
            let (ok, said) = ask(&provider.token(JANE));
            assert!(ok && said.contains("X-Test-Id: one"), "{scheme}, {way}: {said}\n{}", provider.said());
            let (ok, said) = ask("e30.e30.e30");
            assert!(!ok, "{scheme}, {way}: {said}");
        }
    }
}

/// UIDLs of all messages, in the clear.
fn uidls(provider: &Provider) -> Vec<String> {
    let (mut talk, _) = Talk::to(provider.at("pop3"));
    assert!(talk.ask(&format!("USER {JANE}")).starts_with("+OK"));
    assert!(talk.ask("PASS p w").starts_with("+OK"), "{}", provider.said());
    talk.say("UIDL");
    let lines = talk.until(".");
    let name = |line: &String| line.split(' ').nth(1).expect("a UIDL").to_owned();
    lines[1..lines.len() - 1].iter().map(name).collect()
}

fn uidvalidity(provider: &Provider) -> String {
    let (mut talk, _) = Talk::to(provider.at("imap"));
    talk.say(&format!("a LOGIN {JANE} \"p w\""));
    talk.until("a ");
    talk.say("b SELECT INBOX");
    let lines = talk.until("b ");
    lines.into_iter().find(|line| line.contains("UIDVALIDITY")).expect("UIDVALIDITY")
}

#[test]
fn a_provider_gives_its_messages_other_names() {
    let Some(mut provider) = started(Options { plain: true, ..Options::default() }) else { return };
    (0..3).for_each(|number| provider.deliver(JANE, &message(&format!("m{number}"))));
    let (first, validity) = (uidls(&provider), uidvalidity(&provider));
    assert_eq!((first.len(), uidls(&provider)), (3, first.clone()));
    provider.reset_uidvalidity(JANE);
    let second = uidls(&provider);
    assert!(second.len() == 3 && second.iter().all(|uidl| !first.contains(uidl)), "{first:?} {second:?}");
    let other = uidvalidity(&provider);
    assert_ne!(other, validity);
    provider.reset_uidls();
    let third = uidls(&provider);
    assert!(third.len() == 3 && third.iter().all(|uidl| !second.contains(uidl)), "{second:?} {third:?}");
    assert_eq!(uidvalidity(&provider), other, "only POP3 names them anew");
}

#[test]
fn a_provider_tells_who_is_idle_of_a_new_message() {
    let Some(provider) = started(Options { plain: true, ..Options::default() }) else { return };
    let (mut talk, _) = Talk::to(provider.at("imap"));
    talk.say(&format!("a LOGIN {JANE} \"p w\""));
    talk.until("a ");
    talk.say("b SELECT INBOX");
    talk.until("b ");
    talk.say("c IDLE");
    talk.until("+");
    provider.deliver(JANE, &message("new"));
    assert_eq!(talk.until("* 1 EXISTS").last().map(String::as_str), Some("* 1 EXISTS"));
    provider.deliver_into(JANE, "Archive", &message("elsewhere"));
    assert_eq!((provider.left(JANE), provider.messages(JANE, "Archive").len()), (1, 1));
}

#[test]
fn a_provider_may_have_no_tls() {
    let options = Options { more: "ssl = no", plain: true, ..Options::default() };
    let Some(provider) = started(options) else { return };
    provider.deliver(JANE, &message("one"));
    for (scheme, more) in [("pop3", "STLS"), ("imap", "STARTTLS")] {
        let (ok, said) = curl(&provider, scheme, "", &with_password());
        assert!(!ok, "{scheme}: {said}");
        let (mut talk, greeting) = Talk::to(provider.at(scheme));
        talk.say(if scheme == "pop3" { "CAPA" } else { "a CAPABILITY" });
        let said = talk.until(if scheme == "pop3" { "." } else { "a " }).concat();
        assert!(!said.contains(more) && !greeting.contains(more), "{greeting} {said}");
    }
    assert_eq!(provider.sign_ins(), (0, 0));
    assert_eq!(uidls(&provider).len(), 1);
}

/// A session of POP3 that deletes the first message; how many of its answers came.
fn deletes(port: u16) -> usize {
    let (mut talk, greeting) = Talk::to(SocketAddr::from((ADDRESS, port)));
    let lines = [&format!("USER {JANE}"), "PASS p w", "DELE 1", "QUIT"];
    let answers = lines.map(|line| talk.ask(line));
    [&[greeting], &answers[..]].concat().iter().filter(|answer| answer.starts_with("+OK")).count()
}

/// What is cut behind QUIT is done there, and nobody hears of it.
#[test]
fn a_provider_deletes_what_was_asked_for_before_the_cut() {
    let Some(provider) = started(Options { plain: true, ..Options::default() }) else { return };
    provider.deliver(JANE, &message("one"));
    let cutter = Cutter::start(provider.at("pop3"));
    for lines in 1..=3 {
        cutter.arm(Cut::ClientLines(lines));
        assert!(deletes(cutter.port) <= lines as usize && !cutter.disarm());
        assert_eq!(provider.left(JANE), 1, "{lines}");
    }
    for lines in 1..=4 {
        cutter.arm(Cut::ServerLines(lines));
        assert_eq!(deletes(cutter.port), lines as usize);
        assert_eq!(provider.left(JANE), 1, "{lines}");
    }
    cutter.arm(Cut::ClientLines(4));
    assert!(deletes(cutter.port) <= 4 && !cutter.disarm());
    provider.expect_left(JANE, 0);
    provider.deliver(JANE, &message("two"));
    assert_eq!(deletes(cutter.port), 5);
    provider.expect_left(JANE, 0);
    provider.deliver(JANE, &message("three"));
    provider.empty(JANE);
    assert!(provider.messages(JANE, "INBOX").is_empty() && uidls(&provider).is_empty());
}
