//! Large bodies brought to their end: written and synced by threads that may wait for the disk.

use std::time::Duration;

use quell_queue::door::Incoming;
use quell_relay::reception::Submission;
use quell_wire::reply::Reply;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Large bodies that may be synced at a time; others wait for their turn.
pub const SYNCING: usize = 32;
static SYNCS: Semaphore = Semaphore::const_new(SYNCING);

/// Brings a large body to its end within that time; [`SYNCING`] at a time.
///
/// # Errors
/// The reply, 451 if it comes too late.
pub async fn complete(submission: Box<Submission>, within: Duration) -> Result<Incoming, Reply> {
    if !submission.must_sync() {
        return submission.complete();
    }
    let work = async move {
        // Held by the work itself: one that the client no longer waits for still has a thread.
        let permit = SYNCS.acquire().await.ok()?;
        let work = move || {
            let completed = submission.complete();
            drop(permit);
            completed
        };
        tokio::task::spawn_blocking(work).await.ok()
    };
    match timeout(within, work).await {
        Ok(Some(completed)) => completed,
        Ok(None) | Err(_) => Err(Reply::new(451, (3, 0), "Trouble of our own; try again later")),
    }
}
