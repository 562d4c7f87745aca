//! It is answered, by many or by machines: `reply_all`, `auto_reply`.

use super::*;

#[test]
fn a_reply_all_storm_of_50_is_held_from_the_eleventh_reply() {
    let mut desk = Desk::new();
    let people: Vec<String> = (0..50).map(|n| format!("p{n}@firm.example")).collect();
    let all = people.join(", ");
    let mut delivered = 0;
    for n in 0..80 {
        desk.now += 5_000;
        let author = &people[n % 50];
        let message = reply(n, author, &all, "Re: Cake in the kitchen");
        let to = people.iter().map(String::as_str).collect();
        let mail = Mail { inside: true, to, ..Mail::new(author, "", message) };
        let verdicts = desk.takes(&mail);
        delivered += usize::from(verdicts[0].0 == "pass");
        assert!(verdicts.iter().all(|v| v.0 == verdicts[0].0));
        // To the author alone: it passes all the while.
        let alone = Mail::new(
            author,
            "p0@firm.example",
            reply(1_000 + n, author, "p0@firm.example", "Re: Cake in the kitchen"),
        );
        assert_eq!(desk.one(&alone), "pass");
    }
    assert_eq!(delivered, 10);
    desk.now += 30 * MINUTE;
    let message = reply(99, &people[0], &all, "Re: Cake in the kitchen");
    assert_eq!(desk.one(&Mail::new(&people[0], "p1@firm.example", message)), "pass", "it is over");
}

#[test]
fn a_series_of_patches_and_a_talk_of_four_are_no_storm() {
    let mut desk = Desk::new();
    let all = (0..12).map(|n| format!("p{n}@lists.example")).collect::<Vec<_>>().join(", ");
    for n in 0..40 {
        desk.now += 1_000;
        let author = format!("p{}@lists.example", n % 4);
        let talk = reply(n, &author, &all, "Re: a talk");
        assert_eq!(desk.one(&Mail::new(&author, "jane@firm.example", talk)), "pass");
        let author = format!("p{}@lists.example", n % 12);
        let patch = reply(1_000 + n, &author, &all, &format!("[PATCH {n}/40] fix"));
        assert_eq!(desk.one(&Mail::new(&author, "jane@firm.example", patch)), "pass");
    }
}

#[test]
fn the_same_reply_to_each_of_its_recipients_in_turn_is_one() {
    let mut desk = Desk::new();
    let people: Vec<String> = (0..50).map(|n| format!("p{n}@firm.example")).collect();
    let all = people.join(", ");
    for (n, author) in people.iter().enumerate().take(11) {
        for to in &people {
            let message = reply(n, author, &all, "Re: Cake");
            assert_eq!(
                desk.one(&Mail::new(author, to, message)),
                if n < 10 { "pass" } else { "reply_all" },
                "{n}"
            );
        }
    }
}

/// Turns that pass before the first is held, of at most 40.
fn turns(desk: &mut Desk, mut say: impl FnMut(usize) -> String) -> usize {
    let (one, other) = ("help@firm.example", "support@shop.example");
    (0..40)
        .position(|n| {
            desk.now += 20_000;
            let (from, to) = if n % 2 == 0 { (other, one) } else { (one, other) };
            let message = format!("From: <{from}>\nTo: {to}\nMessage-ID: <{n}@x.example>\n{}", say(n));
            let inside = n % 2 == 1;
            desk.one(&Mail { inside, ..Mail::new(from, to, message) }) != "pass"
        })
        .unwrap_or(40)
}

#[test]
fn machines_that_answer_each_other_are_stopped_after_four_turns() {
    let answered = |n: usize| {
        format!(
            "Auto-Submitted: auto-replied\nSubject: {}away\n\nI am away until Monday.\n",
            "Re: ".repeat(n)
        )
    };
    assert_eq!(turns(&mut Desk::new(), answered), 4);
    // Without a word of it in the header; the subject grows, and has a ticket number.
    let silent = |n: usize| {
        let quoted: String = (0..n).map(|i| format!("> Your request {i} has been received.\n")).collect();
        format!(
            "Subject: {}[Ticket#{}] your request\n\nThank you. Your request {} has been received by team {}.\n{quoted}",
            "Re: ".repeat(n),
            20_051_210 + n,
            7_000 + n,
            ["shop", "help"][n % 2]
        )
    };
    // The first of each is what any person may write.
    let passed = turns(&mut Desk::new(), silent);
    assert!((4..=5).contains(&passed), "{passed}");
}

/// As an archive has it: each copy of a message to many by itself.
#[test]
fn colleagues_who_tell_all_the_same_each_shift_are_not_machines() {
    let mut desk = Desk::new();
    let people: Vec<String> = (0..5).map(|n| format!("p{n}@firm.example")).collect();
    let all = people.join(", ");
    for n in 0..10 {
        desk.now += 20_000;
        for to in &people {
            let from = &people[n % 2];
            let message = format!(
                "From: {from}\nTo: {all}\nSubject: Re: shift\nMessage-ID: <s{n}@firm.example>\nReferences: <s@firm.example>\n\n\
                 Shift {n} is done, please take over, all fine here.\n"
            );
            assert_eq!(desk.one(&Mail { inside: true, ..Mail::new(from, to, message) }), "pass", "{n}");
        }
    }
}

#[test]
fn people_who_write_to_each_other_quickly_are_not_machines() {
    let words = ["shall we meet at ten", "ten is fine with me", "ok then", "see you", "thanks", "thanks"];
    let talk = |n: usize| format!("Subject: Re: lunch\n\n{} number\n{}\n", words[n % 6], "word ".repeat(n));
    assert_eq!(turns(&mut Desk::new(), talk), 40);
}
