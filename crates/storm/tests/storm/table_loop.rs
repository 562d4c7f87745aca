//! The paragraph under the table: every sentence of "Loop".

use quell_storm::facts::*;
use quell_storm::judge::judge;
use quell_storm::limits::Limits;
use quell_storm::verdict::{Reason, Verdict};

use crate::make::*;

/// An arrival for jane that carries these tokens.
fn with(tokens: Vec<OwnToken>) -> Facts {
    Facts { tokens, ..arrival(&["jane@firm.example"]) }
}

fn delivered_to(n: u32, who: &str) -> OwnToken {
    OwnToken { delivered_to_above: vec!["x@firm.example".into(), who.into()], ..token(n) }
}

/// What the copies table says of a row in each state, from the same source.
const TABLE: [(RowState, &str, &str); 8] = [
    (RowState::Waiting, "absorb", "copy_of_waiting"),
    (RowState::Dot, "absorb", "copy_of_waiting"),
    (RowState::Delivered, "absorb", "copy_of_delivered"),
    (RowState::Relayed, "absorb", "copy_of_delivered"),
    (RowState::Failed, "pass", "new_life"),
    (RowState::Held, "absorb", "copy_of_held"),
    (RowState::Unknown, "absorb", "copy_of_unknown"),
    (RowState::Discarded, "absorb", "copy_of_discarded"),
];

/// What the loop rule says; None: it leaves the row to the table.
fn looped(state: RowState) -> Option<(&'static str, &'static str)> {
    match state {
        RowState::Delivered => Some(("absorb", "loop_delivered")),
        RowState::Dot | RowState::Relayed | RowState::Unknown => Some(("refuse", "loop_sent")),
        _ => None,
    }
}

#[test]
fn a_sent_row_whose_queue_id_is_among_the_tokens_is_a_loop() {
    for (state, verdict, reason) in TABLE {
        let expected = looped(state).unwrap_or((verdict, reason));
        for tokens in [vec![token(1)], vec![token(9), token(1), token(8)]] {
            assert_eq!(short(&one(&with(tokens), Some(row(state)))), expected, "{state:?}");
        }
    }
}

#[test]
fn a_loop_is_refused_with_5_4_6() {
    let verdict = one(&with(vec![token(1)]), Some(row(RowState::Relayed)));
    assert_eq!(verdict, Verdict::Refuse(Reason::LoopSent));
    let (code, enhanced, _) = verdict.reason().sender_reply().unwrap();
    assert_eq!((code, enhanced), (550, "5.4.6"));
}

#[test]
fn somebody_elses_row_proves_nothing() {
    for (state, verdict, reason) in TABLE {
        let judged = one(&with(vec![token(2)]), Some(row(state)));
        assert_eq!(short(&judged), (verdict, reason), "{state:?}");
    }
}

#[test]
fn a_row_made_by_a_redirect_is_left_to_the_table() {
    for (state, verdict, reason) in TABLE {
        let redirect = RowView { by_redirect: true, ..row(state) };
        let tokens = vec![delivered_to(1, "jane@firm.example")];
        assert_eq!(short(&one(&with(tokens), Some(redirect))), (verdict, reason), "{state:?}");
    }
}

#[test]
fn a_token_and_no_row_is_judged_as_new() {
    assert_eq!(short(&one(&with(vec![token(1)]), None)), ("pass", "token_without_row"));
}

#[test]
fn delivered_to_above_a_token_proves_it_for_a_row_that_has_a_later_body() {
    for (state, verdict, reason) in TABLE {
        let expected = looped(state).unwrap_or((verdict, reason));
        let tokens = vec![delivered_to(5, "jane@firm.example")];
        assert_eq!(short(&one(&with(tokens), Some(row(state)))), expected, "{state:?}");
        let others = vec![delivered_to(5, "john@firm.example")];
        assert_eq!(short(&one(&with(others), Some(row(state)))), (verdict, reason), "{state:?}");
    }
}

#[test]
fn delivered_to_and_no_row_is_judged_as_new() {
    let facts = with(vec![delivered_to(5, "jane@firm.example")]);
    assert_eq!(short(&one(&facts, None)), ("pass", "token_without_row"));
}

#[test]
fn without_exact_key_there_is_no_loop_by_token() {
    let facts = Facts { exact_key: None, ..with(vec![delivered_to(1, "jane@firm.example")]) };
    assert_eq!(short(&one(&facts, Some(row(RowState::Relayed)))), ("pass", "no_exact_key"));
}

#[test]
fn a_hundred_hops_are_refused_for_all_recipients_whatever_their_rows() {
    let names = ["a@firm.example", "b@firm.example", "c@firm.example"];
    let exempt = RowView { exempt: Some("loop".into()), ..row(RowState::Failed) };
    let rows = [None, Some(row(RowState::Delivered)), Some(exempt)];
    for exact_key in [None, arrival(&[]).exact_key] {
        let judged = |hops| {
            let facts = Facts { hops, exact_key, ..arrival(&names) };
            judge(&facts, &rows, &Counts::default(), &Limits::default(), NOW)
        };
        for verdict in judged(100) {
            assert_eq!(verdict, Verdict::Refuse(Reason::TooManyHops { hops: 100, limit: 100 }));
            assert_eq!(verdict.reason().sender_reply().unwrap().1, "5.4.6");
        }
        assert!(judged(99).iter().all(|v| v.name() != "refuse"));
    }
}

/// A person released it from this rule: the table still keeps the recipient from having it twice.
#[test]
fn exempt_from_loop_is_left_to_the_table() {
    for (state, verdict, reason) in TABLE {
        let exempt = RowView { exempt: Some("loop".into()), ..row(state) };
        assert_eq!(short(&one(&with(vec![token(1)]), Some(exempt))), (verdict, reason));
    }
}

#[test]
fn one_recipients_loop_is_not_anothers() {
    let facts = Facts { tokens: vec![token(1)], ..arrival(&["a@firm.example", "b@firm.example"]) };
    let rows = [Some(row(RowState::Relayed)), None];
    let verdicts = judge(&facts, &rows, &Counts::default(), &Limits::default(), NOW);
    let shorts: Vec<_> = verdicts.iter().map(short).collect();
    assert_eq!(shorts, [("refuse", "loop_sent"), ("pass", "token_without_row")]);
}
