//! What is said before TLS.

use quell_wire::imap::fuzz::opened;
use quell_wire::imap::{
    Fault, MAX_OPENING_LINE_BYTES, MAX_OPENING_LINES, MAX_TEXT_BYTES, Opening, Step, Why,
};

const STARTTLS: &[u8] = b"S0 STARTTLS\r\n";

/// In any pieces.
fn tls(stream: &str) -> (Option<Step>, Vec<u8>, usize) {
    let whole = opened(Opening::starttls(), stream.as_bytes(), usize::MAX);
    if whole.0 != Some(Step::Closed(Why::Fault(Fault::Unasked))) {
        for cut in [1, 3] {
            let (step, sent, left) = opened(Opening::starttls(), stream.as_bytes(), cut);
            assert_eq!((&step, &sent), (&whole.0, &whole.1), "{stream:?}");
            assert!(left >= whole.2);
        }
    }
    whole
}

#[test]
fn tls_begins_when_the_server_says_so() {
    for stream in [
        "* OK hello\r\nS0 OK begin\r\n",
        "* ok\r\nS0 ok\r\n",
        "* OK [CAPABILITY IMAP4rev1] x\r\n* CAPABILITY IMAP4rev1 STARTTLS\r\n* 3 EXISTS\r\nS0 OK begin\r\n",
    ] {
        assert_eq!(tls(stream), (Some(Step::StartTls), STARTTLS.to_vec(), 0), "{stream:?}");
    }
}

#[test]
fn endings() {
    let closed = |why| Some(Step::Closed(why));
    let fault = |fault| closed(Why::Fault(fault));
    let text = |text: &str| text.to_owned();
    for (stream, asked, found) in [
        ("* BYE too busy\x1b[2J", false, closed(Why::Bye(text("too busy?[2J")))),
        ("* PREAUTH hello jane", false, closed(Why::PreAuth)),
        ("hello", false, fault(Fault::NoGreeting)),
        ("S0 OK", false, fault(Fault::NoGreeting)),
        ("* NO", false, fault(Fault::NoGreeting)),
        ("* OK\r\n* BYE", true, closed(Why::Bye(text("")))),
        ("* OK\r\nS0 NO not here", true, closed(Why::NoTls(text("not here")))),
        ("* OK\r\nS0 BAD what", true, closed(Why::NoTls(text("what")))),
        ("* OK\r\nS1 OK", true, fault(Fault::NoAnswer)),
        ("* OK\r\nS0", true, fault(Fault::NoAnswer)),
        ("* OK\r\nS0 OKAY", true, fault(Fault::NoAnswer)),
        ("* OK\r\n+ go", true, fault(Fault::NoAnswer)),
        ("* OK\r\n", true, fault(Fault::NoAnswer)),
        ("* OK a\rb", false, fault(Fault::BareNewline)),
        ("* OK a\nb", false, fault(Fault::BareNewline)),
        // CVE-2011-0411, and of 2021.
        ("* OK\r\nS0 OK\r\n* CAPABILITY X", true, fault(Fault::Unasked)),
        ("* OK\r\nS0 OK\r\n", true, fault(Fault::Unasked)),
    ] {
        let (step, sent, _) = tls(&format!("{stream}\r\n"));
        assert_eq!((step, sent == STARTTLS), (found, asked), "{stream:?}");
    }
    assert_eq!(tls("* OK\r\nS0 OK\r\nx").0, fault(Fault::Unasked));
}

#[test]
fn it_has_limits() {
    let line = |len: usize| format!("* OK {}\r\n", "x".repeat(len - 7));
    assert_eq!(tls(&line(MAX_OPENING_LINE_BYTES)).0, None);
    let fault = |fault| Some(Step::Closed(Why::Fault(fault)));
    assert_eq!(tls(&line(MAX_OPENING_LINE_BYTES + 1)).0, fault(Fault::LongLine));
    let lines = |lines: usize| format!("* OK\r\n{}S0 OK\r\n", "* X\r\n".repeat(lines - 2));
    assert_eq!(tls(&lines(MAX_OPENING_LINES)).0, Some(Step::StartTls));
    assert_eq!(tls(&lines(MAX_OPENING_LINES + 1)).0, fault(Fault::Lines));
    let (step, ..) = tls(&format!("* BYE {}\r\n", "x".repeat(4000)));
    assert_eq!(step, Some(Step::Closed(Why::Bye("x".repeat(MAX_TEXT_BYTES)))));
}

#[test]
fn the_greeting_alone_leaves_the_rest() {
    let greeting = |stream: &str| opened(Opening::greeting_only(), stream.as_bytes(), usize::MAX);
    assert_eq!(greeting("* OK hello\r\n* CAPABILITY X\r\n"), (Some(Step::Greeted), vec![], 16));
    assert_eq!(greeting("* OK hello\r\n"), (Some(Step::Greeted), vec![], 0));
    assert_eq!(greeting("* OK hello").0, None);
    assert_eq!(greeting("* PREAUTH\r\n").0, Some(Step::Closed(Why::PreAuth)));
    assert_eq!(greeting("* BYE no\r\n").0, Some(Step::Closed(Why::Bye("no".to_owned()))));
}

#[test]
fn a_connection_may_be_lost() {
    let mut opening = Opening::starttls();
    assert_eq!(opening.next(b"* OK\r\n* X"), (9, Step::NeedInput));
    opening.lost();
    assert_eq!(opening.next(b""), (0, Step::Closed(Why::Lost)));
    // What came before counts.
    let mut opening = Opening::greeting_only();
    assert_eq!(opening.next(b"* OK\r\n"), (6, Step::Greeted));
    opening.lost();
    assert_eq!(opening.next(b"x"), (0, Step::Greeted));
    // After the answer to STARTTLS nothing may come in the clear.
    let mut opening = Opening::starttls();
    assert_eq!(opening.next(b"* OK\r\nS0 OK\r\n"), (13, Step::StartTls));
    assert_eq!(opening.next(b""), (0, Step::StartTls));
    assert_eq!(opening.next(b"x"), (1, Step::Closed(Why::Fault(Fault::Unasked))));
}
