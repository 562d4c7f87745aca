//! Who is owed a report (RFC 3461 §4.1): only who wants one and can be told.

use quell_queue::ledger::Outcome;
use quell_queue::store::{Batch, Reader, RowWrite, Store};
use quell_storm::facts::RowState;

use crate::make::*;

const JANE: &str = "jane@firm.example";

fn due(rig: &Rig) -> bool {
    rig.row(1, JANE).unwrap().extra.report_due
}

const ANN: &str = "ann@client.example";
const BOB: &str = "bob@other.example";

/// Reverse-path and NOTIFY of the first arrival and of a copy that joins it; is a failure, is a
/// success told?
type Case = (&'static str, &'static str, Option<(&'static str, &'static str)>, bool, bool);
const CASES: [Case; 19] = [
    (ANN, "-", None, true, false),
    (ANN, "n", None, false, false),
    (ANN, "f", None, true, false),
    (ANN, "s", None, false, true),
    (ANN, "d", None, false, false),
    (ANN, "sf", None, true, true),
    ("", "-", None, false, false),
    ("", "sf", None, false, false),
    (ANN, "n", Some((ANN, "-")), true, false),
    (ANN, "n", Some((BOB, "n")), false, false),
    (ANN, "n", Some((BOB, "f")), true, false),
    (ANN, "n", Some((BOB, "s")), false, true),
    (ANN, "n", Some(("", "sf")), false, false),
    (ANN, "n", Some(("", "-")), false, false),
    ("", "-", Some((ANN, "-")), true, false),
    ("", "-", Some((ANN, "n")), false, false),
    ("", "-", Some((ANN, "s")), false, true),
    (ANN, "-", Some((BOB, "n")), true, false),
    (ANN, "-", Some(("", "-")), true, false),
];

/// An arrival, and a copy that joins it.
fn joined(path: &str, letters: &str, copy: Option<(&str, &str)>) -> Rig {
    let mut rig = Rig::new();
    let facts = from(&mut rig, 1, path, letters);
    rig.take(facts);
    if let Some((path, letters)) = copy {
        let facts = from(&mut rig, 1, path, letters);
        rig.accept(facts);
        rig.commit();
        assert_eq!(rig.last_verdict(0).0, "absorb", "{path:?} {letters}");
    }
    rig
}

#[test]
fn a_report_is_due_only_where_somebody_wants_it() {
    for (path, letters, copy, failure, success) in CASES {
        for (outcome, wanted) in [
            (failed(true), failure),
            (Outcome::Delivered, success),
            (Outcome::Relayed { reports: false }, success),
        ] {
            let case = format!("{path:?} {letters} {copy:?} {outcome:?}");
            let mut rig = joined(path, letters, copy);
            let claim = rig.claim(1).pop().unwrap();
            rig.settle(claim, outcome);
            rig.commit();
            assert_eq!(due(&rig), wanted, "{case}");
        }
    }
}

#[test]
fn what_waits_owes_nothing_and_a_row_given_up_at_a_restart_does() {
    let mut rig = Rig::new();
    rig.row_with(1, JANE, unknown());
    assert!(!due(&rig));
    // As a process leaves it that is killed at its fifth sending.
    let mut row = rig.row(1, JANE).unwrap();
    (row.state, row.sendings) = (RowState::Dot, 5);
    let batch = Batch { rows: vec![RowWrite::Step(row)], ..Batch::default() };
    rig.store.commit(&batch).unwrap();
    let mut rig = Rig::on(rig.store, rig.now);
    rig.commit();
    assert_eq!((rig.state(1, JANE), due(&rig)), (RowState::Failed, true));
    assert_eq!(rig.reader().bodies().unwrap().len(), 1, "its body is kept");
}

#[test]
fn a_copy_of_what_was_sent_is_told_of_it_unless_it_cannot_be() {
    for (path, letters, wanted) in [(BOB, "s", true), (BOB, "f", false), ("", "s", false)] {
        let mut rig = Rig::new();
        rig.row_with(1, JANE, Outcome::Delivered);
        let facts = from(&mut rig, 1, path, letters);
        rig.accept(facts);
        rig.commit();
        assert_eq!(due(&rig), wanted, "{path:?} {letters}");
    }
}

#[test]
fn remove_with_a_report_follows_the_same_rule() {
    for (path, letters, copy, failure, _) in CASES {
        for report in [true, false] {
            let mut rig = joined(path, letters, copy);
            let (id, now) = (rig.row(1, JANE).unwrap().id, rig.at());
            rig.door.remove(&id, report, &now).unwrap();
            rig.commit();
            assert_eq!(rig.state(1, JANE), RowState::Discarded);
            assert_eq!(due(&rig), report && failure, "{path:?} {letters} {copy:?} {report}");
        }
    }
}

/// RFC 3461 §4.3: RET stays with each envelope, and makes no envelope of its own.
#[test]
fn what_a_report_returns_is_kept() {
    for first in [None, Some(true), Some(false)] {
        let mut rig = Rig::new();
        let mut facts = from(&mut rig, 1, ANN, "-");
        facts.ret_full = first;
        let id = rig.take(facts);
        assert_eq!(rig.reader().find_arrival(&id).unwrap().unwrap().ret_full, first);
        // The same wish with another RET, then another's wish.
        for path in [ANN, BOB] {
            let mut copy = from(&mut rig, 1, path, "-");
            copy.ret_full = Some(first != Some(true));
            rig.accept(copy);
            rig.commit();
            assert_eq!(rig.last_verdict(0).0, "absorb");
        }
        let envelopes = rig.row(1, JANE).unwrap().extra.envelopes;
        let kept: Vec<_> = envelopes.iter().map(|e| (e.reverse_path.as_str(), e.ret_full)).collect();
        assert_eq!(kept, [(ANN, first), (BOB, Some(first != Some(true)))]);
    }
}
