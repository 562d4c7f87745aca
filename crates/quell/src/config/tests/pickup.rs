//! `[[pickup]]`.

use quell_relay::collect::{Stamp, Whose};

use super::*;
use crate::pickup::{Keep, Protocol, Secret, Tls};

const DOMAIN: &str = "[server]\npostmaster = \"jane@firm.example\"\n[domains.\"firm.example\"]\nrecipients = [\"jane\", \"joe\"]\n[domains.\"inner.example\"]\ndeliver = \"smtp://10.0.0.2:25\"\n";
const ACCOUNT: &str =
    "[[pickup]]\nserver = \"pop3s://pop.provider.example\"\nuser = \"office\"\npassword_env = \"PW\"\n";
const TO: &str = "to = [\"jane@firm.example\"]\n";

fn with(account: &str) -> Result<Config, Faults> {
    parse(&format!("{DOMAIN}{ACCOUNT}{account}"))
}

#[test]
fn an_account_is_compiled() {
    let config = with(TO).unwrap();
    let account = &config.pickup[0];
    assert_eq!(
        (account.name(), account.server.to_string().as_str()),
        ("office@pop.provider.example", "pop3s://pop.provider.example:995")
    );
    assert_eq!(
        (account.keep, account.secret.clone(), account.idle),
        (Keep::No, Secret::Env("PW".into()), false)
    );
    assert_eq!(account.mail.whose, Whose::These(vec!["jane@firm.example".to_owned()]));
    assert!(config.warnings.iter().all(|warning| !warning.contains("pickup")), "{:?}", config.warnings);
    let stamp = with("name = \"all\"\nkeep = 14\nenvelope = \"Delivered-To:\"\nstamped_by = [\"MX.Provider.example.\", \"*.in.provider.example\"]\n").unwrap();
    let hosts = vec!["mx.provider.example".to_owned(), "*.in.provider.example".to_owned()];
    let wanted = Stamp { field: Some("delivered-to".to_owned()), hosts, prefix: String::new() };
    assert_eq!(
        (stamp.pickup[0].mail.whose.clone(), stamp.pickup[0].keep),
        (Whose::Stamped(wanted), Keep::Days(14))
    );
}

#[test]
fn servers_are_read() {
    for (server, tls, protocol, port, how) in [
        ("pop3://pop.provider.example", "require", Protocol::Pop3, 110, Tls::Upgrade),
        ("pop3://[::1]:1100", "never", Protocol::Pop3, 1100, Tls::Never),
        ("pop3s://10.0.0.7:9950", "require", Protocol::Pop3, 9950, Tls::Implicit),
        ("imap://imap.provider.example", "require", Protocol::Imap, 143, Tls::Upgrade),
        ("imaps://imap.provider.example", "require", Protocol::Imap, 993, Tls::Implicit),
    ] {
        let text = format!(
            "{DOMAIN}[[pickup]]\nserver = \"{server}\"\ntls = \"{tls}\"\nuser = \"a@b.example\"\npassword_env = \"PW\"\n{TO}"
        );
        let config = parse(&text).unwrap();
        let found = &config.pickup[0].server;
        assert_eq!((found.protocol, found.port, found.tls), (protocol, port, how), "{server}");
    }
    let text = format!(
        "{DOMAIN}[[pickup]]\nserver = \"imaps://x.example\"\nuser = \"a\"\npassword_env = \"PW\"\nmailbox = \" \"\n{TO}"
    );
    let faults = parse(&text).unwrap_err().to_string();
    assert!(faults.contains("no name of a mailbox"), "{faults}");
    let text = format!(
        "{DOMAIN}[[pickup]]\nserver = \"imap://10.0.0.7\"\ntls = \"never\"\nuser = \"a@b.example\"\npassword_env = \"PW\"\n{TO}"
    );
    assert!(parse(&text).unwrap().warnings.iter().any(|warning| warning.contains("in the clear")));
}

/// Lines of an account, the key of the fault, a word of its message or help.
#[test]
fn faults_of_accounts_name_their_line() {
    for (lines, key, word) in [
        ("", "to", "does not say whose"),
        ("to = [\"x@firm.example\"]", "to", "nobody has the address"),
        ("to = [\"jane@elsewhere.example\"]", "to", "one of our domains"),
        ("to = [\"jane\"]", "to", "one of our domains"),
        ("to = [\"jane@firm.example\"]\nenvelope = \"Delivered-To\"", "envelope", "already"),
        ("to = [\"jane@firm.example\"]\nstamped_by = [\"mx.x.example\"]", "stamped_by", "no stamp"),
        ("envelope = \"Delivered-To\"", "stamped_by", "anybody can write"),
        ("envelope = \"To\"\nstamped_by = [\"mx.x.example\"]", "envelope", "never comes from"),
        ("envelope = \"Cc\"\nstamped_by = [\"mx.x.example\"]", "envelope", "never comes from"),
        ("envelope = \"Bcc\"\nstamped_by = [\"mx.x.example\"]", "envelope", "never comes from"),
        ("envelope = \"Resent-To\"\nstamped_by = [\"mx.x.example\"]", "envelope", "never comes from"),
        ("envelope = \"X-\"\nstamped_by = [\"mx.x.example\"]", "envelope", "never comes from"),
        ("envelope = \"X-To\"\nstamped_by = [\"not a host\"]", "stamped_by", "no host name"),
        ("to = [\"jane@firm.example\"]\nunplaced = \"x@firm.example\"", "unplaced", "nobody has"),
        ("to = [\"jane@firm.example\"]\npassword_file = \"pw\"", "password_file", "more than one way"),
        ("to = [\"jane@firm.example\"]\nauth = \"xoauth2\"", "auth", "token_command"),
        ("to = [\"jane@firm.example\"]\nkeep = 99999", "keep", "hundred years"),
        ("to = [\"jane@firm.example\"]\nkeep = \"yes\"", "keep", "number of days"),
        ("to = [\"jane@firm.example\"]\npoll_secs = 1", "poll_secs", "from 10 to"),
        ("to = [\"jane@firm.example\"]\nname = \"a b\"", "name", "1 to 64"),
        ("to = [\"jane@firm.example\"]\ntls = \"never\"", "tls", "pop3:// or imap://"),
        ("to = [\"jane@firm.example\"]\ntls = \"maybe\"", "tls", "\"require\" or \"never\""),
        ("to = [\"jane@firm.example\"]\nmailbox = \"\"", "mailbox", "one mailbox only"),
        ("to = [\"jane@firm.example\"]\nmailbox = \"Junk\"", "mailbox", "one mailbox only"),
        ("to = [\"jane@firm.example\"]\nfolder = \"x\"", "folder", "unknown field"),
        ("to = [\"jane@firm.example\"]\npassword = \"x\"", "password", "`password_file`"),
        ("to = \"jane@firm.example\"", "to", "write a list"),
    ] {
        let faults = with(lines).unwrap_err();
        let problem = &faults.problems[0];
        assert_eq!(faults.problems.len(), 1, "{lines}: {faults}");
        assert_eq!(problem.key, format!("pickup.{key}"), "{lines}: {faults}");
        assert!(problem.message.contains(word) || problem.help.contains(word), "{lines}: {faults}");
        let line = faults.position(problem).map(|at| at.0);
        assert!(line.is_some_and(|line| line > DOMAIN.lines().count()), "{lines}: {faults}");
    }
    for (account, word) in [
        ("[[pickup]]\n", "no server"),
        ("[pickup]\n", "write [[pickup]]"),
        ("[[pickup]]\nserver = \"smtp://x.example\"\n", "no POP3 or IMAP server"),
        ("[[pickup]]\nserver = \"pop3://x.example:0\"\n", "is no port"),
    ] {
        let faults =
            parse(&format!("{DOMAIN}{account}user = \"a\"\npassword_env = \"PW\"\n{TO}")).unwrap_err();
        assert!(faults.to_string().contains(word), "{account}: {faults}");
    }
}

#[test]
fn the_second_of_two_accounts_is_named_by_its_own_line() {
    let text = format!("{DOMAIN}{ACCOUNT}{TO}{ACCOUNT}{TO}");
    let faults = parse(&text).unwrap_err();
    assert!(faults.to_string().contains("is the name of another account"), "{faults}");
    let second = text.lines().collect::<Vec<_>>().iter().rposition(|line| *line == "[[pickup]]").unwrap() + 1;
    assert!(faults.position(&faults.problems[0]).unwrap().0 >= second, "{faults}");
    let both = format!(
        "{DOMAIN}{ACCOUNT}{TO}{ACCOUNT}name = \"b\"\nto = [\"jane@firm.example\", \"x@y.example\"]\n"
    );
    let faults = parse(&both).unwrap_err();
    assert_eq!(faults.position(&faults.problems[0]).unwrap().0, both.lines().count(), "{faults}");
}

#[test]
fn a_reload_names_the_account_that_changes() {
    let old = with(&format!("name = \"office\"\n{TO}")).unwrap();
    let new = with(&format!("name = \"office\"\npoll_secs = 60\n{TO}")).unwrap();
    let changes = Config::diff(&old, &new);
    assert_eq!(changes, [Change { key: "pickup.office.poll_secs".to_owned(), needs_restart: false }]);
    assert!(!old.pickup[0].is_same(&new.pickup[0]) && old.pickup[0].is_same(&old.pickup[0]));
}

#[test]
fn a_password_in_the_wrong_place_is_not_shown() {
    for line in ["password = \"geheim\"", "token = 'geheim'"] {
        let faults = with(&format!("{line}\n{TO}")).unwrap_err().to_string();
        assert!(faults.contains("*****") && !faults.contains("geheim"), "{faults}");
    }
    let faults = with(&format!("password_file = 7\n{TO}")).unwrap_err().to_string();
    assert!(faults.contains("password_file = 7"), "{faults}");
}

#[test]
fn two_accounts_of_one_mailbox_are_warned_of() {
    let same = format!("{DOMAIN}{ACCOUNT}{TO}{ACCOUNT}name = \"b\"\nto = [\"joe@firm.example\"]\n");
    let warnings = parse(&same).unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("collect the same mailbox")), "{warnings:?}");
}

/// A domain whose next hop is asked takes anybody; collected mail is taken for those who are named.
#[test]
fn people_behind_a_next_hop_can_be_named() {
    let config = with("to = [\"anybody@inner.example\"]\nunplaced = \"it@inner.example\"\n").unwrap();
    assert_eq!(config.pickup.len(), 1);
}
