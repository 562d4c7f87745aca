//! The classes that compare, by what the tables say: one table of cases for each.

use crate::make::*;
use quell_storm::exceptions::{Exceptions, Network};
use quell_storm::facts::*;
use quell_storm::judge::judge;
use quell_storm::limits::Limits;
use quell_storm::policy::{Policies, Policy};
use quell_storm::signs::*;
use quell_storm::verdict::{Class, Verdict};

fn judged(signs: Signs, limits: &Limits) -> Verdict {
    let counts = Counts { key_copies: 0, rcpt_copies: vec![0], signs: vec![signs] };
    judge(&arrival(&["jane@firm.example"]), &[None], &counts, limits, NOW).remove(0)
}

fn reason(signs: Signs) -> (&'static str, &'static str) {
    short(&judged(signs, &Limits::default()))
}

const PASS: (&str, &str) = ("pass", "first_arrival");

#[test]
fn resent() {
    let held = ("hold", "resent");
    for (arrivals, other_way, marked, words, wanted) in [
        (1, false, false, 500, PASS),
        (9, false, false, 500, PASS),
        (9, false, true, 500, PASS),
        (2, true, false, 500, PASS),
        (3, true, false, 500, held),
        (3, true, false, 19, PASS),
        (3, true, false, 20, held),
        (2, true, true, 500, held),
        (2, true, true, 0, held),
        (1, true, true, 500, PASS),
    ] {
        let again = Again { arrivals, other_way, marked, words, sendings: 1, same_source: true };
        assert_eq!(reason(Signs { again: Some(again), ..Signs::default() }), wanted, "{again:?}");
    }
}

#[test]
fn what_its_author_sends_again_and_again_may_come_by_other_ways_as_often() {
    for (sendings, arrivals, wanted) in [(3, 6, PASS), (3, 7, ("hold", "resent"))] {
        let again =
            Again { arrivals, other_way: true, marked: false, words: 99, sendings, same_source: true };
        assert_eq!(reason(Signs { again: Some(again), ..Signs::default() }), wanted, "{again:?}");
    }
}

#[test]
fn a_server_that_has_just_started_lets_more_reports_pass() {
    for (of_recipient, wanted) in [(200, PASS), (201, ("hold", "bounces"))] {
        let reports = Reports { of_recipient, sent: 0, of_message: 1, message_sent: 0, is_settled: false };
        assert_eq!(reason(Signs { reports: Some(reports), ..Signs::default() }), wanted);
    }
}

#[test]
fn without_a_mark_one_of_each_network_passes() {
    for (same_source, marked, wanted) in
        [(false, false, PASS), (true, false, ("hold", "resent")), (false, true, ("hold", "resent"))]
    {
        let again = Again { arrivals: 9, other_way: true, marked, words: 99, sendings: 1, same_source };
        assert_eq!(reason(Signs { again: Some(again), ..Signs::default() }), wanted, "{again:?}");
    }
}

#[test]
fn reinjected() {
    let held = ("hold", "reinjected");
    for (came_in, marked, addressed, wanted) in [
        (true, false, 2, held),
        (true, false, 4, held),
        (false, true, 2, held),
        (true, true, 1, PASS),
        (true, false, 0, PASS),
        (false, false, 4, PASS),
    ] {
        let leaving = Leaving { came_in, marked, addressed, stands: true, had: false };
        assert_eq!(reason(Signs { leaving: Some(leaving), ..Signs::default() }), wanted, "{leaving:?}");
        let other = Leaving { stands: false, ..leaving };
        assert_eq!(reason(Signs { leaving: Some(other), ..Signs::default() }), PASS, "{other:?}");
        let again = Leaving { had: true, ..other };
        assert_eq!(reason(Signs { leaving: Some(again), ..Signs::default() }), wanted, "{again:?}");
    }
}

#[test]
fn reply_all() {
    let held = ("hold", "reply_all");
    for (people, replies, authors, list, wanted) in [
        (50, 10, 9, false, PASS),
        (50, 11, 9, false, held),
        (50, 11, 4, false, PASS),
        (50, 11, 5, false, held),
        (9, 40, 9, false, PASS),
        (10, 11, 5, false, held),
        (100, 20, 9, false, PASS),
        (100, 21, 9, false, held),
        (50, 20, 9, true, PASS),
        (50, 21, 9, true, held),
    ] {
        let replies = Replies { people, replies, authors, list };
        assert_eq!(reason(Signs { replies: Some(replies), ..Signs::default() }), wanted, "{replies:?}");
    }
}

#[test]
fn auto_reply() {
    let held = ("hold", "auto_reply");
    for (turns, by_machines, wanted) in
        [(4, 4, PASS), (5, 5, held), (5, 3, held), (5, 2, PASS), (50, 0, PASS), (50, 2, PASS), (50, 50, held)]
    {
        let turns = Turns { turns, by_machines };
        assert_eq!(reason(Signs { turns: Some(turns), ..Signs::default() }), wanted, "{turns:?}");
    }
}

#[test]
fn bounces() {
    let held = ("hold", "bounces");
    for (of_recipient, sent, of_message, message_sent, wanted) in [
        (20, 0, 0, 0, PASS),
        (21, 0, 0, 0, held),
        (21, 21, 0, 0, PASS),
        // Of a message that went out here, beside a flood of others.
        (900, 0, 1, 1, PASS),
        (0, 0, 500, 500, PASS),
        (0, 0, 501, 500, held),
        (0, 500, 11, 1, held),
        (20, 500, 1, 0, PASS),
        (21, 500, 1, 0, held),
        (10, 0, 10, 0, PASS),
        (11, 0, 11, 0, held),
    ] {
        let reports = Reports { of_recipient, sent, of_message, message_sent, is_settled: true };
        assert_eq!(reason(Signs { reports: Some(reports), ..Signs::default() }), wanted, "{reports:?}");
    }
}

/// Signs over every threshold.
#[test]
fn user_limit() {
    let held = ("hold", "user_limit");
    for (hour, day, new_recipients, is_settled, wanted) in [
        (100, 500, Some(100), true, PASS),
        (101, 500, None, true, held),
        (100, 501, None, true, held),
        (1, 1, Some(101), true, held),
        (1, 1, Some(400), false, PASS),
        (1, 1, Some(401), false, held),
    ] {
        let sent = Sent { hour, day, new_recipients, is_settled };
        let verdict = judged(Signs { sent: Some(sent), ..Signs::default() }, &Limits::default());
        assert_eq!(short(&verdict), wanted, "{sent:?}");
        let text = verdict.reason().operator(&Limits::default());
        assert_eq!(text.contains("[submission] "), wanted == held, "{text}");
    }
}

fn all() -> Signs {
    Signs {
        again: Some(Again {
            arrivals: 99,
            other_way: true,
            marked: true,
            words: 99,
            sendings: 1,
            same_source: true,
        }),
        leaving: Some(Leaving { came_in: true, marked: true, addressed: 4, stands: true, had: false }),
        replies: Some(Replies { people: 99, replies: 99, authors: 99, list: false }),
        turns: Some(Turns { turns: 99, by_machines: 99 }),
        reports: Some(Reports {
            of_recipient: 999,
            sent: 0,
            of_message: 999,
            message_sent: 0,
            is_settled: true,
        }),
        ..Signs::default()
    }
}

#[test]
fn what_the_operator_wants_is_done() {
    for (policy, wanted) in [(Policy::Tell, "pass"), (Policy::Hold, "hold"), (Policy::Refuse, "refuse")] {
        let policies = Policies { reinjected: policy, ..Policies::default() };
        let limits = Limits { policies, ..Limits::default() };
        let verdict = judged(all(), &limits);
        assert_eq!(short(&verdict), (wanted, "reinjected"));
        let text = verdict.reason().operator(&limits);
        assert!(text.contains(&format!("[policy] reinjected = \"{}\"", policy.name())), "{text}");
        assert_eq!(verdict.reason().sender_reply().is_some(), policy == Policy::Refuse);
    }
}

#[test]
fn released_excepted_and_own_mail_is_not_suspected() {
    let mut signs = all();
    for class in [Class::Reinjected, Class::Resent, Class::AutoReply, Class::Bounces] {
        assert_eq!(reason(signs).1, class.name());
        signs.released.add(class);
    }
    assert_eq!(reason(signs).1, "reply_all");
    signs.released.add(Class::ReplyAll);
    assert_eq!(reason(signs), ("pass", "excepted"), "and it is said who let it pass");

    let excepted = |exceptions: Exceptions| {
        let limits = Limits { exceptions, ..Limits::default() };
        judged(all(), &limits).name()
    };
    let senders = |sender: &str| Exceptions::new(&[sender.to_owned()], &[], Vec::new());
    let why = Limits { exceptions: senders("@client.example"), ..Limits::default() };
    let by = judged(all(), &why).reason().operator(&why);
    assert!(by.contains("[exceptions] senders") && by.contains("rule reinjected would suspect it"), "{by}");
    assert_eq!(excepted(senders("Ann@client.example")), "pass");
    assert_eq!(excepted(senders("@client.example")), "pass");
    assert_eq!(excepted(senders("@other.example")), "hold");
    let host = |net: &str| Exceptions::new(&[], &[], vec![Network::parse(net).unwrap()]);
    assert_eq!(excepted(host("192.0.2.0/24")), "pass");
    assert_eq!(excepted(host("192.0.3.0/24")), "hold");
    assert_eq!(excepted(Exceptions::new(&[], &["x.example".to_owned()], Vec::new())), "hold");

    let own = Facts { source: Source::own(), ..arrival(&["jane@firm.example"]) };
    let counts = Counts { signs: vec![all()], ..Counts::default() };
    assert_eq!(judge(&own, &[None], &counts, &Limits::default(), NOW)[0].name(), "pass");
}

#[test]
fn copies_are_absorbed_before_anything_is_suspected_and_a_released_row_is_not_suspected_again() {
    let counts = Counts { key_copies: 1, rcpt_copies: vec![1], signs: vec![all()] };
    let verdict = |row: RowView| {
        let verdict =
            judge(&arrival(&["jane@firm.example"]), &[Some(row)], &counts, &Limits::default(), NOW).remove(0);
        short(&verdict)
    };
    assert_eq!(verdict(row(RowState::Delivered)), ("absorb", "copy_of_delivered"));
    // A new life has been judged when it first came.
    assert_eq!(verdict(row(RowState::Failed)), ("pass", "new_life"));
    let elsewhere = RowView { source: SourceId("203.0.113.9".into()), ..row(RowState::Held) };
    assert_eq!(verdict(elsewhere.clone()), ("hold", "reinjected"));
    let released = RowView { exempt: Some("reinjected".into()), ..elsewhere };
    assert_eq!(verdict(released), ("hold", "resent"), "from that rule only");
}

#[test]
fn nobody_is_refused_for_a_suspicion_beside_others_who_are_not() {
    let policies = Policies { resent: Policy::Refuse, ..Policies::default() };
    let limits = Limits { policies, ..Limits::default() };
    let again =
        Again { arrivals: 99, other_way: true, marked: false, words: 99, sendings: 1, same_source: true };
    let resent = Signs { again: Some(again), ..Signs::default() };
    let inside = Source { inside: true, ..source(1) };
    let facts = Facts { source: inside, ..arrival(&["jane@firm.example", "tom@firm.example"]) };
    for (signs, wanted) in
        [([resent, Signs::default()], ["hold", "pass"]), ([resent, resent], ["refuse", "refuse"])]
    {
        let counts = Counts { key_copies: 0, rcpt_copies: vec![0, 0], signs: signs.to_vec() };
        let verdicts = judge(&facts, &[None, None], &counts, &limits, NOW);
        assert_eq!(verdicts.iter().map(Verdict::name).collect::<Vec<_>>(), wanted);
    }
}

#[test]
fn a_refusal_tells_no_stranger_who_has_a_message() {
    let policies = Policies { resent: Policy::Refuse, ..Policies::default() };
    let again =
        Again { arrivals: 9, other_way: true, marked: true, words: 99, sendings: 1, same_source: true };
    let verdict =
        judged(Signs { again: Some(again), ..Signs::default() }, &Limits { policies, ..Limits::default() });
    assert_eq!(short(&verdict), ("hold", "resent"));
}
