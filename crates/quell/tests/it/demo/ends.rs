//! Every way in which it ends leaves nothing behind.

use super::{assert_nothing_left, files, processes, run, start, temporary};
use crate::support::process::signal;
use crate::support::{TempDir, wait_until};
use std::time::Duration;

/// Liveness only.
const LIMIT: Duration = Duration::from_secs(60);
const LONG: [&str; 6] = ["--shape", "trace", "--copies", "500000", "--firms", "20"];

/// Waits until a process of the demonstration has `words` in its command line; its id.
fn wait_for(directory: &TempDir, words: &str) -> u32 {
    let mut id = None;
    let found = |id: &mut Option<u32>| {
        *id = processes(directory).into_iter().find(|(_, line)| line.contains(words)).map(|(id, _)| id);
        id.is_some()
    };
    assert!(wait_until(LIMIT, || found(&mut id)), "no process with `{words}`: {:?}", processes(directory));
    id.expect("one")
}

#[test]
fn an_interrupt_ends_the_children_and_clears_up() {
    let cases = [("demo-relay", "60", "INT"), ("serve", "2", "INT"), ("demo-relay", "60", "TERM")];
    for (gateway, seconds, name) in cases.into_iter().chain([("demo-relay", "60", "QUIT")]) {
        let directory = TempDir::new("demo-interrupt");
        let mut demo = start(&directory, &[&LONG[..], &["--seconds", seconds]].concat());
        wait_for(&directory, gateway);
        // In the middle of it, and not at its start.
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(files(&temporary(&directory)).len(), 1);
        signal(demo.pid(), name);
        let mut status = None;
        assert!(wait_until(LIMIT, || {
            status = demo.ended();
            status.is_some()
        }));
        assert_eq!(status.and_then(|status| status.code()), Some(1), "{}", demo.output());
        assert!(demo.output().contains("interrupted"), "{}", demo.output());
        assert_nothing_left(&directory);
    }
}

#[test]
fn a_gateway_that_dies_is_told_of() {
    for (gateway, seconds, who) in [("demo-relay", "60", "the plain relay"), ("serve", "2", "quell")] {
        let directory = TempDir::new("demo-dies");
        let mut demo = start(&directory, &[&LONG[..], &["--seconds", seconds]].concat());
        signal(wait_for(&directory, gateway), "KILL");
        let mut status = None;
        assert!(wait_until(LIMIT, || {
            status = demo.ended();
            status.is_some()
        }));
        assert_eq!(status.and_then(|status| status.code()), Some(1), "{}", demo.output());
        let told = format!("{who} ended (signal: 9 (SIGKILL))");
        assert!(demo.output().contains(&told), "{}", demo.output());
        assert_nothing_left(&directory);
    }
}

#[test]
fn wrong_arguments_are_refused_with_their_limits() {
    let directory = TempDir::new("demo-wrong");
    let wrong = [
        (["--shape", "round"], "trace, identity, both"),
        (["--copies", "99"], "100..=500000"),
        (["--copies", "500001"], "100..=500000"),
        (["--firms", "9"], "10..=2000"),
        (["--firms", "2001"], "10..=2000"),
        (["--seconds", "0"], "1..=600"),
        (["--seed", "x"], "--seed"),
    ];
    for (arguments, part) in wrong {
        let output = run(&directory, &arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_nothing_left(&directory);
}

#[test]
fn no_room_for_its_files_is_told() {
    let directory = TempDir::new("demo-nowhere");
    let mut command = super::demo(&directory, &["--copies", "100"]);
    let output = command.env("TMPDIR", directory.join("nowhere")).output().expect("quell");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("nowhere"), "{said}");
    assert_nothing_left(&directory);
}
