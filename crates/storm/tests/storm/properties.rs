//! What holds for every arrival.

use proptest::prelude::*;
use quell_storm::facts::*;
use quell_storm::judge::judge;
use quell_storm::limits::Limits;
use quell_storm::verdict::Verdict;

use crate::make::*;
use crate::table_copies::STATES;

prop_compose! {
    fn any_row()(
        state in prop::sample::select(&STATES[..]),
        ago in -HOUR..50 * HOUR,
        from in 1u8..4,
        body in 1u32..6,
        answered in prop::sample::select(vec![Answered::Fine, Answered::Late, Answered::Lost]),
        flags: [bool; 3],
        lives in 0u32..12,
        closed in prop::option::of(0..50 * HOUR),
        exempt in prop::sample::select(vec![None, Some("copies"), Some("loop"), Some("flood")]),
    ) -> RowView {
        RowView {
            since_ms: NOW - ago,
            queue_id: id(body),
            source: source(from).id(),
            answered,
            by_redirect: flags[0],
            failed_recipient: flags[1],
            removed: flags[2],
            lives_in_day: lives,
            storm_closed_ms: closed.map(|ms| NOW - ms),
            exempt: exempt.map(str::to_owned),
            ..row(state)
        }
    }
}

prop_compose! {
    fn any_token()(body in 1u32..6, above in prop::collection::vec(0u8..6, 0..3)) -> OwnToken {
        OwnToken { queue_id: id(body), delivered_to_above: above.iter().map(|n| name(*n)).collect() }
    }
}

fn name(n: u8) -> String {
    format!("r{n}@firm.example")
}

prop_compose! {
    fn any_case()(
        who in prop::collection::vec((0u8..6, prop::option::of(any_row())), 0..8),
        keyed in prop::bool::weighted(0.9),
        hops in prop_oneof![9 => 0usize..100, 1 => 100usize..200],
        tokens in prop::collection::vec(any_token(), 0..4),
        from in 1u8..4,
        counts in prop::collection::vec(0u32..25, 8),
    ) -> (Facts, Vec<Option<RowView>>, Counts) {
        let names: Vec<_> = who.iter().map(|(n, _)| name(*n)).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut facts = Facts { hops, tokens, source: source(from), ..arrival(&names) };
        facts.exact_key = facts.exact_key.filter(|_| keyed);
        let rcpt_copies = counts[..who.len()].to_vec();
        let rows = who.into_iter().map(|(_, row)| row).collect();
        (facts, rows, Counts { key_copies: 20, rcpt_copies, ..Counts::default() })
    }
}

fn all((facts, rows, counts): &(Facts, Vec<Option<RowView>>, Counts)) -> Vec<Verdict> {
    judge(facts, rows, counts, &Limits::default(), NOW)
}

fn provable(state: RowState) -> bool {
    use RowState::*;
    matches!(state, Waiting | Dot | Delivered | Relayed | Unknown)
}

proptest! {
    #[test]
    fn one_verdict_per_recipient(case in any_case()) {
        prop_assert_eq!(all(&case).len(), case.0.recipients.len());
    }

    #[test]
    fn nobody_gets_it_twice(case in any_case()) {
        let (facts, rows, _) = &case;
        for (verdict, row) in all(&case).iter().zip(rows) {
            let has = row.as_ref().is_some_and(|r| provable(r.state));
            if has && facts.exact_key.is_some() {
                prop_assert!(!matches!(verdict, Verdict::Pass(..) | Verdict::Hold(..)));
            }
        }
    }

    /// Promise 6: absorbed is only what the recipient has, has waiting or held here, or what was
    /// discarded; never without an exact key, never without a row.
    #[test]
    fn nothing_is_absorbed_without_proof(case in any_case()) {
        let (facts, rows, _) = &case;
        for (verdict, row) in all(&case).iter().zip(rows) {
            if let Verdict::Absorb(_) = verdict {
                prop_assert!(facts.exact_key.is_some());
                let state = row.as_ref().map(|r| r.state);
                prop_assert!(state.is_some_and(|s| s != RowState::Failed));
            }
        }
    }

    /// Promise 4: a failed row passes only while it has lives left.
    #[test]
    fn lives_have_a_ceiling(case in any_case()) {
        for (verdict, row) in all(&case).iter().zip(&case.1) {
            let spent = row.as_ref().is_some_and(|r| r.state == RowState::Failed && r.lives_in_day >= 8);
            if spent && case.0.exact_key.is_some() {
                prop_assert_eq!(verdict.name(), "refuse");
            }
        }
    }

    #[test]
    fn a_verdict_does_not_depend_on_other_recipients(case in any_case()) {
        let together = all(&case);
        let (facts, rows, counts) = &case;
        for (i, verdict) in together.iter().enumerate() {
            let alone = Facts { recipients: vec![facts.recipients[i].clone()], ..facts.clone() };
            let counts =
                Counts { key_copies: counts.key_copies, rcpt_copies: vec![counts.rcpt_copies[i]], ..Counts::default() };
            let alone = judge(&alone, &rows[i..=i], &counts, &Limits::default(), NOW);
            prop_assert_eq!(verdict, &alone[0]);
        }
    }

    #[test]
    fn the_same_input_gives_the_same_verdicts(case in any_case()) {
        prop_assert_eq!(all(&case), all(&case));
    }

    /// Exactly the refusals have a reply, and it is a permanent one: 4xx is for lack of room and
    /// trouble of our own (promise 6).
    #[test]
    fn refusals_have_a_permanent_reply_and_nothing_else_has(case in any_case()) {
        for verdict in all(&case) {
            let reply = verdict.reason().sender_reply();
            prop_assert_eq!(reply.is_some(), matches!(verdict, Verdict::Refuse(_)));
            if let Some((code, enhanced, _)) = reply {
                prop_assert!((500..600).contains(&code) && enhanced.starts_with("5."));
            }
        }
    }
}
