//! The trace in a running server: fed by the book, merged, bounded, stored.

use proptest::prelude::*;
use quell_mail::id::QueueId;
use quell_mail::key::{ExactKey, LedgerKey};
use quell_storm::book::{Book, BookEvent, CopySeen, KeyTotals};
use quell_storm::evidence::Sample;
use quell_storm::facts::Ms;
use quell_storm::limits::Limits;
use quell_storm::live::NARROW;
use quell_storm::stored::StoredStorm;
use quell_storm::storm::{Culprit, CulpritClass, Storm, rfc3339};
use quell_storm::tell::Alert;
use quell_storm::trace::{Bounds, Seen, Trace};

use crate::make::*;

const SECOND: Ms = 1_000;
/// What a stamp may say of a recipient, and no alert may.
const SECRET: &str = "jane";

/// A stamp as Postfix writes it.
fn stamp(from: &str, ip: &str, by: &str, id: u32, at: Ms) -> String {
    let seconds = at / SECOND;
    let date = quell_mail::date::print(seconds * SECOND);
    format!(
        "Received: from {from} ({from} [{ip}])\r\n\tby {by} (Postfix) with ESMTP id {id:X}\r\n\t\
         for <{SECRET}@firm.example>; {date}\r\n"
    )
}

/// The `n`-th copy that `faulty` makes of a message it got once: the stamps below are always the same,
/// those above new each time.
fn header(n: u32, faulty: &str, ip: &str) -> String {
    let at = NOW + Ms::from(n) * 40 * SECOND;
    let mut header = stamp(faulty, ip, "relay.isp.example", 0x7000 + n, at);
    header += &stamp("out.publisher.example", "198.51.100.7", faulty, 0x41, NOW - 9 * MINUTE);
    header +=
        &stamp("news.publisher.example", "198.51.100.5", "out.publisher.example", 0x17, NOW - 10 * MINUTE);
    header
        + "From: News <news@publisher.example>\r\nTo: all@publisher.example\r\n\
           Subject: Merger talks\r\nMessage-ID: <1@publisher.example>\r\n\
           Date: Wed, 18 Nov 2026 10:56:00 +0000\r\n"
}

/// What we stamp on it.
fn own(n: u32) -> String {
    let at = NOW + Ms::from(n) * 40 * SECOND;
    stamp("relay.isp.example", "203.0.113.9", "mx.firm.example", 0x9000 + n, at + SECOND)
}

const FAULTY: &str = "mail.faulty.example";
const FAULTY_IP: &str = "192.0.2.44";

/// Feeds copy `n` of key `k`, made by the faulty server.
fn feed(book: &mut Book, k: u8, n: u32) -> Vec<BookEvent> {
    let (header, own, from) = (header(n, FAULTY, FAULTY_IP), own(n), source(9).id());
    let now = NOW + Ms::from(n) * 40 * SECOND;
    let seen = CopySeen { received: Some(&own), ..copy(k, n, &from, header.as_bytes(), now) };
    book.copy(&seen, &mut rng((u64::from(k) << 32) + u64::from(n)))
}

fn the_faulty(culprits: &[Culprit]) -> &Culprit {
    let [culprit] = culprits else { panic!("one culprit expected: {culprits:?}") };
    assert_eq!(culprit.ip, Some([192, 0, 2, 44].into()), "{culprit:?}");
    assert_eq!(culprit.host.as_deref(), Some(FAULTY), "{culprit:?}");
    culprit
}

fn shown(book: &mut Book, k: u8) -> Storm {
    let id = book.by_key(&LedgerKey([k; 16])).expect("a storm").id;
    book.name_culprits(&id);
    book.get(&id).expect("a storm").clone()
}

#[test]
fn the_opening_names_the_server_since_the_copies_before_it_were_remembered() {
    let mut book = Book::new(Limits::default());
    for n in 1..5 {
        assert_eq!(feed(&mut book, 1, n), []);
    }
    assert!(book.early_bytes() > 0 && book.trace_bytes() == 0);
    let events = feed(&mut book, 1, 5);
    let alert = Alert::of(&events[0], &book).expect("an alert");
    let storm = alert.storm.as_ref().expect("a storm");
    let culprit = the_faulty(&storm.culprits);
    assert_eq!(culprit.class, Some(CulpritClass::Resends));
    assert!(culprit.evidence.is_empty(), "the snapshot carries no lines of headers");
    assert!(
        alert.text.contains(&format!("Made by:\n  {FAULTY} [{FAULTY_IP}]\n    sends out again")),
        "{}",
        alert.text
    );
    assert!(
        alert.text.contains("% of the copies seen; ") && alert.text.contains(" % sure\n"),
        "{}",
        alert.text
    );
    assert_eq!(alert.culprit_names(), format!("{FAULTY} [{FAULTY_IP}]"));
    assert!(alert.text.is_ascii());
    for secret in [SECRET, "Merger", "for <"] {
        assert!(!alert.text.contains(secret), "{secret} in {}", alert.text);
    }
    assert_eq!(book.early_bytes(), 0, "they are the storm's now");
}

#[test]
fn without_the_copies_before_it_the_opening_says_that_nobody_can_be_named() {
    let mut book = Book::new(Limits::default());
    let events = feed(&mut book, 1, 5);
    let alert = Alert::of(&events[0], &book).expect("an alert");
    assert!(alert.text.contains("\nMade by: nobody can be named yet"), "{}", alert.text);
    assert!(alert.text.contains("192.0.2.9: 1\n"), "the source is what is known");
    assert_eq!(alert.culprit_names(), "");
    feed(&mut book, 1, 6);
    feed(&mut book, 1, 7);
    let storm = shown(&mut book, 1);
    the_faulty(&storm.culprits);
    let ended = Alert::ended(&storm);
    assert!(ended.text.contains(&format!("Made by:\n  {FAULTY} [{FAULTY_IP}]\n")), "{}", ended.text);
    let unknown = Alert::ended(&Storm { culprits: vec![], ..storm });
    assert!(unknown.text.contains("Made by: the copies do not tell.\n"), "{}", unknown.text);
}

#[test]
fn a_name_that_is_no_hosts_is_not_told() {
    let mut book = Book::new(Limits::default());
    (1..7).for_each(|n| drop(feed(&mut book, 1, n)));
    let mut storm = shown(&mut book, 1);
    let mut other = storm.culprits[0].clone();
    (storm.culprits[0].host, other.host, other.ip) = (Some("jane@firm.example\r\nBcc: x".into()), None, None);
    storm.culprits.push(other);
    let alert = Alert::ended(&storm);
    assert!(alert.text.contains(&format!("\n  [{FAULTY_IP}]\n")), "{}", alert.text);
    assert!(alert.text.contains("\n  a client that no stamp names\n"), "{}", alert.text);
    assert!(!alert.text.contains("jane") && !alert.text.contains("Bcc"), "{}", alert.text);
    assert_eq!(alert.culprit_names(), format!("[{FAULTY_IP}]"));
}

#[test]
fn many_copies_are_all_counted_and_the_end_drops_the_trace() {
    let mut book = Book::new(Limits::default());
    (1..=400).for_each(|n| drop(feed(&mut book, 1, n)));
    let storm = shown(&mut book, 1);
    let culprit = the_faulty(&storm.culprits);
    assert!(culprit.copies.is_some_and(|n| (390..=400).contains(&n)), "{culprit:?}");
    assert_eq!((culprit.share_permille, culprit.interval_ms.is_some()), (Some(1000), true));
    assert!(culprit.evidence.len() > 1, "{culprit:?}");
    assert!(book.trace_bytes() > 0);
    feed(&mut book, 1, 401);
    let events = book.tick(storm.last_seen_ms + 7 * HOUR);
    let [BookEvent::Closed(closed)] = &events[..] else { panic!("{events:?}") };
    the_faulty(&closed.culprits);
    assert!(closed.culprits[0].copies > culprit.copies, "the last copy counts");
    assert_eq!((book.trace_bytes(), book.early_bytes()), (0, 0));
}

/// What the store keeps of a storm, read back.
fn stored_and_back(book: &mut Book, storm: &Storm) -> Storm {
    let text = serde_json::to_string(&StoredStorm::from(storm)).expect("JSON");
    let samples = book.take_evidence(&storm.id);
    let samples = samples.iter().map(|(slot, bytes)| (*slot, Sample::from_bytes(bytes).expect("a sample")));
    let samples: Vec<_> = samples.collect();
    serde_json::from_str::<StoredStorm>(&text).expect("JSON").with_evidence(samples).expect("a storm")
}

#[test]
fn a_restart_keeps_whom_it_knew_and_goes_on_from_the_header_sets() {
    let mut book = Book::new(Limits::default());
    (1..=100).for_each(|n| drop(feed(&mut book, 1, n)));
    let storm = shown(&mut book, 1);
    let back = stored_and_back(&mut book, &storm);
    assert_eq!(back.culprits, storm.culprits);
    let mut book = Book::new(Limits::default());
    assert!(book.restore([back]).is_empty());
    let after = shown(&mut book, 1);
    assert_eq!(after.culprits, storm.culprits, "nothing has come meanwhile");
    (101..=140).for_each(|n| drop(feed(&mut book, 1, n)));
    let later = shown(&mut book, 1);
    let (before, culprit) = (&storm.culprits[0], the_faulty(&later.culprits));
    let (least, most) = (before.copies.expect("copies") + 35, before.copies.expect("copies") + 40);
    assert!(culprit.copies.is_some_and(|n| (least..=most).contains(&n)), "{culprit:?} after {before:?}");
    assert_eq!(culprit.first_seen_ms, before.first_seen_ms);
    assert!(culprit.last_seen_ms > before.last_seen_ms);
}

#[test]
fn a_storm_stored_without_culprits_is_read_and_traced_from_its_header_sets() {
    let mut book = Book::new(Limits::default());
    (1..=30).for_each(|n| drop(feed(&mut book, 1, n)));
    let mut storm = shown(&mut book, 1);
    storm.culprits.clear();
    let samples = book.take_evidence(&storm.id);
    let mut json = serde_json::to_value(StoredStorm::from(&storm)).expect("JSON");
    json["version"] = 1.into();
    json.as_object_mut().expect("an object").remove("culprits");
    let stored: StoredStorm = serde_json::from_value(json).expect("version 1");
    let samples: Vec<_> =
        samples.iter().map(|(slot, bytes)| (*slot, Sample::from_bytes(bytes).expect("a sample"))).collect();
    let back = stored.with_evidence(samples).expect("version 1 is read");
    assert!(back.culprits.is_empty());
    let mut book = Book::new(Limits::default());
    book.restore([back]);
    the_faulty(&shown(&mut book, 1).culprits);
}

#[test]
fn who_is_known_stays_known_while_new_copies_do_not_tell() {
    let mut book = Book::new(Limits::default());
    (1..=20).for_each(|n| drop(feed(&mut book, 1, n)));
    let known = shown(&mut book, 1);
    let mut bare = known.clone();
    bare.evidence = Default::default();
    let mut book = Book::new(Limits::default());
    book.restore([bare]);
    feed(&mut book, 1, 21);
    assert_eq!(shown(&mut book, 1).culprits, known.culprits);
}

#[test]
fn at_the_limit_storms_give_way_and_stay_named() {
    let limits = Limits { trace_book_bytes: 300 << 10, ..Limits::default() };
    let mut book = Book::new(limits.clone());
    for k in 1..=60 {
        (1..=20).for_each(|n| drop(feed(&mut book, k, n)));
        assert!(book.trace_bytes() <= limits.trace_book_bytes, "{} with {k} storms", book.trace_bytes());
    }
    assert!(book.trace_bytes() > limits.trace_book_bytes / 2, "the room is used: {}", book.trace_bytes());
    for k in 1..=60 {
        let culprit = the_faulty(&shown(&mut book, k).culprits).clone();
        assert!(culprit.copies.is_some_and(|n| n >= 15), "{k}: {culprit:?}");
    }
    // One whose copies were dropped goes on where it was.
    (21..=30).for_each(|n| drop(feed(&mut book, 1, n)));
    let culprit = the_faulty(&shown(&mut book, 1).culprits).clone();
    assert!(culprit.copies.is_some_and(|n| (22..=30).contains(&n)), "{culprit:?}");
}

#[test]
fn the_only_storm_has_a_trace_however_little_room_there_is() {
    let mut book = Book::new(Limits { trace_book_bytes: 0, ..Limits::default() });
    (1..=50).for_each(|n| drop(feed(&mut book, 1, n)));
    let culprit = the_faulty(&shown(&mut book, 1).culprits).clone();
    assert!(culprit.copies.is_some_and(|n| n >= 40), "{culprit:?}");
    assert!(book.trace_bytes() > 0 && book.trace_bytes() <= promised(NARROW), "{}", book.trace_bytes());
}

/// What the bounds promise: the copies, kept twice over, with room for the places of their fields, and
/// the hashes of 1,024 recipients.
fn promised(bounds: Bounds) -> usize {
    bounds.copies * 2 * (bounds.copy_bytes + (4 << 10)) + 1_024 * 16 + (2 << 10)
}

#[test]
fn a_hundred_thousand_copies_with_distinct_stamps_and_recipients_stay_within_bounds() {
    let (mut live, mut narrow) = (Trace::new(Bounds::LIVE), Trace::new(NARROW));
    for n in 0..100_000u32 {
        // Every server of the way has another name each time, and there are one to six of them.
        let hops = 1 + n % 6;
        let way: String = (0..hops)
            .map(|hop| {
                stamp(&format!("a{n}x{hop}.example"), "192.0.2.7", &format!("b{n}x{hop}.example"), n, NOW)
            })
            .collect();
        let recipient = format!("r{n}@firm.example");
        let seen = Seen {
            header: way.as_bytes(),
            own_stamp: None,
            recipient: &recipient,
            arrived_ms: Some(NOW),
            id: u64::from(n),
            place: None,
        };
        live.add(&seen);
        narrow.add(&seen);
    }
    for (trace, bounds) in [(live, Bounds::LIVE), (narrow, NARROW)] {
        assert_eq!(trace.messages(), 100_000);
        assert!(trace.bytes() <= promised(bounds), "{} of {}", trace.bytes(), promised(bounds));
        assert!(trace.recipients().abs_diff(100_000) < 15_000, "{}", trace.recipients());
    }
}

#[test]
fn the_books_traces_stay_within_their_limit_under_such_copies() {
    let mut book = Book::new(Limits::default());
    let from = source(1).id();
    for n in 0..5_000u32 {
        let header =
            stamp(&format!("a{n}.example"), "192.0.2.7", &format!("b{n}.example"), n, NOW).repeat(30);
        let (recipient, mut key) = (format!("r{n}@firm.example"), [0; 16]);
        key[0] = (n % 200) as u8;
        let totals = KeyTotals { first_seen_ms: NOW, copies: 20, absorbed: 20, held: 0 };
        let seen = CopySeen {
            key: LedgerKey(key),
            public: ExactKey([key[0]; 32]),
            recipient: &recipient,
            queue_id: QueueId::new(NOW as u64, 1, n),
            totals,
            ..copy(1, 20, &from, header.as_bytes(), NOW)
        };
        book.copy(&seen, &mut rng(n.into()));
        assert!(book.trace_bytes() <= 32 << 20, "{}", book.trace_bytes());
    }
    assert_eq!(book.len(), 200);
}

/// A few servers, recipients, and times; enough for all kinds of ways.
fn any_copies() -> impl Strategy<Value = Vec<(u32, u8, u8, bool)>> {
    prop::collection::vec((0u32..60, 0u8..6, 0u8..5, any::<bool>()), 0..90)
}

fn added(trace: &mut Trace, i: usize, copy: &(u32, u8, u8, bool), text: &mut String) {
    let (n, server, recipient, with_own) = *copy;
    *text = header(n, &format!("mail{server}.faulty.example"), &format!("192.0.2.{server}"));
    let own = own(n);
    let seen = Seen {
        header: text.as_bytes(),
        own_stamp: with_own.then_some(&own),
        recipient: &format!("r{recipient}@firm.example"),
        arrived_ms: Some(NOW + Ms::from(n) * SECOND),
        id: i as u64,
        place: None,
    };
    trace.add(&seen);
}

proptest! {
    /// Two gateways, each with some of the copies, in any order.
    #[test]
    fn any_split_merged_in_any_order_is_the_whole(
        copies in any_copies(), split in prop::collection::vec(any::<bool>(), 90), small: bool, turn in 0usize..90,
    ) {
        let bounds = if small { NARROW } else { Bounds::LIVE };
        let (mut whole, mut a, mut b) = (Trace::new(bounds), Trace::new(bounds), Trace::new(bounds));
        let mut text = String::new();
        for (i, copy) in copies.iter().enumerate() {
            added(&mut whole, i, copy, &mut text);
        }
        let turn = turn.min(copies.len());
        for i in (turn..copies.len()).chain(0..turn) {
            added(if split[i] { &mut a } else { &mut b }, i, &copies[i], &mut text);
        }
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(&b);
        ba.merge(&a);
        prop_assert_eq!(&ab, &whole);
        prop_assert_eq!(&ba, &whole);
        prop_assert_eq!(ab.culprits(), whole.culprits());
        prop_assert_eq!(ba.culprits(), whole.culprits());
        prop_assert!(whole.bytes() <= promised(bounds));
    }
}

#[test]
fn what_is_stored_of_a_culprit_is_all_that_the_api_says() {
    let mut book = Book::new(Limits::default());
    (1..=9).for_each(|n| drop(feed(&mut book, 1, n)));
    let storm = shown(&mut book, 1);
    let back = stored_and_back(&mut book, &storm);
    assert_eq!(serde_json::to_value(&back).expect("JSON"), serde_json::to_value(&storm).expect("JSON"));
    let first = back.culprits[0].first_seen_ms.map(rfc3339);
    assert!(first.is_some(), "{:?}", back.culprits);
}
