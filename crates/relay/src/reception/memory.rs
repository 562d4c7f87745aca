//! How much memory all transactions together may hold: one client, or many, must not be able to
//! take all there is by sending headers that do not end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What every transaction holds beside the budget, so that ordinary mail costs no counting, and
/// passes while others have used up all. The number of connections bounds the sum.
pub const FREE_BYTES: usize = 64 << 10;
/// Shares grow and shrink by this much.
const STEP_BYTES: usize = 64 << 10;

/// The budget, shared by all connections. At its end, content goes to the disk early, and a
/// message whose header does not fit is refused with 452 4.3.1.
#[derive(Debug)]
pub struct Memory {
    max_bytes: AtomicUsize,
    used_bytes: AtomicUsize,
}

impl Memory {
    /// A budget of `max_bytes`.
    pub fn new(max_bytes: usize) -> Arc<Self> {
        Arc::new(Self { max_bytes: max_bytes.into(), used_bytes: 0.into() })
    }

    /// Changes the budget. Shares that exceed a smaller one stay until they are given back.
    pub fn set_max_bytes(&self, max_bytes: usize) {
        self.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    /// All shares together.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// A share of nothing yet.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share { memory: Arc::clone(self), bytes: 0 }
    }

    // Only the sum counts, and no other memory hangs on it: hence the weakest order.
    fn take(&self, bytes: usize) -> bool {
        let max = self.max_bytes.load(Ordering::Relaxed);
        let sum = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= max);
        self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
    }
}

/// What one transaction has of the budget; given back when this is dropped.
#[derive(Debug)]
pub struct Share {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Share {
    /// Makes this the share of a transaction that holds `bytes`; false if there is not enough, and
    /// the share is then as it was.
    #[must_use]
    pub fn hold(&mut self, bytes: usize) -> bool {
        let wanted = counted(bytes);
        if wanted > self.bytes {
            if !self.memory.take(wanted - self.bytes) {
                return false;
            }
            self.bytes = wanted;
        }
        self.shrink(bytes);
        true
    }

    /// The transaction holds no more than `bytes` now: gives back what it does not need for that.
    pub fn shrink(&mut self, bytes: usize) {
        let wanted = counted(bytes);
        if wanted < self.bytes {
            self.memory.used_bytes.fetch_sub(self.bytes - wanted, Ordering::Relaxed);
            self.bytes = wanted;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// What of `bytes` is counted.
fn counted(bytes: usize) -> usize {
    bytes.saturating_sub(FREE_BYTES).div_ceil(STEP_BYTES).saturating_mul(STEP_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_holdings_cost_nothing_and_large_ones_are_counted_in_steps() {
        let memory = Memory::new(2 * STEP_BYTES);
        let (mut one, mut other) = (memory.share(), memory.share());
        assert!(one.hold(FREE_BYTES) && other.hold(1));
        assert_eq!(memory.used_bytes(), 0);
        assert!(one.hold(FREE_BYTES + 1) && other.hold(FREE_BYTES + STEP_BYTES));
        assert_eq!(memory.used_bytes(), 2 * STEP_BYTES);
        assert!(!one.hold(FREE_BYTES + STEP_BYTES + 1) && !one.hold(usize::MAX));
        drop(other);
        assert!(one.hold(FREE_BYTES + STEP_BYTES + 1));
        memory.set_max_bytes(STEP_BYTES);
        assert!(one.hold(0) && one.hold(FREE_BYTES + 1));
        assert!(!one.hold(FREE_BYTES + STEP_BYTES + 1));
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_the_shares(max: u32, asked in proptest::collection::vec((0usize..4, 0usize..1 << 32), 0..40)) {
            let memory = Memory::new(max as usize);
            let mut shares: Vec<Share> = (0..4).map(|_| memory.share()).collect();
            for (at, bytes) in asked {
                let (before, held) = (shares[at].bytes, shares[at].hold(bytes));
                let after = shares[at].bytes;
                let right = if held { after + FREE_BYTES >= bytes } else { after == before };
                prop_assert!(right, "{} of {} bytes: {}, {} before", held, bytes, after, before);
                prop_assert_eq!(memory.used_bytes(), shares.iter().map(|s| s.bytes).sum::<usize>());
                prop_assert!(memory.used_bytes() <= max as usize);
            }
            drop(shares);
            prop_assert_eq!(memory.used_bytes(), 0);
        }
    }
}
