//! popa3d and Courier: they let in, list, hand out, delete.

use super::Talk;
use crate::message;
use crate::support::TempDir;
use crate::support::peers::courier::{self, Courier};
use crate::support::peers::popa3d::{self, Popa3d};
use crate::support::wait_until;
use std::net::SocketAddr;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

fn here(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Signed in; the greeting and what came to CAPA.
fn pop3(port: u16, password: &str) -> (Talk, String) {
    let (mut talk, greeting) = Talk::to(here(port));
    assert!(greeting.starts_with("+OK"), "{greeting}");
    let capa = talk.ask("CAPA");
    if capa.starts_with("+OK") {
        talk.until(".");
    }
    assert!(talk.ask("USER jane").starts_with("+OK"));
    let said = talk.ask(&format!("PASS {password}"));
    (talk, capa + "|" + &said)
}

/// The names of its messages.
fn uidls(talk: &mut Talk) -> Vec<String> {
    talk.say("UIDL");
    let lines = talk.until(".");
    lines[1..lines.len() - 1].iter().map(|line| line[2..].to_owned()).collect()
}

#[test]
fn popa3d_serves_an_mbox() {
    if !popa3d::available() {
        return;
    }
    let directory = TempDir::new("popa3d");
    let popa3d = Popa3d::start(&directory, "secret");
    let one = message("one");
    for sent in [&one, &one, &message("two")] {
        popa3d.deliver(sent);
    }
    assert_eq!(pop3(popa3d.port(), "wrong").1, "-ERR|-ERR Authentication failed (bad password?)");
    let (mut talk, said) = pop3(popa3d.port(), "secret");
    assert_eq!(said, "-ERR|+OK");
    let names = uidls(&mut talk);
    assert!(names.len() == 3 && names[0] == names[1] && names[1] != names[2], "{names:?}");
    talk.say("RETR 1");
    assert!(talk.until(".").contains(&"X-Test-Id: one".to_owned()));
    assert_eq!((talk.ask("DELE 1"), talk.ask("QUIT")), ("+OK".to_owned(), "+OK".to_owned()));
    assert!(wait_until(LIMIT, || popa3d.left() == 2), "{} left", popa3d.left());
}

#[test]
fn courier_serves_pop3() {
    if !courier::available() {
        return;
    }
    let directory = TempDir::new("courier-pop3");
    let courier = Courier::start(&directory, "secret");
    (0..2).for_each(|number| courier.deliver(number, &message(&format!("m{number}"))));
    let (_, said) = pop3(courier.pop3_port(), "wrong");
    assert!(said.contains("|-ERR"), "{said}\n{}", courier.said());
    let (mut talk, said) = pop3(courier.pop3_port(), "secret");
    assert!(said.contains("|+OK"), "{said}\n{}", courier.said());
    assert_eq!(uidls(&mut talk).len(), 2);
    assert!(talk.ask("DELE 1").starts_with("+OK"));
    assert!(talk.ask("QUIT").starts_with("+OK"));
    assert!(wait_until(LIMIT, || courier.left() == 1), "{} left", courier.left());
}

#[test]
fn courier_serves_imap() {
    if !courier::available() {
        return;
    }
    let directory = TempDir::new("courier-imap");
    let courier = Courier::start(&directory, "secret");
    (0..2).for_each(|number| courier.deliver(number, &message(&format!("m{number}"))));
    let (mut talk, greeting) = Talk::to(here(courier.imap_port()));
    assert!(greeting.contains("IMAP4rev1"), "{greeting}");
    let mut ask = |line: &str| {
        talk.say(&format!("a {line}"));
        talk.until("a ")
    };
    assert!(
        ask("LOGIN jane wrong").last().is_some_and(|line| line.starts_with("a NO")),
        "{}",
        courier.said()
    );
    assert!(
        ask("LOGIN jane secret").last().is_some_and(|line| line.starts_with("a OK")),
        "{}",
        courier.said()
    );
    assert!(ask("SELECT INBOX").contains(&"* 2 EXISTS".to_owned()));
    assert!(ask("UID STORE 1 +FLAGS.SILENT (\\Deleted)").contains(&"a OK STORE completed.".to_owned()));
    assert!(ask("UID EXPUNGE 1").contains(&"a OK EXPUNGE completed".to_owned()));
    assert!(wait_until(LIMIT, || courier.left() == 1), "{} left", courier.left());
}
