//! Who makes the copies: named while they come in, at the opening, and after a restart.

use super::tell::storms;
use super::*;
use crate::support::TempDir;
use crate::support::server::config;
use std::path::PathBuf;

const FAULTY: &str = "mail.faulty.example";
const FAULTY_IP: &str = "192.0.2.44";

fn received(from: &str, ip: &str, by: &str, id: usize, second: usize) -> String {
    let (minute, second) = (second / 60, second % 60);
    format!(
        "Received: from {from} ({from} [{ip}])\r\n\tby {by} (Postfix) with ESMTP id 4Fx{id:05}\r\n\t\
         for <bob@firm.example>; Mon, 6 Jul 2026 10:{minute:02}:{second:02} +0000\r\n"
    )
}

/// Copy `n` of a message that the faulty server fetches and puts back into its outgoing mail: up to it
/// all have the same stamps, and each round adds two more.
fn copy(n: usize, mail: &[u8]) -> Vec<u8> {
    let mut header = String::new();
    let rounds = 1 + n / 4;
    for round in (1..=rounds).rev() {
        let at = 300 + 120 * n + 30 * round;
        let id = 1_000 * round + n;
        header += &received(FAULTY, FAULTY_IP, "relay.isp.example", id, at + 2);
        header += &format!(
            "Received: from mail pickup service by {FAULTY} with Microsoft SMTPSVC;\r\n\t \
             Mon, 6 Jul 2026 10:{:02}:{:02} +0000\r\n",
            at / 60,
            at % 60
        );
    }
    header += &received("out.publisher.example", "198.51.100.7", "pop.isp.example", 7, 130);
    header += &received("news.publisher.example", "198.51.100.5", "out.publisher.example", 6, 120);
    [header.as_bytes(), mail].concat()
}

/// With a command and a mail that tell of storms.
fn server(name: &str) -> (TempDir, Server, PathBuf) {
    let directory = TempDir::new(name);
    let told = directory.join("told");
    let script = format!("{{ echo \"culprits=$QUELL_CULPRITS\"; cat; }} >> {}", told.display());
    let more = format!(
        "{JSON_LOG}[tell]\ncommand = [\"sh\", \"-c\", {script:?}]\nmail = \"jane@firm.example\"\n[aliases]\n"
    );
    let server =
        Server::start(&directory, &config(&more).replace("[\"jane\", \"*\"]", "[\"jane\", \"bob\"]"));
    (directory, server, told)
}

/// The only storm, as the API says.
fn the_storm(server: &Server) -> Value {
    let storms = storms(server);
    assert_eq!(storms.len(), 1, "{storms:?}");
    storms.into_iter().next().expect("one")
}

/// The only culprit, which must be the faulty server.
fn the_faulty(storm: &Value) -> Value {
    let culprits = storm["culprits"].as_array().expect("a list");
    assert_eq!(culprits.len(), 1, "{culprits:?}");
    let culprit = culprits[0].clone();
    assert_eq!((&culprit["host"], &culprit["ip"]), (&FAULTY.into(), &FAULTY_IP.into()), "{culprit}");
    assert_eq!(culprit["class"], "resends", "{culprit}");
    let (share, sure) = (culprit["share"].as_f64(), culprit["confidence"].as_f64());
    assert!(share.is_some_and(|part| part > 0.9) && sure.is_some_and(|part| part >= 0.5), "{culprit}");
    assert!(culprit["evidence"].as_array().is_some_and(|lines| lines.len() > 1), "{culprit}");
    culprit
}

fn send_copies(server: &Server, mail: &[u8], numbers: std::ops::RangeInclusive<usize>) {
    for n in numbers {
        accepted(server, &["bob@firm.example"], &copy(n, mail));
    }
}

#[test]
fn the_server_that_makes_the_copies_is_named() {
    let (_directory, server, told) = server("operate-culprits");
    let one = mail("one");
    send_copies(&server, &one, 1..=12);
    let alert = wait_for_mails(&server, "jane", 1).remove(0);
    let alert = String::from_utf8(alert.content).expect("ASCII").replace('\r', "");
    let opening =
        format!("Made by:\n  {FAULTY} [{FAULTY_IP}]\n    sends out again what had arrived already; ");
    assert!(alert.contains(&opening), "{alert}");
    for secret in ["bob", "4Fx", "Test one"] {
        assert!(!alert.contains(secret), "{secret} in {alert}");
    }
    let named = || std::fs::read_to_string(&told).unwrap_or_default();
    assert!(wait_until(LIMIT, || named().contains("quell storms show")), "{}", named());
    assert!(named().starts_with(&format!("culprits={FAULTY} [{FAULTY_IP}]\n")), "{}", named());
    let storm = the_storm(&server);
    let culprit = the_faulty(&storm);
    assert!(culprit["copies"].as_u64().is_some_and(|n| (9..=11).contains(&n)), "{culprit}");
    let id = storm["id"].as_str().expect("an id");
    let (status, one_storm) = server.get(&format!("/api/v1/storms/{id}"));
    assert_eq!((status, &serde_json::from_str::<Value>(&one_storm).expect("JSON")), (200, &storm));
    assert_eq!(json(&server, &["storms", "list"])["storms"][0], storm);
    assert_eq!(json(&server, &["storms", "show", id])["storm"]["culprits"][0], culprit);
    assert!(done(&server, &["storms", "list"]).contains(FAULTY));
    let text = done(&server, &["storms", "show", id]);
    let called = format!("\nCulprit:    {FAULTY} [{FAULTY_IP}]");
    assert!(
        text.contains(&called) && text.contains("  sends out again what had arrived already: "),
        "{text}"
    );
    assert!(text.contains("    Received: from out.publisher.example"), "{text}");
}

#[test]
fn a_restart_forgets_nobody() {
    let (_directory, mut server, _told) = server("operate-culprits-again");
    let one = mail("one");
    send_copies(&server, &one, 1..=10);
    let before = the_faulty(&the_storm(&server));
    assert_eq!(server.term().code(), Some(0));
    // With the server stopped, the commands read the store.
    let offline = json(&server, &["storms", "list"])["storms"][0].clone();
    assert_eq!(the_faulty(&offline), before);
    server.restart();
    assert_eq!(the_faulty(&the_storm(&server)), before);
    send_copies(&server, &one, 11..=16);
    let after = the_faulty(&the_storm(&server));
    let more = |culprit: &Value| culprit["copies"].as_u64().expect("copies");
    assert!((4..=6).contains(&(more(&after) - more(&before))), "{after} after {before}");
    assert_eq!(after["first_seen"], before["first_seen"]);
    server.kill9();
    server.restart();
    the_faulty(&the_storm(&server));
}

/// A large body goes to the disk while it comes in, and our stamp with it: the trace reads it all the same.
#[test]
fn our_own_stamp_tells_of_large_messages_too() {
    let (_directory, server, _told) = server("operate-culprits-large");
    let large = message("large", &date_now(), &"A long line of a large message.\r\n".repeat(80_000));
    for _ in 0..7 {
        accepted(&server, &["bob@firm.example"], &large);
    }
    let storm = the_storm(&server);
    let lines = storm["culprits"][0]["evidence"].to_string();
    assert!(lines.contains("[127.0.0.1]") && lines.contains("by mx.firm.example"), "{storm}");
    let mail = wait_for_mails(&server, "bob", 1).remove(0);
    let text = String::from_utf8(mail.content).expect("ASCII");
    assert_eq!(text.matches("Received: ").count(), 1, "{}", &text[..1_000]);
}
