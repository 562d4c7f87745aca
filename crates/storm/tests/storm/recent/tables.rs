//! What all of it comes to: `flood`, full tables, and the words for the operator.

use super::*;

#[test]
fn a_source_that_brings_far_more_than_ever_is_told_and_passes() {
    let mut desk = Desk::new();
    let mut told = 0;
    for n in 0..3_000 {
        desk.now += 100;
        let text = format!(
            "From: a@shop.example\nSubject: Offer {n}\nMessage-ID: <{n}@shop.example>\n\nOffer {n}\n"
        );
        let verdict = desk.takes(&Mail::new("a@shop.example", "jane@firm.example", text))[0];
        assert_eq!(verdict.0, "pass");
        told += usize::from(verdict.1 == "flood");
    }
    // New sources may bring four times 150 within 5 minutes.
    assert_eq!(told, 3_000 - 600);
}

/// A sender with as many networks as he likes fills every table: he pushes out his own entries, memory stays,
/// and an open storm's entries stay.
#[test]
fn a_determined_sender_neither_grows_nor_flushes_the_tables() {
    let mut desk = Desk::new();
    desk.one(&original());
    let mut full = 0;
    for n in 0..20_000 {
        desk.now += 10;
        let text = format!(
            "From: a{n}@bad.example\nTo: t@firm.example\nSubject: s{n}\nMessage-ID: <{n}@bad.example>\n\nText number {n}\n"
        );
        desk.one(&Mail {
            host: "bad.example",
            address: 66,
            ..Mail::new("a@bad.example", "tom@firm.example", text)
        });
        if n == 10_000 {
            full = desk.recent.bytes();
        }
    }
    assert_eq!(desk.recent.bytes(), full, "it does not grow");
    let copy = marked_copy("1@server.solicitor.local", "jane@firm.example");
    assert_eq!(desk.one(&copy), "resent", "another's entry is still there");
}

#[test]
fn words_for_the_operator_name_rule_numbers_and_setting() {
    let mut desk = Desk::new();
    let people: Vec<String> = (0..12).map(|n| format!("p{n}@firm.example")).collect();
    let all = people.join(", ");
    let mut last = None;
    for (n, author) in people.iter().enumerate().take(11) {
        let whole = reply(n, author, &all, "Re: Cake").replace('\n', "\r\n");
        let (header, body) = quell_mail::header::split(whole.as_bytes());
        let said = Said::read(header, body, author);
        let facts =
            Facts { exact_key: None, said, queue_id: id(n as u32), ..arrival(&["jane@firm.example"]) };
        let looked = desk.recent.look(&facts, &desk.limits, NOW);
        let counts = Counts { signs: looked.signs.clone(), ..Counts::default() };
        last = judge(&facts, &[None], &counts, &desk.limits, NOW).pop();
        desk.recent.note(&facts, &looked, &[true], &desk.limits, NOW);
    }
    let Some(Verdict::Hold(_, reason)) = last else { panic!() };
    let text = reason.operator(&desk.limits);
    for wanted in [
        "rule reply_all",
        "reply 11 to all",
        "12 people",
        "11 authors",
        "[judge] reply_all_replies",
        "[policy] reply_all",
        "[exceptions]",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}
