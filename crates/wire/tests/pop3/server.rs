//! What a client says, and what it is told.

use std::sync::Arc;

use quell_wire::pop3::fuzz::Host;
use quell_wire::pop3::server::{Closing, Session, Settings, Step};

const MESSAGES: [&[u8]; 4] =
    [b"Subject: one\r\n\r\n.dot\r\nb\r\n", b"Subject: two\n\n1\n2\n3", b"!cannot be read", b"?breaks off"];

/// All that is said after the greeting.
fn said(settings: Settings, commands: &str) -> (String, Option<Closing>, Vec<Vec<u32>>) {
    let mut host = Host::new(settings, &MESSAGES, 5);
    assert_eq!(host.says(b""), b"+OK pop.example POP3 quell\r\n");
    let said = host.says(commands.replace('\n', "\r\n").as_bytes());
    (String::from_utf8(said).unwrap().replace("\r\n", "\n"), host.closed, host.commits)
}

fn settings() -> Settings {
    Settings::new("pop.example")
}

fn signed_in(commands: &str) -> String {
    let (text, ..) = said(settings(), &format!("USER jane\nPASS x\n{commands}"));
    text.strip_prefix("+OK send PASS\n+OK 4 messages\n").unwrap().to_owned()
}

#[test]
fn commands_of_a_maildrop() {
    let no_such = "-ERR no such message\n";
    for (commands, responses) in [
        ("STAT\n", "+OK 4 70\n"),
        ("LIST\n", "+OK listing follows\n1 25\n2 19\n3 15\n4 11\n.\n"),
        ("list 2\n", "+OK 2 19\n"),
        ("LIST 5\n", no_such),
        ("UIDL\n", "+OK listing follows\n1 id1\n2 id2\n3 id3\n4 id4\n.\n"),
        ("UIDL 4\n", "+OK 4 id4\n"),
        ("RETR 1\n", "+OK 25 octets\nSubject: one\n\n..dot\nb\n.\n"),
        ("RETR 2\n", "+OK 19 octets\nSubject: two\n\n1\n2\n3\n.\n"),
        ("RETR 3\nNOOP\n", "-ERR [SYS/TEMP] the message cannot be read now\n+OK\n"),
        ("RETR 4\nNOOP\n", "+OK 11 octets\n?brea"),
        ("RETR 0\n", no_such),
        ("RETR\n", "-ERR syntax: RETR number\n"),
        ("RETR 4294967297\n", "-ERR syntax: RETR number\n"),
        ("TOP 1 0\n", "+OK top of message follows\nSubject: one\n\n.\n"),
        ("TOP 1 1\nNOOP\n", "+OK top of message follows\nSubject: one\n\n..dot\n.\n+OK\n"),
        ("TOP 2 2\n", "+OK top of message follows\nSubject: two\n\n1\n2\n.\n"),
        ("TOP 2 9\n", "+OK top of message follows\nSubject: two\n\n1\n2\n3\n.\n"),
        ("TOP 1\n", "-ERR syntax: TOP number lines\n"),
        (
            "DELE 2\nSTAT\nLIST\nRETR 2\nDELE 2\nLIST 2\n",
            &format!(
                "+OK marked as deleted\n+OK 3 51\n+OK listing follows\n1 25\n3 15\n4 11\n.\n{}",
                no_such.repeat(3)
            ),
        ),
        ("DELE 2\nRSET\nLIST 2\n", "+OK marked as deleted\n+OK\n+OK 2 19\n"),
        ("USER jane\n", "-ERR unknown command, or not now\n"),
        ("APOP x\n", "-ERR unknown command, or not now\n"),
        ("CAPA\n", "+OK capabilities follow\nTOP\nUSER\nPIPELINING\nRESP-CODES\nAUTH-RESP-CODE\nUIDL\n.\n"),
    ] {
        assert_eq!(signed_in(commands), responses, "{commands}");
    }
}

#[test]
fn commands_before_the_sign_in() {
    let not_now = "-ERR unknown command, or not now\n";
    for (commands, responses) in [
        ("STAT\n", not_now),
        ("DELE 1\n", not_now),
        ("NOOP\n", not_now),
        ("PASS x\n", "-ERR USER first\n"),
        ("USER\n", "-ERR syntax: USER name\n"),
        ("USER jane\nPASS \n", "+OK send PASS\n-ERR syntax: PASS password\n"),
        ("USER busy\nPASS x\n", "+OK send PASS\n-ERR [IN-USE] the maildrop is in use\n"),
        ("USER trouble\nPASS x\n", "+OK send PASS\n-ERR [SYS/TEMP] try again later\n"),
        (
            "USER a\nPASS wrong\nPASS x\n",
            "+OK send PASS\n-ERR [AUTH] wrong user name or password\n-ERR USER first\n",
        ),
        ("USER a\nPASS x\nUSER b\n", "+OK send PASS\n+OK 4 messages\n-ERR unknown command, or not now\n"),
        ("QUIT\nNOOP\n", "+OK bye\n"),
    ] {
        assert_eq!(said(settings(), commands).0, responses, "{commands}");
    }
    let old = Settings { offer_capa: false, offer_uidl: false, ..settings() };
    assert_eq!(
        said(old, "CAPA\nUSER a\nPASS b\nUIDL\n").0,
        format!("{not_now}+OK send PASS\n+OK 4 messages\n{not_now}")
    );
}

#[test]
fn deletions_are_made_at_quit_only() {
    let sign_in = "USER jane\nPASS x\n";
    for (commands, commits) in [
        ("DELE 3\nDELE 1\nQUIT\n", vec![vec![1, 3]]),
        ("DELE 1\nRSET\nQUIT\n", vec![]),
        ("DELE 1\nRSET\nDELE 2\nQUIT\n", vec![vec![2]]),
        ("DELE 1\n", vec![]),
        ("DELE 1\nQUIT", vec![]),
        ("DELE 1\nRETR 4\nQUIT\n", vec![]),
        ("DELE 1\nQUIT\nQUIT\n", vec![vec![1]]),
        ("QUIT\n", vec![]),
    ] {
        assert_eq!(said(settings(), &format!("{sign_in}{commands}")).2, commits, "{commands}");
    }
}

#[test]
fn limits_end_the_session() {
    let sign_ins = "USER a\nPASS wrong\n".repeat(3);
    let long = format!("{}\n", "x".repeat(3000));
    for (settings, commands, end, why) in [
        (settings(), sign_ins.as_str(), "-ERR [AUTH] wrong user name or password\n", Some(Closing::SignIns)),
        (
            Settings { max_errors: 2, ..settings() },
            "X\nX\nX\n",
            "now\n-ERR too many errors\n",
            Some(Closing::Errors),
        ),
        (
            Settings { max_commands: 2, ..settings() },
            "CAPA\nCAPA\nQUIT\n",
            ".\n-ERR too many commands\n",
            Some(Closing::Commands),
        ),
        (settings(), "CAPA\rQUIT\n", "-ERR a carriage return without line feed\n", Some(Closing::Lines)),
        (settings(), &long, "-ERR line too long\n", None),
        (settings(), &"x".repeat(2_000_000), "-ERR line too long\n", Some(Closing::Lines)),
    ] {
        let (text, closed, _) = said(settings, commands);
        assert!(text.ends_with(end), "{text}");
        assert_eq!(closed, why, "{text}");
    }
    let few = Settings { max_messages: 1, ..settings() };
    assert!(said(few, "USER a\nPASS b\nLIST\n").0.ends_with("\n1 25\n.\n"));
}

#[test]
fn a_session_that_is_shut_down_deletes_nothing() {
    let mut session = Session::new(Arc::new(settings()));
    session.shut_down("stopping");
    session.shut_down("stopping");
    assert_eq!(session.output().as_slice(), b"+OK pop.example POP3 quell\r\n-ERR [SYS/TEMP] stopping\r\n");
    session.output().clear();
    assert_eq!(session.next(b"QUIT\r\n"), (6, Step::Closed(Closing::Caller)));
    assert!(session.output().is_empty());
}

/// A listing of fifty thousand messages comes in portions: `Host` asserts the bound.
#[test]
fn a_long_listing_comes_in_portions() {
    let messages = vec![&b"x"[..]; 50_000];
    let mut host = Host::new(settings(), &messages, 5);
    let text = String::from_utf8(host.says(b"USER a\r\nPASS b\r\nLIST\r\n")).unwrap();
    assert!(text.ends_with("\r\n50000 1\r\n.\r\n"), "{}", &text[text.len() - 40..]);
    assert_eq!(text.lines().count(), 50_005);
}
