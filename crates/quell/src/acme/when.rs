//! When a certificate is asked for. No clock: the time comes from the caller.

use serde::{Deserialize, Serialize};

/// So long after the first failure the next try comes; twice as long after each further one.
const FIRST_WAIT_SECS: i64 = 3_600;
/// Doubled so often at most; then it is a day.
const MAX_DOUBLINGS: u32 = 5;
const MAX_WAIT_SECS: i64 = 86_400;
/// Between two tries, whoever asks for them.
const LEAST_WAIT_SECS: i64 = 60;

/// What the tries so far came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    /// Failures since the last success.
    pub failures: u32,
    /// When the last try was: seconds since 1970; 0: never.
    pub last_secs: i64,
}

/// The certificate that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Valid from and until: seconds since 1970.
    pub not_before_secs: i64,
    /// See above.
    pub not_after_secs: i64,
}

/// When the next try is due, in seconds since 1970. `held`: the certificate, if there is one for the names
/// wanted, from the authority wanted. `asked`: a person wants a try now. `jitter`: a random number.
///
/// A certificate is renewed when a third of its life is left, which is what authorities advise.
pub fn due_secs(held: Option<Held>, tries: &Tries, asked: bool, jitter: u8, now_secs: i64) -> i64 {
    let life = |held: Held| held.not_after_secs.saturating_sub(held.not_before_secs).max(0);
    let renewal = held.map_or(0, |held| held.not_before_secs.saturating_add(life(held) / 3 * 2));
    // Never, or the clock has been set back: nothing is known then of how long ago that was.
    if tries.last_secs == 0 || tries.last_secs > now_secs {
        return renewal;
    }
    let wait = match (tries.failures, held) {
        // By a clock that is far ahead every new certificate looks old at once.
        (0, Some(held)) => life(held) / 3,
        (0, None) => LEAST_WAIT_SECS,
        _ if asked => LEAST_WAIT_SECS,
        (failures, _) => wait_secs(failures, jitter),
    };
    renewal.max(tries.last_secs.saturating_add(wait))
}

/// With up to a quarter more, so that not all servers come again at once.
fn wait_secs(failures: u32, jitter: u8) -> i64 {
    let wait = FIRST_WAIT_SECS << failures.saturating_sub(1).min(MAX_DOUBLINGS);
    let wait = wait.min(MAX_WAIT_SECS);
    wait + wait / 4 * i64::from(jitter) / i64::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: i64 = 3_600;
    const DAY: i64 = 86_400;
    const NOW: i64 = 20_000 * DAY;

    /// With 90 days of life, of which so many are over.
    fn held(days: i64) -> Option<Held> {
        Some(Held { not_before_secs: NOW - days * DAY, not_after_secs: NOW + (90 - days) * DAY })
    }

    #[test]
    fn a_certificate_is_asked_for_when_a_third_of_its_life_is_left() {
        let none = Tries::default();
        let success = |ago| Tries { failures: 0, last_secs: NOW - ago };
        for (what, held, tries, due) in [
            ("a first start", None, none.clone(), None),
            ("deleted a second after it came", None, success(1), Some(59)),
            ("new", held(0), success(1), Some(60 * DAY)),
            ("without a state", held(0), none.clone(), Some(60 * DAY)),
            ("two days before", held(58), success(58 * DAY), Some(2 * DAY)),
            ("due", held(60), success(60 * DAY), Some(0)),
            ("ended", held(95), success(95 * DAY), Some(-35 * DAY)),
            ("another's, put there by hand, old", held(80), none.clone(), Some(-20 * DAY)),
            // The clock is a year ahead: not again before a third of a life.
            ("new, and ended by our clock", held(365), success(HOUR), Some(30 * DAY - HOUR)),
            ("of a try in the future", held(61), success(-DAY), Some(-DAY)),
        ] {
            let at = due_secs(held, &tries, false, 0, NOW);
            assert_eq!(at, due.map_or(0, |due| NOW + due), "{what}");
        }
    }

    #[test]
    fn failures_wait_longer_and_longer_and_a_day_at_most() {
        let at = |failures, asked, jitter| {
            let tries = Tries { failures, last_secs: NOW };
            due_secs(None, &tries, asked, jitter, NOW) - NOW
        };
        let hours = [1, 2, 4, 8, 16, 24, 24, 24];
        for (failures, hours) in (1..).zip(hours) {
            assert_eq!(at(failures, false, 0), hours * HOUR, "{failures}");
            assert_eq!(at(failures, false, u8::MAX), hours * HOUR * 5 / 4, "{failures}");
        }
        assert_eq!(at(u32::MAX, false, 0), DAY);
        // A person's word counts, and not twice in a minute.
        assert_eq!(at(8, true, u8::MAX), 60);
        // A failed renewal goes the same way, not before it is due.
        let tries = Tries { failures: 1, last_secs: NOW };
        assert_eq!(due_secs(held(70), &tries, false, 0, NOW), NOW + HOUR);
        assert_eq!(due_secs(held(1), &tries, true, 0, NOW), NOW + 59 * DAY);
    }

    proptest! {
        /// Whatever the authority, the disk and the clock say: tries are a minute apart at least, or a third of
        /// the certificate's life, unless the clock was set back.
        #[test]
        fn nobody_is_hammered(
            (before, after) in any::<(i64, i64)>(), some in any::<bool>(),
            failures in any::<u32>(), (last, now) in (1..i64::MAX, 1..i64::MAX), asked in any::<bool>(), jitter in any::<u8>(),
        ) {
            let held = some.then_some(Held { not_before_secs: before, not_after_secs: after });
            let due = due_secs(held, &Tries { failures, last_secs: last }, asked, jitter, now);
            if last <= now && (failures > 0 || held.is_none()) {
                prop_assert!(due >= last.saturating_add(LEAST_WAIT_SECS));
            }
            if last <= now && failures == 0 && held.is_some() {
                prop_assert!(due >= last.saturating_add(after.saturating_sub(before).max(0) / 3));
            }
        }
    }
}
