//! One request, carried out.

use std::collections::BTreeMap;

use quell_queue::clock::Now;
use quell_queue::door::Door;
use quell_queue::store::Reader;
use quell_storm::facts::RowState;
use quell_storm::storm::rfc3339;

use super::held::Decision;
use super::{ErrorKind, Failure, Request, Response, State, Status, explain, forget, held, queue, storms};

/// Carries out `request` at the door. What it changes is gathered, and durable with the next
/// batch; the answer does not wait for that, so a caller who must be sure hands it out after the
/// commit.
pub fn run<R: Reader, T>(door: &mut Door<R, T>, request: &Request, now: &Now) -> Response {
    let answer = match request {
        Request::Status {} => Ok(Response::Status(status(door, now))),
        Request::QueueList { states, filter, after, limit } => {
            queue::list(door, states, filter, after.as_ref(), *limit, now).map(Response::Rows)
        }
        Request::QueueShow { id, after } => {
            queue::show(door, id, after.as_deref(), now).map(|shown| Response::Shown(Box::new(shown)))
        }
        Request::NextHops {} => Ok(Response::NextHops(queue::next_hops(door, now))),
        Request::QueueRetry { target, states, after } => {
            queue::retry(door, target, states, after.as_ref(), now).map(Response::Changed)
        }
        Request::QueueRemove { id, recipient, report, after } => {
            queue::remove(door, id, recipient.as_deref(), *report, after.as_ref(), now).map(Response::Changed)
        }
        Request::Storms { limit } => storms::list(door, *limit).map(Response::Storms),
        Request::Storm { id } => storms::show(door, id).map(|shown| Response::Storm(Box::new(shown))),
        Request::StormHeld { which, after, limit } => {
            held::list(door, which, after.as_ref(), *limit).map(Response::Held)
        }
        Request::StormRelease { which, after } => {
            held::decide(door, Decision::Release, which, after.as_ref(), now).map(Response::Changed)
        }
        Request::StormDiscard { which, after } => {
            held::decide(door, Decision::Discard, which, after.as_ref(), now).map(Response::Changed)
        }
        Request::StormDigest { which, after } => {
            held::digest(door, which, after.as_ref()).map(Response::Changed)
        }
        Request::LedgerForget { to, since_ms, after } => {
            forget::forget(door, to, *since_ms, after.as_ref()).map(Response::Forgotten)
        }
        Request::Explain { what } => explain::explain(door, what, now).map(Response::Explained),
        Request::MailboxesChanged {} => Ok(Response::Done),
        Request::Pickup { .. } => Err(Failure {
            kind: ErrorKind::Conflict,
            message: "the server does not run, and it is what collects: start it first".to_owned(),
        }),
        Request::Users { .. } => Err(Failure {
            kind: ErrorKind::BadRequest,
            message: "users are not kept in the ledger".to_owned(),
        }),
    };
    answer.unwrap_or_else(Response::Error)
}

/// Open rows by the state that people see.
fn open_rows<R: Reader, T>(door: &Door<R, T>) -> BTreeMap<String, u64> {
    let (waiting, unknown) = door.claimed_rows();
    let mut queue = BTreeMap::from([(State::Claimed.name().to_owned(), waiting + unknown)]);
    for (state, rows) in door.open_rows() {
        let claimed = match state {
            RowState::Waiting => waiting,
            RowState::Unknown => unknown,
            _ => 0,
        };
        let name = queue::shown_state(state, false).name();
        *queue.entry(name.to_owned()).or_insert(0) += rows.saturating_sub(claimed);
    }
    queue
}

fn status<R: Reader, T>(door: &Door<R, T>, now: &Now) -> Status {
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now: rfc3339(now.wall_ms),
        trouble: door.is_shut().then(|| "the store is away: it failed and is being reopened".to_owned()),
        queue: open_rows(door),
        storms_open: door.storms_open() as u64,
        storms_not_opened: door.storms_not_opened(),
    }
}
