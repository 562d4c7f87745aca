//! Rows of the ledger: listed, shown, tried again, taken out.

mod change;
mod down;

pub(super) use change::{remove, retry};
pub(super) use down::Downs;

use std::cmp::Reverse;
use std::collections::HashMap;

use quell_mail::id::QueueId;
use quell_queue::clock::Now;
use quell_queue::door::{DestinationView, Door, Phase};
use quell_queue::store::{Arrival, Reader, Row, RowId};
use quell_storm::facts::{Ms, RowState};
use quell_storm::storm::rfc3339;

use super::answer::{away, bad, not_found};
use super::forget::To;
use super::{
    Failure, Filter, MessageShown, NextHopShown, NextHops, RowRef, RowShown, Rows, SLICE, Shown, State,
};

/// The state as people see it.
pub(super) fn shown_state(state: RowState, claimed: bool) -> State {
    match state {
        RowState::Waiting | RowState::Unknown if claimed => State::Claimed,
        RowState::Waiting => State::Waiting,
        RowState::Dot => State::Claimed,
        RowState::Delivered => State::Delivered,
        RowState::Relayed => State::Relayed,
        RowState::Failed => State::Failed,
        RowState::Held => State::Held,
        RowState::Unknown => State::Unknown,
        RowState::Discarded => State::Discarded,
    }
}

/// States that the store finds by an index, those that it finds by another, and those that it
/// goes over row by row.
const GROUPS: [&[RowState]; 3] = [
    &[RowState::Waiting, RowState::Dot, RowState::Unknown],
    &[RowState::Held],
    &[RowState::Delivered, RowState::Relayed, RowState::Failed, RowState::Discarded],
];

/// The next rows in any of the groups in which rows of `states` can be, at most [`SLICE`]; the
/// caller picks. Asking the store for rare states alone would send it through the whole ledger in
/// one request, and keep the desk away from mail meanwhile.
pub(super) fn slice<R: Reader, T>(
    door: &Door<R, T>,
    states: &[State],
    after: Option<&RowId>,
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for group in GROUPS {
        let asked =
            |state: &RowState| states.iter().any(|s| *s == shown_state(*state, false) || can_be(*s, *state));
        if group.iter().any(asked) {
            rows.extend(door.list(group, after, SLICE).map_err(away)?);
        }
    }
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    rows.truncate(SLICE);
    Ok(rows)
}

/// A claim lives in memory: the store has its row as what it was before.
fn can_be(shown: State, stored: RowState) -> bool {
    shown == State::Claimed && matches!(stored, RowState::Waiting | RowState::Dot | RowState::Unknown)
}

pub(super) fn row_id(after: &RowRef) -> Result<RowId, Failure> {
    Ok(RowId { kid: queue_id(&after.key)?, rcpt: after.recipient.clone() })
}

pub(super) fn row_ref(id: &RowId) -> RowRef {
    RowRef { key: id.kid.to_string(), recipient: id.rcpt.clone() }
}

pub(super) fn queue_id(text: &str) -> Result<QueueId, Failure> {
    text.parse().map_err(|_| bad(format!("{} is no queue id: these have 16 characters", super::shown(text))))
}

/// Arrivals looked up for one answer: rows of one message share theirs.
#[derive(Default)]
pub(super) struct Arrivals(HashMap<QueueId, Option<Arrival>>);

impl Arrivals {
    pub fn get<R: Reader, T>(
        &mut self,
        door: &Door<R, T>,
        queue_id: &QueueId,
    ) -> Result<Option<&Arrival>, Failure> {
        if !self.0.contains_key(queue_id) {
            let found = door.show(queue_id, 0).map_err(away)?.map(|(arrival, _)| arrival);
            self.0.insert(*queue_id, found);
        }
        Ok(self.0.get(queue_id).and_then(Option::as_ref))
    }
}

/// A [`Filter`] made ready.
struct Wanted {
    states: Vec<State>,
    to: Vec<To>,
    sender: Option<String>,
}

impl Wanted {
    fn new(states: &[State], filter: &Filter) -> Result<Self, Failure> {
        let open = [State::Waiting, State::Claimed, State::Held, State::Unknown];
        let to = filter.recipient.iter().chain(&filter.domain).map(|text| To::parse(text));
        Ok(Self {
            states: if states.is_empty() { open.to_vec() } else { states.to_vec() },
            to: to.collect::<Result<_, _>>().map_err(bad)?,
            sender: filter.sender.as_deref().map(|s| s.trim_matches(['<', '>']).to_ascii_lowercase()),
        })
    }

    fn wants<R: Reader, T>(
        &self,
        door: &Door<R, T>,
        row: &Row,
        arrivals: &mut Arrivals,
    ) -> Result<bool, Failure> {
        let state = shown_state(row.state, door.is_claimed(&row.id));
        if !self.states.contains(&state) || !self.to.iter().all(|to| to.means_row(row)) {
            return Ok(false);
        }
        let Some(sender) = &self.sender else { return Ok(true) };
        let arrival = arrivals.get(door, &row.queue_id)?;
        Ok(arrival.is_some_and(|a| a.reverse_path.to_ascii_lowercase() == *sender))
    }
}

pub(super) fn list<R: Reader, T>(
    door: &Door<R, T>,
    states: &[State],
    filter: &Filter,
    after: Option<&RowRef>,
    limit: usize,
    now: &Now,
) -> Result<Rows, Failure> {
    if !(1..=SLICE).contains(&limit) {
        return Err(bad(format!("limit must be 1 to {SLICE}")));
    }
    let wanted = Wanted::new(states, filter)?;
    let after = after.map(row_id).transpose()?;
    let found = slice(door, &wanted.states, after.as_ref())?;
    let (mut arrivals, downs) = (Arrivals::default(), Downs::of(door, now));
    let mut rows = Vec::new();
    let mut looked_at = 0;
    for row in &found {
        if rows.len() == limit {
            break;
        }
        looked_at += 1;
        if wanted.wants(door, row, &mut arrivals)? {
            let arrival = arrivals.get(door, &row.queue_id)?;
            rows.push(row_shown(door, row, arrival, &downs));
        }
    }
    let more = looked_at < found.len() || found.len() == SLICE;
    let last = looked_at.checked_sub(1).and_then(|i| found.get(i));
    Ok(Rows { rows, next: last.filter(|_| more).map(|row| row_ref(&row.id)) })
}

pub(super) fn show<R: Reader, T>(
    door: &Door<R, T>,
    id: &str,
    after: Option<&str>,
    now: &Now,
) -> Result<Shown, Failure> {
    let (arrival, rows) = message(door, id, after)?;
    let next = (rows.len() == SLICE).then(|| rows.last().map(|row| row.id.rcpt.clone())).flatten();
    let (mut arrivals, downs) = (Arrivals::default(), Downs::of(door, now));
    let mut shown = Vec::with_capacity(rows.len());
    for row in &rows {
        let arrival = arrivals.get(door, &row.queue_id)?;
        shown.push(row_shown(door, row, arrival, &downs));
    }
    Ok(Shown { message: message_shown(&arrival), rows: shown, next })
}

/// A message and the rows of its key after a recipient, at most [`SLICE`].
pub(super) fn message<R: Reader, T>(
    door: &Door<R, T>,
    id: &str,
    after: Option<&str>,
) -> Result<(Arrival, Vec<Row>), Failure> {
    let first = if after.is_none() { SLICE } else { 0 };
    let found = door.show(&queue_id(id)?, first).map_err(away)?;
    let (arrival, mut rows) = found.ok_or_else(|| no_message(id))?;
    if let Some(after) = after {
        let after = RowId { kid: arrival.kid, rcpt: after.to_owned() };
        rows = slice(door, &State::ALL, Some(&after))?;
        rows.retain(|row| row.id.kid == arrival.kid);
    }
    Ok((arrival, rows))
}

pub(super) fn no_message(id: &str) -> Failure {
    not_found(format!(
        "no message {} is kept: it is not stored yet, is forgotten, or was absorbed as a copy (see `quell explain`)",
        super::shown(id)
    ))
}

pub(super) fn next_hops<R: Reader, T>(door: &Door<R, T>, now: &Now) -> NextHops {
    let shown = |view: DestinationView| {
        let down = view.down.as_ref();
        NextHopShown {
            next_hop: view.destination.to_string(),
            ready: view.ready as u64,
            waiting: view.waiting as u64,
            claimed: view.claimed as u64,
            down_since: down.map(|d| rfc3339(d.since_ms)),
            next: down.map(|d| rfc3339(d.until_ms)),
            failures: down.map_or(0, |d| d.failures),
            status: down.map(|d| d.status.clone()),
        }
    };
    let mut views = door.destinations(now);
    let more = views.len().saturating_sub(SLICE) as u64;
    if more > 0 {
        let rows = |view: &DestinationView| view.ready + view.waiting + view.claimed;
        views.sort_by_key(|view| (view.down.is_none(), Reverse(rows(view))));
        views.truncate(SLICE);
        views.sort_by(|a, b| a.destination.cmp(&b.destination));
    }
    NextHops { next_hops: views.into_iter().map(shown).collect(), more }
}

fn time(ms: Ms) -> Option<String> {
    (ms > 0).then(|| rfc3339(ms))
}

fn row_shown<R: Reader, T>(
    door: &Door<R, T>,
    row: &Row,
    arrival: Option<&Arrival>,
    downs: &Downs,
) -> RowShown {
    let phase = door.phase(&row.id);
    let state = shown_state(row.state, phase.is_some());
    let by_itself = matches!(state, State::Waiting | State::Unknown);
    let destination = door.destination_of(&row.id.rcpt);
    let down = downs.get(&destination).filter(|_| by_itself);
    RowShown {
        id: row.queue_id.to_string(),
        key: row.id.kid.to_string(),
        recipient: row.id.rcpt.clone(),
        as_given: row.extra.as_given.clone(),
        next_hop: destination.to_string(),
        state,
        phase: phase.map(|phase| match phase {
            Phase::Opened => "opened".to_owned(),
            Phase::Dot => "dot".to_owned(),
        }),
        since: rfc3339(row.since_ms),
        next: time(row.next_ms.max(down.map_or(0, |down| down.until_ms))).filter(|_| by_itself),
        down: down.map(down::shown),
        tenant: row.tenant.clone(),
        gateway: row.gateway,
        attempts: row.attempts,
        sendings: row.sendings,
        copies: row.copies,
        last_copy: time(row.last_copy_ms),
        status: Some(row.status.clone()).filter(|s| !s.is_empty()),
        maybe_delivered: row.extra.maybe_delivered,
        report_due: row.extra.report_due,
        held_for: row.extra.held_for.clone().filter(|_| state == State::Held),
        storm: row.extra.storm.clone().filter(|_| state == State::Held),
        class: held_class(door, row),
        exempt: row.extra.exempt.clone(),
        sender: arrival.map(|a| a.reverse_path.clone()),
        size_bytes: arrival.map(|a| a.size_bytes),
        received: arrival.map(|a| rfc3339(a.received_ms)),
    }
}

/// The class of the storm that a row is held for. One that cannot be looked up is not known.
fn held_class<R: Reader, T>(door: &Door<R, T>, row: &Row) -> Option<String> {
    let storm = row.extra.storm.as_deref().filter(|_| row.state == RowState::Held)?;
    Some(door.storm_class(storm).ok()??.name().to_owned())
}

fn message_shown(arrival: &Arrival) -> MessageShown {
    MessageShown {
        id: arrival.queue_id.to_string(),
        key: arrival.kid.to_string(),
        sender: arrival.reverse_path.clone(),
        envid: arrival.envid.clone(),
        source: arrival.source.0.clone(),
        received: rfc3339(arrival.received_ms),
        size_bytes: arrival.size_bytes,
        message_id: arrival.message_id.clone(),
        by_redirect: arrival.by_redirect,
        open: arrival.open,
        body_kept: arrival.body.is_some(),
    }
}
