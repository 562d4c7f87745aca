//! How many rows each storm holds at this moment.

use std::collections::HashMap;

/// Storms counted, some 10 MB; of further ones nobody knows how much they hold.
const MAX_STORMS: usize = 100_000;

/// Held rows by storm. Counted in the store whenever that is opened, and kept with every step since.
#[derive(Debug, Default)]
pub(in crate::door) struct HeldNow {
    rows: HashMap<String, u64>,
    /// A storm was left out.
    is_partial: bool,
}

impl HeldNow {
    /// What the store says; what was counted before was about rows that may never have become durable.
    pub fn count_anew(&mut self, stored: Vec<(String, u64)>) {
        self.is_partial = stored.len() > MAX_STORMS;
        self.rows = stored.into_iter().take(MAX_STORMS).collect();
    }

    /// A row is held for it.
    pub fn add(&mut self, storm: &str) {
        let full = self.is_partial || self.rows.len() >= MAX_STORMS;
        match self.rows.get_mut(storm) {
            Some(rows) => *rows += 1,
            // Of a storm that was left out nothing is counted later either: its number would be too small.
            None if full => self.is_partial = true,
            None => {
                self.rows.insert(storm.to_owned(), 1);
            }
        }
    }

    /// A row is no longer.
    pub fn take_away(&mut self, storm: &str) {
        if let Some(rows) = self.rows.get_mut(storm) {
            *rows = rows.saturating_sub(1);
            if *rows == 0 {
                self.rows.remove(storm);
            }
        }
    }

    /// How many there are; None: not known.
    pub fn of(&self, storm: &str) -> Option<u64> {
        self.rows.get(storm).copied().or(if self.is_partial { None } else { Some(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_is_counted_no_more_and_what_is_left_out_is_not_known() {
        let mut now = HeldNow::default();
        now.count_anew(vec![("a".into(), 2)]);
        now.add("b");
        now.take_away("a");
        assert_eq!((now.of("a"), now.of("b"), now.of("c")), (Some(1), Some(1), Some(0)));
        now.take_away("b");
        now.take_away("b");
        assert_eq!(now.of("b"), Some(0));
        now.count_anew((0..=MAX_STORMS).map(|n| (n.to_string(), 1)).collect());
        assert_eq!((now.of("0"), now.of("left out")), (Some(1), None));
        now.take_away("1");
        now.add("left out");
        assert_eq!((now.of("left out"), now.rows.len()), (None, MAX_STORMS - 1));
    }
}
