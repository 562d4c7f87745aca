//! The running server's threads: the desk, where everything is decided; the committer, where it
//! becomes durable; the clock that both go by.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

pub mod alarm;
pub mod committer;
pub mod desk;
pub mod fresh;
pub mod log_lines;
mod mark;
pub mod sessions;
pub mod time;
mod upkeep;

/// Starts a thread without which the server cannot do its work. If it panics the process ends at
/// once: a start after a crash loses nothing and repeats nothing, a server with a dead desk takes
/// no mail and looks alive.
///
/// # Errors
/// No thread could be had.
pub fn vital_thread(name: String, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    let of = name.clone();
    std::thread::Builder::new().name(name).spawn(move || {
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            tracing::error!(
                event = "thread_died",
                thread = of,
                "a thread died: the server ends, so that it is started anew"
            );
            std::process::abort();
        }
    })
}

/// Starts a task without which the server cannot do its work, as [`vital_thread`].
pub fn vital_task(
    runtime: &tokio::runtime::Handle,
    name: &'static str,
    run: impl Future<Output = ()> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    let done = runtime.spawn(run);
    runtime.spawn(async move {
        if done.await.is_err_and(|why| why.is_panic()) {
            tracing::error!(
                event = "thread_died",
                thread = name,
                "a task died: the server ends, so that it is started anew"
            );
            std::process::abort();
        }
    })
}
