//! The ledger's legal steps: what may follow upon what, and when a row is tried again.
//!
//! Pure: a row, an event and a time go in, the changed row or a refusal comes out.

use quell_storm::facts::{Ms, RowState};

use crate::store::{Envelope, Row};

/// Minutes, for the tables below.
const MINUTE: Ms = 60_000;
const HOUR: Ms = 60 * MINUTE;
const DAY: Ms = 24 * HOUR;

/// Waits after an Unknown outcome (DESIGN.md, "The ledger").
pub const UNKNOWN_WAITS_MS: [Ms; 4] = [30 * MINUTE, 2 * HOUR, 8 * HOUR, 24 * HOUR];
/// Sendings in all: the first and one after each wait.
pub const MAX_SENDINGS: u32 = 5;
/// Waits after a temporary failure; the last is repeated (RFC 5321 §4.5.4.1: at least 30 minutes,
/// once the first quick tries have not helped).
pub const RETRY_WAITS_MS: [Ms; 6] = [MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR];
/// For so long after it failed a row keeps its body: `queue retry` may give it a new life, and the
/// report to its sender may want it.
pub const KEEP_FAILED_MS: Ms = 5 * DAY;
/// For so long a row that owes a report keeps its body if nothing else wants it. A report made later
/// goes without the message's header.
pub const KEEP_TOLD_MS: Ms = HOUR;
/// For so long after a held row was discarded it keeps its body, for a release.
pub const KEEP_DISCARDED_MS: Ms = 30 * DAY;
/// A row that was not delivered by this age fails at its next attempt (RFC 5321 §4.5.4.1).
pub const LIFETIME_MS: Ms = 5 * DAY;

/// How an attempt ended: a closed set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Lies in a Maildir, or an LMTP server answered 250.
    Delivered,
    /// A next hop answered 250.
    Relayed {
        /// It took the DSN parameters (RFC 3461 §4), so it reports success itself.
        reports: bool,
    },
    /// Refused for good.
    Failed {
        /// Enhanced status code and text.
        status: String,
        /// It is about the recipient (5.1.x, 5.2.x).
        about_recipient: bool,
    },
    /// It did not work this time, and nothing was sent.
    Temporary {
        /// Enhanced status code and text.
        status: String,
    },
    /// The dot went out and no answer came.
    Unknown {
        /// What happened.
        status: String,
    },
}

/// What can happen to a row besides an attempt's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An attempt begins that will reach the wire's point of no return.
    Dot,
    /// An attempt ended.
    Ended(Outcome),
    /// The server starts: what was at the dot is Unknown now.
    Restarted,
    /// A person wants it tried now.
    Retry,
    /// A person takes it out of the queue.
    Remove,
    /// A person or the end of its time throws a held one away.
    Discard,
    /// A person lets it go.
    Release {
        /// The rule it is exempt from.
        rule: String,
    },
}

/// A step that the ledger does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a row that is {state:?} cannot take {event}")]
pub struct IllegalStep {
    /// The row's state.
    pub state: RowState,
    /// The event.
    pub event: String,
}

/// True for states from which nothing more happens by itself.
pub fn is_final(state: RowState) -> bool {
    use RowState::*;
    matches!(state, Delivered | Relayed | Failed | Discarded)
}

/// True if the row may be delivered from here: its body must be there. Some rows for which nothing
/// more happens by itself ask for it all the same, for a time ([`keeps_body_until`]).
pub fn needs_body(state: RowState) -> bool {
    use RowState::*;
    matches!(state, Waiting | Dot | Unknown | Held)
}

/// Until when a row in a final state asks for its body, for a new life or a release. None: it has no
/// more use for it.
pub fn keeps_body_until(row: &Row) -> Option<Ms> {
    match row.state {
        RowState::Failed => Some(row.since_ms + KEEP_FAILED_MS),
        RowState::Delivered | RowState::Relayed if row.extra.report_due => Some(row.since_ms + KEEP_TOLD_MS),
        RowState::Discarded if row.extra.removed && row.extra.report_due => Some(row.since_ms + KEEP_TOLD_MS),
        // What was not removed had been held: see `step`.
        RowState::Discarded if !row.extra.removed => Some(row.since_ms + KEEP_DISCARDED_MS),
        _ => None,
    }
}

/// What a report tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// That the recipient has it, or the next hop.
    Success,
    /// That it was given up.
    Failure,
}

/// True if somebody wants `report` of `row`: the arrival it was made by, from `reverse_path`, or a
/// copy that joined (RFC 3461 §4.1). Nobody does at a null reverse-path (RFC 5321 §4.5.5), and whom
/// the next hop tells is not told twice.
pub fn wants(row: &Row, reverse_path: &str, report: Report) -> bool {
    let told_there = |e: &Envelope| row.extra.next_hop_reports && e.reverse_path == reverse_path;
    let wanted = |e: &Envelope| match report {
        Report::Success => e.wants_success() && !told_there(e),
        Report::Failure => e.wants_failure(),
    };
    match row.extra.envelopes.as_slice() {
        // A row without envelopes has its arrival's own, which says nothing of NOTIFY.
        [] => report == Report::Failure && !reverse_path.is_empty(),
        envelopes => envelopes.iter().any(wanted),
    }
}

/// Takes one step; `may_expire` comes from the clock. The row is unchanged on error.
pub fn step(row: &mut Row, event: &Event, now: Ms, may_expire: bool) -> Result<(), IllegalStep> {
    use RowState::*;
    match (row.state, event) {
        (Waiting | Unknown, Event::Dot) => at_dot(row, now),
        (Waiting | Dot | Unknown, Event::Ended(outcome)) => ended(row, outcome, now, may_expire),
        (Dot, Event::Restarted) => {
            row.attempts += 1;
            unknown(row, "4.4.2 quell stopped while the answer was awaited", now);
        }
        (Waiting, Event::Restarted) => {}
        (Waiting | Unknown, Event::Retry) => row.next_ms = now,
        (Failed, Event::Retry) => new_life(row, now),
        (Waiting | Unknown | Held, Event::Remove) => {
            row.extra.removed = true;
            enter(row, Discarded, now);
        }
        (Held, Event::Discard) => enter(row, Discarded, now),
        (Held | Discarded, Event::Release { rule }) => {
            row.extra.exempt = Some(rule.clone());
            row.extra.removed = false;
            row.extra.life_ms = Some(now);
            row.next_ms = now;
            enter(row, Waiting, now);
        }
        (state, event) => {
            return Err(IllegalStep { state, event: format!("{event:?}") });
        }
    }
    Ok(())
}

/// Begins a new life of a failed or discarded row.
pub fn new_life(row: &mut Row, now: Ms) {
    row.extra.lives_ms.retain(|at| now - at < DAY);
    row.extra.lives_ms.push(now);
    row.extra.life_ms = Some(now);
    row.extra.failed_recipient = false;
    row.extra.next_hop_reports = false;
    row.extra.removed = false;
    (row.attempts, row.sendings, row.next_ms) = (0, 0, now);
    row.status.clear();
    enter(row, RowState::Waiting, now);
}

/// When the row's present life began: its arrival, its new life, or its release.
pub fn life_began(row: &Row) -> Ms {
    row.extra.life_ms.unwrap_or_else(|| row.queue_id.ms())
}

fn enter(row: &mut Row, state: RowState, now: Ms) {
    row.state = state;
    row.since_ms = now;
}

fn at_dot(row: &mut Row, now: Ms) {
    row.sendings += 1;
    enter(row, RowState::Dot, now);
}

fn ended(row: &mut Row, outcome: &Outcome, now: Ms, may_expire: bool) {
    row.attempts += 1;
    match outcome {
        Outcome::Delivered => final_state(row, RowState::Delivered, "2.0.0 delivered", now),
        Outcome::Relayed { reports } => {
            row.extra.next_hop_reports = *reports;
            final_state(row, RowState::Relayed, "2.0.0 taken by the next hop", now);
        }
        Outcome::Failed { status, about_recipient } => {
            row.extra.failed_recipient = *about_recipient;
            failed(row, status, now);
        }
        Outcome::Temporary { status } => temporary(row, status, now, may_expire),
        Outcome::Unknown { status } => {
            // A delivery that writes no dot has reached it all the same.
            row.sendings += u32::from(row.state != RowState::Dot);
            unknown(row, status, now);
        }
    }
}

fn temporary(row: &mut Row, status: &str, now: Ms, may_expire: bool) {
    if may_expire && now - life_began(row) > LIFETIME_MS {
        return failed(row, &format!("4.4.7 not delivered within five days; last: {status}"), now);
    }
    if row.extra.maybe_delivered && row.sendings >= MAX_SENDINGS {
        return failed(row, &format!("4.4.2 it may have been delivered; last: {status}"), now);
    }
    if row.state == RowState::Dot && !row.extra.maybe_delivered {
        // Answered 4xx: what was sent is certainly not there, and uses up none of the sendings.
        row.sendings = row.sendings.saturating_sub(1);
    }
    status.clone_into(&mut row.status);
    row.next_ms = now + retry_wait(row.attempts);
    // A try that failed before the dot says nothing about an earlier one that had passed it.
    let back = if row.extra.maybe_delivered { RowState::Unknown } else { RowState::Waiting };
    if row.state != back {
        enter(row, back, now);
    }
}

fn final_state(row: &mut Row, state: RowState, status: &str, now: Ms) {
    status.clone_into(&mut row.status);
    enter(row, state, now);
}

fn failed(row: &mut Row, status: &str, now: Ms) {
    status.clone_into(&mut row.status);
    enter(row, RowState::Failed, now);
}

fn unknown(row: &mut Row, status: &str, now: Ms) {
    row.extra.maybe_delivered = true;
    if row.sendings >= MAX_SENDINGS {
        return failed(row, &format!("4.4.2 it may have been delivered; {status}"), now);
    }
    status.clone_into(&mut row.status);
    let wait = UNKNOWN_WAITS_MS[(row.sendings.max(1) as usize - 1).min(UNKNOWN_WAITS_MS.len() - 1)];
    row.next_ms = now + wait;
    enter(row, RowState::Unknown, now);
}

/// The wait after the `attempts`-th temporary failure, without jitter.
pub fn retry_wait(attempts: u32) -> Ms {
    RETRY_WAITS_MS[(attempts.max(1) as usize - 1).min(RETRY_WAITS_MS.len() - 1)]
}
