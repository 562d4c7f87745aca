//! Other servers than Dovecot: popa3d, which knows no CAPA, and Courier.

use super::{LIMIT, PASSWORD, account, two_mailboxes};
use crate::crash::wait_until_empty;
use crate::support::peers::courier::{self, Courier};
use crate::support::peers::popa3d::{self, Popa3d};
use crate::support::process::run;
use crate::support::promises::{Promises, Random, message};
use crate::support::smtp::date_now;
use crate::support::{Server, TempDir, maildir, wait_until};

/// A server with one account at this port, in the clear, for its user `jane`.
fn server(directory: &TempDir, scheme: &str, port: u16, more: &str) -> Server {
    let url = format!("{scheme}://127.0.0.1:{port}");
    let more = format!("tls = \"never\"\nto = [\"jane@firm.example\"]\n{more}");
    let account = account(directory, "office", &url, &more).replace(super::OFFICE, "jane");
    Server::start(directory, &two_mailboxes(&account))
}

fn collects(server: &Server) {
    run(&mut server.command(&["pickup", "run", "office"]));
    wait_until_empty(server, LIMIT);
}

fn check(server: &Server, promises: &Promises) {
    let found = promises.check(&server.data.join("mail/firm.example"));
    assert_eq!(found, Ok(promises.count()), "{}", server.output());
}

/// Messages that must end up with jane.
fn messages(promises: &Promises, random: &mut Random, count: usize) -> Vec<Vec<u8>> {
    let date = date_now();
    let make = |_| {
        let id = format!("s{}", promises.count());
        promises.answered(&id, &["jane"]);
        message(&id, &date, 700, random)
    };
    (0..count).map(make).collect()
}

#[test]
fn popa3d_is_collected_from() {
    if !popa3d::available() {
        return;
    }
    let directory = TempDir::new("pickup-popa3d");
    let popa3d = Popa3d::start(&directory, PASSWORD);
    let server = server(&directory, "pop3", popa3d.port(), "");
    let (promises, mut random) = (Promises::default(), Random::new(1));
    for count in [20, 0, 3] {
        messages(&promises, &mut random, count).iter().for_each(|message| popa3d.deliver(message));
        collects(&server);
        check(&server, &promises);
        assert!(wait_until(LIMIT, || popa3d.left() == 0), "{} left", popa3d.left());
    }
}

/// Its UIDL is a hash: two that are the same, to the last byte, have one name and are one message.
#[test]
fn two_that_popa3d_cannot_tell_apart() {
    if !popa3d::available() {
        return;
    }
    let directory = TempDir::new("pickup-popa3d-same");
    let popa3d = Popa3d::start(&directory, PASSWORD);
    let server = server(&directory, "pop3", popa3d.port(), "");
    let (promises, mut random) = (Promises::default(), Random::new(2));
    let all = messages(&promises, &mut random, 3);
    for message in [&all[0], &all[1], &all[1], &all[2], &all[0]] {
        popa3d.deliver(message);
    }
    for _ in 0..2 {
        collects(&server);
        check(&server, &promises);
    }
    assert!(wait_until(LIMIT, || popa3d.left() == 0), "{} left", popa3d.left());
}

#[test]
fn what_popa3d_keeps_comes_once() {
    if !popa3d::available() {
        return;
    }
    let directory = TempDir::new("pickup-popa3d-keep");
    let popa3d = Popa3d::start(&directory, PASSWORD);
    let server = server(&directory, "pop3", popa3d.port(), "keep = true\n");
    let (promises, mut random) = (Promises::default(), Random::new(3));
    for round in 1..=3 {
        messages(&promises, &mut random, 5).iter().for_each(|message| popa3d.deliver(message));
        collects(&server);
        check(&server, &promises);
        assert_eq!(popa3d.left(), 5 * round);
    }
}

fn courier_is_collected_from(scheme: &str) {
    if !courier::available() {
        return;
    }
    let directory = TempDir::new(&format!("pickup-courier-{scheme}"));
    let courier = Courier::start(&directory, PASSWORD);
    let port = if scheme == "pop3" { courier.pop3_port() } else { courier.imap_port() };
    let server = server(&directory, scheme, port, "");
    let (promises, mut random) = (Promises::default(), Random::new(4));
    for (round, count) in [20, 0, 3].into_iter().enumerate() {
        for (number, message) in messages(&promises, &mut random, count).iter().enumerate() {
            courier.deliver(round * 100 + number, message);
        }
        collects(&server);
        check(&server, &promises);
        assert!(wait_until(LIMIT, || courier.left() == 0), "{} left\n{}", courier.left(), courier.said());
    }
    assert_eq!(maildir::count(&server.maildir("firm.example", "jane")), 23);
}

#[test]
fn courier_is_collected_from_by_pop3() {
    courier_is_collected_from("pop3");
}

#[test]
fn courier_is_collected_from_by_imap() {
    courier_is_collected_from("imap");
}
