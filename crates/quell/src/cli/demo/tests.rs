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
    for line in [
        "mail at a recipient: most 300 1",
        "absorbed - 1,200",
        "refused beside others (3) 0 34",
        "worst 1.2 s 1.2 s",
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let is_it = |found: &str| found.split_whitespace().eq(words.iter().copied());
        assert!(text.lines().any(is_it), "{line}: {text}");
    }
    assert!(text.contains("class loop, open, 1,234 copies for 200 recipients, 1,200 absorbed"), "{text}");
    assert!(text.contains("after 12 s"), "{text}");
    assert!(!text.contains("held") && !text.contains("refused in the answer"), "{text}");
}

#[test]
fn the_verdict_comes_first_and_shared_notes_once() {
    let run = |shape, gateway, most| figures(shape, gateway, most, most);
    let mut runs = vec![run(Shape::Trace, Kind::Relay, 300), run(Shape::Trace, Kind::Quell, 1)];
    runs.extend([run(Shape::Identity, Kind::Relay, 300), run(Shape::Identity, Kind::Quell, 300)]);
    if let Some(run) = runs.last_mut() {
        (run.judged_refused, run.refused, run.held, run.ended_by) = (Some(0), 0, Some(7), Ended::Copies);
    }
    let text = table::text(&report(&args(&[]), runs));
    let once = |part: &str| {
        assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
        text.find(part)
    };
    let first = once("every recipient has exactly one");
    let (refused, identity) = (once("(3) quell refuses"), once("(shape identity)"));
    assert!(first < refused && refused < identity, "{text}");
    assert!(identity < once("(1) Beyond") && once("(1) Beyond") < once("(2) quell syncs"), "{text}");
    once("Cut off after 12 s (--seconds): ");
    once("Cut off without quell after 12 s (--seconds),\n    with quell at 50,000 copies (--copies): ");
    once("held until an operator decides");
    assert_eq!(text.lines().find(|line| line.chars().count() > 79), None);
}

#[test]
fn refusals_are_told_only_where_they_were_and_which_are_among_the_copies() {
    for (judged, answered, rows) in
        [(0, 0, [None, None]), (34, 4, [Some(4), Some(30)]), (4, 4, [Some(4), None])]
    {
        let mut with = figures(Shape::Trace, Kind::Quell, 1, 1);
        (with.judged_refused, with.refused) = (Some(judged), answered);
        let runs = vec![figures(Shape::Trace, Kind::Relay, 3, 3), with];
        let text = table::text(&report(&args(&[]), runs));
        for (name, number) in ["refused in the answer (3)", "refused beside others (3)"].iter().zip(rows) {
            let line = text.lines().find(|line| line.starts_with(name));
            let last = line.and_then(|line| line.split_whitespace().last()?.parse().ok());
            assert_eq!(last, number, "{name}: {text}");
        }
        assert_eq!(text.contains("Nothing is lost"), judged > 0, "{text}");
    }
}

#[test]
fn more_than_one_or_none_is_a_failure_and_loud() {
    for (most, least) in [(2, 1), (1, 0)] {
        for (shape, more) in [(Shape::Trace, &[][..]), (Shape::Trace, &["--json"]), (Shape::Identity, &[])] {
            let (text, result) = printed(shape, most, least, more);
            let failure = result.unwrap_err();
            assert_eq!(failure.status(), 1);
            assert!(failure.to_string().contains("BROKEN ITS PROMISE"), "{failure}");
            assert!(!text.contains("exactly one") && !text.is_empty(), "{text}");
        }
    }
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
