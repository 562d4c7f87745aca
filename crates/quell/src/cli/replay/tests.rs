//! The replay of small archives.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use quell_mail::id::QueueId;
use quell_mail::trace::ReceivedStamp;
use quell_sim::traces::{kinds, mbox, world};
use quell_storm::limits::Limits as Thresholds;
use quell_storm::verdict::Class;

use super::again;
use super::answer::Answer;
use super::mails::scan;
use super::replaying::replay;
use super::text::{Settings, text};
use crate::archive::tests::Folder;
use crate::archive::{Archive, Limits};
use crate::cli::trace::text::TextOptions;

/// A day in 2030.
const NOW: i64 = 1_900_000_000_000;

/// Small parts, so that there is work for every thread.
fn replayed(paths: &[PathBuf], threads: usize) -> Answer {
    let archive = Archive::open(paths, Limits { part_bytes: 5_000, ..Limits::default() }).unwrap();
    let (mails, _) = scan(&archive, threads, true, NOW);
    let read = |wanted: &[again::Wanted]| again::read(&archive, wanted, threads);
    replay(&mails, &Thresholds::default(), false, &read).unwrap().0
}

fn json(answer: &Answer) -> String {
    serde_json::to_string_pretty(answer).unwrap()
}

/// A message of Sat, 10 Dec 2005, that came `minute` minutes after nine from 192.0.2.`client`.
fn message(id: &str, minute: u32, client: u8, extra: &str) -> String {
    format!(
        "Received: from c{client}.example (c{client}.example [192.0.2.{client}]) by mx.firm.example with ESMTP id \
         {minute}x{client}\n\tfor <jane@firm.example>; Sat, 10 Dec 2005 09:{minute:02}:00 +0000\n{extra}Message-ID: \
         <{id}@a.example>\nDate: Sat, 10 Dec 2005 08:59:00 +0000\nFrom: a@a.example\nSubject: {id}\n\nText\n"
    )
}

fn mailbox(messages: &[String]) -> String {
    messages.iter().map(|m| format!("From MAILER-DAEMON Sat Dec 10 09:12:11 2005\n{m}\n")).collect()
}

fn figures(answer: &Answer) -> [u64; 5] {
    [answer.messages, answer.pass, answer.absorb, answer.hold, answer.refuse]
}

fn opportunities(answer: &Answer) -> Vec<(&str, u64)> {
    answer.opportunities.iter().map(|(class, n)| (*class, *n)).collect()
}

/// A stamp with a token, as a quell writes it: whose it is nobody can tell.
fn own_stamp() -> String {
    let stamp = ReceivedStamp {
        helo: "c1.example",
        client_ip: None,
        client_name: None,
        account: None,
        tls: None,
        by: "mx.elsewhere.example",
        with: "ESMTP",
        queue_id: QueueId::new(1_134_205_200_000, 1, 7),
        token: [7; 16],
        for_: None,
        ms: 1_134_205_200_000,
    };
    stamp.field()
}

#[test]
fn copies_by_time_whatever_their_order_in_the_file() {
    let folder = Folder::new("replay-order");
    let token = own_stamp();
    let messages = [
        message("a", 9, 2, ""),
        message("a", 3, 1, ""),
        message("a", 5, 1, ""),
        message("b", 4, 1, &"Received: by x; Sat, 10 Dec 2005 09:00:00 +0000\n".repeat(19)),
        message("c", 4, 1, &"Received: by x; Sat, 10 Dec 2005 09:00:00 +0000\n".repeat(99)),
        message("d", 4, 1, &token),
    ];
    let path = folder.put("box", mailbox(&messages));
    let answer = replayed(&[path], 2);
    assert_eq!(figures(&answer), [6, 3, 2, 0, 1]);
    let had: Vec<_> = opportunities(&answer).into_iter().filter(|(_, n)| *n > 0).collect();
    assert_eq!(had, [("copies", 2), ("flood", 3), ("loop", 3), ("retry", 1)]);
    let of_loop = answer.verdicts["loop"];
    assert_eq!((of_loop.absorb, of_loop.hold, of_loop.refuse), (0, 0, 1));
    let examples: Vec<_> =
        answer.examples.iter().map(|e| (e.message_id.as_deref().unwrap(), e.verdict, e.class)).collect();
    assert_eq!(examples, [("<c@a.example>", "refuse", "loop"), ("<a@a.example>", "absorb", "copies")]);
}

#[test]
fn mail_that_lies_there_twice_is_told_from_mail_that_came_twice() {
    let folder = Folder::new("replay-twice");
    let one = [message("a", 1, 1, ""), message("b", 2, 1, "")];
    let paths = [folder.put("inbox", mailbox(&one)), folder.put("backup", mailbox(&one))];
    let answer = replayed(&paths, 1);
    assert_eq!((figures(&answer), answer.lie_twice), ([4, 2, 2, 0, 0], 2));
    let path = folder.put("box", mailbox(&[message("a", 1, 1, ""), message("a", 2, 1, "")]));
    let answer = replayed(&[path], 1);
    assert_eq!((figures(&answer), answer.lie_twice), ([2, 1, 1, 0, 0], 0));
}

/// A newsletter to each of a firm's people, twenty times in a morning, lies in every mailbox: a server got it
/// twenty times. What a source sends to one each is counted as it comes.
#[test]
fn a_message_to_many_counts_once_for_its_source() {
    let folder = Folder::new("replay-many");
    let (mut one_for_many, mut one_each) = (Vec::new(), Vec::new());
    for n in 0..80u32 {
        let mails: Vec<String> = (0..20).map(|m| message(&format!("m{m}"), m, 1, &for_person(n))).collect();
        one_for_many.push(folder.put(&format!("many{n}"), mailbox(&mails)));
        let mails: Vec<String> =
            (0..20).map(|m| message(&format!("{n}m{m}"), m, 1, &for_person(n))).collect();
        one_each.push(folder.put(&format!("each{n}"), mailbox(&mails)));
    }
    let floods = |paths: &[PathBuf]| {
        let answer = replayed(paths, 2);
        assert_eq!(answer.pass, 1_600, "{}", json(&answer));
        answer.storms.iter().filter(|storm| storm.class() == Class::Flood).count()
    };
    assert_eq!((floods(&one_for_many), floods(&one_each)), (0, 1));
}

fn for_person(n: u32) -> String {
    format!("Delivered-To: person{n}@firm.example\n")
}

#[test]
fn a_message_whose_date_is_far_from_its_arrival_is_compared_with_nothing() {
    let folder = Folder::new("replay-far");
    let late = |id: &str| message(id, 1, 1, "").replace("Date: Sat, 10 Dec 2005", "Date: Fri, 11 Nov 2005");
    let far = |id: &str| message(id, 1, 1, "").replace("Date: Sat, 10 Dec 2005", "Date: Thu, 10 Nov 2005");
    let path = folder.put("box", mailbox(&[late("a"), late("a"), far("b"), far("b")]));
    assert_eq!(figures(&replayed(&[path], 1)), [4, 4 - 1, 1, 0, 0]);
}

#[test]
fn worlds_of_every_kind_with_any_number_of_threads_and_files_in_any_order() {
    let mut storms = 0;
    for (seed, kind) in (1..).zip(kinds()) {
        let (world, folder) = (world(*kind, seed), Folder::new(&format!("replay-{}", kind.name())));
        let mut paths: Vec<PathBuf> = mbox(&world).iter().map(|(name, b)| folder.put(name, b)).collect();
        let wanted = replayed(&paths, 1);
        assert_eq!(wanted.messages, world.mails.len() as u64);
        assert_eq!(wanted.messages, wanted.pass + wanted.absorb + wanted.hold + wanted.refuse);
        for threads in [2, 5] {
            assert_eq!(json(&replayed(&paths, threads)), json(&wanted), "{} {threads} threads", kind.name());
        }
        paths.reverse();
        assert_eq!(json(&replayed(&paths, 2)), json(&wanted), "{} the other way round", kind.name());
        storms += wanted.storms.len();
    }
    assert!(storms > 3, "the worlds have storms in them: {storms}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn however_the_mail_is_divided_into_files_the_answer_is_the_same(
        letters in prop::collection::vec((0u32..40, 0u8..8, 1u8..4, 0usize..3), 1..40),
        swap in any::<bool>(),
    ) {
        let folder = Folder::new("replay-divided");
        let of_file = |n: usize| -> Vec<String> {
            let own = letters.iter().filter(|(.., file)| *file == n);
            own.map(|(minute, id, client, _)| message(&id.to_string(), *minute, *client, "")).collect()
        };
        let whole = folder.put("jane", mailbox(&[of_file(0), of_file(1), of_file(2)].concat()));
        let mut parts: Vec<PathBuf> =
            (0..3).map(|n| folder.put(&format!("part{n}"), mailbox(&of_file(n)))).collect();
        if swap {
            parts.swap(0, 2);
        }
        prop_assert_eq!(json(&replayed(&[whole], 1)), json(&replayed(&parts, 3)));
    }
}

#[test]
fn the_answer_on_a_terminal() {
    let folder = Folder::new("replay-terminal");
    let mut messages: Vec<String> = (0..8).map(|n| message("storm", n * 7, 9, "")).collect();
    messages.push(message("a", 1, 1, ""));
    messages.push(message(
        "round\u{1b}[31m\u{202e}",
        4,
        1,
        &"Received: by x; Sat, 10 Dec 2005 09:00:00 +0000\n".repeat(99),
    ));
    let path = folder.put("box", mailbox(&messages));
    let answer = replayed(&[path], 1);
    let settings =
        Settings { limits: &Thresholds::default(), file: Some(Path::new("quell.toml")), exact: false };
    let shown = text(&answer, &settings, &TextOptions { width: 100, colour: false, all: false });
    let wanted = include_str!("golden.txt");
    assert_eq!(shown, wanted, "\n{shown}");
    let coloured = text(&answer, &settings, &TextOptions { width: 100, colour: true, all: false });
    assert!(coloured.contains("\u{1b}[1m"));
}

/// Measures and asserts no time: `cargo test --release -p quell --lib replay::tests::speed -- --ignored
/// --nocapture`. The mail is a month's, in one mbox: 200,000 messages of 3.6 KB with four stamps, all different; and
/// 100,000 twice, the second a fortnight later, as no mail is, so that each waits for its copy.
#[test]
#[ignore = "a measurement, of files of 700 MB"]
fn speed() {
    const MESSAGES: usize = 200_000;
    let folder = Folder::new("replay-speed");
    for (what, different) in [("all different", MESSAGES), ("each twice", MESSAGES / 2)] {
        let path = folder.0.join("box");
        generate(&path, MESSAGES, different);
        for (threads, exact) in [(1, true), (2, true), (1, false), (2, false)] {
            let (began, paths) = (std::time::Instant::now(), [path.clone()]);
            let archive = Archive::open(&paths, Limits::default()).unwrap();
            let (mails, _) = scan(&archive, threads, true, NOW);
            let read = began.elapsed().as_secs_f64();
            let (answer, _) = replay(&mails, &Thresholds::default(), exact, &|wanted| {
                again::read(&archive, wanted, threads)
            })
            .unwrap();
            assert_eq!([answer.messages, answer.pass], [MESSAGES as u64, different as u64]);
            let all = began.elapsed().as_secs_f64();
            let judged = all - read;
            let rate = MESSAGES as f64 / all;
            eprintln!(
                "{what}, {threads} threads, exact {exact}: read {read:.2} s, judged {judged:.2} s, {rate:.0} a second"
            );
        }
    }
}

fn generate(path: &Path, messages: usize, different: usize) {
    // In September 2026: stamps that lie ahead are not believed, and `quell replay` takes the present for
    // what it is. All of them would count as of one moment, and be a flood.
    const BEGAN: i64 = NOW - 110_000_000_000;
    use std::io::Write;
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    let body = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eius.\n".repeat(40);
    for n in 0..messages {
        let id = n % different;
        let ms = |secs: usize| BEGAN + (n * 12 + secs) as i64 * 1_000;
        writeln!(file, "From MAILER-DAEMON Sat Dec 10 09:12:11 2005").unwrap();
        for hop in 0..4 {
            let at = quell_mail::date::print(ms(9 - hop));
            write!(
                file,
                "Received: from h{hop}.example (h{hop}.example [192.0.2.{}])\n\tby b{hop}.example (Postfix) with \
                 ESMTP id 4F{n:X}{hop}\n\tfor <user{}@firm.example>; {at}\n",
                id % 250,
                id % 50
            )
            .unwrap();
        }
        let date = quell_mail::date::print(BEGAN + id as i64 * 12_000);
        write!(file, "Message-ID: <{id}@a.example>\nDate: {date}\nSubject: {id}\n\n{body}\n").unwrap();
    }
    file.flush().unwrap();
}
