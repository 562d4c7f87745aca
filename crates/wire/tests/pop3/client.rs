//! What a server says, and what comes of it.

use quell_wire::pop3::Password;
use quell_wire::pop3::client::{
    At, Code, Deletions, Fault, NotTaken, Offer, Request, Session, Settings, SignIn, Step, Why,
};
use quell_wire::pop3::fuzz::{Collecting, collect};

/// What is sent and reported while a server says this, one line of the table for each wait.
fn log(settings: Settings, says: &[&str]) -> String {
    let mut says = says.iter();
    let peer =
        &mut |_, _: &[u8]| says.next().map(|text| format!("{text}\n").replace('\n', "\r\n").into_bytes());
    collect(settings, usize::MAX, peer).log.join("\n")
}

fn ending(says: &[&str]) -> (Why, Deletions) {
    let mut says = says.iter();
    let peer =
        &mut |_, _: &[u8]| says.next().map(|text| format!("{text}\n").replace('\n', "\r\n").into_bytes());
    let settings = Settings { max_message_bytes: 20, max_listing_lines: 2, ..Settings::default() };
    let ending = collect(settings, 3, peer).ending;
    (ending.why, ending.deletions)
}

const LISTED: [&str; 7] =
    ["+OK", "+OK\nUIDL\n.", "+OK", "+OK", "+OK 2 30", "+OK\n1 10\n2 20\n.", "+OK\n1 a\n2 b\n."];

#[test]
fn a_collection() {
    let says = [&LISTED[..], &["+OK\nx\n.", "+OK 20\n..y\n\n.", "+OK", "+OK", "+OK bye"]].concat();
    let expected = r#"C: CAPA
C: USER jane
C: PASS a b
C: STAT
C: LIST
C: UIDL
E: Listing { entries: [Entry { number: 1, bytes: 10, uidl: Some(Uidl("a")) }, Entry { number: 2, bytes: 20, uidl: Some(Uidl("b")) }], listed: 2, stat_messages: 2, stat_bytes: 30 }
E: Listed
E: Idle
C: RETR 1
E: Begin { number: 1 }
E: 1 x\r\n
C: RETR 2
E: Begin { number: 2 }
E: 2 .y\r\n\r\n
E: Idle
C: DELE 1
E: Deleted { number: 1 }
C: DELE 2
E: Deleted { number: 2 }
E: Idle
C: QUIT
E: closed Ending { why: Quit, deletions: Done }"#;
    assert_eq!(log(Settings::default(), &says), expected);
}

#[test]
fn requests_are_pipelined_where_that_is_offered() {
    let offers = [
        "+OK",
        "+OK\nUIDL\nPIPELINING\n.",
        "+OK",
        "+OK",
        "+OK 5 5",
        "+OK\n1 1\n2 1\n3 1\n4 1\n5 1\n.",
        "-ERR",
    ];
    let says = [&offers[..], &["+OK\na\n."], &["-ERR gone", "+OK\nc\n."]].concat();
    let log = log(Settings { max_pipelined: 4, ..Settings::default() }, &says);
    let (_, retrieving) = log.split_once("E: Idle\n").unwrap();
    let expected = r#"C: RETR 1
C: RETR 2
C: RETR 3
C: RETR 4
E: Begin { number: 1 }
E: 1 a\r\n
E: Refused { request: Retrieve(2), refusal: Refusal { code: None, text: "gone", explained: None } }
C: RETR 5
E: Begin { number: 3 }
E: 3 c\r\n
E: closed Ending { why: Lost(Closed), deletions: Nothing }"#;
    assert_eq!(retrieving, expected);
}

#[test]
fn a_server_of_long_ago_and_an_empty_maildrop() {
    let says = [
        "+OK <1@x>",
        "-ERR what",
        "+OK",
        "+OK",
        "+OK 1 10",
        "+OK\n1 10\n.",
        "-ERR what",
        "+OK\n.",
        "+OK",
        "+OK",
    ];
    let log_ = log(Settings::default(), &says);
    assert!(log_.contains("C: UIDL\n") && log_.contains("uidl: None") && log_.contains("E: 1 \n"), "{log_}");
    assert!(log_.ends_with("deletions: Done }"), "{log_}");
    let empty = log(Settings::default(), &["+OK", "-ERR", "+OK", "+OK", "+OK 0 0", "+OK"]);
    assert!(!empty.contains("LIST\n") && empty.ends_with("why: Quit, deletions: Nothing }"), "{empty}");
}

#[test]
fn endings() {
    let after = |more: &[&'static str]| [&LISTED[..], more].concat();
    let one: [&str; 5] = ["+OK\nx\n.", "+OK\ny\n.", "+OK", "+OK", ""];
    let quit = |last: &'static str| after(&[&one[..4], &[last]].concat());
    let refused = |at, says: Vec<&str>, code, text: &str| {
        let (why, deletions) = ending(&says);
        let Why::Refused(found, refusal) = why else { panic!("{why:?}") };
        assert_eq!((found, refusal.code, refusal.text.as_str()), (at, code, text));
        deletions
    };
    assert_eq!(
        refused(At::Greeting, vec!["-ERR [SYS/TEMP] busy"], Some(Code::SysTemp), "[SYS/TEMP] busy"),
        Deletions::Nothing
    );
    assert_eq!(
        refused(At::SignIn, vec!["+OK", "-ERR", "+OK", "-ERR [AUTH] no"], Some(Code::Auth), "[AUTH] no"),
        Deletions::Nothing
    );
    assert_eq!(
        refused(At::Listing, vec!["+OK", "-ERR", "+OK", "+OK", "-ERR x"], None, "x"),
        Deletions::Nothing
    );
    assert_eq!(refused(At::Quit, quit("-ERR some"), None, "some"), Deletions::Unknown);
    assert_eq!(ending(&quit("+OK")), (Why::Quit, Deletions::Done));
    for (says, fault, deletions) in [
        (vec!["hello"], Fault::NoStatus, Deletions::Nothing),
        (vec!["+OKAY"], Fault::NoStatus, Deletions::Nothing),
        (vec!["+OK\n+OK"], Fault::Unasked, Deletions::Nothing),
        (vec!["+OK", "-ERR", "+OK", "+OK", "+OK many"], Fault::Listing, Deletions::Nothing),
        (
            vec!["+OK", "-ERR", "+OK", "+OK", "+OK 3 3", "+OK\n1 1\n2 1\n3 1\n."],
            Fault::Listing,
            Deletions::Nothing,
        ),
        (
            vec!["+OK", "-ERR", "+OK", "+OK", "+OK 3 3", "+OK\n2 1\n1 1\n."],
            Fault::Listing,
            Deletions::Nothing,
        ),
        (after(&["+OK\n0123456789012345678\nx\n0123456789012345678901"]), Fault::Endless, Deletions::Nothing),
        (after(&["+OK\nx\n.", "+OK\ny\n.", "what"]), Fault::NoStatus, Deletions::Nothing),
        (quit("what"), Fault::NoStatus, Deletions::Unknown),
    ] {
        // In pieces, what comes unasked may be read as the answer to the next command.
        if fault != Fault::Unasked {
            assert_eq!(ending(&says), (Why::Fault(fault), deletions), "{says:?}");
        }
        assert!(
            log(Settings { max_message_bytes: 20, max_listing_lines: 2, ..Settings::default() }, &says)
                .contains(&format!("{fault:?}"))
        );
    }
    let long = format!("+OK {}", "x".repeat(3000));
    assert_eq!(ending(&[&long]).0, Why::Fault(Fault::LongLine));
    assert_eq!(ending(&["+OK a\rb"]).0, Why::Fault(Fault::StrayCr));
    let capabilities = format!("+OK\n{}.", "X\n".repeat(201));
    assert_eq!(ending(&["+OK", &capabilities]).0, Why::Fault(Fault::Listing));
}

/// A message that is larger than it was listed: the rest is skipped, the others come.
#[test]
fn a_message_that_is_too_big_does_not_block_the_next() {
    let says = [&LISTED[..], &["+OK\n012345678\nabcdefghij\nx\n.", "+OK\ny\n.", "+OK", "+OK"]].concat();
    let log = log(Settings { max_message_bytes: 20, ..Settings::default() }, &says);
    let (_, end) = log.split_once("C: RETR 1\n").unwrap();
    let expected = r"E: Begin { number: 1 }
E: TooBig { number: 1 }
C: RETR 2
E: Begin { number: 2 }
E: 2 y\r\n
E: Idle
C: DELE 2
E: Deleted { number: 2 }
E: Idle
C: QUIT
E: closed Ending { why: Quit, deletions: Done }";
    assert_eq!(end, expected);
}

#[test]
fn what_is_offered_is_told() {
    let tried = Offer { uidl: true, top: true, ..Offer::default() };
    let said = Offer {
        capa: true,
        uidl: true,
        pipelining: false,
        top: false,
        login_delay_secs: Some(900),
        expire_days: Some(30),
    };
    for (capa, offer) in [
        ("-ERR", tried),
        ("+OK\n.", Offer { capa: true, ..Offer::default() }),
        ("+OK\nEXPIRE 30 USER\nLOGIN-DELAY 900\nUIDL\nUSER\nIMPLEMENTATION x\n.", said),
    ] {
        let sign_in = SignIn::new("jane", Password::new("x").unwrap()).unwrap();
        let mut session = Session::new(Settings::default(), sign_in);
        assert_eq!(*session.offer(), Offer::default());
        let input = format!("{capa}\n").replace('\n', "\r\n");
        for input in ["+OK\r\n", &input] {
            assert!(matches!(session.next(input.as_bytes()).1, Step::NeedInput(_)));
        }
        assert_eq!(*session.offer(), offer, "{capa}");
    }
}

#[test]
fn headers_come_alone() {
    let says = [&LISTED[..], &["+OK\nSubject: ..\n..\n\n.", "-ERR no TOP", "+OK\nx\n."]].concat();
    let mut says = says.iter();
    let peer =
        &mut |_, _: &[u8]| says.next().map(|text| format!("{text}\n").replace('\n', "\r\n").into_bytes());
    let sign_in = SignIn::new("jane", Password::new("a b").unwrap()).unwrap();
    // The second message is too big, its header is not.
    let settings = Settings { max_message_bytes: 19, ..Settings::default() };
    let run = Collecting { settings, sign_in, headers_first: true, cut: usize::MAX }.run(peer);
    let log = run.log.join("\n");
    let (_, end) = log.split_once("E: Retrieve(2) not taken: the message is too big\n").unwrap();
    let expected = r#"E: Idle
C: TOP 1 0
E: Begin { number: 1 }
E: 1 Subject: ..\r\n.\r\n\r\n
C: RETR 1
E: Refused { request: Retrieve(1), refusal: Refusal { code: None, text: "no TOP", explained: None } }
C: TOP 2 0
E: Begin { number: 2 }
E: 2 x\r\n
E: Idle
C: QUIT
E: closed Ending { why: Lost(Closed), deletions: Nothing }"#;
    assert_eq!(end, expected);
    assert_eq!((run.messages, run.headers.len()), (vec![], 2));
}

#[test]
fn requests_have_limits() {
    let who = SignIn::new("jane", Password::new("x").unwrap()).unwrap();
    let mut session = Session::new(Settings { max_message_bytes: 15, ..Settings::default() }, who);
    assert_eq!(session.request(Request::Retrieve(1)), Err(NotTaken::NotNow));
    let mut says = LISTED.iter();
    let mut input = String::new();
    loop {
        let (taken, step) = session.next(input.as_bytes());
        match step {
            Step::Listed => break,
            Step::NeedInput(_) => input = format!("{}\n", says.next().unwrap()).replace('\n', "\r\n"),
            other => panic!("{other:?} after {taken}"),
        }
    }
    assert_eq!(session.request(Request::Retrieve(3)), Err(NotTaken::NoSuchMessage));
    assert_eq!(session.request(Request::Retrieve(2)), Err(NotTaken::TooBig));
    assert_eq!(session.request(Request::Top(3)), Err(NotTaken::NoSuchMessage));
    assert_eq!(session.request(Request::Top(2)), Ok(()));
    assert_eq!(session.request(Request::Delete(2)), Ok(()));
    for _ in 2..1024 {
        assert_eq!(session.request(Request::Retrieve(1)), Ok(()));
    }
    assert_eq!(session.request(Request::Retrieve(1)), Err(NotTaken::Full));
    session.quit();
    assert_eq!(session.request(Request::Retrieve(1)), Err(NotTaken::NotNow));
}
