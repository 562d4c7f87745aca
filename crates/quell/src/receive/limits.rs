//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections. The map has at most as many entries as there are connections.
#[derive(Debug)]
pub struct Connections {
    most: AtomicUsize,
    most_per_address: AtomicUsize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection that is counted until this is dropped.
#[derive(Debug)]
pub struct Counted {
    connections: Arc<Connections>,
    address: IpAddr,
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    /// In all.
    InAll,
    /// From this address.
    FromAddress,
}

impl Connections {
    /// At most `most` in all, and `most_per_address` from one IPv4 address or IPv6 /64.
    pub fn new(most: usize, most_per_address: usize) -> Arc<Self> {
        let (most, most_per_address) = (most.into(), most_per_address.into());
        Arc::new(Self { most, most_per_address, open: Mutex::default() })
    }

    /// Other limits from now on; connections that are open stay and go on being counted.
    pub fn set_limits(&self, most: usize, most_per_address: usize) {
        self.most.store(most, Ordering::Relaxed);
        self.most_per_address.store(most_per_address, Ordering::Relaxed);
    }

    /// Counts one more, or says why not.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Counted, TooMany> {
        let address = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= self.most.load(Ordering::Relaxed) {
            return Err(TooMany::InAll);
        }
        let here = open.by_address.entry(address).or_insert(0);
        if *here >= self.most_per_address.load(Ordering::Relaxed) {
            return Err(TooMany::FromAddress);
        }
        *here += 1;
        open.all += 1;
        Ok(Counted { connections: Arc::clone(self), address })
    }

    /// Connections at this moment.
    pub fn open(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if let Some(here) = open.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: a customer gets a whole /64 (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_all_and_by_network() {
        let connections = Connections::new(3, 2);
        let enter = |text: &str| connections.enter(text.parse().unwrap());
        let first = enter("2001:db8::1").unwrap();
        let _second = enter("2001:db8::2").unwrap();
        assert_eq!(enter("2001:db8:0:0:ffff::3").unwrap_err(), TooMany::FromAddress);
        let _other = enter("2001:db8:0:1::1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), TooMany::InAll);
        drop(first);
        assert!(enter("::ffff:192.0.2.1").is_ok());
        assert_eq!(connections.open(), 2);
        connections.set_limits(2, 2);
        assert_eq!(enter("198.51.100.1").unwrap_err(), TooMany::InAll, "open ones are counted on");
    }
}
