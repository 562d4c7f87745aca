//! Held mail that nobody decides on: reminders, digests, and what a person does meanwhile.

use quell_mail::id::QueueId;
use quell_queue::door::{Answer, DigestFor, DigestJob, HoldRules, MAX_ROWS_PER_DIGEST, ReportToken};
use quell_queue::ledger::Outcome;
use quell_queue::store::{Batch, Reader, RowId, RowWrite, Store};
use quell_storm::facts::{Ms, RowState, Source};

use crate::make::*;

pub const KEEP: Ms = 48 * HOUR;
pub const JANE: &str = "jane@firm.example";
pub const JOE: &str = "joe@firm.example";
pub const OUT: &str = "eve@other.example";
/// Ids of storms.
pub const STORM: &str = "storm00000000001";
const OTHER: &str = "storm00000000002";

/// Digests that are due now, at most `limit` at a time.
pub fn due(rig: &mut Rig, limit: usize) -> Vec<DigestJob> {
    let is_ours = |address: &str| address.ends_with("@firm.example");
    let rules = HoldRules { keep_ms: KEEP, remind_ms: &[4 * HOUR, 24 * HOUR], is_ours: &is_ours };
    let now = rig.at();
    let jobs = rig.door.digests_due(&rules, &now, limit);
    rig.drain();
    jobs
}

/// All that are due within a few minutes, whatever the number of rows.
fn all_due(rig: &mut Rig) -> Vec<DigestJob> {
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.extend(due(rig, 1_000));
        rig.now += MINUTE;
    }
    jobs
}

/// Hands a digest in for `to`, which settles `token`. Its id and its ticket.
pub fn submit(rig: &mut Rig, to: &str, token: ReportToken) -> (QueueId, u32) {
    let mut facts = rig.facts(0, 1, &[to]);
    facts.source = Source::own();
    facts.reverse_path = String::new();
    let id = facts.queue_id;
    (id, rig.accept_incoming(facts, Some(token)))
}

/// Holds the rows of message `key` to these recipients for a storm: no rule of this test's door holds,
/// so it is written beside it, as the door itself writes it.
pub fn hold(rig: &mut Rig, key: u8, to: &[&str], storm: Option<&str>) -> QueueId {
    hold_as(rig, key, to, storm, "a_test")
}

fn hold_as(rig: &mut Rig, key: u8, to: &[&str], storm: Option<&str>, reason: &str) -> QueueId {
    let facts = rig.facts(key, 1, to);
    let id = facts.queue_id;
    rig.take(facts);
    let rows = to.iter().map(|to| {
        let mut row = rig.row(key, to).unwrap();
        (row.state, row.since_ms) = (RowState::Held, rig.now);
        row.extra.held_for = Some(reason.into());
        row.extra.storm = storm.map(str::to_owned);
        RowWrite::Step(row)
    });
    let batch = Batch { rows: rows.collect(), ..Batch::default() };
    rig.store.commit(&batch).unwrap();
    rig.reopen();
    id
}

fn row(rig: &Rig, key: u8, to: &str) -> RowId {
    RowId { kid: rig.kid(key), rcpt: to.to_owned() }
}

fn whom(jobs: &[DigestJob]) -> Vec<(DigestFor, usize)> {
    jobs.iter().map(|job| (job.to.clone(), job.messages.len())).collect()
}

fn for_jane() -> DigestFor {
    DigestFor::Recipient(JANE.into())
}

#[test]
fn a_digest_discards_what_it_tells_of_and_keeps_the_bodies() {
    let mut rig = Rig::new();
    let first = hold(&mut rig, 1, &[JANE, JOE], Some(STORM));
    rig.now += 2 * HOUR;
    hold(&mut rig, 2, &[JANE], Some(STORM));
    hold(&mut rig, 3, &[JANE], Some(OTHER));
    rig.now = START + KEEP - MINUTE;
    assert!(due(&mut rig, 9).is_empty(), "nothing is over");
    rig.now += 2 * MINUTE;
    let mut jobs = due(&mut rig, 9);
    jobs.sort_by(|a, b| a.to.cmp(&b.to));
    // Jane's second message of that storm comes along; the other storm's does not.
    assert_eq!(whom(&jobs), [(for_jane(), 2), (DigestFor::Recipient(JOE.into()), 1)]);
    assert_eq!((jobs[0].storm.as_deref(), jobs[0].messages[0].queue_id), (Some(STORM), first));
    assert!(jobs[0].messages.iter().all(|m| m.body.is_some() && m.reason == "a_test"));
    assert_eq!(jobs[0].messages[0].sender, "ann@client.example");
    assert!(due(&mut rig, 9).is_empty(), "each is given out once");
    for job in jobs {
        let to = job.messages[0].recipient.clone();
        submit(&mut rig, &to, job.token);
    }
    assert_eq!(rig.state(1, JANE), RowState::Held, "not before the commit");
    rig.commit();
    for (key, to, state) in [
        (1, JANE, RowState::Discarded),
        (1, JOE, RowState::Discarded),
        (2, JANE, RowState::Discarded),
        (3, JANE, RowState::Held),
    ] {
        assert_eq!(rig.state(key, to), state, "{key} {to}");
    }
    assert!(rig.row(1, JANE).unwrap().status.contains("a_test"));
    assert!(rig.released.is_empty(), "the bodies stay");
    let counts = rig.door.held_counts();
    assert_eq!((counts.in_digests, counts.digests), (3, 2));
    // What was told can still be released, for thirty days.
    rig.now += 20 * DAY;
    let (id, now) = (row(&rig, 1, JANE), rig.at());
    rig.door.release_held(&id, &now).unwrap();
    rig.commit();
    assert_eq!(rig.row(1, JANE).unwrap().extra.exempt.as_deref(), Some("a_test"));
    assert!(rig.claim(9).iter().any(|claim| claim.identity() == JANE));
}

#[test]
fn what_goes_out_is_told_to_its_sender_here_or_to_the_operator() {
    let mut rig = Rig::new();
    hold(&mut rig, 1, &[OUT], Some(STORM));
    let mut facts = rig.facts(2, 1, &[OUT]);
    facts.reverse_path = JANE.into();
    rig.accept(facts);
    rig.commit();
    hold(&mut rig, 2, &[OUT], Some(STORM));
    rig.now += KEEP;
    let mut jobs = due(&mut rig, 9);
    jobs.sort_by(|a, b| a.to.cmp(&b.to));
    assert_eq!(whom(&jobs), [(DigestFor::Sender(JANE.into()), 1), (DigestFor::Operator, 1)]);
}

#[test]
fn of_mail_of_machines_only_the_operator_gets_a_digest() {
    let mut rig = Rig::new();
    hold_as(&mut rig, 1, &[JANE, OUT], Some(STORM), "auto_reply");
    hold_as(&mut rig, 2, &[JOE], Some(STORM), "bounces");
    hold_as(&mut rig, 3, &[JANE], Some(OTHER), "resent");
    rig.now += KEEP;
    let mut jobs = due(&mut rig, 9);
    jobs.sort_by(|a, b| a.to.cmp(&b.to));
    assert_eq!(whom(&jobs), [(for_jane(), 1), (DigestFor::Operator, 3)]);
    assert_eq!(jobs[0].class.map(|class| class.name()), Some("resent"));
    // A release is named after the class.
    let (id, now) = (row(&rig, 3, JANE), rig.at());
    rig.door.release_held(&id, &now).unwrap();
    rig.commit();
    assert_eq!(rig.row(3, JANE).unwrap().extra.exempt.as_deref(), Some("resent"));
}

#[test]
fn what_is_released_meanwhile_is_in_no_digest() {
    for released in [true, false] {
        let mut rig = Rig::new();
        hold(&mut rig, 1, &[JANE], Some(STORM));
        hold(&mut rig, 2, &[JANE], Some(STORM));
        rig.now += KEEP;
        let job = due(&mut rig, 9).pop().unwrap();
        assert_eq!(job.messages.len(), 2);
        let (id, now) = (row(&rig, 1, JANE), rig.at());
        let done = if released { rig.door.release_held(&id, &now) } else { rig.door.discard_held(&id, &now) };
        done.unwrap();
        let (_, ticket) = submit(&mut rig, JANE, job.token);
        assert!(matches!(rig.answer(ticket), Some(Answer::Trouble(_))), "it is no longer true");
        rig.commit();
        assert_eq!(rig.state(2, JANE), RowState::Held);
        let jobs = all_due(&mut rig);
        assert_eq!(whom(&jobs), [(for_jane(), 1)]);
        assert_eq!(jobs[0].messages[0].kid, rig.kid(2));
    }
}

#[test]
fn a_digest_that_is_not_taken_comes_again() {
    let mut rig = Rig::new();
    hold(&mut rig, 1, &[JANE], Some(STORM));
    rig.now += KEEP;
    let job = due(&mut rig, 9).pop().unwrap();
    let now = rig.at();
    rig.door.report_later(job.token, &now);
    assert!(due(&mut rig, 9).is_empty());
    rig.now += 5 * MINUTE;
    let job = due(&mut rig, 9).pop().unwrap();
    // Dropping it is no end either.
    let now = rig.at();
    rig.door.report_dropped(job.token, &now);
    rig.commit();
    rig.now += 5 * MINUTE;
    let lost = due(&mut rig, 9).pop().unwrap();
    // Nor is losing it.
    rig.now += 11 * MINUTE;
    let job = due(&mut rig, 9).pop().unwrap();
    let (_, ticket) = submit(&mut rig, JANE, lost.token);
    assert!(matches!(rig.answer(ticket), Some(Answer::Trouble(_))));
    submit(&mut rig, JANE, job.token);
    rig.commit();
    assert_eq!(rig.state(1, JANE), RowState::Discarded);
}

#[test]
fn a_lost_commit_loses_the_digest_and_ends_nothing() {
    for (end, state) in [(End::Lost, RowState::Held), (End::DurableButFailed, RowState::Discarded)] {
        let mut rig = Rig::new();
        hold(&mut rig, 1, &[JANE], Some(STORM));
        rig.now += KEEP;
        let job = due(&mut rig, 9).pop().unwrap();
        let (id, _) = submit(&mut rig, JANE, job.token);
        rig.begin();
        rig.end(end);
        rig.reopen();
        let stored = rig.reader().find_arrival(&id).unwrap().is_some();
        assert_eq!((rig.state(1, JANE), stored), (state, state == RowState::Discarded));
        assert_eq!(due(&mut rig, 9).len(), usize::from(state == RowState::Held));
    }
}

#[test]
fn a_token_of_before_the_store_failed_is_worth_nothing() {
    let mut rig = Rig::new();
    hold(&mut rig, 1, &[JANE], Some(STORM));
    rig.now += KEEP;
    let job = due(&mut rig, 9).pop().unwrap();
    rig.reopen();
    let (_, ticket) = submit(&mut rig, JANE, job.token);
    assert!(matches!(rig.answer(ticket), Some(Answer::Trouble(_))));
    assert_eq!(due(&mut rig, 9).len(), 1);
}

#[test]
fn a_clock_that_jumped_ends_nothing_but_a_wish_is_one() {
    let mut rig = Rig::new();
    hold(&mut rig, 1, &[JANE, JOE], Some(STORM));
    rig.now += 30 * DAY;
    rig.may_expire = false;
    assert!(due(&mut rig, 9).is_empty() && rig.told.is_empty());
    rig.door.wish_digest(STORM, Some(JOE)).unwrap();
    assert_eq!(whom(&due(&mut rig, 9)), [(DigestFor::Recipient(JOE.into()), 1)]);
    rig.may_expire = true;
    rig.reopen();
    assert_eq!(due(&mut rig, 9).len(), 2);
}

#[test]
fn a_wish_means_what_it_names() {
    let mut rig = Rig::new();
    hold(&mut rig, 1, &[JANE, JOE], Some(STORM));
    hold(&mut rig, 2, &[JANE], Some(OTHER));
    rig.door.wish_digest(OTHER, None).unwrap();
    let jobs = all_due(&mut rig);
    assert_eq!((whom(&jobs), jobs[0].storm.as_deref()), (vec![(for_jane(), 1)], Some(OTHER)));
    for n in 0..100 {
        rig.door.wish_digest(&format!("storm{n:011}"), None).unwrap();
    }
    assert!(rig.door.wish_digest("one more", None).is_err());
}

#[test]
fn a_digest_has_a_bound_and_the_rest_comes_in_a_further_one() {
    let mut rig = Rig::new();
    let to: Vec<String> = (0..MAX_ROWS_PER_DIGEST + 5).map(|n| format!("r{n:04}@other.example")).collect();
    hold(&mut rig, 1, &to.iter().map(String::as_str).collect::<Vec<_>>(), Some(STORM));
    rig.now += KEEP;
    let jobs = all_due(&mut rig);
    assert_eq!(whom(&jobs), [(DigestFor::Operator, MAX_ROWS_PER_DIGEST)]);
    for job in jobs {
        submit(&mut rig, JANE, job.token);
    }
    rig.commit();
    assert_eq!(whom(&all_due(&mut rig)), [(DigestFor::Operator, 5)]);
}

#[test]
fn the_operator_is_reminded_twice_of_each_storm_also_over_a_restart() {
    let mut rig = Rig::new();
    hold(&mut rig, 1, &[JANE], Some(STORM));
    rig.now += HOUR;
    hold(&mut rig, 2, &[JANE], Some(STORM));
    hold(&mut rig, 3, &[JOE], Some(OTHER));
    let mut told = Vec::new();
    for hour in 2..30 {
        rig.now = START + hour * HOUR + MINUTE;
        let now = rig.at();
        rig.door.note_high_water(now.ms + 10 * SECOND);
        rig.commit();
        if [3, 4, 9].contains(&hour) {
            // Some of a reminder's time passes while nobody runs.
            rig = Rig::on(rig.store, rig.now + 20 * MINUTE);
        }
        due(&mut rig, 9);
        let new = rig.told.drain(..).map(|alert| (hour, alert.about));
        told.extend(new.collect::<Vec<_>>());
    }
    let wanted = [(4, STORM), (5, OTHER), (24, STORM), (25, OTHER)];
    assert_eq!(told, wanted.map(|(hour, storm)| (hour, storm.to_owned())));
}

#[test]
fn what_fell_due_while_nobody_ran_is_told_at_the_start() {
    let mut rig = Rig::new();
    hold(&mut rig, 1, &[JANE], Some(STORM));
    rig.door.note_high_water(START + HOUR);
    rig.commit();
    let mut rig = Rig::on(rig.store, START + 30 * HOUR);
    due(&mut rig, 9);
    assert_eq!(rig.told.len(), 2, "both of its reminders");
    assert_eq!(rig.door.held_counts().reminders, 2);
}

#[test]
fn who_decided_in_time_is_not_reminded() {
    let mut rig = Rig::new();
    hold(&mut rig, 1, &[JANE], Some(STORM));
    let (id, now) = (row(&rig, 1, JANE), rig.at());
    rig.door.release_held(&id, &now).unwrap();
    rig.commit();
    rig.now += 5 * HOUR;
    due(&mut rig, 9);
    assert!(rig.told.is_empty());
    let claim = rig.claim(1).pop().expect("released");
    rig.settle(claim, Outcome::Delivered);
    rig.commit();
    assert_eq!(rig.state(1, JANE), RowState::Delivered);
}

#[test]
fn copies_of_what_was_discarded_are_absorbed_while_its_storm_lasts() {
    for lasts in [true, false] {
        let mut rig = Rig::new();
        for _ in 0..8 {
            let facts = rig.facts(1, 1, &[JANE]);
            rig.take(facts);
        }
        let now = rig.at();
        let storm = rig.door.storms(1).unwrap()[0].id.to_string();
        hold(&mut rig, 2, &[JANE], Some(&storm));
        let id = row(&rig, 2, JANE);
        rig.door.discard_held(&id, &now).unwrap();
        rig.commit();
        for _ in 0..30 {
            rig.tick(HOUR);
            if lasts {
                let facts = rig.facts(1, 1, &[JANE]);
                rig.take(facts);
            }
        }
        let facts = rig.facts(2, 1, &[JANE]);
        rig.take(facts);
        assert_eq!(rig.last_verdict(0).0, if lasts { "absorb" } else { "pass" });
    }
}
