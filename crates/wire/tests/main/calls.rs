//! What the caller may do besides answering.

use std::sync::Arc;

use quell_wire::reply::Reply;
use quell_wire::sasl::Mechanism;
use quell_wire::server::{Closing, Question, Session, Settings, SignIn, Step};

fn session() -> Session {
    Session::new(Arc::new(Settings::new("mx")))
}

/// Takes all steps that need no answer, and the question of the last.
fn feed(session: &mut Session, input: &[u8]) -> Option<Question> {
    let mut used = 0;
    loop {
        let (taken, step) = session.next(&input[used..]);
        used += taken;
        match step {
            Step::Mail(question, _)
            | Step::Rcpt(question, _)
            | Step::SignIn(question, _)
            | Step::StoredFor(question, _) => return Some(question),
            Step::NeedInput | Step::NeedAnswer | Step::Closed(_) => return None,
            _ => {}
        }
    }
}

fn said(session: &mut Session) -> String {
    String::from_utf8(std::mem::take(session.output())).unwrap()
}

#[test]
fn who_speaks_before_the_greeting_gets_none() {
    let mut session = session();
    session.early_talker();
    assert_eq!(said(&mut session), "554 5.5.1 mx you spoke first\r\n");
    let input = b"EHLO x\r\nMAIL FROM:<a@b>\r\n";
    assert_eq!(session.next(input), (input.len(), Step::Closed(Closing::Caller)));
    assert_eq!(said(&mut session), "");
}

#[test]
fn a_session_is_shut_down_once() {
    let mut session = session();
    assert!(feed(&mut session, b"EHLO x\r\nMAI").is_none());
    said(&mut session);
    session.shut_down(&Reply::new(421, (4, 2), "idle"));
    session.shut_down(&Reply::new(421, (3, 2), "stopping"));
    assert_eq!(said(&mut session), "421 4.4.2 idle\r\n");
    assert_eq!(session.next(b""), (0, Step::Closed(Closing::Caller)));
}

#[test]
fn nothing_is_read_before_the_answer() {
    let mut session = session();
    let question = feed(&mut session, b"HELO x\r\nMAIL FROM:<a@b>\r\n").unwrap();
    said(&mut session);
    assert_eq!(session.next(b"QUIT\r\n"), (0, Step::NeedAnswer));
    assert_eq!(said(&mut session), "");
    session.answer(question, Reply::new(451, (3, 0), "later"));
    assert_eq!(said(&mut session), "451 4.3.0 later\r\n");
}

#[test]
fn an_answer_to_another_session_changes_nothing() {
    let (mut one, mut other) = (session(), session());
    let question = feed(&mut one, b"HELO x\r\nMAIL FROM:<a@b>\r\n").unwrap();
    assert!(feed(&mut other, b"HELO x\r\n").is_none());
    said(&mut other);
    other.answer(question, Reply::sender_ok());
    assert_eq!(said(&mut other), "");
    assert!(feed(&mut other, b"RCPT TO:<a@b>\r\n").is_none());
    assert_eq!(said(&mut other), "503 5.5.1 MAIL first\r\n");
}

/// An LMTP session with two recipients, to the question how its content ends.
fn lmtp_at_end(session: &mut Session) -> Question {
    let mut input = &b"LHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\nx\r\n.\r\n"[..];
    loop {
        let (taken, step) = session.next(input);
        input = &input[taken..];
        match step {
            Step::Mail(question, _) | Step::Rcpt(question, _) | Step::Begin { question, .. } => {
                session.answer(question, Reply::go_ahead());
            }
            Step::End { question, .. } => {
                said(session);
                return question;
            }
            Step::NeedInput | Step::Closed(_) => panic!("no end"),
            _ => {}
        }
    }
}

fn lmtp() -> Session {
    Session::new(Arc::new(Settings { lmtp: true, ..Settings::new("mx") }))
}

#[test]
fn content_is_answered_for_each_recipient() {
    let ok = || Reply::new(250, (0, 0), "saved");
    let full = || Reply::new(452, (2, 2), "full");
    let missing = "451 4.3.0 no answer for this recipient\r\n";
    let cases: [(Vec<Reply>, String); 5] = [
        (vec![ok(), full()], "250 2.0.0 saved\r\n452 4.2.2 full\r\n".to_owned()),
        (vec![full(), ok(), ok()], "452 4.2.2 full\r\n250 2.0.0 saved\r\n".to_owned()),
        (vec![ok()], format!("250 2.0.0 saved\r\n{missing}")),
        (vec![], missing.repeat(2)),
        (vec![Reply::new(421, (3, 2), "stop"), ok()], "421 4.3.2 stop\r\n250 2.0.0 saved\r\n".to_owned()),
    ];
    for (replies, expected) in cases {
        let closes = replies.iter().any(Reply::closes);
        let mut session = lmtp();
        let question = lmtp_at_end(&mut session);
        session.answer_each(question, replies);
        assert_eq!(said(&mut session), expected);
        let after = if closes { Step::Closed(Closing::Caller) } else { Step::NeedInput };
        assert_eq!(session.next(b"NOOP\r\n"), (6, after));
        assert_eq!(said(&mut session).is_empty(), closes);
    }
}

#[test]
fn one_answer_serves_all_recipients() {
    let mut session = lmtp();
    let question = lmtp_at_end(&mut session);
    session.answer(question, Reply::new(550, (7, 1), "no"));
    assert_eq!(said(&mut session), "550 5.7.1 no\r\n".repeat(2));
}

#[test]
fn smtp_and_other_questions_take_the_first_answer() {
    let mut session = session();
    let question = feed(&mut session, b"HELO x\r\nMAIL FROM:<a@b>\r\n").unwrap();
    said(&mut session);
    session.answer_each(question, vec![]);
    assert_eq!(said(&mut session), "451 4.3.0 no answer for this recipient\r\n");
    let question = feed(&mut session, b"MAIL FROM:<a@b>\r\n").unwrap();
    session.answer_each(question, vec![Reply::sender_ok(), Reply::new(550, (1, 1), "no")]);
    assert_eq!(said(&mut session), "250 2.1.0 sender ok\r\n");
}

/// Many replies come in portions; what is owed at a shut-down comes before its reply.
#[test]
fn replies_for_many_recipients_come_in_portions() {
    for stopped in [false, true] {
        let mut session = lmtp();
        let rcpts = "RCPT TO:<c@d>\r\n".repeat(5000);
        let input = format!("LHLO x\r\nMAIL FROM:<a@b>\r\n{rcpts}DATA\r\nx\r\n.\r\n");
        let (mut used, mut replies) = (0, String::new());
        loop {
            let (taken, step) = session.next(&input.as_bytes()[used..]);
            used += taken;
            assert!(session.output().len() < 17 << 10);
            let text = said(&mut session);
            match step {
                Step::Mail(question, _) | Step::Rcpt(question, _) | Step::Begin { question, .. } => {
                    session.answer(question, Reply::go_ahead());
                }
                Step::End { question, .. } => session.answer(question, Reply::new(250, (0, 0), "saved")),
                Step::NeedInput => {
                    replies += &text;
                    break;
                }
                _ => replies += &text,
            }
            if stopped && text.ends_with("saved\r\n") {
                session.shut_down(&Reply::new(421, (3, 2), "stopping"));
                replies += &said(&mut session);
                assert!(replies.ends_with("421 4.3.2 stopping\r\n"));
                break;
            }
        }
        assert_eq!(replies.matches("250 2.0.0 saved\r\n").count(), 5000);
    }
}

/// A shut-down while a question is open: its answer comes too late and is not written.
#[test]
fn an_answer_after_the_end_is_not_written() {
    let mut session = session();
    let question = feed(&mut session, b"HELO x\r\nMAIL FROM:<a@b>\r\n").unwrap();
    session.shut_down(&Reply::new(421, (3, 2), "stopping"));
    said(&mut session);
    session.answer(question, Reply::sender_ok());
    assert_eq!(said(&mut session), "");
    assert_eq!(session.next(b"x"), (1, Step::Closed(Closing::Caller)));
}

/// One that is secured and has been greeted.
fn offering_sign_in() -> Session {
    let settings = Settings { auth: Mechanism::ALL.to_vec(), ..Settings::new("mx") };
    let mut session = Session::new(Arc::new(settings));
    session.secured();
    assert!(feed(&mut session, b"EHLO x\r\n").is_none());
    said(&mut session);
    session
}

/// `jane`, `right`; and `n,,n=jane,r=abc`.
const PASSWORD: &[u8] = b"AUTH PLAIN AGphbmUAcmlnaHQ=\r\n";
const SCRAM: &[u8] = b"AUTH SCRAM-SHA-256 biwsbj1qYW5lLHI9YWJj\r\n";

const TROUBLE: &str = "454 4.7.0 sign-in is not possible at the moment; try again later\r\n";

#[test]
fn trouble_counts_as_failures_do() {
    let mut session = offering_sign_in();
    let asks = [PASSWORD, SCRAM, PASSWORD];
    for (n, input) in asks.into_iter().enumerate() {
        let question = feed(&mut session, input).unwrap();
        match n {
            1 => session.stored(question, None, &[7; 18]),
            _ => assert!(!session.sign_in(question, SignIn::Trouble)),
        }
        let said = said(&mut session);
        let closing = if n == 2 { "421 4.7.0 closing, too many failed attempts\r\n" } else { "" };
        assert_eq!(said, format!("{TROUBLE}{closing}"));
    }
    assert_eq!(session.next(b""), (0, Step::Closed(Closing::SignIns)));
}

#[test]
fn who_asks_what_is_stored_is_told_what_was_answered() {
    for (answer, wanted) in [
        (SignIn::TooMany, "421 4.7.0 too many attempts to sign in; try again later\r\n"),
        (SignIn::Refused, "535 5.7.8 name or password wrong\r\n"),
        (SignIn::Trouble, TROUBLE),
        // Nothing is proved yet.
        (SignIn::Accepted, TROUBLE),
    ] {
        let mut session = offering_sign_in();
        let question = feed(&mut session, SCRAM).unwrap();
        assert!(!session.sign_in(question, answer) && !session.is_signed_in());
        assert_eq!(said(&mut session), wanted);
        let closed = session.next(b"") == (0, Step::Closed(Closing::Caller));
        assert_eq!(closed, answer == SignIn::TooMany, "{answer:?}");
    }
}

#[test]
fn what_was_said_is_not_shown() {
    let mut session = offering_sign_in();
    assert!(feed(&mut session, &PASSWORD[..PASSWORD.len() - 2]).is_none());
    let secret = |text: &[u8]| format!("{text:?}").trim_matches(['[', ']']).to_owned();
    let shown = format!("{session:?}");
    assert!(shown.contains("partial_bytes: 27"), "{shown}");
    assert!(!shown.contains(&secret(b"cmlnaHQ=")) && !shown.contains("cmlnaHQ="), "{shown}");
    assert!(feed(&mut session, b"\r\n").is_some());
    assert!(!format!("{session:?} {session:#?}").contains("right"));
}
