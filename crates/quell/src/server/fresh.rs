//! Bodies of mail that has just been stored, kept in memory for their first delivery: it needs not
//! read back what was written a moment ago. The body store has the same bytes; whatever is not here
//! is read there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quell_queue::body::BodyRef;
use quell_queue::door::{Bytes, NewBody};

/// Bytes kept in all. At the limit the oldest go: their deliveries read the disk.
pub const MAX_BYTES: usize = 32 << 20;
/// A longer body is not kept: reading it costs little beside sending it.
const MAX_BODY_BYTES: usize = 64 << 10;
/// So long a body is kept at most: what is not tried by then waits for something, or is held.
const MAX_AGE_MS: u64 = 60_000;
/// What an entry takes beside its bytes, counted with them: tree, allocations.
const ENTRY_BYTES: usize = 128;

/// The bodies, by place. A place is never used twice, so what is found under it is what lies there.
#[derive(Debug, Default)]
pub struct FreshBodies(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Places ascend with time but for the border between two files: the first is about the oldest.
    bodies: BTreeMap<BodyRef, Fresh>,
    bytes: usize,
}

#[derive(Debug)]
struct Fresh {
    bytes: Arc<Vec<u8>>,
    since_ms: u64,
}

/// The bytes of a body as the store will give them: front first. None for one that is not kept.
pub fn whole(body: &NewBody) -> Option<Arc<Vec<u8>>> {
    let Bytes::Small(bytes) = &body.bytes else { return None };
    let len = body.front.len() + bytes.len();
    if len > MAX_BODY_BYTES {
        return None;
    }
    let mut whole = Vec::with_capacity(len);
    whole.extend_from_slice(&body.front);
    whole.extend_from_slice(bytes);
    Some(Arc::new(whole))
}

impl FreshBodies {
    /// Keeps the bytes of a body that is durable now. Times are the monotonic clock's.
    pub fn put(&self, place: BodyRef, bytes: Arc<Vec<u8>>, now_ms: u64) {
        let mut kept = self.kept();
        kept.bytes += bytes.len() + ENTRY_BYTES;
        if let Some(before) = kept.bodies.insert(place, Fresh { bytes, since_ms: now_ms }) {
            kept.bytes -= before.bytes.len() + ENTRY_BYTES;
        }
        while kept.bytes > MAX_BYTES && kept.drop_first() {}
    }

    /// The bytes of the body at `place`, if they are still here.
    pub fn get(&self, place: &BodyRef) -> Option<Arc<Vec<u8>>> {
        self.kept().bodies.get(place).map(|fresh| Arc::clone(&fresh.bytes))
    }

    /// Nobody needs the body any more.
    pub fn release(&self, place: &BodyRef) {
        self.kept().remove(place);
    }

    /// Time has passed: what is too old goes.
    pub fn tick(&self, now_ms: u64) {
        let mut kept = self.kept();
        let old = |fresh: &Fresh| fresh.since_ms + MAX_AGE_MS <= now_ms;
        while kept.bodies.first_key_value().is_some_and(|(_, fresh)| old(fresh)) {
            kept.drop_first();
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whole after every call, and a body that is missed is read from the disk.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn drop_first(&mut self) -> bool {
        let first = self.bodies.first_key_value().map(|(place, _)| *place);
        first.is_some_and(|place| self.remove(&place))
    }

    fn remove(&mut self, place: &BodyRef) -> bool {
        let removed = self.bodies.remove(place);
        self.bytes -= removed.as_ref().map_or(0, |fresh| fresh.bytes.len() + ENTRY_BYTES);
        removed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use quell_mail::id::QueueId;

    fn place(n: u64) -> BodyRef {
        BodyRef { file: 2 * (n / 100), offset: n % 100 * 4096, len: n }
    }

    fn body(front: &[u8], bytes: usize) -> NewBody {
        let bytes = Bytes::Small(vec![b'x'; bytes]);
        NewBody { queue_id: QueueId::from_bytes([1; 10]), front: front.to_vec(), bytes }
    }

    #[test]
    fn keeps_front_and_bytes_of_what_is_small() {
        assert_eq!(**whole(&body(b"Received: x\r\n", 2)).unwrap(), *b"Received: x\r\nxx");
        assert!(whole(&body(b"", MAX_BODY_BYTES)).is_some());
        assert!(whole(&body(b"a", MAX_BODY_BYTES)).is_none());
    }

    #[test]
    fn the_oldest_go_at_the_limit_and_with_age() {
        let (fresh, big) = (FreshBodies::default(), Arc::new(vec![0; MAX_BODY_BYTES]));
        let most = (MAX_BYTES / (MAX_BODY_BYTES + ENTRY_BYTES)) as u64;
        (0..most + 3).for_each(|n| fresh.put(place(n), Arc::clone(&big), n));
        let here = |n| fresh.get(&place(n)).is_some();
        assert!(!here(2) && here(3) && here(most + 2));
        fresh.tick(MAX_AGE_MS + 9);
        assert!(!here(9) && here(10));
        fresh.tick(u64::MAX);
        assert_eq!(fresh.kept().bytes, 0);
    }

    proptest! {
        #[test]
        fn gives_what_was_put_or_nothing(steps in prop::collection::vec((0..3_u8, 0..40_u64, 0..9_usize), 0..200)) {
            let (fresh, mut model) = (FreshBodies::default(), BTreeMap::new());
            for (step, n, len) in steps {
                match step {
                    0 => {
                        fresh.put(place(n), Arc::new(vec![7; len]), 0);
                        model.insert(n, len);
                    }
                    1 => {
                        fresh.release(&place(n));
                        model.remove(&n);
                    }
                    _ => {
                        let found = fresh.get(&place(n)).map(|bytes| bytes.len());
                        prop_assert_eq!(found, model.get(&n).copied());
                    }
                }
                let sum: usize = model.values().map(|len| len + ENTRY_BYTES).sum();
                prop_assert_eq!(fresh.kept().bytes, sum);
            }
        }
    }
}
