//! The classes of suspicion at the door: what is counted, held and told, when things go wrong.

use quell_queue::door::Answer;
use quell_storm::facts::{Facts, RowState};
use quell_storm::limits::Limits;
use quell_storm::said::Said;

use crate::make::*;

const JANE: &str = "jane@firm.example";
const MARKED: &str = "Received: from server.solicitor.local ([203.0.113.5]) by smtp.telecom.example with ESMTP id B; Sat, 10 Dec 2005 09:15:02 +0000\r\n\
Received: from mail pickup service by server.solicitor.local with Microsoft SMTPSVC; Sat, 10 Dec 2005 09:15:01 +0000\r\n\
Received: from out.publisher.example by pop.provider.example with ESMTP id C; Sat, 10 Dec 2005 09:00:02 +0000\r\n\
Received: from app.publisher.example by out.publisher.example with ESMTP id A; Sat, 10 Dec 2005 09:00:01 +0000\r\n\
From: news@publisher.example\r\nSubject: The new guide\r\n";
const BODY: &str = "The new guide to conveyancing is out, it has four hundred pages and can be had from our office at once.\r\n";

fn marked(rig: &mut Rig, key: u8, from: u8, to: &[&str], subject: &str) -> Facts {
    let mut facts = rig.facts(key, from, to);
    let header = MARKED.replace("The new guide", subject);
    facts.said = Said::read(header.as_bytes(), BODY.as_bytes(), "news@publisher.example");
    facts
}

fn held(rig: &Rig) -> Vec<quell_queue::store::Row> {
    use quell_queue::store::Reader;
    rig.reader().list(&[RowState::Held], None, 100).unwrap()
}

/// The store fails under the first arrival; the sender comes again after 451.
#[test]
fn a_retry_after_451_is_no_further_arrival() {
    let mut rig = Rig::new();
    let facts = marked(&mut rig, 1, 1, &[JANE], "The new guide");
    rig.accept(facts);
    rig.begin();
    rig.end(End::Lost);
    rig.reopen();
    rig.now += 15 * MINUTE;
    let facts = marked(&mut rig, 1, 1, &[JANE], "The new guide");
    rig.accept(facts);
    rig.commit();
    assert_eq!(rig.judged.iter().map(|v| v.recipients[0].1).collect::<Vec<_>>(), ["pass", "pass"]);
}

#[test]
fn a_withdrawn_one_likewise() {
    let mut rig = Rig::new();
    let facts = marked(&mut rig, 1, 1, &[JANE], "The new guide");
    let id = facts.queue_id;
    rig.accept(facts);
    let now = rig.at();
    rig.door.withdraw(&id, &now);
    rig.commit();
    rig.now += 15 * MINUTE;
    let facts = marked(&mut rig, 1, 1, &[JANE], "The new guide");
    rig.accept(facts);
    rig.commit();
    assert_eq!(rig.judged.iter().map(|v| v.recipients[0].1).collect::<Vec<_>>(), ["pass", "pass"]);
}

/// The storm is full; a person throws away all that it holds; there is room again.
#[test]
fn discarding_makes_room() {
    let mut rig = Rig::new();
    rig.door.set_limits(Limits { held_storm_bytes: 4000, ..Limits::default() });
    for key in 1..=4 {
        let facts = marked(&mut rig, key, 1, &[JANE], "The new guide");
        rig.accept(facts);
        rig.commit();
    }
    assert!(matches!(rig.answers.last(), Some((_, Answer::NoRoom(_)))), "{:?}", rig.answers.last());
    let now = rig.at();
    for row in held(&rig) {
        rig.door.discard_held(&row.id, &now).unwrap();
    }
    rig.commit();
    rig.now += MINUTE;
    let facts = marked(&mut rig, 5, 1, &[JANE], "The new guide");
    rig.accept(facts);
    rig.commit();
    assert!(matches!(rig.answers.last(), Some((_, Answer::Accepted(_)))), "{:?}", rig.answers.last());
}

/// There is no room in the book: a storm that nobody is told of must not hold mail.
#[test]
fn no_storm_no_hold() {
    let mut rig = Rig::new();
    rig.door.set_limits(Limits { max_open_storms: 1, ..Limits::default() });
    for (n, subject) in ["One thing", "Another thing"].into_iter().enumerate() {
        for key in 1..=2 {
            let facts = marked(&mut rig, key + 10 * n as u8, 1, &[JANE], subject);
            rig.accept(facts);
            rig.commit();
        }
    }
    let rows = held(&rig);
    assert!(rows.iter().all(|row| row.extra.storm.is_some()), "{rows:#?}");
}

/// The same held message from another source each day.
#[test]
fn the_time_of_what_is_held_goes_on_with_every_copy() {
    let mut rig = Rig::new();
    let mut since = Vec::new();
    for n in 0..5u8 {
        // The first is another message of the same content, which passes.
        let facts = marked(&mut rig, if n == 0 { 1 } else { 2 }, n + 1, &[JANE], "The new guide");
        rig.accept(facts);
        rig.commit();
        since.extend(held(&rig).first().map(|row| row.since_ms - START));
        rig.tick(MINUTE);
        rig.now += 20 * HOUR;
    }
    assert!(since.iter().all(|s| *s == since[0]), "since {since:?}");
}

#[test]
fn two_storms_at_once() {
    let mut rig = Rig::new();
    for (n, key) in [(1u8, 1u8), (2, 2), (3, 2)] {
        let facts = marked(&mut rig, key, n, &[JANE], "The new guide");
        rig.accept(facts);
        rig.commit();
        rig.now += MINUTE;
    }
    let opened = rig
        .told
        .iter()
        .filter(|a| a.kind == quell_storm::tell::AlertKind::Opened)
        .map(|a| a.about.clone())
        .collect::<Vec<_>>();
    assert_eq!(opened.len(), 1, "{opened:?}");
}

/// A storm goes on for two days after its first copy was held and discarded; then it ends.
#[test]
fn what_was_discarded_absorbs_for_a_day_after_the_end_of_its_storm() {
    let mut rig = Rig::new();
    let come = |rig: &mut Rig, key: u8| {
        let facts = marked(rig, key, 1, &[JANE], "The new guide");
        rig.accept(facts);
        rig.commit();
        rig.judged.last().map(|v| v.recipients[0].1)
    };
    assert_eq!(come(&mut rig, 1), Some("pass"));
    assert_eq!(come(&mut rig, 2), Some("hold"));
    let (now, id) = (rig.at(), held(&rig)[0].id.clone());
    rig.door.discard_held(&id, &now).unwrap();
    for key in 3..15 {
        rig.now += 4 * HOUR;
        rig.tick(MINUTE);
        assert_eq!(come(&mut rig, key), Some("hold"), "{key}");
    }
    rig.now += 7 * HOUR;
    rig.tick(MINUTE);
    assert_eq!(rig.door.storms_open(), 0, "it has ended");
    rig.commit();
    rig.reopen();
    rig.now += 23 * HOUR;
    assert_eq!(come(&mut rig, 2), Some("absorb"), "within a day of its end");
    rig.now += 25 * HOUR;
    assert_ne!(come(&mut rig, 2), Some("absorb"), "and no longer");
}

/// What a storm holds goes up and down with its rows, also after the store was opened anew; a body that takes
/// a held row over makes room for itself.
#[test]
fn what_a_storm_holds_now_goes_down_again() {
    let mut rig = Rig::new();
    for (from, key) in [(1, 1), (1, 2), (1, 3), (2, 3)] {
        let facts = marked(&mut rig, key, from, &[JANE, "joe@firm.example"], "The new guide");
        rig.accept(facts);
        rig.commit();
    }
    let storm = held(&rig)[0].extra.storm.clone().unwrap();
    let now = |rig: &Rig| rig.door.held_now(&storm);
    assert_eq!((now(&rig), rig.door.held_now("another000000000")), (Some(4), Some(0)));
    let (at, rows) = (rig.at(), held(&rig));
    rig.door.release_held(&rows[0].id, &at).unwrap();
    rig.door.discard_held(&rows[1].id, &at).unwrap();
    assert_eq!(now(&rig), Some(2));
    rig.commit();
    rig.reopen();
    assert_eq!(now(&rig), Some(2));
    rig.door.release_held(&rows[2].id, &at).unwrap();
    rig.begin();
    rig.end(End::Lost);
    rig.reopen();
    assert_eq!(now(&rig), Some(2), "what was never durable");
}

#[test]
fn what_is_held_has_its_author_and_subject_for_the_operator() {
    let mut rig = Rig::new();
    let long = format!("{} \r\n\t=?utf-8?q?gr=C3=BCn?=", "x".repeat(500));
    for (key, subject) in [(1, "The new guide"), (2, "The new guide"), (3, &long), (4, &long)] {
        let facts = marked(&mut rig, key, 1, &[JANE], "One content");
        let header =
            format!("From: Law =?utf-8?q?B=C3=BCcher?= <news@publisher.example>\r\nSubject: {subject}\r\n");
        rig.accept_with(facts, None, header.as_bytes());
        rig.commit();
    }
    let rows = held(&rig);
    assert_eq!(rows[0].extra.author.as_deref(), Some("Law Bücher <news@publisher.example>"));
    assert_eq!(rows[0].extra.subject.as_deref(), Some("The new guide"));
    assert_eq!(rows[1].extra.subject.as_ref().map(|s| s.chars().count()), Some(200));
}
