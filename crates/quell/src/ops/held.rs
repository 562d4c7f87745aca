//! Held mail: listed, let go, thrown away, sent to its recipients in a digest.

use quell_mail::id::QueueId;
use quell_queue::clock::Now;
use quell_queue::door::{Door, Refusal};
use quell_queue::store::{Reader, Row, RowId};
use quell_storm::facts::RowState;
use quell_storm::storm::rfc3339;
use quell_storm::storm_id::StormId;

use super::answer::{away, bad};
use super::queue::{Arrivals, message, queue_id, row_id, row_ref, slice};
use super::{
    Changed, ErrorKind, Failure, HeldRows, HeldShown, HeldWhich, RowRef, SLICE, State, StormDone, To, storms,
};

/// Refusals told one by one.
const MAX_TOLD: usize = 20;

/// A [`HeldWhich`] made ready.
struct Wanted {
    storm: Option<StormId>,
    /// The storm is forgotten, or there never was one. Its rows may outlive it.
    unknown: bool,
    message: Option<QueueId>,
    to: Option<To>,
    /// Rows that were held and are discarded, too.
    discarded: bool,
}

impl Wanted {
    fn new<R: Reader, T>(door: &mut Door<R, T>, which: &HeldWhich, discarded: bool) -> Result<Self, Failure> {
        let parsed = |id: &str| id.parse::<StormId>().map_err(|_| storms::unknown(id));
        let storm = which.storm.as_deref().map(parsed).transpose()?;
        let unknown = match &storm {
            Some(id) => door.storm_class(id.as_str()).map_err(away)?.is_none(),
            None => false,
        };
        let message = which.message.as_deref().map(queue_id).transpose()?;
        if storm.is_none() && message.is_none() {
            return Err(bad("a storm or a message must be named"));
        }
        let to = which.recipient.as_deref().map(To::parse).transpose().map_err(bad)?;
        Ok(Self { storm, unknown, message, to, discarded })
    }

    /// The rows to look at next, and whether there are more behind them.
    fn slice<R: Reader, T>(
        &self,
        door: &Door<R, T>,
        after: Option<&RowRef>,
    ) -> Result<(Vec<Row>, bool), Failure> {
        let states: &[State] = if self.discarded { &[State::Held, State::Discarded] } else { &[State::Held] };
        let rows = match &self.message {
            Some(id) => message(door, &id.to_string(), after.map(|row| row.recipient.as_str()))?.1,
            None => slice(door, states, after.map(row_id).transpose()?.as_ref())?,
        };
        let full = rows.len() == SLICE;
        Ok((rows, full))
    }

    fn means(&self, row: &Row) -> bool {
        let of_storm = |id: &StormId| row.extra.storm.as_deref() == Some(id.as_str());
        self.was_held(row)
            && self.storm.as_ref().is_none_or(of_storm)
            && self.message.is_none_or(|id| row.queue_id == id)
            && self.to.as_ref().is_none_or(|to| to.means_row(row))
    }

    fn was_held(&self, row: &Row) -> bool {
        match row.state {
            RowState::Held => true,
            RowState::Discarded => self.discarded && !row.extra.removed && row.extra.held_for.is_some(),
            _ => false,
        }
    }

    /// A storm as a whole.
    fn whole_storm(&self) -> Option<&StormId> {
        self.storm.as_ref().filter(|_| self.message.is_none() && self.to.is_none())
    }

    /// That nothing was found, in words.
    fn nothing(&self, wish: &str) -> Failure {
        if let Some(id) = self.storm.as_ref().filter(|_| self.unknown) {
            return storms::unknown(id.as_str());
        }
        let what = match (&self.storm, &self.message) {
            (Some(id), None) => format!("storm {id} holds no mail"),
            (Some(id), Some(message)) => format!("storm {id} does not hold the message {message}"),
            (None, message) => {
                format!("the message {} is not held", message.map_or(String::new(), |id| id.to_string()))
            }
        };
        let whom = if self.to.is_some() { " for that recipient" } else { "" };
        let message = format!("{what}{whom}: there is nothing to {wish}");
        Failure { kind: ErrorKind::Conflict, message }
    }
}

/// Held rows, oldest key first.
pub(super) fn list<R: Reader, T>(
    door: &mut Door<R, T>,
    which: &HeldWhich,
    after: Option<&RowRef>,
    limit: usize,
) -> Result<HeldRows, Failure> {
    if !(1..=SLICE).contains(&limit) {
        return Err(bad(format!("limit must be 1 to {SLICE}")));
    }
    let wanted = Wanted::new(door, which, false)?;
    let (found, full) = wanted.slice(door, after)?;
    let (mut arrivals, mut rows, mut last) = (Arrivals::default(), Vec::new(), None);
    for row in &found {
        if rows.len() == limit {
            break;
        }
        last = Some(&row.id);
        if wanted.means(row) {
            rows.push(held_shown(door, row, &mut arrivals)?);
        }
    }
    if wanted.unknown && rows.is_empty() && after.is_none() && !full {
        return Err(wanted.nothing("list"));
    }
    let more = full || last != found.last().map(|row| &row.id);
    Ok(HeldRows { rows, next: last.filter(|_| more).map(row_ref) })
}

fn held_shown<R: Reader, T>(
    door: &Door<R, T>,
    row: &Row,
    arrivals: &mut Arrivals,
) -> Result<HeldShown, Failure> {
    let arrival = arrivals.get(door, &row.queue_id)?;
    Ok(HeldShown {
        id: row.queue_id.to_string(),
        key: row.id.kid.to_string(),
        recipient: row.id.rcpt.clone(),
        sender: arrival.map(|a| a.reverse_path.clone()),
        author: row.extra.author.clone(),
        subject: row.extra.subject.clone(),
        source: arrival.map(|a| a.source.0.clone()),
        received: arrival.map(|a| rfc3339(a.received_ms)),
        size_bytes: arrival.map(|a| a.size_bytes),
        since: rfc3339(row.since_ms),
        reason: row.extra.held_for.clone(),
        storm: row.extra.storm.clone(),
    })
}

/// What a person decides about held mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It goes on, also what was held and is discarded.
    Release,
    /// It is thrown away.
    Discard,
}

/// Does with rows what a person has decided; with a whole storm also what that means for what still comes.
pub(super) fn decide<R: Reader, T>(
    door: &mut Door<R, T>,
    decision: Decision,
    which: &HeldWhich,
    after: Option<&RowRef>,
    now: &Now,
) -> Result<Changed, Failure> {
    let wanted = Wanted::new(door, which, decision == Decision::Release)?;
    let mut changed = each(door, &wanted, after, |door, id| match decision {
        Decision::Release => door.release_held(id, now),
        Decision::Discard => door.discard_held(id, now),
    })?;
    // A storm whose rows were decided on one by one goes on: what still comes of it is decided on here.
    if let Some(id) = wanted.whole_storm().filter(|_| changed.done > 0 || after.is_none()) {
        changed.storm = decide_on_storm(door, decision, id, changed.done > 0, now);
    }
    let wish = if decision == Decision::Release { "release" } else { "discard" };
    found(changed, after, &wanted, wish)
}

/// None: it has ended, or holds nothing and no class suspects it, so that nothing of it is ever held.
fn decide_on_storm<R: Reader, T>(
    door: &mut Door<R, T>,
    decision: Decision,
    id: &StormId,
    holds: bool,
    now: &Now,
) -> Option<StormDone> {
    door.open_storm(id).filter(|storm| holds || storm.class().suspects())?;
    match decision {
        Decision::Release => door.release_storm(id, now).then_some(StormDone::Released),
        Decision::Discard => door.discard_storm(id, now).then_some(StormDone::Discarded),
    }
}

/// Asks for the digests of held rows: they are made within a minute.
pub(super) fn digest<R: Reader, T>(
    door: &mut Door<R, T>,
    which: &HeldWhich,
    after: Option<&RowRef>,
) -> Result<Changed, Failure> {
    let wanted = Wanted::new(door, which, false)?;
    let Some(storm) = wanted.storm.filter(|_| wanted.message.is_none()) else {
        return Err(bad("a digest is that of a storm, or of what it holds for one recipient"));
    };
    let (rows, full) = wanted.slice(door, after)?;
    let mut changed = Changed::default();
    for row in &rows {
        if !wanted.means(row) {
            changed.skipped += 1;
            continue;
        }
        let recipient = wanted.to.as_ref().map(|_| row.id.rcpt.as_str());
        let wish = door.wish_digest(storm.as_str(), recipient);
        wish.map_err(|why| Failure { kind: ErrorKind::Conflict, message: why.to_string() })?;
        changed.done += 1;
    }
    changed.next = rows.last().filter(|_| full).map(|row| row_ref(&row.id));
    found(changed, after, &wanted, "send")
}

fn each<R: Reader, T>(
    door: &mut Door<R, T>,
    wanted: &Wanted,
    after: Option<&RowRef>,
    change: impl Fn(&mut Door<R, T>, &RowId) -> Result<(), Refusal>,
) -> Result<Changed, Failure> {
    let (rows, full) = wanted.slice(door, after)?;
    let mut changed = Changed::default();
    for row in &rows {
        if !wanted.means(row) {
            changed.skipped += 1;
            continue;
        }
        match change(door, &row.id) {
            Ok(()) => changed.done += 1,
            Err(Refusal::Store(error)) => return Err(away(error)),
            Err(why) if changed.refused.len() < MAX_TOLD => changed.refused.push(why.to_string()),
            Err(_) => changed.skipped += 1,
        }
    }
    changed.next = rows.last().filter(|_| full).map(|row| row_ref(&row.id));
    Ok(changed)
}

/// Whoever names a storm wants something done with it. What later slices find is not known here.
fn found(changed: Changed, after: Option<&RowRef>, wanted: &Wanted, wish: &str) -> Result<Changed, Failure> {
    let nothing = changed.done == 0 && changed.refused.is_empty() && changed.storm.is_none();
    if nothing && after.is_none() && changed.next.is_none() {
        return Err(wanted.nothing(wish));
    }
    Ok(changed)
}

#[cfg(test)]
mod tests;
