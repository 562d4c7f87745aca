//! What the guard lets by, and what it does not.

use quell_wire::imap::fuzz::guarded;
use quell_wire::imap::{Guard, GuardFault, MAX_LISTS, MAX_LITERALS};

/// Literals of 50 bytes, lines of 200; in any pieces.
fn passes(stream: &[u8]) -> Result<(), GuardFault> {
    let whole = Guard::new(50, 200).pass(stream);
    for cut in [1, 2, 3, 7] {
        assert_eq!(guarded(&mut Guard::new(50, 200), stream, cut), whole, "{}", stream.escape_ascii());
    }
    whole
}

#[test]
fn what_servers_say_passes() {
    for stream in [
        "* OK [CAPABILITY IMAP4rev1 IDLE] It's (not) \"ready :-( {yet}\r\n",
        "* BYE\r\n",
        "+ \r\n+\r\n+ e30=\r\n",
        "A0001 OK [READ-WRITE] Select completed (0.001 secs).\r\n",
        "* FLAGS (\\Answered \\Flagged \\*)\r\n* 172 EXISTS\r\n* 1 RECENT\r\n* OK [UNSEEN 12] first\r\n",
        "* SEARCH 1 2 3\r\n* SEARCH\r\n* 5 EXPUNGE\r\n",
        "* 1 FETCH (UID 7 FLAGS (\\Seen) RFC822.SIZE 5 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n",
        "* 1 FETCH (UID 7 BODY[] {5}\r\nhello)\r\n* 2 FETCH (BODY[]<0> {5}\r\n{99}\n UID 8)\r\n",
        "* 1 fetch (BODY[HEADER.FIELDS (\"DATE\" FROM)] {6}\r\n\r\n)\r\n\0 FLAGS ())\r\n",
        "* 1 FETCH (BODY[HEADER] {20}\r\n0123456789012345678\n BODY[TEXT] {30}\r\n012345678901234567890123456789)\r\n",
        "* 1 FETCH (FLAGS ()) \r\n* 01 FETCH (BODY[] {000}\r\n)\r\n",
        "* LIST (\\HasNoChildren) \"/\" {5}\r\na\"{9}\r\n* LIST () \"/\" \"{99}\"\r\n* LIST () \"/\" \"a\\\\\" \r\n",
        "* ID ({4}\r\nname {5}\r\nquell \"version\" {0}\r\n)\r\n",
    ] {
        assert_eq!(passes(stream.as_bytes()), Ok(()), "{stream:?}");
    }
}

#[test]
fn limits_say_their_numbers() {
    let literal = |bytes| GuardFault::Literal { bytes, max_bytes: 50 };
    let line = GuardFault::Line { max_bytes: 200 };
    let (short, more) = ("x".repeat(100), "x".repeat(60));
    for (stream, found) in [
        ("* 1 FETCH (BODY[] {50}\r\n".to_owned(), Ok(())),
        ("* 1 FETCH (BODY[] {51}\r\n".to_owned(), Err(literal(51))),
        ("* 1 FETCH (BODY[] {00000000000000000000000051}\r\n".to_owned(), Err(literal(51))),
        ("* 1 FETCH (BODY[] {99999999999999999999999999}\r\n".to_owned(), Err(literal(u64::MAX))),
        // Of one response together.
        ("* 1 FETCH (BODY[1] {2}\r\nab BODY[2] {49}\r\n".to_owned(), Err(literal(51))),
        ("* 1 FETCH (BODY[1] {2}\r\nab)\r\n* 1 FETCH (BODY[1] {49}\r\n".to_owned(), Ok(())),
        (format!("* 1 FETCH ({}", "A {0}\r\n ".repeat(MAX_LITERALS)), Ok(())),
        (format!("* 1 FETCH ({}", "A {0}\r\n ".repeat(MAX_LITERALS + 1)), Err(GuardFault::Literals)),
        (format!("* OK {}", "x".repeat(195)), Ok(())),
        (format!("* OK {}", "x".repeat(196)), Err(line)),
        (format!("* OK {}\r\n* OK {}\r\n", "x".repeat(193), "x".repeat(193)), Ok(())),
        // The lines of one response together.
        (format!("* LIST () \"/\" {{1}}\r\na{short} {{1}}\r\na{more}"), Ok(())),
        (format!("* LIST () \"/\" {{1}}\r\na{short} {{1}}\r\na{more}{more}"), Err(line)),
        (format!("* 1 FETCH {}", "(".repeat(MAX_LISTS)), Ok(())),
        (format!("* 1 FETCH {}", "()".repeat(MAX_LISTS + 1)), Err(GuardFault::Lists)),
        (format!("* 1 FETCH {}", "\"(\")".repeat(MAX_LISTS + 1)), Err(GuardFault::Lists)),
    ] {
        assert_eq!(passes(stream.as_bytes()), found, "{stream:?}");
    }
    assert_eq!(literal(51).to_string(), "literals of 51 bytes in one response, and 50 may be");
    assert_eq!(
        Guard::new(u64::MAX, 100).pass(b"* LIST () {4294967296}\r\n"),
        Err(GuardFault::Literal { bytes: 1 << 32, max_bytes: (1 << 32) - 1 }),
        "the parser would not take it for a literal"
    );
}

#[test]
fn what_is_no_response_is_a_fault() {
    for (stream, fault) in [
        (&b"* OK a\0b\r\n"[..], GuardFault::Nul),
        (b"\0", GuardFault::Nul),
        (b"* OK a\n", GuardFault::BareNewline),
        (b"* OK a\rb", GuardFault::BareNewline),
        (b"* OK a\r\r\n", GuardFault::BareNewline),
        (b"* LIST () {1}\r\nx\n", GuardFault::BareNewline),
        (b"*OK\r\n", GuardFault::NoResponse),
        (b"*\r\n", GuardFault::NoResponse),
        (b"* LIST () \"/\" {}\r\n", GuardFault::Number),
        (b"* LIST () \"/\" {1x}\r\n", GuardFault::Number),
        (b"* LIST () \"/\" {-1}\r\n", GuardFault::Number),
        (b"* 1 FETCH (BODY[] {x}\r\n", GuardFault::Number),
    ] {
        assert_eq!(passes(stream), Err(fault), "{}", stream.escape_ascii());
    }
}

/// Each would lead parser and guard apart, so that a literal of any size is hidden in what the guard
/// takes for another literal, or for a response.
#[test]
fn what_a_parser_may_read_differently_is_a_fault() {
    for (stream, fault) in [
        // Text, to a parser.
        ("* OK text {40}\r\n", GuardFault::Misplaced),
        ("A1 NO text {40}\r\n", GuardFault::Misplaced),
        ("+ {40}\r\n", GuardFault::Misplaced),
        ("* bye {40}\r\n", GuardFault::Misplaced),
        ("* NO [BADCHARSET ({9000}\r\n", GuardFault::Misplaced),
        // A word that is skipped.
        ("* 1 FETCH (X a{40}\r\n BODY[] {9000}\r\n", GuardFault::Misplaced),
        ("* 1 FETCH (X \"a{40}\r\n BODY[] {9000}\r\n", GuardFault::Misplaced),
        ("* 1 FETCH (X {40+}\r\n BODY[] {9000}\r\n", GuardFault::Misplaced),
        ("* 1 FETCH (X ~{40}\r\n BODY[] {9000}\r\n", GuardFault::Misplaced),
        ("* 1 FETCH (X {1}\r\na{40}\r\n BODY[] {9000}\r\n", GuardFault::Misplaced),
        // A list that is skipped.
        ("* 1 FETCH (X ({40}\r\n) BODY[] {9000}\r\n", GuardFault::Misplaced),
        ("* 1 FETCH (X (a {40}\r\n) BODY[] {9000}\r\n", GuardFault::Misplaced),
        ("* 1 FETCH (X (\"a) Y \" Z (\" {40}\r\n) BODY[] {9000}\r\n", GuardFault::Misplaced),
        ("* 1 FETCH (X (a) Y (\r\n* 1 FETCH (X {40}\r\n) BODY[] {9000}\r\n", GuardFault::Unfinished),
        // A value that is skipped up to the next response.
        ("* 1 FETCH (FLAGS () X abc\r\n* 2 FETCH (X {40}\r\n", GuardFault::Unfinished),
        ("* 1 FETCH (FLAGS () X \r\n* 2 FETCH (X {40}\r\n", GuardFault::Unfinished),
        ("* 1 FETCH (X {1}\r\na\r\n", GuardFault::Unfinished),
        ("* 1 FETCH \r\n", GuardFault::Unfinished),
        // A quoted string reaches over no line end.
        ("* LIST () \"/\" \"a {40}\r\n", GuardFault::Misplaced),
        ("* LIST () \"/\" \"a\\\" {40}\r\n", GuardFault::Misplaced),
        ("* LIST () \"/\" a{40}\r\n", GuardFault::Misplaced),
        ("* {40}\r\n", GuardFault::Misplaced),
        ("* 1 {40}\r\n", GuardFault::Misplaced),
        ("{40}\r\n", GuardFault::Misplaced),
        ("* LIST () \"/\" {40-}\r\n", GuardFault::Misplaced),
        ("* LIST () \"/\" {3{40}\r\n", GuardFault::Misplaced),
    ] {
        assert_eq!(passes(stream.as_bytes()), Err(fault), "{stream:?}");
    }
    // Quoted is quoted.
    assert_eq!(passes(b"* LIST () \"\\\"\" {40}\r\n"), Ok(()));
}

#[test]
fn a_fault_stays() {
    let mut guard = Guard::new(50, 200);
    assert_eq!(guard.pass(b"* OK\r\n* OK"), Ok(()));
    assert_eq!(guard.pass(b" a\n"), Err(GuardFault::BareNewline));
    assert_eq!(guard.pass(b"* OK\r\n"), Err(GuardFault::BareNewline));
    assert_eq!(guard.pass(b""), Err(GuardFault::BareNewline));
}

/// A message that is announced within the limits is skipped, not looked at.
#[test]
fn large_literals_pass_in_pieces() {
    let mut guard = Guard::new(64 << 20, 1000);
    guard.pass(b"* 1 FETCH (BODY[] {67108864}\r\n").unwrap();
    let piece = vec![b'\n'; 1 << 20];
    for _ in 0..64 {
        guard.pass(&piece).unwrap();
    }
    assert_eq!(guard.pass(b")\r\n"), Ok(()));
    assert_eq!(guard.pass(b"\n"), Err(GuardFault::BareNewline));
}
