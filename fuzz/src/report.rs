//! What a report says on: words of senders, of other servers, and the message itself.

use quell_mail::automatic::automatic;
use quell_mail::dsn::{Action, MAX_HEADER_BYTES, MAX_LINE_BYTES, MAX_ORIGINAL_BYTES, Original, Report, Told};
use quell_mail::header::{fields, split};

/// Room for all that is no original.
const MAX_REST_BYTES: usize = 64 << 10;

/// A report, its words between the first bytes 0x1F and the original after them: its header is its
/// own and ends where it should, its lines are lines, its boundary stands where parts end and nowhere
/// else, and it is bounded.
pub fn report(bytes: &[u8]) {
    let mut pieces = bytes.splitn(9, |b| *b == 0x1f);
    let mut next = || pieces.next().unwrap_or_default();
    let flags = next().first().copied().unwrap_or(0);
    let texts: Vec<String> = (0..7).map(|_| String::from_utf8_lossy(next()).into_owned()).collect();
    let original = next();
    let text = |i: usize| texts[i].as_str();
    let actions = [Action::Failed, Action::Delayed, Action::Delivered, Action::Relayed];
    let told = Told {
        final_recipient: text(0),
        as_given: text(1),
        orcpt: Some(text(2)),
        action: actions[usize::from(flags & 3)],
        status: text(3),
        remote_mta: Some(text(4)),
        maybe_delivered: flags & 4 != 0,
        last_attempt_ms: Some(0),
        will_retry_until_ms: Some(i64::from(flags)),
    };
    let report = Report {
        host: text(4),
        to: text(5),
        message_id: "<0123456789abcdef@mx.firm.example>",
        date_ms: 0,
        arrival_ms: 0,
        envid: Some(text(6)),
        ret_full: (flags & 8 != 0).then_some(flags & 16 != 0),
        smtputf8: flags & 32 != 0,
        told: &[told],
        collected: None,
        original: Original { bytes: original, whole: flags & 64 != 0 },
    };
    let composed = report.compose();
    let (header, _) = split(&composed.bytes);
    assert_eq!(header.len(), composed.header_bytes);
    assert!(automatic(header, "x").is_some() && fields(header).all(|f| !f.name.is_empty()));
    assert!(composed.smtputf8 || header.is_ascii());
    for line in composed.bytes.strip_suffix(b"\n").expect("a line's end").split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").expect("CRLF");
        assert!(line.len() <= MAX_LINE_BYTES && !line.contains(&b'\r') && !line.contains(&0));
    }
    one_boundary(header, &composed.bytes[header.len()..]);
    let most = MAX_ORIGINAL_BYTES.max(MAX_HEADER_BYTES) * 3 + MAX_REST_BYTES;
    assert!(composed.bytes.len() <= most, "{} bytes", composed.bytes.len());
}

/// Two or three parts, and the end at the end.
fn one_boundary(header: &[u8], body: &[u8]) {
    let header = String::from_utf8_lossy(header);
    let boundary = header.rsplit("boundary=\"").next().and_then(|rest| rest.split('"').next()).expect("one");
    let body = body.iter().map(|b| char::from(*b)).collect::<String>();
    let found = body.matches(boundary).count();
    assert!((3..=4).contains(&found), "{found}");
    assert_eq!(body.matches(&format!("\r\n--{boundary}\r\n")).count(), found - 1);
    assert!(body.ends_with(&format!("\r\n--{boundary}--\r\n")));
}
