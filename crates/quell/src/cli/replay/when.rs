//! When a message came.
//!
//! The newest `Received` field whose date parses is what the mailbox's own server wrote. It is not
//! believed if it lies before 1980 or more than a day in the future, nor if it lies more than a week from
//! both its neighbours in the mailbox while these lie within a week of each other, and the next stamp or the
//! Date lies within a week of both: then that counts. Where the neighbours do not agree (a folder of files in
//! no order) they say nothing. A message without a stamp came at its Date; one without either when the one
//! before it in the mailbox came, else the one behind it.

/// Seconds since 1970. 0: not known.
pub(super) type Secs = u32;

/// 1 January 1980: a clock that says less was not set.
const EARLIEST: i64 = 315_532_800;
/// So far ahead of ours a clock may be.
const AHEAD: i64 = 86_400;
/// Neighbours in a mailbox lie no further apart than this, or say nothing of each other.
const WEEK: Secs = 7 * 86_400;

/// When a message came, by several witnesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Times {
    /// When it came.
    pub(super) came: Secs,
    /// What the next stamp says.
    next: Secs,
    /// What its Date says, believed or not.
    pub(super) date: Secs,
}

impl Times {
    /// The last second that is believed at `now_ms`.
    pub(super) fn latest(now_ms: i64) -> Secs {
        Secs::try_from((now_ms / 1_000).saturating_add(AHEAD)).unwrap_or(Secs::MAX)
    }

    /// The second of `ms` since 1970, if it may be.
    pub(super) fn believed(ms: i64, latest: Secs) -> Option<Secs> {
        let secs = ms.div_euclid(1_000);
        Secs::try_from(secs).ok().filter(|s| secs >= EARLIEST && *s <= latest)
    }

    /// By its newest stamps that are believed, and its Date.
    pub(super) fn of(stamps: &[Secs], date_ms: Option<i64>, latest: Secs) -> Self {
        let date = date_ms.and_then(|ms| Secs::try_from(ms.div_euclid(1_000)).ok()).unwrap_or_default();
        let next = stamps.get(1).copied().unwrap_or_default();
        let believed = date_ms.and_then(|ms| Self::believed(ms, latest)).unwrap_or_default();
        Self { came: stamps.first().copied().unwrap_or(believed), next, date }
    }
}

/// Sets right the times of one mailbox, in its order.
pub(super) fn set_right<'a>(mailbox: impl Iterator<Item = &'a mut Times>) {
    let mut times: Vec<&mut Times> = mailbox.collect();
    let said: Vec<Secs> = times.iter().map(|t| t.came).collect();
    for (three, time) in said.windows(3).zip(times.iter_mut().skip(1)) {
        let [before, this, behind] = three else { continue };
        let near_both = |t: &Secs| near(*t, *before) && near(*t, *behind);
        if *this != 0 && near(*before, *behind) && !near(*this, *before) && !near(*this, *behind) {
            time.came = [time.next, time.date].into_iter().find(near_both).unwrap_or(time.came);
        }
    }
    let mut last = 0;
    for time in &mut times {
        last = if time.came == 0 { last } else { time.came };
        time.came = last;
    }
    for time in times.iter_mut().rev() {
        last = if time.came == 0 { last } else { time.came };
        time.came = last;
    }
}

fn near(a: Secs, b: Secs) -> bool {
    a != 0 && b != 0 && a.abs_diff(b) <= WEEK
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Secs = 86_400;
    const T: Secs = 1_700_000_000;

    fn came(times: &[(Secs, Secs, Secs)]) -> Vec<Secs> {
        let mut times: Vec<Times> =
            times.iter().map(|(came, next, date)| Times { came: *came, next: *next, date: *date }).collect();
        set_right(times.iter_mut());
        times.iter().map(|t| t.came).collect()
    }

    #[test]
    fn what_is_believed() {
        let latest = Times::latest(1_700_000_000_000);
        let believed = |secs: i64| Times::believed(secs * 1_000 + 999, latest);
        assert_eq!(believed(1_700_000_000), Some(T));
        assert_eq!(believed(1_700_086_400), Some(T + DAY));
        assert_eq!([believed(1_700_086_401), believed(315_532_799), believed(-1)], [None; 3]);
        assert_eq!(believed(5_000_000_000), None);
    }

    #[test]
    fn the_newest_stamp_counts_then_the_next_then_the_date() {
        let date_ms = Some(i64::from(T) * 1_000);
        assert_eq!(Times::of(&[3, 2], date_ms, T), Times { came: 3, next: 2, date: T });
        assert_eq!(Times::of(&[2], None, T), Times { came: 2, next: 0, date: 0 });
        assert_eq!(Times::of(&[], date_ms, T).came, T);
        assert_eq!(Times::of(&[], None, T).came, 0);
        // A Date in the future is known, and not believed.
        assert_eq!(Times::of(&[], date_ms, T - 1), Times { came: 0, next: 0, date: T });
    }

    #[test]
    fn one_that_lies_far_from_neighbours_that_agree_is_set_right() {
        let far = T + 400 * DAY;
        assert_eq!(came(&[(T, 0, 0), (far, T + 5, 0), (T + 9, 0, 0)]), [T, T + 5, T + 9]);
        assert_eq!(came(&[(T, 0, 0), (far, far, T + 6), (T + 9, 0, 0)]), [T, T + 6, T + 9]);
        // Nothing fits better.
        assert_eq!(came(&[(T, 0, 0), (far, far, far), (T + 9, 0, 0)]), [T, far, T + 9]);
        // One neighbour is near; or they do not agree; or there is one only.
        assert_eq!(came(&[(T, 0, 0), (far, T, 0), (far, 0, 0)]), [T, far, far]);
        assert_eq!(came(&[(T, 0, 0), (far, T, 0), (T + 30 * DAY, 0, 0)]), [T, far, T + 30 * DAY]);
        assert_eq!(came(&[(far, T, 0), (T, 0, 0)]), [far, T]);
    }

    #[test]
    fn without_a_time_it_came_with_its_neighbour() {
        assert_eq!(came(&[(0, 0, 0), (T, 0, 0), (0, 0, 0), (T + 9, 0, 0)]), [T, T, T, T + 9]);
        assert_eq!(came(&[(0, 0, 0)]), [0]);
        assert_eq!(came(&[]), [] as [Secs; 0]);
    }

    proptest! {
        #[test]
        fn nothing_is_invented(times in prop::collection::vec((0..4u32, 0..4u32, 0..4u32), 0..20)) {
            let times: Vec<_> = times.into_iter().map(|(a, b, c)| (T / 4 * a, T / 4 * b, T / 4 * c)).collect();
            let said: Vec<Secs> = times.iter().flat_map(|t| [t.0, t.1, t.2]).collect();
            let came = came(&times);
            prop_assert!(came.iter().all(|t| said.contains(t)));
            prop_assert!(times.iter().all(|t| t.0 == 0) || !came.contains(&0));
        }
    }
}
