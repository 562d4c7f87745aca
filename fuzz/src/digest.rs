//! What a digest says on: held messages, whatever they are.

use quell_mail::automatic::automatic;
use quell_mail::digest::{Digest, Entry, Frame, MAX_ATTACHED_BYTES, Reader};
use quell_mail::header::{fields, split};

/// Room for all that is no attached message, for each message.
const MAX_REST_BYTES: usize = 16 << 10;

/// A digest, its words and its messages between bytes 0x1F: it is 7-bit, its header is its own and ends
/// where it should, its lines are lines, its boundary stands where parts end and nowhere else, each message is
/// in one part, and it is bounded.
pub fn digest(bytes: &[u8]) {
    let mut pieces = bytes.splitn(12, |b| *b == 0x1f);
    let mut next = || pieces.next().unwrap_or_default();
    let flags = next().first().copied().unwrap_or(0);
    let texts: Vec<String> = (0..4).map(|_| String::from_utf8_lossy(next()).into_owned()).collect();
    let text = |i: usize| texts[i].as_str();
    let to = [text(1)];
    let mut digest = Digest::new(Frame {
        host: text(0),
        to: &to,
        message_id: "<0123456789abcdef@mx.firm.example>",
        date_ms: 0,
        reader: [Reader::Recipient, Reader::Sender, Reader::Operator][usize::from(flags % 3)],
        storm: Some(text(2)),
        why: text(3),
        kept_days: 30,
    });
    let messages: Vec<&[u8]> = pieces.collect();
    let whole = flags & 4 == 0;
    for message in &messages {
        digest.add(&Entry {
            queue_id: "0123456789abcdef",
            sender: text(1),
            recipient: text(2),
            received_ms: i64::from(flags),
            size_bytes: message.len() as u64,
            bytes: message,
            whole,
        });
    }
    let bytes = digest.finish();
    let header = split(&bytes).0;
    assert!(automatic(header, "x").is_some() && fields(header).all(|f| !f.name.is_empty()));
    for line in bytes.strip_suffix(b"\n").expect("a line's end").split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").expect("CRLF");
        assert!(line.is_ascii() && line.len() <= 998 && !line.contains(&b'\r') && !line.contains(&0));
    }
    let attached = messages.iter().filter(|message| whole && !message.is_empty()).count();
    let boundary = String::from_utf8_lossy(header);
    let boundary = boundary.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next());
    let delimiter = format!("\r\n--{}", boundary.expect("a boundary"));
    let text = String::from_utf8_lossy(&bytes[header.len()..]);
    // The text, the messages, the end.
    assert_eq!(text.matches(&delimiter).count(), 1 + attached + 1);
    assert!(text.ends_with(&format!("{delimiter}--\r\n")));
    assert!(bytes.len() <= MAX_ATTACHED_BYTES + (1 + messages.len()) * MAX_REST_BYTES);
}
