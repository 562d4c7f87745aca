//! Counting copies in a sliding window, exactly, in bounded room.

use std::collections::VecDeque;

use crate::facts::Ms;

/// Most times one ring may keep, whatever the thresholds say: its bytes stay below 11 KiB.
pub const MAX_TIMES: u32 = 1024;

/// First byte of the stored form.
const VERSION: u8 = 1;

/// The times of the last `n` copies. That is all it takes to know exactly when the n-th copy
/// within a window has come; beyond n it does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyTimes {
    n: usize,
    times: VecDeque<Ms>,
}

/// Why stored bytes are no [`CopyTimes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTimes {
    /// Nothing, or a version this program does not know.
    #[error("copy times of an unknown version")]
    Version,
    /// The bytes end in the middle, go on after the end, or hold a number too large.
    #[error("copy times are damaged")]
    Damaged,
    /// More than [`MAX_TIMES`] times.
    #[error("more than {MAX_TIMES} copy times")]
    TooMany,
}

impl CopyTimes {
    /// An empty ring for `n` times: the threshold it serves. Below 1 counts as 1, above
    /// [`MAX_TIMES`] as that.
    pub fn new(n: u32) -> Self {
        Self { n: n.clamp(1, MAX_TIMES) as usize, times: VecDeque::new() }
    }

    /// Remembers a copy at `now`; the oldest makes room. A time before the last one (there should
    /// be none) counts as the last one.
    pub fn push(&mut self, now: Ms) {
        let now = self.times.back().map_or(now, |last| now.max(*last));
        if self.times.len() >= self.n {
            self.times.pop_front();
        }
        self.times.push_back(now);
    }

    /// Copies younger than `window_ms` at `now`. Exact below n; a result of n means "n or more".
    pub fn count_within(&self, window_ms: Ms, now: Ms) -> u32 {
        let old = self.times.partition_point(|t| now.saturating_sub(*t) >= window_ms);
        (self.times.len() - old) as u32
    }

    /// When the last copy came.
    pub fn last(&self) -> Option<Ms> {
        self.times.back().copied()
    }

    /// The stored form: a version, then the first time and the steps between times as LEB128.
    /// Some 40 bytes for 20 copies.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(12 + 3 * self.times.len());
        bytes.push(VERSION);
        let mut before = None;
        for t in &self.times {
            match before {
                None => bytes.extend_from_slice(&t.to_le_bytes()),
                Some(b) => leb128(t.wrapping_sub(b) as u64, &mut bytes),
            }
            before = Some(*t);
        }
        bytes
    }

    /// Reads the stored form into a ring for `n` times. If it holds more, the latest stay; if the
    /// threshold has grown since, the ring counts too few until it has filled up.
    ///
    /// # Errors
    /// [`BadTimes`]; the caller may then start with an empty ring, which counts too few.
    pub fn from_bytes(bytes: &[u8], n: u32) -> Result<Self, BadTimes> {
        let [VERSION, rest @ ..] = bytes else {
            return Err(BadTimes::Version);
        };
        let mut ring = Self::new(n);
        if rest.is_empty() {
            return Ok(ring);
        }
        let (first, mut rest) = rest.split_first_chunk::<8>().ok_or(BadTimes::Damaged)?;
        let mut time = Ms::from_le_bytes(*first);
        ring.push(time);
        let mut read = 1;
        while !rest.is_empty() {
            let (step, tail) = read_leb128(rest).ok_or(BadTimes::Damaged)?;
            let step = Ms::try_from(step).map_err(|_| BadTimes::Damaged)?;
            time = time.checked_add(step).ok_or(BadTimes::Damaged)?;
            read += 1;
            if read > MAX_TIMES {
                return Err(BadTimes::TooMany);
            }
            ring.push(time);
            rest = tail;
        }
        Ok(ring)
    }
}

/// Appends `n`, seven bits a byte, low ones first.
fn leb128(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// The number at the start of `bytes`, and what follows. None: cut short, or over 64 bits.
fn read_leb128(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut n = 0u64;
    for (i, b) in bytes.iter().enumerate().take(10) {
        let part = u64::from(b & 0x7f);
        if i == 9 && part > 1 {
            return None;
        }
        n |= part << (7 * i);
        if b & 0x80 == 0 {
            return Some((n, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_as_brute_force_does(
            n in 1u32..40,
            steps in prop::collection::vec(0i64..50, 0..200),
            window in 0i64..600,
            later in 0i64..100,
        ) {
            let mut ring = CopyTimes::new(n);
            let mut all = Vec::new();
            let mut now = 1_700_000_000_000;
            for step in steps {
                now += step;
                ring.push(now);
                all.push(now);
                let brute = all.iter().filter(|t| now - **t < window).count() as u32;
                prop_assert_eq!(ring.count_within(window, now), brute.min(n));
            }
            now += later;
            let brute = all.iter().filter(|t| now - **t < window).count() as u32;
            prop_assert_eq!(ring.count_within(window, now), brute.min(n));
        }

        #[test]
        fn bytes_and_back(n in 1u32..40, times in prop::collection::vec(any::<i64>(), 0..60)) {
            let mut times = times;
            times.iter_mut().for_each(|t| *t >>= 2);
            let mut ring = CopyTimes::new(n);
            times.iter().for_each(|t| ring.push(*t));
            prop_assert_eq!(CopyTimes::from_bytes(&ring.to_bytes(), n), Ok(ring));
        }

        #[test]
        fn any_bytes_are_read_or_refused_within_bounds(bytes: Vec<u8>, n: u32) {
            if let Ok(ring) = CopyTimes::from_bytes(&bytes, n) {
                prop_assert!(ring.times.len() <= ring.n && ring.n <= MAX_TIMES as usize);
                prop_assert!(ring.times.iter().is_sorted());
            }
        }
    }

    #[test]
    fn a_smaller_ring_keeps_the_latest() {
        let mut ring = CopyTimes::new(20);
        (0..20).for_each(|t| ring.push(t * 10));
        let small = CopyTimes::from_bytes(&ring.to_bytes(), 5).unwrap();
        assert_eq!(small.times, [150, 160, 170, 180, 190]);
    }

    #[test]
    fn a_copy_as_old_as_the_window_is_outside() {
        let mut ring = CopyTimes::new(5);
        ring.push(1000);
        assert_eq!((ring.count_within(500, 1499), ring.count_within(500, 1500)), (1, 0));
    }

    #[test]
    fn damage_is_told() {
        assert_eq!(CopyTimes::from_bytes(&[], 5), Err(BadTimes::Version));
        assert_eq!(CopyTimes::from_bytes(&[9], 5), Err(BadTimes::Version));
        assert_eq!(CopyTimes::from_bytes(&[1, 0, 0], 5), Err(BadTimes::Damaged));
        let mut many = vec![1; 9];
        many.extend(vec![0; MAX_TIMES as usize]);
        assert_eq!(CopyTimes::from_bytes(&many, 5), Err(BadTimes::TooMany));
        assert_eq!(CopyTimes::from_bytes(&[&[1; 9][..], &[0x80]].concat(), 5), Err(BadTimes::Damaged));
    }

    #[test]
    fn twenty_copies_a_minute_apart_take_little_room() {
        let mut ring = CopyTimes::new(20);
        (0..20).for_each(|t| ring.push(1_790_000_000_000 + t * 60_000));
        assert!(ring.to_bytes().len() <= 9 + 3 * 19);
    }
}
