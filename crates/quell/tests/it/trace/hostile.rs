//! Mail and file names of somebody who means harm.

use super::made::{Faulty, KEARNEY, mbox, storm};
use super::trace;
use crate::support::TempDir;
use std::fs;

const HOSTILE: Faulty = Faulty {
    name: "mail.kea\u{1b}[31mrney.<script>alert(1)</script>",
    subject: "\u{1b}]0;mine\u{7}<img src=x onerror=alert(1)>\u{202e}",
    ..KEARNEY
};

fn assert_harmless(text: &str) {
    let obeyed = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
    assert!(!text.chars().any(obeyed), "{text:?}");
}

#[test]
fn nothing_of_mail_is_obeyed() {
    let folder = TempDir::new("trace-hostile");
    let name = "box\u{1b}[2J<b>.mbox";
    let copies = [storm(&HOSTILE, 5), storm(&KEARNEY, 4)].concat();
    fs::write(folder.join(name), mbox(&copies)).expect("written");
    for option in ["--all", "--json", "--quiet", "--for-owner=198.51.100.9"] {
        let said = trace(folder.path(), &[option, name]);
        assert_eq!(said.status, 0, "{option}: {said:?}");
        assert!(said.out.contains("198.51.100.9"), "{option}: {}", said.out);
        assert_harmless(&said.out);
        assert_harmless(&said.err);
    }
    for owner in [&["--all"][..], &["--for-owner=198.51.100.9"]] {
        let page = trace(folder.path(), &[owner, &["--html", "-", name]].concat()).out;
        assert!(page.contains("198.51.100.9") && !page.contains("<script") && !page.contains("<img"));
        assert_harmless(&page);
    }
    let said = trace(folder.path(), &["--quiet", "gone\u{1b}[2J"]);
    assert_harmless(&said.err);
    fs::write(folder.join("bin\u{1b}[2J"), b"\0\0\0").expect("written");
    assert_harmless(&trace(folder.path(), &["bin\u{1b}[2J"]).err);
}

#[test]
fn a_header_without_end_is_read_in_bounded_time() {
    let folder = TempDir::new("trace-long");
    let stamp = "Received: from a (((((by by by [[[[ <<<< \"\"\"\n\t; ; ; Sat, 10 Dec\n";
    let message = format!("{}Message-ID: <1@a.example>\nSubject: x\n\nx\n", stamp.repeat(20_000));
    fs::write(folder.join("box"), mbox(&vec![message; 6])).expect("written");
    let said = trace(folder.path(), &["--json", "--quiet", "box"]);
    assert_eq!(said.status, 0, "{said:?}");
    assert!(said.out.contains("\"messages\": 6,"), "{}", said.out);
}
