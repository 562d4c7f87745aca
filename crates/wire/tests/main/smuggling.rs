//! SMTP smuggling: what other servers took for the end of content, or for two commands. The ends
//! are those of smtp_smuggling_scanner, smtpsmug and the advisories CVE-2023-51764, -51765, -51766,
//! and every other short mixture.

use std::sync::Arc;

use quell_wire::fuzz::session_log;
use quell_wire::reply::Reply;
use quell_wire::server::{BareNewlines, Settings};

const PUBLISHED: [&[u8]; 22] = [
    b"\n.\n",
    b"\n.\r",
    b"\r.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n\x00.\r\n",
    b"\r\n.\x00\r\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\r\n.\r\n",
    b"\n\n.\r\n",
    b"\n\r.\r\n",
    b"\n\r\n.\n\r",
    b"\r\n. \r\n",
    b"\r\n.\t\r\n",
    b"\r\n..\r\n",
    b"\n..\n",
    b"\r\n.\x0b\n",
    b"\r\n\x85.\r\n",
];

fn log(bare_newlines: BareNewlines, stream: &[u8], cut: usize) -> Vec<String> {
    let settings = Settings { bare_newlines, ..Settings::new("mx") };
    session_log(&Arc::new(settings), stream, cut, &mut |_| Reply::new(250, (0, 0), "ok"))
}

/// A message that ends in `end`, a second one behind it, and an honest end.
fn stream(end: &[u8]) -> Vec<u8> {
    let first = b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: one\r\n\r\nx";
    let second = b"MAIL FROM:<admin@d>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: two\r\n\r\ny\r\n.\r\n";
    [first.as_slice(), end, second].concat()
}

fn mails(log: &[String]) -> usize {
    log.iter().filter(|line| line.starts_with("E: mail")).count()
}

#[test]
fn no_published_end_ends_a_message() {
    for end in PUBLISHED {
        for cut in [usize::MAX, 1, 3] {
            let log = log(BareNewlines::Refuse, &stream(end), cut);
            assert_eq!(mails(&log), 1, "{}: {log:#?}", end.escape_ascii());
        }
    }
}

#[test]
fn a_refused_message_ends_the_session() {
    for end in PUBLISHED.iter().filter(|end| has_bare_newline(end)) {
        let log = log(BareNewlines::Refuse, &stream(end), 1);
        let last: Vec<&str> = log.iter().rev().take(4).rev().map(String::as_str).collect();
        assert_eq!(
            last,
            [
                "E: reset",
                "S: 550 5.6.0 bare <CR> or <LF> in message, RFC 5321 2.3.8",
                "S: 421 4.7.0 closing, see above",
                "E: closed BareNewline",
            ]
        );
    }
}

#[test]
fn only_an_end_between_crlfs_ends_a_message_of_our_own_machines() {
    for end in PUBLISHED {
        let log = log(BareNewlines::Normalise, &stream(end), 2);
        // Here CR CRLF.CRLF is an end, as RFC 5321 has it; nobody smuggles through a machine of
        // the house that sends a bare CR.
        let honest = end.windows(5).any(|five| five == b"\r\n.\r\n");
        assert_eq!(mails(&log), 1 + usize::from(honest), "{}", end.escape_ascii());
    }
}

fn has_bare_newline(bytes: &[u8]) -> bool {
    let rest = String::from_utf8_lossy(bytes).replace("\r\n", "");
    rest.contains(['\r', '\n'])
}

/// All mixtures of CR, LF, dot and NUL up to seven bytes: a second message is seen exactly if the
/// mixture holds CRLF.CRLF and nothing bare stands before it.
#[test]
fn every_short_mixture() {
    let alphabet = b"\r\n.\0";
    for length in 1..=7u32 {
        for number in 0..4usize.pow(length) {
            let end: Vec<u8> = (0..length).map(|i| alphabet[number >> (2 * i) & 3]).collect();
            let log = log(BareNewlines::Refuse, &stream(&end), usize::MAX);
            let before = end.windows(5).position(|five| five == b"\r\n.\r\n");
            let after = before.map_or(&[][..], |at| &end[at + 5..]);
            let expected = match before {
                // What follows the end is read as a command; only nothing leaves MAIL as it is.
                Some(at) if !has_bare_newline(&end[..at]) => {
                    usize::from(after.iter().all(|b| b"\r\n".contains(b)) && !has_bare_newline(after))
                }
                _ => 0,
            };
            assert_eq!(mails(&log), 1 + expected, "{}", end.escape_ascii());
        }
    }
}

/// A command line with a stray CR or LF is one command to some and two to others: it is none here.
#[test]
fn no_stray_newline_makes_a_command() {
    for end in [&b"\n"[..], b"\r", b"\n\r", b"\r\r\n", b"\n\n", b"\r\0\n"] {
        for before in ["NOOP", "RCPT TO:<c@d>", "EHLO x", &"x".repeat(5000)] {
            let stream = [b"EHLO a\r\n", before.as_bytes(), end, b"MAIL FROM:<a@b>\r\nQUIT\r\n"].concat();
            for cut in [usize::MAX, 1] {
                let log = log(BareNewlines::Refuse, &stream, cut);
                assert_eq!(mails(&log), 0, "{before}{}: {log:#?}", end.escape_ascii());
            }
        }
    }
}
