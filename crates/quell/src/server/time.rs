//! The one clock of the process, and the queue ids that come from it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use quell_mail::id::QueueId;
use quell_queue::clock::{Clock, Now};
use quell_queue::ids::IdMaker;
use quell_storm::facts::Ms;

/// Reads the system's clocks and gives out times and ids; shared by all threads.
#[derive(Debug, Clone)]
pub struct Timekeeper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Mutex<Clock>,
    ids: IdMaker,
    origin: Instant,
}

impl Timekeeper {
    /// Goes on above the mark that an earlier life stored. Gives no id before the first
    /// [`Timekeeper::stored`].
    pub fn new(gateway: u8, stored_high_water_ms: Ms) -> Self {
        Self(Arc::new(Inner {
            clock: Mutex::new(Clock::new(stored_high_water_ms)),
            ids: IdMaker::new(gateway, stored_high_water_ms),
            origin: Instant::now(),
        }))
    }

    /// The time of this moment.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        // A wall clock before 1970 is as wrong as one at 1970.
        let wall_ms = wall.map_or(0, |d| Ms::try_from(d.as_millis()).unwrap_or(Ms::MAX));
        let mono_ms = u64::try_from(self.0.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.clock().observe(wall_ms, mono_ms)
    }

    /// A queue id that was never given before; None while the stored mark is overdue.
    pub fn queue_id(&self, now: &Now) -> Option<QueueId> {
        self.0.ids.next(now).ok()
    }

    /// The mark to store now, if it is time to.
    pub fn mark_due(&self) -> Option<Ms> {
        let clock = self.clock();
        clock.needs_persist().then(|| clock.high_water())
    }

    /// `mark` is durable: ids may come up to it.
    pub fn stored(&self, mark: Ms) {
        self.clock().persisted(mark);
        self.0.ids.raise(mark);
    }

    /// The mark of a clean end: right above all times and ids given out, so that the next life begins at the
    /// true time and not some seconds ahead of it. From now on there are no ids from it on, whether or not it
    /// comes to be stored: one that was higher stands then.
    pub fn end(&self) -> Ms {
        let clock = self.clock();
        self.0.ids.end(clock.end())
    }

    fn clock(&self) -> std::sync::MutexGuard<'_, Clock> {
        // The clock is whole after every call: a thread that died elsewhere harms nothing here.
        self.0.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
