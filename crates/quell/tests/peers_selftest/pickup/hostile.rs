//! The server that does what none should: first that it can serve as one should, then its faults.

use super::Talk;
use crate::message;
use crate::support::TempDir;
use crate::support::peers::hostile::{Does, Hostile, Protocol};
use crate::support::process::{run, try_run};
use crate::support::tls::{Files, NAME};
use std::net::SocketAddr;
use std::process::Command;

fn started(protocol: Protocol, does: Does) -> Hostile {
    let hostile = Hostile::start(protocol, does, None);
    for name in ["one", "two", "three"] {
        hostile.deliver(name, &message(name));
    }
    hostile
}

fn talk(hostile: &Hostile) -> (Talk, String) {
    Talk::to(SocketAddr::from(([127, 0, 0, 1], hostile.port)))
}

/// Signed in by POP3.
fn pop3(hostile: &Hostile) -> Talk {
    let (mut talk, greeting) = talk(hostile);
    assert!(greeting.starts_with("+OK"));
    talk.ask("USER jane");
    assert!(talk.ask("PASS x").starts_with("+OK"));
    talk
}

/// Signed in by IMAP, with a mailbox.
fn imap(hostile: &Hostile) -> Talk {
    let (mut talk, greeting) = talk(hostile);
    assert!(greeting.starts_with("* OK"));
    imap_ask(&mut talk, "LOGIN jane {1+}\r\nx");
    imap_ask(&mut talk, "SELECT INBOX");
    talk
}

fn imap_ask(talk: &mut Talk, command: &str) -> Vec<String> {
    talk.say(&format!("t {command}"));
    talk.until("t ")
}

fn curl(url: &str) -> String {
    run(Command::new("curl").args(["-sS", "--max-time", "20", "-u", "jane:x", url]))
}

#[test]
fn it_can_serve() {
    let pop = started(Protocol::Pop3, Does::Nothing);
    let url = format!("pop3://127.0.0.1:{}", pop.port);
    assert_eq!(curl(&format!("{url}/")).lines().count(), 3);
    assert!(curl(&format!("{url}/2")).contains("X-Test-Id: two"));
    let mut talk = pop3(&pop);
    assert_eq!((talk.ask("DELE 2"), talk.ask("QUIT")), ("+OK".to_owned(), "+OK bye".to_owned()));
    assert_eq!(pop.left(), ["one", "three"]);
    assert!(pop.said().contains(&"DELE 2".to_owned()) && pop.sessions() >= 3);

    let imap_server = started(Protocol::Imap, Does::Nothing);
    let url = format!("imap://127.0.0.1:{}/INBOX;UID=2", imap_server.port);
    assert!(curl(&url).contains("X-Test-Id: two"));
    let mut talk = imap(&imap_server);
    let found = imap_ask(&mut talk, "UID SEARCH ALL");
    assert_eq!(found, ["* SEARCH 1 2 3", "t OK done"]);
    let fetched = imap_ask(&mut talk, "UID FETCH 2:* (UID RFC822.SIZE BODY.PEEK[]<0.5>)");
    assert!(fetched[0].starts_with("* 2 FETCH (UID 2 FLAGS () RFC822.SIZE "), "{fetched:?}");
    assert!(fetched[0].ends_with(" BODY[]<0> {5}") && fetched[1] == "From:)", "{fetched:?}");
    assert!(imap_ask(&mut talk, "UID FETCH 3 BODY.PEEK[HEADER]").contains(&"X-Test-Id: three".to_owned()));
    let numbered = imap_ask(&mut talk, "FETCH 3 (UID RFC822.SIZE)");
    assert!(numbered[0].starts_with("* 3 FETCH (UID 3 ") && numbered.len() == 2, "{numbered:?}");
    imap_ask(&mut talk, "UID STORE 1,3 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(imap_ask(&mut talk, "UID EXPUNGE 3")[0], "* 3 EXPUNGE");
    assert_eq!(imap_server.left(), ["one", "two"]);
    imap_server.reset_uidvalidity();
    assert!(imap_ask(&mut talk, "SELECT INBOX").contains(&"* OK [UIDVALIDITY 2] x".to_owned()));
}

#[test]
fn its_pop3_has_faults() {
    let hostile = started(Protocol::Pop3, Does::SameUidl);
    let uidl = |hostile: &Hostile| {
        let mut talk = pop3(hostile);
        talk.say("UIDL");
        talk.until(".")
    };
    assert_eq!(uidl(&hostile), ["+OK", "1 same", "2 same", "3 same", "."]);
    hostile.does(Does::NoUidl);
    assert!(pop3(&hostile).ask("UIDL").starts_with("-ERR"));
    hostile.does(Does::SaysSize(7));
    assert_eq!(
        (pop3(&hostile).ask("STAT"), pop3(&hostile).ask("LIST 1")),
        ("+OK 3 21".into(), "+OK 1 7".into())
    );
    hostile.does(Does::RefusesTheSecond);
    assert!(pop3(&hostile).ask("RETR 2").starts_with("-ERR"));
    hostile.does(Does::ListsMany(300_000));
    let lines = uidl(&hostile);
    assert_eq!((lines.len(), lines[300_000].as_str()), (300_002, "300000 10300000"));
    assert_eq!(pop3(&hostile).ask("RETR 1"), "", "closed");
    hostile.does(Does::MessageWithoutEnd);
    let mut talk = pop3(&hostile);
    assert_eq!(talk.ask("RETR 1"), "+OK");
    assert!((0..50_000).all(|_| !talk.line().starts_with('.') && !talk.over));
    hostile.does(Does::LineWithoutEnd);
    let (mut talk, _) = self::talk(&hostile);
    talk.say("USER a\r\nPASS b\r\nSTAT");
    assert_eq!((talk.line(), talk.line()), ("+OK".into(), "+OK welcome".into()));
    assert!(talk.bytes(1 << 20).iter().all(|byte| *byte == b'x'));
}

#[test]
fn its_imap_has_faults() {
    let hostile = started(Protocol::Imap, Does::WrongTag);
    let (mut talk, _) = talk(&hostile);
    assert_eq!(imap_ask(&mut talk, "SELECT INBOX")[0], "another OK done");
    hostile.does(Does::AnnouncesLiteral(500 << 20));
    let mut talk = imap(&hostile);
    talk.say("t UID FETCH 1 BODY[]");
    assert!(talk.line().ends_with("BODY[] {524288000}"));
    hostile.does(Does::SaysSize(7));
    assert!(imap_ask(&mut imap(&hostile), "UID FETCH 1 RFC822.SIZE")[0].contains("RFC822.SIZE 7"));
    hostile.does(Does::RefusesTheSecond);
    let all = imap_ask(&mut imap(&hostile), "UID FETCH 1:* BODY[]");
    assert!(all.last().is_some_and(|line| line.starts_with("t NO")), "{all:?}");
    assert!(all.contains(&"X-Test-Id: three".into()) && !all.contains(&"X-Test-Id: two".into()));
    hostile.does(Does::ListsMany(300_000));
    let mut talk = imap(&hostile);
    assert_eq!(imap_ask(&mut talk, "UID FETCH 299999:* (UID FLAGS)").len(), 3);
    assert!(imap_ask(&mut talk, "UID SEARCH ALL")[0].ends_with(" 299999 300000"));
}

/// What stands behind the OK comes in one packet with it; TLS is there all the same.
#[test]
fn it_says_more_before_tls() {
    let directory = TempDir::new("hostile");
    let files = Files::make(&directory);
    let certificate = (files.chain.clone(), files.key.clone());
    for (protocol, scheme) in [(Protocol::Pop3, "pop3"), (Protocol::Imap, "imap")] {
        let hostile = Hostile::start(protocol, Does::Nothing, Some(&certificate));
        hostile.deliver("one", &message("one"));
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "-u", "jane:x", "--ssl-reqd", "--cacert"]).arg(&files.ca);
        curl.arg("--resolve").arg(format!("{NAME}:{}:127.0.0.1", hostile.port));
        curl.arg(format!("{scheme}://{NAME}:{}/", hostile.port));
        let (ok, said) = try_run(&mut curl);
        assert!(ok, "{scheme}: {said}");
        hostile.does(Does::InjectsBeforeTls);
        let (mut talk, _) = talk(&hostile);
        talk.say(if scheme == "pop3" { "STLS" } else { "t STARTTLS" });
        assert!(talk.line().contains("OK"));
        assert!(!talk.line().is_empty(), "something more");
        hostile.does(Does::Silent);
        let (ok, said) = try_run(curl.args(["--max-time", "1"]));
        assert!(!ok && said.contains("timed out"), "{said}");
    }
}
