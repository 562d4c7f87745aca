//! How far a reading is, and telling it.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a terminal is drawn, and how often a line is written elsewhere.
const DRAW_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Counters that the readers count up and anyone may look at.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    messages: AtomicU64,
}

impl Progress {
    /// Bytes that are done; compressed ones where the file is compressed.
    pub fn bytes_done(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Messages that were handed on.
    pub fn messages_done(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self, count: u64) {
        self.bytes.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn message(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
    }
}

/// Tells on standard error how far a reading is, until it is dropped: a bar on a terminal; elsewhere a
/// line every ten seconds, so that short work says nothing.
#[derive(Debug)]
pub struct Drawing {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drawing {
    /// `what` is said before the figures ("Reading"); without `total` there is no share. With `quiet`
    /// nothing is told, and neither if no thread can be had.
    pub fn start(what: &'static str, progress: Arc<Progress>, total: Option<u64>, quiet: bool) -> Self {
        let (stop, stopped) = mpsc::channel();
        let work = move || match io::stderr().is_terminal() {
            true => bar(what, &progress, total, &stopped),
            false => lines(what, &progress, total, &stopped),
        };
        let thread =
            if quiet { None } else { std::thread::Builder::new().name("progress".into()).spawn(work).ok() };
        Self { stop: Some(stop), thread }
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A picture that could not be drawn is no reason to fail.
            let _drawn = thread.join();
        }
    }
}

/// Waits; false once it is over.
fn goes_on(stopped: &mpsc::Receiver<()>, wait: Duration) -> bool {
    stopped.recv_timeout(wait) == Err(mpsc::RecvTimeoutError::Timeout)
}

fn bar(what: &'static str, progress: &Progress, total: Option<u64>, stopped: &mpsc::Receiver<()>) {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let form = match total {
        Some(_) => {
            "{prefix} {bar:30} {percent}% of {total_bytes}, {msg} messages, {bytes_per_sec}, {eta} left"
        }
        None => "{prefix} {bytes}, {msg} messages, {bytes_per_sec}",
    };
    bar.set_style(ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(what);
    while goes_on(stopped, DRAW_EVERY) {
        bar.set_message(progress.messages_done().to_string());
        bar.set_position(progress.bytes_done());
    }
    bar.finish_and_clear();
}

fn lines(what: &'static str, progress: &Progress, total: Option<u64>, stopped: &mpsc::Receiver<()>) {
    let began = Instant::now();
    while goes_on(stopped, LINE_EVERY) {
        let line = line(what, progress, total, began.elapsed());
        // Nobody reads it any more: nothing to be done.
        let _told = writeln!(io::stderr(), "{line}");
    }
}

fn line(what: &str, progress: &Progress, total: Option<u64>, after: Duration) -> String {
    let (bytes, messages) = (progress.bytes_done(), progress.messages_done());
    let share = total.filter(|total| *total > 0).map(|total| bytes.saturating_mul(100) / total);
    let share = share.map(|share| format!(" ({}%)", share.min(100))).unwrap_or_default();
    format!("{what}: {messages} messages, {} MB{share} after {} s", bytes / 1_000_000, after.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_how_far_it_is() {
        let progress = Progress::default();
        progress.bytes(250_000_000);
        progress.message();
        let after = Duration::from_secs(20);
        assert_eq!(
            line("Reading", &progress, Some(1_000_000_000), after),
            "Reading: 1 messages, 250 MB (25%) after 20 s"
        );
        assert_eq!(line("Reading", &progress, None, after), "Reading: 1 messages, 250 MB after 20 s");
        assert_eq!(line("Reading", &progress, Some(0), after), "Reading: 1 messages, 250 MB after 20 s");
    }

    #[test]
    fn drawing_ends_when_it_is_dropped() {
        for quiet in [true, false] {
            drop(Drawing::start("Reading", Arc::new(Progress::default()), Some(1), quiet));
        }
    }
}
