//! When people work.

use crate::clock::{DAY, HOUR, MINUTE, Zone};
use crate::dice::Dice;

/// The office's calendar.
#[derive(Debug, Clone)]
pub(super) struct Hours {
    pub zone: Zone,
    /// Days since 1970.
    holidays: Vec<i64>,
}

impl Hours {
    /// Eight holidays within a year of `day`.
    pub fn new(zone: Zone, day: i64, dice: &mut Dice) -> Self {
        let holidays = (0..8).map(|_| day + dice.between(0, 365)).collect();
        Self { zone, holidays }
    }

    /// The number of the day in the office's zone.
    pub fn day_of(&self, ms: i64) -> i64 {
        (ms + self.zone.minutes * MINUTE).div_euclid(DAY)
    }

    /// Midnight in the office's zone.
    pub fn midnight(&self, day: i64) -> i64 {
        day * DAY - self.zone.minutes * MINUTE
    }

    /// 0 for Monday.
    pub fn weekday(day: i64) -> i64 {
        (day + 3).rem_euclid(7)
    }

    pub fn is_working_day(&self, day: i64) -> bool {
        Self::weekday(day) < 5 && !self.holidays.contains(&day)
    }

    /// Of `each` things for each of `of` people on a working day, how many happen: both in thousandths.
    pub fn happen(&self, day: i64, of: usize, milli: usize, dice: &mut Dice) -> usize {
        let all = of * milli;
        dice.about(if self.is_working_day(day) { all } else { all / 14 })
    }

    /// Some time of a day at which people write, most of them between eight and six.
    pub fn moment(&self, day: i64, dice: &mut Dice) -> i64 {
        let minutes = match dice.below(30) {
            0 => dice.between(18 * 60, 23 * 60),
            1 => dice.between(6 * 60, 8 * 60),
            _ => 8 * 60 + dice.between(0, 300) + dice.between(0, 300),
        };
        self.midnight(day) + minutes * MINUTE + dice.between(0, MINUTE)
    }

    /// `ms` if it lies in working hours; else some time in the next ones' first half.
    pub fn at_work(&self, ms: i64, dice: &mut Dice) -> i64 {
        let day = self.day_of(ms);
        let hour = (ms - self.midnight(day)) / HOUR;
        if self.is_working_day(day) && (7..19).contains(&hour) {
            return ms;
        }
        let first = if hour < 7 { day } else { day + 1 };
        let next = (first..first + 8).find(|day| self.is_working_day(*day)).unwrap_or(first);
        self.midnight(next) + 8 * HOUR + dice.between(0, 4 * HOUR)
    }
}
