//! Between decision, commit and answer: late commits, lost commits, early answers, withdrawals.

use quell_queue::door::{Answer, Bytes, Incoming};
use quell_queue::ledger::Outcome;
use quell_queue::store::Reader;
use quell_storm::facts::{Answered, RowState};

use crate::make::*;

const JANE: &str = "jane@firm.example";
const JOE: &str = "joe@firm.example";

#[test]
fn a_copy_of_a_row_not_yet_durable_is_answered_after_its_commit() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE]);
    let first = rig.accept(facts);
    assert!(rig.begin());
    let facts = rig.facts(1, 2, &[JANE]);
    let copy = rig.accept(facts);
    assert_eq!((rig.answer(first), rig.answer(copy)), (None, None));
    rig.end(End::Durable);
    assert!(rig.answer(first).is_some() && rig.answer(copy).is_some());
    assert!(!rig.begin(), "the copy itself writes nothing");
}

#[test]
fn a_lost_commit_is_451_for_all_that_waits_and_all_judged_on_top() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE]);
    let mut tickets = vec![rig.accept(facts)];
    assert!(rig.begin());
    for (key, to) in [(1, JANE), (1, JOE), (2, JANE)] {
        let facts = rig.facts(key, 2, &[to]);
        tickets.push(rig.accept(facts));
    }
    rig.end(End::Lost);
    for ticket in tickets {
        assert!(matches!(rig.answer(ticket), Some(Answer::Trouble(_))));
    }
    assert!(rig.door.is_shut());
    let facts = rig.facts(3, 1, &[JANE]);
    let shut = rig.accept(facts);
    assert!(matches!(rig.answer(shut), Some(Answer::Trouble(_))));
    rig.reopen();
    assert!(!rig.begin(), "nothing of it is left");
    let facts = rig.facts(1, 1, &[JANE]);
    rig.take(facts);
    assert_eq!(rig.last_verdict(0), ("pass", "first_arrival"));
    assert_eq!(rig.claim(9).len(), 1);
}

#[test]
fn outcomes_outlive_a_lost_commit_and_their_rows_are_not_claimed_again() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE, JOE]);
    rig.take(facts);
    let mut claims = rig.claim(2);
    let (open, ended) = (claims.pop().unwrap(), claims.pop().unwrap());
    let done = ended.row().clone();
    rig.settle(ended, Outcome::Delivered);
    assert!(rig.begin());
    rig.end(End::Lost);
    rig.reopen();
    assert!(rig.claim(9).is_empty(), "one is being delivered, the other was");
    rig.commit();
    assert_eq!(rig.reader().row(&done).unwrap().unwrap().state, RowState::Delivered);
    rig.settle(open, Outcome::Delivered);
    rig.commit();
    assert_eq!(rig.released.len(), 1);
    assert!(rig.reader().open_counts().unwrap().is_empty());
}

#[test]
fn an_outcome_that_was_durable_after_all_ends_its_claim() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE]);
    rig.take(facts);
    let claim = rig.claim(1).pop().unwrap();
    let id = claim.row().clone();
    rig.settle(claim, Outcome::Delivered);
    rig.begin();
    rig.end(End::DurableButFailed);
    rig.reopen();
    rig.commit();
    assert!(!rig.door.is_claimed(&id));
    assert_eq!(rig.row(1, JANE).unwrap().attempts, 1);
}

#[test]
fn nothing_is_claimed_before_its_answer_is_out() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE]);
    let id = facts.queue_id;
    rig.accept(facts);
    assert!(rig.claim(1).is_empty());
    rig.commit();
    assert!(rig.claim(1).is_empty());
    rig.answered(id);
    assert_eq!(rig.claim(2).len(), 1);
    assert!(rig.claim(1).is_empty(), "one claim for each row");
}

#[test]
fn an_answer_before_the_commit_leaves_the_row_to_be_tried_after_it() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE]);
    let id = facts.queue_id;
    rig.accept(facts);
    let now = rig.at();
    rig.door.answered(&id, Answered::Lost, &now);
    assert!(rig.claim(1).is_empty());
    rig.commit();
    assert_eq!(rig.claim(1).len(), 1);
}

/// What has become of the withdrawn arrival's commit at the time.
#[derive(Debug, Clone, Copy, PartialEq)]
enum When {
    Gathered,
    InFlight,
    Durable,
}

#[test]
fn a_withdrawn_arrival_leaves_nothing() {
    for when in [When::Gathered, When::InFlight, When::Durable] {
        let mut rig = Rig::new();
        let facts = rig.facts(1, 1, &[JANE, JOE]);
        let (id, now) = (facts.queue_id, rig.at());
        rig.accept(facts);
        if when != When::Gathered {
            rig.begin();
        }
        if when == When::Durable {
            rig.end(End::Durable);
        }
        rig.door.withdraw(&id, &now);
        rig.commit();
        assert_eq!((rig.row(1, JANE), rig.row(1, JOE)), (None, None), "{when:?}");
        assert_eq!(rig.released.len(), 1, "{when:?}");
        assert!(rig.reader().bodies().unwrap().is_empty(), "{when:?}");
        assert!(rig.door.open_rows().all(|(_, n)| n == 0), "{when:?}");
        let facts = rig.facts(1, 1, &[JANE]);
        rig.take(facts);
        assert_eq!(rig.last_verdict(0), ("pass", "first_arrival"), "{when:?}");
        assert_eq!(rig.claim(9).len(), 1, "{when:?}");
    }
}

#[test]
fn a_withdrawn_row_that_a_copy_has_joined_stays_with_its_body() {
    for when in [When::Gathered, When::InFlight, When::Durable] {
        let mut rig = Rig::new();
        // The key is older, so that the arrival is kept under another number than its own.
        rig.row_with(1, "old@firm.example", Outcome::Delivered);
        rig.released.clear();
        let facts = rig.facts(1, 1, &[JANE, JOE]);
        let (id, now) = (facts.queue_id, rig.at());
        rig.accept(facts);
        if when != When::Gathered {
            rig.begin();
        }
        if when == When::Durable {
            rig.end(End::Durable);
        }
        let facts = rig.facts(1, 2, &[JANE]);
        let copy = rig.accept(facts);
        rig.door.withdraw(&id, &now);
        if when != When::Durable {
            assert!(rig.claim(9).is_empty(), "{when:?}");
        }
        rig.commit();
        assert!(matches!(rig.answer(copy), Some(Answer::Accepted(_))), "{when:?}");
        assert_eq!((rig.state(1, JANE), rig.row(1, JOE)), (RowState::Waiting, None), "{when:?}");
        let claim = rig.claim(9).pop().expect("the row is tried");
        assert_eq!(rig.reader().bodies().unwrap()[0].body, *claim.body(), "{when:?}");
        rig.settle(claim, Outcome::Delivered);
        rig.commit();
        assert_eq!(rig.released.len(), 1, "{when:?}");
    }
}

#[test]
fn a_withdrawn_new_life_leaves_the_failed_row() {
    let mut rig = Rig::new();
    rig.row_with(1, JANE, failed(false));
    let before = rig.row(1, JANE).unwrap();
    let facts = rig.facts(1, 1, &[JANE]);
    let (id, now) = (facts.queue_id, rig.at());
    rig.accept(facts);
    rig.commit();
    rig.door.withdraw(&id, &now);
    rig.commit();
    let after = rig.row(1, JANE).unwrap();
    assert_eq!((after.state, &after.extra, &after.status), (before.state, &before.extra, &before.status));
}

/// The store fails at every read there is, in the middle of whatever reads.
#[test]
fn a_store_that_fails_at_any_read_loses_nothing() {
    for reads in 1..60 {
        let mut rig = Rig::new();
        rig.row_with(1, JANE, failed(false));
        rig.row_with(2, JANE, unknown());
        rig.fuse.burn_in(reads);
        let mut accepted = Vec::new();
        for (key, from) in [(1, 1), (2, 2), (3, 1), (1, 2)] {
            let facts = rig.facts(key, from, &[JANE, JOE]);
            let (id, now) = (facts.queue_id, rig.at());
            accepted.push((rig.accept(facts), key));
            if rig.door.is_shut() {
                rig.in_flight = None;
            } else {
                rig.begin();
                rig.end(End::Durable);
            }
            rig.door.answered(&id, Answered::Late, &now);
            if let Some(claim) = rig.claim(1).pop() {
                rig.settle(claim, Outcome::Delivered);
            }
            rig.tick(SECOND);
        }
        let shut = rig.door.is_shut();
        rig.fuse.repair();
        if shut {
            rig.reopen();
        }
        rig.commit();
        for (ticket, key) in accepted {
            match rig.answer(ticket) {
                Some(Answer::Accepted(_)) => {
                    assert!(
                        rig.row(key, JANE).is_some() && rig.row(key, JOE).is_some(),
                        "{reads}, key {key}"
                    );
                }
                answer => assert!(matches!(answer, Some(Answer::Trouble(_))), "{reads}: {answer:?}"),
            }
        }
    }
}

#[test]
fn releases_wait_for_the_commit_that_lets_go() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE]);
    rig.take(facts);
    let claim = rig.claim(1).pop().unwrap();
    let body = *claim.body();
    rig.settle(claim, Outcome::Delivered);
    rig.begin();
    assert!(rig.released.is_empty());
    rig.end(End::Durable);
    assert_eq!(rig.released, [body]);
}

#[test]
fn sources_take_turns() {
    let mut rig = Rig::new();
    for i in 0..30 {
        let facts = rig.facts(0, 1, &[&format!("r{i}@firm.example")]);
        rig.take(facts);
    }
    let other = rig.facts(0, 2, &[JOE]);
    let other = rig.take(other);
    let claims = rig.claim(2);
    assert!(claims.iter().any(|c| c.queue_id() == other), "the other source waits behind a flood");
}

#[test]
fn a_restart_finds_all_rows_and_looks_for_them_first() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE, JOE]);
    rig.take(facts);
    let claim = rig.claim(1).pop().unwrap();
    assert!(!claim.search_first());
    rig.now += SECOND;
    let mut rig = Rig::on(rig.store, rig.now);
    let claims = rig.claim(9);
    assert_eq!(claims.len(), 2);
    assert!(claims.iter().all(|c| c.search_first()));
    assert_eq!(rig.door.open_rows().collect::<Vec<_>>(), [(RowState::Waiting, 2)]);
}

#[test]
fn a_disk_that_hangs_bounds_what_waits_in_memory() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &["jane@firm.example"]);
    rig.accept(facts);
    assert!(rig.begin(), "a batch that does not end");
    let now = rig.at();
    for n in 0..140 {
        // No exact key: every one is new.
        let facts = rig.facts(0, 1, &["jane@firm.example"]);
        let bytes = Bytes::Small(vec![b'x'; 1 << 20]);
        let incoming = Incoming { facts, front: Vec::new(), bytes, header: Vec::new(), settles: None };
        rig.door.accept(incoming, 1000 + n, &now);
    }
    rig.drain();
    let refused = rig.answers.iter().filter(|(_, answer)| matches!(answer, Answer::Trouble(_))).count();
    assert_eq!(refused, 140 - 129, "128 MiB and the one that passes it");
    rig.end(End::Durable);
    rig.commit();
    let facts = rig.facts(0, 1, &["jane@firm.example"]);
    let ticket = rig.accept(facts);
    rig.commit();
    assert!(rig.answers.iter().any(|(t, answer)| *t == ticket && matches!(answer, Answer::Accepted(_))));
}
