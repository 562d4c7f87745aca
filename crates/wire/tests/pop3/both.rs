//! The two sessions against each other: what arrives is what lay there, and what was deleted is what
//! the collecting side says.

use proptest::prelude::*;
use quell_wire::pop3::Password;
use quell_wire::pop3::client::{Deletions, Settings, SignIn, Why};
use quell_wire::pop3::fuzz::{Collected, Collecting, Host};
use quell_wire::pop3::server;

/// A collection, cut after so many bytes in either direction together.
fn run(host: &mut Host, settings: Settings, cut: usize, bytes_left: usize) -> (Collected, usize) {
    let sign_in = SignIn::new("jane", Password::new("x").unwrap()).unwrap();
    run_as(host, Collecting { settings, sign_in, headers_first: false, cut }, bytes_left)
}

fn run_as(host: &mut Host, collecting: Collecting, mut bytes_left: usize) -> (Collected, usize) {
    let mut spent = 0;
    let mut pass = move |bytes: &[u8]| {
        let through = bytes.len().min(bytes_left);
        bytes_left -= through;
        spent += through;
        (bytes[..through].to_vec(), bytes_left > 0, spent)
    };
    let (mut greeting, mut total) = (Some(host.says(b"")), 0);
    let collected = collecting.run(&mut |_, written| {
        let mut said = greeting.take().unwrap_or_default();
        let (arrived, alive, _) = pass(written);
        if alive || !arrived.is_empty() {
            said.extend(host.says(&arrived));
        }
        let (arrived, _, spent) = pass(&said);
        total = spent;
        (!arrived.is_empty()).then_some(arrived)
    });
    (collected, total)
}

fn settings(policy: u8) -> server::Settings {
    server::Settings {
        offer_capa: policy & 1 == 0,
        offer_uidl: policy & 2 == 0,
        ..server::Settings::new("pop.example")
    }
}

/// Every newline is CRLF, and the last line has one.
fn normalised(message: &[u8]) -> Vec<u8> {
    let text: String = message.iter().map(|byte| char::from(*byte)).collect();
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let whole = if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" };
    whole.replace('\n', "\r\n").chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// Up to the first empty line, which is part of it.
fn header_of(message: &[u8]) -> &[u8] {
    let lines = message.split_inclusive(|b| *b == b'\n');
    let mut bytes = 0;
    for line in lines {
        bytes += line.len();
        if line == b"\r\n" {
            break;
        }
    }
    &message[..bytes]
}

/// What it says of the deletions, against what was done.
fn check_deletions(collected: &Collected, host: &Host) {
    let (marked, commits) = (&collected.marked, &host.commits);
    match collected.ending.deletions {
        Deletions::Nothing => assert!(commits.is_empty(), "{commits:?}"),
        Deletions::Done => assert_eq!(commits.concat(), *marked),
        Deletions::Unknown => assert!(commits.is_empty() || commits.concat() == *marked, "{commits:?}"),
    }
}

#[test]
fn a_connection_lost_at_any_byte_tells_no_lies() {
    let messages: [&[u8]; 4] = [b"Subject: one\r\n\r\n.\r\n..\r\n", b"!not now", b"two\r\n", b""];
    let (mut done, mut unknown) = (0, 0);
    for policy in 0..4 {
        let all = {
            let mut host = Host::new(settings(policy), &messages, 7);
            run(&mut host, Settings::default(), usize::MAX, usize::MAX).1
        };
        for bytes in 0..=all {
            let mut host = Host::new(settings(policy), &messages, 7);
            let (collected, _) = run(&mut host, Settings::default(), usize::MAX, bytes);
            check_deletions(&collected, &host);
            for (number, message) in &collected.messages {
                assert_eq!(message, &normalised(messages[*number as usize - 1]));
            }
            assert_eq!(collected.ending.why == Why::Quit, bytes == all, "{bytes} of {all}");
            done += usize::from(collected.ending.deletions == Deletions::Done);
            unknown += usize::from(collected.ending.deletions == Deletions::Unknown);
        }
    }
    assert_eq!(done, 4, "once for each policy");
    // QUIT and its answer, all but the last byte of it; the 0th byte of QUIT counts as sent.
    assert_eq!(unknown, 4 * ("QUIT\r\n".len() + "+OK bye\r\n".len()));
}

#[test]
fn deletions_that_fail_are_unknown() {
    let mut host = Host::new(settings(0), &[b"one"], 7);
    host.commits_work = false;
    let (collected, _) = run(&mut host, Settings::default(), 1, usize::MAX);
    assert_eq!(collected.ending.deletions, Deletions::Unknown);
    assert_eq!(host.commits, Vec::<Vec<u32>>::new());
}

/// Five thousand messages of which the listing holds a part: bounded, in order, pipelined.
#[test]
fn many_messages_come_in_order() {
    let texts: Vec<String> = (1..=5000).map(|number| format!("Subject: {number}\r\n\r\ntext\r\n")).collect();
    let messages: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
    for (max_listed, max_pipelined) in [(700, 64), (700, 1), (3, 0)] {
        let mut host = Host::new(settings(0), &messages, 1000);
        let settings = Settings { max_listed, max_pipelined, ..Settings::default() };
        let (collected, _) = run(&mut host, settings, usize::MAX, usize::MAX);
        let numbers: Vec<u32> = (1..=max_listed as u32).collect();
        assert_eq!(collected.marked, numbers);
        assert_eq!(host.commits, [numbers]);
        let right = |(number, text): &(u32, Vec<u8>)| messages[*number as usize - 1] == *text;
        assert!(collected.messages.iter().all(right));
        assert_eq!(collected.messages.len(), max_listed);
        assert_eq!(collected.ending.deletions, Deletions::Done);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_messages_arrive_as_they_are(
        policy in 0u8..4,
        messages in proptest::collection::vec(
            prop_oneof![
                "x(a|\\.|\r\n|\r|\n|\r\n\\.\r\n|\n\\.\n|bc){0,20}".prop_map(String::into_bytes),
                "(\\.|\r\n){0,9}".prop_map(String::into_bytes),
            ],
            0..6,
        ),
        piece in 1usize..20,
        cut in 1usize..20,
        max_pipelined in 0usize..6,
        headers_first: bool,
    ) {
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let mut host = Host::new(settings(policy), &messages, piece);
        let settings = Settings { max_pipelined, ..Settings::default() };
        let sign_in = SignIn::new("jane", Password::new("x").unwrap()).unwrap();
        let collecting = Collecting { settings, sign_in, headers_first, cut };
        let (collected, _) = run_as(&mut host, collecting, usize::MAX);
        prop_assert_eq!(&collected.ending.why, &Why::Quit);
        check_deletions(&collected, &host);
        let wanted: Vec<(u32, Vec<u8>)> = (1..).zip(messages.iter().map(|m| normalised(m))).collect();
        prop_assert_eq!(&collected.messages, &wanted);
        prop_assert_eq!(collected.headers.len(), if headers_first { messages.len() } else { 0 });
        for (number, header) in collected.headers {
            let (message, whole) = (messages[number as usize - 1], &wanted[number as usize - 1].1);
            prop_assert!(whole.starts_with(&header));
            // Where a bare newline ends a header is a matter of opinion.
            if whole == message {
                prop_assert_eq!(header, header_of(message));
            }
        }
    }
}
