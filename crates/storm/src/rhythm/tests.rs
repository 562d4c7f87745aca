use super::*;
use proptest::prelude::*;

mod year;

/// A Monday, 00:00 UTC.
const MONDAY: Ms = 1_796_601_600_000;
const DAY_MS: Ms = 24 * HOUR_MS;

/// Sends `n` messages evenly over the hour that begins at `at`; what was said, in order.
fn hour(rhythm: &mut Rhythm, at: Ms, n: u32) -> Vec<Flood> {
    let limits = FloodLimits::default();
    let times = (0..n).map(|i| at + Ms::from(i) * HOUR_MS / Ms::from(n));
    times.filter_map(|now| rhythm.count(now, &limits)).collect()
}

/// `weeks` weeks from Monday on with as many messages in each hour as `of` says for the hour of the
/// week; and when they end.
fn weeks(rhythm: &mut Rhythm, weeks: i64, of: impl Fn(i64) -> u32) -> (Vec<Flood>, Ms) {
    let hours = 0..weeks * 168;
    let said = hours.flat_map(|h| hour(rhythm, MONDAY + h * HOUR_MS, of(h % 168))).collect();
    (said, MONDAY + weeks * 7 * DAY_MS)
}

/// An office's day: 40 an hour from 8 to 18, Monday to Friday.
fn office(h: i64) -> u32 {
    if h < 120 && (8..18).contains(&(h % 24)) { 40 } else { 0 }
}

#[test]
fn it_is_small() {
    assert!(size_of::<Rhythm>() <= 416, "{} bytes", size_of::<Rhythm>());
}

#[test]
fn a_newcomer_with_a_bulk_run_is_told_once_and_one_with_fifty_is_not() {
    for (n, began) in [(50, 0), (700, 0), (2000, 1), (20_000, 1)] {
        let said = hour(&mut Rhythm::new(MONDAY), MONDAY, n);
        assert_eq!(said.iter().filter(|f| f.began).count(), began, "{n}");
        assert!(said.first().is_none_or(|f| f.began));
    }
    let said = hour(&mut Rhythm::new(MONDAY), MONDAY, 2000);
    let first = Flood { window: Window::Hour, count: 1201, usual: 0, threshold: 1200, began: true };
    assert_eq!((said.len(), said[0]), (800, first));
}

/// After eight equal weeks: 40 messages an hour in the office's hours.
#[test]
fn a_table_of_hours() {
    let mut known = Rhythm::new(MONDAY);
    let (said, end) = weeks(&mut known, 8, office);
    assert_eq!(said, []);
    let table = [
        ("a usual hour", 9, 40, None),
        ("five times the usual", 9, 200, None),
        ("ten times the usual", 9, 400, Some((40, 317))),
        ("an hour early, as after the change of clocks", 7, 40, None),
        ("a usual number at night", 3, 40, None),
        ("many at night", 3, 400, Some((0, 300))),
        ("the hour after the last", 18, 299, None),
    ];
    for (name, at, n, expected) in table {
        let said = hour(&mut known.clone(), end + at * HOUR_MS, n);
        let first = said.first().map(|f| (f.usual, f.threshold));
        assert_eq!(first, expected, "{name}");
        assert!(said.iter().all(|f| f.window == Window::Hour && f.count > f.threshold), "{name}");
    }
}

#[test]
fn a_burst_is_found_in_five_minutes_and_a_drizzle_in_a_day() {
    let mut known = Rhythm::new(MONDAY);
    let (_, end) = weeks(&mut known, 4, office);
    let limits = FloodLimits::default();
    let mut burst = known.clone();
    let said: Vec<_> = (0..200).filter_map(|i| burst.count(end + i, &limits)).collect();
    assert_eq!((said.len(), said[0].window, said[0].threshold), (50, Window::FiveMinutes, 150));
    let drizzle: Vec<_> =
        (0..24).flat_map(|h| hour(&mut known, end + h * HOUR_MS, 200)).map(|f| (f.window, f.began)).collect();
    assert_eq!(drizzle[0], (Window::Day, true));
    assert!(drizzle[1..].iter().all(|d| *d == (Window::Day, false)));
}

#[test]
fn a_flood_of_hours_is_one_and_a_second_one_is_another() {
    let mut known = Rhythm::new(MONDAY);
    let (_, end) = weeks(&mut known, 4, office);
    let mut began =
        |at: Ms, n| hour(&mut known, end + at * HOUR_MS, n).iter().map(|f| u32::from(f.began)).sum::<u32>();
    assert_eq!([0, 1, 2].map(|at| began(at, 500)), [1, 0, 0], "it goes on over the hours");
    assert_eq!(began(3, 200), 0, "less, but more than half the threshold");
    assert_eq!(began(4, 500), 0, "the same");
    assert_eq!((began(5, 100), began(6, 500)), (0, 1), "another");
    assert_eq!(began(48, 500), 1, "after silence");
}

#[test]
fn a_flood_does_not_make_the_next_one_usual() {
    let mut known = Rhythm::new(MONDAY);
    let (_, end) = weeks(&mut known, 4, office);
    hour(&mut known, end + 9 * HOUR_MS, 50_000);
    known.count(end + 7 * DAY_MS + 9 * HOUR_MS, &FloodLimits::default());
    assert_eq!(known.usual(Window::Hour), 110, "a quarter of the threshold, 317, and three of 40");
}

#[test]
fn silence_fades() {
    let mut known = Rhythm::new(MONDAY);
    let (_, end) = weeks(&mut known, 8, |_| 600);
    let limits = FloodLimits::default();
    let usual_after = |weeks: Ms| {
        let mut later = known.clone();
        later.count(end + weeks * 7 * DAY_MS + HOUR_MS, &limits);
        [later.usual(Window::Hour), later.threshold(Window::Hour, &limits)]
    };
    assert_eq!(usual_after(0), [600, 4346]);
    assert_eq!(usual_after(2), [338, 2476]);
    assert_eq!(usual_after(26), [1, 300]);
    assert_eq!(usual_after(2000), [0, 300]);
}

proptest! {
    #[test]
    fn any_times_are_counted_within_bounds_and_alike(
        steps in prop::collection::vec((any::<i64>(), 0u32..63, 1u8..40), 0..60),
        start: i64,
        values: (u32, u32, u32, u32, u32, u32),
    ) {
        let (least_five_minutes, least_hour, least_day, factor, warm_up_days, warm_up_factor) = values;
        let limits = FloodLimits {
            least_five_minutes, least_hour, least_day, factor, warm_up_days, warm_up_factor
        };
        let (mut one, mut now) = (Rhythm::new(start), start);
        let mut two = one.clone();
        for (step, shift, times) in steps {
            now = now.saturating_add(step >> shift);
            for _ in 0..times {
                let said = one.count(now, &limits);
                prop_assert_eq!(said, two.count(now, &limits));
                if let Some(flood) = said {
                    prop_assert!(flood.count > flood.threshold);
                    prop_assert_eq!(flood.count, one.counted(flood.window));
                    prop_assert_eq!(flood.threshold, one.threshold(flood.window, &limits));
                }
                let counted = Window::ALL.map(|window| one.counted(window));
                prop_assert!(counted.is_sorted() && counted[0] > 0);
            }
        }
        prop_assert_eq!(one, two);
    }

    #[test]
    fn full_counters_stay_full(hours in prop::collection::vec(0i64..400, 1..30)) {
        let limits = FloodLimits { least_hour: u32::MAX, warm_up_factor: u32::MAX, ..FloodLimits::default() };
        let (mut full, mut now) = (Rhythm::new(MONDAY), MONDAY);
        for step in hours {
            now += step * HOUR_MS;
            full.count(now, &limits);
            (full.in_five, full.in_hour) = (u32::MAX, u32::MAX);
            full.blocks = [u32::MAX; BLOCKS];
            full.count(now, &limits);
        }
        prop_assert_eq!(full.counted(Window::Day), u32::MAX);
    }

    #[test]
    fn means_are_right_to_a_thousandth(parts in 0u64..1 << 42) {
        let read = Mean::from_parts(parts).parts();
        prop_assert!(read.abs_diff(parts) <= parts / 4096, "{parts} became {read}");
    }

}

proptest! {
    // Each sends some hundred thousand messages.
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Equal weeks, whatever they look like, never flood once they are known.
    #[test]
    fn equal_weeks_are_no_flood(
        peaks in prop::collection::vec((0i64..168, 1u32..3000), 0..5), low in 0u32..12
    ) {
        let of = |h: i64| peaks.iter().find(|p| p.0 == h).map_or(low, |p| p.1);
        let mut rhythm = Rhythm::new(MONDAY);
        let (_, end) = weeks(&mut rhythm, 2, of);
        for h in 0..168 * 3 {
            prop_assert_eq!(hour(&mut rhythm, end + h * HOUR_MS, of(h % 168)), []);
        }
    }

    #[test]
    fn a_tenfold_hour_is_found(usual in 31u32..300, at in 0i64..168) {
        let mut rhythm = Rhythm::new(MONDAY);
        let (_, end) = weeks(&mut rhythm, 3, |_| usual);
        for h in 0..at {
            hour(&mut rhythm, end + h * HOUR_MS, usual);
        }
        let said = hour(&mut rhythm, end + at * HOUR_MS, 10 * usual);
        prop_assert!(said.first().is_some_and(|f| f.began));
    }

    #[test]
    fn silence_never_raises(gap_hours in 1i64..3000, usual in 1u32..300) {
        let mut rhythm = Rhythm::new(MONDAY);
        let (_, end) = weeks(&mut rhythm, 3, |_| usual);
        let limits = FloodLimits::default();
        rhythm.count(end, &limits);
        let before = Window::ALL.map(|window| rhythm.threshold(window, &limits));
        rhythm.count(end + gap_hours * HOUR_MS, &limits);
        for (window, before) in [Window::FiveMinutes, Window::Hour].into_iter().zip(before) {
            prop_assert!(rhythm.threshold(window, &limits) <= before);
        }
        // The day's blocks cover 22 to 24 hours, and one hour is added.
        prop_assert!(rhythm.usual(Window::Day) <= 25 * usual + 1);
    }
}
