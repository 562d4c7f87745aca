//! Work divided between threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;

use super::sink::Sink;
use super::{Archive, Damages, Message, Progress};

/// What the threads leave behind.
pub(super) type Done<S> = (Vec<S>, Damages);

/// Lets `threads` threads take one job after the other, in their order, each with a state of its own.
pub(super) fn divide<S: Send, J: Sync>(
    archive: &Archive,
    jobs: &[J],
    (threads, progress): (usize, &Progress),
    make: impl Fn() -> S + Sync,
    each: impl Fn(&mut S, Message<'_>) + Sync,
    job: impl Fn(&J, &mut Sink<'_>) + Sync,
) -> Done<S> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut state = make();
        let mut hand_on = |message: Message<'_>| each(&mut state, message);
        let mut sink = Sink::new(archive, progress, &mut hand_on);
        while let Some(this) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            job(this, &mut sink);
        }
        let damages = sink.damages;
        (state, damages)
    };
    let threads = threads.min(jobs.len()).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut done = (Vec::with_capacity(threads), Damages::default());
        for (state, damages) in workers.into_iter().map(joined) {
            done.0.push(state);
            done.1.merge(damages);
        }
        done
    })
}

/// What a thread gave back; its panic goes on in ours.
pub(crate) fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
