//! How many messages a source usually sends, by hour of the week, and when they are too many: what
//! the class `flood` asks.

use crate::facts::Ms;

mod mean;

#[cfg(test)]
mod tests;

use mean::{Mean, PARTS, silence};

const FIVE_MINUTES_MS: Ms = 5 * 60_000;
const HOUR_MS: Ms = 60 * 60_000;
/// Hours of a week; the first is that of the epoch, a Thursday, which matters to nobody.
const WEEK: u32 = 168;
/// The last 24 hours are counted in this many blocks.
const BLOCKS: usize = 8;
const BLOCK_HOURS: u32 = 24 / BLOCKS as u32;

/// In what time messages were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// A twelfth of a clock hour.
    FiveMinutes,
    /// A clock hour (UTC).
    Hour,
    /// The last 21 to 24 hours.
    Day,
}

impl Window {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::FiveMinutes, Self::Hour, Self::Day];

    /// Its length, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5 minutes",
            Self::Hour => "an hour",
            Self::Day => "24 hours",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// When volume is unusual. The threshold of a window is the greater of its `least` and `factor`
/// times the usual plus six times its square root: six standard deviations, if messages come
/// independently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloodLimits {
    /// No flood within 5 minutes up to this many. A list that delivers a thread at once, or a
    /// scanner with its pages, stays below 150.
    pub least_five_minutes: u32,
    /// No flood within an hour up to this many. The newsletter of a small sender to each of a firm's
    /// 250 people stays below 300.
    pub least_hour: u32,
    /// No flood within a day up to this many: ten for each of 250 people, from one source.
    pub least_day: u32,
    /// How many times the usual are still usual. A monthly run at five times the usual, in a busy
    /// hour, stays below 7, save after holidays; the hour at ten times the usual is found.
    pub factor: u32,
    /// So long a source is new, and the usual is the mean of all its hours. Below 7 counts as 7:
    /// before that there are hours of the week that have never been.
    pub warm_up_days: u32,
    /// While a source is new, thresholds are this many times as high: the first hour of a large
    /// provider's host at a firm of 250 people (some 700 messages) stays below 4 × 300, a run of
    /// 2,000 does not.
    pub warm_up_factor: u32,
}

impl Default for FloodLimits {
    fn default() -> Self {
        Self {
            least_five_minutes: 150,
            least_hour: 300,
            least_day: 2500,
            factor: 7,
            warm_up_days: 14,
            warm_up_factor: 4,
        }
    }
}

/// A message beyond what is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flood {
    /// The window that it exceeds by the greatest ratio.
    pub window: Window,
    /// Messages in the window, this one included.
    pub count: u32,
    /// How many are usual at this hour of the week.
    pub usual: u32,
    /// How many would still have passed for usual.
    pub threshold: u32,
    /// True for the first message of a flood. It goes on, over all windows, until a whole window
    /// has ended with less than half its threshold, for each window that was exceeded.
    pub began: bool,
}

/// What is usual for one source, and what it has sent of late; 416 bytes, whatever it sends.
///
/// Windows begin with the clock's hours and their twelfths: a burst across the border of two counts
/// in each with its part. A flood teaches no more than what its threshold was, so that it does
/// not make the next one usual; somebody who raises his volume over months does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rhythm {
    /// Of each hour of the week.
    means: [Mean; WEEK as usize],
    /// Messages in the last blocks of hours, the present one included.
    blocks: [u32; BLOCKS],
    /// What was usual in the same hours before they taught something: a long flood does not raise
    /// its own threshold.
    usual_blocks: [Mean; BLOCKS],
    /// Likewise of the hour before this.
    usual_before: Mean,
    /// The present hour and the first one, since the epoch.
    hour: u32,
    first_hour: u32,
    in_hour: u32,
    in_five: u32,
    usual_hour: u32,
    usual_day: u32,
    /// Which twelfth of the hour `in_five` counts.
    five: u8,
    /// The windows that this flood has exceeded.
    told: u8,
}

impl Rhythm {
    /// A source whose first message comes at `now`, which is not counted yet.
    pub fn new(now: Ms) -> Self {
        let (hour, five) = clock(now);
        Self {
            means: [Mean::default(); WEEK as usize],
            blocks: [0; BLOCKS],
            usual_blocks: [Mean::default(); BLOCKS],
            usual_before: Mean::default(),
            hour,
            first_hour: hour,
            in_hour: 0,
            in_five: 0,
            usual_hour: 0,
            usual_day: 0,
            five,
            told: 0,
        }
    }

    /// Counts one message at `now`. Some: it is beyond what is usual. A `now` before the last one
    /// counts as the last one. Takes as long after years of silence as after weeks.
    pub fn count(&mut self, now: Ms, limits: &FloodLimits) -> Option<Flood> {
        self.advance(clock(now), limits);
        self.in_five = self.in_five.saturating_add(1);
        self.in_hour = self.in_hour.saturating_add(1);
        let block = &mut self.blocks[block(self.hour)];
        *block = block.saturating_add(1);
        let ongoing = self.told != 0;
        let mut worst: Option<Flood> = None;
        for window in Window::ALL {
            let (count, threshold) = (self.counted(window), self.threshold(window, limits));
            if count <= threshold {
                continue;
            }
            self.told |= window.bit();
            let ratio = |count: u32, of: u32| u64::from(count) * u64::from(of);
            if worst.is_none_or(|w| ratio(count, w.threshold) > ratio(w.count, threshold)) {
                worst = Some(Flood { window, count, usual: self.usual(window), threshold, began: !ongoing });
            }
        }
        worst
    }

    /// Messages that `window` has had so far.
    pub fn counted(&self, window: Window) -> u32 {
        match window {
            Window::FiveMinutes => self.in_five,
            Window::Hour => self.in_hour,
            Window::Day => self.blocks.iter().fold(0, |sum: u32, n| sum.saturating_add(*n)),
        }
    }

    /// Messages that `window` usually has at this hour of the week. Of an hour: the most of the
    /// hour before, this and the next, so that the clocks going forward or back is no news. Of five
    /// minutes: a quarter of that, since mail comes in bursts. Of a day: of the
    /// same hours, and the next.
    pub fn usual(&self, window: Window) -> u32 {
        match window {
            Window::FiveMinutes => self.usual_hour.div_ceil(4),
            Window::Hour => self.usual_hour,
            Window::Day => self.usual_day,
        }
    }

    /// How many messages in `window` still pass for usual.
    pub fn threshold(&self, window: Window, limits: &FloodLimits) -> u32 {
        let least = match window {
            Window::FiveMinutes => limits.least_five_minutes,
            Window::Hour => limits.least_hour,
            Window::Day => limits.least_day,
        };
        let usual = u64::from(self.usual(window));
        let enough = u64::from(limits.factor) * usual + (36 * usual).isqrt();
        let times = if self.is_new(limits) { limits.warm_up_factor.max(1) } else { 1 };
        to_u32(enough.max(least.into()).saturating_mul(times.into()))
    }

    /// True while the source has too short a past.
    pub fn is_new(&self, limits: &FloodLimits) -> bool {
        self.hour - self.first_hour < limits.warm_up_days.max(7).saturating_mul(24)
    }

    /// Closes what has ended.
    fn advance(&mut self, (hour, five): (u32, u8), limits: &FloodLimits) {
        if (hour, five) <= (self.hour, self.five) {
            return;
        }
        let twelfths = |hour: u32, five: u8| u64::from(hour) * 12 + u64::from(five);
        let passed = twelfths(hour, five) - twelfths(self.hour, self.five);
        self.quiet(Window::FiveMinutes, passed > 1, limits);
        if hour > self.hour {
            self.quiet(Window::Hour, hour - self.hour > 1, limits);
            self.close_hours(hour, limits);
            self.quiet(Window::Day, false, limits);
        }
        (self.five, self.in_five) = (five, 0);
    }

    /// Forgets that `window` was exceeded if it ends with less than half its threshold, or if one
    /// without any message has followed.
    fn quiet(&mut self, window: Window, empty: bool, limits: &FloodLimits) {
        if empty || self.counted(window) < self.threshold(window, limits).div_ceil(2) {
            self.told &= !window.bit();
        }
    }

    /// Learns from the present hour and the silent ones up to `hour`, which is later.
    fn close_hours(&mut self, hour: u32, limits: &FloodLimits) {
        let count = self.in_hour.min(self.threshold(Window::Hour, limits));
        let mean = &mut self.means[(self.hour % WEEK) as usize];
        self.usual_before = *mean;
        *mean = if self.hour - self.first_hour < WEEK {
            Mean::from_parts(PARTS * u64::from(count))
        } else {
            mean.learned(count)
        };
        self.fade(hour);
        self.open_blocks(hour);
        (self.hour, self.in_hour) = (hour, 0);
        self.settle(limits);
    }

    /// The silent hours between the present one and `hour`, at most a week of them one by one.
    fn fade(&mut self, hour: u32) {
        let silent = hour - self.hour - 1;
        self.fade_all(silent / WEEK);
        let week = silence(1);
        for h in hour - silent % WEEK..hour {
            let mean = &mut self.means[(h % WEEK) as usize];
            self.usual_before = *mean;
            *mean = mean.faded(week);
        }
    }

    /// Begins the hours from the present one to `hour`, of which the last 24 matter.
    fn open_blocks(&mut self, hour: u32) {
        if hour - self.hour > 24 {
            (self.blocks, self.usual_blocks) = ([0; BLOCKS], [Mean::default(); BLOCKS]);
        }
        for h in (self.hour + 1).max(hour.saturating_sub(23))..=hour {
            let (block, mean) = (block(h), self.means[(h % WEEK) as usize]);
            if h % BLOCK_HOURS == 0 {
                (self.blocks[block], self.usual_blocks[block]) = (0, Mean::default());
            }
            let sum = self.usual_blocks[block].parts() + mean.parts();
            self.usual_blocks[block] = Mean::from_parts(sum);
        }
    }

    /// Several whole weeks of silence at once.
    fn fade_all(&mut self, weeks: u32) {
        if weeks > 0 {
            let share = silence(weeks);
            self.means.iter_mut().for_each(|mean| *mean = mean.faded(share));
        }
    }

    /// What is usual in the hour that has just begun.
    fn settle(&mut self, limits: &FloodLimits) {
        let of = |hour: u32| self.means[(hour % WEEK) as usize].parts();
        let (hour, day) = if self.is_new(limits) {
            // A day's hours at least: the first hours of a newcomer, many or none, say little.
            let hours = (self.hour - self.first_hour).clamp(24, WEEK);
            let mean = self.means.iter().map(|mean| mean.parts()).sum::<u64>() / u64::from(hours);
            (mean, 24 * mean)
        } else {
            let next = of(self.hour % WEEK + 1);
            let day = self.usual_blocks.iter().map(|mean| mean.parts()).sum::<u64>();
            (self.usual_before.parts().max(of(self.hour)).max(next), day + next)
        };
        self.usual_hour = to_u32(hour.div_ceil(PARTS));
        self.usual_day = to_u32(day.div_ceil(PARTS));
    }
}

/// The hour since the epoch and which twelfth of it. Before the epoch, and after 490,000 years, time
/// stands still.
fn clock(now: Ms) -> (u32, u8) {
    let now = now.clamp(0, Ms::from(u32::MAX) * HOUR_MS);
    ((now / HOUR_MS) as u32, (now % HOUR_MS / FIVE_MINUTES_MS) as u8)
}

fn block(hour: u32) -> usize {
    (hour / BLOCK_HOURS) as usize % BLOCKS
}

fn to_u32(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
