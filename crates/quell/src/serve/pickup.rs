//! Accounts at providers, as part of a running server.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use quell_queue::pickups::SqlitePickups;
use tokio::runtime::Handle as Runtime;

use super::ServeError;
use super::parts::{InForce, current, outward_now, random};
use crate::data::Data;
use crate::pickup::{Keeper, Means};
use crate::receive::smtp::Outer;
use crate::tell::Outbox;

/// Opens what was collected, and begins to collect once the desk decides.
pub(super) fn start(
    data: &Data,
    in_force: &Arc<RwLock<InForce>>,
    outer: &Arc<Outer>,
    outbox: Outbox,
    runtime: &Runtime,
) -> Result<Arc<Keeper>, ServeError> {
    let store = SqlitePickups::open(&data.pickups()?).map_err(ServeError::Pickups)?;
    let (policy, outward, numbers) = (Arc::clone(in_force), outward_now(in_force), random());
    let numbers = Mutex::new(numbers);
    let means = Means {
        outer: Arc::clone(outer),
        policy: Box::new(move || {
            let shared = current(&policy).shared;
            (Arc::clone(&shared.policy), shared.max_message_bytes)
        }),
        resolver: Box::new(move || Arc::clone(&outward().resolver)),
        outbox,
        store: Arc::new(Mutex::new(store)),
        random: Box::new(move || numbers.lock().unwrap_or_else(PoisonError::into_inner)()),
    };
    Ok(Keeper::start(means, &current(in_force).config.pickup, runtime))
}
