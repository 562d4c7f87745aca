//! SMTP smuggling, in all published variants, against the running server.
//!
//! A client sends one message whose content holds something that other servers took for its end,
//! and behind it a second transaction. A mail with that second envelope must never come to be.

use crate::support::server::config;
use crate::support::smtp::Client;
use crate::support::{Server, TempDir, maildir, wait_until};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Ends from smtp_smuggling_scanner, smtpsmug and the advisories CVE-2023-51764, -51765, -51766.
const PUBLISHED: [&[u8]; 24] = [
    b"\n.\n",
    b"\n.\r",
    b"\r.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\r\0\n",
    b"\r\n.\r\r\n",
    b"\r\0\n.\r\0\n",
    b"\n\n.\r\n",
    b"\n\r.\r\n",
    b"\n\r\n.\n\r",
    b"\r\n. \r\n",
    b"\r\n.\t\r\n",
    b"\r\n..\r\n",
    b"\n..\n",
    b"\r\n.\x0b\n",
    b"\r\n\x85.\r\n",
    b"\r\n.\x0c\r\n",
    b"\n.\r\n\r\n",
];

/// A bare CR before the true end: an end indeed, so from outside the message before it is refused
/// and the session closed; what our own machines put behind it is honest pipelining.
const AFTER_A_BARE_CR: [&[u8]; 3] = [b"\r\r\n.\r\n", b"\r\r\n.\r\r\n\r\n.\r\n", b"x\ry\r\n.\r\n"];

const HONEST: &str = "honest@client.example";
const SMUGGLER: &str = "smuggler@client.example";

/// All mixtures of CR, LF, dot and NUL of up to four bytes. None can hold CRLF.CRLF.
fn mixtures() -> Vec<Vec<u8>> {
    let alphabet = b"\r\n.\0";
    let all = (1..=4u32).flat_map(|length| (0..4usize.pow(length)).map(move |number| (length, number)));
    all.map(|(length, number)| (0..length).map(|at| alphabet[number >> (2 * at) & 3]).collect()).collect()
}

/// What stands between the outer DATA and the true end.
fn content(end: &[u8]) -> Vec<u8> {
    let first = b"Subject: one\r\n\r\nx";
    let second = format!(
        "MAIL FROM:<{SMUGGLER}>\r\nRCPT TO:<jane@firm.example>\r\nDATA\r\nSubject: two\r\n\
         X-Test-Id: smuggled\r\n\r\ny"
    );
    [first, end, second.as_bytes()].concat()
}

/// CR without LF and LF without CR.
fn bare_newlines(bytes: &[u8]) -> u64 {
    let pairs = bytes.windows(2).filter(|pair| pair == b"\r\n").count();
    let all = bytes.iter().filter(|byte| b"\r\n".contains(byte)).count();
    (all - 2 * pairs) as u64
}

/// Everything the server says after 354 until it closes. `cut`: bytes sent at a time.
fn smuggle(server: &Server, end: &[u8], cut: usize) -> String {
    let mut client = Client::hello(server.smtp_port);
    let begin =
        [format!("MAIL FROM:<{HONEST}>"), "RCPT TO:<jane@firm.example>".to_owned(), "DATA".to_owned()];
    let replies = client.pipelined(&begin).expect("replies");
    assert_eq!(replies.iter().map(|reply| reply.code).collect::<Vec<_>>(), [250, 250, 354]);
    let stream = [&content(end)[..], b"\r\n.\r\nQUIT\r\n"].concat();
    for piece in stream.chunks(cut) {
        // A server that has closed already is what is hoped for.
        if client.raw(piece).is_err() {
            break;
        }
    }
    client.rest()
}

fn all_mails(folder: &Path, found: &mut Vec<maildir::Mail>) {
    if folder.join("new").is_dir() {
        return found.extend(maildir::read(folder));
    }
    for entry in std::fs::read_dir(folder).expect("a folder") {
        all_mails(&entry.expect("an entry").path(), found);
    }
}

/// Waits until `expected` mails lie in all Maildirs together, and looks at each.
fn assert_none_smuggled(server: &Server, expected: usize) {
    let mails = || {
        let mut mails = Vec::new();
        all_mails(&server.data.join("mail"), &mut mails);
        mails
    };
    wait_until(Duration::from_secs(60), || mails().len() >= expected);
    std::thread::sleep(Duration::from_millis(100));
    let mails = mails();
    for mail in &mails {
        let from = maildir::field(&mail.content, "Return-Path");
        assert_eq!(from.as_deref(), Some(&*format!("<{HONEST}>")), "{:?}", mail.path);
        assert_eq!(mail.test_id, None, "{:?}", mail.path);
        assert!(!mail.content.contains(&b'\r'), "{:?}", mail.path);
        let smuggled = [b"MAIL FROM:<", SMUGGLER.as_bytes()].concat();
        assert!(mail.content.windows(smuggled.len()).any(|part| part == smuggled), "cut: {:?}", mail.path);
    }
    assert_eq!(mails.len(), expected);
}

/// `quell_bare_newlines_total` of `/metrics`.
fn counted(server: &Server) -> u64 {
    let (status, text) = server.get("/metrics");
    assert_eq!(status, 200);
    let line = text.lines().find(|line| line.starts_with("quell_bare_newlines_total "));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("the metric")
}

/// 127.0.0.1 is a client from outside.
fn outside(name: &str) -> (TempDir, Server) {
    let directory = TempDir::new(name);
    let server = Server::start(&directory, &config("[relay]\nfrom = [\"10.0.0.0/8\"]\n"));
    (directory, server)
}

/// From outside: a bare newline means that the whole message is refused and the session ends, so
/// that nothing behind it is read; without one the content is one message to its true end.
#[test]
fn from_outside_it_is_refused() {
    let (_directory, server) = outside("smuggle-out");
    let mut expected = 0;
    let published = PUBLISHED.iter().flat_map(|end| [usize::MAX, 1].map(|cut| (end.to_vec(), cut)));
    let bare_cr = AFTER_A_BARE_CR.map(|end| (end.to_vec(), usize::MAX));
    let mixed = mixtures().into_iter().map(|end| (end, usize::MAX));
    for (end, cut) in published.chain(bare_cr).chain(mixed) {
        let said = smuggle(&server, &end, cut);
        let codes: Vec<&str> = said.lines().map(|line| line.get(..9).unwrap_or(line)).collect();
        if bare_newlines(&end) > 0 {
            assert_eq!(codes, ["550 5.6.0", "421 4.7.0"], "{}: {said}", end.escape_ascii());
        } else {
            assert_eq!(codes, ["250 2.0.0", "221 2.0.0"], "{}: {said}", end.escape_ascii());
            expected += 1;
        }
    }
    assert!(expected > 20, "{expected}");
    assert_none_smuggled(&server, expected);
    assert_eq!(counted(&server), 0, "nothing was normalised");
}

/// From our own machines: one message each, every bare newline made CRLF and counted.
#[test]
fn from_inside_it_is_one_message() {
    let directory = TempDir::new("smuggle-in");
    let server = Server::start(&directory, &config(""));
    let (mut expected, mut bare) = (0, 0);
    let published = PUBLISHED.iter().flat_map(|end| [usize::MAX, 1].map(|cut| (end.to_vec(), cut)));
    for (end, cut) in published.chain(mixtures().into_iter().map(|end| (end, usize::MAX))) {
        let said = smuggle(&server, &end, cut);
        let codes: Vec<&str> = said.lines().map(|line| &line[..9]).collect();
        assert_eq!(codes, ["250 2.0.0", "221 2.0.0"], "{}: {said}", end.escape_ascii());
        expected += 1;
        bare += bare_newlines(&end);
    }
    assert_none_smuggled(&server, expected);
    wait_until(Duration::from_secs(10), || counted(&server) >= bare);
    assert_eq!(counted(&server), bare);
}

/// A chunk has its length: nothing in it ends it, and what follows a refused one is not hidden.
#[test]
fn nothing_ends_a_chunk() {
    let (_directory, server) = outside("smuggle-bdat");
    let mut client = Client::hello(server.smtp_port);
    let mail = format!("MAIL FROM:<{HONEST}>");
    for end in PUBLISHED.into_iter().chain(AFTER_A_BARE_CR) {
        let message = content(end);
        for chunk in [usize::MAX, 20, 1] {
            let replies =
                client.send_chunks(&mail, &["jane@firm.example"], &message, chunk).expect("replies");
            let last = replies.last().expect("a reply");
            let what = end.escape_ascii();
            match bare_newlines(end) {
                0 => assert_eq!(last.code, 250, "{what}: {last:?}"),
                _ => assert_eq!((last.code, &last.lines[0][..5]), (550, "5.6.0"), "{what}: {last:?}"),
            }
            assert_eq!(client.command("RSET").expect("a reply").code, 250);
        }
    }
    client.quit().expect("a reply");
    let clean = PUBLISHED.iter().filter(|end| bare_newlines(end) == 0).count();
    assert_none_smuggled(&server, 3 * clean);
}

/// A command with a stray CR or LF is one command to some servers and two to others: here it is
/// none, and the session ends.
#[test]
fn no_stray_newline_makes_a_command() {
    let (_directory, server) = outside("smuggle-commands");
    let long = "x".repeat(5000);
    for end in ["\n", "\r", "\n\r", "\r\r\n", "\n\n", "\r\0\n"] {
        for before in ["NOOP", "RSET", "EHLO x", "VRFY <a@b>", &long] {
            let mut client = Client::hello(server.smtp_port);
            let smuggled = format!(
                "MAIL FROM:<{SMUGGLER}>\r\nRCPT TO:<jane@firm.example>\r\nDATA\r\nX-Test-Id: s\r\n\r\n.\r\nQUIT\r\n"
            );
            let _ = client.raw(format!("{before}{end}{smuggled}").as_bytes());
            let said = client.rest();
            let what = format!("{}{}: {said}", &before[..4], end.escape_default());
            assert!(!said.contains("354") && !said.contains("queued as"), "{what}");
            assert!(said.starts_with("500 5.5.") && said.contains("\r\n421 "), "{what}");
        }
    }
    assert_none_smuggled(&server, 0);
    assert_eq!(queue_rows(&server), 0, "nothing waits either");
}

fn queue_rows(server: &Server) -> usize {
    let said = crate::support::process::run(&mut server.command(&["queue", "list", "--json"]));
    said.matches("\"rcpt\"").count()
}

/// The Maildir of jane is where an honest mail goes, so the tests above could have failed.
#[test]
fn an_honest_second_mail_arrives() {
    let (_directory, server) = outside("smuggle-honest");
    let said = smuggle(&server, b"\r\n.\r\n", usize::MAX);
    assert_eq!(said.matches("queued as").count(), 2, "{said}");
    let jane: PathBuf = server.maildir("firm.example", "jane");
    assert!(wait_until(Duration::from_secs(30), || maildir::counts(&jane).contains_key("smuggled")));
    assert_eq!(maildir::count(&jane), 2);
}
