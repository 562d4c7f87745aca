//! The trace, case by case: a few stamps each, and what they say. Every rule that convicts has a case here
//! beside one that looks like it and is innocent.

use quell_storm::trace::report::{Finding, Group, Report};
use quell_storm::trace::whole::{Mail, report};
use quell_storm::trace::{Bounds, Place};

/// The message of all cases, as its author sent it.
const ORIGINAL: &str = "Message-ID: <1@law.example>\nDate: Sat, 10 Dec 2005 14:00:00 +0000\n\
    From: Law News <news@law.example>\nTo: jane@firm1.example, bob@firm2.example\nSubject: Offers of the week\n";
const BODY: &str = "\nDear reader, these are the offers of this week.\n";

/// A stamp: who says it came from whom, at minute `at` of 14 o'clock and on.
fn hop(from: &str, by: &str, id: &str, at: u32) -> String {
    let (hour, minute) = (14 + at / 60, at % 60);
    format!(
        "Received: from {from} by {by} with ESMTP id {id}; Sat, 10 Dec 2005 {hour}:{minute:02}:05 +0000\n"
    )
}

fn pickup(by: &str, at: u32) -> String {
    let (hour, minute) = (14 + at / 60, at % 60);
    format!(
        "Received: from mail pickup service by {by} with Microsoft SMTPSVC; Sat, 10 Dec 2005 {hour}:{minute:02}:01 +0000\n"
    )
}

/// A mail: its stamps from the oldest to the newest, then its own header.
fn mail(stamps: &[String], header: &str) -> String {
    let newest_first: String = stamps.iter().rev().map(String::as_str).collect();
    format!("{newest_first}{header}{BODY}")
}

fn traced(mails: &[(&str, String)]) -> Report {
    let place = |i: usize| Place { file: 0, offset: i as u64 * 100_000 };
    let mails: Vec<Mail<'_>> = mails
        .iter()
        .enumerate()
        .map(|(i, (mailbox, text))| Mail { place: place(i), bytes: text.as_bytes(), mailbox })
        .collect();
    report(&mails, Bounds::ARCHIVE, &|_| Some("mbox".to_owned()))
}

fn only_group(mails: &[(&str, String)]) -> Group {
    let mut report = traced(mails);
    assert_eq!(report.groups.len(), 1, "{report:#?}");
    report.groups.remove(0)
}

/// What a group is, and its culprits: address or name, class, copies.
fn told(mails: &[(&str, String)]) -> (Finding, Vec<(String, &'static str, u64)>) {
    let group = only_group(mails);
    let who = |c: &quell_storm::storm::Culprit| {
        let name = c.ip.map(|ip| ip.to_string()).or(c.host.clone()).unwrap_or_else(|| "nobody".to_owned());
        (name, c.class.unwrap().name(), c.copies.unwrap())
    };
    (group.finding, group.culprits.iter().map(who).collect())
}

const BOB: &str = "bob@firm2.example";
const PUBLISHER: &str = "mail.law.example (mail.law.example [81.2.3.4])";

/// How the original came to Bob.
fn to_bob(at: u32) -> Vec<String> {
    vec![
        hop("pc ([10.0.0.9])", "mail.law.example", "N1", 0),
        hop(PUBLISHER, "mx.isp2.example", &format!("B{at}"), at),
    ]
}

/// How a message comes to Bob that `stamps` lead to, by the faulty server.
fn from_faulty(mut stamps: Vec<String>, id: u32, at: u32) -> Vec<String> {
    stamps.push(hop("server.firm1.local ([81.9.8.7])", "mx.isp2.example", &format!("F{id}"), at));
    stamps
}

/// The same with the line of a pickup folder above the stamps until Jane's mailbox.
fn put_back(id: u32, at: u32) -> Vec<String> {
    let mut stamps = to_jane();
    stamps.push(pickup("server.firm1.local", at));
    from_faulty(stamps, id, at)
}

fn to_jane() -> Vec<String> {
    let pop = format!("{} for <jane@firm1.example>", "J1");
    vec![hop("pc ([10.0.0.9])", "mail.law.example", "N1", 0), hop(PUBLISHER, "pop.isp1.example", &pop, 1)]
}

fn resends(copies: u64) -> (Finding, Vec<(String, &'static str, u64)>) {
    (Finding::Culprit, vec![("81.9.8.7".to_owned(), "resends", copies)])
}

#[test]
fn a_trace_that_piles_up() {
    let copies = (1..=3).map(|i| (BOB, mail(&put_back(i, 15 * i), ORIGINAL)));
    let mails: Vec<_> = [(BOB, mail(&to_bob(1), ORIGINAL))].into_iter().chain(copies).collect();
    assert_eq!(told(&mails), resends(3));
    let group = only_group(&mails);
    assert_eq!(group.culprits[0].names, ["server.firm1.local"]);
    assert_eq!(group.culprits[0].interval_ms, Some(15 * 60_000));
    let pair = &group.comparisons[0];
    assert_eq!((pair.shared, pair.recipient.as_str()), (2, BOB));
    let evidence = &group.culprits[0].evidence;
    assert!(evidence.iter().any(|line| line.text.contains("mail pickup service")), "{evidence:#?}");
    // Each line stands where it is said to stand.
    for line in evidence {
        let offset = line.offset.unwrap() as usize;
        let text = &mails[offset / 100_000].1[offset % 100_000..];
        assert_eq!(text.lines().next(), Some(line.text.as_str()));
    }
}

#[test]
fn one_copy_is_enough_if_its_marks_are() {
    let mails = [(BOB, mail(&to_bob(1), ORIGINAL)), (BOB, mail(&put_back(1, 15), ORIGINAL))];
    assert_eq!(told(&mails), resends(1));
}

#[test]
fn a_folder_at_the_gateway_of_the_recipient_is_none() {
    // Every mail of the house passes it, once each.
    let by_gateway = |id: &str| {
        let mut stamps = to_bob(1);
        stamps.push(pickup("gate.firm2.local", 2));
        stamps.push(hop("gate.firm2.local ([10.0.0.2])", "exchange.firm2.local", id, 2));
        stamps
    };
    let mails =
        [(BOB, mail(&by_gateway("X1"), ORIGINAL)), ("eva@firm2.example", mail(&by_gateway("X2"), ORIGINAL))];
    assert_eq!(told(&mails), (Finding::List, vec![]));
}

#[test]
fn a_new_identity() {
    let copy = |i: u32| {
        let at = 15 * i;
        let header = ORIGINAL
            .replace("<1@law.example>", &format!("<{i}@server.firm1.local>"))
            .replace("14:00:00", &format!("14:{at:02}:00"))
            .replace("Law News <", "\"'Law News'\" <");
        mail(&from_faulty(vec![pickup("server.firm1.local", at)], i, at), &header)
    };
    let mails: Vec<_> =
        [(BOB, mail(&to_bob(1), ORIGINAL))].into_iter().chain((1..=3).map(|i| (BOB, copy(i)))).collect();
    assert_eq!(told(&mails), resends(3));
    assert_eq!(only_group(&mails).message_ids.len(), 4);
    // The author who sends it again does the same, but from home.
    let again = ORIGINAL.replace("<1@law", "<2@law").replace("14:00:00", "16:00:00");
    let mails = [(BOB, mail(&to_bob(1), ORIGINAL)), (BOB, mail(&to_bob(121), &again))];
    assert_eq!((traced(&mails).singles, traced(&mails).groups.len()), (2, 0));
}

#[test]
fn a_sender_that_tries_again() {
    let mails: Vec<_> = [0, 15, 30, 60].iter().map(|at| (BOB, mail(&to_bob(*at), ORIGINAL))).collect();
    let retries = ("81.2.3.4".to_owned(), "retries", 3);
    assert_eq!(told(&mails), (Finding::Retry, vec![retries]));
    // Without a stamp of its own.
    let bare = |at: u32| mail(&to_bob(at)[1..], ORIGINAL);
    let mails: Vec<_> = [0, 15, 30, 60].iter().map(|at| (BOB, bare(*at))).collect();
    assert_eq!(told(&mails).0, Finding::Retry);
}

#[test]
fn the_slow_answer_is_seen() {
    let slow = |at: u32| {
        let mut stamps = to_bob(at);
        stamps.push(hop("localhost ([127.0.0.1])", "mx.isp2.example", &format!("S{at}"), at + 12));
        (BOB, mail(&stamps, ORIGINAL))
    };
    let group = only_group(&[slow(0), slow(15)]);
    assert_eq!(group.finding, Finding::Retry);
    assert!(group.words.iter().any(|words| words.contains("12 minutes")), "{:?}", group.words);
}

#[test]
fn a_script_that_submits_again_and_again() {
    let copy = |i: u32| {
        let own = format!(
            "Received: by submit.law.example (Postfix) with ESMTPSA id Q{i}; Sat, 10 Dec 2005 14:00:0{i} +0000\n"
        );
        let sent =
            hop("submit.law.example (submit.law.example [81.2.3.9])", "mx.isp2.example", &format!("M{i}"), 0);
        (BOB, mail(&[own, sent], ORIGINAL))
    };
    let mails: Vec<_> = (1..=5).map(copy).collect();
    // Nobody names the client.
    assert_eq!(told(&mails), (Finding::Culprit, vec![("nobody".to_owned(), "injects", 4)]));
    let two = &mails[..2];
    assert!(told(two).1.is_empty(), "two may be a second click");
}

#[test]
fn roles_that_one_person_reads() {
    let header =
        ORIGINAL.replace("bob@firm2.example", "bob@firm2.example, info@firm2.example, sales@firm2.example");
    let mails: Vec<_> = [0, 20, 40].iter().map(|at| (BOB, mail(&to_bob(*at), &header))).collect();
    assert_eq!(told(&mails), (Finding::NoCulprit, vec![]));
}

#[test]
fn a_list_beside_a_direct_copy_and_a_forwarder() {
    let list = {
        let header = format!("{ORIGINAL}List-Id: <talk.lists.example>\n");
        let stamps = [
            to_bob(1)[0].clone(),
            hop(PUBLISHER, "lists.example", "L1", 1),
            hop("lists.example ([81.7.7.7])", "mx.isp2.example", "L2", 2),
        ];
        mail(&stamps, &header)
    };
    assert_eq!(told(&[(BOB, mail(&to_bob(1), ORIGINAL)), (BOB, list)]), (Finding::List, vec![]));
    let forwarded = {
        let mut stamps = to_jane();
        stamps.push(hop("pop.isp1.example ([81.6.6.6])", "mx.isp2.example", "W1", 2));
        mail(&stamps, ORIGINAL)
    };
    assert_eq!(told(&[(BOB, mail(&to_bob(1), ORIGINAL)), (BOB, forwarded)]), (Finding::NoCulprit, vec![]));
}

#[test]
fn a_filter_that_it_passes_three_times() {
    let filtered = |recipient: &'static str| {
        let mut stamps = to_bob(1);
        for n in 0..3 {
            stamps.push(hop("localhost ([127.0.0.1])", "mx.isp2.example", &format!("{recipient}{n}"), 1));
        }
        (recipient, mail(&stamps, ORIGINAL))
    };
    assert_eq!(told(&[filtered(BOB), filtered("eva@firm2.example")]), (Finding::List, vec![]));
}

#[test]
fn two_that_send_it_to_each_other() {
    let turn = |turns: u32| {
        let mut stamps = to_bob(1);
        for n in 1..=turns {
            stamps.push(hop("mx.isp2.example ([81.1.1.1])", "mail.other.example", &format!("O{n}"), n));
            stamps.push(hop("mail.other.example ([81.1.1.2])", "mx.isp2.example", &format!("R{n}"), n));
        }
        (BOB, mail(&stamps, ORIGINAL))
    };
    let mails: Vec<_> = (0..=3).map(turn).collect();
    let (finding, culprits) = told(&mails);
    assert_eq!(finding, Finding::Loop);
    assert!(culprits.iter().any(|c| c.0 == "81.1.1.2" && c.1 == "loops"), "{culprits:?}");
    // Once back is what a forwarder does.
    assert_eq!(told(&mails[..2]).1, []);
}

#[test]
fn lines_that_nobody_vouches_for() {
    // A client without a name brings the stamps of an innocent server along.
    let forged = |i: u32| {
        let below = hop("a ([81.4.4.4])", "mail.innocent.example", &format!("I{}", i % 2), 0);
        let seen = format!(
            "Received: from friend (unknown [81.66.6.6]) by mx.isp2.example with ESMTP id Z{i}; \
             Sat, 10 Dec 2005 14:30:0{i} +0000\n"
        );
        (BOB, mail(&[below, seen], ORIGINAL))
    };
    let mails: Vec<_> = (1..=4).map(forged).collect();
    assert_eq!(told(&mails), (Finding::Culprit, vec![("81.66.6.6".to_owned(), "injects", 3)]));
}

#[test]
fn equal_inner_names_are_not_one_machine() {
    let other = |id: u32, at: u32, ip: &str| {
        let mut stamps = to_jane();
        stamps.push(pickup("server.sbs.local", at));
        stamps.push(hop(&format!("server.sbs.local ([{ip}])"), "mx.isp2.example", &format!("E{id}"), at));
        (BOB, mail(&stamps, ORIGINAL))
    };
    let mut mails = vec![(BOB, mail(&to_bob(1), ORIGINAL))];
    mails.extend([
        other(1, 15, "81.9.8.7"),
        other(2, 30, "81.9.8.7"),
        other(3, 31, "82.1.1.1"),
        other(4, 46, "82.1.1.1"),
    ]);
    let culprits = told(&mails).1;
    assert_eq!(culprits.len(), 2, "{culprits:?}");
    assert!(culprits.iter().all(|culprit| culprit.2 == 2));
}

#[test]
fn where_nothing_is_left_nobody_is_named() {
    let bare = |_| (BOB, mail(&[], ORIGINAL));
    assert_eq!(told(&(0..4).map(bare).collect::<Vec<_>>()), (Finding::CannotTell, vec![]));
    // The recipient's own house is all that is left.
    let inner = |at: u32| {
        (
            BOB,
            mail(
                &[hop("exchange.firm2.local ([10.0.0.2])", "store.firm2.local", &format!("S{at}"), at)],
                ORIGINAL,
            ),
        )
    };
    assert!(told(&[inner(0), inner(15), inner(30)]).1.is_empty());
}

#[test]
fn the_same_mail_kept_twice_is_no_copy() {
    let mails = [(BOB, mail(&to_bob(1), ORIGINAL)), (BOB, mail(&to_bob(1), ORIGINAL))];
    let group = only_group(&mails);
    assert_eq!((group.finding, group.copies), (Finding::NoCulprit, 2));
    assert!(group.words.iter().any(|words| words.contains("kept twice")), "{:?}", group.words);
}

#[test]
fn ten_thousand_copies_are_traced_as_ten() {
    // Far more than the sample holds: shares and counts hold all the same.
    let mut mails: Vec<(String, String)> = Vec::new();
    for i in 0..10_000u32 {
        let mut stamps = to_jane();
        let (name, ip) =
            if i % 4 == 0 { ("two.firm3.local", "82.5.5.5") } else { ("one.firm1.local", "81.9.8.7") };
        stamps.push(pickup(name, 15));
        stamps.push(hop(&format!("{name} ([{ip}])"), "mx.isp2.example", &format!("K{i}"), 15 + i % 500));
        mails.push((format!("user{}@firm2.example", i % 50), mail(&stamps, ORIGINAL)));
    }
    mails.extend((0..50).map(|i| (format!("user{i}@firm2.example"), mail(&to_bob(1), ORIGINAL))));
    let borrowed: Vec<(&str, String)> = mails.iter().map(|(to, mail)| (to.as_str(), mail.clone())).collect();
    let group = only_group(&borrowed);
    assert_eq!((group.copies, group.recipients), (10_050, 50));
    let shares: Vec<_> =
        group.culprits.iter().map(|c| (c.ip.unwrap().to_string(), c.share_permille.unwrap())).collect();
    assert_eq!(shares.len(), 2, "{shares:?}");
    assert_eq!(shares[0].0, "81.9.8.7");
    assert!((700..=800).contains(&shares[0].1) && (200..=300).contains(&shares[1].1), "{shares:?}");
    let made: u64 = group.culprits.iter().map(|c| c.copies.unwrap()).sum();
    assert!((9_500..=10_050).contains(&made), "{made}");
}
