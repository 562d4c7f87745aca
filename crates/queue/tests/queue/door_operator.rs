//! Attempts and their times, and what a person may do.

use quell_queue::door::Refusal;
use quell_queue::ledger::Outcome;
use quell_queue::store::{Reader, RowId};
use quell_storm::facts::RowState;

use crate::make::*;

const JANE: &str = "jane@firm.example";
const JOE: &str = "joe@firm.example";

fn id(rig: &Rig, to: &str) -> RowId {
    RowId { kid: rig.kid(1), rcpt: to.to_owned() }
}

#[test]
fn a_row_waits_longer_after_each_attempt() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE]);
    rig.take(facts);
    for wait in [1, 5, 15, 30, 60, 120, 120] {
        let claim = rig.claim(1).pop().expect("it is time");
        rig.settle(claim, temporary());
        rig.commit();
        let next = rig.door.next_due().unwrap() - rig.now;
        assert!((wait * MINUTE..=wait * MINUTE * 5 / 4).contains(&next), "{next}");
        rig.now += next - 1;
        assert!(rig.claim(1).is_empty(), "too early");
        rig.now += 1;
    }
}

#[test]
fn a_row_expires_after_five_days_and_an_attempt_if_the_clock_is_trusted() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE]);
    rig.take(facts);
    for (trusted, after) in [(false, RowState::Waiting), (true, RowState::Failed)] {
        rig.now += 5 * DAY + 1;
        rig.may_expire = trusted;
        rig.tick(0);
        rig.commit();
        assert_eq!(rig.state(1, JANE), RowState::Waiting, "time alone ends nothing");
        let claim = rig.claim(1).pop().unwrap();
        rig.settle(claim, temporary());
        rig.commit();
        assert_eq!(rig.state(1, JANE), after);
    }
    let row = rig.row(1, JANE).unwrap();
    assert!(row.status.starts_with("4.4.7") && row.extra.report_due, "{row:?}");
    // The operator hears of it, too: the outcome of the attempt alone was nothing for good.
    let [told] = &rig.given_up[..] else { panic!("{:?}", rig.given_up) };
    assert_eq!((told.queue_id, told.identity.as_str(), &told.status), (row.queue_id, JANE, &row.status));
    assert_eq!((told.reverse_path.as_str(), told.next_hop.as_str()), ("ann@client.example", "maildir"));
    assert_eq!(told.age_ms, 10 * DAY + 2);
}

#[test]
fn what_is_given_up_is_told_once_and_not_before_it_is_durable() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE]);
    rig.take(facts);
    rig.now += 5 * DAY + 1;
    let claim = rig.claim(1).pop().unwrap();
    rig.settle(claim, temporary());
    assert!(rig.begin());
    rig.end(End::Lost);
    assert!(rig.given_up.is_empty(), "{:?}", rig.given_up);
    rig.reopen();
    rig.commit();
    assert_eq!(rig.given_up.len(), 1);
    // What somebody has refused is no news.
    let facts = rig.facts(2, 1, &[JANE]);
    rig.take(facts);
    let claim = rig.claim(1).pop().unwrap();
    rig.settle(claim, failed(true));
    rig.commit();
    assert_eq!(rig.given_up.len(), 1);
}

#[test]
fn unknown_rows_are_sent_five_times_in_all() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE]);
    rig.take(facts);
    for wait in [30 * MINUTE, 2 * HOUR, 8 * HOUR, 24 * HOUR] {
        let claim = rig.claim(1).pop().expect("it is time");
        rig.settle(claim, unknown());
        rig.commit();
        assert_eq!((rig.state(1, JANE), rig.door.next_due()), (RowState::Unknown, Some(rig.now + wait)));
        rig.now += wait;
    }
    let claim = rig.claim(1).pop().unwrap();
    assert!(claim.search_first());
    rig.settle(claim, unknown());
    rig.commit();
    let row = rig.row(1, JANE).unwrap();
    assert!(row.state == RowState::Failed && row.status.starts_with("4.4.2") && row.extra.maybe_delivered);
    assert_eq!(rig.given_up.iter().map(|told| &told.status).collect::<Vec<_>>(), [&row.status]);
}

#[test]
fn retry_acts_at_once_and_not_on_what_is_claimed() {
    let mut rig = Rig::new();
    rig.row_with(1, JANE, temporary());
    let (row, now) = (id(&rig, JANE), rig.at());
    assert!(rig.claim(1).is_empty());
    rig.door.retry(&row, &now).unwrap();
    let claim = rig.claim(1).pop().expect("tried now");
    assert!(matches!(rig.door.retry(&row, &now), Err(Refusal::Claimed(_))));
    assert!(matches!(rig.door.remove(&row, false, &now), Err(Refusal::Claimed(_))));
    rig.settle(claim, Outcome::Delivered);
    rig.commit();
    assert!(matches!(rig.door.retry(&row, &now), Err(Refusal::Illegal(_))));
    let nobody = RowId { rcpt: "nobody@firm.example".into(), ..row };
    assert!(matches!(rig.door.retry(&nobody, &now), Err(Refusal::NoRow(_))));
}

#[test]
fn retry_of_a_failed_row_needs_its_body_and_keeps_it() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE, JOE]);
    rig.take(facts);
    let mut claims = rig.claim(2);
    let (second, first) = (claims.pop().unwrap(), claims.pop().unwrap());
    let (failed_row, now) = (first.row().clone(), rig.at());
    rig.settle(first, failed(false));
    rig.commit();
    rig.door.retry(&failed_row, &now).unwrap();
    assert!(rig.claim(9).is_empty(), "its new life is not durable");
    rig.commit();
    let again = rig.claim(9).pop().expect("a new life");
    rig.settle(again, failed(false));
    rig.commit();
    rig.settle(second, Outcome::Delivered);
    rig.commit();
    assert!(rig.released.is_empty(), "the failed row asks for the body");
    rig.door.retry(&failed_row, &now).unwrap();
    rig.commit();
    let again = rig.claim(9).pop().expect("a new life");
    rig.settle(again, Outcome::Delivered);
    rig.commit();
    assert_eq!(rig.released.len(), 1, "nobody asks for it any more");
}

#[test]
fn after_remove_the_next_copy_is_new() {
    let mut rig = Rig::new();
    rig.row_with(1, JANE, temporary());
    let (row, now) = (id(&rig, JANE), rig.at());
    rig.door.remove(&row, false, &now).unwrap();
    rig.commit();
    assert_eq!((rig.state(1, JANE), rig.released.len()), (RowState::Discarded, 1));
    assert!(!rig.row(1, JANE).unwrap().extra.report_due);
    rig.now += HOUR;
    assert!(rig.claim(1).is_empty());
    let facts = rig.facts(1, 1, &[JANE]);
    rig.take(facts);
    assert_eq!(rig.last_verdict(0), ("pass", "new_after_discard"));
    assert_eq!(rig.claim(1).len(), 1);
}

#[test]
fn what_is_forgotten_can_be_delivered_again() {
    let mut rig = Rig::new();
    rig.row_with(1, JANE, Outcome::Delivered);
    let row = id(&rig, JANE);
    let (since, earlier) = (rig.now + 1, rig.now);
    assert_eq!(rig.door.forget(std::slice::from_ref(&row), since).unwrap(), 0, "delivered before");
    assert_eq!(rig.door.forget(std::slice::from_ref(&row), earlier).unwrap(), 1);
    rig.commit();
    assert_eq!(rig.reader().row(&row).unwrap(), None);
    let facts = rig.facts(1, 1, &[JANE]);
    rig.take(facts);
    assert_eq!((rig.last_verdict(0), rig.claim(1).len()), (("pass", "first_arrival"), 1));
}

#[test]
fn a_row_made_and_forgotten_in_one_batch_and_made_again_needs_no_old_permit() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE]);
    let (first, now) = (facts.queue_id, rig.at());
    rig.accept(facts);
    rig.door.withdraw(&first, &now);
    let facts = rig.facts(1, 1, &[JANE]);
    let second = rig.take(facts);
    assert_eq!(rig.row(1, JANE).unwrap().queue_id, second);
    assert_eq!(rig.claim(2).len(), 1);
}

#[test]
fn verdicts_are_remembered_and_found() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE]);
    let first = rig.take(facts);
    assert_eq!(rig.door.verdicts(&first).unwrap().recipients[0].1, "pass");
    assert_eq!(rig.door.verdicts_about("<1@client.example>", 9).len(), 1);
    let (arrival, rows) = rig.door.show(&first, 9).unwrap().unwrap();
    assert_eq!((arrival.queue_id, rows.len()), (first, 1));
    assert_eq!(rig.door.list(&[RowState::Waiting], None, 9).unwrap().len(), 1);
}
