//! What the desk tells the rest of the program: log lines, numbers, alerts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use quell_mail::id::QueueId;
use quell_queue::door::{GivenUp, Verdicts};
use quell_storm::tell::Alert;
use tracing::{debug, info, warn};

use crate::deliver::sender;
use crate::metrics::Metrics;
use crate::report::Reporting;
use crate::server::desk::Listener;
use crate::tell::Outbox;

/// Listens to the desk.
pub struct Watcher {
    metrics: Arc<Metrics>,
    outbox: Outbox,
    /// Ends with the desk, and the thread that makes reports with it.
    _reporting: Reporting,
    second: i64,
    absorbed: u64,
    /// Messages of which the operator was told that they may have been delivered: each once, however
    /// many recipients it has.
    told: VecDeque<QueueId>,
}

/// Messages remembered there. One that comes after so many others is told of again.
const TOLD: usize = 256;

/// Absorbed copies with a log line of their own, each second: in a storm one line per copy would
/// be a second storm, on the disk. The others are counted in one line.
const ABSORBED_LINES: u64 = 20;

impl Watcher {
    /// Numbers go to `metrics`, alerts to `outbox`.
    pub fn new(metrics: Arc<Metrics>, outbox: Outbox, reporting: Reporting) -> Self {
        Self { metrics, outbox, _reporting: reporting, second: 0, absorbed: 0, told: VecDeque::new() }
    }
}

impl Watcher {
    /// Whether one more absorbed copy gets a line.
    fn absorbed_line(&mut self, at_ms: i64) -> bool {
        let second = at_ms / 1000;
        if second != self.second {
            let unsaid = self.absorbed.saturating_sub(ABSORBED_LINES);
            if unsaid > 0 {
                info!(event = "absorbed", copies = unsaid, "more copies were absorbed within a second");
            }
            (self.second, self.absorbed) = (second, 0);
        }
        self.absorbed += 1;
        self.absorbed <= ABSORBED_LINES
    }
}

impl Listener for Watcher {
    fn judged(&mut self, verdicts: &Verdicts) {
        self.metrics.judged(verdicts);
        let id = verdicts.queue_id;
        let key = verdicts.key.map_or_else(String::new, |key| key.to_string());
        for (rcpt, verdict, reason) in &verdicts.recipients {
            let (from, source, reason) = (sender(&verdicts.reverse_path), &verdicts.source.0, reason.name());
            if *verdict == "absorb" && !self.absorbed_line(verdicts.at_ms) {
                debug!(event = "judged", id = %id, rcpt, from, source, key, verdict, reason);
            } else {
                info!(event = "judged", id = %id, rcpt, from, source, key, verdict, reason);
            }
        }
    }

    fn given_up(&mut self, row: &GivenUp) {
        let (dsn, reply) = row.status.split_once(' ').unwrap_or((&row.status, ""));
        let (rcpt, from, next_hop) = (&row.identity, sender(&row.reverse_path), &row.next_hop);
        let delay_ms = row.age_ms;
        warn!(event = "given_up", id = %row.queue_id, rcpt, from, next_hop, reply, dsn, delay_ms);
        if row.maybe_delivered && !self.told.contains(&row.queue_id) {
            self.told.truncate(TOLD - 1);
            self.told.push_front(row.queue_id);
            let id = row.queue_id.to_string();
            self.outbox.put(Alert::maybe_delivered(&id, next_hop, row.sendings));
        }
    }

    fn tell(&mut self, alert: Alert) {
        self.outbox.put(alert);
    }

    fn committed(&mut self, took: Duration) {
        self.metrics.committed(took);
    }

    fn store_state(&mut self, trouble: Option<&str>) {
        if trouble.is_some() {
            self.metrics.store_failed();
        }
        self.metrics.set_trouble(trouble.map(str::to_owned));
    }

    fn spool_bytes(&mut self, bytes: u64) {
        self.metrics.set_spool_bytes(bytes);
    }

    fn outward(&mut self, sessions: usize, down: usize) {
        self.metrics.set_outward(sessions, down);
    }
}
