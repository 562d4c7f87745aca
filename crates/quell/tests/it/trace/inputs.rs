//! What is read.

use super::made::{KEARNEY, mailbox, mbox, noise, storm};
use super::{blamed, command, json, trace, without_places};
use crate::support::TempDir;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    packed.write_all(bytes).expect("memory");
    packed.finish().expect("memory")
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut packed = lzma_rust2::XzWriter::new(vec![], options).expect("options");
    packed.write_all(bytes).expect("memory");
    packed.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn singles(folder: &Path, messages: &[String]) {
    fs::create_dir_all(folder).expect("a folder");
    for (n, message) in messages.iter().enumerate() {
        fs::write(folder.join(format!("{n:04}.eml")), message).expect("a file");
    }
}

/// What it answers to what comes through standard input.
fn piped(folder: &Path, bytes: &[u8]) -> Value {
    let mut command = command(folder, &["--json", "--quiet", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("quell");
    child.stdin.take().expect("a pipe").write_all(bytes).expect("written");
    let output = child.wait_with_output().expect("an end");
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn however_the_same_messages_lie_the_answer_is_the_same() {
    let folder = TempDir::new("trace-inputs");
    let messages = mailbox();
    let text = mbox(&messages);
    fs::write(folder.join("box"), &text).expect("written");
    let plain = json(folder.path(), &["box"]);
    assert_eq!((plain["messages"].as_u64(), plain["singles"].as_u64()), (Some(38), Some(20)));
    assert_eq!(blamed(&plain), [KEARNEY.name]);
    assert_eq!(plain["groups"][0]["culprits"][0]["copies"], 15);
    let wanted = without_places(plain);
    for (name, packed) in
        [("gz", gzip(text.as_bytes())), ("xz", xz(text.as_bytes())), ("zst", zstd(text.as_bytes()))]
    {
        fs::write(folder.join(name), &packed).expect("written");
        assert_eq!(without_places(json(folder.path(), &[name])), wanted, "{name}");
        assert_eq!(without_places(piped(folder.path(), &packed)), wanted, "{name} through a pipe");
    }
    assert_eq!(without_places(piped(folder.path(), text.as_bytes())), wanted);
    singles(&folder.join("eml"), &messages);
    assert_eq!(without_places(json(folder.path(), &["eml"])), wanted);
    singles(&folder.join("jane/cur"), &messages);
    ["new", "tmp"].iter().for_each(|name| fs::create_dir(folder.join("jane").join(name)).expect("a folder"));
    assert_eq!(without_places(json(folder.path(), &["jane"])), wanted);
    for threads in ["1", "2", "5"] {
        assert_eq!(without_places(json(folder.path(), &["--threads", threads, "eml"])), wanted);
    }
}

#[test]
fn several_files_are_one_archive() {
    let folder = TempDir::new("trace-several");
    let copies = storm(&KEARNEY, 4);
    let of = |person: usize| copies.iter().skip(person).step_by(3).cloned().collect::<Vec<_>>();
    for person in 0..3 {
        fs::write(folder.join(format!("{person}.mbox")), mbox(&of(person))).expect("written");
    }
    let answer = json(folder.path(), &["0.mbox", "1.mbox", "2.mbox"]);
    let group = &answer["groups"][0];
    assert_eq!((group["copies"].as_u64(), group["recipients"].as_u64()), (Some(15), Some(3)));
    assert_eq!(blamed(&answer), [KEARNEY.name]);
    let evidence = group["culprits"][0]["evidence"].to_string();
    assert!(evidence.contains(".mbox"), "{evidence}");
}

#[test]
fn what_cannot_be_read_is_said_and_ends_with_1() {
    let folder = TempDir::new("trace-bad");
    fs::write(folder.join("binary"), [0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 9, 200, 13]).expect("written");
    fs::create_dir_all(folder.join("empty/deep")).expect("a folder");
    fs::write(folder.join("empty/notes"), "# Notes\n\nnothing\n").expect("written");
    for (path, said) in [
        ("nowhere.mbox", "cannot read nowhere.mbox: No such file"),
        ("binary", "binary holds no mail"),
        ("empty", "no mail in empty"),
        ("/dev/null", "/dev/null is no file"),
    ] {
        let failed = trace(folder.path(), &["--quiet", path]);
        assert_eq!(failed.status, 1, "{path}: {failed:?}");
        assert!(failed.err.contains(said) && failed.out.is_empty(), "{path}: {failed:?}");
    }
}

#[test]
fn an_empty_mailbox_is_one() {
    let folder = TempDir::new("trace-empty");
    fs::write(folder.join("box"), "").expect("written");
    let answer = json(folder.path(), &["box"]);
    assert_eq!(answer, serde_json::json!({"messages": 0, "singles": 0, "damaged": 0, "groups": []}));
}

#[test]
fn damage_is_counted_and_named_and_the_rest_is_read() {
    let folder = TempDir::new("trace-damaged");
    let packed = xz(mbox(&[mailbox(), noise(8_000)].concat()).as_bytes());
    fs::write(folder.join("cut.xz"), &packed[..packed.len() * 3 / 4]).expect("written");
    let said = trace(folder.path(), &["--json", "--quiet", "cut.xz"]);
    assert_eq!(said.status, 0, "{said:?}");
    assert!(said.err.starts_with("damaged: cut.xz, byte "), "{}", said.err);
    let answer: Value = serde_json::from_str(&said.out).expect("JSON");
    assert!(answer["damaged"].as_u64() == Some(1) && answer["messages"].as_u64() > Some(38), "{answer}");
    assert_eq!(blamed(&answer), [KEARNEY.name]);
    // Nothing at all comes out of this one.
    fs::create_dir(folder.join("all-cut")).expect("a folder");
    fs::write(folder.join("all-cut/a.eml"), &gzip(mailbox()[0].as_bytes())[..12]).expect("written");
    for (path, why) in [("all-cut", "nothing could be read"), ("all-cut/a.eml", "is damaged")] {
        let said = trace(folder.path(), &["--quiet", path]);
        assert!(said.status == 1 && said.err.contains(why), "{said:?}");
    }
}

#[test]
fn of_a_message_that_is_too_large_the_header_counts() {
    let folder = TempDir::new("trace-large");
    let mut messages = storm(&KEARNEY, 5);
    messages.iter_mut().for_each(|message| message.push_str(&"A long line of text.\n".repeat(200)));
    fs::write(folder.join("box"), mbox(&messages)).expect("written");
    let answer = json(folder.path(), &["--max-message", "2048", "box"]);
    assert_eq!((answer["messages"].as_u64(), answer["damaged"].as_u64()), (Some(18), Some(18)));
    assert_eq!(blamed(&answer), [KEARNEY.name]);
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_to_give() {
    let folder = TempDir::new("trace-usage");
    fs::write(folder.join("box"), mbox(&mailbox())).expect("written");
    let cases: [(&[&str], &str); 7] = [
        (&[], "name what is to be read: mbox files, Maildirs"),
        (&["--json", "--html", "-", "box"], "only one of --json"),
        (&["--mbox", "out", "--for-owner", "box"], "cannot be used with"),
        (&["--html", "out", "--mbox", "out", "box"], "two files"),
        (&["--threads", "0", "box"], "0 is not in 1..=256"),
        (&["--max-message", "7", "box"], "7 is not in"),
        (&["--html", "box", "box"], "among what is to be read"),
    ];
    for (arguments, said) in cases {
        let failed = trace(folder.path(), arguments);
        assert_eq!(failed.status, 2, "{arguments:?}: {failed:?}");
        assert!(failed.err.contains(said), "{arguments:?}: {failed:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left");
}
