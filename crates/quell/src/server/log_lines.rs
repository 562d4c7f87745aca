//! Log lines that a stranger can bring about: so many a second, and one with the count of the rest, so
//! that he cannot fill the disk.

use std::sync::{Mutex, PoisonError};

use quell_storm::facts::Ms;

/// How many lines there were lately.
#[derive(Debug)]
pub struct LogLines {
    most: u64,
    second: Mutex<Second>,
}

#[derive(Debug)]
struct Second {
    number: i64,
    events: u64,
}

impl LogLines {
    /// `most` lines a second.
    pub const fn new(most: u64) -> Self {
        Self { most, second: Mutex::new(Second { number: 0, events: 0 }) }
    }

    /// Something happens: how many of an earlier second had no line, to be said now, and whether this
    /// one gets one.
    pub fn count(&self, at_ms: Ms) -> (u64, bool) {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let number = at_ms.div_euclid(1000);
        let mut unsaid = 0;
        if number != second.number {
            unsaid = second.events.saturating_sub(self.most);
            *second = Second { number, events: 0 };
        }
        second.events += 1;
        (unsaid, second.events <= self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_lines_a_second_and_one_for_the_rest() {
        let lines = LogLines::new(20);
        assert_eq!((0..500).filter(|n| lines.count(5000 + n).1).count(), 20);
        assert_eq!(lines.count(5999), (0, false));
        assert_eq!(lines.count(7000), (481, true));
        assert_eq!(lines.count(9000), (0, true), "said once");
    }
}
