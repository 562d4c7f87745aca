//! How many connections there may be to one address: many domains can lead to one server.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// So long a session waits for its turn at a busy address.
const WAIT: Duration = Duration::from_secs(300);

/// Counts open connections by address. Has at most as many entries as there are connections.
#[derive(Debug, Default)]
pub struct Slots {
    open: Mutex<HashMap<IpAddr, usize>>,
    freed: Notify,
}

/// The right to one connection, until it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    address: IpAddr,
}

impl Slots {
    /// Waits until there are fewer than `most` connections to `address`. None: it took too long.
    pub async fn enter(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Slot> {
        let entered = async {
            loop {
                let freed = self.freed.notified();
                tokio::pin!(freed);
                // From here on nothing is missed that is freed while we look.
                freed.as_mut().enable();
                if self.try_enter(address, most) {
                    return Slot { slots: Arc::clone(self), address };
                }
                freed.await;
            }
        };
        timeout(WAIT, entered).await.ok()
    }

    fn try_enter(&self, address: IpAddr, most: usize) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_insert(0);
        let free = *count < most.max(1);
        *count += usize::from(free);
        free
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.slots.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
        drop(open);
        self.slots.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_too_many_waits_for_its_turn() {
        let (slots, one) = (Arc::new(Slots::default()), IpAddr::from([127, 0, 0, 1]));
        let first = slots.enter(one, 2).await.unwrap();
        let _second = slots.enter(one, 2).await.unwrap();
        assert!(!slots.try_enter(one, 2));
        assert!(slots.enter(IpAddr::from([127, 0, 0, 2]), 2).await.is_some(), "another address");
        let waits = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.enter(one, 2).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(first);
        assert!(waits.await.unwrap());
        assert_eq!(slots.open.lock().unwrap().len(), 1, "those without a connection are forgotten");
    }
}
