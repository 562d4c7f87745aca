//! `[hold]`.

use super::Check;
use crate::config::Hold;
use crate::settings::Settings;

/// Reminders of one storm.
const MAX_REMINDERS: usize = 8;
const HOUR_MS: i64 = 3_600_000;

impl Check<'_> {
    pub(super) fn hold(&mut self, settings: &Settings) -> Hold {
        let (keep_hours, hours) = (settings.hold.keep_hours, &settings.hold.remind_hours);
        let path = ["hold", "remind_hours"];
        if hours.len() > MAX_REMINDERS {
            let help = format!("name {MAX_REMINDERS} at most; [] for none");
            self.fault(&path, format!("{} reminders", hours.len()), help);
        }
        if hours.contains(&0) {
            self.fault(&path, "0 hours: the alert of the storm comes then", "write hours from 1 on");
        }
        let ms = |hours: u64| i64::try_from(hours).unwrap_or(i64::MAX).saturating_mul(HOUR_MS);
        // At the end there is a digest, and nothing left to be reminded of.
        let before_end = hours.iter().filter(|hours| **hours < keep_hours);
        let mut remind_ms: Vec<i64> = before_end.map(|hours| ms(*hours)).collect();
        remind_ms.sort_unstable();
        remind_ms.dedup();
        Hold { keep_ms: ms(keep_hours), remind_ms }
    }
}
