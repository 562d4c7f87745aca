//! Claims that come back untried: the row is as it was, and waits a moment.

use quell_queue::claim::Claim;
use quell_queue::destination::Destination;
use quell_queue::door::{GIVEN_BACK_WAIT_MS, Phase};
use quell_queue::store::{Reader, Row, RowId};
use quell_storm::facts::{Ms, RowState};

use crate::make::*;

const TO: &str = "joe@there.example";

/// A message that waits, and its claim.
fn claimed(rig: &mut Rig) -> (RowId, Claim) {
    let facts = rig.facts(0, 1, &[TO]);
    let kid = rig.take(facts);
    let claim = rig.claim(1).pop().expect("a claim");
    (RowId { kid, rcpt: TO.to_owned() }, claim)
}

fn give_back(rig: &mut Rig, claim: Claim) {
    let now = rig.at();
    rig.door.give_back(claim, &now);
    rig.commit();
}

fn found(rig: &Rig, id: &RowId) -> Row {
    rig.reader().row(id).unwrap().expect("a row")
}

/// The claim that there is after so long, and none a moment before.
fn claim_after(rig: &mut Rig, wait: Ms) -> Claim {
    rig.tick(wait - 1);
    assert!(rig.claim(1).is_empty(), "too early");
    rig.tick(1);
    rig.claim(1).pop().expect("a claim")
}

#[test]
fn it_counts_no_attempt_and_never_expires() {
    let mut rig = Rig::new();
    let (id, mut claim) = claimed(&mut rig);
    let before = found(&rig, &id);
    for wait in [GIVEN_BACK_WAIT_MS, 6 * DAY, GIVEN_BACK_WAIT_MS] {
        give_back(&mut rig, claim);
        assert_eq!((found(&rig, &id), rig.door.phase(&id)), (before.clone(), None));
        rig.tick(wait - GIVEN_BACK_WAIT_MS);
        claim = if wait == GIVEN_BACK_WAIT_MS {
            claim_after(&mut rig, wait)
        } else {
            rig.claim(1).pop().expect("a claim")
        };
        assert_eq!(claim.attempts(), 0);
    }
    assert!(rig.given_up.is_empty());
    // What comes of an attempt that is made expires it.
    rig.settle(claim, temporary());
    rig.commit();
    assert_eq!(found(&rig, &id).state, RowState::Failed);
}

#[test]
fn a_restart_tries_it_at_once() {
    let mut rig = Rig::new();
    let (_, claim) = claimed(&mut rig);
    give_back(&mut rig, claim);
    rig.door = open_door(&rig.store, &rig.fuse, rig.now);
    assert_eq!(rig.claim(1).len(), 1);
}

#[test]
fn one_that_may_have_been_delivered_stays_unknown() {
    let mut rig = Rig::new();
    let (id, claim) = claimed(&mut rig);
    rig.settle(claim, unknown());
    rig.commit();
    let before = found(&rig, &id);
    let claim = claim_after(&mut rig, 30 * MINUTE);
    give_back(&mut rig, claim);
    assert_eq!(found(&rig, &id), before);
    assert_eq!(claim_after(&mut rig, GIVEN_BACK_WAIT_MS).sendings(), 1);
}

/// What the door knows of rows from a moment ago it has forgotten: it must ask the store.
fn not_in_memory(rig: &mut Rig) {
    rig.tick(2 * MINUTE);
}

#[test]
fn while_the_store_is_away_it_is_not_lost() {
    let mut rig = Rig::new();
    let (id, claim) = claimed(&mut rig);
    not_in_memory(&mut rig);
    rig.fuse.burn_in(1);
    give_back(&mut rig, claim);
    assert!(rig.door.is_shut());
    rig.reopen();
    assert_eq!(rig.door.phase(&id), None);
    assert_eq!(rig.claim(1).len(), 1);
}

#[test]
fn its_destination_may_be_another_by_now() {
    let mut rig = Rig::new();
    let (_, claim) = claimed(&mut rig);
    rig.door.set_destinations(Box::new(|_| Destination::new("other.example")));
    give_back(&mut rig, claim);
    let now = rig.at();
    let all: Vec<_> =
        rig.door.destinations(&now).into_iter().map(|d| (d.destination.to_string(), d.waiting)).collect();
    assert_eq!(all, [("other.example".to_owned(), 1)]);
}

#[test]
fn its_probe_has_told_nothing() {
    let mut rig = Rig::new();
    let (_, claim) = claimed(&mut rig);
    let (to, now) = (Destination::new("there.example"), rig.at());
    rig.door.destination_down(&to, "4.4.1 nobody is there", &now);
    give_back(&mut rig, claim);
    rig.tick(2 * MINUTE);
    let probe = rig.claim(1).pop().expect("a probe");
    give_back(&mut rig, probe);
    claim_after(&mut rig, GIVEN_BACK_WAIT_MS);
}

/// Only an outcome ends the record that it has.
#[test]
fn at_the_dot_it_counts_as_an_attempt() {
    let mut rig = Rig::new();
    let (id, claim) = claimed(&mut rig);
    let now = rig.at();
    assert_eq!(rig.door.at_dot(std::slice::from_ref(&id), &now).len(), 1);
    assert_eq!(rig.door.phase(&id), Some(Phase::Dot));
    give_back(&mut rig, claim);
    let row = found(&rig, &id);
    assert_eq!((row.state, row.attempts, row.sendings), (RowState::Waiting, 1, 0));
    assert_eq!(rig.over, [id]);
}

/// The records could not be written: it is not at the dot, and its sendings are not used up.
#[test]
fn a_dot_that_was_not_written_is_none() {
    let mut rig = Rig::new();
    let (id, mut claim) = claimed(&mut rig);
    rig.settle(claim, unknown());
    rig.commit();
    claim = claim_after(&mut rig, 30 * MINUTE);
    for _ in 0..6 {
        let now = rig.at();
        assert_eq!(rig.door.at_dot(std::slice::from_ref(&id), &now).len(), 1);
        rig.door.dot_undone(std::slice::from_ref(&id));
        assert_eq!(rig.door.phase(&id), Some(Phase::Opened));
        rig.settle(claim, temporary());
        rig.commit();
        rig.tick(3 * HOUR);
        claim = rig.claim(1).pop().expect("a claim");
        assert_eq!(claim.sendings(), 1);
    }
    rig.door.dot_undone(std::slice::from_ref(&id));
    give_back(&mut rig, claim);
    assert_eq!(found(&rig, &id).sendings, 1);
}

/// Its session has died: before the dot it is tried again, at the dot nobody knows.
#[test]
fn what_a_dead_session_had_is_not_claimed_for_ever() {
    for (dot, away) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut rig = Rig::new();
        let (id, claim) = claimed(&mut rig);
        if away {
            not_in_memory(&mut rig);
        }
        let (now, which) = (rig.at(), claim.which());
        if dot {
            assert_eq!(rig.door.at_dot(std::slice::from_ref(&id), &now).len(), 1);
        }
        drop(claim);
        if away {
            rig.fuse.burn_in(1);
        }
        rig.door.abandoned(vec![which], &now);
        if away {
            assert!(rig.door.is_shut());
            rig.reopen();
        }
        rig.commit();
        assert_eq!(rig.door.phase(&id), None, "dot {dot}, away {away}");
        let row = found(&rig, &id);
        let expected = if dot { (RowState::Unknown, 1) } else { (RowState::Waiting, 0) };
        assert_eq!((row.state, row.sendings), expected, "away {away}");
        rig.tick(30 * MINUTE);
        assert_eq!(rig.claim(1).len(), 1);
    }
}

/// What it had settled before, and what another has claimed since, is not touched.
#[test]
fn a_dead_session_leaves_the_claims_of_others_alone() {
    let mut rig = Rig::new();
    let (id, claim) = claimed(&mut rig);
    let (now, first) = (rig.at(), claim.which());
    rig.settle(claim, temporary());
    rig.door.abandoned(vec![first.clone()], &now);
    rig.commit();
    assert_eq!(found(&rig, &id).attempts, 1);
    rig.tick(2 * MINUTE);
    let second = rig.claim(1).pop().expect("a claim");
    let now = rig.at();
    rig.door.abandoned(vec![first], &now);
    assert_eq!(rig.door.phase(&id), Some(Phase::Opened));
    rig.settle(second, temporary());
    rig.commit();
    assert_eq!(found(&rig, &id).attempts, 2);
}
