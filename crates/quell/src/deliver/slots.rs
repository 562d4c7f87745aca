//! How many connections there may be to one address and port: many domains can lead to one server.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// So long an attempt waits for its turn at busy addresses, at all of them together: it holds a
/// session meanwhile, which others may need.
pub const WAIT: Duration = Duration::from_secs(30);

/// Counts open connections by address, and who waits for one. Has at most as many entries as there
/// are sessions.
#[derive(Debug, Default)]
pub struct Slots {
    at: Mutex<HashMap<SocketAddr, Count>>,
    freed: Notify,
    wanted: Notify,
}

#[derive(Debug, Default)]
struct Count {
    open: usize,
    waiting: usize,
}

/// The right to one connection, until it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    address: SocketAddr,
}

impl Slots {
    /// Waits until there are fewer than `most` connections to `address`, for what is `left` of the
    /// time to wait; the time that took is no more left then. None: it took too long.
    pub async fn enter(
        self: &Arc<Self>,
        address: SocketAddr,
        most: usize,
        left: &mut Duration,
    ) -> Option<Slot> {
        if let Some(slot) = self.try_enter(address, most) {
            return Some(slot);
        }
        let _waits = Waits::begin(self, address);
        let entered = async {
            loop {
                let freed = self.freed.notified();
                tokio::pin!(freed);
                // From here on nothing is missed that is freed while we look.
                freed.as_mut().enable();
                if let Some(slot) = self.try_enter(address, most) {
                    return slot;
                }
                freed.await;
            }
        };
        let begun = Instant::now();
        let slot = timeout(*left, entered).await.ok();
        *left = left.saturating_sub(begun.elapsed());
        slot
    }

    fn try_enter(self: &Arc<Self>, address: SocketAddr, most: usize) -> Option<Slot> {
        let free = self.change(address, |count| {
            let free = count.open < most.max(1);
            count.open += usize::from(free);
            free
        });
        free.then(|| Slot { slots: Arc::clone(self), address })
    }

    /// Changes a count, and forgets one that is nothing any more.
    fn change<V>(&self, address: SocketAddr, change: impl FnOnce(&mut Count) -> V) -> V {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let count = at.entry(address).or_default();
        let value = change(count);
        if count.open + count.waiting == 0 {
            at.remove(&address);
        }
        value
    }
}

impl Slot {
    /// Whether somebody waits for a connection to this address.
    pub fn is_wanted(&self) -> bool {
        self.slots.change(self.address, |count| count.waiting > 0)
    }

    /// Waits until somebody does.
    pub async fn wanted(&self) {
        loop {
            let wanted = self.slots.wanted.notified();
            tokio::pin!(wanted);
            wanted.as_mut().enable();
            if self.is_wanted() {
                return;
            }
            wanted.await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.change(self.address, |count| count.open = count.open.saturating_sub(1));
        self.slots.freed.notify_waiters();
    }
}

/// Counts as waiting until dropped.
struct Waits<'a> {
    slots: &'a Slots,
    address: SocketAddr,
}

impl<'a> Waits<'a> {
    fn begin(slots: &'a Slots, address: SocketAddr) -> Self {
        slots.change(address, |count| count.waiting += 1);
        slots.wanted.notify_waiters();
        Self { slots, address }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.slots.change(self.address, |count| count.waiting = count.waiting.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], port))
    }

    #[tokio::test]
    async fn one_too_many_waits_for_its_turn() {
        let (slots, one) = (Arc::new(Slots::default()), address(1, 25));
        let first = slots.enter(one, 2, &mut { WAIT }).await.unwrap();
        let second = slots.enter(one, 2, &mut { WAIT }).await.unwrap();
        assert!(slots.try_enter(one, 2).is_none());
        let other = slots.enter(address(2, 25), 2, &mut { WAIT }).await.unwrap();
        let waits = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.enter(one, 2, &mut { WAIT }).await.is_some() }
        });
        // Whoever has a connection hears of it.
        second.wanted().await;
        assert!(first.is_wanted() && !other.is_wanted() && !waits.is_finished());
        drop(first);
        assert!(waits.await.unwrap());
        assert!(!second.is_wanted());
        drop(other);
        assert_eq!(slots.at.lock().unwrap().len(), 1, "those without a connection are forgotten");
    }

    #[tokio::test]
    async fn whoever_gives_up_waiting_is_forgotten() {
        let (slots, one) = (Arc::new(Slots::default()), address(1, 25));
        let first = slots.enter(one, 1, &mut { WAIT }).await.unwrap();
        let mut left = WAIT;
        tokio::select! {
            _ = slots.enter(one, 1, &mut left) => panic!("two at once"),
            () = first.wanted() => {}
        }
        assert!(!first.is_wanted());
    }

    #[tokio::test]
    async fn who_has_waited_waits_no_more() {
        let slots = Arc::new(Slots::default());
        let _held = (
            slots.enter(address(1, 25), 1, &mut { WAIT }).await.unwrap(),
            slots.enter(address(2, 25), 1, &mut { WAIT }).await.unwrap(),
        );
        let (begun, mut left) = (Instant::now(), Duration::from_millis(300));
        for _ in 0..8 {
            for last in [1, 2] {
                assert!(slots.enter(address(last, 25), 1, &mut left).await.is_none());
            }
        }
        assert!(left.is_zero() && begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        // What is free is had all the same: another server at the same address, too.
        assert!(slots.enter(address(1, 2626), 1, &mut left).await.is_some());
    }
}
