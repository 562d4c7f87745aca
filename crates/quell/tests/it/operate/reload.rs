//! SIGHUP: the configuration again, at once or not at all.

use super::*;
use crate::support::TempDir;
use crate::support::process::signal;
use crate::support::server::config;

/// Changes the file, sends SIGHUP, and waits for the line with these parts.
fn reload(server: &Server, change: impl Fn(&str) -> String, until: &[&str]) {
    let text = std::fs::read_to_string(server.config_path()).expect("a configuration");
    std::fs::write(server.config_path(), change(&text)).expect("a configuration");
    signal(server.pid(), "HUP");
    wait_for_log(server, until);
}

fn rcpt(server: &Server, to: &str) -> u16 {
    let mut client = Client::hello(server.smtp_port);
    assert_eq!(client.command("MAIL FROM:<sender@client.example>").expect("a reply").code, 250);
    client.command(&format!("RCPT TO:<{to}>")).expect("a reply").code
}

#[test]
fn sighup_changes_all_or_nothing() {
    let text = config(JSON_LOG).replace("[\"jane\", \"*\"]", "[\"jane\"]");
    let directory = TempDir::new("operate-hup");
    let mut server = Server::start(&directory, &text);
    assert_eq!((rcpt(&server, "jane@firm.example"), rcpt(&server, "bob@firm.example")), (250, 550));
    let mut old_session = Client::hello(server.smtp_port);
    let line = ["\"event\":\"reload\"", "\"key\":\"domains.firm.example.recipients\""];
    reload(&server, |text| text.replace("[\"jane\"]", "[\"jane\", \"bob\"]"), &line);
    wait_for_log(&server, &["\"event\":\"reloaded\""]);
    assert_eq!(rcpt(&server, "bob@firm.example"), 250);
    accepted(&server, &["bob@firm.example"], &mail("one"));
    wait_for_mails(&server, "bob", 1);
    // A session from before goes on.
    let reply = old_session.send("sender@client.example", &["jane@firm.example"], &mail("two"));
    assert_eq!(reply.expect("a reply").code, 250);
    faulty_files_change_nothing(&server);
    let listen = ["\"event\":\"reload_needs_restart\"", "\"key\":\"smtp.listen\""];
    let port = server.smtp_port.to_string();
    let other = crate::support::free_port().to_string();
    let change = |text: &str| {
        text.replace(&port, &other)
            .replace("\"jane\", \"bob\"", "\"jane\", \"carl\"")
            .replace("x_errors", "max_errors")
    };
    reload(&server, change, &listen);
    wait_for_log(&server, &["\"event\":\"reload\"", "\"key\":\"smtp.max_errors\""]);
    assert!(wait_until(LIMIT, || rcpt(&server, "carl@firm.example") == 250), "all else is in force");
    assert_eq!(rcpt(&server, "bob@firm.example"), 550);
    assert!(server.is_running());
    assert_log_is_json(&server);
}

fn faulty_files_change_nothing(server: &Server) {
    let faults = |text: &str| {
        text.replace("\"jane\", \"bob\"", "\"jane\", \"carl\"")
            .replace("[console]", "x_errors = 7\n[console]")
    };
    reload(server, faults, &["\"event\":\"reload_refused\"", "x_errors", "quell.toml:"]);
    assert_eq!((rcpt(server, "bob@firm.example"), rcpt(server, "carl@firm.example")), (250, 550));
    let back = |text: &str| text.replace("\"jane\", \"carl\"", "\"jane\", \"bob\"");
    let text = std::fs::read_to_string(server.config_path()).expect("a configuration");
    std::fs::write(server.config_path(), back(&text)).expect("a configuration");
}

/// "`file:PATH`: one local part on each line", read again at SIGHUP.
#[test]
fn a_list_in_a_file_is_read_again() {
    let directory = TempDir::new("operate-list");
    let list = directory.join("people");
    std::fs::write(&list, "# people\njane\n").expect("a list");
    let text = config(JSON_LOG).replace("[\"jane\", \"*\"]", "\"file:people\"");
    let server = Server::start(&directory, &text);
    assert_eq!(rcpt(&server, "bob@firm.example"), 550);
    std::fs::write(&list, "jane\nBob  # new here\n").expect("a list");
    reload(&server, str::to_owned, &["\"event\":\"reload\"", "domains.firm.example.recipients"]);
    assert!(wait_until(LIMIT, || rcpt(&server, "bob@firm.example") == 250));
    accepted(&server, &["bob@firm.example"], &mail("one"));
    wait_for_mails(&server, "bob", 1);
    // A list that cannot be read any more changes nothing.
    std::fs::remove_file(&list).expect("a list");
    reload(&server, str::to_owned, &["\"event\":\"reload_refused\"", "people"]);
    assert_eq!(rcpt(&server, "bob@firm.example"), 250);
}

/// Format and level of the log are no exception.
#[test]
fn the_log_changes_with_the_configuration() {
    let directory = TempDir::new("operate-relog");
    let server = Server::start(&directory, &config("[log]\nformat = \"text\"\n"));
    wait_for_log(&server, &["quell is ready", "event=\"started\""]);
    let json = |text: &str| text.replace("format = \"text\"", "format = \"json\"\nlevel = \"debug\"");
    reload(&server, json, &["\"event\":\"reloaded\"", "\"level\":\"info\""]);
    drop(Client::hello(server.smtp_port));
    wait_for_log(&server, &["\"level\":\"debug\"", "\"event\":\"session_broken\""]);
    let quiet = |text: &str| text.replace("\"debug\"", "\"error\"");
    let text = std::fs::read_to_string(server.config_path()).expect("a configuration");
    std::fs::write(server.config_path(), quiet(&text)).expect("a configuration");
    signal(server.pid(), "HUP");
    // Whether it is quiet by now shows only by what is not said.
    let silent = || {
        let before = server.output().len();
        accepted(&server, &["jane@firm.example"], &mail("quiet"));
        wait_for_empty_queue(&server);
        server.output().len() == before
    };
    assert!(wait_until(LIMIT, silent), "{}", server.output());
}

/// Mail that was accepted for a mailbox goes to it, and to no one of those who get its later mail.
#[test]
fn waiting_mail_does_not_follow_a_new_alias() {
    let text = config(JSON_LOG).replace("[\"jane\", \"*\"]", "[\"jane\", \"bob\", \"carol\"]");
    let directory = TempDir::new("operate-hup-alias");
    let server = Server::start(&directory, &text);
    let bob = server.maildir("firm.example", "bob");
    make_undeliverable(&bob);
    let id = accepted(&server, &["bob@firm.example"], &mail("early"));
    wait_for_row(&server, &id, |row| row["attempts"] == 1 && row["state"] == "waiting");
    let alias = "[aliases]\n\"bob@firm.example\" = [\"carol@firm.example\", \"jane@firm.example\"]\n";
    let change = |text: &str| format!("{}\n{alias}", text.replace("\"bob\", ", ""));
    reload(&server, change, &["\"event\":\"reloaded\""]);
    repair(&bob);
    done(&server, &["queue", "retry", &id]);
    wait_for_mails(&server, "bob", 1);
    accepted(&server, &["bob@firm.example"], &mail("late"));
    for local in ["carol", "jane"] {
        wait_for_mails(&server, local, 1);
    }
    wait_for_empty_queue(&server);
    wait_for_mails(&server, "bob", 1);
}
