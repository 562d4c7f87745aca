//! Log lines on their way out: gathered for a moment, so that a line does not cost each thread a
//! write of its own.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// A line is written so long after it was put here at the latest. A process that is killed loses the
/// lines of that time; one that ends in any other way, none.
const GATHERED_FOR: Duration = Duration::from_millis(10);
/// Bytes that may wait. Whoever passes that writes them, and waits for whoever reads the log.
const MAX_WAITING_BYTES: usize = 256 << 10;

/// The way out, to standard error or to what stands in its place in tests.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

struct Shared {
    waiting: Mutex<Vec<u8>>,
    some: Condvar,
    /// Held while lines are written, so that they stay in order; the room of those written before.
    out: Mutex<Out>,
    /// Nobody comes for what waits: each line is written at once.
    at_once: AtomicBool,
}

struct Out {
    to: Box<dyn Write + Send>,
    lines: Vec<u8>,
}

/// Lines are gathered as long as this lives; at its end those that wait are written.
pub struct Gathering(Lines);

impl Lines {
    /// Lines that are written at once.
    pub fn new(to: impl Write + Send + 'static) -> Self {
        let out = Out { to: Box::new(to), lines: Vec::new() };
        Self(Arc::new(Shared {
            waiting: Mutex::default(),
            some: Condvar::new(),
            out: Mutex::new(out),
            at_once: AtomicBool::new(true),
        }))
    }

    /// Gathers from now on, where a thread for that can be had.
    pub fn gather(&self) -> Gathering {
        let lines = self.clone();
        let thread = std::thread::Builder::new().name("log".to_owned());
        if thread.spawn(move || lines.write_now_and_then()).is_ok() {
            self.0.at_once.store(false, Ordering::SeqCst);
        }
        Gathering(self.clone())
    }

    fn write_now_and_then(&self) {
        loop {
            let waiting = lock(&self.0.waiting);
            drop(self.0.some.wait_while(waiting, |waiting| waiting.is_empty()));
            std::thread::sleep(GATHERED_FOR);
            self.write();
        }
    }

    fn put(&self, line: &[u8], at_once: bool) {
        let mut waiting = lock(&self.0.waiting);
        waiting.extend_from_slice(line);
        let (first, full) = (waiting.len() == line.len(), waiting.len() > MAX_WAITING_BYTES);
        drop(waiting);
        // Read after the line was put there: the end of the gathering finds it, or is found here.
        if at_once || full || self.0.at_once.load(Ordering::SeqCst) {
            self.write();
        } else if first {
            self.0.some.notify_one();
        }
    }

    /// Writes what waits.
    fn write(&self) {
        let mut out = lock(&self.0.out);
        let Out { to, lines } = &mut *out;
        std::mem::swap(&mut *lock(&self.0.waiting), lines);
        // Where the log cannot be written, nobody can be told.
        let _unwritten = to.write_all(lines);
        lines.clear();
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        self.0.0.at_once.store(true, Ordering::SeqCst);
        self.0.write();
    }
}

/// One event's line. What tells of a fault is written at once, and all before it: the process may be
/// about to end.
pub struct Line<'a> {
    lines: &'a Lines,
    at_once: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.put(line, self.at_once);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, at_once: true }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Line<'a> {
        Line { lines: self, at_once: *of.level() == Level::ERROR }
    }
}

fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    // Bytes are whole whatever became of whoever put them there.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut written = self.0.lock().unwrap();
            written.0.extend_from_slice(bytes);
            written.1 += 1;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_in_order_in_few_writes_and_none_is_lost() {
        let sink = Sink::default();
        let lines = Lines::new(sink.clone());
        let text = |n: usize| format!("line {n}\n").into_bytes();
        lines.put(&text(0), false);
        assert_eq!(sink.0.lock().unwrap().1, 1, "nobody gathers yet");
        let gathering = lines.gather();
        (1..1_000).for_each(|n| lines.put(&text(n), false));
        lines.put(&text(1_000), true);
        assert_eq!(sink.0.lock().unwrap().0, (0..=1_000).flat_map(text).collect::<Vec<_>>());
        (1_001..2_000).for_each(|n| lines.put(&text(n), false));
        drop(gathering);
        lines.put(&text(2_000), false);
        let written = sink.0.lock().unwrap();
        assert_eq!(written.0, (0..=2_000).flat_map(text).collect::<Vec<_>>());
        assert!(written.1 < 500, "{}", written.1);
    }

    #[test]
    fn a_line_waits_for_a_moment_only_and_much_for_nobody() {
        let (sink, begun) = (Sink::default(), Instant::now());
        let lines = Lines::new(sink.clone());
        let _gathering = lines.gather();
        lines.put(b"one\n", false);
        while sink.0.lock().unwrap().0.is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(1));
        }
        lines.put(&vec![b'x'; MAX_WAITING_BYTES + 1], false);
        assert_eq!(sink.0.lock().unwrap().0.len(), 4 + MAX_WAITING_BYTES + 1);
    }
}
