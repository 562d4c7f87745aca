//! Queue ids: ascending, and never one twice, whatever the clock does.

use std::sync::{Mutex, PoisonError};

use quell_mail::id::QueueId;
use quell_storm::facts::Ms;

use crate::clock::Now;

/// Counters of one millisecond: 24 bits of the id.
const LAST_COUNTER: u32 = (1 << 24) - 1;
/// Milliseconds an id can hold: 48 bits, until the year 10889.
const LAST_MS: u64 = (1 << 48) - 1;

/// Why no id can be made; the message is answered 451 and the mark written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no queue id below the stored time mark is left; the mark must be stored first")]
pub struct NoIdLeft;

/// Makes queue ids; shared by all threads.
///
/// All ids lie between the mark stored by an earlier life and the one stored by this life. So an
/// id cannot come again after a crash, even if the mark is written late: ids then crowd into the
/// last millisecond below it (16.7 million fit), and after that none are given.
#[derive(Debug)]
pub struct IdMaker {
    gateway: u8,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The last id given, as its parts.
    ms: u64,
    counter: u32,
    /// Ids stay below this millisecond: the stored mark.
    mark_ms: u64,
    /// It is the last: a higher one changes nothing.
    is_over: bool,
}

impl IdMaker {
    /// For this `gateway`, above all ids made below `stored_high_water_ms` (0 at first start).
    /// Gives no id until [`IdMaker::raise`] has been told of a higher mark.
    pub fn new(gateway: u8, stored_high_water_ms: Ms) -> Self {
        let mark_ms = as_id_ms(stored_high_water_ms);
        // Ids of earlier lives are below the mark, so its own first counter is free.
        let ms = mark_ms.saturating_sub(1);
        Self { gateway, state: Mutex::new(State { ms, counter: LAST_COUNTER, mark_ms, is_over: false }) }
    }

    /// `mark_ms` ([`crate::clock::Clock::high_water`]) is durable: ids may come up to it.
    pub fn raise(&self, mark_ms: Ms) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.is_over {
            state.mark_ms = state.mark_ms.max(as_id_ms(mark_ms));
        }
    }

    /// A clean end: the lowest mark, `least_ms` at least, that lies above all ids that were given. None comes
    /// from it on any more, so it may take the place of a higher one that is stored.
    pub fn end(&self, least_ms: Ms) -> Ms {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let end_ms = as_id_ms(least_ms).max(state.ms.saturating_add(1)).min(LAST_MS);
        state.mark_ms = state.mark_ms.min(end_ms);
        state.is_over = true;
        Ms::try_from(end_ms).unwrap_or(Ms::MAX).max(least_ms)
    }

    /// The next id: higher than all before.
    ///
    /// # Errors
    ///
    /// [`NoIdLeft`] before the first [`IdMaker::raise`], or when the mark is overdue and 16.7
    /// million ids were made at it.
    pub fn next(&self, now: &Now) -> Result<QueueId, NoIdLeft> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (ms, counter) = state.after(as_id_ms(now.ms)).ok_or(NoIdLeft)?;
        (state.ms, state.counter) = (ms, counter);
        Ok(QueueId::new(ms, self.gateway, counter))
    }
}

impl State {
    /// The first free id at or after `now_ms`, if one is below the mark.
    fn after(&self, now_ms: u64) -> Option<(u64, u32)> {
        let now_ms = now_ms.min(self.mark_ms.checked_sub(1)?);
        let next = match self.counter {
            _ if now_ms > self.ms => (now_ms, 0),
            LAST_COUNTER => (self.ms + 1, 0),
            counter => (self.ms, counter + 1),
        };
        (next.0 < self.mark_ms).then_some(next)
    }
}

/// Times outside what an id can hold are drawn to its ends.
fn as_id_ms(ms: Ms) -> u64 {
    u64::try_from(ms).unwrap_or(0).min(LAST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn at(ms: Ms) -> Now {
        Now { ms, wall_ms: ms, mono_ms: 0, may_expire: true }
    }

    #[test]
    fn none_before_a_mark_is_stored() {
        let ids = IdMaker::new(1, 0);
        assert_eq!(ids.next(&at(5)), Err(NoIdLeft));
        ids.raise(1000);
        let id = ids.next(&at(5)).unwrap();
        assert_eq!((id.ms(), id.bytes()[6]), (5, 1));
    }

    #[test]
    fn a_late_mark_crowds_and_then_stops() {
        let ids = IdMaker::new(0, 10);
        ids.raise(11);
        let first = ids.next(&at(5000)).unwrap();
        assert_eq!(first.ms(), 10);
        ids.state.lock().unwrap().counter = LAST_COUNTER - 1;
        assert_eq!(ids.next(&at(5000)).map(|id| id.ms()), Ok(10));
        assert_eq!(ids.next(&at(5000)), Err(NoIdLeft));
        ids.raise(12);
        assert_eq!(ids.next(&at(5000)).map(|id| id.ms()), Ok(11));
    }

    /// A storm of quick restarts: each life ends cleanly, and the next one begins at the true time.
    #[test]
    fn clean_ends_do_not_add_up() {
        let (mut stored, mut last, start) = (0, None, 1_795_000_000_000);
        for life in 0..14 {
            let (mut clock, ids) = (Clock::new(stored), IdMaker::new(1, stored));
            let now = clock.observe(start + life * 900, 0);
            assert_eq!(now.ms, start + life * 900, "not ahead");
            ids.raise(clock.high_water());
            for _ in 0..40 {
                let id = ids.next(&now).unwrap();
                assert!(Some(id) > last);
                last = Some(id);
            }
            stored = ids.end(clock.end());
            // Whoever still asks gets none that a later life could give again.
            ids.raise(Ms::MAX);
            last = (0..9).map_while(|_| ids.next(&at(now.ms + 5000)).ok()).last().or(last);
            assert!(last.is_some_and(|id| id.ms() < stored));
            ids.state.lock().unwrap().counter = LAST_COUNTER;
            assert_eq!(ids.next(&at(now.ms + 5000)), Err(NoIdLeft));
        }
    }

    #[test]
    fn an_earlier_life_had_all_below_the_mark() {
        let ids = IdMaker::new(0, 10);
        ids.raise(20);
        assert_eq!(ids.next(&at(3)).map(|id| id.ms()), Ok(10), "even if the clock were behind");
    }

    #[test]
    fn threads_never_get_the_same() {
        let ids = IdMaker::new(3, 0);
        ids.raise(1_000_000);
        let make = || (0..2000).map(|_| ids.next(&at(7)).unwrap()).collect::<Vec<_>>();
        let all: Vec<Vec<QueueId>> = std::thread::scope(|s| {
            let threads: Vec<_> = (0..4).map(|_| s.spawn(make)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(all.iter().all(|ids| ids.is_sorted()));
        let distinct: HashSet<_> = all.iter().flatten().collect();
        assert_eq!(distinct.len(), 8000);
    }

    proptest! {
        /// Lives of a server whose clock does as it likes, which stores its mark when due or late,
        /// and is killed at any moment.
        #[test]
        fn ascending_over_restarts(
            lives in prop::collection::vec(
                (prop::collection::vec((-1i64 << 40..1 << 45, any::<bool>()), 1..20), any::<bool>()), 1..6),
        ) {
            let (mut stored, mut last) = (0, None);
            for (life, ends_cleanly) in lives {
                let (mut clock, ids) = (Clock::new(stored), IdMaker::new(9, stored));
                for (mono, (wall, stores)) in life.into_iter().enumerate() {
                    let now = clock.observe(wall, mono as u64);
                    if stores && clock.needs_persist() {
                        stored = clock.high_water();
                        clock.persisted(stored);
                        ids.raise(stored);
                    }
                    for id in (0..3).map_while(|_| ids.next(&now).ok()) {
                        prop_assert!(Some(id) > last);
                        prop_assert!(id.ms() < stored);
                        last = Some(id);
                    }
                }
                if ends_cleanly {
                    stored = ids.end(clock.end());
                }
            }
        }
    }
}
