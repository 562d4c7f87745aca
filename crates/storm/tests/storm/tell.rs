//! What the operator is told, and how often.

use quell_storm::book::{Book, BookEvent, CopySeen};
use quell_storm::limits::Limits;
use quell_storm::tell::{Alert, AlertKind};
use quell_storm::verdict::Class;

use crate::make::*;

const HEADER: &[u8] = b"Subject: Merger talks\r\nTo: jane@firm.example\r\n";

/// The alerts of a storm that opens, grows quiet, comes again, and ends.
fn life(class: Class, discarded: bool) -> Vec<Alert> {
    let (mut book, from, mut rng) = (Book::new(Limits::default()), source(9).id(), rng(1));
    let mut told = Vec::new();
    for (i, at) in [0, 1, 2, 2 * HOUR, 2 * HOUR + 1].into_iter().enumerate() {
        let events = book.tick(NOW + at);
        told.extend(events.iter().filter_map(|e| Alert::of(e, &book)));
        let seen = CopySeen { class, ..copy(1, 5 + i as u32, &from, HEADER, NOW + at) };
        let events = book.copy(&seen, &mut rng);
        told.extend(events.iter().filter_map(|e| Alert::of(e, &book)));
    }
    let id = book.iter().next().unwrap().id;
    book.set_rows(&id, 1, 1);
    if discarded {
        assert!(book.discard(&id));
    }
    for hours in 3..20 {
        let events = book.tick(NOW + hours * HOUR);
        told.extend(events.iter().filter_map(|e| Alert::of(e, &book)));
    }
    told
}

#[test]
fn once_at_the_opening_and_once_at_the_end() {
    for discarded in [false, true] {
        let kinds: Vec<_> = life(Class::Copies, discarded).iter().map(|a| a.kind).collect();
        assert_eq!(kinds, [AlertKind::Opened, AlertKind::Ended]);
    }
}

#[test]
fn the_opening_says_what_since_when_how_many_from_whom_and_what_to_do() {
    let alert = &life(Class::Copies, false)[0];
    let expected = format!(
        "The same message keeps arriving.\n\n\
         Since:      2026-11-18T10:06:40Z\n\
         Last copy:  2026-11-18T11:06:40Z (1 h later)\n\
         Copies:     5, of these absorbed 5, held 0\n\
         Recipients: not counted yet\n\
         Delivered:  not counted yet\n\
         From (since the storm opened):\n  192.0.2.9: 1\n\
         Made by: nobody can be named yet; `quell storms show` says who, once more copies tell.\n\n\
         quell delivers it once to each recipient. Copies are accepted, counted and dropped, so \
         that the sender is not made to try again. Other mail passes.\n\n\
         To look at it:\n  quell storms show {}\n  quell explain {}    why its last copy was judged so\n",
        alert.about,
        id(5)
    );
    assert_eq!(alert.text, expected);
    assert_eq!(alert.subject, format!("quell: storm {} has begun, 5 copies", alert.about));
}

#[test]
fn the_end_gives_the_final_numbers() {
    let ended = &life(Class::Copies, false)[1];
    for part in ["No copy has come", "Copies:     9", "Recipients: 1\n", "192.0.2.9: 5\n"] {
        assert!(ended.text.contains(part), "{part:?} in {}", ended.text);
    }
    assert!(life(Class::Copies, true)[1].text.contains("discarded by a person"));
}

#[test]
fn each_class_is_put_in_its_own_words() {
    let text = |class| life(class, false)[0].text.clone();
    assert!(text(Class::Retry).contains("late or lost"));
    assert!(text(Class::Loop).contains("refused as a loop"));
}

#[test]
fn no_subject_no_recipient_no_header_is_told() {
    for alert in life(Class::Copies, false) {
        let all = format!("{}{}", alert.subject, alert.text);
        for secret in ["Merger", "jane", "firm.example", "Subject"] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
        assert!(
            alert.storm.as_ref().unwrap().evidence.first().is_none(),
            "the snapshot carries no header sets"
        );
    }
}

#[test]
fn a_source_cannot_break_the_line() {
    let mut book = Book::new(Limits::default());
    let from = quell_storm::facts::SourceId("x\r\nBcc: all@firm.example\u{202e}".into());
    let events = book.copy(&copy(1, 5, &from, HEADER, NOW), &mut rng(1));
    let [BookEvent::Opened(_)] = &events[..] else { panic!("{events:?}") };
    let alert = Alert::of(&events[0], &book).unwrap();
    assert!(alert.text.is_ascii() && alert.text.contains("  x??Bcc:?all@firm.example?: 1\n"));
    assert!(alert.subject.bytes().all(|b| (32..127).contains(&b)));
}

#[test]
fn a_message_that_may_have_been_delivered_is_named_with_what_to_do() {
    let alert = Alert::maybe_delivered("06h029vv54000000", "mx.example\nBcc: all@firm.example", 5);
    assert_eq!((alert.kind, alert.storm.is_none()), (AlertKind::MaybeDelivered, true));
    assert_eq!(alert.about, "06h029vv54000000");
    for part in
        ["5 times", "quell queue retry 06h029vv54000000\n", "Next hop: mx.example?Bcc:?all@firm.example\n"]
    {
        assert!(alert.text.contains(part), "{part} is missing in\n{}", alert.text);
    }
    assert!(alert.text.is_ascii() && alert.text.lines().all(|line| line.len() <= 100));
    assert!(alert.subject.bytes().all(|b| (32..127).contains(&b)));
}
