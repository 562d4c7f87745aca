//! A year of sources as an office has them: weekly rhythm, chance, busy and slow hours, holidays, a
//! summer closing, growth, the clocks going forward and back, a monthly run at five times the usual.

use super::*;

/// A small generator with a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ n >> 31
    }

    /// Below 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// About as Poisson's law draws: by the normal one above 30.
    fn poisson(&mut self, mean: f64) -> u32 {
        if mean > 30.0 {
            let normal = (0..12).map(|_| self.part()).sum::<f64>() - 6.0;
            return (mean + mean.sqrt() * normal).round() as u32;
        }
        let (limit, mut n, mut product) = ((-mean).exp(), 0, self.part());
        while product > limit {
            product *= self.part();
            n += 1;
        }
        n
    }
}

/// What share of its peak the source sends in an hour of local time.
fn share(day: i64, hour: i64, holiday: bool) -> f64 {
    let of_hour = match hour {
        8 | 17 => 0.5,
        9..=11 => 1.0,
        12 | 13 => 0.6,
        14..=16 => 0.9,
        7 | 18..=20 => 0.15,
        _ => 0.02,
    };
    let of_day = if day % 7 >= 5 { 0.08 } else { 1.0 };
    let closed = (200..214).contains(&day) || (352..361).contains(&day);
    of_hour * of_day * if holiday || closed { 0.1 } else { 1.0 }
}

/// One year of a source with `peak` messages in its best hour: when floods began, as day, hour,
/// window and numbers.
fn floods(peak: f64, seed: u64) -> Vec<(i64, i64, Flood)> {
    let (mut random, mut began) = (Random(seed), Vec::new());
    let mut rhythm = Rhythm::new(MONDAY - HOUR_MS);
    for day in 0..364 {
        let holiday = random.part() < 0.03;
        // Half of the year the clocks are an hour ahead.
        let ahead = i64::from((112..322).contains(&day));
        for local in 0..24 {
            let busy = (random.part() * 1.4 - 0.7).exp();
            let growth = 1.0 + 0.4 * day as f64 / 364.0;
            let run = if day % 30 == 15 && local == 10 { 4.0 } else { 0.0 };
            let n = random.poisson(peak * growth * share(day, local, holiday) * (busy + run));
            let at = MONDAY + DAY_MS * day + HOUR_MS * (local - ahead);
            let said = hour(&mut rhythm, at, n).into_iter().filter(|f| f.began);
            began.extend(said.map(|f| (day, local, f)));
        }
    }
    began
}

#[test]
fn a_year_of_an_office_cries_wolf_at_most_once() {
    for peak in [1, 20, 60, 200, 600] {
        for seed in [1, 2] {
            let said = floods(f64::from(peak), seed * 10_000 + peak as u64);
            println!("{peak} messages in the best hour, seed {seed}: {} floods in a year", said.len());
            assert!(said.len() <= 1, "{said:?}");
        }
    }
}
