//! Numbers for Prometheus. The code that does things calls plain methods; the console writes them
//! out. No label grows with traffic: there is no recipient, sender, domain or address in any.

use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use quell_queue::door::{HeldCounts, ReportCounts, Verdicts};
use quell_queue::ledger::Outcome;
use quell_storm::verdict::Class;

type Labels = [(&'static str, &'static str); 1];
type Counters = Family<Labels, Counter>;
/// Of accounts at providers.
type Gauges = Family<[(&'static str, String); 1], Gauge>;

/// Upper ends of the classes of durations, in seconds.
const SECONDS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 30.0];

/// Why a connection, a command or a message was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// 421: too many connections in all.
    Connections,
    /// 421: too many from one address.
    Address,
    /// 421: silent for too long, or slower than the least rate.
    Idle,
    /// 421: too many commands or errors.
    Errors,
    /// 550 at RCPT: no such recipient, or no domain of ours.
    Recipient,
    /// 452: no room on the disk.
    Room,
    /// 451: trouble of our own, or an answer that would have come too late.
    Trouble,
    /// 5xx: too large, or refused by its form.
    Message,
    /// Its TLS handshake failed.
    Handshake,
}

impl TurnedAway {
    const ALL: [Self; 9] = [
        Self::Connections,
        Self::Address,
        Self::Idle,
        Self::Errors,
        Self::Recipient,
        Self::Room,
        Self::Trouble,
        Self::Message,
        Self::Handshake,
    ];

    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Address => "address",
            Self::Idle => "idle",
            Self::Errors => "errors",
            Self::Recipient => "recipient",
            Self::Room => "room",
            Self::Trouble => "trouble",
            Self::Message => "message",
            Self::Handshake => "handshake",
        }
    }
}

/// All numbers of one server. Every method may be called from any thread.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    messages: Counters,
    copies: Counters,
    arrivals: Counter,
    arrival_bytes: Counter,
    connections: Gauge,
    connections_all: Counter,
    turned_away: Counters,
    collected: Counters,
    accounts_up: Gauges,
    accounts_good: Gauges,
    accounts_stay: Gauges,
    bare_newlines: Counter,
    deliveries: Counters,
    queue_rows: Family<Labels, Gauge>,
    storms_open: Gauge,
    storms_not_opened: Gauge,
    alerts: Counters,
    sign_ins: Counters,
    guessing: Counters,
    reports: Counters,
    held_ended: Counters,
    held_digests: Counter,
    held_reminders: Counter,
    commits: Counter,
    commit_seconds: Histogram,
    store_failures: Counter,
    spool_bytes: Gauge,
    sessions: Gauge,
    next_hops_down: Gauge,
    up: Gauge,
    trouble: Mutex<Option<String>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All numbers at zero, and every label that there can be.
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("quell"),
            messages: Counters::default(),
            copies: Counters::default(),
            arrivals: Counter::default(),
            arrival_bytes: Counter::default(),
            connections: Gauge::default(),
            connections_all: Counter::default(),
            turned_away: Counters::default(),
            collected: Counters::default(),
            accounts_up: Gauges::default(),
            accounts_good: Gauges::default(),
            accounts_stay: Gauges::default(),
            bare_newlines: Counter::default(),
            deliveries: Counters::default(),
            queue_rows: Family::default(),
            storms_open: Gauge::default(),
            storms_not_opened: Gauge::default(),
            alerts: Counters::default(),
            sign_ins: Counters::default(),
            guessing: Counters::default(),
            reports: Counters::default(),
            held_ended: Counters::default(),
            held_digests: Counter::default(),
            held_reminders: Counter::default(),
            commits: Counter::default(),
            commit_seconds: Histogram::new(SECONDS),
            store_failures: Counter::default(),
            spool_bytes: Gauge::default(),
            sessions: Gauge::default(),
            next_hops_down: Gauge::default(),
            up: Gauge::default(),
            trouble: Mutex::new(None),
        };
        metrics.make_labels();
        metrics.registered()
    }

    /// A label that was never counted would be missing, and a rate over it with it.
    fn make_labels(&self) {
        let zero = |family: &Counters, label, names: &[&'static str]| {
            for name in names {
                drop(family.get_or_create(&[(label, *name)]));
            }
        };
        zero(&self.messages, "verdict", &["pass", "absorb", "hold", "refuse"]);
        zero(&self.copies, "class", &["copies", "retry", "loop"]);
        zero(&self.deliveries, "outcome", &["delivered", "relayed", "failed", "temporary", "unknown"]);
        zero(&self.collected, "result", &crate::pickup::Became::NAMES);
        zero(&self.turned_away, "why", &TurnedAway::ALL.map(TurnedAway::name));
        zero(&self.alerts, "result", &["sent", "failed"]);
        zero(&self.sign_ins, "verdict", &["yes", "no", "trouble", "refused"]);
        zero(&self.guessing, "whom", &["user", "address", "network"]);
        zero(&self.reports, "fate", &["made", "dropped", "suppressed"]);
        zero(&self.held_ended, "how", &["released", "discarded", "digest"]);
        for state in QUEUE_STATES {
            drop(self.queue_rows.get_or_create(&[("state", state)]));
        }
    }

    fn registered(mut self) -> Self {
        let r = &mut self.registry;
        r.register("messages", "Verdicts, one for each recipient of an arrival", self.messages.clone());
        r.register("copies", "Copies: arrivals for a recipient whose row existed", self.copies.clone());
        r.register("arrivals", "Messages whose content was read to its end", self.arrivals.clone());
        r.register_with_unit("arrival", "Bytes of these messages", Unit::Bytes, self.arrival_bytes.clone());
        r.register("connections", "SMTP connections now open", self.connections.clone());
        r.register("connections_opened", "SMTP connections ever opened", self.connections_all.clone());
        r.register("pickup_up", "Whether the last look at an account ended well", self.accounts_up.clone());
        r.register(
            "pickup_last_good_timestamp_seconds",
            "When an account was last collected",
            self.accounts_good.clone(),
        );
        r.register(
            "pickup_stay",
            "Messages that cannot be taken and stay at the provider",
            self.accounts_stay.clone(),
        );
        r.register("pickup_messages", "Messages fetched from accounts at providers", self.collected.clone());
        r.register("turned_away", "Connections, recipients and messages refused", self.turned_away.clone());
        r.register(
            "bare_newlines",
            "Bare CR and LF of our own machines made CRLF",
            self.bare_newlines.clone(),
        );
        r.register("deliveries", "Ends of delivery attempts, one for each row", self.deliveries.clone());
        r.register("queue_rows", "Open rows of the ledger", self.queue_rows.clone());
        r.register("storms_open", "Storms that have not ended", self.storms_open.clone());
        r.register("storms_not_opened", "Copies over a full book of storms", self.storms_not_opened.clone());
        r.register("alerts", "Alerts to the operator", self.alerts.clone());
        r.register("sign_ins", "Tries to sign in", self.sign_ins.clone());
        r.register("guessing_blocks", "Times sign-in was refused from then on", self.guessing.clone());
        r.register(
            "reports",
            "Reports to senders, and recipients whose report went over its bound",
            self.reports.clone(),
        );
        r.register("held_ended", "Held messages decided on, one for each row", self.held_ended.clone());
        r.register("held_digests", "Digests of held mail", self.held_digests.clone());
        r.register("held_reminders", "Reminders of held mail", self.held_reminders.clone());
        r.register("store_commits", "Batches made durable", self.commits.clone());
        r.register_with_unit("store_commit", "Time of a commit", Unit::Seconds, self.commit_seconds.clone());
        r.register("store_failures", "Times the store had to be reopened", self.store_failures.clone());
        r.register_with_unit("spool", "Disk taken by bodies", Unit::Bytes, self.spool_bytes.clone());
        r.register("sessions_open", "Sessions to next hops", self.sessions.clone());
        r.register("next_hops_down", "Next hops known to be down", self.next_hops_down.clone());
        r.register("healthy", "1 while mail is accepted and delivered", self.up.clone());
        self
    }

    /// The judge has spoken: one verdict for each recipient, and those that met a row are copies.
    pub fn judged(&self, verdicts: &Verdicts) {
        for (_, verdict, reason) in &verdicts.recipients {
            self.messages.get_or_create(&[("verdict", verdict)]).inc();
            let class = reason.class();
            if class != Class::New {
                self.copies.get_or_create(&[("class", class.name())]).inc();
            }
        }
    }

    /// A message was read to its end.
    pub fn arrived(&self, bytes: u64) {
        self.arrivals.inc();
        self.arrival_bytes.inc_by(bytes);
    }

    /// A message was collected from an account at a provider, or was not.
    pub fn collected(&self, became: &crate::pickup::Became) {
        self.collected.get_or_create(&[("result", became.name())]).inc();
    }

    /// A look at an account has ended, at `now_ms` since 1970; so many messages cannot be taken and stay there. There are as many
    /// labels as accounts are configured.
    pub fn account(&self, account: &str, good: bool, now_ms: i64, stay: u64) {
        let label = [("account", account.to_owned())];
        self.accounts_up.get_or_create(&label).set(good.into());
        if good {
            self.accounts_good.get_or_create(&label).set(now_ms / 1_000);
        }
        self.accounts_stay.get_or_create(&label).set(i64::try_from(stay).unwrap_or(i64::MAX));
    }

    /// An account is no longer collected.
    pub fn account_gone(&self, account: &str) {
        let label = [("account", account.to_owned())];
        for gauges in [&self.accounts_up, &self.accounts_good, &self.accounts_stay] {
            gauges.remove(&label);
        }
    }

    /// A client came.
    pub fn connection_opened(&self) {
        self.connections.inc();
        self.connections_all.inc();
    }

    /// A client went.
    pub fn connection_closed(&self) {
        self.connections.dec();
    }

    /// Somebody or something was refused.
    pub fn turned_away(&self, why: TurnedAway) {
        self.turned_away.get_or_create(&[("why", why.name())]).inc();
    }

    /// So many bare CR and LF of our own machines were made CRLF.
    pub fn bare_newlines(&self, count: u64) {
        self.bare_newlines.inc_by(count);
    }

    /// An attempt ended.
    pub fn delivery(&self, outcome: &Outcome) {
        let name = match outcome {
            Outcome::Delivered => "delivered",
            Outcome::Relayed { .. } => "relayed",
            Outcome::Failed { .. } => "failed",
            Outcome::Temporary { .. } => "temporary",
            Outcome::Unknown { .. } => "unknown",
        };
        self.deliveries.get_or_create(&[("outcome", name)]).inc();
    }

    /// An alert went out, or could not.
    pub fn alert(&self, sent: bool) {
        let result = if sent { "sent" } else { "failed" };
        self.alerts.get_or_create(&[("result", result)]).inc();
    }

    /// Somebody tried to sign in: `yes`, `no`, `trouble` or `refused`.
    pub fn sign_in(&self, verdict: &'static str) {
        self.sign_ins.get_or_create(&[("verdict", verdict)]).inc();
    }

    /// Sign-in is refused from now on: to a `user` in a network, an `address` or a `network`.
    pub fn guessing(&self, whom: &'static str) {
        self.guessing.get_or_create(&[("whom", whom)]).inc();
    }

    /// Reports to senders: the numbers were `before`, and are `now`.
    pub fn reports(&self, before: &ReportCounts, now: &ReportCounts) {
        for (fate, before, now) in [
            ("made", before.made, now.made),
            ("dropped", before.dropped, now.dropped),
            ("suppressed", before.suppressed, now.suppressed),
        ] {
            self.reports.get_or_create(&[("fate", fate)]).inc_by(now.saturating_sub(before));
        }
    }

    /// Held mail: the numbers were `before`, and are `now`.
    pub fn held(&self, before: &HeldCounts, now: &HeldCounts) {
        for (how, before, now) in [
            ("released", before.released, now.released),
            ("discarded", before.discarded, now.discarded),
            ("digest", before.in_digests, now.in_digests),
        ] {
            self.held_ended.get_or_create(&[("how", how)]).inc_by(now.saturating_sub(before));
        }
        self.held_digests.inc_by(now.digests.saturating_sub(before.digests));
        self.held_reminders.inc_by(now.reminders.saturating_sub(before.reminders));
    }

    /// A batch is durable.
    pub fn committed(&self, took: std::time::Duration) {
        self.commits.inc();
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// The store failed and is reopened.
    pub fn store_failed(&self) {
        self.store_failures.inc();
    }

    /// Disk taken by bodies.
    pub fn set_spool_bytes(&self, bytes: u64) {
        self.spool_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Sessions to next hops that are open, and next hops that are down.
    pub fn set_outward(&self, sessions: usize, down: usize) {
        self.sessions.set(i64::try_from(sessions).unwrap_or(i64::MAX));
        self.next_hops_down.set(i64::try_from(down).unwrap_or(i64::MAX));
    }

    /// Why mail is not accepted or not delivered at this moment, for `/healthz`; None: all is well.
    pub fn set_trouble(&self, why: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// What [`Metrics::set_trouble`] was last told.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the desk says when the numbers are asked for. Counts of other states are left as zero.
    pub(crate) fn set_status(&self, status: &crate::ops::Status) {
        for state in QUEUE_STATES {
            let rows = status.queue.get(state).copied().unwrap_or(0);
            let rows = i64::try_from(rows).unwrap_or(i64::MAX);
            self.queue_rows.get_or_create(&[("state", state)]).set(rows);
        }
        self.storms_open.set(i64::try_from(status.storms_open).unwrap_or(i64::MAX));
        self.storms_not_opened.set(i64::try_from(status.storms_not_opened).unwrap_or(i64::MAX));
    }

    pub(crate) fn set_healthy(&self, healthy: bool) {
        self.up.set(i64::from(healthy));
    }

    /// All numbers as OpenMetrics text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Open states as [`crate::ops::State`] names them.
const QUEUE_STATES: [&str; 4] = ["waiting", "claimed", "held", "unknown"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_there_from_the_start() {
        let text = Metrics::new().text();
        for line in [
            "quell_messages_total{verdict=\"absorb\"} 0",
            "quell_copies_total{class=\"loop\"} 0",
            "quell_queue_rows{state=\"waiting\"} 0",
            "quell_storms_open 0",
            "quell_connections 0",
            "quell_deliveries_total{outcome=\"unknown\"} 0",
            "quell_turned_away_total{why=\"room\"} 0",
            "quell_store_commits_total 0",
            "quell_bare_newlines_total 0",
            "quell_spool_bytes 0",
            "quell_sessions_open 0",
            "quell_reports_total{fate=\"made\"} 0",
            "quell_next_hops_down 0",
            "quell_held_ended_total{how=\"digest\"} 0",
            "quell_held_digests_total 0",
            "quell_held_reminders_total 0",
            "quell_sign_ins_total{verdict=\"refused\"} 0",
            "quell_guessing_blocks_total{whom=\"network\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn counts_what_it_is_told() {
        let metrics = Metrics::new();
        metrics.connection_opened();
        metrics.turned_away(TurnedAway::Room);
        metrics.delivery(&Outcome::Delivered);
        metrics.arrived(512);
        metrics.committed(std::time::Duration::from_millis(3));
        let text = metrics.text();
        for line in [
            "quell_connections 1",
            "quell_turned_away_total{why=\"room\"} 1",
            "quell_deliveries_total{outcome=\"delivered\"} 1",
            "quell_arrival_bytes_total 512",
            "quell_store_commit_seconds_count 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }
}
