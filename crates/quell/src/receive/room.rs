//! Whether there is room for a message: asked for each, so the disk is not asked each time.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use quell_queue::reserve::Room;

/// So long an answer of the disk is believed.
const BELIEVED: Duration = Duration::from_millis(100);

/// The room on the disk, as it was said a moment ago, less what was promised since.
///
/// Each message that is let in counts as the largest there may be, so all of them together never take
/// what [`Room`] keeps. What else is written within 100 ms (the ledger's pages, outcomes, other
/// programs) is seen that much later: a disk that takes 1 GB a second loses 100 MB at most, and the
/// least reserve is 256 MiB. Where room is short, few promises fit, and the disk is asked each time.
#[derive(Debug)]
pub struct FreeRoom {
    room: Room,
    data: PathBuf,
    seen: Mutex<Option<Seen>>,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    left_bytes: u64,
}

impl FreeRoom {
    /// Of the disk that `data` lies on.
    pub fn new(room: Room, data: PathBuf) -> Self {
        Self { room, data, seen: Mutex::new(None) }
    }

    /// True if a message may come in, none of which is longer than `largest_bytes`. A disk that
    /// cannot even say how full it is takes no mail.
    pub fn enough(&self, largest_bytes: u64) -> bool {
        let needed = self.room.least_free_bytes.max(largest_bytes.saturating_mul(2));
        let now = Instant::now();
        if self.promise(needed.saturating_add(largest_bytes), largest_bytes, now) {
            return true;
        }
        // It may wait for the disk: others serve the sockets meanwhile.
        let Ok(left_bytes) = tokio::task::block_in_place(|| Room::free_bytes(&self.data)) else {
            return false;
        };
        let enough = left_bytes >= needed;
        let left_bytes = left_bytes.saturating_sub(if enough { largest_bytes } else { 0 });
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Seen { at: now, left_bytes });
        enough
    }

    fn promise(&self, needed_bytes: u64, promised_bytes: u64, now: Instant) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.as_mut().filter(|seen| now.saturating_duration_since(seen.at) < BELIEVED);
        let Some(seen) = seen.filter(|seen| seen.left_bytes >= needed_bytes) else { return false };
        seen.left_bytes -= promised_bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn room(least_free_bytes: u64, left_bytes: u64, at: Instant) -> FreeRoom {
        // Nothing lies there: the disk says no.
        let free = FreeRoom::new(Room { least_free_bytes }, "/nowhere/at/all".into());
        *free.seen.lock().unwrap() = Some(Seen { at, left_bytes });
        free
    }

    proptest! {
        #[test]
        fn promises_never_take_the_reserve(
            least in 0..1_000_u64,
            left in 0..3_000_u64,
            asked in prop::collection::vec(0..100_u64, 0..100),
        ) {
            let free = room(least, left, Instant::now() + Duration::from_secs(1));
            for largest in asked {
                let before = free.seen.lock().unwrap().as_ref().unwrap().left_bytes;
                if free.enough(largest) {
                    prop_assert!(before - largest >= least.max(2 * largest));
                }
            }
        }
    }

    #[test]
    fn an_answer_is_believed_for_a_moment() {
        let now = Instant::now();
        let free = room(0, 10_000, now);
        assert!(free.promise(20, 10, now + BELIEVED / 2));
        assert!(!free.promise(20, 10, now + BELIEVED));
    }

    #[test]
    fn the_disk_is_asked_where_little_is_left() {
        let free = FreeRoom::new(Room { least_free_bytes: 1 }, std::env::temp_dir());
        assert!(free.enough(1) && free.seen.lock().unwrap().is_some());
        free.seen.lock().unwrap().as_mut().unwrap().left_bytes = 0;
        assert!(free.enough(1), "it says that there is more");
        assert!(!free.enough(u64::MAX >> 1));
    }
}
