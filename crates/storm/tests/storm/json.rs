//! The JSON of the API, to the letter, and the stored form.

use quell_storm::book::Book;
use quell_storm::limits::Limits;
use quell_storm::stored::{BadStorm, StoredStorm};
use quell_storm::storm::{Culprit, CulpritClass, EvidenceLine, rfc3339};
use quell_storm::verdict::Class;

use crate::make::*;

fn book() -> Book {
    let mut book = Book::new(Limits::default());
    book.copy(&copy(1, 5, &source(1).id(), b"A: b\r\n", 1_795_000_000_250), &mut rng(1));
    book
}

#[test]
fn a_storm_has_exactly_the_fields_of_the_api() {
    let mut book = book();
    let storm = book.iter().next().unwrap();
    let storm_id = storm.id;
    let expected = |rows: &str| {
        format!(
            "{{\"id\":\"{storm_id}\",\"class\":\"copies\",\"state\":\"open\",\
             \"first_seen\":\"2026-11-18T10:06:40Z\",\"last_seen\":\"2026-11-18T11:06:40.25Z\",\
             \"copies\":5,\"absorbed\":5,\"held\":0,{rows},\"culprits\":[]}}"
        )
    };
    let unknown = expected("\"delivered\":null,\"recipients\":null");
    assert_eq!(serde_json::to_string(storm).unwrap(), unknown);
    assert!(book.set_rows(&storm_id, 2, 3));
    let known = expected("\"delivered\":2,\"recipients\":3");
    assert_eq!(serde_json::to_string(book.get(&storm_id).unwrap()).unwrap(), known);
}

#[test]
fn a_culprit_has_exactly_the_fields_of_the_api() {
    let unknown = Culprit {
        host: None,
        ip: None,
        names: vec![],
        software: None,
        class: None,
        copies: None,
        share_permille: None,
        confidence_permille: None,
        first_seen_ms: None,
        last_seen_ms: None,
        interval_ms: None,
        evidence: vec![],
    };
    assert_eq!(
        serde_json::to_string(&unknown).unwrap(),
        "{\"host\":null,\"ip\":null,\"names\":[],\"software\":null,\"class\":null,\
         \"copies\":null,\"share\":null,\"confidence\":null,\"first_seen\":null,\
         \"last_seen\":null,\"interval_s\":null,\"evidence\":[]}"
    );
    let known = Culprit {
        host: Some("mx.example".into()),
        ip: Some([192, 0, 2, 1].into()),
        names: vec!["mx".into()],
        software: Some("Exim 4.97".into()),
        class: Some(CulpritClass::Injects),
        copies: Some(12),
        share_permille: Some(750),
        confidence_permille: Some(900),
        first_seen_ms: Some(0),
        last_seen_ms: Some(1000),
        interval_ms: Some(1500),
        evidence: vec![EvidenceLine { text: "t".into(), file: None, offset: Some(3) }],
    };
    assert_eq!(
        serde_json::to_string(&known).unwrap(),
        "{\"host\":\"mx.example\",\"ip\":\"192.0.2.1\",\"names\":[\"mx\"],\
         \"software\":\"Exim 4.97\",\"class\":\"injects\",\"copies\":12,\"share\":0.75,\
         \"confidence\":0.9,\"first_seen\":\"1970-01-01T00:00:00Z\",\
         \"last_seen\":\"1970-01-01T00:00:01Z\",\"interval_s\":1.5,\
         \"evidence\":[{\"text\":\"t\",\"file\":null,\"offset\":3}]}"
    );
}

#[test]
fn times_no_calendar_holds_are_still_times() {
    assert!(rfc3339(i64::MIN).starts_with('-') && rfc3339(i64::MAX).starts_with("9999-12-"));
}

#[test]
fn a_stored_storm_comes_back_as_it_was() {
    let book = book();
    let storm = book.iter().next().unwrap();
    let text = serde_json::to_string(&StoredStorm::from(storm)).unwrap();
    let stored: StoredStorm = serde_json::from_str(&text).unwrap();
    let back = stored.with_evidence([]).unwrap();
    assert_eq!(StoredStorm::from(&back), StoredStorm::from(storm));
    assert_eq!((back.id, back.key, back.keys), (storm.id, storm.key, storm.keys.clone()));
    assert_eq!((back.copies, back.sources), (storm.copies, storm.sources.clone()));
}

/// What the versions before wrote: three classes in a fixed order, and no word of a release.
#[test]
fn a_storm_of_an_earlier_version_is_read() {
    let text = serde_json::to_string(&StoredStorm::from(book().iter().next().unwrap())).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let fields = value.as_object_mut().unwrap();
    fields.insert("version".into(), 2.into());
    fields.insert("by_class".into(), vec![4, 3, 2].into());
    fields.remove("released");
    let stored: StoredStorm = serde_json::from_value(value).unwrap();
    let storm = stored.with_evidence([]).unwrap();
    let counts = [Class::Copies, Class::Retry, Class::Loop].map(|class| storm.by_class.of(class));
    assert_eq!((counts, storm.released, storm.class()), ([4, 3, 2], false, Class::Copies));
}

#[test]
fn a_damaged_or_newer_storm_is_refused() {
    let text = serde_json::to_string(&StoredStorm::from(book().iter().next().unwrap())).unwrap();
    let read = |from: &str, to: &str| {
        let stored: StoredStorm = serde_json::from_str(&text.replacen(from, to, 1)).unwrap();
        stored.with_evidence([]).unwrap_err()
    };
    assert_eq!(read("\"version\":3", "\"version\":4"), BadStorm::Version(4));
    assert_eq!(read("\"open\"", "\"shut\""), BadStorm::State("shut".into()));
    assert!(matches!(read("\"id\":\"", "\"id\":\"x"), BadStorm::Id(_)));
}
