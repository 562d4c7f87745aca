//! Ctrl-C leaves nothing half-written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::{SigSet, Signal, raise};

/// Files that are to be gone if the program is ended now.
#[derive(Debug, Clone, Default)]
pub(super) struct Leftovers(Arc<Mutex<Vec<PathBuf>>>);

impl Leftovers {
    /// Watches for the signals that end a program. To be called before other threads are started: those
    /// leave the signals to this one.
    ///
    /// # Errors
    /// No thread can be had, or the system refuses.
    pub(super) fn watch() -> io::Result<Self> {
        let leftovers = Self::default();
        let mut signals = SigSet::empty();
        let ends = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
        ends.into_iter().filter(|signal| !is_ignored(*signal)).for_each(|signal| signals.add(signal));
        signals.thread_block()?;
        let watched = leftovers.clone();
        let wait = move || {
            let Ok(signal) = signals.wait() else { return };
            watched.clear();
            // Then as if nobody had watched: whoever started us sees by what we were ended.
            let _unblocked = signals.thread_unblock();
            let _raised = raise(signal);
        };
        std::thread::Builder::new().name("signals".into()).spawn(wait)?;
        Ok(leftovers)
    }

    pub(super) fn add(&self, path: &Path) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
    }

    pub(super) fn forget(&self, path: &Path) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| known != path);
    }

    fn clear(&self) {
        for path in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Gone is what it should be.
            let _removed = fs::remove_file(path);
        }
    }
}

/// Whether whoever started us wants us to go on: `nohup`, a job of a script.
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & 1 << (signal as u64 - 1) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_stays_and_the_rest_goes() {
        let folder = std::env::temp_dir();
        let path = |name: &str| folder.join(format!("quell-leftover-{}-{name}", std::process::id()));
        let (half, whole) = (path("half"), path("whole"));
        let leftovers = Leftovers::default();
        for path in [&half, &whole] {
            fs::write(path, "x").unwrap();
            leftovers.add(path);
        }
        leftovers.forget(&whole);
        leftovers.clear();
        assert!(!half.exists() && whole.exists());
        fs::remove_file(whole).unwrap();
    }
}
