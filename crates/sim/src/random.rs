//! Chance from a seed: the same seed, the same storm.

/// A small generator (SplitMix64; Steele, Lea, Flood 2014). It decides about latencies and torn
/// headers, never about secrets.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// One for a part of the whole, such as a host: what it draws does not depend on what others draw.
    pub fn of(seed: u64, part: &str) -> Self {
        let mix = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self::new(part.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, mix))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number under `bound`; 0 for a bound of 0. (The bias of the remainder is under 2^-32 for the
    /// small bounds that are used here.)
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number().checked_rem(bound).unwrap_or(0)
    }

    /// True in one of `n` cases; never for 0.
    pub fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }

    /// One of `choices`.
    pub fn choice<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(usize::try_from(self.below(choices.len() as u64)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_all() {
        let draw = |mut random: Random| (0..9).map(|_| random.below(1_000)).collect::<Vec<_>>();
        assert_eq!(draw(Random::of(1, "isp")), draw(Random::of(1, "isp")));
        assert_ne!(draw(Random::of(1, "isp")), draw(Random::of(2, "isp")));
        assert_ne!(draw(Random::of(1, "isp")), draw(Random::of(1, "office")));
        assert_eq!(Random::new(0).number(), 0xe220_a839_7b1d_cdaf, "the first of the published sequence");
    }

    #[test]
    fn every_number_under_the_bound_comes() {
        let mut random = Random::new(7);
        let mut seen = [0; 6];
        (0..6_000).for_each(|_| seen[random.below(6) as usize] += 1);
        assert!(seen.iter().all(|n| (800..1_200).contains(n)), "{seen:?}");
        assert_eq!(random.below(0), 0);
        assert!(!random.one_in(0) && random.one_in(1));
        assert_eq!(random.choice::<u8>(&[]), None);
    }
}
