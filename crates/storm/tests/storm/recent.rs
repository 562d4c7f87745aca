//! What came lately, from whole messages: sequences of arrivals through the tables and the judge.

mod honest;

use crate::make::*;
use quell_storm::facts::*;
use quell_storm::judge::judge;
use quell_storm::limits::Limits;
use quell_storm::recent::Recent;
use quell_storm::said::Said;
use quell_storm::verdict::Verdict;

/// The tables of one server, and its clock.
struct Desk {
    recent: Recent,
    limits: Limits,
    now: Ms,
    count: u32,
}

/// One arrival.
struct Mail<'a> {
    from: &'a str,
    host: &'a str,
    address: u8,
    inside: bool,
    reverse_path: &'a str,
    to: Vec<&'a str>,
    message: String,
}

impl Mail<'_> {
    /// From a client outside.
    fn new<'a>(from: &'a str, to: &'a str, message: impl Into<String>) -> Mail<'a> {
        let host = "mail.client.example";
        Mail {
            from,
            host,
            address: 1,
            inside: false,
            reverse_path: from,
            to: vec![to],
            message: message.into(),
        }
    }
}

impl Desk {
    fn new() -> Self {
        let limits = Limits { recent_entries: 4096, ..Limits::default() };
        Self { recent: Recent::new(7, &limits), limits, now: NOW, count: 0 }
    }

    /// The verdicts, by name and reason.
    fn takes(&mut self, mail: &Mail<'_>) -> Vec<(&'static str, &'static str)> {
        self.count += 1;
        let whole = mail.message.replace('\n', "\r\n");
        let (header, body) = quell_mail::header::split(whole.as_bytes());
        let is_ours = |address: &str| address.ends_with("@firm.example");
        let source = Source {
            address: Some([192, 0, mail.address, 1].into()),
            helo: mail.host.to_owned(),
            inside: mail.inside,
        };
        let recipients =
            mail.to.iter().map(|to| Recipient { is_ours: is_ours(to), ..recipient(to) }).collect();
        let facts = Facts {
            queue_id: id(self.count),
            source,
            reverse_path: mail.reverse_path.to_owned(),
            exact_key: None,
            recipients,
            is_author_ours: is_ours(mail.from),
            is_to_us: mail.message.contains("@firm.example"),
            said: Said::read(header, body, mail.reverse_path),
            ..arrival(&[])
        };
        let looked = self.recent.look(&facts, &self.limits, self.now);
        let counts =
            Counts { key_copies: 0, rcpt_copies: vec![0; mail.to.len()], signs: looked.signs.clone() };
        let rows = vec![None; mail.to.len()];
        let verdicts = judge(&facts, &rows, &counts, &self.limits, self.now);
        self.recent.note(&facts, &looked, &vec![true; mail.to.len()], &self.limits, self.now);
        verdicts.iter().map(short).collect()
    }

    fn one(&mut self, mail: &Mail<'_>) -> &'static str {
        match self.takes(mail)[..] {
            [("pass", "no_exact_key" | "flood")] => "pass",
            [("hold", class)] => class,
            ref other => panic!("{other:?}"),
        }
    }
}

const TEXT: &str = "The Law Society's new guide to conveyancing is out.\nIt has four hundred pages, and members \
    may order it\nat the reduced price until the end of the month from our office.\n";

fn newsletter(id: &str, by: &str, more: &str) -> String {
    format!(
        "{by}From: Law Books <news@publisher.example>\nTo: jane@firm.example, tom@solicitor.example, ann@other.example\n\
         Subject: The new guide\nMessage-ID: <{id}>\nDate: Sat, 10 Dec 2005 09:00:00 +0000\n\n{TEXT}{more}"
    )
}

const PUBLISHER: &str = "Received: from app.publisher.example by out.publisher.example with ESMTP id A; Sat, 10 Dec 2005 09:00:01 +0000\n";
const FAULTY: &str = "Received: from mail pickup service by server.solicitor.local with Microsoft SMTPSVC; Sat, 10 Dec 2005 09:15:01 +0000\n";
const FAULTY_ISP: &str = "Received: from server.solicitor.local ([203.0.113.5]) by smtp.telecom.example with ESMTP id B; Sat, 10 Dec 2005 09:15:02 +0000\n";

#[test]
fn copies_of_2005_are_held_after_the_original() {
    let mut desk = Desk::new();
    let from = "news@publisher.example";
    let original = Mail {
        host: "out.publisher.example",
        ..Mail::new(from, "jane@firm.example", newsletter("1@publisher.example", PUBLISHER, ""))
    };
    assert_eq!(desk.one(&original), "pass");
    for n in 0..5 {
        desk.now += 15 * MINUTE;
        let id = format!("{n}@server.solicitor.local");
        let copy = Mail {
            host: "smtp.telecom.example",
            address: 9,
            ..Mail::new(from, "jane@firm.example", newsletter(&id, &format!("{FAULTY_ISP}{FAULTY}"), ""))
        };
        assert_eq!(desk.one(&copy), "resent", "copy {n}");
    }
    // Another recipient has not had the original: one passes.
    let copy = |n: u32| Mail {
        host: "smtp.telecom.example",
        address: 9,
        ..Mail::new(
            from,
            "tom@firm.example",
            newsletter(&format!("t{n}@server.solicitor.local"), &format!("{FAULTY_ISP}{FAULTY}"), ""),
        )
    };
    assert_eq!([desk.one(&copy(1)), desk.one(&copy(2))], ["pass", "resent"]);
}

#[test]
fn without_a_mark_one_more_passes_and_footers_hide_nothing() {
    let mut desk = Desk::new();
    let from = "news@publisher.example";
    let original = Mail {
        host: "out.publisher.example",
        ..Mail::new(from, "jane@firm.example", newsletter("1@publisher.example", PUBLISHER, ""))
    };
    assert_eq!(desk.one(&original), "pass");
    let mut footers = String::new();
    for (n, wanted) in ["pass", "resent", "resent"].into_iter().enumerate() {
        desk.now += 15 * MINUTE;
        footers += "--\nThis message is confidential and for the addressee only.\n";
        let id = format!("{n}@publisher.example");
        let copy = Mail {
            host: "smtp.telecom.example",
            address: 9,
            ..Mail::new(from, "jane@firm.example", newsletter(&id, FAULTY_ISP, &footers))
        };
        assert_eq!(desk.one(&copy), wanted, "copy {n}");
    }
    desk.now += 48 * HOUR;
    let late = Mail {
        host: "smtp.telecom.example",
        address: 9,
        ..Mail::new(from, "jane@firm.example", newsletter("late@publisher.example", FAULTY_ISP, &footers))
    };
    assert_eq!(desk.one(&late), "pass", "it is forgotten");
}

#[test]
fn people_and_machines_that_send_again_are_not_suspected() {
    let mut desk = Desk::new();
    let from = "news@publisher.example";
    for n in 0..9 {
        desk.now += HOUR;
        // Other machines of the same house.
        let host = format!("out{n}.publisher.example");
        let mail = Mail {
            host: &host,
            address: n,
            ..Mail::new(
                from,
                "jane@firm.example",
                newsletter(&format!("{n}@publisher.example"), PUBLISHER, ""),
            )
        };
        assert_eq!(desk.one(&mail), "pass", "{n}");
    }
    for n in 0..9 {
        // A form letter: another name in each.
        let text =
            newsletter(&format!("f{n}@x.example"), FAULTY_ISP, &format!("Dear number {n} of our readers\n"));
        let mail = Mail { host: "smtp.telecom.example", ..Mail::new(from, "jane@firm.example", text) };
        assert_eq!(desk.one(&mail), "pass", "{n}");
    }
}

/// One of ours has all his mail sent on by the firm's own server.
#[test]
fn what_is_redirected_each_day_is_not_suspected() {
    let mut desk = Desk::new();
    for n in 0..9 {
        desk.now += 24 * HOUR;
        let text = |by: &str| newsletter(&format!("{n}@publisher.example"), by, "");
        let from = "news@publisher.example";
        let original =
            Mail { host: "out.publisher.example", ..Mail::new(from, "jane@firm.example", text(PUBLISHER)) };
        assert_eq!(desk.one(&original), "pass", "{n}");
        let by = format!(
            "Received: from mx.quell.example by mail.ourfirm.example with ESMTP id C; Sat, 10 Dec 2005 09:00:02 +0000\n{PUBLISHER}"
        );
        let redirected = Mail {
            host: "mail.ourfirm.example",
            inside: true,
            ..Mail::new(from, "jane@home.example", text(&by))
        };
        assert_eq!(desk.one(&redirected), "pass", "{n}");
    }
}

/// Its server makes its mail from a folder, under a name that nobody else knows.
#[test]
fn a_shop_that_says_the_same_each_hour_is_not_suspected() {
    let mut desk = Desk::new();
    for n in 0..9 {
        desk.now += HOUR;
        let by = "Received: from mail pickup service by web1.shop.local with Microsoft SMTPSVC; Sat, 10 Dec 2005 09:15:01 +0000\n";
        let text = newsletter(&format!("{n}@web1.shop.local"), by, "");
        let mail =
            Mail { host: "web1.shop.local", ..Mail::new("shop@shop.example", "jane@firm.example", text) };
        assert_eq!(desk.one(&mail), "pass", "{n}");
    }
}

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

#[test]
fn the_fault_is_caught_at_its_source_at_the_first_copy() {
    let mut desk = Desk::new();
    let from = "news@publisher.example";
    let original = Mail {
        host: "out.publisher.example",
        ..Mail::new(from, "jane@firm.example", newsletter("1@publisher.example", PUBLISHER, ""))
    };
    assert_eq!(desk.one(&original), "pass");
    let sent_on = |to: Vec<&'static str>| Mail {
        host: "server.firm.local",
        inside: true,
        to,
        ..Mail::new(from, "", newsletter("2@server.firm.local", "", ""))
    };
    // A redirect to one address, though it stands in To.
    assert_eq!(desk.one(&sent_on(vec!["tom@solicitor.example"])), "pass");
    let both = sent_on(vec!["tom@solicitor.example", "ann@other.example"]);
    assert_eq!(desk.takes(&both), [("hold", "reinjected"); 2]);
    // One transaction each: the second recipient tells.
    let mut desk = Desk::new();
    desk.one(&original);
    assert_eq!(desk.one(&sent_on(vec!["tom@solicitor.example"])), "pass");
    assert_eq!(desk.one(&sent_on(vec!["ann@other.example"])), "reinjected");
    // What a collector of ours handed in for somebody here came in, too.
    let mut desk = Desk::new();
    desk.one(&Mail {
        host: "server.firm.local",
        inside: true,
        ..Mail::new(from, "jane@firm.example", newsletter("1@publisher.example", PUBLISHER, ""))
    });
    assert_eq!(desk.takes(&both), [("hold", "reinjected"); 2]);
    let mut desk = Desk::new();
    desk.one(&original);
    assert_eq!(desk.takes(&both), [("hold", "reinjected"); 2]);
    // Our own people are no exception once it goes to others.
    assert_eq!(desk.one(&sent_on(vec!["jane@firm.example"])), "reinjected");
    // To people who do not stand in it: a forwarding.
    let mut desk = Desk::new();
    desk.one(&original);
    let list = sent_on(vec!["a@x.example", "b@x.example", "c@x.example"]);
    assert_eq!(desk.takes(&list), [("pass", "no_exact_key"); 3]);
}

fn reply(n: usize, author: &str, to: &str, subject: &str) -> String {
    format!(
        "From: {author}\nTo: {to}\nSubject: {subject}\nMessage-ID: <r{n}@firm.example>\nIn-Reply-To: <root@firm.example>\n\
         References: <root@firm.example>\nDate: Sat, 10 Dec 2005 09:00:00 +0000\n\nPlease take me off this list, number {n}.\n"
    )
}

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

fn report(n: usize, of: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx{n}.example\nTo: jane@firm.example\nSubject: Undelivered Mail Returned to Sender\n\
         Message-ID: <b{n}@mx.example>\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\n\n--b\n\nIt failed.\n--b\n\
         Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx{n}.example\n\nFinal-Recipient: rfc822; u{n}@x.example\n\
         Action: failed\nStatus: 5.1.1\n\n--b\nContent-Type: message/rfc822-headers\n\nMessage-ID: <{of}>\nSubject: hello\n\n--b--\n"
    )
}

#[test]
fn a_flood_of_reports_is_held_after_the_first_few() {
    // A server that has seen a day's mail.
    let settled = || {
        let mut desk = Desk::new();
        let text = "From: tom@firm.example\nMessage-ID: <o@firm.example>\n\nhello\n";
        desk.one(&Mail { inside: true, ..Mail::new("tom@firm.example", "a@client.example", text) });
        desk.now += 24 * HOUR;
        desk
    };
    let mut desk = settled();
    let bounce =
        |n: usize, of: &str| Mail { reverse_path: "", ..Mail::new("", "jane@firm.example", report(n, of)) };
    let passed = (0..60)
        .filter(|n| {
            desk.now += 1_000;
            desk.one(&bounce(*n, &format!("{n}@forged.example"))) == "pass"
        })
        .count();
    assert_eq!(passed, 20);
    let mut desk = settled();
    let passed = (0..60)
        .filter(|n| {
            desk.now += 1_000;
            desk.one(&bounce(*n, "1@forged.example")) == "pass"
        })
        .count();
    assert_eq!(passed, 10, "of one message");
    // Who sent to 500 may get 500 back.
    let mut desk = settled();
    let names: Vec<String> = (0..500).map(|n| format!("u{n}@x.example")).collect();
    let message = "From: jane@firm.example\nTo: undisclosed-recipients:;\nSubject: News\nMessage-ID: <n1@firm.example>\n\nOur news\n";
    let to = names.iter().map(String::as_str).collect();
    let sent = Mail { inside: true, to, ..Mail::new("jane@firm.example", "", message) };
    desk.takes(&sent);
    let passed = (0..600)
        .filter(|n| {
            desk.now += 100;
            desk.one(&bounce(*n, "n1@firm.example")) == "pass"
        })
        .count();
    assert_eq!(passed, 500);
}

/// A sender with as many networks as he likes fills every table: he pushes out his own entries, memory stays,
/// and an open storm's entries stay.
#[test]
fn a_determined_sender_neither_grows_nor_flushes_the_tables() {
    let mut desk = Desk::new();
    let original = Mail {
        host: "out.publisher.example",
        ..Mail::new(
            "news@publisher.example",
            "jane@firm.example",
            newsletter("1@publisher.example", PUBLISHER, ""),
        )
    };
    desk.one(&original);
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
    let copy = |n: u32| Mail {
        host: "smtp.telecom.example",
        address: 9,
        ..Mail::new(
            "news@publisher.example",
            "jane@firm.example",
            newsletter(&format!("{n}@server.solicitor.local"), &format!("{FAULTY_ISP}{FAULTY}"), ""),
        )
    };
    assert_eq!(desk.one(&copy(1)), "resent", "another's entry is still there");
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
