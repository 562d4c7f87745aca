//! Offices whose mail is known: nothing real is held, storms are found. A few here; `make offices` looks at
//! many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod desk;
mod opportunity;
mod score;

use quell_sim::offices::{Kind, Shape, StormKind};
use quell_storm::limits::Limits;

use score::Score;

/// Seeds of whole offices, as `make offices FIRST=SEED OFFICES=1` has them, at which something was wrong once; of many
/// the small ones. 3000042: mail that one of ours has redirected, and an honest report amid forged ones; 3000046: the
/// latter; 3000056: a daily report and an answer to it each day.
const ONCE_WRONG: &[u64] = &[3_000_042, 3_000_046, 3_000_056];

/// Offices looked at in every test run: seed, people, days.
const USUAL: &[(u64, usize, u32)] = &[(900_000, 7, 14), (900_001, 20, 12), (900_002, 60, 4)];

fn look(offices: &[(u64, usize, u32)]) -> Score {
    let mut score = Score::default();
    for (seed, people, days) in offices {
        let shape = Shape { people: Some(*people), days: *days, days_per_storm: 1, ..Shape::default() };
        score.merge(Score::of(*seed, 1, &shape, &Limits::default()));
    }
    score
}

#[test]
fn real_mail_passes_and_storms_are_found() {
    let score = look(USUAL);
    assert_eq!((score.real().wrong, score.twice), (0, 0), "{:#?}", score.failures);
    assert!(score.real().messages > 10_000, "{:?}", score.real());
    let missed: Vec<&str> = score
        .storms
        .iter()
        .filter(|(_, storms)| storms.found < storms.all)
        .map(|(kind, _)| kind.name())
        .collect();
    assert!(missed.is_empty(), "{missed:?} {:#?}", score.failures);
    assert!(score.storms.values().all(|storms| storms.over == 0), "{:#?}", score.failures);
}

#[test]
fn what_was_wrong_once_is_right() {
    let mut score = Score::default();
    for seed in ONCE_WRONG {
        score.merge(Score::of(*seed, 1, &Shape::default(), &Limits::default()));
    }
    assert_eq!((score.real().wrong, score.twice), (0, 0), "{:#?}", score.failures);
}

#[test]
fn the_score_can_tell_wrong_from_right() {
    // A judge that takes the third answer in a conversation of three for a storm holds honest threads.
    let harsh =
        Limits { reply_all_people: 3, reply_all_replies: 2, reply_all_authors: 2, ..Limits::default() };
    let shape = Shape { people: Some(20), days: 10, days_per_storm: 0, ..Shape::default() };
    let score = Score::of(900_010, 1, &shape, &harsh);
    assert!(score.kinds[&Kind::BusyThread].wrong > 0, "{:?}", score.kinds);
    assert!(!score.failures.is_empty());
    // And one that lets everything pass finds no storm.
    let blind = Limits { reply_all_people: 10_000, ..Limits::default() };
    let storms = vec![StormKind::ReplyAll12];
    let shape = Shape { people: Some(20), days: 10, days_per_storm: 1, storms };
    let storms = Score::of(900_011, 1, &shape, &blind).storms[&StormKind::ReplyAll12];
    assert!(storms.all > 0 && storms.found == 0, "{storms:?}");
}
