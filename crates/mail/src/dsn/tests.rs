use mail_parser::{MessageParser, MimeHeaders};
use proptest::prelude::*;

use super::*;
use crate::header::fields;

/// Sat, 21 Nov 2026 23:20:44 UTC.
const DATE_MS: i64 = 1_795_303_244_000;
const HOUR_MS: i64 = 3_600_000;

const MESSAGE: &str = "From: Ann <ann@client.example>\r\nTo: jane@firm.example\r\nSubject: offer\r\n\
    Message-ID: <1@client.example>\r\nDate: Sat, 21 Nov 2026 22:20:44 +0000\r\n\r\nHello Jane,\r\n\
    here it is.\r\n";

fn told(action: Action, status: &'static str) -> Told<'static> {
    Told {
        final_recipient: "jane@firm.example",
        as_given: "Jane+offers@firm.example",
        orcpt: None,
        action,
        status,
        remote_mta: None,
        maybe_delivered: false,
        last_attempt_ms: Some(DATE_MS - 1000),
        will_retry_until_ms: None,
    }
}

fn report<'a>(told: &'a [Told<'a>], original: &'a [u8]) -> Report<'a> {
    Report {
        host: "mx.firm.example",
        to: "ann@client.example",
        message_id: "<0123456789abcdef@mx.firm.example>",
        date_ms: DATE_MS,
        arrival_ms: DATE_MS - HOUR_MS,
        envid: None,
        ret_full: None,
        smtputf8: false,
        told,
        collected: None,
        original: Original { bytes: original, whole: true },
    }
}

/// Compares with a file of `golden/`; with QUELL_WRITE_GOLDEN set it is written instead.
fn golden(name: &str, expected: &str, composed: &Composed) {
    assert_well_formed(composed);
    let text = std::str::from_utf8(&composed.bytes).unwrap();
    if std::env::var_os("QUELL_WRITE_GOLDEN").is_some() {
        let path = format!("{}/src/dsn/golden/{name}", env!("CARGO_MANIFEST_DIR"));
        return std::fs::write(path, text.replace("\r\n", "\n")).unwrap();
    }
    assert_eq!(text, expected.replace('\n', "\r\n"), "{name}");
}

macro_rules! golden {
    ($name:literal, $composed:expr) => {
        golden($name, include_str!(concat!("golden/", $name)), $composed)
    };
}

fn assert_well_formed(composed: &Composed) {
    let bytes = &composed.bytes;
    let lines: Vec<_> = bytes.strip_suffix(b"\r\n").unwrap().split(|b| *b == b'\n').collect();
    for (i, line) in lines.iter().enumerate() {
        let line = if i + 1 < lines.len() { line.strip_suffix(b"\r").unwrap() } else { line };
        assert!(line.len() <= MAX_LINE_BYTES && !line.contains(&b'\r') && !line.contains(&0));
    }
    assert_eq!(composed.eight_bit, !bytes.is_ascii());
    let header = &bytes[..composed.header_bytes];
    assert!(bytes[composed.header_bytes..].starts_with(b"\r\n"));
    assert_eq!(crate::header::split(bytes).0, header);
    assert!(composed.smtputf8 || header.is_ascii());
    let names: Vec<_> = fields(header).map(|f| String::from_utf8_lossy(f.name).into_owned()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).filter(|n| *n != "References").collect();
    let wanted =
        ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"];
    assert_eq!(names, wanted);
}

/// The content types of the parts, as a reader of mail sees them.
fn part_types(composed: &Composed) -> Vec<String> {
    let message = MessageParser::new().parse(&composed.bytes).unwrap();
    let kind = message.content_type().unwrap();
    assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("report")));
    assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
    let root = message.parts[0].sub_parts().unwrap();
    let kinds = root.iter().map(|i| message.parts[*i as usize].content_type().unwrap());
    kinds.map(|k| format!("{}/{}", k.ctype(), k.subtype().unwrap())).collect()
}

#[test]
fn a_failure_with_the_message() {
    let all = [
        Told { remote_mta: Some("192.0.2.1"), ..told(Action::Failed, "5.1.1 550 no such user here") },
        Told {
            final_recipient: "bob@other.example",
            as_given: "bob@other.example",
            orcpt: Some("rfc822;bob+2Blist@other.example"),
            maybe_delivered: true,
            ..told(Action::Failed, "4.4.2 it may have been delivered; the answer stayed away")
        },
    ];
    let composed = Report { envid: Some("QQ+2B7"), ..report(&all, MESSAGE.as_bytes()) }.compose();
    golden!("failed.eml", &composed);
    assert_eq!(part_types(&composed), ["text/plain", "message/delivery-status", "message/rfc822"]);
    assert!(!composed.smtputf8 && !composed.eight_bit);
}

#[test]
fn a_delay_with_the_header() {
    let until = Some(DATE_MS + 5 * 24 * HOUR_MS);
    let all = [Told {
        will_retry_until_ms: until,
        ..told(Action::Delayed, "4.4.1 no answer from mx.firm.example")
    }];
    let composed = Report { ret_full: Some(true), ..report(&all, MESSAGE.as_bytes()) }.compose();
    golden!("delayed.eml", &composed);
    assert_eq!(part_types(&composed), ["text/plain", "message/delivery-status", "text/rfc822-headers"]);
}

#[test]
fn success_and_what_is_mixed() {
    let all = [
        told(Action::Relayed, "2.0.0 taken by the next hop"),
        told(Action::Delivered, "2.0.0 delivered"),
        told(Action::Failed, "5.2.2 552 over quota"),
    ];
    let composed = Report { ret_full: Some(false), ..report(&all, MESSAGE.as_bytes()) }.compose();
    golden!("mixed.eml", &composed);
    for (told, subject) in all.iter().zip(["handed to the next server", "was delivered", "not be delivered"])
    {
        let one = [*told];
        let bytes = report(&one, b"").compose().bytes;
        assert!(String::from_utf8(bytes).unwrap().contains(subject));
    }
}

#[test]
fn addresses_in_utf_8() {
    let all = [Told {
        final_recipient: "gr\u{fc}n@firm.example",
        as_given: "gr\u{fc}n@firm.example",
        orcpt: Some("utf-8;gr\\x{FC}n@firm.example"),
        ..told(Action::Failed, "5.1.1 550 gr\u{fc}n is not here")
    }];
    let message = "From: J\u{f6}rg <j\u{f6}rg@client.example>\r\n\r\nHello\r\n";
    let utf8 = Report { to: "j\u{f6}rg@client.example", smtputf8: true, ..report(&all, message.as_bytes()) };
    let composed = utf8.compose();
    golden!("utf8.eml", &composed);
    assert_eq!(part_types(&composed), ["text/plain", "message/global-delivery-status", "message/global"]);
    assert!(composed.smtputf8 && composed.eight_bit);
    let headers = Report { ret_full: Some(false), ..utf8 }.compose();
    assert_eq!(part_types(&headers)[2], "message/global-headers");
    // To somebody who sent no UTF-8 none is said.
    let composed = report(&all, MESSAGE.as_bytes()).compose();
    golden!("utf8-in-ascii.eml", &composed);
    assert!(!composed.smtputf8);
    // A header with other bytes goes back as it came.
    let composed = report(&all, b"Subject: gr\xfcn\r\n\r\nx\r\n").compose();
    assert_eq!((part_types(&composed)[2].as_str(), composed.smtputf8), ("message/rfc822", false));
    assert!(composed.eight_bit);
}

#[test]
fn how_much_of_the_original_is_returned() {
    let all = [told(Action::Failed, "5.1.1 no")];
    let returned = |bytes: &[u8], whole| {
        let report = Report { original: Original { bytes, whole }, ..report(&all, b"") };
        let composed = report.compose();
        assert_well_formed(&composed);
        part_types(&composed).get(2).cloned()
    };
    let (full, header) = (Some("message/rfc822".to_owned()), Some("text/rfc822-headers".to_owned()));
    let of =
        |bytes: usize| [b"A: b\r\n\r\n".to_vec(), b"line of sixteen\n".repeat((bytes - 8) / 16)].concat();
    assert_eq!(returned(&of(MAX_ORIGINAL_BYTES), true), full);
    assert_eq!(returned(&of(MAX_ORIGINAL_BYTES + 32), true), header);
    assert_eq!(returned(b"A: b\r\n\r\nx", false), header);
    let long = |n| [b"A: b\r\n\r\n".to_vec(), vec![b'x'; n]].concat();
    assert_eq!(returned(&long(MAX_LINE_BYTES), true), full);
    assert_eq!(returned(&long(MAX_LINE_BYTES + 1), true), header);
    assert_eq!(returned(b"A: b\r\n\r\n\0", true), header);
    assert_eq!(returned(b"A: b", true), full);
    assert_eq!(returned(b"", true), None);
}

#[test]
fn a_header_without_end_is_cut_between_fields() {
    let all = [told(Action::Delayed, "4.0.0 x")];
    let header = "X-Line: 0123456789\r\n".repeat(10_000);
    let text = String::from_utf8(report(&all, header.as_bytes()).compose().bytes).unwrap();
    let kept = text.matches("X-Line: 0123456789\r\n").count();
    assert_eq!(kept, MAX_HEADER_BYTES / 20);
    assert_eq!(text.matches("X-Line").count(), kept);
    let one = [b"X: ".to_vec(), vec![b'x'; 200_000]].concat();
    let composed = report(&all, &one).compose();
    assert_well_formed(&composed);
    assert!((MAX_HEADER_BYTES..MAX_HEADER_BYTES + 4_000).contains(&composed.bytes.len()));
}

#[test]
fn many_recipients_are_counted_in_words() {
    let names: Vec<_> = (0..1_500).map(|i| format!("r{i}@firm.example")).collect();
    let one = |name| Told { final_recipient: name, as_given: name, ..told(Action::Failed, "5.1.1 no") };
    let all: Vec<_> = names.iter().map(|name| one(name.as_str())).collect();
    let composed = report(&all, MESSAGE.as_bytes()).compose();
    assert_well_formed(&composed);
    let text = String::from_utf8(composed.bytes).unwrap();
    assert_eq!(text.matches("Final-Recipient:").count(), MAX_RECIPIENTS);
    assert_eq!(text.matches("  r").count(), text::MAX_NAMED);
    assert!(text.contains("names 900 further recipients") && text.contains("are 500 more recipients"));
}

#[test]
fn a_boundary_written_beforehand_is_not_used() {
    let parts: [&[u8]; 2] = [b"text", b"status"];
    let first = boundary(&parts);
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    assert!(first.ends_with(&hasher.finalize().to_hex().as_str()[..32]));
    // Nobody can find a text that holds its own hash; so the search is shown with a part apart.
    assert!(boundary(&[b"text", first.as_bytes()]) != first);
}

#[test]
fn a_report_is_automatic_and_has_an_exact_key() {
    let all = [told(Action::Failed, "5.1.1 no")];
    let composed = report(&all, MESSAGE.as_bytes()).compose();
    let header = &composed.bytes[..composed.header_bytes];
    let automatic = crate::automatic::automatic(header, "ann@client.example");
    assert_eq!(automatic, Some(crate::automatic::Automatic::AutoSubmitted));
    let mut reader = crate::reading::Reader::new(1 << 16);
    reader.push(&composed.bytes).unwrap();
    assert!(reader.finish(DATE_MS).exact_key.is_ok());
}

/// Text that tries to break out.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        Just("\r\n".to_owned()),
        Just("\r\n\r\nX: y\r\n".to_owned()),
        Just("--=_quell_".to_owned()),
        Just("<a@b>".to_owned()),
        Just("+0D+0A\\x{D}\\x{A};".to_owned()),
        Just("x".repeat(700)),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn any_action() -> impl Strategy<Value = Action> {
    prop::sample::select(vec![Action::Failed, Action::Delayed, Action::Relayed, Action::Delivered])
}

proptest! {
    #[test]
    fn any_input_gives_a_well_formed_message(
        texts in proptest::array::uniform8(hostile()), action in any_action(), other in any_action(),
        original in prop_oneof![hostile().prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..3000)],
        smtputf8: bool, maybe_delivered: bool, ms: i64, ret_full: Option<bool>, whole: bool,
    ) {
        let [host, to, message_id, envid, address, given, orcpt, status] = &texts;
        let first = Told {
            final_recipient: address, as_given: given, orcpt: Some(orcpt), action, status,
            remote_mta: Some(host), maybe_delivered, last_attempt_ms: Some(ms), will_retry_until_ms: Some(ms),
        };
        let all = [first, Told { action: other, ..first }];
        let report = Report {
            host, to, message_id, date_ms: ms, arrival_ms: ms, envid: Some(envid), ret_full, smtputf8,
            told: &all, collected: None, original: Original { bytes: &original, whole },
        };
        let composed = report.compose();
        assert_well_formed(&composed);
        prop_assert_eq!(&report.compose(), &composed);
        let types = part_types(&composed);
        prop_assert!((2..=3).contains(&types.len()), "{:?}", types);
        prop_assert!(types[1].ends_with("delivery-status"));
        if !report.speaks_utf8() {
            prop_assert!(!composed.smtputf8);
        }
        // RFC 3464 §2.1: groups of fields, an empty line before each but the first.
        let message = MessageParser::new().parse(&composed.bytes).unwrap();
        let status_part = &message.parts[message.parts[0].sub_parts().unwrap()[1] as usize];
        let raw = &composed.bytes[status_part.raw_body_offset() as usize..status_part.raw_end_offset() as usize];
        let text = String::from_utf8_lossy(raw);
        let groups: Vec<_> = text.trim_end().split("\r\n\r\n").collect();
        prop_assert_eq!(groups.len(), 3, "{}", text);
        for group in &groups[1..] {
            prop_assert_eq!(group.matches("Final-Recipient: ").count(), 1);
            prop_assert!(fields(group.as_bytes()).all(|f| !f.name.is_empty()));
        }
    }
}
