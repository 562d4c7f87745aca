//! Checks of passwords, a few at a time: each takes 19 MiB and some tens of milliseconds of a core, and
//! strangers can ask for them.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Checks at a time, at most; never more than there are cores.
const AT_ONCE: usize = 4;
/// Checks that wait; whoever comes beyond that is told to come again.
const WAITING: usize = 128;

/// The pool has no room, or the server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// Runs checks on threads that may wait.
#[derive(Debug)]
pub struct Pool {
    at_once: Arc<Semaphore>,
    line: Arc<Semaphore>,
}

impl Default for Pool {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Self::of(cores.min(AT_ONCE), WAITING)
    }
}

impl Pool {
    /// So many at a time, and so many that wait.
    pub(super) fn of(at_once: usize, waiting: usize) -> Self {
        let line = Arc::new(Semaphore::new(at_once + waiting));
        Self { at_once: Arc::new(Semaphore::new(at_once)), line }
    }

    /// Runs `job` when it is its turn. One that nobody waits for any more still has its place until it
    /// ends.
    ///
    /// # Errors
    /// [`Busy`], and the job was not run to its end.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let place = Arc::clone(&self.line).try_acquire_owned().map_err(|_| Busy)?;
        let turn = Arc::clone(&self.at_once).acquire_owned().await.map_err(|_| Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = job();
            drop((turn, place));
            done
        });
        done.await.map_err(|_| Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_than_so_many_run_and_wait() {
        let pool = Arc::new(Pool::of(2, 3));
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let gate = Arc::new(std::sync::Barrier::new(3));
        let mut all = tokio::task::JoinSet::new();
        for n in 0..10 {
            let (pool, gate) = (Arc::clone(&pool), Arc::clone(&gate));
            let (now, most) = (Arc::clone(&running), Arc::clone(&most));
            let job = move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // The first two hold both places until all others have asked.
                if n < 2 {
                    gate.wait();
                }
                now.fetch_sub(1, Ordering::SeqCst);
            };
            all.spawn(async move { pool.run(job).await });
            while n < 2 && running.load(Ordering::SeqCst) <= n {
                tokio::task::yield_now().await;
            }
        }
        for _ in 0..5 {
            assert_eq!(all.join_next().await.unwrap().unwrap(), Err(Busy));
        }
        tokio::task::spawn_blocking(move || gate.wait()).await.unwrap();
        let mut done = 0;
        while let Some(one) = all.join_next().await {
            done += usize::from(one.unwrap().is_ok());
        }
        assert_eq!((done, most.load(Ordering::SeqCst)), (5, 2));
    }
}
