//! When the committer is asked for a step of upkeep, and up to which time things may expire in it.

use quell_queue::clock::Now;
use quell_storm::facts::Ms;

/// Steps of upkeep are asked for this often.
const EVERY_MS: u64 = 60_000;
/// A committer that is never idle is asked all the same, so long after: days must be closed, and what is
/// over let go, under any load.
const PATIENCE_MS: u64 = 600_000;

/// One step is under way at most.
#[derive(Debug, Default)]
pub struct Upkeep {
    /// When the next step is due, on the monotonic clock; None: one is under way.
    due_ms: Option<u64>,
    /// The latest time at which things might expire. After a jump of the clock nothing does for an hour
    /// (DESIGN, "The ledger"): until then steps are done as of before the jump.
    expiry_ms: Ms,
}

impl Upkeep {
    /// Its first step is due at once.
    pub fn new() -> Self {
        Self { due_ms: Some(0), expiry_ms: 0 }
    }

    /// The time for which a step is to be done now, if one is: it is under way from here on. `busy`: the
    /// committer has something else to do.
    pub fn begin(&mut self, busy: bool, now: &Now) -> Option<Ms> {
        if now.may_expire {
            self.expiry_ms = now.ms;
        }
        let wait_ms = if busy { PATIENCE_MS } else { 0 };
        self.due_ms.take_if(|due| now.mono_ms >= due.saturating_add(wait_ms)).map(|_| self.expiry_ms)
    }

    /// A step is done; `more`: the next is due at once.
    pub fn done(&mut self, more: bool, now: &Now) {
        self.due_ms = Some(now.mono_ms + if more { 0 } else { EVERY_MS });
    }

    /// The store was away: a step that was under way is lost.
    pub fn lost(&mut self, now: &Now) {
        self.done(false, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_ms: u64, may_expire: bool) -> Now {
        let ms = 1_000_000 + mono_ms.cast_signed();
        Now { ms, wall_ms: ms, mono_ms, may_expire }
    }

    #[test]
    fn one_step_is_under_way_at_most() {
        let mut upkeep = Upkeep::new();
        assert_eq!(upkeep.begin(false, &at(5, true)), Some(1_000_005));
        assert_eq!(upkeep.begin(false, &at(10 * EVERY_MS, true)), None);
        upkeep.done(true, &at(7, true));
        assert_eq!(upkeep.begin(false, &at(7, true)), Some(1_000_007));
        upkeep.done(false, &at(8, true));
        assert_eq!(upkeep.begin(false, &at(7 + EVERY_MS, true)), None);
        assert!(upkeep.begin(false, &at(8 + EVERY_MS, true)).is_some());
    }

    #[test]
    fn a_step_that_was_lost_with_the_store_comes_again() {
        let mut upkeep = Upkeep::new();
        assert!(upkeep.begin(false, &at(0, true)).is_some());
        upkeep.lost(&at(100, true));
        assert!(upkeep.begin(false, &at(100 + EVERY_MS, true)).is_some());
    }

    #[test]
    fn a_busy_committer_is_asked_later_and_not_never() {
        let mut upkeep = Upkeep::new();
        assert_eq!(upkeep.begin(true, &at(PATIENCE_MS - 1, true)), None);
        assert!(upkeep.begin(true, &at(PATIENCE_MS, true)).is_some());
    }

    #[test]
    fn after_a_jump_of_the_clock_nothing_expires() {
        let mut upkeep = Upkeep::new();
        assert_eq!(upkeep.begin(false, &at(0, false)), Some(0), "nothing is known before the start");
        upkeep.done(true, &at(1, true));
        assert_eq!(upkeep.begin(false, &at(1, true)), Some(1_000_001));
        upkeep.done(true, &at(2, true));
        let jumped = Now { ms: i64::MAX / 2, ..at(3, false) };
        assert_eq!(upkeep.begin(false, &jumped), Some(1_000_001));
    }
}
