//! `quell queue`: rows that wait, seen and changed, with the server running and stopped.

use super::*;
use crate::support::TempDir;
use crate::support::server::config;

fn ids(rows: &Value) -> Vec<&str> {
    rows["rows"].as_array().expect("rows").iter().filter_map(|row| row["id"].as_str()).collect()
}

#[test]
fn waiting_rows_are_seen_tried_and_removed_live_and_offline() {
    let directory = TempDir::new("operate-queue");
    let mut server = Server::start(&directory, &config(JSON_LOG));
    let jane = server.maildir("firm.example", "jane");
    make_undeliverable(&jane);
    let (one, two) = (mail("one"), mail("two"));
    let first = accepted(&server, &["jane@firm.example"], &one);
    let second = accepted(&server, &["jane@firm.example"], &two);
    for id in [&first, &second] {
        let row = wait_for_row(&server, id, |row| row["attempts"] == 1 && row["state"] == "waiting");
        assert!(row["status"].as_str().is_some_and(|status| status.starts_with("4.3.0")), "{row}");
        assert!(row["next"].as_str().is_some(), "{row}");
        assert_eq!(
            (&row["sender"], &row["recipient"]),
            (&"sender@client.example".into(), &"jane@firm.example".into())
        );
    }
    wait_for_log(&server, &["\"event\":\"deferred\"", &first, "4.3.0"]);
    lists_agree(&server, &first, &second);
    // Still broken: tried once more, and it waits again.
    assert_eq!(json(&server, &["queue", "retry", &first])["done"], 1);
    wait_for_row(&server, &first, |row| row["attempts"] == 2 && row["state"] == "waiting");
    repair(&jane);
    assert_eq!(done(&server, &["queue", "retry", &first]), "1 row to be tried now\n");
    let mails = wait_for_mails(&server, "jane", 1);
    assert_eq!(mails[0].test_id.as_deref(), Some("one"));
    wait_for_row(&server, &first, |row| row["state"] == "delivered");
    assert_eq!(ids(&json(&server, &["queue", "list", "--state", "delivered"])), [&*first]);
    nothing_is_done_to_what_was_delivered(&server, &first);
    offline(&mut server, &second, &two);
    assert_log_is_json(&server);
}

/// Table and JSON, with each filter.
fn lists_agree(server: &Server, first: &str, second: &str) {
    let all = json(server, &["queue", "list"]);
    assert_eq!(ids(&all), [first, second]);
    assert_eq!(all["next"], Value::Null);
    let table = done(server, &["queue", "list"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("ID") && lines[0].trim_end().ends_with("LAST OUTCOME"), "{table}");
    assert!(lines[1].starts_with(first) && lines[2].starts_with(second), "{table}");
    assert!(lines[1].contains("waiting") && lines[1].contains("jane@firm.example"), "{table}");
    let fitting = [
        "--to Jane@FIRM.example",
        "--domain firm.example",
        "--from sender@client.example",
        "--state waiting",
    ];
    for filter in fitting {
        let words: Vec<&str> = ["queue", "list"].into_iter().chain(filter.split(' ')).collect();
        assert_eq!(ids(&json(server, &words)), [first, second], "{filter}");
    }
    let others = ["--to bob@firm.example", "--domain other.example", "--from <>", "--state failed"];
    for filter in others {
        let words: Vec<&str> = ["queue", "list"].into_iter().chain(filter.split(' ')).collect();
        assert_eq!(done(server, &words), "no rows\n", "{filter}");
    }
    assert_eq!(ids(&json(server, &["queue", "list", "--limit", "1"])), [first]);
    let shown = done(server, &["queue", "show", first]);
    for part in [first, "<one@client.example>", "body kept", "127.0.0.1", "waiting"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

fn nothing_is_done_to_what_was_delivered(server: &Server, id: &str) {
    for command in ["retry", "remove"] {
        let said = quell(server, &["queue", command, id]);
        assert_eq!(said.status, 1, "{command}: {said:?}");
        assert!(said.err.contains("no row of") && said.err.contains(id), "{command}: {said:?}");
    }
    for command in ["retry", "remove", "show"] {
        for wrong in ["0000000000000000", "no-id"] {
            let said = quell(server, &["queue", command, wrong]);
            assert_eq!(said.status, 1, "{command}: {said:?}");
            assert!(said.err.contains(wrong), "{command}: {said:?}");
        }
    }
    assert_eq!(row(server, id)["state"], "delivered");
}

/// The second message still waits for its time.
fn offline(server: &mut Server, second: &str, two: &[u8]) {
    let (live, shown) = (json(server, &["queue", "list"]), json(server, &["queue", "show", second]));
    assert_eq!(ids(&live), [second]);
    assert_eq!(server.term().code(), Some(0));
    assert_eq!(json(server, &["queue", "list"]), live);
    assert_eq!(json(server, &["queue", "show", second]), shown);
    assert_eq!(done(server, &["queue", "remove", second]), "1 row removed\n");
    assert_eq!(row(server, second)["state"], "discarded");
    server.restart();
    assert_eq!(done(server, &["queue", "list"]), "no rows\n");
    assert_eq!(row(server, second)["state"], "discarded");
    wait_for_mails(server, "jane", 1);
    // Removed: the next copy is new.
    let third = accepted(server, &["jane@firm.example"], two);
    assert_ne!(third, second);
    let mails = wait_for_mails(server, "jane", 2);
    assert!(mails.iter().any(|mail| mail.test_id.as_deref() == Some("two")), "{mails:?}");
    let explained = done(server, &["explain", &third]);
    assert!(explained.contains(": pass, now delivered"), "{explained}");
}

#[test]
fn removed_live_and_retried_offline() {
    let directory = TempDir::new("operate-queue2");
    let mut server = Server::start(&directory, &config(JSON_LOG));
    let jane = server.maildir("firm.example", "jane");
    make_undeliverable(&jane);
    let one = mail("one");
    let first = accepted(&server, &["jane@firm.example"], &one);
    wait_for_row(&server, &first, |row| row["attempts"] == 1 && row["state"] == "waiting");
    let said = quell(&server, &["queue", "remove", &first, "--to", "bob@firm.example"]);
    assert_eq!(said.status, 1, "{said:?}");
    assert_eq!(done(&server, &["queue", "remove", &first, "--to", "jane@firm.example"]), "1 row removed\n");
    assert_eq!(row(&server, &first)["state"], "discarded");
    // The next copy is new, and waits in its turn.
    let second = accepted(&server, &["jane@firm.example"], &one);
    wait_for_row(&server, &second, |row| row["attempts"] == 1 && row["state"] == "waiting");
    assert_eq!(server.term().code(), Some(0));
    repair(&jane);
    let changed = json(&server, &["queue", "retry", "--domain", "firm.example"]);
    assert_eq!((&changed["done"], &changed["refused"]), (&1.into(), &serde_json::json!([])));
    server.restart();
    wait_for_mails(&server, "jane", 1);
    wait_for_row(&server, &second, |row| row["state"] == "delivered");
    assert_eq!(json(&server, &["queue", "retry", "--all"])["done"], 0);
    assert_log_is_json(&server);
}

/// A running server whose control socket is gone must not be taken for a stopped one.
#[test]
fn a_server_without_its_socket_is_named() {
    let directory = TempDir::new("operate-deaf");
    let server = Server::start(&directory, &config(""));
    std::fs::remove_file(server.data.join("control.sock")).expect("the socket");
    let said = quell(&server, &["queue", "list"]);
    assert_eq!(said.status, 1, "{said:?}");
    assert!(said.err.contains("is stopping or starting") && said.err.contains("control socket"), "{said:?}");
}

/// `quell queue list | head -1`: the reader has read enough, that is no failure.
#[test]
fn a_closed_pipe_is_no_failure() {
    let directory = TempDir::new("operate-pipe");
    let server = Server::start(&directory, &config(""));
    let mut bash = Command::new("bash");
    let command = format!(
        "set -o pipefail; {:?} queue list --config {:?} | true",
        env!("CARGO_BIN_EXE_quell"),
        server.config_path()
    );
    bash.args(["-c", &command]);
    let said = Said::of(bash);
    assert_eq!((said.status, &*said.err), (0, ""), "{said:?}");
}
