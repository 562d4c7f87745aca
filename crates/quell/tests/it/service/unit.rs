//! The units for systemd, as systemd itself judges them.

use super::make_nobodys;
use crate::operate::{LIMIT, accepted, mail, wait_for_mails};
use crate::support::process::run;
use crate::support::server::config;
use crate::support::{Server, TempDir, wait_until};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The level that docs/manual.md names.
const EXPOSURE: &str = "Overall exposure level for quell.service: ";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn units() -> PathBuf {
    repository().join("packaging/systemd")
}

#[test]
fn systemd_understands_every_line() {
    let directory = TempDir::new("service-units");
    // It wants the program to be there.
    for unit in ["quell.service", "quell.socket"] {
        let text = std::fs::read_to_string(units().join(unit)).expect("a unit");
        let text = text.replace("/usr/local/bin/quell", env!("CARGO_BIN_EXE_quell"));
        std::fs::write(directory.join(unit), text).expect("a unit");
    }
    let verify = |unit: &str| run(Command::new("systemd-analyze").arg("verify").arg(directory.join(unit)));
    for unit in ["quell.service", "quell.socket"] {
        let said = verify(unit);
        assert!(!said.contains("quell."), "{said}");
    }
    let text = std::fs::read_to_string(directory.join("quell.service")).expect("a unit");
    std::fs::write(directory.join("quell.service"), text.replace("LimitCORE=0", "LimitCores=0"))
        .expect("a unit");
    assert!(verify("quell.service").contains("LimitCores"), "a fault would be seen");
}

#[test]
fn the_manual_names_the_exposure_that_systemd_finds() {
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--offline=true", "--no-pager"]).arg(units().join("quell.service"));
    let said = run(&mut analyze);
    let (_, level) = said.split_once(EXPOSURE).unwrap_or_else(|| panic!("no level: {said}"));
    let level = level.split_whitespace().next().expect("a number");
    let manual = std::fs::read_to_string(repository().join("docs/manual.md")).expect("the manual");
    assert!(manual.contains(&format!("{EXPOSURE}{level} ")), "the manual says another level than {level}");
}

/// The system calls of a set such as `@system-service`, with those of the sets in it.
fn calls(set: &str) -> BTreeSet<String> {
    let said = run(Command::new("systemd-analyze").args(["syscall-filter", set]));
    let names = said.lines().map(str::trim).filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut found = BTreeSet::new();
    for name in names.filter(|name| *name != set) {
        if name.starts_with('@') { found.extend(calls(name)) } else { _ = found.insert(name.to_owned()) }
    }
    found
}

/// No manager is at hand to try the unit in, so what the server asks of the kernel in a life with mail is
/// held against what its filter lets through.
#[test]
fn the_filter_lets_through_what_the_server_asks_of_the_kernel() {
    super::assert_root();
    let directory = TempDir::new("service-calls");
    let trace = directory.join("trace");
    let more = "[tell]\ncommand = [\"true\"]\n[domains.\"out.example\"]\ndeliver = \"smtp://127.0.0.1:9\"\nrecipients = [\"*\"]\n";
    let mut server = Server::prepare(&directory, &config(more), Vec::new());
    make_nobodys(&server.data);
    let who = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];
    let capability = ["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"];
    // `--daemonize`: the server stays the process that was started.
    let traced = ["strace", "--daemonize", "-f", "-q", "-o", trace.to_str().expect("a path")];
    server.restart_by(&[&traced[..], &who, &capability].concat());
    // With one Date: another one makes another message.
    let message = mail("one");
    for _ in 0..12 {
        accepted(&server, &["jane@firm.example", "tom@out.example"], &message);
    }
    wait_for_mails(&server, "jane", 1);
    assert_eq!(server.get("/metrics").0, 200);
    assert_eq!(server.term().code(), Some(0));
    assert!(
        wait_until(LIMIT, || std::fs::read_to_string(&trace).is_ok_and(|t| t.contains("+++ exited with 0")))
    );
    let text = std::fs::read_to_string(&trace).expect("a trace");
    // What setpriv did before it became the server is no business of the filter.
    let (_, text) = text.split_once("/quell\", [").expect("the start of the server");
    let call =
        |line: &str| line.split_once(' ')?.1.trim_start().split_once('(').map(|(name, _)| name.to_owned());
    let is_name =
        |name: &String| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let used: BTreeSet<_> = text.lines().skip(1).filter_map(call).filter(is_name).collect();
    assert!(used.len() > 40 && used.contains("fdatasync"), "{used:?}");
    let mut allowed = &calls("@system-service") | &calls("@default");
    for set in ["@privileged", "@resources"] {
        allowed = &allowed - &calls(set);
    }
    allowed.insert("capset".to_owned());
    // The attempt to become root again, which must fail.
    allowed.insert("setuid".to_owned());
    let refused: Vec<_> = used.difference(&allowed).collect();
    assert!(refused.is_empty(), "{refused:?}");
}
