//! What may leave the house.

use super::made::{BUILDER, Faulty, KEARNEY, mailbox, mbox, storm};
use super::{command, json, trace};
use crate::support::TempDir;
use std::fs;

/// Words that stand in the mail, or in what the operator typed, and must not stand in what is sent away.
const SECRETS: [&str; 9] =
    ["jane", "bob", "eve@", "news@", "quarterly", "Dear reader", "hushbox", "hushfolder", "all@kearney"];

#[test]
fn nothing_of_people_leaves_with_any_answer() {
    let folder = TempDir::new("trace-owner");
    fs::create_dir(folder.join("hushfolder")).expect("a folder");
    fs::write(folder.join("hushfolder/hushbox.mbox"), mbox(&mailbox())).expect("written");
    let path = "hushfolder/hushbox.mbox";
    let plain =
        trace(folder.path(), &["--json", path]).out + &trace(folder.path(), &["--html", "-", path]).out;
    for secret in SECRETS.iter().filter(|secret| !["Dear reader", "eve@", "news@"].contains(secret)) {
        assert!(plain.contains(secret), "{secret} would be found");
    }
    for owner in ["--for-owner", "--for-owner=mail.kearney.example", "--for-owner=198.51.100.9"] {
        for answer in [&["--json"][..], &["--html", "-"], &["--all"]] {
            let said = trace(folder.path(), &[&[owner, "--quiet", path], answer].concat());
            assert_eq!(said.status, 0, "{owner} {answer:?}: {said:?}");
            assert!(said.out.contains("mail.kearney.example"), "{owner} {answer:?}: {}", said.out);
            for secret in SECRETS {
                assert!(!said.out.contains(secret), "{secret}: {owner} {answer:?}: {}", said.out);
            }
        }
    }
    let said = trace(folder.path(), &["--for-owner", "--html", "page.html", path]);
    assert_eq!(said.status, 0, "{said:?}");
    assert!(said.err.contains("send it to whoever runs the server"), "{}", said.err);
    let page = fs::read_to_string(folder.join("page.html")).expect("a page");
    assert!(SECRETS.iter().all(|secret| !page.contains(secret)));
}

/// As [`KEARNEY`], but of another firm.
const NAMESAKE: Faulty = Faulty { ip: "203.0.113.200", subject: "Another letter", ..KEARNEY };

#[test]
fn one_servers_owner_hears_of_no_other() {
    let folder = TempDir::new("trace-owners");
    fs::write(folder.join("box"), mbox(&[storm(&KEARNEY, 4), storm(&BUILDER, 4)].concat())).expect("written");
    let failed = trace(folder.path(), &["--for-owner", "box"]);
    assert_eq!(failed.status, 1, "{failed:?}");
    for name in ["mail.kearney.example (198.51.100.9)", "mail.builder.example (203.0.113.77)", "--for-owner="]
    {
        assert!(failed.err.contains(name), "{failed:?}");
    }
    let failed = trace(folder.path(), &["--for-owner=nobody.example", "box"]);
    assert_eq!(failed.status, 1, "{failed:?}");
    assert!(failed.err.contains("no server called nobody.example"), "{failed:?}");
    assert!(failed.err.contains("mail.builder.example (203.0.113.77)"), "{failed:?}");
    let answer = json(folder.path(), &["--for-owner=MAIL.builder.example.", "box"]);
    assert_eq!(super::blamed(&answer), [BUILDER.name]);
    // How much was read besides is nothing to its owner.
    assert_eq!((answer["messages"].as_u64(), answer["singles"].as_u64()), (Some(15), Some(0)));
    assert!(!answer.to_string().contains("kearney"));
}

#[test]
fn a_name_that_two_servers_have_is_not_enough() {
    let folder = TempDir::new("trace-namesakes");
    let other: Vec<String> =
        storm(&NAMESAKE, 4).iter().map(|m| m.replace("kearney.1@", "kearney.2@")).collect();
    let other: Vec<String> = other.iter().map(|m| m.replace("reader of kearney", "friend")).collect();
    fs::write(folder.join("box"), mbox(&[storm(&KEARNEY, 4), other].concat())).expect("written");
    let failed = trace(folder.path(), &["--for-owner=mail.kearney.example", "box"]);
    assert_eq!(failed.status, 1, "{failed:?}");
    assert!(failed.err.contains("choose one by its address"), "{failed:?}");
    assert!(failed.err.contains("198.51.100.9") && failed.err.contains("203.0.113.200"), "{failed:?}");
    assert_eq!(trace(folder.path(), &["--for-owner=203.0.113.200", "box"]).status, 0);
}

#[test]
fn nobody_found_is_said_without_names() {
    let folder = TempDir::new("trace-nobody");
    fs::write(folder.join("box"), mbox(&storm(&KEARNEY, 0))).expect("written");
    let output = command(folder.path(), &["--for-owner", "box"]).output().expect("quell");
    let out = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success() && out.contains("No server was found") && !out.contains("jane"), "{out}");
    let failed = trace(folder.path(), &["--for-owner=a.example", "box"]);
    assert!(failed.status == 1 && failed.err.contains("none was found at all"), "{failed:?}");
}
