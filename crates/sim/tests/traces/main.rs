//! The tracer on worlds whose truth is known: a few of each kind. `make trace-worlds` looks at a thousand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod score;

use quell_sim::traces::kinds;

use score::Score;

/// Worlds of each kind.
const WORLDS: u64 = 25;
/// Seeds that no threshold was set by: those below were looked at while the tracer was written.
const FIRST: u64 = 700_000;

#[test]
fn culprits_are_named_and_nobody_else() {
    let mut all = Score::default();
    for kind in kinds() {
        let score = Score::of(*kind, FIRST, WORLDS);
        let what = format!("{}: {score:?}", kind.name());
        assert!(score.precision() >= 0.95 && score.recall() >= 0.95, "{what}");
        assert_eq!(score.alarms, 0, "{what}");
        all.merge(&score);
    }
    assert!(all.precision() >= 0.99 && all.recall() >= 0.99, "{all:?}");
    assert!(all.right > 400, "{all:?}");
}

#[test]
fn the_score_can_tell_wrong_from_right() {
    let kind = *kinds().iter().find(|kind| kind.name() == "resend_trace").unwrap();
    let mut world = quell_sim::traces::world(kind, FIRST);
    let honest = Score::of(kind, FIRST, 1);
    assert_eq!((honest.right, honest.wrong, honest.missed), (1, 0, 0));
    // The truth says another machine: what is named is wrong now, and what is true was missed.
    world.truth.culprits[0].ip = "192.0.2.254".parse().ok();
    world.truth.culprits[0].names = vec!["somebody.else.example".to_owned()];
    let mut other = Score::default();
    other.look(&world);
    assert_eq!((other.right, other.wrong, other.missed), (0, 1, 1));
}
