use mail_parser::{MessageParser, MimeHeaders, PartType};
use proptest::prelude::*;

use super::*;

const PLAIN: &[u8] = b"From: Ann <ann@client.example>\r\nSubject: =?utf-8?q?gr=C3=BCn?=\r\n and more\r\n\
    Date: Mon, 30 Nov 2026 01:02:03 +0000\r\n\r\nHello\r\n";

fn frame(reader: Reader) -> Frame<'static> {
    Frame {
        host: "mx.firm.example",
        to: &["jane@firm.example"],
        message_id: "<1@mx.firm.example>",
        date_ms: 1_795_000_000_000,
        reader,
        storm: Some("abcdefgh01234567"),
        why: "A server sent them again.",
        kept_days: 30,
    }
}

fn entry(bytes: &[u8]) -> Entry<'_> {
    Entry {
        queue_id: "0123456789abcdef",
        sender: "ann@client.example",
        recipient: "joe@firm.example",
        received_ms: 1_795_000_000_000,
        size_bytes: bytes.len() as u64,
        bytes,
        whole: true,
    }
}

fn digest(reader: Reader, entries: &[Entry<'_>]) -> Vec<u8> {
    let mut digest = Digest::new(frame(reader));
    entries.iter().for_each(|entry| digest.add(entry));
    digest.finish()
}

/// The text, and the attached messages as they come out again.
fn read(bytes: &[u8]) -> (String, Vec<Vec<u8>>) {
    let message = MessageParser::default().parse(bytes).expect("a message");
    assert!(message.content_type().is_some_and(|t| t.ctype() == "multipart" && t.subtype() == Some("mixed")));
    let top = message.parts.first().expect("the whole");
    let PartType::Multipart(ids) = &top.body else { panic!("{:?}", top.body) };
    let mut parts = ids.iter().map(|id| &message.parts[*id as usize]);
    let text = parts.next().expect("a text").text_contents().expect("text").to_owned();
    let attached = attached(bytes);
    assert_eq!(parts.count(), attached.len());
    (text, attached)
}

/// The same without a library, which has its own mind about odd messages.
fn attached(bytes: &[u8]) -> Vec<Vec<u8>> {
    let text = std::str::from_utf8(bytes).expect("ASCII");
    let (_, rest) = text.split_once("boundary=\"").expect("a boundary");
    let (boundary, rest) = rest.split_once("\"\r\n\r\n--").expect("its end");
    let rest = rest.strip_prefix(boundary).expect("the first");
    let body = rest.strip_suffix(&format!("\r\n--{boundary}--\r\n")).expect("the last");
    let content = |part: &str| {
        let (fields, content) = part.split_once("\r\n\r\n").expect("a part");
        match fields.contains("Encoding: base64") {
            true => crate::content::decode::base64(content.as_bytes()),
            false => content.as_bytes().to_vec(),
        }
    };
    body.split(&format!("\r\n--{boundary}")).skip(1).map(content).collect()
}

#[test]
fn lists_and_attaches() {
    let bytes = digest(Reader::Recipient, &[entry(PLAIN)]);
    let (text, attached) = read(&bytes);
    assert_eq!(attached, [PLAIN]);
    for line in [
        "has held back 1 message to you",
        "   From: Ann <ann@client.example>",
        "   Subject: grün and more",
        "   Date: Mon, 30 Nov 2026 01:02:03 +0000",
        "attached as message-1.eml",
        "A server sent them again.",
        "Storm: abcdefgh01234567",
        "For 30 days",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("joe@firm.example"), "it is the reader's own address");
    let whole = String::from_utf8(bytes).expect("ASCII");
    assert!(whole.contains("\r\nAuto-Submitted: auto-generated\r\n"));
    assert!(whole.contains("\r\nTo: <jane@firm.example>\r\n"));
    assert!(whole.contains("\r\nContent-Type: message/rfc822\r\n"));
}

#[test]
fn each_reader_is_told_what_is_theirs() {
    for (reader, said) in [
        (Reader::Sender, "It was not sent"),
        (Reader::Operator, "delivered to nobody"),
        (Reader::Recipient, "to you"),
    ] {
        let (text, _) = read(&digest(reader, &[entry(PLAIN)]));
        assert!(text.contains(said), "{text}");
        assert_eq!(text.contains("For: joe@firm.example"), reader != Reader::Recipient);
    }
}

#[test]
fn odd_messages_come_through_byte_for_byte() {
    let long = [b"Subject: x\r\n\r\n".as_slice(), &[b'a'; 2_000], b"\r\n"].concat();
    let odd: [&[u8]; 7] = [
        b"Subject: x\n\nbare line feeds\n",
        b"Subject: x\r\n\r\na bare\rreturn\r\n",
        "Subject: gr\u{fc}n\r\n\r\n\u{fc}\r\n".as_bytes(),
        b"Subject: x\r\n\r\n\xff\xfe\x00\r\n",
        &long,
        b"no header at all",
        b"\r\n",
    ];
    let (text, attached) = read(&digest(Reader::Recipient, &odd.map(entry)));
    assert_eq!(attached, odd, "{text}");
    for odd in &odd[..5] {
        let whole = digest(Reader::Recipient, &[entry(odd)]);
        assert!(whole.is_ascii() && !is_plain(odd));
    }
}

#[test]
fn what_finds_no_room_is_listed() {
    let large = [PLAIN, &b"0123456789abcdef\r\n".repeat(300_000)].concat();
    let mut cut = entry(PLAIN);
    cut.whole = false;
    let gone = entry(b"");
    let bytes = digest(Reader::Recipient, &[entry(&large), entry(&large), entry(PLAIN), cut, gone]);
    let (text, attached) = read(&bytes);
    assert_eq!(attached.len(), 2);
    assert!(bytes.len() < MAX_ATTACHED_BYTES + 10_000);
    assert_eq!(text.matches("too large").count(), 2);
    assert_eq!(text.matches("no longer there").count(), 1);
    assert_eq!(text.matches("Subject: grün and more").count(), 4);
}

#[test]
fn a_long_list_has_an_end() {
    let entries = vec![entry(b""); MAX_LISTED + 7];
    let (text, _) = read(&digest(Reader::Operator, &entries));
    assert!(text.contains("1007 messages") && text.contains("\r\nand 7 more\r\n"));
    assert!(text.contains("\r\n1000.\r\n") && !text.contains("\r\n1001.\r\n"));
}

proptest! {
    /// Whatever the messages hold, they come out again as they went in, and the digest is 7-bit with
    /// lines that any server takes.
    #[test]
    fn any_message_comes_through(
        messages in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 1..300),
                "(From: .{0,30}\r\n|Subject: .{0,30}\r\n|--=_quell_[0-9a-f]{32}(--)?\r\n|\r\n|\n|\r|[ -~]{0,60}\r\n){1,9}"
                    .prop_map(String::into_bytes),
            ],
            0..5,
        ),
        sender in ".{0,40}",
        why in ".{0,200}",
    ) {
        let mut digest = Digest::new(Frame { why: &why, ..frame(Reader::Sender) });
        for bytes in &messages {
            digest.add(&Entry { sender: &sender, recipient: &why, ..entry(bytes) });
        }
        let bytes = digest.finish();
        prop_assert!(is_plain(&bytes));
        prop_assert_eq!(attached(&bytes), messages);
    }
}
