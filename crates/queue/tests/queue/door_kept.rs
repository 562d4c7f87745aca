//! Bodies of rows that ended without being delivered: kept for a time, and taken back.

use quell_queue::claim::Claim;
use quell_queue::door::Refusal;
use quell_queue::ledger::Outcome;
use quell_queue::store::{Batch, Reader, RowId, RowWrite, Store};
use quell_storm::facts::RowState;

use crate::make::*;

const JANE: &str = "jane@firm.example";
const JOE: &str = "joe@firm.example";

fn id(rig: &Rig, to: &str) -> RowId {
    RowId { kid: rig.kid(1), rcpt: to.to_owned() }
}

/// Takes a message to Jane and Joe. Their claims.
fn two(rig: &mut Rig) -> (Claim, Claim) {
    let facts = rig.facts(1, 1, &[JANE, JOE]);
    rig.take(facts);
    let (a, b) = (rig.claim(1).pop().unwrap(), rig.claim(1).pop().unwrap());
    if a.identity() == JANE { (a, b) } else { (b, a) }
}

fn settle(rig: &mut Rig, claim: Claim, outcome: Outcome) {
    rig.settle(claim, outcome);
    rig.commit();
}

fn retry(rig: &mut Rig, to: &str) -> Result<(), Refusal> {
    let (row, now) = (id(rig, to), rig.at());
    let done = rig.door.retry(&row, &now);
    rig.commit();
    done
}

fn kept(rig: &Rig) -> usize {
    rig.reader().bodies().unwrap().len()
}

/// A day that nobody notices but the clock.
fn days(rig: &mut Rig, n: i64) {
    rig.tick(n * DAY);
    rig.commit();
}

#[test]
fn a_failed_row_can_be_tried_again_a_day_later_also_after_a_restart() {
    for restart in [false, true] {
        let mut rig = Rig::new();
        rig.row_with(1, JANE, failed(true));
        days(&mut rig, 1);
        assert_eq!((kept(&rig), rig.released.len()), (1, 0));
        let body = rig.reader().bodies().unwrap()[0].body;
        if restart {
            rig = Rig::on(rig.store, rig.now);
        }
        retry(&mut rig, JANE).unwrap();
        // The first life's time passes while the second waits.
        days(&mut rig, 5);
        assert_eq!(rig.released, []);
        let claim = rig.claim(1).pop().expect("a new life");
        assert_eq!(*claim.body(), body);
        settle(&mut rig, claim, Outcome::Delivered);
        assert_eq!((kept(&rig), rig.released.as_slice()), (0, &[body][..]), "let go at once");
        days(&mut rig, 9);
        assert_eq!(rig.released.len(), 1);
    }
}

#[test]
fn after_its_time_the_body_is_gone() {
    for restart in [false, true] {
        let mut rig = Rig::new();
        rig.row_with(1, JANE, failed(true));
        if restart {
            rig = Rig::on(rig.store, rig.now);
        }
        rig.tick(5 * DAY - 1);
        assert!(!rig.begin(), "nothing is over");
        rig.tick(MINUTE);
        assert!(rig.begin());
        assert!(rig.released.is_empty(), "not before the commit");
        rig.end(End::Durable);
        assert_eq!((kept(&rig), rig.released.len()), (0, 1));
        assert!(matches!(retry(&mut rig, JANE), Err(Refusal::NoBody(_))));
        assert_eq!(rig.state(1, JANE), RowState::Failed);
        // A copy brings a body with it.
        let facts = rig.facts(1, 2, &[JANE]);
        rig.take(facts);
        assert_eq!((rig.last_verdict(0), rig.claim(1).len()), (("pass", "new_life"), 1));
    }
}

#[test]
fn a_body_is_let_go_once_although_the_commit_was_lost() {
    let mut rig = Rig::new();
    rig.row_with(1, JANE, failed(true));
    rig.tick(6 * DAY);
    assert!(rig.begin());
    rig.end(End::Lost);
    rig.reopen();
    assert_eq!((kept(&rig), rig.released.len()), (1, 0));
    days(&mut rig, 1);
    assert_eq!((kept(&rig), rig.released.len()), (0, 1));
}

/// The row is taken back in the same moment: whoever comes first at the door has it.
#[test]
fn a_row_that_takes_its_body_back_is_not_robbed_of_it() {
    let mut rig = Rig::new();
    rig.row_with(1, JANE, failed(true));
    rig.now += 6 * DAY;
    let (row, now) = (id(&rig, JANE), rig.at());
    rig.door.retry(&row, &now).unwrap();
    rig.tick(0);
    rig.commit();
    let claim = rig.claim(1).pop().expect("a new life");
    assert_eq!((rig.reader().bodies().unwrap()[0].body, rig.released.len()), (*claim.body(), 0));

    let mut rig = Rig::new();
    rig.row_with(1, JANE, failed(true));
    rig.tick(6 * DAY);
    let (row, now) = (id(&rig, JANE), rig.at());
    assert!(matches!(rig.door.retry(&row, &now), Err(Refusal::NoBody(_))));
}

#[test]
fn a_clock_that_jumped_lets_nothing_go() {
    let mut rig = Rig::new();
    rig.row_with(1, JANE, failed(true));
    rig.may_expire = false;
    days(&mut rig, 30);
    assert_eq!(kept(&rig), 1);
    rig.may_expire = true;
    days(&mut rig, 1);
    assert_eq!(kept(&rig), 0);
}

#[test]
fn siblings_each_ask_for_themselves() {
    let mut rig = Rig::new();
    let (jane, joe) = two(&mut rig);
    settle(&mut rig, jane, failed(true));
    days(&mut rig, 1);
    settle(&mut rig, joe, failed(true));
    // Jane's five days are over, Joe's are not: who asks for longest wins.
    days(&mut rig, 4);
    assert_eq!(kept(&rig), 1);
    // Jane has it now; Joe still asks.
    retry(&mut rig, JANE).unwrap();
    let jane = rig.claim(1).pop().unwrap();
    settle(&mut rig, jane, Outcome::Delivered);
    assert_eq!((kept(&rig), rig.released.len()), (1, 0));
    retry(&mut rig, JOE).unwrap();
    let joe = rig.claim(1).pop().unwrap();
    settle(&mut rig, joe, Outcome::Delivered);
    assert_eq!((kept(&rig), rig.released.len()), (0, 1));
}

#[test]
fn a_body_stays_while_a_sibling_needs_it_and_goes_with_it() {
    let mut rig = Rig::new();
    let (jane, joe) = two(&mut rig);
    settle(&mut rig, jane, failed(true));
    settle(&mut rig, joe, temporary());
    days(&mut rig, 6);
    assert_eq!(kept(&rig), 1, "Joe's row waits");
    let joe = rig.claim(1).pop().unwrap();
    settle(&mut rig, joe, Outcome::Delivered);
    assert_eq!((kept(&rig), rig.released.len()), (0, 1), "nobody asks for longer");
}

#[test]
fn what_is_delivered_or_removed_asks_for_nothing() {
    let mut rig = Rig::new();
    let (jane, joe) = two(&mut rig);
    settle(&mut rig, jane, Outcome::Relayed { reports: false });
    settle(&mut rig, joe, temporary());
    let (row, now) = (id(&rig, JOE), rig.at());
    rig.door.remove(&row, false, &now).unwrap();
    rig.commit();
    assert_eq!((kept(&rig), rig.released.len()), (0, 1));
    assert!(matches!(rig.door.release(&row, "copies", &now), Err(Refusal::NoBody(_))));
}

/// A copy gives the row a new life with its own body. The first one stays, since the copy may yet be
/// withdrawn.
#[test]
fn a_body_that_is_taken_over_goes_in_its_time() {
    for withdrawn in [false, true] {
        let mut rig = Rig::new();
        let first = rig.row_with(1, JANE, failed(false));
        let facts = rig.facts(1, 1, &[JANE]);
        let (second, now) = (facts.queue_id, rig.at());
        rig.accept(facts);
        rig.commit();
        assert_eq!(kept(&rig), 2);
        if withdrawn {
            rig.door.withdraw(&second, &now);
            rig.commit();
            assert_eq!((kept(&rig), rig.released.len()), (1, 1));
            retry(&mut rig, JANE).unwrap();
        } else {
            rig.answered(second);
        }
        let claim = rig.claim(1).pop().unwrap();
        assert_eq!(claim.queue_id(), if withdrawn { first } else { second });
        settle(&mut rig, claim, Outcome::Delivered);
        assert_eq!(kept(&rig), usize::from(!withdrawn));
        days(&mut rig, 6);
        assert_eq!((kept(&rig), rig.released.len()), (0, 2));
    }
}

/// No rule of this version holds; the row is held by hand.
fn held(rig: &mut Rig) -> RowId {
    rig.row_with(1, JANE, temporary());
    let mut row = rig.row(1, JANE).unwrap();
    row.state = RowState::Held;
    let batch = Batch { rows: vec![RowWrite::Step(row)], ..Batch::default() };
    rig.store.commit(&batch).unwrap();
    rig.reopen();
    id(rig, JANE)
}

#[test]
fn a_held_row_is_released_once_its_release_is_durable() {
    let mut rig = Rig::new();
    let row = held(&mut rig);
    let now = rig.at();
    rig.door.release(&row, "copies", &now).unwrap();
    assert!(rig.claim(1).is_empty());
    rig.commit();
    let claim = rig.claim(1).pop().expect("released");
    settle(&mut rig, claim, Outcome::Delivered);
    assert_eq!(rig.released.len(), 1);
    assert_eq!(rig.row(1, JANE).unwrap().extra.exempt.as_deref(), Some("copies"));
}

#[test]
fn what_was_held_and_discarded_can_be_released_for_thirty_days() {
    for (after, there) in [(29, true), (31, false)] {
        let mut rig = Rig::new();
        let row = held(&mut rig);
        let now = rig.at();
        rig.door.discard(&row, &now).unwrap();
        rig.commit();
        assert_eq!((rig.state(1, JANE), kept(&rig)), (RowState::Discarded, 1));
        days(&mut rig, after);
        assert_eq!(kept(&rig), usize::from(there));
        let now = rig.at();
        let released = rig.door.release(&row, "copies", &now);
        rig.commit();
        assert_eq!(released.is_ok(), there, "{released:?}");
        assert_eq!(rig.claim(1).len(), usize::from(there));
    }
}
