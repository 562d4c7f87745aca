//! Held mail, from the SMTP client to the mailbox: listed, released, discarded, told in a digest.

use quell_powercut::Recording;

use super::*;
use crate::support::TempDir;
use crate::support::server::config;

const JANE: &str = "jane@firm.example";
const PUBLISHER: &str = "Received: from app.publisher.example by out.publisher.example with ESMTP id A; Sat, 10 Dec 2005 09:00:01 +0000\r\n";
/// A server that has read it from a mailbox and put it back.
const FAULTY: &str = "Received: from server.solicitor.local ([203.0.113.5]) by smtp.telecom.example with ESMTP id B; Sat, 10 Dec 2005 09:15:02 +0000\r\n\
    Received: from mail pickup service by server.solicitor.local with Microsoft SMTPSVC; Sat, 10 Dec 2005 09:15:01 +0000\r\n";

fn newsletter(id: &str, by: &str) -> Vec<u8> {
    format!(
        "{by}From: Law Books <news@publisher.example>\r\nTo: jane@firm.example\r\nSubject: The new guide\r\n\
         Message-ID: <{id}>\r\nDate: {}\r\n\r\nThe Law Society's new guide to conveyancing is out.\r\n\
         It has four hundred pages, and members may order it\r\nat the reduced price until the end of the \
         month from our office.\r\n",
        date_now()
    )
    .into_bytes()
}

/// The original, which is delivered, and copies with new identities, which are held. Their queue ids.
fn storm(server: &Server, copies: usize) -> Vec<String> {
    accepted(server, &[JANE], &newsletter("1@publisher.example", PUBLISHER));
    wait_for_mails(server, "jane", 1);
    let copy = |n: usize| newsletter(&format!("{n}@server.solicitor.local"), FAULTY);
    (0..copies).map(|n| accepted(server, &[JANE], &copy(n))).collect()
}

fn held(server: &Server) -> Vec<Value> {
    json(server, &["queue", "list", "--state", "held"])["rows"].as_array().expect("rows").clone()
}

/// Our client's address is none of our own machines.
fn outside() -> String {
    config(&format!("{JSON_LOG}[relay]\nfrom = [\"192.0.2.0/24\"]\n"))
}

#[test]
fn held_mail_is_released_discarded_and_told_in_a_digest() {
    let directory = TempDir::new("operate-held");
    let mut server = Server::start(&directory, &outside());
    let copies = storm(&server, 5);
    let rows = held(&server);
    assert_eq!(rows.len(), 5, "{rows:?}\n{}", server.output());
    assert_eq!((&rows[0]["class"], &rows[0]["sender"]), (&"resent".into(), &"sender@client.example".into()));
    let id = rows[0]["storm"].as_str().expect("a storm").to_owned();
    let table = done(&server, &["queue", "list", "--state", "held"]);
    assert!(table.contains(&format!("storm {id} (resent)")), "{table}");
    let shown = done(&server, &["storms", "show", &id]);
    assert!(shown.contains("Held now: 5 rows: ") && shown.contains("quell storms release"), "{shown}");
    by_command(&server, &id, &copies);
    over_http(&server, &id, &copies[2]);
    in_a_digest(&server, &id, &copies[3..]);

    // With the server stopped the store itself is asked.
    assert_eq!(server.term().code(), Some(0));
    let stopped = quell(&server, &["storms", "digest", &id]);
    assert!(stopped.status == 1 && stopped.err.contains("does not run"), "{stopped:?}");
    done(&server, &["storms", "release", &id, "--message", &copies[3]]);
    server.restart();
    wait_for_mails(&server, "jane", 5);
    wait_for_empty_queue(&server);
}

fn by_command(server: &Server, id: &str, copies: &[String]) {
    let out = done(server, &["storms", "release", id, "--message", &copies[0]]);
    assert_eq!(out, "1 row released: to be delivered now\n");
    wait_for_mails(server, "jane", 2);
    assert_eq!(row(server, &copies[0])["exempt"], "resent");
    let out = json(server, &["storms", "discard", "--message", &copies[1], "--recipient", JANE]);
    assert_eq!((&out["done"], row(server, &copies[1])["state"].as_str()), (&1.into(), Some("discarded")));
    let again = quell(server, &["storms", "discard", "--message", &copies[1]]);
    assert!(again.status == 1 && again.err.contains("not held"), "{again:?}");
    for wrong in [&["storms", "release"][..], &["storms", "discard", "--recipient", JANE]] {
        assert_eq!(quell(server, wrong).status, 2, "{wrong:?}");
    }
}

fn over_http(server: &Server, id: &str, copy: &str) {
    let token = std::fs::read_to_string(server.data.join("token")).expect("a token");
    let bearer = format!("Authorization: Bearer {}", token.trim());
    let (_, listed) = server.get(&format!("/api/v1/storms/{id}/held"));
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["held"].as_array().map(Vec::len), Some(3), "{listed}");
    assert!(!listed.to_string().contains("guide"), "no subjects: {listed}");
    let body = format!("{{\"message\": \"{}\"}}", copy);
    let path = format!("/api/v1/storms/{id}/release");
    let (status, answer) = super::console::curl(server, &path, &["-X", "POST", "-H", &bearer, "-d", &body]);
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!((status.as_str(), &answer["done"], &answer["next"]), ("200", &1.into(), &Value::Null));
    wait_for_mails(server, "jane", 3);
}

fn in_a_digest(server: &Server, id: &str, copies: &[String]) {
    let print = done(server, &["storms", "digest", id, "--print"]);
    assert!(
        print.contains(&copies[0]) && print.contains(&copies[1]) && print.lines().count() == 3,
        "{print}"
    );
    let said = done(server, &["storms", "digest", id]);
    assert!(said.contains("2 rows go into digests"), "{said}");
    let mails = wait_for_mails(server, "jane", 4);
    let digest = mails.iter().find(|m| maildir::field(&m.content, "Auto-Submitted").is_some());
    let digest = String::from_utf8(digest.expect("a digest").content.clone()).expect("text");
    for part in [
        "Return-Path: <>",
        "Subject: 2 messages to you held back: a mail storm",
        "Content-Type: message/rfc822",
        "Message-ID: <3@server.solicitor.local>",
        "Message-ID: <4@server.solicitor.local>",
        "class resent",
    ] {
        assert!(digest.contains(part), "{part}: {digest}");
    }
    assert!(held(server).is_empty());
    wait_for_log(server, &["digest_sent"]);
    let metrics = || server.get("/metrics").1.contains("quell_held_ended_total{how=\"digest\"} 2\n");
    assert!(wait_until(LIMIT, metrics), "{}", server.get("/metrics").1);
    assert_log_is_json(server);
}

#[test]
fn held_mail_outlives_a_killed_server_and_a_whole_storm_is_released() {
    let directory = TempDir::new("operate-held-killed");
    let mut server = Server::start(&directory, &outside());
    storm(&server, 3);
    let id = held(&server)[0]["storm"].as_str().expect("a storm").to_owned();
    server.kill9();
    server.restart();
    assert_eq!(held(&server).len(), 3);
    let out = json(&server, &["storms", "release", &id]);
    assert_eq!(out["done"], 3, "{out}");
    wait_for_mails(&server, "jane", 4);
    wait_for_empty_queue(&server);
}

/// A server that holds three copies, and whose wall clock can be set.
fn with_a_clock(work: &TempDir) -> (Server, Recording, Vec<String>) {
    let mut server = Server::prepare(work, &outside(), Vec::new());
    let recording = Recording::begin(&work.join("data"), &work.join("log")).expect("a recording");
    server.set_environment(recording.environment().expect("the library"));
    server.restart();
    let copies = storm(&server, 3);
    assert_eq!(held(&server).len(), 3);
    (server, recording, copies)
}

const DAY_SECS: i64 = 24 * 3_600;

#[test]
fn a_clock_that_jumps_ends_nothing() {
    let work = TempDir::in_memory("operate-held-jump");
    let (server, recording, _) = with_a_clock(&work);
    recording.set_clock(30 * DAY_SECS).expect("a jump");
    wait_for_log(&server, &["storm_ended"]);
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(held(&server).len(), 3, "{}", server.output());
}

/// Nobody decides: the operator is reminded, and at the end there is a digest, and no delivery.
#[test]
fn the_end_comes_by_itself_and_brings_a_digest_and_no_delivery() {
    let work = TempDir::in_memory("operate-held-end");
    let (mut server, recording, copies) = with_a_clock(&work);
    assert_eq!(server.term().code(), Some(0));
    recording.set_clock(2 * DAY_SECS + 3_600).expect("a jump");
    server.restart();
    for reminder in ["since 4 h", "since 24 h"] {
        wait_for_log(&server, &["still_held", reminder]);
    }
    let mails = wait_for_mails(&server, "jane", 2);
    let digests = mails.iter().filter(|m| maildir::field(&m.content, "Auto-Submitted").is_some());
    assert_eq!(digests.count(), 1, "{mails:?}");
    assert!(held(&server).is_empty());
    wait_for_empty_queue(&server);
    for copy in &copies {
        let row = row(&server, copy);
        assert_eq!(row["state"], "discarded");
        assert!(row["status"].as_str().is_some_and(|text| text.contains("told in a digest")), "{row}");
    }
    // What was told is told once, also over a crash.
    server.kill9();
    server.restart();
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(maildir::count(&server.maildir("firm.example", "jane")), 2);
    done(&server, &["storms", "release", "--message", &copies[0]]);
    wait_for_mails(&server, "jane", 3);
}

/// Mail that goes out again although it had come in: its sender here and the operator are told.
#[test]
fn held_outgoing_mail_goes_back_to_its_sender_and_the_operator() {
    let directory = TempDir::new("operate-held-outgoing");
    let text = config(&format!("{JSON_LOG}[relay]\nvia = \"smtp://127.0.0.1:9\"\n"))
        .replace("\"*\"", "\"bob\", \"carl\"");
    let server = Server::start(&directory, &text);
    let to = ["tom@solicitor.example", "ann@other.example"];
    let mail = newsletter("x@server.solicitor.local", FAULTY);
    let mail = String::from_utf8(mail).expect("text").replace(
        "To: jane@firm.example",
        &format!("To: {}, <mspop3connector.jane@firm.example>", to.join(", ")),
    );
    let mut client = Client::hello(server.smtp_port);
    let reply = client.send("bob@firm.example", &to, mail.as_bytes()).expect("a reply");
    queue_id(&reply);
    let rows = held(&server);
    assert_eq!(rows.len(), 2, "{rows:?}\n{}", server.output());
    assert_eq!(rows[0]["class"], "reinjected");
    let id = rows[0]["storm"].as_str().expect("a storm").to_owned();
    done(&server, &["storms", "digest", &id]);
    for local in ["bob", "jane"] {
        let digest = wait_for_mails(&server, local, 1).remove(0).content;
        let digest = String::from_utf8(digest).expect("text");
        assert!(
            digest.contains("To: <bob@firm.example>,\r\n\t<postmaster@mx.firm.example>")
                || digest.contains("To: <bob@firm.example>,\n\t<postmaster@mx.firm.example>"),
            "{digest}"
        );
        for part in [
            "Subject: 1 message of yours held back",
            "For: ann@other.example, tom@solicitor.example",
            "It was not sent",
        ] {
            assert!(digest.contains(part), "{part}: {digest}");
        }
    }
    assert!(held(&server).is_empty());
    assert_eq!(maildir::count(&server.maildir("firm.example", "carl")), 0);
}

/// Whenever it is killed: each held message is told in exactly one digest, and delivered by none.
#[test]
fn a_server_killed_over_its_digests_tells_each_message_once() {
    let directory = TempDir::new("operate-held-kill-digest");
    let mut server = Server::start(&directory, &outside());
    storm(&server, 6);
    let rows = held(&server);
    let id = rows[0]["storm"].as_str().expect("a storm").to_owned();
    for delay_ms in [0, 5, 20, 60, 150, 400, 900, 1_100] {
        // Nothing is held any more once a digest is stored.
        let asked = quell(&server, &["storms", "digest", &id]);
        assert!(asked.status == 0 || asked.err.contains("holds no mail"), "{asked:?}");
        std::thread::sleep(Duration::from_millis(delay_ms));
        server.kill9();
        server.restart();
    }
    if !held(&server).is_empty() {
        done(&server, &["storms", "digest", &id]);
    }
    assert!(wait_until(LIMIT, || held(&server).is_empty()), "{}", server.output());
    wait_for_empty_queue(&server);
    let mails = maildir::read(&server.maildir("firm.example", "jane"));
    let contents: Vec<String> =
        mails.iter().map(|mail| String::from_utf8_lossy(&mail.content).into_owned()).collect();
    let times = |id: &str| contents.iter().map(|text| text.matches(id).count()).sum::<usize>();
    for n in 0..6 {
        assert_eq!(times(&format!("Message-ID: <{n}@server.solicitor.local>")), 1, "{n}: {contents:?}");
    }
    assert_eq!(mails.len(), 2, "the original and one digest: {contents:?}");
}
