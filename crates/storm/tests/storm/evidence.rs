//! Header sets: first, last, a fair sample, within bounds.

use proptest::prelude::*;
use quell_storm::book::Book;
use quell_storm::evidence::{ALWAYS_BYTES, Sample, Slot};
use quell_storm::facts::SourceId;
use quell_storm::limits::Limits;
use quell_storm::stored::StoredStorm;

use crate::make::*;

/// A storm of `n` copies of key 1, the header of copy i being `header(i)`.
fn storm(limits: Limits, n: u32, seed: u64, header: impl Fn(u32) -> Vec<u8>) -> Book {
    let (mut book, from, mut rng) = (Book::new(limits), source(1).id(), rng(seed));
    for i in 5..5 + n {
        book.copy(&copy(1, i, &from, &header(i), NOW + i64::from(i)), &mut rng);
    }
    book
}

fn number(i: u32) -> Vec<u8> {
    format!("X-Number: {i}\r\n").into_bytes()
}

#[test]
fn first_last_and_sixteen_between_are_kept() {
    let book = storm(Limits::default(), 1000, 1, number);
    let evidence = &book.iter().next().unwrap().evidence;
    assert_eq!(evidence.first().unwrap().header, number(5));
    let last = evidence.last().unwrap();
    assert_eq!((last.header.clone(), last.queue_id), (number(1004), id(1004)));
    assert_eq!((last.time_ms, &*last.recipient), (NOW + 1004, "jane@firm.example"));
    assert_eq!(last.source, source(1).id());
    assert_eq!(evidence.random().count(), 16);
    assert!(evidence.random().any(|s| s.queue_id > id(505)), "the sample spans the storm");
}

#[test]
fn the_sample_is_the_same_for_the_same_seed_and_fair_over_seeds() {
    let ids = |seed| -> Vec<_> {
        let book = storm(Limits::default(), 200, seed, number);
        book.iter().next().unwrap().evidence.random().map(|s| s.queue_id).collect()
    };
    assert_eq!(ids(3), ids(3));
    // 199 copies are offered; each should be kept in 16/199 of the runs, so each half of them
    // 1600 times in 200 runs of 16. Six standard deviations (of 28) are 170.
    let early = (0..200).flat_map(ids).filter(|q| *q <= id(105)).count();
    assert!((1430..1770).contains(&early), "{early}");
}

#[test]
fn a_header_is_cut_and_its_length_kept() {
    let book = storm(Limits::default(), 1, 1, |_| vec![b'x'; 100_000]);
    let first = book.iter().next().unwrap().evidence.first().unwrap().clone();
    assert_eq!((first.header.len(), first.header_bytes), (64 << 10, 100_000));
}

#[test]
fn in_a_full_book_samples_are_dropped_and_first_and_last_are_cut() {
    let limits = Limits { evidence_book_bytes: 20_000, ..Limits::default() };
    let book = storm(limits, 100, 1, |i| vec![i as u8; 15_000]);
    let evidence = &book.iter().next().unwrap().evidence;
    assert_eq!(evidence.first().unwrap().header.len(), 15_000);
    assert_eq!(evidence.last().unwrap().header, vec![104; ALWAYS_BYTES]);
    assert_eq!(evidence.last().unwrap().header_bytes, 15_000);
    assert_eq!(evidence.random().count(), 0);
    assert_eq!(book.evidence_bytes(), evidence.bytes());
}

#[test]
fn changed_slots_are_handed_out_once_and_come_back_after_a_restart() {
    let mut book = storm(Limits::default(), 40, 1, number);
    let storm_id = book.iter().next().unwrap().id;
    let stored = book.take_evidence(&storm_id);
    assert_eq!(stored.len(), 18);
    assert!(book.take_evidence(&storm_id).is_empty());
    let from = source(1).id();
    book.copy(&copy(1, 60, &from, b"A: b\r\n", NOW + 60), &mut || 1 << 40);
    let slots: Vec<_> = book.take_evidence(&storm_id).into_iter().map(|(slot, _)| slot).collect();
    assert!(slots.contains(&Slot::LAST) && slots.len() <= 2);

    let read = stored.iter().map(|(slot, bytes)| (*slot, Sample::from_bytes(bytes).unwrap()));
    let kept = StoredStorm::from(book.get(&storm_id).unwrap()).with_evidence(read).unwrap();
    assert_eq!(kept.evidence.first().unwrap().header, number(5));
    assert_eq!(kept.evidence.random().count(), 16);
    let mut again = Book::new(Limits::default());
    assert!(again.restore([kept]).is_empty());
    assert_eq!(again.evidence_bytes(), again.get(&storm_id).unwrap().evidence.bytes());
    assert!(again.take_evidence(&storm_id).is_empty(), "what was read need not be written");
}

proptest! {
    #[test]
    fn a_sample_is_read_as_it_was_written(
        header: Vec<u8>, recipient: String, from: String, received: Option<String>, time: i64,
    ) {
        let sample = Sample {
            queue_id: id(3), time_ms: time, source: SourceId(from), recipient, received,
            header_bytes: header.len() as u64 + 7, header,
        };
        let bytes = sample.to_bytes();
        prop_assert_eq!(Sample::from_bytes(&bytes), Ok(sample));
        for end in 0..bytes.len() {
            prop_assert!(Sample::from_bytes(&bytes[..end]).is_err());
        }
        prop_assert!(Sample::from_bytes(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let mut bytes = bytes;
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        if let Ok(sample) = Sample::from_bytes(&bytes) {
            prop_assert!(sample.header.len() <= bytes.len());
        }
    }
}
