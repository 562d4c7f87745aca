//! `quell replay` as a program: what it reads, what it answers, how it ends.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::operate::Said;
use crate::support::TempDir;
use crate::trace::made::{KEARNEY, letters, mailbox, mbox};

/// `quell replay` with these arguments, away from any configuration.
fn command<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
    command.current_dir(folder).arg("replay").args(arguments).env_remove("COLUMNS");
    command
}

fn replay<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Said {
    Said::of(command(folder, arguments))
}

/// The answer as JSON, wanting status 0.
fn json(folder: &Path, arguments: &[&str]) -> Value {
    let said = replay(folder, &[arguments, &["--json", "--quiet"]].concat());
    assert_eq!(said.status, 0, "{arguments:?}: {said:?}");
    serde_json::from_str(&said.out).unwrap_or_else(|why| panic!("{why}: {said:?}"))
}

fn figures(answer: &Value) -> [u64; 5] {
    ["messages", "pass", "absorb", "hold", "refuse"].map(|name| answer[name].as_u64().expect("a number"))
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    names.sort();
    names
}

#[test]
fn however_the_same_mail_lies_the_answer_is_the_same_and_nothing_is_changed() {
    let folder = TempDir::new("replay-inputs");
    let (messages, box_) = (mailbox(), folder.join("box"));
    let text = mbox(&messages);
    fs::write(&box_, &text).expect("written");
    let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).expect("memory");
    fs::write(folder.join("box.gz"), gzip.finish().expect("memory")).expect("written");
    for (n, message) in messages.iter().enumerate() {
        for inner in ["jane/cur", "jane/new", "jane/tmp", "eml"] {
            fs::create_dir_all(folder.join(inner)).expect("a folder");
        }
        fs::write(folder.join(format!("jane/cur/{n:04}")), message).expect("written");
        fs::write(folder.join(format!("eml/{:04}.eml", messages.len() - n)), message).expect("written");
    }
    let before = names(folder.path());
    let wanted = json(folder.path(), &["box"]);
    assert_eq!(figures(&wanted), [38, 23, 15, 0, 0], "{wanted:#}");
    for table in ["by_class", "opportunities"] {
        let of = |class: &str| wanted[table][class].as_u64();
        assert_eq!(["copies", "loop", "retry"].map(of), [Some(15), Some(0), Some(0)], "{table}");
        assert_eq!(wanted[table].as_object().map(serde_json::Map::len), Some(10), "{table}");
    }
    let storm = &wanted["storms"][0];
    assert_eq!((storm["copies"].as_u64(), storm["recipients"].as_u64()), (Some(15), Some(3)), "{storm:#}");
    assert_eq!(storm["culprits"][0]["host"], KEARNEY.name, "{storm:#}");
    let example = &wanted["examples"][0];
    assert_eq!(example["message_id"], "<kearney.1@publisher.example>");
    assert_eq!((&example["class"], &example["verdict"]), (&"copies".into(), &"absorb".into()));
    assert!(example["reason"].as_str().expect("words").starts_with("Absorbed by rule copies: "));
    for path in ["box.gz", "jane", "eml"] {
        for threads in ["1", "3"] {
            assert_eq!(json(folder.path(), &["--threads", threads, path]), wanted, "{path} {threads}");
        }
    }
    let mut piped = command(folder.path(), &["--json", "-"]);
    let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("quell");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    let said = child.wait_with_output().expect("an end");
    assert_eq!(serde_json::from_slice::<Value>(&said.stdout).expect("JSON"), wanted);
    assert_eq!(names(folder.path()), before);
    assert_eq!(fs::read_to_string(&box_).expect("the file"), text);
}

#[test]
fn a_terminal_hears_first_what_would_have_become_of_the_mail() {
    let folder = TempDir::new("replay-text");
    fs::write(folder.join("box"), mbox(&mailbox())).expect("written");
    let said = replay(folder.path(), &["box"]);
    let first = "Of 38 messages quell would have let 23 pass, absorbed 15 copies, held 0, refused 0.";
    assert_eq!((said.status, said.out.lines().next()), (0, Some(first)), "{said:?}");
    for wanted in [KEARNEY.name, "storm_rcpt_copies = 5", "Nothing was delivered, and nothing was changed."] {
        assert!(said.out.contains(wanted), "{wanted}: {}", said.out);
    }
    assert!(!said.out.contains('\u{1b}') && said.err.is_empty(), "{said:?}");
}

#[test]
fn the_settings_of_a_configuration_count_and_only_of_one_that_is_named() {
    let folder = TempDir::new("replay-config");
    fs::write(folder.join("box"), mbox(&mailbox())).expect("written");
    let settings = "[judge]\nstorm_rcpt_copies = 100\nstorm_key_copies = 100\n";
    fs::write(folder.join("quell.toml"), settings).expect("written");
    let storms = |arguments: &[&str]| json(folder.path(), arguments)["storms"].as_array().map(Vec::len);
    assert_eq!(storms(&["box"]), Some(1));
    assert_eq!(storms(&["--config", "quell.toml", "box"]), Some(0));
    let said = replay(folder.path(), &["--config", "quell.toml", "box"]);
    assert!(
        said.out.contains("(those of quell.toml)") && said.out.contains("storm_key_copies = 100"),
        "{said:?}"
    );
    assert!(!folder.join("quell-data").exists());
    fs::write(folder.join("bad.toml"), "[judge]\nmax_hops = 3\n").expect("written");
    for config in ["bad.toml", "none.toml"] {
        let said = replay(folder.path(), &["--config", config, "box"]);
        assert_eq!((said.status, said.out.as_str()), (2, ""), "{config}: {said:?}");
        assert!(said.err.contains(config), "{said:?}");
    }
}

#[test]
fn what_is_no_mail_or_damaged_is_said() {
    let folder = TempDir::new("replay-bad");
    let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    gzip.write_all(mbox(&letters(2_000)).as_bytes()).expect("memory");
    let gzip = gzip.finish().expect("memory");
    fs::write(folder.join("half.gz"), &gzip[..gzip.len() / 2]).expect("written");
    fs::write(folder.join("picture.png"), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").expect("written");
    fs::write(folder.join("empty"), "").expect("written");
    let said = replay::<&str>(folder.path(), &[]);
    assert!(said.status == 2 && said.err.contains("name what is to be read"), "{said:?}");
    for (path, why) in [("none", "none"), ("picture.png", "picture.png")] {
        let said = replay(folder.path(), &[path]);
        assert!(said.status == 1 && said.err.contains(why) && said.out.is_empty(), "{said:?}");
    }
    let said = replay(folder.path(), &["--json", "half.gz"]);
    assert!(said.status == 0 && said.err.contains("damaged: half.gz"), "{said:?}");
    let messages = serde_json::from_str::<Value>(&said.out).expect("JSON")["messages"].as_u64();
    assert!(messages.is_some_and(|n| n > 500 && n < 2_000), "{messages:?}");
    assert_eq!(figures(&json(folder.path(), &["empty"])), [0; 5]);
    let said = replay(folder.path(), &["empty"]);
    assert!(said.out.starts_with("Of 0 messages "), "{said:?}");
}

/// Real archives of public lists. `QUELL_REAL_MAIL` names the folder that has them in `archives/`.
#[test]
fn real_lists_pass_but_for_the_copies_in_them() {
    let folder = std::env::var_os("QUELL_REAL_MAIL").map(|folder| PathBuf::from(folder).join("archives"));
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        eprintln!("\n*** SKIPPED: QUELL_REAL_MAIL names no folder with archives\n");
        return;
    };
    let answer = json(&folder, &["."]);
    assert_eq!(figures(&answer), [8_000, 7_975, 25, 0, 0]);
    let ids: Vec<&str> = answer["examples"]
        .as_array()
        .expect("examples")
        .iter()
        .map(|example| example["message_id"].as_str().expect("an id"))
        .collect();
    let known = [
        "<fb0bfe97-41c2-8aeb-f4f2-e8a07c5fda92@maidavale.org>",
        "<2024020516-decipher-unvaried-202a@gregkh>",
    ];
    assert_eq!(ids, known);
    assert_eq!(answer["storms"].as_array().map(Vec::len), Some(1));
}
