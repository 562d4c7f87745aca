//! What it measures and how it says so.

use super::{assert_nothing_left, run};
use crate::support::TempDir;
use serde_json::Value;
use std::collections::BTreeSet;

const FIRMS: u64 = 20;
const COPIES: u64 = 2_000;
const SMALL: [&str; 7] = ["--copies", "2000", "--firms", "20", "--seconds", "30", "--json"];

/// The report, once everything is cleared away.
fn report(name: &str, arguments: &[&str]) -> Value {
    let directory = TempDir::new(name);
    let output = run(&directory, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stderr, b"", "silent with --json and no terminal");
    assert_nothing_left(&directory);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn number(value: &Value, pointer: &str) -> u64 {
    let found = value.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no number at {pointer} of {value}"))
}

/// The run with this gateway; there is one.
fn with<'a>(report: &'a Value, shape: &str, gateway: &str) -> &'a Value {
    let runs = report["runs"].as_array().expect("a list");
    let found: Vec<_> =
        runs.iter().filter(|run| run["shape"] == shape && run["gateway"] == gateway).collect();
    assert_eq!(found.len(), 1, "{report}");
    found[0]
}

/// What holds whoever stands at the gateway.
fn assert_run(run: &Value) {
    assert_eq!(run["ended_by"], "copies", "{run}");
    let sent = number(run, "/copies_sent");
    assert!((COPIES..2 * COPIES).contains(&sent), "{sent}");
    assert!(number(run, "/sendings") * 100 >= sent, "at most 100 recipients in each: {run}");
    assert!(number(run, "/mailbox_bytes") > number(run, "/arrived") * 3_000, "{run}");
    assert!(number(run, "/memory_peak_bytes") > 1 << 20, "{run}");
    let others = number(run, "/other_mail/sent");
    assert!(others > 0 && number(run, "/other_mail/arrived") == others, "{run}");
    let timeline = run["timeline"].as_array().expect("a list");
    let (first, last) = (&timeline[0], timeline.last().expect("a sample"));
    assert_eq!((&first["copies_sent"], &last["copies_sent"]), (&Value::from(0), &run["copies_sent"]));
    assert_eq!(last["arrived"], run["arrived"]);
    assert_eq!(last["absorbed"], run["absorbed"]);
}

fn assert_without_quell(run: &Value) {
    assert_run(run);
    assert_eq!(number(run, "/refused"), 0, "{run}");
    for name in ["absorbed", "held", "judged_refused", "disk"] {
        assert_eq!(run[name], Value::Null, "{name}");
    }
    assert_eq!(run["storms"], Value::Array(Vec::new()));
    // All that was sent arrives, and what was under way when the faulty servers were stopped may, too.
    let arrived = number(run, "/arrived");
    assert!(arrived >= number(run, "/copies_sent") + FIRMS, "{run}");
    let at = |name| number(run, &format!("/mail_at_recipient/{name}"));
    let (most, median, least) = (at("most"), at("median"), at("least"));
    assert!(most >= median && median >= least && least > 10, "{run}");
    assert!(least * FIRMS <= arrived, "{run}");
}

#[test]
fn copies_with_the_same_identity_are_absorbed() {
    let report = report("demo-trace", &[&SMALL[..], &["--shape", "trace"]].concat());
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(2));
    assert_eq!((number(&report, "/firms"), number(&report, "/recipients")), (FIRMS, FIRMS));
    assert_eq!((number(&report, "/copies_limit"), number(&report, "/faulty_servers")), (COPIES, 5));
    assert_without_quell(with(&report, "trace", "relay"));
    let run = with(&report, "trace", "quell");
    assert_run(run);
    assert_eq!(report["one_each"], true, "{run}");
    for name in ["most", "median", "least"] {
        assert_eq!(number(run, &format!("/mail_at_recipient/{name}")), 1);
    }
    assert_eq!((number(run, "/arrived"), number(run, "/held")), (FIRMS, 0));
    let stopped = number(run, "/absorbed") + number(run, "/judged_refused");
    assert!(stopped >= number(run, "/copies_sent"), "{run}");
    let storms = run["storms"].as_array().expect("a list");
    assert_eq!(storms.len(), 1, "{run}");
    assert_eq!((&storms[0]["recipients"], &storms[0]["absorbed"]), (&run["arrived"], &run["absorbed"]));
    assert_eq!(number(&storms[0], "/copies"), stopped, "{run}");
    let (disk, set_aside) = (number(run, "/disk/bytes"), number(run, "/disk/set_aside_bytes"));
    assert!(set_aside > 1 << 20 && (set_aside..set_aside + (4 << 20)).contains(&disk), "{run}");
}

#[test]
fn copies_with_a_new_identity_are_held() {
    let report = report("demo-identity", &[&SMALL[..], &["--shape", "identity", "--seed", "7"]].concat());
    assert_eq!((&report["one_each"], number(&report, "/seed")), (&Value::Bool(true), 7));
    assert_without_quell(with(&report, "identity", "relay"));
    let run = with(&report, "identity", "quell");
    assert_run(run);
    for name in ["most", "median", "least"] {
        assert_eq!(number(run, &format!("/mail_at_recipient/{name}")), 1);
    }
    assert_eq!((number(run, "/arrived"), number(run, "/absorbed")), (FIRMS, 0));
    assert!(number(run, "/held") >= number(run, "/copies_sent"), "{run}");
    let storms = run["storms"].as_array().expect("a list");
    assert_eq!((storms.len(), &storms[0]["class"]), (1, &Value::from("resent")), "{run}");
    assert_eq!((&storms[0]["held"], &storms[0]["recipients"]), (&run["held"], &Value::from(FIRMS)), "{run}");
}

#[test]
fn the_table_says_the_same_and_the_manual_names_every_member() {
    let directory = TempDir::new("demo-table");
    let output = run(&directory, &["--copies", "500", "--firms", "10", "--seconds", "30"]);
    let (said, shown) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{shown}");
    for part in ["with a new identity", "with the same identity", "exactly one", "at 500 copies", "class"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.lines().any(|line| line.starts_with("mail at a recipient: most") && line.ends_with(" 1")));
    assert!(shown.lines().filter(|line| line.contains("copies sent")).count() >= 4, "{shown}");
    assert!(!said.contains('\x1b') && !shown.contains('\x1b'), "no terminal, no escape sequences");
    assert_nothing_left(&directory);

    let report = report("demo-names", &["--copies", "100", "--firms", "10", "--shape", "trace", "--json"]);
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/manual.md"));
    let manual = manual.expect("the manual");
    let mut names = BTreeSet::new();
    members(&report, &mut names);
    let missing: Vec<_> = names.iter().filter(|name| !manual.contains(&format!("`{name}`"))).collect();
    assert!(names.len() > 30 && missing.is_empty(), "not in docs/manual.md: {missing:?}");
}

/// Names of the members of `value`; those of a storm are documented elsewhere.
fn members(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                names.insert(name.clone());
                if name != "storms" {
                    members(value, names);
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| members(value, names)),
        _ => {}
    }
}
