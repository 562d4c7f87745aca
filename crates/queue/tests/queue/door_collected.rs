//! Collected mail: it stays in the house as long as its body is the row's, and no stranger is told of it.

use quell_mail::id::QueueId;
use quell_queue::ledger::Outcome;
use quell_storm::facts::{Facts, RowState, Source};

use crate::make::*;

const JANE: &str = "jane@firm.example";
const POSTMASTER: &str = "boss@firm.example";

fn collected(rig: &mut Rig, key: u8, account: &str) -> Facts {
    let facts = rig.facts(key, 1, &[JANE]);
    let source = Source { pickup: Some(account.to_owned()), ..facts.source.clone() };
    Facts { source, reverse_path: String::new(), reports_to: Some(POSTMASTER.to_owned()), ..facts }
}

fn is_for_the_house(rig: &mut Rig) -> bool {
    let stored = rig.row(1, JANE).unwrap().extra.house_only;
    let claim = rig.claim(1).pop().unwrap();
    assert_eq!(claim.is_for_the_house(), stored);
    rig.settle(claim, failed(false));
    rig.commit();
    stored
}

#[test]
fn a_row_goes_as_far_as_the_body_that_it_has() {
    let mut rig = Rig::new();
    let facts = collected(&mut rig, 1, "office");
    rig.take(facts);
    assert!(is_for_the_house(&mut rig));
    // It failed. The same message from a server outside gives it a new life with another body, and another right.
    let facts = rig.facts(1, 2, &[JANE]);
    rig.take(facts);
    assert!(!is_for_the_house(&mut rig));
    let facts = collected(&mut rig, 1, "office");
    rig.take(facts);
    assert_eq!(rig.state(1, JANE), RowState::Waiting);
    // Neither a restart nor a copy that joins changes that.
    let mut rig = Rig::on(rig.store, rig.now);
    let facts = rig.facts(1, 3, &[JANE]);
    rig.accept(facts);
    rig.commit();
    assert_eq!(rig.last_verdict(0).0, "absorb");
    assert!(is_for_the_house(&mut rig));
}

#[test]
fn a_failure_is_told_to_the_postmaster_and_nothing_else_to_anybody() {
    for (outcome, told) in [
        (failed(true), true),
        (failed(false), true),
        (Outcome::Delivered, false),
        (Outcome::Relayed { reports: false }, false),
    ] {
        let mut rig = Rig::new();
        let facts = collected(&mut rig, 1, "office");
        rig.take(facts);
        let claim = rig.claim(1).pop().unwrap();
        assert_eq!((claim.reverse_path(), claim.notify()), ("", None), "a next hop may report to nobody");
        rig.settle(claim, outcome.clone());
        rig.commit();
        let row = rig.row(1, JANE).unwrap();
        assert_eq!(row.extra.report_due, told, "{outcome:?}");
        let to: Vec<_> = row.extra.envelopes.iter().map(|one| one.reverse_path.as_str()).collect();
        assert_eq!(to, [POSTMASTER]);
    }
    let mut rig = Rig::new();
    let facts = collected(&mut rig, 1, "office");
    rig.take(facts);
    rig.tick(5 * 3_600_000);
    assert!(!rig.row(1, JANE).unwrap().extra.report_due, "a delay");
}

#[test]
fn accounts_are_sources_and_one_message_in_two_is_for_both() {
    let mut rig = Rig::new();
    let facts = collected(&mut rig, 1, "office");
    rig.take(facts);
    let joe = |facts: Facts| Facts { recipients: vec![recipient("joe@firm.example")], ..facts };
    let facts = collected(&mut rig, 1, "private");
    rig.take(joe(facts));
    assert_eq!(
        (rig.state(1, JANE), rig.state(1, "joe@firm.example")),
        (RowState::Waiting, RowState::Waiting)
    );
    let facts = collected(&mut rig, 1, "private");
    rig.accept(facts);
    rig.commit();
    assert_eq!(rig.last_verdict(0).0, "absorb");
}

#[test]
fn what_was_stored_without_a_key_is_known_after_a_crash() {
    let mut rig = Rig::new();
    let facts = collected(&mut rig, 0, "office");
    let id = rig.take(facts);
    let lost = collected(&mut rig, 0, "office");
    let lost_id = lost.queue_id;
    rig.accept(lost);
    // The process ends before the second is written.
    let mut rig = Rig::on(rig.store, rig.now);
    let known = |rig: &mut Rig, id: QueueId| rig.door.knows_arrival(&id).unwrap();
    assert!(known(&mut rig, id) && !known(&mut rig, lost_id));
}
