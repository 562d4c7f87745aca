//! What the caller may do besides answering.

use std::sync::Arc;

use quell_wire::reply::Reply;
use quell_wire::server::{Closing, Question, Session, Settings, Step};

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
            Step::Mail(question, _) | Step::Rcpt(question, _) => return Some(question),
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
