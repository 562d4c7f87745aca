//! When an account is looked at again.

use std::time::Duration;

use super::trouble::{Kind, Trouble};

/// After trouble that may pass by itself: this, then twice as long each time.
const FIRST: Duration = Duration::from_secs(30);
/// At most.
const MOST: Duration = Duration::from_secs(3_600);
/// After a refused sign-in: servers lock accounts that are tried too often, and a person has to look anyway.
const REFUSED: [Duration; 5] = [
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(6 * 3_600),
    Duration::from_secs(24 * 3_600),
];

/// Counts what went wrong, one after the other.
#[derive(Debug, Default)]
pub struct Backoff {
    refused: usize,
    failed: u32,
}

impl Backoff {
    /// It worked.
    pub fn worked(&mut self) {
        *self = Self::default();
    }

    /// It did not: the pause from now on. `random`: spreads it by up to a tenth, so that accounts of one provider do not
    /// come all at once.
    pub fn failed(&mut self, trouble: &Trouble, random: u64) -> Duration {
        let pause = match trouble.kind {
            Kind::SignIn => {
                self.refused += 1;
                REFUSED[(self.refused - 1).min(REFUSED.len() - 1)]
            }
            _ => {
                self.failed += 1;
                (FIRST * 2u32.saturating_pow((self.failed - 1).min(10))).min(MOST)
            }
        };
        with_jitter(pause, random)
    }
}

/// Up to a tenth longer.
pub fn with_jitter(pause: Duration, random: u64) -> Duration {
    pause + pause.mul_f64((random % 1_000) as f64 / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_have_an_end() {
        let mut backoff = Backoff::default();
        let net = Trouble::new(Kind::Net, "x");
        let pauses: Vec<u64> = (0..9).map(|_| backoff.failed(&net, 0).as_secs()).collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
        backoff.worked();
        assert_eq!(backoff.failed(&net, 999).as_millis(), 32_997);
        let refused = Trouble::new(Kind::SignIn, "no");
        let pauses: Vec<u64> = (0..7).map(|_| backoff.failed(&refused, 0).as_secs() / 60).collect();
        assert_eq!(pauses, [5, 30, 120, 360, 1_440, 1_440, 1_440]);
    }
}
