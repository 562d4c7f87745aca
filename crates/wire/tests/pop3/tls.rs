//! STLS: what is said before TLS, and that nothing from before it counts.

use quell_wire::pop3::Password;
use quell_wire::pop3::client::{
    Deletions, Ending, Fault, Lost, Session, Settings, SignIn, Step, Tls, Wait, Why,
};
use quell_wire::pop3::fuzz::collect;

fn settings() -> Settings {
    Settings { tls: Tls::Required, ..Settings::default() }
}

/// What is sent and reported while a server says this, one line of the table for each wait.
fn log(says: &[&str]) -> Vec<String> {
    let mut says = says.iter();
    let peer =
        &mut |_, _: &[u8]| says.next().map(|text| format!("{text}\n").replace('\n', "\r\n").into_bytes());
    collect(settings(), usize::MAX, peer).log
}

fn session() -> Session {
    Session::new(settings(), SignIn::new("jane", Password::new("secret").unwrap()).unwrap())
}

/// The session, where it waits for the answer to STLS.
fn at_stls() -> Session {
    let mut session = session();
    for input in ["", "+OK\r\n", "+OK\r\nSTLS\r\nUIDL\r\nPIPELINING\r\nLOGIN-DELAY 900\r\n.\r\n"] {
        let (taken, step) = session.next(input.as_bytes());
        assert_eq!(taken, input.len());
        assert!(matches!(step, Step::NeedInput(_)), "{step:?}");
    }
    assert_eq!(session.output(), b"CAPA\r\nSTLS\r\n");
    assert!(session.offer().uidl && session.offer().login_delay_secs == Some(900));
    session
}

#[test]
fn a_collection_begins_anew_after_tls() {
    let says = ["+OK", "+OK\nSTLS\nUIDL\n.", "+OK", "+OK\nUSER\n.", "+OK", "+OK", "+OK 0 0", "+OK"];
    let expected = [
        "C: CAPA",
        "C: STLS",
        "E: StartTls",
        "C: CAPA",
        "C: USER jane",
        "C: PASS a b",
        "C: STAT",
        "E: Listing { entries: [], listed: 0, stat_messages: 0, stat_bytes: 0 }",
        "E: Listed",
        "E: Idle",
        "C: QUIT",
        "E: closed Ending { why: Quit, deletions: Nothing }",
    ];
    assert_eq!(log(&says), expected);
}

#[test]
fn stls_is_tried_where_capa_is_not_known() {
    let says = ["+OK", "-ERR", "+OK", "-ERR", "+OK", "-ERR"];
    let found = log(&says);
    assert_eq!(found[..6], ["C: CAPA", "C: STLS", "E: StartTls", "C: CAPA", "C: USER jane", "C: PASS a b"]);
}

#[test]
fn without_tls_nothing_is_said() {
    let closed = "E: closed Ending { why: NoTls, deletions: Nothing }";
    assert_eq!(log(&["+OK", "+OK\nUSER\n."]), ["C: CAPA", "C: QUIT", closed]);
    for says in [&["+OK", "+OK\nSTLS\n.", "-ERR no"][..], &["+OK", "-ERR", "-ERR no"]] {
        assert_eq!(log(says), ["C: CAPA", "C: STLS", "C: QUIT", closed], "{says:?}");
    }
}

/// CVE-2011-0411: whoever stands between the two appends what is to be taken for the server's.
#[test]
fn what_stands_behind_the_answer_is_a_fault() {
    for behind in [&b"+OK\r\n"[..], b"\r", b"\n", b"x"] {
        let mut session = at_stls();
        let input = [b"+OK\r\n", behind].concat();
        assert_eq!(session.next(&input).1, closed(Why::Fault(Fault::Unasked)));
        session.secured();
        assert!(matches!(session.next(b"").1, Step::Closed(_)), "over is over");
        assert_eq!(session.output(), b"CAPA\r\nSTLS\r\n");
    }
    // Also if it comes a little later.
    let mut session = at_stls();
    assert_eq!(session.next(b"+OK\r\n"), (5, Step::StartTls));
    assert!(matches!(session.next(b"+OK\r\n").1, Step::Closed(Ending { why: Why::Fault(_), .. })));
}

#[test]
fn what_was_offered_before_is_forgotten() {
    let mut session = at_stls();
    assert_eq!(session.next(b"+OK go\r\n"), (8, Step::StartTls));
    assert_eq!(session.next(b""), (0, Step::StartTls));
    session.output().clear();
    session.secured();
    assert_eq!(*session.offer(), Default::default());
    assert_eq!(session.next(b"").1, Step::NeedInput(Wait::Response));
    assert_eq!(session.output(), b"CAPA\r\n");
    session.secured();
    assert_eq!(session.next(b"+OK\r\nTOP\r\n.\r\n").1, Step::NeedInput(Wait::Response));
    assert_eq!(session.output(), b"CAPA\r\nUSER jane\r\n");
    assert!(session.offer().top && session.offer().capa && !session.offer().uidl);
}

#[test]
fn secured_counts_only_when_it_was_asked_for() {
    let mut session = session();
    session.secured();
    session.next(b"+OK\r\n");
    session.secured();
    session.next(b"+OK\r\n.\r\n");
    session.secured();
    assert_eq!(session.output(), b"CAPA\r\nQUIT\r\n");

    let mut session = at_stls();
    session.secured();
    assert_eq!(session.next(b"-ERR\r\n").1, closed(Why::NoTls));
    assert_eq!(session.output(), b"CAPA\r\nSTLS\r\nQUIT\r\n");
}

#[test]
fn tls_that_fails_is_a_lost_connection() {
    let mut session = at_stls();
    session.next(b"+OK\r\n");
    let lost = Lost::Broken("TLS failed: expired".to_owned());
    session.lost(lost.clone());
    assert_eq!(session.next(b"").1, closed(Why::Lost(lost)));
}

fn closed(why: Why) -> Step<'static> {
    Step::Closed(Ending { why, deletions: Deletions::Nothing })
}

/// What is kept for the wire is in no log.
#[test]
fn a_session_shows_no_password() {
    let settings = Settings::default();
    let mut session = Session::new(settings, SignIn::new("jane", Password::new("secret").unwrap()).unwrap());
    for input in ["+OK\r\n", "-ERR\r\n", "+OK\r\n"] {
        session.next(input.as_bytes());
    }
    assert!(session.output().ends_with(b"PASS secret\r\n"));
    let shown = format!("{session:?}");
    let numbers: Vec<String> = b"secret".iter().map(u8::to_string).collect();
    assert!(!shown.contains("secret") && !shown.contains(&numbers.join(", ")), "{shown}");
}
