//! Storms: when they open, grow quiet, come again, close; and the bounds of the book.

use std::collections::BTreeMap;

use proptest::prelude::*;
use quell_mail::key::LedgerKey;
use quell_storm::book::{Book, BookEvent, CopySeen, Fate, KeyTotals};
use quell_storm::limits::Limits;
use quell_storm::storm::{Storm, StormState};
use quell_storm::storm_id::StormId;
use quell_storm::verdict::{Class, Permit, Verdict};

use crate::make::*;

const HEADER: &[u8] = b"Received: x\r\n";

fn add(book: &mut Book, n: u32, now: i64) -> Vec<BookEvent> {
    book.copy(&copy(1, n, &source(1).id(), HEADER, now), &mut rng(n.into()))
}

fn opened(limits: Limits) -> (Book, StormId) {
    let mut book = Book::new(limits);
    let events = add(&mut book, 5, NOW);
    let [BookEvent::Opened(id)] = events[..] else { panic!("{events:?}") };
    (book, id)
}

#[test]
fn opens_at_the_fifth_copy_for_one_recipient() {
    let mut book = Book::new(Limits::default());
    for n in 1..5 {
        assert_eq!(add(&mut book, n, NOW), []);
        assert!(book.is_empty());
    }
    assert!(matches!(add(&mut book, 5, NOW)[..], [BookEvent::Opened(_)]));
    let storm = book.iter().next().unwrap();
    assert_eq!((storm.copies, storm.absorbed), (5, 5), "those before it opened count");
    assert_eq!((storm.first_seen_ms, storm.last_seen_ms), (NOW - HOUR, NOW));
    assert_eq!(storm.state, StormState::Open);
    assert_eq!(add(&mut book, 6, NOW + 1), []);
    assert_eq!(book.iter().next().unwrap().copies, 6);
}

#[test]
fn opens_at_the_twentieth_copy_over_all_recipients() {
    let mut book = Book::new(Limits::default());
    let from = source(1).id();
    for n in 1..20 {
        let seen = CopySeen { rcpt_copies: 1, ..copy(1, n, &from, HEADER, NOW) };
        assert_eq!(book.copy(&seen, &mut rng(1)), []);
    }
    let seen = CopySeen { rcpt_copies: 1, ..copy(1, 20, &from, HEADER, NOW) };
    assert!(matches!(book.copy(&seen, &mut rng(1))[..], [BookEvent::Opened(_)]));
}

#[test]
fn fates_are_counted() {
    let (mut book, id) = opened(Limits::default());
    let from = source(1).id();
    for fate in [Fate::Absorbed, Fate::Held, Fate::Held, Fate::Refused, Fate::Passed] {
        book.copy(&CopySeen { fate, ..copy(1, 6, &from, HEADER, NOW) }, &mut rng(1));
    }
    let storm = book.get(&id).unwrap();
    assert_eq!((storm.copies, storm.absorbed, storm.held), (10, 6, 2));
}

#[test]
fn the_fate_is_that_of_the_verdict() {
    let reason = || quell_storm::verdict::Reason::LoopSent;
    assert_eq!(Fate::of(&Verdict::Absorb(reason())), Fate::Absorbed);
    assert_eq!(Fate::of(&Verdict::Refuse(reason())), Fate::Refused);
    let passed = one(&arrival(&["a@firm.example"]), None);
    assert_eq!(Fate::of(&passed), Fate::Passed);
    let Verdict::Pass(permit, _) = passed else { panic!("{passed:?}") };
    let permit: Permit = permit;
    assert_eq!(Fate::of(&Verdict::Hold(permit, reason())), Fate::Held);
}

#[test]
fn its_class_is_that_of_most_copies() {
    use Class::*;
    let cases: &[(&[Class], Class)] = &[
        (&[Copies], Copies),
        (&[Retry], Retry),
        (&[Loop], Loop),
        (&[Retry, Copies], Copies),
        (&[Retry, Loop], Copies),
        (&[Retry, Loop, Loop], Loop),
        (&[Copies, Retry, Retry], Retry),
        (&[New, Loop], Copies),
    ];
    for (classes, expected) in cases {
        let (mut book, from) = (Book::new(Limits::default()), source(1).id());
        for class in *classes {
            book.copy(&CopySeen { class: *class, ..copy(1, 5, &from, HEADER, NOW) }, &mut rng(1));
        }
        assert_eq!(book.iter().next().unwrap().class(), *expected, "{classes:?}");
    }
}

#[test]
fn quiet_after_an_hour_and_open_again_with_the_next_copy() {
    let (mut book, id) = opened(Limits::default());
    assert_eq!(book.tick(NOW + HOUR - 1), []);
    assert_eq!(book.tick(NOW + HOUR), [BookEvent::Quiet(id)]);
    assert_eq!(book.tick(NOW + HOUR + 1), [], "once");
    assert_eq!(book.get(&id).unwrap().state, StormState::Quiet);
    assert_eq!(add(&mut book, 6, NOW + 2 * HOUR), [BookEvent::Reopened(id)]);
    assert_eq!(book.get(&id).unwrap().state, StormState::Open);
    assert_eq!(book.tick(NOW + 6 * HOUR), [BookEvent::Quiet(id)], "six hours after the last copy");
}

#[test]
fn closed_after_six_hours_and_then_gone() {
    let (mut book, id) = opened(Limits::default());
    book.tick(NOW + HOUR);
    assert_eq!(book.tick(NOW + 6 * HOUR - 1), []);
    let events = book.tick(NOW + 6 * HOUR);
    let [BookEvent::Closed(storm)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((storm.id, storm.state), (id, StormState::Closed));
    assert_eq!(storm.closed_ms, Some(NOW + 6 * HOUR));
    assert!(storm.evidence.first().is_some(), "the caller gets the evidence too");
    assert!(book.is_empty() && book.get(&id).is_none() && book.evidence_bytes() == 0);
}

/// Late ticks change nothing: the copy itself closes what has ended.
#[test]
fn a_copy_after_the_end_closes_the_old_storm_and_opens_a_new_one() {
    let (mut book, old) = opened(Limits::default());
    let events = add(&mut book, 6, NOW + 6 * HOUR);
    let [BookEvent::Closed(closed), BookEvent::Opened(new)] = &events[..] else { panic!("{events:?}") };
    assert!(closed.id == old && *new != old);
    let events = add(&mut book, 1, NOW + 20 * HOUR);
    assert!(matches!(&events[..], [BookEvent::Closed(_)]), "below the thresholds none opens");
}

#[test]
fn a_discarded_storm_counts_on_and_ends_discarded() {
    let (mut book, id) = opened(Limits::default());
    assert!(book.discard(&id));
    assert_eq!(add(&mut book, 6, NOW + 2 * HOUR), []);
    assert_eq!(book.tick(NOW + 4 * HOUR), []);
    assert_eq!(book.get(&id).unwrap().copies, 6);
    assert_eq!(book.get(&id).unwrap().state, StormState::Discarded);
    let events = book.tick(NOW + 8 * HOUR);
    let [BookEvent::Closed(storm)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((storm.state, storm.closed_ms), (StormState::Discarded, Some(NOW + 8 * HOUR)));
    assert!(!book.discard(&id), "it is gone");
}

#[test]
fn numbers_are_due_at_once_and_then_once_a_minute() {
    let (mut book, id) = opened(Limits::default());
    assert_eq!(book.dirty(NOW), [id]);
    assert_eq!(book.dirty(NOW + HOUR), [], "nothing has changed");
    add(&mut book, 6, NOW + HOUR);
    assert_eq!(book.dirty(NOW + HOUR), [id]);
    add(&mut book, 7, NOW + HOUR + 1);
    assert_eq!(book.dirty(NOW + HOUR + MINUTE - 1), []);
    assert_eq!(book.dirty(NOW + HOUR + MINUTE), [id]);
    assert!(book.set_rows(&id, 1, 1));
    assert_eq!(book.dirty(NOW + 2 * HOUR), [id]);
    assert!(book.set_rows(&id, 1, 1));
    assert_eq!(book.dirty(NOW + 3 * HOUR), [], "the same numbers again are no change");
    book.discard(&id);
    assert_eq!(book.dirty(NOW + 3 * HOUR), [id]);
}

#[test]
fn a_restart_goes_on_with_the_same_storm_and_tells_nobody() {
    let (book, id) = opened(Limits::default());
    let mut again = Book::new(Limits::default());
    assert_eq!(again.restore([book.get(&id).unwrap().clone()]), []);
    assert_eq!(add(&mut again, 6, NOW + 1), []);
    assert_eq!(again.get(&id).unwrap().copies, 6);
    assert_eq!(again.by_key(&LedgerKey([1; 16])).unwrap().id, id);
}

#[test]
fn a_restart_does_not_take_what_has_ended_is_double_or_too_much() {
    let (mut book, id) = opened(Limits { max_open_storms: 2, ..Limits::default() });
    let storm = book.get(&id).unwrap().clone();
    let named =
        |k: u8, seed| Storm { id: StormId::random(&mut rng(seed)), key: LedgerKey([k; 16]), ..storm.clone() };
    let closed = Storm { closed_ms: Some(NOW), ..named(2, 100) };
    let fits = named(3, 101);
    let back = [storm.clone(), closed, fits.clone(), named(4, 102)];
    let refused = book.restore(back.clone());
    assert_eq!(refused, [back[0].clone(), back[1].clone(), back[3].clone()]);
    assert_eq!((book.len(), book.get(&fits.id)), (2, Some(&fits)));
}

#[test]
fn at_the_limit_none_is_evicted_and_none_opened() {
    let mut book = Book::new(Limits { max_open_storms: 2, ..Limits::default() });
    let (from, mut rng) = (source(1).id(), rng(1));
    for k in 1..=4 {
        book.copy(&copy(k, 5, &from, HEADER, NOW), &mut rng);
    }
    let keys: Vec<_> = book.iter().map(|s| s.key).collect();
    assert_eq!(keys, [LedgerKey([1; 16]), LedgerKey([2; 16])]);
    assert_eq!(book.not_opened(), 2);
    book.tick(NOW + 6 * HOUR);
    assert!(matches!(
        book.copy(&copy(4, 6, &from, HEADER, NOW + 6 * HOUR), &mut rng)[..],
        [BookEvent::Opened(_)]
    ));
}

#[test]
fn two_storms_never_share_an_id_even_with_broken_randomness() {
    let (mut book, from) = (Book::new(Limits::default()), source(1).id());
    book.copy(&copy(1, 5, &from, HEADER, NOW), &mut || 4);
    assert_eq!(book.copy(&copy(2, 5, &from, HEADER, NOW), &mut || 4), []);
    assert_eq!((book.len(), book.not_opened()), (1, 1));
}

#[test]
fn a_hundred_thousand_copies_make_one_storm_of_little_room() {
    let (mut book, mut rng) = (Book::new(Limits::default()), rng(1));
    let sources: Vec<_> = (0..=255).map(|n| source(n).id()).collect();
    let header = vec![b'h'; 2000];
    let mut events = Vec::new();
    for n in 1..=100_000u32 {
        let from = &sources[(n % 256) as usize];
        events.extend(book.copy(&copy(1, n, from, &header, NOW + i64::from(n)), &mut rng));
    }
    assert_eq!(events.len(), 1);
    let storm = book.iter().next().unwrap();
    assert_eq!((storm.copies, storm.absorbed), (100_000, 100_000));
    assert!(book.evidence_bytes() < 18 * 2500, "{}", book.evidence_bytes());
    assert_eq!(storm.sources.top().len(), 32);
}

#[derive(Debug, Clone)]
enum Step {
    Copy { k: u8, n: u32, header: usize, class: Class },
    Wait(i64),
    Tick,
    Discard(u8),
    Restart,
}

fn any_step() -> impl Strategy<Value = Step> {
    let class = prop::sample::select(vec![Class::Copies, Class::Retry, Class::Loop]);
    prop_oneof![
        8 => (1u8..9, 1u32..30, 0usize..9000, class)
            .prop_map(|(k, n, header, class)| Step::Copy { k, n, header, class }),
        3 => (0..3 * HOUR).prop_map(Step::Wait),
        3 => Just(Step::Tick),
        1 => (1u8..9).prop_map(Step::Discard),
        1 => Just(Step::Restart),
    ]
}

const SMALL: usize = 30_000;

fn small() -> Limits {
    Limits {
        max_open_storms: 4,
        evidence_samples: 3,
        evidence_header_bytes: 8000,
        evidence_book_bytes: SMALL,
        ..Limits::default()
    }
}

/// The state each storm was last seen in.
#[derive(Default)]
struct Watch(BTreeMap<StormId, StormState>);

impl Watch {
    fn event(&mut self, event: &BookEvent) {
        use StormState::*;
        let (id, from, to): (_, &[_], _) = match event {
            BookEvent::Opened(id) => (*id, &[], Open),
            BookEvent::Reopened(id) => (*id, &[Quiet], Open),
            BookEvent::Quiet(id) => (*id, &[Open], Quiet),
            BookEvent::Closed(storm) => {
                let from: &[_] = if storm.state == Closed { &[Open, Quiet] } else { &[Discarded] };
                (storm.id, from, storm.state)
            }
        };
        let before = self.0.insert(id, to);
        assert!(before.map_or(from.is_empty(), |b| from.contains(&b)), "{before:?} -> {event:?}");
        if let BookEvent::Closed(_) = event {
            self.0.insert(id, Closed);
        }
    }

    fn agrees(&self, book: &Book) {
        let alive = self.0.iter().filter(|(_, s)| **s != StormState::Closed);
        let mut known: Vec<_> = alive.map(|(id, s)| (*id, *s)).collect();
        let mut there: Vec<_> = book.iter().map(|s| (s.id, s.state)).collect();
        known.sort();
        there.sort();
        assert_eq!(known, there);
    }
}

fn within_limits(book: &Book) {
    assert!(book.len() <= 4);
    let held: usize = book.iter().map(|s| s.evidence.bytes()).sum();
    assert_eq!(book.evidence_bytes(), held);
    assert!(held <= SMALL + book.len() * 12 * 1024, "{held}");
    for storm in book.iter() {
        assert!(storm.sources.top().len() <= 32 && storm.evidence.random().count() <= 3);
        assert!(storm.copies >= storm.absorbed + storm.held);
        assert!(storm.first_seen_ms <= storm.last_seen_ms);
    }
}

proptest! {
    #[test]
    fn the_book_keeps_its_limits_and_storms_take_legal_steps(
        steps in prop::collection::vec(any_step(), 0..120), seed: u64,
    ) {
        let (mut book, mut watch, mut rng, mut now) = (Book::new(small()), Watch::default(), rng(seed), NOW);
        for step in steps {
            match step {
                Step::Copy { k, n, header, class } => {
                    let (from, header) = (source(n as u8).id(), vec![b'x'; header]);
                    let totals = KeyTotals { first_seen_ms: now - 5, copies: n.into(), absorbed: 0, held: 0 };
                    let seen = CopySeen { class, totals, ..copy(k, n, &from, &header, now) };
                    let full = book.len() == 4;
                    let events = book.copy(&seen, &mut rng);
                    events.iter().for_each(|e| watch.event(e));
                    let there = book.by_key(&LedgerKey([k; 16])).is_some();
                    prop_assert_eq!(there || n < 5 || full, true);
                }
                Step::Wait(ms) => now += ms,
                Step::Tick => book.tick(now).iter().for_each(|e| watch.event(e)),
                Step::Discard(k) => {
                    let id = book.by_key(&LedgerKey([k; 16])).map(|s| s.id);
                    if let Some(id) = id {
                        prop_assert!(book.discard(&id));
                        watch.0.insert(id, StormState::Discarded);
                    }
                }
                Step::Restart => {
                    let storms: Vec<_> = book.iter().cloned().collect();
                    book = Book::new(small());
                    prop_assert!(book.restore(storms).is_empty());
                }
            }
            watch.agrees(&book);
            within_limits(&book);
        }
    }
}
