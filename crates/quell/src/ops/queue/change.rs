//! Rows tried again, and taken out.

use quell_queue::clock::Now;
use quell_queue::destination::Destination;
use quell_queue::door::{Door, Refusal};
use quell_queue::store::{Reader, Row, RowId};

use super::{message, row_id, row_ref, shown_state, slice};
use crate::ops::answer::{away, bad, not_found};
use crate::ops::{Changed, ErrorKind, Failure, RowRef, SLICE, State, Target, To, shown};

/// Refusals told one by one.
const MAX_TOLD: usize = 20;

pub fn retry<R: Reader, T>(
    door: &mut Door<R, T>,
    target: &Target,
    states: &[State],
    after: Option<&RowRef>,
    now: &Now,
) -> Result<Changed, Failure> {
    let or = |default: &[State]| if states.is_empty() { default.to_vec() } else { states.to_vec() };
    let to_retry = |door: &mut Door<R, T>, id: &RowId| door.retry(id, now);
    match target {
        Target::Message { id, recipient } => {
            let states = or(&[State::Waiting, State::Unknown, State::Failed]);
            one_message(door, id, recipient.as_deref(), &states, after, to_retry)
        }
        Target::Domain(domain) => {
            let to = To::parse(domain).map_err(bad)?;
            many(door, &or(&[State::Waiting]), after, |_, row| to.means_row(row), to_retry)
        }
        Target::NextHop(name) => {
            let destination = Destination::new(name);
            if after.is_none() {
                door.retry_destination(&destination, now);
            }
            // What the door has not in mind yet waits in the store.
            let there = |door: &Door<R, T>, row: &Row| door.destination_of(&row.id.rcpt) == destination;
            many(door, &or(&[State::Waiting]), after, there, to_retry)
        }
        Target::All => many(door, &or(&[State::Waiting]), after, |_, _| true, to_retry),
    }
}

pub fn remove<R: Reader, T>(
    door: &mut Door<R, T>,
    id: &str,
    recipient: Option<&str>,
    report: bool,
    after: Option<&RowRef>,
    now: &Now,
) -> Result<Changed, Failure> {
    let states = [State::Waiting, State::Unknown, State::Held];
    one_message(door, id, recipient, &states, after, |door, id| door.remove(id, report, now))
}

/// The rows that have the body of message `id`: all that are in `states`, or the one of
/// `recipient`, whatever its state; then a state that does not allow it is told.
fn one_message<R: Reader, T>(
    door: &mut Door<R, T>,
    id: &str,
    recipient: Option<&str>,
    states: &[State],
    after: Option<&RowRef>,
    change: impl Fn(&mut Door<R, T>, &RowId) -> Result<(), Refusal>,
) -> Result<Changed, Failure> {
    if let Some(recipient) = recipient {
        return one_row(door, id, recipient, change);
    }
    let (arrival, rows) = message(door, id, after.map(|row| row.recipient.as_str()))?;
    let meant = |row: &Row| row.queue_id == arrival.queue_id;
    let changed = each(door, &rows, states, |_, row| meant(row), change)?;
    if after.is_none() && changed.next.is_none() && !rows.iter().any(meant) {
        return Err(not_found(format!(
            "no row has the body of {} any more; `quell queue show` lists the rows of its key",
            shown(id)
        )));
    }
    Ok(changed)
}

fn one_row<R: Reader, T>(
    door: &mut Door<R, T>,
    id: &str,
    recipient: &str,
    change: impl Fn(&mut Door<R, T>, &RowId) -> Result<(), Refusal>,
) -> Result<Changed, Failure> {
    let to = To::parse(recipient).map_err(bad)?;
    let mut after: Option<String> = None;
    loop {
        let (arrival, rows) = message(door, id, after.as_deref())?;
        let row = rows.iter().find(|r| r.queue_id == arrival.queue_id && to.means_row(r));
        if let Some(row) = row {
            change(door, &row.id).map_err(|why| refused(&row.id, why))?;
            return Ok(Changed { done: 1, ..Changed::default() });
        }
        after = rows.last().filter(|_| rows.len() == SLICE).map(|row| row.id.rcpt.clone());
        if after.is_none() {
            return Err(not_found(format!("message {} has no row for {}", shown(id), shown(recipient))));
        }
    }
}

fn many<R: Reader, T>(
    door: &mut Door<R, T>,
    states: &[State],
    after: Option<&RowRef>,
    meant: impl Fn(&Door<R, T>, &Row) -> bool,
    change: impl Fn(&mut Door<R, T>, &RowId) -> Result<(), Refusal>,
) -> Result<Changed, Failure> {
    let after = after.map(row_id).transpose()?;
    let rows = slice(door, states, after.as_ref())?;
    each(door, &rows, states, meant, change)
}

fn each<R: Reader, T>(
    door: &mut Door<R, T>,
    rows: &[Row],
    states: &[State],
    meant: impl Fn(&Door<R, T>, &Row) -> bool,
    change: impl Fn(&mut Door<R, T>, &RowId) -> Result<(), Refusal>,
) -> Result<Changed, Failure> {
    let mut changed = Changed::default();
    for row in rows {
        let claimed = door.is_claimed(&row.id);
        if !meant(door, row) || !states.contains(&shown_state(row.state, claimed)) {
            changed.skipped += 1;
            continue;
        }
        match change(door, &row.id) {
            Ok(()) => changed.done += 1,
            Err(Refusal::Store(error)) => return Err(away(error)),
            Err(why) if changed.refused.len() < MAX_TOLD => changed.refused.push(words(&row.id, &why)),
            Err(_) => changed.skipped += 1,
        }
    }
    changed.next = rows.last().filter(|_| rows.len() == SLICE).map(|row| row_ref(&row.id));
    Ok(changed)
}

fn refused(id: &RowId, why: Refusal) -> Failure {
    match why {
        Refusal::Store(error) => away(error),
        Refusal::NoRow(_) => not_found(why.to_string()),
        Refusal::Claimed(_) | Refusal::Illegal(_) | Refusal::NoBody(_) => {
            Failure { kind: ErrorKind::Conflict, message: words(id, &why) }
        }
    }
}

fn words(id: &RowId, why: &Refusal) -> String {
    let Refusal::Illegal(step) = why else { return why.to_string() };
    let state = shown_state(step.state, false);
    format!(
        "{id} is {state}: only waiting, unknown and failed rows are tried again, only waiting, unknown \
         and held ones removed"
    )
}
