//! Chance in the forms that worlds need.

use crate::random::Random;

const LOWER_HEX: &str = "0123456789abcdef";
const UPPER_HEX: &str = "0123456789ABCDEF";
const DIGITS: &str = "0123456789";
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Draws from one seed.
#[derive(Debug, Clone)]
pub(crate) struct Dice(Random);

impl Dice {
    /// Those of a world. The kind is part of it: equal seeds of two kinds have nothing in common.
    pub fn new(kind: &str, seed: u64) -> Self {
        Self(Random::of(seed, kind))
    }

    /// A number under `bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.below(bound as u64)).unwrap_or(0)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high - low).unwrap_or(0) + 1;
        low + i64::try_from(self.0.below(span)).unwrap_or(0)
    }

    /// From `low` to `high`, both included.
    pub fn count(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// From `low` to `high`, mostly small, now and then exactly one of the ends.
    pub fn few(&mut self, low: usize, high: usize) -> usize {
        let span = high.saturating_sub(low) + 1;
        match self.below(60) {
            0..3 => low,
            3..6 => high,
            _ => {
                let bits = self.below(span.ilog2() as usize + 2);
                low + self.below(span.min(1 << bits))
            }
        }
    }

    /// About `milli` thousandths: from nothing to twice as many.
    pub fn about(&mut self, milli: usize) -> usize {
        self.below(2 * (milli / 1_000) + 1) + usize::from(self.below(1_000) < milli % 1_000)
    }

    /// From `low` to `cap`; twice as many are half as likely, without end.
    pub fn tail(&mut self, low: usize, cap: usize) -> usize {
        (low * 1_000 / (1 + self.below(1_000))).clamp(low, cap.max(low))
    }

    /// A wait of about `mean`, often short, seldom very long (exponential).
    pub fn wait(&mut self, mean: i64) -> i64 {
        let unit = (1.0 + self.below(1 << 20) as f64) / f64::from(1 << 20);
        (-unit.ln() * mean as f64) as i64
    }

    /// True in one of `n` cases.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.0.one_in(n)
    }

    /// One of these.
    pub fn pick<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        of[self.below(N)]
    }

    /// One of these; there must be some.
    pub fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// `wanted` different ones of 0..`total`, in rising order; all of them where there are fewer.
    pub fn some_of(&mut self, total: usize, wanted: usize) -> Vec<usize> {
        let mut left = wanted.min(total);
        let mut chosen = Vec::with_capacity(left);
        for at in 0..total {
            if self.below(total - at) < left {
                chosen.push(at);
                left -= 1;
            }
        }
        chosen
    }

    /// The same things in another order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for at in (1..things.len()).rev() {
            things.swap(at, self.below(at + 1));
        }
    }

    /// So many characters of an alphabet in ASCII.
    pub fn text(&mut self, alphabet: &str, length: usize) -> String {
        let alphabet = alphabet.as_bytes();
        (0..length).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }

    /// Hexadecimal digits.
    pub fn hex(&mut self, length: usize) -> String {
        self.text(LOWER_HEX, length)
    }

    /// Hexadecimal digits, in capitals.
    pub fn upper_hex(&mut self, length: usize) -> String {
        self.text(UPPER_HEX, length)
    }

    /// Digits, the first of which is no zero.
    pub fn digits(&mut self, length: usize) -> String {
        let first = self.text("123456789", 1);
        first + &self.text(DIGITS, length.saturating_sub(1))
    }

    /// Letters and digits.
    pub fn letters(&mut self, length: usize) -> String {
        self.text(LETTERS, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_reaches_both_ends_and_stays_within() {
        let mut dice = Dice::new("x", 1);
        let drawn: Vec<usize> = (0..2_000).map(|_| dice.few(2, 200)).collect();
        assert!(drawn.iter().all(|n| (2..=200).contains(n)));
        assert!(drawn.contains(&2) && drawn.contains(&200));
        assert!(drawn.iter().filter(|n| **n < 40).count() > 1_000, "mostly small");
        assert_eq!(dice.few(5, 5), 5);
    }

    #[test]
    fn about_waits_and_tails_have_their_means() {
        let mut dice = Dice::new("x", 3);
        let sum: usize = (0..10_000).map(|_| dice.about(2_500)).sum();
        assert!((24_000..26_000).contains(&sum), "{sum}");
        let sum: i64 = (0..10_000).map(|_| dice.wait(100)).sum();
        assert!((950_000..1_050_000).contains(&sum), "{sum}");
        let drawn: Vec<usize> = (0..10_000).map(|_| dice.tail(2, 300)).collect();
        let at_least = |n: usize| drawn.iter().filter(|drawn| **drawn >= n).count();
        assert!((4_500..5_500).contains(&at_least(4)) && (150..350).contains(&at_least(80)));
        assert!(drawn.iter().all(|n| (2..=300).contains(n)));
    }

    #[test]
    fn some_of_gives_different_ones() {
        let mut dice = Dice::new("x", 2);
        for wanted in 0..12 {
            let chosen = dice.some_of(10, wanted);
            assert_eq!(chosen.len(), wanted.min(10));
            assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]) && chosen.iter().all(|n| *n < 10));
        }
    }
}
