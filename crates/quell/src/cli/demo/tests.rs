//! What is printed for given figures.

#![allow(clippy::unwrap_used, reason = "test code")]

use super::figures::{Disk, Ended, OtherMail, Spread};
use super::*;
use clap::Parser;

fn args(more: &[&str]) -> Args {
    let line = ["quell", "demo"].iter().chain(more);
    match crate::cli::Cli::try_parse_from(line).unwrap().command {
        crate::cli::Command::Demo(args) => Some(args),
        _ => None,
    }
    .unwrap()
}

fn figures(shape: Shape, gateway: Kind, most: u64, least: u64) -> Run {
    let of_quell = |number| (gateway == Kind::Quell).then_some(number);
    Run {
        shape,
        gateway,
        ended_by: Ended::Time,
        storm_ms: 1_500,
        copies_sent: 1_234,
        sendings: 13,
        refused: 0,
        arrived: most * 200,
        mail_at_recipient: Spread { most, median: most, least },
        absorbed: of_quell(1_200),
        held: of_quell(0),
        judged_refused: of_quell(34),
        mailbox_bytes: 3 << 20,
        disk: of_quell(0).map(|_| Disk { bytes: 5 << 20, set_aside_bytes: 3 << 20 }),
        memory_peak_bytes: None,
        other_mail: OtherMail { sent: 3, arrived: 3, delay_ms: Spread::of(vec![4, 9, 1_250]) },
        storms: vec![serde_json::json!({"id": "a1", "class": "loop", "state": "open", "copies": 1_234,
            "recipients": 200, "absorbed": 1_200, "held": 0, "culprits": []})],
        timeline: Vec::new(),
    }
}

/// What is printed of a run without quell and one with it, and how that ends.
fn printed(shape: Shape, most: u64, least: u64, more: &[&str]) -> (String, Result<(), Failure>) {
    let args = args(more);
    let runs = vec![figures(shape, Kind::Relay, 300, 200), figures(shape, Kind::Quell, most, least)];
    let mut out = Vec::new();
    let result = print(&args, &report(&args, runs), &mut out);
    (String::from_utf8(out).unwrap(), result)
}

#[test]
fn one_each_is_a_success() {
    let (text, result) = printed(Shape::Trace, 1, 1, &[]);
    assert!(result.is_ok() && text.contains("every recipient has exactly one"), "{text}");
    for line in
        ["mail at a recipient: most 300 1", "absorbed - 1,200", "refused (2) 0 34", "worst 1.2 s 1.2 s"]
    {
        let words: Vec<_> = line.split(' ').collect();
        let is_it = |found: &str| found.split_whitespace().eq(words.iter().copied());
        assert!(text.lines().any(is_it), "{line}: {text}");
    }
    assert!(text.contains("class loop, open, 1,234 copies for 200 recipients, 1,200 absorbed"), "{text}");
    assert!(text.contains("after 12 s") && !text.contains("NOT STOPPED"), "{text}");
}

#[test]
fn more_than_one_or_none_is_a_failure_and_loud() {
    for (most, least) in [(2, 1), (1, 0)] {
        for more in [&[][..], &["--json"]] {
            let (text, result) = printed(Shape::Trace, most, least, more);
            let failure = result.unwrap_err();
            assert_eq!(failure.status(), 1);
            assert!(failure.to_string().contains("BROKEN ITS PROMISE"), "{failure}");
            assert!(!text.contains("exactly one") && !text.is_empty(), "{text}");
        }
    }
}

#[test]
fn that_new_identities_are_not_stopped_is_said_as_long_as_it_is_so() {
    let (text, result) = printed(Shape::Identity, 250, 200, &[]);
    assert!(result.is_ok() && text.contains("NOT STOPPED YET"), "{text}");
    let (text, _) = printed(Shape::Identity, 1, 1, &[]);
    assert!(!text.contains("NOT STOPPED YET") && text.contains("exactly one"), "{text}");
}

#[test]
fn nothing_of_a_storm_is_obeyed_by_a_terminal() {
    let args = args(&[]);
    let mut run = figures(Shape::Trace, Kind::Quell, 1, 1);
    run.storms = vec![serde_json::json!({"id": "\u{1b}[2J", "class": ["\u{7}"]})];
    let runs = vec![figures(Shape::Trace, Kind::Relay, 3, 3), run];
    let text = table::text(&report(&args, runs));
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}
