//! One line for each outcome of an attempt.

use quell_queue::claim::Claim;
use quell_queue::ledger::Outcome;
use quell_wire::client::Status;
use tracing::{info, warn};

/// Who says how an attempt ended.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Said<'a> {
    /// The host; empty if there was none.
    pub next_hop: &'a str,
    /// What protected the connection.
    pub tls: Option<&'a str>,
    /// What the next hop said, where it said something.
    pub status: Option<&'a Status>,
}

/// Writes how an attempt ended.
pub(super) fn log(claim: &Claim, outcome: &Outcome, said: &Said<'_>, delay_ms: i64) {
    let Said { next_hop, tls, status } = *said;
    let (id, rcpt, from) = (claim.queue_id(), claim.identity(), sender(claim.reverse_path()));
    let said = status.map(ToString::to_string);
    let (dsn, reply) = match outcome {
        Outcome::Delivered | Outcome::Relayed { .. } => said.as_deref().map_or(("2.0.0", "delivered"), parts),
        Outcome::Failed { status, .. } | Outcome::Temporary { status } | Outcome::Unknown { status } => {
            parts(status)
        }
    };
    match outcome {
        Outcome::Delivered => {
            info!(event = "delivered", id = %id, rcpt, from, next_hop, reply, dsn, tls, delay_ms);
        }
        Outcome::Relayed { .. } => {
            info!(event = "relayed", id = %id, rcpt, from, next_hop, reply, dsn, tls, delay_ms);
        }
        Outcome::Failed { .. } => {
            warn!(event = "failed", id = %id, rcpt, from, next_hop, reply, dsn, tls, delay_ms);
        }
        Outcome::Temporary { .. } => {
            warn!(event = "deferred", id = %id, rcpt, from, next_hop, reply, dsn, tls, delay_ms);
        }
        Outcome::Unknown { .. } => {
            warn!(event = "unknown", id = %id, rcpt, from, next_hop, reply, dsn, tls, delay_ms);
        }
    }
}

/// A reverse-path as log lines say it: a null one is `<>`, so that it can be searched for.
pub fn sender(reverse_path: &str) -> &str {
    if reverse_path.is_empty() { "<>" } else { reverse_path }
}

/// Enhanced status code and the rest.
fn parts(status: &str) -> (&str, &str) {
    status.split_once(' ').unwrap_or((status, ""))
}
