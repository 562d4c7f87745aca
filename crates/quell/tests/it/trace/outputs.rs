//! What is answered, and where.

use super::made::{BUILDER, KEARNEY, letters, mailbox, mbox, storm};
use super::{blamed, command, json, trace, without_places};
use crate::operate::LIMIT;
use crate::support::{TempDir, process, wait_until};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

fn folder_with_box(name: &str) -> TempDir {
    let folder = TempDir::new(name);
    fs::write(folder.join("box"), mbox(&mailbox())).expect("written");
    folder
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).expect("a folder").flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_terminal_gets_the_culprit_and_its_evidence() {
    let folder = folder_with_box("trace-text");
    let said = trace(folder.path(), &["box"]);
    assert_eq!((said.status, said.err.as_str()), (0, ""), "short work says nothing");
    assert!(
        said.out.starts_with("38 messages read, 1 group of copies, 20 messages without a copy"),
        "{}",
        said.out
    );
    assert!(said.out.contains("mail.kearney.example (198.51.100.9)") && said.out.contains("box, byte "));
    assert!(!said.out.contains('\u{1b}'), "no colours into a pipe");
    let narrow = command(folder.path(), &["box"]).env("COLUMNS", "60").output().expect("quell");
    let narrow = String::from_utf8(narrow.stdout).expect("UTF-8");
    assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
}

#[test]
fn json_is_as_it_is_fixed() {
    let folder = folder_with_box("trace-json");
    let answer = json(folder.path(), &["box"]);
    let keys = |value: &serde_json::Value| {
        value.as_object().expect("an object").keys().cloned().collect::<std::collections::BTreeSet<_>>()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(keys(&answer), set(&["messages", "singles", "damaged", "groups"]));
    let group = &answer["groups"][0];
    let of_group = [
        "key",
        "subject",
        "message_ids",
        "copies",
        "recipients",
        "first_seen",
        "last_seen",
        "culprits",
        "verdict",
    ];
    assert_eq!(keys(group), set(&of_group));
    assert_eq!((group["verdict"].as_str(), group["copies"].as_u64()), (Some("culprit"), Some(18)));
    assert_eq!(group["key"].as_str().map(str::len), Some(32));
    assert!(group["first_seen"].as_str().expect("a time").starts_with("2005-12-10T09:00"));
    let culprit = &group["culprits"][0];
    let of_culprit = [
        "host",
        "ip",
        "names",
        "software",
        "class",
        "copies",
        "share",
        "confidence",
        "first_seen",
        "last_seen",
        "interval_s",
        "evidence",
    ];
    assert_eq!(keys(culprit), set(&of_culprit));
    assert_eq!((culprit["class"].as_str(), culprit["ip"].as_str()), (Some("resends"), Some(KEARNEY.ip)));
    assert_eq!(keys(&culprit["evidence"][0]), set(&["text", "file", "offset"]));
}

#[test]
fn a_page_is_written_whole_and_beside_the_other_answer() {
    let folder = folder_with_box("trace-html");
    fs::write(folder.join("page.html"), "old").expect("written");
    let said = trace(folder.path(), &["--html", "page.html", "--json", "box"]);
    assert_eq!(said.status, 0, "{said:?}");
    assert!(said.out.starts_with("{\n  \"messages\": 38,"), "{}", said.out);
    assert!(
        said.err.contains("written: ") && said.err.contains("page.html: look at it in a browser"),
        "{}",
        said.err
    );
    let page = fs::read_to_string(folder.join("page.html")).expect("a page");
    assert!(page.contains("mail.kearney.example") && page.trim_end().ends_with("</html>"));
    assert_eq!(fs::metadata(folder.join("page.html")).expect("it").permissions().mode() & 0o777, 0o600);
    assert_eq!(names(&folder), ["box", "page.html"]);
    let said = trace(folder.path(), &["--html", "-", "box"]);
    assert!(said.out.to_ascii_lowercase().starts_with("<!doctype html>") && said.err.is_empty(), "{said:?}");
}

#[test]
fn what_cannot_be_written_is_said_at_once_and_ends_with_1() {
    let folder = folder_with_box("trace-unwritten");
    fs::create_dir(folder.join("sub")).expect("a folder");
    for option in ["--html", "--mbox"] {
        for (path, said) in [("sub", "it is a folder"), ("nowhere/page", "No such file")] {
            // The input is not even looked at.
            let failed = trace(folder.path(), &[option, path, "no-such-input"]);
            assert_eq!(failed.status, 1, "{failed:?}");
            assert!(failed.err.contains("cannot write") && failed.err.contains(said), "{failed:?}");
        }
    }
    let failed = trace(folder.path(), &["--html", "/dev/full", "box"]);
    assert_eq!(failed.status, 1, "{failed:?}");
    assert!(failed.err.contains("cannot write /dev/full: No space left"), "{failed:?}");
    assert_eq!(names(&folder), ["box", "sub"]);
}

#[test]
fn the_evidence_gives_the_same_groups_again() {
    let folder = TempDir::new("trace-mbox");
    let mut all = letters(30);
    all.splice(20..20, storm(&KEARNEY, 5));
    all.splice(5..5, storm(&BUILDER, 3));
    fs::write(folder.join("box"), mbox(&all)).expect("written");
    let said = trace(folder.path(), &["--quiet", "--mbox", "evidence", "box"]);
    assert_eq!(said.status, 0, "{said:?}");
    let (mut before, mut after) = (json(folder.path(), &["box"]), json(folder.path(), &["evidence"]));
    assert_eq!(blamed(&before).len(), 2);
    assert_eq!((after["messages"].as_u64(), after["singles"].as_u64()), (Some(30), Some(0)));
    let (before, after) = (without_places(before.take()), without_places(after.take()));
    assert_eq!(before["groups"], after["groups"]);
    let text = fs::read_to_string(folder.join("evidence")).expect("a file");
    // The messages are what they were, but for the postmarks.
    let postmarks: Vec<&str> = text.lines().filter(|line| line.starts_with("From ")).collect();
    assert!(postmarks[0].starts_with("From quell-trace-group-2 Sat Dec 10 09:"), "{}", postmarks[0]);
    assert!(postmarks[29].starts_with("From quell-trace-group-1 Sat Dec 10 "), "{}", postmarks[29]);
    let whole =
        |text: &str| text.lines().filter(|line| !line.starts_with("From ")).map(str::to_owned).collect();
    let (kept, wanted): (Vec<String>, Vec<String>) =
        (whole(&text), whole(&mbox(&[storm(&BUILDER, 3), storm(&KEARNEY, 5)].concat())));
    assert_eq!(kept, wanted);
    let said = trace(folder.path(), &["--mbox", "-", "box"]);
    assert_eq!(said.out, text);
}

#[test]
fn innocent_groups_are_shown_if_asked_for() {
    let folder = TempDir::new("trace-all");
    // One copy for each: a publisher.
    fs::write(folder.join("box"), mbox(&storm(&KEARNEY, 0))).expect("written");
    let (few, all) = (trace(folder.path(), &["box"]), trace(folder.path(), &["--all", "box"]));
    assert!(few.out.contains("No server was found") && !few.out.contains(KEARNEY.subject), "{}", few.out);
    assert!(all.out.contains(KEARNEY.subject), "{}", all.out);
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let folder = folder_with_box("trace-pipe");
    for option in ["--json", "--all"] {
        let mut child = command(folder.path(), &[option, "box"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("quell");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("an end");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn ctrl_c_leaves_nothing_half_written() {
    let folder = TempDir::new("trace-ctrl-c");
    fs::write(folder.join("page.html"), "old").expect("written");
    for signal in ["INT", "TERM"] {
        let mut child = command(folder.path(), &["--html", "page.html", "--mbox", "evidence", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("quell");
        assert!(wait_until(LIMIT, || names(&folder).len() == 3), "both are begun: {:?}", names(&folder));
        // Waiting would close it, and what then comes to its end comes to its end.
        let stdin = child.stdin.take();
        process::signal(child.id(), signal);
        let status = child.wait().expect("an end");
        drop(stdin);
        assert_eq!(status.signal(), Some(if signal == "INT" { 2 } else { 15 }));
        assert_eq!(names(&folder), ["page.html"]);
        assert_eq!(fs::read_to_string(folder.join("page.html")).expect("it"), "old");
    }
}

#[test]
fn help_has_examples() {
    let folder = TempDir::new("trace-help");
    let said = trace(folder.path(), &["--help"]);
    assert!(
        said.status == 0 && said.out.contains("quell trace inbox.mbox") && said.out.contains("--for-owner")
    );
}
