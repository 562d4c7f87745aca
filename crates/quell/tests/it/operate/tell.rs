//! `[tell]`: a command and a mail when a storm opens.

use super::*;
use crate::support::TempDir;
use crate::support::server::config;
use quell_powercut::Recording;
use std::path::PathBuf;

#[test]
fn a_storm_is_told_once() {
    let directory = TempDir::new("operate-tell");
    let (told, script) = telling_script(&directory);
    let more = format!(
        "{JSON_LOG}[tell]\ncommand = [{script:?}]\nmail = \"ops@firm.example\"\n[aliases]\n\"ops@firm.example\" = [\"jane@firm.example\"]\n"
    );
    let text = config(&more).replace("[\"jane\", \"*\"]", "[\"jane\", \"bob\"]");
    let mut server = Server::start(&directory, &text);
    let one = mail("one");
    accepted(&server, &["bob@firm.example"], &one);
    for _ in 0..4 {
        accepted(&server, &["bob@firm.example"], &one);
    }
    wait_for_empty_queue(&server);
    assert!(!told.exists(), "four copies are no storm");
    assert_eq!(storms(&server), Vec::<Value>::new());
    for _ in 0..8 {
        accepted(&server, &["bob@firm.example"], &one);
    }
    let alert = wait_for_mails(&server, "jane", 1).remove(0);
    assert!(wait_until(LIMIT, || std::fs::read_to_string(&told)
        .is_ok_and(|text| text.contains("quell storms show"))));
    let storm = storms(&server).remove(0);
    let id = storm["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        (&storm["copies"], &storm["absorbed"], &storm["delivered"]),
        (&12.into(), &12.into(), &1.into())
    );
    about_the_alert(&alert, &id);
    // A restart tells nothing twice, nor does a copy after it.
    assert_eq!(server.term().code(), Some(0));
    server.restart();
    accepted(&server, &["bob@firm.example"], &one);
    wait_for_empty_queue(&server);
    assert_eq!(storms(&server)[0]["copies"], 13);
    let said = std::fs::read_to_string(&told).expect("what was told");
    assert_eq!(said.matches("event=").count(), 1, "{said}");
    assert!(
        said.starts_with(&format!("event=opened storm={id} subject=quell: storm {id} has begun")),
        "{said}"
    );
    wait_for_mails(&server, "jane", 1);
    wait_for_mails(&server, "bob", 1);
    let log = server.output();
    assert_eq!(log.matches("\"event\":\"storm_opened\"").count(), 1, "{log}");
    // What the alert names works.
    assert!(done(&server, &["storms", "show", &id]).contains(&id));
    assert_log_is_json(&server);
}

/// Where it writes what it is told, and the script.
fn telling_script(directory: &TempDir) -> (PathBuf, PathBuf) {
    let (told, script) = (directory.join("told"), directory.join("tell"));
    let text = format!(
        "#!/bin/sh\n{{ echo \"event=$QUELL_EVENT storm=$QUELL_STORM subject=$QUELL_SUBJECT\"; cat; }} >> {}\n",
        told.display()
    );
    std::fs::write(&script, text).expect("a script");
    run_ok(Command::new("chmod").arg("755").arg(&script));
    (told, script)
}

/// Six hours without a copy, and the storm is closed: while the server was stopped, even.
#[test]
fn the_end_of_a_storm_is_told_once() {
    let directory = TempDir::new("operate-tellend");
    let (told, script) = telling_script(&directory);
    let more = format!("{JSON_LOG}[tell]\ncommand = [{script:?}]\nmail = \"jane@firm.example\"\n");
    let text = config(&more).replace("\"*\"", "\"bob\"");
    let mut server = Server::prepare(&directory, &text, Vec::new());
    let recording = Recording::begin(&directory.join("data"), &directory.join("log")).expect("a recording");
    server.set_environment(recording.environment().expect("the library"));
    server.restart();
    let one = mail("one");
    for _ in 0..8 {
        accepted(&server, &["bob@firm.example"], &one);
    }
    wait_for_mails(&server, "jane", 1);
    assert_eq!(server.term().code(), Some(0));
    recording.set_clock(7 * 3600).expect("a jump");
    server.restart();
    wait_for_mails(&server, "jane", 2);
    let events = || {
        let said = std::fs::read_to_string(&told).unwrap_or_default();
        let events = said.lines().filter_map(|line| line.strip_prefix("event="));
        events.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert!(wait_until(LIMIT, || events().len() == 2), "{:?}", events());
    let storm = storms(&server).remove(0);
    assert_eq!((&storm["state"], &storm["copies"]), (&"closed".into(), &7.into()));
    server.restart();
    wait_for_empty_queue(&server);
    // Two beats of the desk's clock.
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(events(), ["opened", "ended"]);
    wait_for_mails(&server, "jane", 2);
    let (status, metrics) = server.get("/metrics");
    assert!(status == 200 && metrics.contains("quell_storms_open 0\n"), "{metrics}");
}

fn run_ok(command: &mut Command) {
    assert!(command.status().expect("a command").success());
}

pub(super) fn storms(server: &Server) -> Vec<Value> {
    let by_command = json(server, &["storms", "list"])["storms"].as_array().expect("storms").clone();
    let (status, text) = server.get("/api/v1/storms");
    assert_eq!(status, 200);
    let by_console: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(by_console["storms"], Value::from(by_command.clone()));
    by_command
}

/// Nobody can answer it, no machine will, and it names nobody's subject.
fn about_the_alert(alert: &maildir::Mail, storm: &str) {
    let field = |name: &str| maildir::field(&alert.content, name).unwrap_or_default();
    assert_eq!(field("Return-Path"), "<>");
    assert_eq!(field("Auto-Submitted"), "auto-generated");
    assert_eq!(field("Delivered-To"), "jane@firm.example");
    assert!(field("Subject").contains(storm));
    let text = String::from_utf8_lossy(&alert.content);
    assert!(text.contains("quell storms show") && !text.contains("Test one"), "{text}");
    assert!(text.lines().all(|line| line.len() <= 998), "{text}");
}

/// A command that fails, or is not there, hurts no mail and is named in the log.
#[test]
fn a_command_that_fails_is_named() {
    let more = format!("{JSON_LOG}[tell]\ncommand = [\"/no/such/program\"]\n");
    let directory = TempDir::new("operate-tellbad");
    let server = Server::start(&directory, &config(&more));
    let one = mail("one");
    for _ in 0..7 {
        accepted(&server, &["jane@firm.example"], &one);
    }
    wait_for_log(&server, &["\"event\":\"tell_command_failed\""]);
    wait_for_mails(&server, "jane", 1);
    let (_, metrics) = server.get("/metrics");
    assert!(metrics.contains("quell_alerts_total{result=\"failed\"} 1\n"), "{metrics}");
    assert_log_is_json(&server);
}

/// A command that hangs holds neither the mail to the operator nor the end of the server up.
#[test]
fn a_command_that_hangs_does_not_hold_the_server_up() {
    let directory = TempDir::new("operate-tellslow");
    let more = format!("{JSON_LOG}[tell]\ncommand = [\"sleep\", \"300\"]\nmail = \"jane@firm.example\"\n");
    let mut server = Server::start(&directory, &config(&more).replace("\"*\"", "\"bob\""));
    let one = mail("one");
    for _ in 0..7 {
        accepted(&server, &["bob@firm.example"], &one);
    }
    wait_for_mails(&server, "jane", 1);
    // At most 10 s, where the command alone would have 30.
    assert_eq!(server.term().code(), Some(0));
    wait_for_log(&server, &["\"event\":\"tell_command_failed\"", "stopping"]);
    wait_for_log(&server, &["\"event\":\"stopped\""]);
    server.restart();
    wait_for_mails(&server, "jane", 1);
    assert_log_is_json(&server);
}
