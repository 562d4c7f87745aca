//! What the desk tells the rest of the program: log lines, numbers, alerts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quell_mail::id::QueueId;
use quell_queue::door::{GivenUp, Verdicts};
use quell_storm::tell::Alert;
use tracing::{debug, info, warn};

use crate::deliver::sender;
use crate::held::Digesting;
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
    /// The same of digests.
    _digesting: Digesting,
    second: i64,
    absorbed: u64,
    told: Told,
}

/// Messages of which the operator was told that they may have been delivered: each once, however many
/// recipients it has, and no more than [`TOLD_PER_HOUR`] an hour, the newest first.
#[derive(Debug, Default)]
struct Told(VecDeque<(QueueId, Instant)>);

/// Of so many messages the operator is told in an hour: one next hop that answers nothing can bring
/// about thousands, and they must not take the place of the alerts of storms. Of the others only the
/// log says it.
const TOLD_PER_HOUR: usize = 20;
/// Messages remembered. One that comes after so many others is told of again.
const TOLD: usize = 256;

impl Told {
    /// True if the operator is to be told of this one.
    fn one_more(&mut self, id: QueueId, now: Instant) -> bool {
        let lately = |(_, at): &&(QueueId, Instant)| now.duration_since(*at) < Duration::from_secs(3600);
        if self.0.iter().any(|(told, _)| *told == id) || self.0.iter().filter(lately).count() >= TOLD_PER_HOUR
        {
            return false;
        }
        self.0.truncate(TOLD - 1);
        self.0.push_front((id, now));
        true
    }
}

/// Absorbed copies with a log line of their own, each second: in a storm one line per copy would
/// be a second storm, on the disk. The others are counted in one line.
const ABSORBED_LINES: u64 = 20;

impl Watcher {
    /// Numbers go to `metrics`, alerts to `outbox`.
    pub fn new(metrics: Arc<Metrics>, outbox: Outbox, own: (Reporting, Digesting)) -> Self {
        let (reporting, digesting) = own;
        Self {
            metrics,
            outbox,
            _reporting: reporting,
            _digesting: digesting,
            second: 0,
            absorbed: 0,
            told: Told::default(),
        }
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
        if row.maybe_delivered && self.told.one_more(row.queue_id, Instant::now()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_room_for_the_alerts_of_storms() {
        let (mut told, begun) = (Told::default(), Instant::now());
        let id = |n: u8| QueueId::from_bytes([n; 10]);
        let mut tell = |range: std::ops::Range<u8>, at| range.filter(|n| told.one_more(id(*n), at)).count();
        assert_eq!(tell(0..10, begun), 10);
        assert_eq!(tell(0..10, begun), 0, "each is told of once");
        assert_eq!(tell(0..200, begun), 10);
        assert_eq!(tell(200..250, begun + Duration::from_secs(3600)), 20);
        for hour in 2..100 {
            assert!(tell(0..255, begun + Duration::from_secs(3600 * hour)) <= TOLD_PER_HOUR);
        }
        assert!(told.0.len() <= TOLD, "{}", told.0.len());
    }
}
