//! "An exact copy for a recipient whose row is …": every row of DESIGN's table.

use quell_storm::facts::*;
use quell_storm::judge::judge;
use quell_storm::limits::Limits;
use quell_storm::verdict::{Class, Copies, Reason, Verdict};

use crate::make::*;

fn case(row: Option<RowView>) -> (&'static str, &'static str) {
    short(&one(&arrival(&["jane@firm.example"]), row))
}

fn case_from(n: u8, row: RowView) -> (&'static str, &'static str) {
    let facts = Facts { source: source(n), ..arrival(&["jane@firm.example"]) };
    short(&one(&facts, Some(row)))
}

#[test]
fn none_is_judged_as_new() {
    assert_eq!(case(None), ("pass", "first_arrival"));
}

#[test]
fn waiting_and_claimed_absorb() {
    for state in [RowState::Waiting, RowState::Dot] {
        assert_eq!(case(Some(row(state))), ("absorb", "copy_of_waiting"));
        assert_eq!(case_from(2, row(state)), ("absorb", "copy_of_waiting"));
    }
}

#[test]
fn delivered_and_relayed_absorb() {
    for state in [RowState::Delivered, RowState::Relayed] {
        assert_eq!(case(Some(row(state))), ("absorb", "copy_of_delivered"));
        assert_eq!(case_from(2, row(state)), ("absorb", "copy_of_delivered"));
    }
}

#[test]
fn held_absorbs_from_the_same_source_only() {
    assert_eq!(case(Some(row(RowState::Held))), ("absorb", "copy_of_held"));
    assert_eq!(case_from(2, row(RowState::Held)), ("pass", "other_source_than_held"));
}

#[test]
fn the_same_source_is_one_ipv4_address_or_one_64_of_ipv6() {
    let from = |text: &str| Source { address: Some(text.parse().unwrap()), ..source(1) };
    let held = RowView { source: from("2001:db8:0:1::5").id(), ..row(RowState::Held) };
    let judged = |text: &str| {
        let facts = Facts { source: from(text), ..arrival(&["jane@firm.example"]) };
        one(&facts, Some(held.clone())).name()
    };
    assert_eq!(judged("2001:db8:0:1:ffff::9"), "absorb");
    assert_eq!(judged("2001:db8:0:2::5"), "pass");
}

#[test]
fn a_user_is_one_source_wherever_they_are() {
    let from = |n: u8, user: &str| Source { user: Some(user.to_owned()), ..source(n) };
    let held = RowView { source: from(1, "jane").id(), ..row(RowState::Held) };
    let judged =
        |source: Source| one(&Facts { source, ..arrival(&["jane@firm.example"]) }, Some(held.clone())).name();
    assert_eq!(judged(from(2, "jane")), "absorb");
    assert_eq!(judged(from(1, "tom")), "pass");
    assert_eq!(judged(source(1)), "pass");
}

#[test]
fn unknown_absorbs() {
    assert_eq!(case(Some(row(RowState::Unknown))), ("absorb", "copy_of_unknown"));
    assert_eq!(case_from(2, row(RowState::Unknown)), ("absorb", "copy_of_unknown"));
}

/// The window is half open: a failure exactly 30 minutes old is past it.
#[test]
fn failed_about_the_recipient_refuses_the_same_source_for_half_an_hour() {
    let failed = |ago| RowView { since_ms: NOW - ago, failed_recipient: true, ..row(RowState::Failed) };
    assert_eq!(case(Some(failed(0))), ("refuse", "failed_just_now"));
    assert_eq!(case(Some(failed(30 * MINUTE - 1))), ("refuse", "failed_just_now"));
    assert_eq!(case(Some(failed(30 * MINUTE))), ("pass", "new_life"));
    assert_eq!(case_from(2, failed(0)), ("pass", "new_life"));
}

#[test]
fn failed_for_another_cause_begins_a_new_life() {
    assert_eq!(case(Some(row(RowState::Failed))), ("pass", "new_life"));
}

#[test]
fn a_row_has_eight_new_lives_a_day() {
    for lives in 0..8 {
        let failed = RowView { lives_in_day: lives, ..row(RowState::Failed) };
        let verdict = one(&arrival(&["jane@firm.example"]), Some(failed));
        assert_eq!(*verdict.reason(), Reason::NewLife { life: lives + 1 });
        assert_eq!(verdict.name(), "pass");
    }
    for lives in [8, 9, u32::MAX] {
        let failed = RowView { lives_in_day: lives, ..row(RowState::Failed) };
        let verdict = one(&arrival(&["jane@firm.example"]), Some(failed));
        assert_eq!(verdict, Verdict::Refuse(Reason::NoMoreLives { limit: 8 }));
    }
}

#[test]
fn discarded_absorbs_while_its_storm_is_open_and_a_day_after() {
    let discarded = |storm_closed_ms| RowView { storm_closed_ms, ..row(RowState::Discarded) };
    assert_eq!(case(Some(discarded(None))), ("absorb", "copy_of_discarded"));
    assert_eq!(case(Some(discarded(Some(NOW)))), ("absorb", "copy_of_discarded"));
    assert_eq!(case(Some(discarded(Some(NOW - 24 * HOUR + 1)))), ("absorb", "copy_of_discarded"));
    assert_eq!(case(Some(discarded(Some(NOW - 24 * HOUR)))), ("pass", "new_after_discard"));
}

#[test]
fn removed_by_the_operator_lets_the_next_copy_in() {
    for storm_closed_ms in [None, Some(NOW)] {
        let removed = RowView { removed: true, storm_closed_ms, ..row(RowState::Discarded) };
        assert_eq!(case(Some(removed)), ("pass", "new_after_discard"));
    }
}

#[test]
fn without_exact_key_no_row_is_matched() {
    let facts = Facts { exact_key: None, ..arrival(&["jane@firm.example"]) };
    for state in STATES {
        assert_eq!(short(&one(&facts, Some(row(state)))), ("pass", "no_exact_key"));
    }
    assert_eq!(short(&one(&facts, None)), ("pass", "no_exact_key"));
}

/// `retry` decides the class of every absorbed copy, and nothing else.
#[test]
fn retry_is_the_same_source_after_a_late_or_lost_answer() {
    let absorbing = STATES.into_iter().filter(|s| *s != RowState::Failed).collect::<Vec<_>>();
    let class = |n: u8, state, answered| {
        let facts = Facts { source: source(n), ..arrival(&["jane@firm.example"]) };
        one(&facts, Some(RowView { answered, ..row(state) })).reason().class()
    };
    for state in absorbing {
        assert_eq!(class(1, state, Answered::Fine), Class::Copies, "{state:?}");
        assert_eq!(class(1, state, Answered::Late), Class::Retry, "{state:?}");
        assert_eq!(class(1, state, Answered::Lost), Class::Retry, "{state:?}");
        if state != RowState::Held {
            assert_eq!(class(2, state, Answered::Lost), Class::Copies, "{state:?}");
        }
    }
}

#[test]
fn a_copy_carries_its_numbers() {
    let verdict = one(&arrival(&["jane@firm.example"]), Some(row(RowState::Delivered)));
    let copies = Copies { class: Class::Copies, of_recipient: 3, of_key: 8 };
    assert_eq!(verdict, Verdict::Absorb(Reason::CopyOfDelivered(copies)));
}

/// An exemption lifts the short refusal after a failure, never the ceiling of lives (promise 4),
/// and never what keeps a recipient from having it twice (promise 2).
#[test]
fn an_exemption_lifts_the_refusal_after_a_failure_only() {
    let of = |class: &str, row: RowView| RowView { exempt: Some(class.into()), ..row };
    let failed = RowView { failed_recipient: true, ..row(RowState::Failed) };
    assert_eq!(case(Some(of("copies", failed.clone()))), ("pass", "exempt"));
    assert_eq!(case(Some(of("retry", failed.clone()))), ("pass", "exempt"));
    assert_eq!(case(Some(of("flood", failed.clone()))), ("refuse", "failed_just_now"));
    let used_up = RowView { lives_in_day: 8, ..failed };
    assert_eq!(case(Some(of("copies", used_up))), ("refuse", "no_more_lives"));
    for state in [RowState::Waiting, RowState::Delivered, RowState::Relayed, RowState::Unknown] {
        assert_eq!(case(Some(of("copies", row(state)))).0, "absorb");
    }
}

/// Several recipients in different states in one transaction.
#[test]
fn each_recipient_has_its_own_verdict_in_order() {
    let names = ["a@firm.example", "b@firm.example", "c@firm.example", "d@firm.example"];
    let failed = RowView { failed_recipient: true, ..row(RowState::Failed) };
    let rows = [None, Some(row(RowState::Delivered)), Some(failed), Some(row(RowState::Held))];
    let counts = Counts { key_copies: 9, rcpt_copies: vec![0, 4, 2, 3], ..Counts::default() };
    let verdicts = judge(&arrival(&names), &rows, &counts, &Limits::default(), NOW);
    let shorts: Vec<_> = verdicts.iter().map(short).collect();
    assert_eq!(
        shorts,
        [
            ("pass", "first_arrival"),
            ("absorb", "copy_of_delivered"),
            ("refuse", "failed_just_now"),
            ("absorb", "copy_of_held"),
        ]
    );
    let copies = Copies { class: Class::Copies, of_recipient: 4, of_key: 9 };
    assert_eq!(*verdicts[1].reason(), Reason::CopyOfDelivered(copies));
}

#[test]
fn settings_move_the_thresholds() {
    let limits = Limits {
        failed_window_ms: MINUTE,
        max_lives_per_day: 1,
        discarded_window_ms: HOUR,
        ..Limits::default()
    };
    let judged = |row| {
        let facts = arrival(&["jane@firm.example"]);
        short(&judge(&facts, &[Some(row)], &Counts::default(), &limits, NOW)[0])
    };
    let failed = RowView { failed_recipient: true, ..row(RowState::Failed) };
    assert_eq!(judged(failed.clone()), ("pass", "new_life"));
    assert_eq!(judged(RowView { lives_in_day: 1, ..failed }), ("refuse", "no_more_lives"));
    let closed = RowView { storm_closed_ms: Some(NOW - HOUR), ..row(RowState::Discarded) };
    assert_eq!(judged(closed), ("pass", "new_after_discard"));
}

pub const STATES: [RowState; 8] = [
    RowState::Waiting,
    RowState::Dot,
    RowState::Delivered,
    RowState::Relayed,
    RowState::Failed,
    RowState::Held,
    RowState::Unknown,
    RowState::Discarded,
];

/// Whatever lets it pass or holds it: collected mail gets a permit for the house.
#[test]
fn collected_mail_gets_a_permit_for_the_house() {
    let rows = [None, Some(row(RowState::Failed)), Some(row(RowState::Discarded))];
    for exact_key in [true, false] {
        for pickup in [None, Some("office".to_owned())] {
            for row in &rows {
                let mut facts = arrival(&["jane@firm.example"]);
                facts.source.pickup.clone_from(&pickup);
                facts.exact_key = facts.exact_key.filter(|_| exact_key);
                match one(&facts, row.clone()) {
                    Verdict::Pass(permit, _) | Verdict::Hold(permit, _) => {
                        assert_eq!(permit.is_for_the_house(), pickup.is_some(), "{row:?}");
                    }
                    Verdict::Absorb(_) | Verdict::Refuse(_) => assert!(exact_key),
                }
            }
        }
    }
    assert_eq!(Source { pickup: Some("office".into()), ..source(1) }.id().0, "pickup office");
}
