//! `quell ledger forget` and `quell explain`.

use super::*;
use crate::support::TempDir;
use crate::support::server::config;

fn explained(server: &Server, what: &str) -> Vec<Value> {
    json(server, &["explain", what])["arrivals"].as_array().expect("arrivals").clone()
}

/// Verdict, class and reason of the one recipient.
fn verdict(arrival: &Value) -> [&str; 3] {
    let one = &arrival["recipients"][0];
    ["verdict", "class", "reason"].map(|name| one[name].as_str().unwrap_or("-"))
}

#[test]
fn forgotten_mail_is_delivered_again_and_all_is_explained() {
    let directory = TempDir::new("operate-ledger");
    let mut server = Server::start(&directory, &config(JSON_LOG));
    let one = mail("one");
    let first = accepted(&server, &["jane@firm.example"], &one);
    wait_for_mails(&server, "jane", 1);
    let copy = accepted(&server, &["jane@firm.example"], &one);
    assert_ne!(first, copy);
    let arrival = &explained(&server, &first)[0];
    assert_eq!(verdict(arrival)[0], "pass");
    assert_eq!(arrival["recipients"][0]["state"], "delivered");
    let absorbed = &explained(&server, &copy)[0];
    assert_eq!(verdict(absorbed)[..2], ["absorb", "copies"]);
    assert_eq!(absorbed["remembered"], true);
    let key = absorbed["key"].as_str().expect("a key");
    assert_eq!(key.len(), 32);
    for what in [key, "<one@client.example>", "one@client.example"] {
        let found = explained(&server, what);
        let ids: Vec<_> = found.iter().filter_map(|arrival| arrival["id"].as_str()).collect();
        assert_eq!(ids, [&*copy, &*first], "{what}: newest first");
    }
    let text = done(&server, &["explain", &copy]);
    assert!(text.contains("jane@firm.example: absorb") && text.contains(key), "{text}");
    forgets(&server, &one);
    after_a_restart(&mut server, &first, &copy, key);
    assert_log_is_json(&server);
}

fn forgets(server: &Server, one: &[u8]) {
    let count = |to: &str, since: &str| {
        let forgotten = json(server, &["ledger", "forget", "--to", to, "--since", since]);
        forgotten["forgotten"].as_u64().expect("a number")
    };
    assert_eq!(count("bob@firm.example", "1d"), 0);
    assert_eq!(count("other.example", "1d"), 0);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(count("jane@firm.example", "1s"), 0, "delivered before that");
    accepted(server, &["jane@firm.example"], one);
    wait_for_empty_queue(server);
    wait_for_mails(server, "jane", 1);
    assert_eq!(count("JANE@firm.example", "1d"), 1);
    accepted(server, &["jane@firm.example"], one);
    wait_for_mails(server, "jane", 2);
    wait_for_empty_queue(server);
    accepted(server, &["jane@firm.example"], one);
    wait_for_empty_queue(server);
    wait_for_mails(server, "jane", 2);
    for wrong in ["tomorrow", "2999-01-01", "-3d"] {
        let said = quell(server, &["ledger", "forget", "--to", "firm.example", &format!("--since={wrong}")]);
        assert_eq!(said.status, 2, "{said:?}");
        assert!(said.err.contains(wrong), "{said:?}");
    }
}

/// Rows speak for what was stored; of what was absorbed nothing is kept, and that is said.
fn after_a_restart(server: &mut Server, first: &str, copy: &str, key: &str) {
    let last = accepted(server, &["jane@firm.example"], &mail("two"));
    wait_for_mails(server, "jane", 3);
    wait_for_empty_queue(server);
    server.restart();
    let arrival = &explained(server, &last)[0];
    assert_eq!(
        (&arrival["remembered"], &arrival["recipients"][0]["state"]),
        (&false.into(), &"delivered".into())
    );
    let told = |name: &str| arrival["recipients"][0][name].as_str().expect("a text").to_owned();
    assert!(told("text").contains("no longer remembered"), "{arrival}");
    assert!(told("became").starts_with("It was delivered at"), "{arrival}");
    // Its arrival is still known, its rows are not.
    let text = done(server, &["explain", first]);
    assert!(text.contains("No row has its body any more"), "{text}");
    for gone in [copy, key, "<one@client.example>"] {
        let said = quell(server, &["explain", gone]);
        assert_eq!(said.status, 1, "{gone}: {said:?}");
        assert!(said.err.contains("until a restart") || said.err.contains("forgotten"), "{gone}: {said:?}");
    }
    // Offline, with the server stopped.
    assert_eq!(server.term().code(), Some(0));
    assert_eq!(explained(server, &last)[0]["recipients"][0]["state"], "delivered");
    assert_eq!(json(server, &["ledger", "forget", "--to", "firm.example", "--since", "1d"])["forgotten"], 2);
}

/// "Back up `secret` above all: without it the ledger knows no message again"; `secret_file`.
#[test]
fn copies_are_known_as_long_as_the_secret_is() {
    let directory = TempDir::new("operate-secret");
    let secret = directory.join("secret-of-gateways");
    std::fs::write(&secret, [7; 32]).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, mode).expect("permissions");
    let text = config("").replace("[smtp]", "secret_file = \"secret-of-gateways\"\n[smtp]");
    let mut server = Server::start(&directory, &text);
    let one = mail("one");
    accepted(&server, &["jane@firm.example"], &one);
    wait_for_mails(&server, "jane", 1);
    wait_for_empty_queue(&server);
    server.restart();
    accepted(&server, &["jane@firm.example"], &one);
    wait_for_empty_queue(&server);
    wait_for_mails(&server, "jane", 1);
    assert_eq!(server.term().code(), Some(0));
    std::fs::write(&secret, [8; 32]).expect("a file");
    server.restart();
    accepted(&server, &["jane@firm.example"], &one);
    wait_for_mails(&server, "jane", 2);
    // One that others may read is refused, with what to do.
    assert_eq!(server.term().code(), Some(0));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&secret, mode).expect("permissions");
    let said = quell(&server, &["serve"]);
    assert_eq!(said.status, 1, "{said:?}");
    assert!(said.err.contains("chmod 600") && said.err.contains("secret-of-gateways"), "{said:?}");
}

/// A new ledger would delete the bodies of all mail that waits.
#[test]
fn no_start_without_the_ledger_of_stored_messages() {
    let directory = TempDir::new("operate-ledgerless");
    let mut server = Server::start(&directory, &config(""));
    let jane = server.maildir("firm.example", "jane");
    make_undeliverable(&jane);
    let id = accepted(&server, &["jane@firm.example"], &mail("one"));
    wait_for_row(&server, &id, |row| row["attempts"] == 1 && row["state"] == "waiting");
    assert_eq!(server.term().code(), Some(0));
    let lost = server.data.join("lost");
    std::fs::create_dir(&lost).expect("a folder");
    let names = ["ledger.db", "ledger.db-wal", "ledger.db-shm"];
    let there: Vec<_> = names.iter().filter(|name| server.data.join(name).exists()).collect();
    there.iter().for_each(|name| std::fs::rename(server.data.join(name), lost.join(name)).expect("moved"));
    for _ in 0..2 {
        let said = quell(&server, &["serve"]);
        assert_eq!(said.status, 1, "{said:?}");
        assert!(said.err.contains("the ledger is gone") && said.err.contains("backup"), "{said:?}");
    }
    there.iter().for_each(|name| std::fs::rename(lost.join(name), server.data.join(name)).expect("moved"));
    repair(&jane);
    server.restart();
    done(&server, &["queue", "retry", &id]);
    wait_for_mails(&server, "jane", 1);
}
