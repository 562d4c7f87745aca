//! One time for the whole queue, made from wall and monotonic readings that are passed in.
//!
//! Durations that outlive a restart are differences of [`Now::ms`]. It never runs backwards, not
//! even over a restart, thanks to a stored high-water mark, and it never stands still:
//!
//! - The wall clock is at or past the last reading: `ms` is the wall clock.
//! - It is behind (set back, or set far into the future once and put right later): `ms` goes on
//!   from where it was, by 7/8 of what the monotonic clock says, until the wall clock has caught
//!   up. Being five minutes ahead is over after forty; being ten years ahead stays, and costs that
//!   ids and stored times are in the future and that waiting takes an eighth longer. What is shown
//!   to others (`Received`, `Date`) and compared with their dates is [`Now::wall_ms`].
//! - A jump of more than ten minutes against the monotonic clock, in one step or in several:
//!   nothing expires for an hour.

use quell_storm::facts::Ms;

/// A wall clock that departs this far from the monotonic one has jumped.
pub const JUMP_MS: i64 = 10 * 60 * 1000;
/// After a jump nothing expires for this long, on the monotonic clock.
pub const NO_EXPIRY_MS: u64 = 60 * 60 * 1000;

/// The mark is a multiple of this, and at least this far ahead when taken.
const MARK_STEP_MS: i64 = 10_000;
/// A mark nearer than this is due to be written again.
const MARK_LEAST_MS: i64 = 5_000;
/// Of eight milliseconds, how many pass while the wall clock is behind.
const SLEW_EIGHTHS: u64 = 7;
/// Longest step the slew believes: a monotonic clock that leaps further is broken.
const LONGEST_STEP_MS: u64 = 1 << 48;

/// The time of one decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since 1970, never behind the stored mark nor an earlier `Now`.
    pub ms: Ms,
    /// The wall clock as it was read: for dates that others see or wrote.
    pub wall_ms: Ms,
    /// The monotonic clock as it was read, for durations within this process.
    pub mono_ms: u64,
    /// False for an hour after the wall clock jumped.
    pub may_expire: bool,
}

/// Turns readings into [`Now`]. Belongs to one thread, or behind one lock.
#[derive(Debug)]
pub struct Clock {
    ms: Ms,
    persisted_ms: Ms,
    last: Option<Readings>,
    no_expiry_until_mono_ms: u64,
    slew_rest: u64,
}

/// What the clocks said.
#[derive(Debug, Clone, Copy)]
struct Readings {
    mono_ms: u64,
    /// Wall minus monotonic when the last jump was noticed (or at the start): comparing with this,
    /// not with the reading before, lets many small steps add up to a jump.
    reference_ms: i64,
}

impl Clock {
    /// A clock that goes on above `stored_high_water_ms`: what [`Clock::persisted`] was last told
    /// in an earlier life, 0 at first start.
    pub fn new(stored_high_water_ms: Ms) -> Self {
        Self {
            ms: stored_high_water_ms,
            persisted_ms: stored_high_water_ms,
            last: None,
            no_expiry_until_mono_ms: 0,
            slew_rest: 0,
        }
    }

    /// The time, from both clocks read just now.
    pub fn observe(&mut self, wall_ms: Ms, mono_ms: u64) -> Now {
        let jumped = self.note(wall_ms, mono_ms);
        if jumped {
            self.no_expiry_until_mono_ms = mono_ms.saturating_add(NO_EXPIRY_MS);
        }
        let may_expire = mono_ms >= self.no_expiry_until_mono_ms;
        Now { ms: self.ms, wall_ms, mono_ms, may_expire }
    }

    /// Moves `ms` on and tells whether the wall clock jumped.
    fn note(&mut self, wall_ms: Ms, mono_ms: u64) -> bool {
        let offset_ms = wall_ms.saturating_sub_unsigned(mono_ms);
        let Some(last) = &mut self.last else {
            self.last = Some(Readings { mono_ms, reference_ms: offset_ms });
            // Behind the stored mark by more than the mark's own lead: it was set back while we
            // were away. Ahead of it says nothing: we may have been away for long.
            let jumped = self.ms.saturating_sub(wall_ms) > JUMP_MS + 2 * MARK_STEP_MS;
            self.ms = self.ms.max(wall_ms);
            return jumped;
        };
        let step_ms = mono_ms.saturating_sub(last.mono_ms).min(LONGEST_STEP_MS);
        last.mono_ms = last.mono_ms.max(mono_ms);
        let jumped = offset_ms.abs_diff(last.reference_ms) > JUMP_MS.unsigned_abs();
        if jumped {
            last.reference_ms = offset_ms;
        }
        self.advance(wall_ms, step_ms);
        jumped
    }

    fn advance(&mut self, wall_ms: Ms, step_ms: u64) {
        if wall_ms >= self.ms {
            self.ms = wall_ms;
            return;
        }
        // The rest is kept, or a clock read every millisecond would stand still.
        self.slew_rest += step_ms * SLEW_EIGHTHS;
        self.ms = self.ms.saturating_add_unsigned(self.slew_rest / 8).max(wall_ms);
        self.slew_rest %= 8;
    }

    /// What to store now, so that a later life starts above all times given out until then: 10 to
    /// 20 s ahead. Tell [`Clock::persisted`] once it is durable.
    pub fn high_water(&self) -> Ms {
        let step = self.ms.div_euclid(MARK_STEP_MS);
        step.saturating_add(2).saturating_mul(MARK_STEP_MS)
    }

    /// What to store at a clean end, after which no time is given out: right above all that were. A later
    /// life then begins at the true time; with [`Clock::high_water`] each restart would add some seconds.
    pub fn end(&self) -> Ms {
        self.ms.saturating_add(1)
    }

    /// True when the stored mark is less than 5 s ahead, as it is at the start. Store the mark
    /// with the next commit; it falls due about every 10 s while there is traffic.
    pub fn needs_persist(&self) -> bool {
        self.persisted_ms.saturating_sub(self.ms) < MARK_LEAST_MS
    }

    /// `mark_ms` is durable. A lower mark than an earlier one changes nothing.
    pub fn persisted(&mut self, mark_ms: Ms) {
        self.persisted_ms = self.persisted_ms.max(mark_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3_600_000;
    const T0: i64 = 1_790_000_000_000;

    #[test]
    fn follows_the_wall_clock() {
        let mut clock = Clock::new(0);
        assert_eq!(clock.observe(T0, 5).ms, T0);
        let now = clock.observe(T0 + 1000, 1005);
        assert_eq!(now, Now { ms: T0 + 1000, wall_ms: T0 + 1000, mono_ms: 1005, may_expire: true });
    }

    #[test]
    fn a_jump_forward_stops_expiry_for_an_hour() {
        let mut clock = Clock::new(0);
        clock.observe(T0, 0);
        let far = T0 + 30 * 24 * HOUR as i64;
        let now = clock.observe(far, 1);
        assert_eq!((now.ms, now.may_expire), (far, false));
        let mono = NO_EXPIRY_MS;
        assert!(!clock.observe(far + mono as i64 - 1, mono).may_expire);
        assert!(clock.observe(far + mono as i64, mono + 1).may_expire);
    }

    #[test]
    fn a_jump_back_neither_turns_back_nor_freezes_nor_expires() {
        let mut clock = Clock::new(0);
        clock.observe(T0, 0);
        let back = clock.observe(T0 - HOUR as i64, 0);
        assert_eq!((back.ms, back.may_expire), (T0, false));
        // Read every millisecond: the rest of the division must not be lost.
        let mut last = back;
        for ms in 1..=8000 {
            last = clock.observe(T0 - HOUR as i64 + ms as i64, ms);
        }
        assert_eq!(last.ms, T0 + 7000);
        // 8 hours later the wall clock has caught up, and leads again.
        let later = clock.observe(T0 + 7 * HOUR as i64, 8 * HOUR);
        assert_eq!((later.ms, later.may_expire), (T0 + 7 * HOUR as i64, true));
    }

    #[test]
    fn many_small_steps_are_a_jump() {
        let mut clock = Clock::new(0);
        let seen: Vec<bool> = (0..4).map(|i| clock.observe(T0 + i * 4 * 60_000, 0).may_expire).collect();
        assert_eq!(seen, [true, true, true, false]);
    }

    #[test]
    fn ten_minutes_exactly_are_no_jump() {
        let mut clock = Clock::new(0);
        clock.observe(T0, 0);
        assert!(clock.observe(T0 + JUMP_MS, 0).may_expire);
        assert!(!clock.observe(T0 + JUMP_MS + 1, 0).may_expire);
    }

    #[test]
    fn a_restart_starts_at_the_mark() {
        let mut clock = Clock::new(0);
        clock.observe(T0, 0);
        let mark = clock.high_water();
        assert!(mark > T0 && mark <= T0 + 2 * MARK_STEP_MS);
        let mut next = Clock::new(mark);
        let now = next.observe(T0 + 1, 0);
        assert_eq!((now.ms, now.may_expire), (mark, true));
        let mut set_back = Clock::new(mark);
        let now = set_back.observe(T0 - HOUR as i64, 0);
        assert_eq!((now.ms, now.may_expire), (mark, false));
    }

    #[test]
    fn the_mark_falls_due_about_every_ten_seconds() {
        let mut clock = Clock::new(0);
        let mut writes = 0;
        for s in 0..1000 {
            clock.observe(T0 + s * 1000, s as u64 * 1000);
            if clock.needs_persist() {
                clock.persisted(clock.high_water());
                writes += 1;
            }
        }
        assert!((65..=200).contains(&writes), "{writes}");
    }

    proptest! {
        #[test]
        fn never_backwards_and_below_the_mark(
            mark in 0i64..T0 * 2,
            steps in prop::collection::vec((any::<i64>(), any::<u64>()), 1..50),
        ) {
            let mut clock = Clock::new(mark);
            let mut before = mark;
            for (wall, mono) in steps {
                let now = clock.observe(wall, mono);
                prop_assert!(now.ms >= before);
                prop_assert!(clock.high_water() >= now.ms);
                before = now.ms;
            }
        }

        #[test]
        fn never_stands_still(wall in 0i64..T0, steps in prop::collection::vec(2u64..100_000, 1..50)) {
            let mut clock = Clock::new(T0);
            let (mut mono, mut before) = (0, clock.observe(wall, 0).ms);
            for step in steps {
                mono += step;
                let ms = clock.observe(wall, mono).ms;
                prop_assert!(ms > before);
                before = ms;
            }
        }
    }
}
