//! Mailboxes that are gone: rows that fail, and what happens to copies of them.

use super::*;
use crate::support::TempDir;
use crate::support::server::config;

/// The senders' own domain lies here too, so that reports find them.
const CLIENT: &str = "[domains.\"client.example\"]\nrecipients = [\"sender\"]\n";

/// Waits until the sender was told `count` times, and nothing is owed for `row`; the last report.
fn told(server: &Server, id: &str, count: usize) -> String {
    let folder = server.maildir("client.example", "sender");
    let all_told = || maildir::count(&folder) == count && row(server, id)["report_due"] == false;
    assert!(wait_until(LIMIT, all_told), "{}", server.output());
    let last = maildir::read(&folder).pop().expect("a report");
    String::from_utf8(last.content).expect("text")
}

fn send_from(server: &Server, source: u8, message: &[u8]) -> Reply {
    let mut client = Client::hello_from([127, 0, 0, source], server.smtp_port);
    let reply = client.send("sender@client.example", &["jane@firm.example"], message).expect("a reply");
    client.quit().expect("a reply");
    reply
}

#[test]
fn a_permanent_failure_is_refused_for_its_source_and_a_new_life_for_others() {
    let directory = TempDir::new("operate-failed");
    let mut server = Server::start(&directory, &config(&format!("{JSON_LOG}{CLIENT}")));
    let jane = server.maildir("firm.example", "jane");
    let one = mail("one");
    make_no_mailbox(&jane);
    let first = accepted(&server, &["jane@firm.example"], &one);
    let failed = wait_for_row(&server, &first, |row| row["state"] == "failed");
    assert!(failed["status"].as_str().is_some_and(|status| status.starts_with("5.1.3")), "{failed}");
    let report = told(&server, &first, 1);
    for part in ["Final-Recipient: rfc822; jane@firm.example", "Action: failed", "<one@client.example>"] {
        assert!(report.contains(part), "{report}");
    }
    assert!(report.starts_with("Return-Path: <>"), "{report}");
    wait_for_log(&server, &["\"event\":\"failed\"", &first, "5.1.3"]);
    let refused = send_from(&server, 1, &one);
    assert_eq!(refused.code, 554, "{refused:?}");
    assert!(refused.text().starts_with("5."), "{refused:?}");
    let explained = done(&server, &["explain", "<one@client.example>"]);
    assert!(explained.contains("jane@firm.example: refuse") && explained.contains("554"), "{explained}");
    // The sender was told no queue id; the log has it.
    let log = server.output();
    let line = log.lines().find(|line| line.contains("\"verdict\":\"refuse\"")).expect("a line");
    let judged: Value = serde_json::from_str(line).expect("JSON");
    let by_id = done(&server, &["explain", judged["id"].as_str().expect("an id")]);
    assert!(explained.starts_with(&by_id), "{explained}\n{by_id}");
    // A refusal never changes the row, and what was told survives a restart.
    server.restart();
    // Its body is kept, and waits for nothing.
    wait_for_log(&server, &["\"event\":\"recovered\"", "\"waiting\":0", "\"unknown\":0", "\"kept\":1"]);
    told(&server, &first, 1);
    assert_eq!(send_from(&server, 1, &one).code, 554);
    assert_eq!(row(&server, &first)["state"], "failed");
    repair(&jane);
    let second = queue_id(&send_from(&server, 2, &one));
    wait_for_mails(&server, "jane", 1);
    wait_for_row(&server, &second, |row| row["state"] == "delivered");
    // It lies there now: absorbed, whoever brings it.
    queue_id(&send_from(&server, 1, &one));
    wait_for_empty_queue(&server);
    wait_for_mails(&server, "jane", 1);
    assert_log_is_json(&server);
}

/// `quell queue retry` gives a failed row a new life: its body is kept, whether another row needs it or not.
#[test]
fn an_operator_retries_what_failed() {
    let directory = TempDir::new("operate-revive");
    let mut server =
        Server::start(&directory, &config(CLIENT).replace("[\"jane\", \"*\"]", "[\"jane\", \"bob\"]"));
    let (jane, bob) = (server.maildir("firm.example", "jane"), server.maildir("firm.example", "bob"));
    make_no_mailbox(&jane);
    make_undeliverable(&bob);
    let id = accepted(&server, &["jane@firm.example", "bob@firm.example"], &mail("one"));
    let state = |of: &str| {
        let shown = json(&server, &["queue", "show", &id]);
        let rows = shown["rows"].as_array().expect("rows").clone();
        let row = rows.iter().find(|row| row["recipient"] == of).expect("a row").clone();
        (row["state"].as_str().expect("a state").to_owned(), row["attempts"].as_u64().expect("a number"))
    };
    assert!(wait_until(LIMIT, || state("jane@firm.example").0 == "failed"));
    assert!(wait_until(LIMIT, || state("bob@firm.example") == ("waiting".to_owned(), 1)));
    repair(&jane);
    repair(&bob);
    assert_eq!(json(&server, &["queue", "retry", &id, "--state", "failed"])["done"], 1);
    wait_for_mails(&server, "jane", 1);
    assert_eq!(state("bob@firm.example").0, "waiting", "not meant");
    assert_eq!(json(&server, &["queue", "retry", &id])["done"], 1);
    wait_for_mails(&server, "bob", 1);
    wait_for_empty_queue(&server);
    // Its body is kept although no other row needs it, also over a restart.
    make_no_mailbox(&jane);
    let alone = accepted(&server, &["jane@firm.example"], &mail("two"));
    wait_for_row(&server, &alone, |row| row["state"] == "failed");
    server.restart();
    repair(&jane);
    let kept = |server: &Server| json(server, &["queue", "show", &alone])["message"]["body_kept"].clone();
    assert_eq!(kept(&server), true);
    assert_eq!(json(&server, &["queue", "retry", &alone])["done"], 1);
    wait_for_mails(&server, "jane", 2);
    wait_for_empty_queue(&server);
    assert!(wait_until(LIMIT, || kept(&server) == false), "delivered, nobody asks for it any more");
}

/// At most eight new lives a day, each from a source that has not met the failure yet.
#[test]
fn lives_are_counted() {
    let directory = TempDir::new("operate-lives");
    let server = Server::start(&directory, &config(CLIENT));
    make_no_mailbox(&server.maildir("firm.example", "jane"));
    let one = mail("one");
    let mut lives = Vec::new();
    for source in 1..=12 {
        let reply = send_from(&server, source, &one);
        if reply.code != 250 {
            assert_eq!(reply.code, 554, "{reply:?}");
            break;
        }
        let id = queue_id(&reply);
        wait_for_row(&server, &id, |row| row["state"] == "failed");
        lives.push(id);
    }
    assert_eq!(lives.len(), 9, "the first and eight new ones");
    let explained = done(&server, &["explain", "<one@client.example>"]);
    assert!(explained.contains("refuse"), "{explained}");
    // Nine failures of one row are told once a day.
    told(&server, &lives[0], 1);
}

/// The mailbox goes between RCPT and delivery.
#[test]
fn a_mailbox_removed_after_rcpt_fails_with_5_1_1() {
    let text = config(&format!("{JSON_LOG}{CLIENT}")).replace("recipients = [\"jane\", \"*\"]\n", "");
    let directory = TempDir::new("operate-gone");
    let server = Server::start(&directory, &text);
    assert!(done(&server, &["mailbox", "add", "bob@firm.example"]).starts_with("made: "));
    let mut client = Client::hello(server.smtp_port);
    for line in ["MAIL FROM:<sender@client.example>", "RCPT TO:<bob@firm.example>"] {
        assert_eq!(client.command(line).expect("a reply").code, 250);
    }
    assert_eq!(done(&server, &["mailbox", "remove", "bob@firm.example"]), "removed: bob@firm.example\n");
    assert_eq!(client.command("DATA").expect("a reply").code, 354);
    client.data(&mail("one")).expect("sent");
    let id = queue_id(&client.reply().expect("a reply"));
    let failed = wait_for_row(&server, &id, |row| row["state"] == "failed");
    assert!(failed["status"].as_str().is_some_and(|status| status.starts_with("5.1.1")), "{failed}");
    assert!(told(&server, &id, 1).contains("Action: failed"));
    assert_eq!(send(&server, &["bob@firm.example"], &mail("two")).code, 550);
    assert!(!server.maildir("firm.example", "bob").exists(), "no mail makes a mailbox");
}

/// A mailbox that the configuration names, and all mail on a disk that is away, are trouble of our
/// own: what was accepted waits, and nobody is called unknown.
#[test]
fn mail_waits_for_a_mailbox_that_is_missing() {
    let directory = TempDir::new("operate-missing");
    let server = Server::start(&directory, &(config(JSON_LOG) + "[domains.\"box.example\"]\n"));
    done(&server, &["mailbox", "add", "bob@box.example"]);
    let (jane, mail_root) = (server.maildir("firm.example", "jane"), server.data.join("mail"));
    std::fs::remove_dir_all(&jane).expect("a folder");
    let id = accepted(&server, &["jane@firm.example"], &mail("one"));
    wait_for_row(&server, &id, |row| row["attempts"] == 1 && row["state"] == "waiting");
    wait_for_log(&server, &["\"event\":\"deferred\"", &id, "4.3.5", "quell mailbox add jane@firm.example"]);
    assert!(!jane.exists(), "no mail makes a mailbox");
    done(&server, &["mailbox", "add", "jane@firm.example"]);
    done(&server, &["queue", "retry", &id]);
    wait_for_mails(&server, "jane", 1);
    std::fs::rename(&mail_root, server.data.join("unmounted")).expect("a folder");
    for address in ["bob@box.example", "nobody@box.example"] {
        let reply = send(&server, &[address], &mail("two"));
        assert_eq!(reply.code, 451, "{address}: {reply:?}");
    }
    let id = accepted(&server, &["jane@firm.example"], &mail("three"));
    wait_for_row(&server, &id, |row| row["attempts"] == 1 && row["state"] == "waiting");
    std::fs::rename(server.data.join("unmounted"), &mail_root).expect("a folder");
    done(&server, &["queue", "retry", &id]);
    wait_for_mails(&server, "jane", 2);
    for nobody in ["nobody@box.example", "\"../bob\"@box.example"] {
        assert_eq!(send(&server, &[nobody], &mail("four")).code, 550, "{nobody}");
    }
    accepted(&server, &["bob@box.example"], &mail("four"));
    wait_for_empty_queue(&server);
}
