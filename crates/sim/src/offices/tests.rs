//! What the offices' mail must be, so that anybody may judge by it.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn shape(people: usize, days: u32) -> Shape {
    Shape { people: Some(people), days, days_per_storm: 1, ..Shape::default() }
}

fn header(posting: &Posting) -> String {
    let text = String::from_utf8_lossy(&posting.message);
    text.split("\r\n\r\n").next().unwrap_or_default().to_owned()
}

#[test]
fn a_seed_decides_all_and_time_does_not_run_backwards() {
    let mail: Vec<Posting> = Office::new(7, &shape(12, 6)).collect();
    assert_eq!(mail, Office::new(7, &shape(12, 6)).collect::<Vec<_>>());
    assert_ne!(mail, Office::new(8, &shape(12, 6)).collect::<Vec<_>>());
    assert!(mail.windows(2).all(|pair| pair[0].ms <= pair[1].ms));
}

#[test]
fn every_kind_and_every_storm_comes() {
    let (mut kinds, mut storms) = (BTreeMap::new(), BTreeMap::new());
    for posting in Office::new(1, &shape(40, 90)) {
        match posting.truth {
            Truth::Real(kind) => *kinds.entry(kind).or_insert(0) += 1,
            Truth::Storm { kind, .. } => *storms.entry(kind).or_insert(0) += 1,
        }
    }
    let missing = |all: &[Kind]| all.iter().filter(|kind| !kinds.contains_key(kind)).count();
    assert_eq!(missing(Kind::ALL), 0, "{kinds:?}");
    assert_eq!(StormKind::ALL.iter().filter(|kind| !storms.contains_key(kind)).count(), 0, "{storms:?}");
}

#[test]
fn messages_are_whole() {
    let office = Office::new(3, &shape(25, 10));
    let aliases = office.aliases().clone();
    for posting in office {
        let header = header(&posting);
        let count =
            |name: &str| header.split("\r\n").filter(|line| line.to_lowercase().starts_with(name)).count();
        for name in ["message-id:", "date:", "from:", "subject:", "content-type:"] {
            assert_eq!(count(name), 1, "{name} {header}");
        }
        assert!(!posting.recipients.is_empty() && posting.recipients.len() <= 100);
        let distinct: BTreeSet<&String> = posting.recipients.iter().collect();
        assert_eq!(distinct.len(), posting.recipients.len());
        let ours = |address: &&String| address.ends_with("@firm.example") || aliases.contains_key(*address);
        assert!(posting.inside || posting.recipients.iter().all(|address| ours(&address)), "{posting:?}");
        let bytes = &posting.message;
        let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(bytes.windows(2).filter(|two| two == b"\r\n").count(), ends, "{header}");
        assert!(bytes.split(|byte| *byte == b'\n').all(|line| line.len() < 1_000), "{header}");
    }
}

#[test]
fn an_office_without_storms_has_none() {
    let shape = Shape { days_per_storm: 0, ..shape(20, 30) };
    assert!(Office::new(5, &shape).all(|posting| matches!(posting.truth, Truth::Real(_))));
}

#[test]
fn sizes_are_of_all_kinds() {
    let shape = Shape { days: 0, ..Shape::default() };
    let sizes: Vec<usize> = (0..300).map(|seed| Office::new(seed, &shape).people()).collect();
    assert!(sizes.iter().all(|size| (5..=250).contains(size)), "{sizes:?}");
    let small = sizes.iter().filter(|size| **size < 35).count();
    assert!((110..190).contains(&small), "{small}");
}
