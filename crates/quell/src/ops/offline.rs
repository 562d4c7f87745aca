//! The store of a stopped server, opened by a command under the lock.

use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use quell_queue::clock::{Clock, Now};
use quell_queue::door::{Destinations, Door, DoorSettings};
use quell_queue::store::sqlite::{SqliteReader, SqliteStore};
use quell_queue::store::{Reader, Store, StoreError};

use super::{ErrorKind, Request, Response, run};
use crate::data::{Data, DataError, random_bytes};

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The data directory.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The server has never run here.
    #[error("{0}: there is no ledger yet; `quell serve` makes it at its first start")]
    NoLedger(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The store, its door, and the lock as long as this lives. Bodies are not touched: what nobody
/// needs any more is deleted when the server next opens them.
pub struct Offline {
    door: Door<SqliteReader, ()>,
    store: SqliteStore,
    clock: Clock,
    started: Instant,
    _data: Data,
}

impl Offline {
    /// Opens the store in `data`. `secret_file`: as for [`Data::secret`]. `destinations`: where mail
    /// would go; nothing is delivered from here.
    ///
    /// # Errors
    /// [`OfflineError`].
    pub fn open(
        data: Data,
        secret_file: Option<&Path>,
        settings: DoorSettings,
        destinations: Destinations,
    ) -> Result<Self, OfflineError> {
        let path = data.paths().ledger();
        if !std::fs::metadata(&path).is_ok_and(|meta| meta.len() > 0) {
            return Err(OfflineError::NoLedger(path.display().to_string()));
        }
        let secret = data.secret(secret_file)?;
        let store = SqliteStore::open(&path)?;
        let reader = store.reader()?;
        let (mut clock, started) = (Clock::new(reader.high_water()?), Instant::now());
        let now = read(&mut clock, started);
        let seed = random_bytes::<8>()?;
        let rng = counter(u64::from_le_bytes(seed));
        let door = Door::open(reader, secret, settings, destinations, rng, &now)?;
        Ok(Self { door, store, clock, started, _data: data })
    }

    /// Carries out a request. When this returns Ok, what it changed is durable.
    ///
    /// # Errors
    /// Those of the store; nothing of the request was then kept.
    pub fn ask(&mut self, request: &Request) -> Result<Response, StoreError> {
        if matches!(request, Request::StormDigest { .. }) {
            let why = "the server does not run, and it is what makes digests: start it first";
            return Ok(Response::error(ErrorKind::Conflict, why));
        }
        let now = read(&mut self.clock, self.started);
        let answer = run(&mut self.door, request, &now);
        while let Some(mut work) = self.door.take_batch() {
            // No id is made here, and nothing more is asked after the last commit: the mark need not lead.
            work.batch.high_water = Some(self.clock.end());
            if let Err(why) = self.store.commit(&work.batch) {
                self.door.failed(&why);
                return Err(why);
            }
            self.door.committed(&[], &read(&mut self.clock, self.started));
            // Nobody waits for answers here, and the spool finds out by itself what is released.
            drop(self.door.effects());
        }
        Ok(answer)
    }
}

fn read(clock: &mut Clock, started: Instant) -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
    let mono = started.elapsed().as_millis();
    clock.observe(i64::try_from(wall).unwrap_or(i64::MAX), u64::try_from(mono).unwrap_or(u64::MAX))
}

/// Nothing is named or drawn by a command; a start at random and an odd step are enough.
fn counter(mut state: u64) -> Box<dyn FnMut() -> u64 + Send> {
    Box::new(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state
    })
}

#[cfg(test)]
mod tests;
