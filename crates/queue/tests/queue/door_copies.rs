//! DESIGN's table "An exact copy for a recipient whose row is …", the loop paragraph, envelopes.

use quell_mail::id::QueueId;
use quell_queue::door::Answer;
use quell_queue::ledger::Outcome;
use quell_queue::store::{Batch, Reader, RowId, RowWrite, Store};
use quell_storm::facts::{Answered, Notify, RowState};

use crate::make::*;

const JANE: &str = "jane@firm.example";
const JOE: &str = "joe@firm.example";

/// Makes a row of `key` in the state wanted, its first arrival from source 1.
fn row_in(rig: &mut Rig, key: u8, state: RowState) -> QueueId {
    let outcome = match state {
        RowState::Delivered => Outcome::Delivered,
        RowState::Relayed => Outcome::Relayed { reports: false },
        RowState::Failed => failed(false),
        RowState::Unknown => unknown(),
        _ => temporary(),
    };
    let id = rig.row_with(key, JANE, outcome);
    if matches!(state, RowState::Held | RowState::Discarded | RowState::Dot) {
        let mut row = rig.row(key, JANE).unwrap();
        row.state = state;
        let batch = Batch { rows: vec![RowWrite::Step(row)], ..Batch::default() };
        rig.store.commit(&batch).unwrap();
        rig.reopen();
        // The door's own start makes Unknown of what is found at the dot.
        rig.commit();
    }
    id
}

#[test]
fn the_table() {
    use RowState::*;
    let cases = [
        // row, the copy comes from, later by, verdict, reason, the row afterwards
        (Waiting, 1, MINUTE, "absorb", "copy_of_waiting", Waiting),
        (Waiting, 2, MINUTE, "absorb", "copy_of_waiting", Waiting),
        (Delivered, 1, MINUTE, "absorb", "copy_of_delivered", Delivered),
        (Delivered, 2, 13 * DAY, "absorb", "copy_of_delivered", Delivered),
        (Relayed, 2, MINUTE, "absorb", "copy_of_delivered", Relayed),
        (Unknown, 1, MINUTE, "absorb", "copy_of_unknown", Unknown),
        (Dot, 1, MINUTE, "absorb", "copy_of_unknown", Unknown),
        (Held, 1, MINUTE, "absorb", "copy_of_held", Held),
        (Held, 2, MINUTE, "pass", "other_source_than_held", Waiting),
        (Failed, 1, MINUTE, "pass", "new_life", Waiting),
        (Discarded, 1, HOUR, "absorb", "copy_of_discarded", Discarded),
        (Discarded, 1, 25 * HOUR, "pass", "new_after_discard", Waiting),
    ];
    for (state, from, later, verdict, reason, after) in cases {
        let case = format!("{state:?} from {from} after {later} ms");
        let mut rig = Rig::new();
        let first = row_in(&mut rig, 1, state);
        rig.now += later;
        let facts = rig.facts(1, from, &[JANE]);
        let second = facts.queue_id;
        let ticket = rig.accept(facts);
        assert_eq!(rig.last_verdict(0), (verdict, reason), "{case}");
        // What is durable already is answered at once, without a write; what is new is not.
        assert_eq!(rig.answer(ticket).is_some(), verdict == "absorb", "{case}");
        rig.commit();
        assert_eq!(rig.answer(ticket), Some(&Answer::Accepted(second)), "{case}");
        let row = rig.row(1, JANE).unwrap();
        assert_eq!(row.state, after, "{case}");
        assert_eq!(row.queue_id, if verdict == "pass" { second } else { first }, "{case}");
        let kept = rig.reader().bodies().unwrap();
        let open = matches!(after, Waiting | Unknown | Held);
        // One body at most, and the right one; beside it that of a life that failed. (A discarded row
        // set by hand keeps its own.)
        if state != Discarded {
            let mut wanted = if state == Failed { vec![first] } else { vec![] };
            wanted.extend(Some(row.queue_id).filter(|_| open));
            assert_eq!(kept.iter().map(|k| k.queue_id).collect::<Vec<_>>(), wanted, "{case}");
        }
    }
}

#[test]
fn after_a_failure_about_the_recipient_the_same_source_is_refused_for_half_an_hour() {
    let mut rig = Rig::new();
    rig.row_with(1, JANE, failed(true));
    rig.now += 29 * MINUTE;
    let facts = rig.facts(1, 1, &[JANE]);
    let ticket = rig.accept(facts);
    assert!(matches!(rig.answer(ticket), Some(Answer::Refused(_))), "{:?}", rig.answers);
    assert_eq!(rig.state(1, JANE), RowState::Failed);
    let facts = rig.facts(1, 2, &[JANE]);
    rig.accept(facts);
    assert_eq!(rig.last_verdict(0), ("pass", "new_life"), "another source");
}

#[test]
fn a_failed_row_has_eight_new_lives_a_day() {
    let mut rig = Rig::new();
    rig.row_with(1, JANE, failed(false));
    for life in 1..=8 {
        let facts = rig.facts(1, 1, &[JANE]);
        rig.take(facts);
        assert_eq!(rig.last_verdict(0).1, "new_life", "life {life}");
        let claim = rig.claim(1).pop().unwrap();
        rig.settle(claim, failed(false));
        rig.commit();
    }
    let facts = rig.facts(1, 1, &[JANE]);
    let ticket = rig.accept(facts);
    assert!(matches!(rig.answer(ticket), Some(Answer::Refused(_))));
    rig.now += DAY;
    let facts = rig.facts(1, 1, &[JANE]);
    rig.accept(facts);
    assert_eq!(rig.last_verdict(0), ("pass", "new_life"));
}

#[test]
fn recipients_in_different_states_in_one_transaction() {
    let mut rig = Rig::new();
    rig.row_with(1, "delivered@firm.example", Outcome::Delivered);
    for (to, outcome) in [("failed@firm.example", failed(true)), ("unknown@firm.example", unknown())] {
        let facts = rig.facts(1, 1, &[to]);
        rig.take(facts);
        let claim = rig.claim(1).pop().unwrap();
        rig.settle(claim, outcome);
        rig.commit();
    }
    let to = ["new@firm.example", "delivered@firm.example", "failed@firm.example", "unknown@firm.example"];
    let facts = rig.facts(1, 1, &to);
    let id = facts.queue_id;
    let ticket = rig.accept(facts);
    let verdicts: Vec<_> = (0..4).map(|i| rig.last_verdict(i)).collect();
    let wanted = [
        ("pass", "first_arrival"),
        ("absorb", "copy_of_delivered"),
        ("refuse", "failed_just_now"),
        ("absorb", "copy_of_unknown"),
    ];
    assert_eq!(verdicts, wanted);
    assert_eq!(rig.answer(ticket), None, "one answer, after the commit");
    rig.commit();
    assert_eq!(rig.answer(ticket), Some(&Answer::Accepted(id)));
    assert_eq!(rig.state(1, "new@firm.example"), RowState::Waiting);
    assert_eq!(rig.state(1, "failed@firm.example"), RowState::Failed);
    let arrival = rig.reader().find_arrival(&id).unwrap().unwrap();
    assert_eq!((arrival.open, arrival.kid), (1, rig.kid(1)));
}

#[test]
fn without_an_exact_key_nothing_is_absorbed() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        let facts = rig.facts(0, 1, &[JANE]);
        rig.take(facts);
        assert_eq!(rig.last_verdict(0), ("pass", "no_exact_key"));
    }
    assert_eq!(rig.claim(10).len(), 3);
}

#[test]
fn loops() {
    let cases = [
        (RowState::Delivered, true, "absorb", "loop_delivered"),
        (RowState::Relayed, true, "refuse", "loop_sent"),
        (RowState::Unknown, true, "refuse", "loop_sent"),
        (RowState::Waiting, true, "absorb", "copy_of_waiting"),
        (RowState::Failed, true, "pass", "new_life"),
        (RowState::Relayed, false, "absorb", "copy_of_delivered"),
    ];
    for (state, own, verdict, reason) in cases {
        let mut rig = Rig::new();
        let first = row_in(&mut rig, 1, state);
        let mut facts = rig.facts(1, 3, &[JANE]);
        facts.tokens = vec![token(if own { first } else { facts.queue_id })];
        rig.accept(facts);
        assert_eq!(rig.last_verdict(0), (verdict, reason), "{state:?} own {own}");
        if verdict == "refuse" {
            assert!(matches!(rig.answers.last(), Some((_, Answer::Refused(_)))));
            assert_eq!(rig.state(1, JANE), state, "a refusal changes no row");
        }
    }
}

#[test]
fn a_row_made_by_a_redirect_is_judged_by_the_table() {
    let mut rig = Rig::new();
    let first = rig.row_with(1, JANE, Outcome::Relayed { reports: false });
    let mut redirected = rig.facts(1, 3, &[JOE]);
    redirected.tokens = vec![token(first)];
    let second = rig.take(redirected);
    assert_eq!(rig.last_verdict(0), ("pass", "token_without_row"));
    let claim = rig.claim(1).pop().unwrap();
    rig.settle(claim, Outcome::Relayed { reports: false });
    rig.commit();
    let mut again = rig.facts(1, 3, &[JOE]);
    again.tokens = vec![token(second), token(first)];
    rig.accept(again);
    assert_eq!(rig.last_verdict(0), ("absorb", "copy_of_delivered"));
}

#[test]
fn a_held_row_from_another_source_gives_its_body_up() {
    let mut rig = Rig::new();
    let first = row_in(&mut rig, 1, RowState::Held);
    let body = rig.reader().find_arrival(&first).unwrap().unwrap().body.unwrap();
    let facts = rig.facts(1, 2, &[JANE]);
    let second = facts.queue_id;
    rig.accept(facts);
    assert!(rig.released.is_empty(), "not before the commit");
    rig.commit();
    assert_eq!(rig.released, [body]);
    rig.answered(second);
    let claims = rig.claim(5);
    assert_eq!(claims.iter().map(|c| c.queue_id()).collect::<Vec<_>>(), [second]);
    let row = rig.row(1, JANE).unwrap();
    assert_eq!((row.extra.held_for, row.extra.lives_ms), (None, vec![]));
}

#[test]
fn a_held_row_that_was_taken_over_is_not_withdrawn() {
    let mut rig = Rig::new();
    row_in(&mut rig, 1, RowState::Held);
    let facts = rig.facts(1, 2, &[JANE]);
    let (id, now) = (facts.queue_id, rig.at());
    rig.accept(facts);
    rig.commit();
    rig.door.withdraw(&id, &now);
    rig.commit();
    assert_eq!(rig.state(1, JANE), RowState::Waiting);
    assert_eq!(rig.claim(1).len(), 1);
}

fn notify(never: bool, success: bool) -> Option<Notify> {
    Some(Notify { never, success, ..Notify::default() })
}

#[test]
fn a_row_keeps_up_to_sixteen_distinct_envelopes() {
    let mut rig = Rig::new();
    for i in 0..20 {
        let mut facts = rig.facts(1, 1, &[JANE]);
        facts.envid = Some(format!("env{}", i / 2));
        facts.recipients[0].notify = notify(false, i >= 10);
        rig.accept(facts);
    }
    rig.commit();
    let envelopes = rig.row(1, JANE).unwrap().extra.envelopes;
    let distinct: std::collections::HashSet<_> =
        envelopes.iter().map(|e| (e.envid.clone(), e.notify.clone())).collect();
    assert_eq!((envelopes.len(), distinct.len()), (10, 10));
    for i in 0..20 {
        let mut facts = rig.facts(1, 1, &[JANE]);
        facts.reverse_path = format!("other{i}@client.example");
        rig.accept(facts);
    }
    rig.commit();
    assert_eq!(rig.row(1, JANE).unwrap().extra.envelopes.len(), 16);
}

#[test]
fn a_plain_copy_lifts_never() {
    let mut rig = Rig::new();
    let mut never = rig.facts(1, 1, &[JANE]);
    never.recipients[0].notify = notify(true, false);
    rig.accept(never);
    let plain = rig.facts(1, 1, &[JANE]);
    let ticket = rig.accept(plain);
    rig.commit();
    assert!(rig.answer(ticket).is_some());
    let envelopes = rig.row(1, JANE).unwrap().extra.envelopes;
    assert!(envelopes.iter().any(|e| e.notify.is_none()), "{envelopes:?}");
}

#[test]
fn an_envelope_that_joins_is_durable_before_its_answer() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE]);
    rig.take(facts);
    let mut copy = rig.facts(1, 2, &[JANE]);
    copy.reverse_path = "bob@other.example".into();
    let ticket = rig.accept(copy);
    assert_eq!(rig.answer(ticket), None);
    rig.commit();
    assert!(matches!(rig.answer(ticket), Some(Answer::Accepted(_))));
    assert_eq!(rig.row(1, JANE).unwrap().extra.envelopes.len(), 2);
}

#[test]
fn success_is_reported_once_for_each_reverse_path() {
    let mut rig = Rig::new();
    rig.row_with(1, JANE, Outcome::Delivered);
    assert!(!rig.row(1, JANE).unwrap().extra.report_due);
    let mut commits = Vec::new();
    for envid in ["a", "b"] {
        let mut facts = rig.facts(1, 1, &[JANE]);
        facts.envid = Some(envid.into());
        facts.recipients[0].notify = notify(false, true);
        rig.accept(facts);
        rig.commit();
        commits.push(rig.commits);
    }
    assert_eq!(commits[0], commits[1], "the second changes nothing");
    assert!(rig.row(1, JANE).unwrap().extra.report_due);
}

#[test]
fn aliases_of_one_identity_are_one_recipient_who_wants_what_either_wants() {
    let mut rig = Rig::new();
    let mut facts = rig.facts(1, 1, &[JANE, JOE, JANE]);
    facts.recipients[0].as_given = "info@firm.example".into();
    facts.recipients[0].notify = notify(true, false);
    facts.recipients[2].notify = notify(false, true);
    facts.recipients[2].orcpt = Some("rfc822;jane@firm.example".into());
    let id = rig.take(facts);
    assert_eq!(rig.judged.last().unwrap().recipients.len(), 2);
    let row = rig.row(1, JANE).unwrap();
    assert_eq!(row.extra.as_given.as_deref(), Some("info@firm.example"));
    assert_eq!(row.extra.envelopes[0].notify.as_deref(), Some("s"));
    assert!(row.extra.envelopes[0].orcpt.is_some());
    assert_eq!(rig.reader().find_arrival(&id).unwrap().unwrap().open, 2);
}

#[test]
fn a_lost_answer_makes_the_next_copy_a_retry() {
    let mut rig = Rig::new();
    let first = rig.facts(1, 1, &[JANE]);
    let id = rig.take(first);
    rig.door.answer_lost(&id);
    rig.commit();
    assert_eq!(rig.reader().find_arrival(&id).unwrap().unwrap().answered, Answered::Lost);
    let copy = rig.facts(1, 1, &[JANE]);
    let copy_id = copy.queue_id;
    rig.accept(copy);
    let (_, _, reason) = rig.judged.last().unwrap().recipients[0].clone();
    assert_eq!(reason.class().name(), "retry");
    let commits = rig.commits;
    rig.door.answer_lost(&copy_id);
    rig.commit();
    assert_eq!(rig.commits, commits, "of a copy that was absorbed nothing is written");
}

#[test]
fn ten_thousand_recipients_take_linear_time() {
    let mut rig = Rig::new();
    let to: Vec<String> = (0..10_000).map(|i| format!("r{i}@firm.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let began = std::time::Instant::now();
    let facts = rig.facts(1, 1, &to);
    let id = rig.take(facts);
    let copy = rig.facts(1, 2, &to);
    let ticket = rig.accept(copy);
    assert!(rig.answer(ticket).is_some() || rig.begin());
    rig.commit();
    let claims = rig.claim(20_000);
    assert_eq!(claims.len(), 10_000);
    for claim in claims {
        rig.settle(claim, Outcome::Delivered);
    }
    rig.commit();
    assert_eq!(rig.reader().find_arrival(&id).unwrap().unwrap().open, 0);
    assert_eq!(rig.released.len(), 1);
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    let row = RowId { kid: rig.kid(1), rcpt: "r9999@firm.example".into() };
    assert_eq!(rig.reader().row(&row).unwrap().unwrap().state, RowState::Delivered);
}
