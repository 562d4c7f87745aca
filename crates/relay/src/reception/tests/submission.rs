//! Submission: nobody without sign-in, nobody under a stranger's address, nothing without Message-ID and Date.

use quell_mail::exact::exact_key;
use quell_queue::door::Bytes;

use super::sign_in::{SIGN_IN, client};
use super::*;

fn signed_in<'a>(memory: &Arc<Memory>, world: &'a Ground) -> Client<'a> {
    let mut client = client(memory, world, true);
    assert!(client.says(SIGN_IN).starts_with("235 "));
    client
}

/// Sends a message; the answer to its end.
fn send(client: &mut Client<'_>, from: &str, message: &str) -> String {
    let envelope = format!("MAIL FROM:<{from}>\r\nRCPT TO:<max@other.example>\r\nDATA\r\n");
    let said = client.says(envelope.as_bytes());
    assert!(said.contains("\r\n354 "), "{said}");
    client.says(format!("{message}\r\n.\r\n").as_bytes())
}

#[test]
fn nobody_gets_further_than_sign_in_without_it() {
    let (memory, world) = (Memory::new(16 * MIB), Ground::new("sub-none"));
    let mut client = client(&memory, &world, true);
    let said = client.says(b"MAIL FROM:<jane@firm.example>\r\nRCPT TO:<postmaster@firm.example>\r\nDATA\r\n");
    let codes: Vec<_> = said.lines().map(|line| &line[..9]).collect();
    assert_eq!(codes, ["530 5.7.0", "503 5.5.1", "503 5.5.1"]);
    assert!(client.says(SIGN_IN).starts_with("235 "));
    assert!(client.says(b"MAIL FROM:<jane@firm.example>\r\n").starts_with("250 "));
    // Other domains are for users.
    assert!(client.says(b"RCPT TO:<max@other.example>\r\n").starts_with("250 2.1.5 "));
}

#[test]
fn the_reverse_path_is_the_users() {
    let (memory, world) = (Memory::new(16 * MIB), Ground::new("sub-path"));
    let mut jane = signed_in(&memory, &world);
    for (path, code) in [
        ("jane@firm.example", "250 2.1.0"),
        ("JANE+lists@Firm.Example", "250 2.1.0"),
        ("anybody@box.example", "250 2.1.0"),
        ("", "250 2.1.0"),
        ("boss@firm.example", "550 5.7.1"),
        ("jane@other.example", "550 5.7.1"),
        ("jane@sub.box.example", "550 5.7.1"),
    ] {
        let said = jane.says(format!("MAIL FROM:<{path}>\r\nRSET\r\n").as_bytes());
        assert!(said.starts_with(code), "{path}: {said}");
    }
    let said = jane.says(b"MAIL FROM:<boss@firm.example>\r\n");
    assert!(said.contains("<boss@firm.example> in MAIL FROM is not yours"), "{said}");
    // Who signs in at another listener is bound as well.
    let mut other = client(&memory, &world, false);
    other.says(SIGN_IN);
    assert!(other.says(b"MAIL FROM:<boss@firm.example>\r\n").starts_with("550 5.7.1 "));
}

#[test]
fn from_and_sender_are_the_users_however_the_message_comes() {
    let (memory, world) = (Memory::new(16 * MIB), Ground::new("sub-from"));
    let mut client = signed_in(&memory, &world);
    for (message, code) in [
        ("From: Jane <jane@firm.example>\r\n\r\nx", "250 2.0.0"),
        (
            "From: \"Doe, Jane\" <jane+x@firm.example>,\r\n a@box.example\r\nSender: b@box.example\r\n\r\nx",
            "250 2.0.0",
        ),
        ("From: boss@firm.example\r\n\r\nx", "550 5.7.1"),
        ("From: jane@firm.example, boss@firm.example\r\n\r\nx", "550 5.7.1"),
        ("From: jane@firm.example\r\nSender: boss@firm.example\r\n\r\nx", "550 5.7.1"),
        ("From: jane@firm.example\r\nfrom : boss@firm.example\r\n\r\nx", "550 5.6.0"),
        ("From: Jane\r\n\r\nx", "550 5.6.0"),
        ("Subject: x\r\n\r\nFrom: jane@firm.example", "550 5.6.0"),
        ("From: boss@firm.example", "550 5.7.1"),
        ("From: jane@firm.example", "250 2.0.0"),
    ] {
        let said = send(&mut client, "jane@firm.example", message);
        assert!(said.starts_with(code), "{message}: {said}");
        // It stays bound behind what is kept of a long header, and with the null reverse-path.
        if message.contains("\r\n\r\n") {
            let long = format!("{}{message}", FIELD.repeat((128 << 10) / FIELD.len()));
            let said = send(&mut client, "", &long);
            assert!(said.starts_with(code), "{message}: {said}");
        }
    }
    assert_eq!(memory.used_bytes(), 0);
}

#[test]
fn what_is_missing_stands_below_our_received() {
    let (memory, world) = (Memory::new(16 * MIB), Ground::new("sub-missing"));
    let mut client = signed_in(&memory, &world);
    let id = QueueId::new(1, 0, 1);
    let message_id = format!("<{id}@mx.firm.example>");
    let (from, date) = ("From: jane@firm.example\r\n", "Date: Sat, 21 Nov 2026 23:20:44 +0000\r\n");
    for (own, added) in [
        (String::new(), format!("Message-ID: {message_id}\r\n{date}")),
        ("Message-ID: <own@laptop>\r\n".to_owned(), date.to_owned()),
        (format!("Message-ID: <own@laptop>\r\n{date}"), String::new()),
    ] {
        for body in ["x\r\n".to_owned(), "A line of a large message.\r\n".repeat(20_000)] {
            let message = format!("{own}{from}\r\n{body}");
            assert!(send(&mut client, "jane@firm.example", message.trim_end()).starts_with("250 "));
            let given = client.given.pop().unwrap();
            let front = String::from_utf8(given.front.clone()).unwrap();
            assert!(front.starts_with("Received: ") && front.ends_with(&format!("\r\n{added}")), "{front}");
            assert_eq!(front.matches("\r\nDate: ").count(), usize::from(added.contains("Date: ")));
            // The key is that of what goes out.
            let whole = format!("{front}{message}");
            assert_eq!(given.facts.exact_key, exact_key(whole.as_bytes(), NOW).ok());
            assert!(given.facts.exact_key.is_some());
            let wanted = if own.is_empty() { &message_id } else { "<own@laptop>" };
            assert_eq!(given.facts.message_id.as_deref(), Some(wanted));
            assert!(given.facts.said.letter.message_id.is_some());
            assert_eq!(given.facts.size_bytes, message.len() as u64);
            assert_eq!(matches!(given.bytes, Bytes::Large(_)), body.len() > 256 << 10);
        }
    }
}

#[test]
fn nothing_is_added_to_what_others_send() {
    let (memory, world) = (Memory::new(16 * MIB), Ground::new("sub-others"));
    let mut client = Client::new(&memory, &world, true);
    client.says(b"EHLO a\r\n");
    assert!(send(&mut client, "x@y.example", "Subject: x\r\n\r\nx").starts_with("250 "));
    let front = String::from_utf8(client.given[0].front.clone()).unwrap();
    assert!(!front.contains("Message-ID:") && !front.contains("Date:"), "{front}");
    assert_eq!(client.given[0].facts.exact_key, None);
}
