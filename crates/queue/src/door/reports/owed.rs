//! Whom a row owes a report, and what it would say.

use quell_mail::dsn::Action;
use quell_storm::facts::{Ms, RowState};

use super::DELAY_MS;
use crate::ledger::life_began;
use crate::store::{Arrival, Envelope, MAX_ENVELOPES, Row, Told};

const DAY: Ms = 86_400_000;

/// Whom to tell what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// The reverse-path; never empty.
    pub to: String,
    pub envid: Option<String>,
    pub ret_full: Option<bool>,
    pub orcpt: Option<String>,
    pub action: Action,
    /// A copy was refused: why (not the row's status), and when.
    pub refused: Option<(String, Ms)>,
}

/// What a row owes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Debts {
    /// One for each reverse-path that wants it and was not told.
    pub owed: Vec<Owed>,
    /// Reverse-paths that want it and were told of the same row within a day.
    pub suppressed: usize,
}

/// What `row` owes as it stands; `arrival` is the one whose body it has.
pub fn owed(row: &Row, arrival: &Arrival, now: Ms) -> Debts {
    let mut debts = of_refused(row, now);
    let Some(action) = action(row, now) else { return debts };
    let own = [Envelope {
        reverse_path: arrival.reverse_path.clone(),
        envid: arrival.envid.clone(),
        ret_full: arrival.ret_full,
        ..Envelope::default()
    }];
    let envelopes = if row.extra.envelopes.is_empty() { &own[..] } else { &row.extra.envelopes };
    for (i, envelope) in envelopes.iter().enumerate() {
        let wants = |e: &Envelope| wants(row, arrival, action, e);
        let before = |e: &Envelope| e.reverse_path == envelope.reverse_path && wants(e);
        // Each reverse-path is told once, as the first of its envelopes wants it that does.
        if !wants(envelope) || envelopes[..i].iter().any(before) {
            continue;
        }
        match standing(row, &envelope.reverse_path, action, now) {
            Standing::Told => {}
            Standing::Suppressed => debts.suppressed += 1,
            Standing::Owed => debts.owed.push(Owed {
                to: envelope.reverse_path.clone(),
                envid: envelope.envid.clone(),
                ret_full: envelope.ret_full,
                orcpt: envelope.orcpt.clone(),
                action,
                refused: None,
            }),
        }
    }
    debts
}

/// What those are owed whose copies were refused.
fn of_refused(row: &Row, now: Ms) -> Debts {
    let mut debts = Debts::default();
    for copy in &row.extra.refused {
        let envelope = &copy.envelope;
        if told_today(row, &envelope.reverse_path, now) {
            debts.suppressed += 1;
            continue;
        }
        debts.owed.push(Owed {
            to: envelope.reverse_path.clone(),
            envid: envelope.envid.clone(),
            ret_full: envelope.ret_full,
            orcpt: envelope.orcpt.clone(),
            action: Action::Failed,
            refused: Some((copy.status.clone(), copy.at_ms)),
        });
    }
    debts
}

/// True if `to` was told within a day what became of the row.
pub fn told_today(row: &Row, to: &str, now: Ms) -> bool {
    row.extra.told.iter().any(|told| told.to == to && is_today(told, now))
}

fn is_today(told: &Told, now: Ms) -> bool {
    told.at_ms > 0 && now - told.at_ms < DAY
}

/// What there is to tell of a row; None: nothing.
fn action(row: &Row, now: Ms) -> Option<Action> {
    match row.state {
        RowState::Delivered => Some(Action::Delivered),
        RowState::Relayed => Some(Action::Relayed),
        RowState::Failed => Some(Action::Failed),
        RowState::Discarded if row.extra.removed => Some(Action::Failed),
        RowState::Waiting | RowState::Unknown | RowState::Dot => {
            (now - life_began(row) >= DELAY_MS).then_some(Action::Delayed)
        }
        RowState::Discarded | RowState::Held => None,
    }
}

fn wants(row: &Row, arrival: &Arrival, action: Action, envelope: &Envelope) -> bool {
    // RFC 3461 §5.2.2: the next hop that took the parameters tells of success itself.
    let told_there = row.extra.next_hop_reports && envelope.reverse_path == arrival.reverse_path;
    match action {
        Action::Failed => envelope.wants_failure(),
        Action::Delayed => envelope.wants_delay(),
        Action::Delivered | Action::Relayed => envelope.wants_success() && !told_there,
    }
}

enum Standing {
    Told,
    Suppressed,
    Owed,
}

fn standing(row: &Row, to: &str, action: Action, now: Ms) -> Standing {
    let Some(told) = row.extra.told.iter().find(|told| told.to == to) else { return Standing::Owed };
    match action {
        Action::Delayed if told.delay => Standing::Told,
        Action::Delayed => Standing::Owed,
        _ if told.at_ms >= row.since_ms => Standing::Told,
        _ if is_today(told, now) => Standing::Suppressed,
        _ => Standing::Owed,
    }
}

/// Notes that `to` was told of `row`, by a report made at `made_ms`. Where too many were, the one
/// whose report is the longest ago is forgotten.
pub fn mark(row: &mut Row, to: &str, action: Action, made_ms: Ms) {
    if action == Action::Failed {
        row.extra.refused.retain(|copy| copy.envelope.reverse_path != to);
    }
    let all = &mut row.extra.told;
    let told = match all.iter().position(|told| told.to == to) {
        Some(i) => &mut all[i],
        None => {
            if all.len() > MAX_ENVELOPES {
                let oldest = (0..all.len()).min_by_key(|i| all[*i].at_ms).unwrap_or(0);
                all.swap_remove(oldest);
            }
            all.push_mut(Told { to: to.to_owned(), ..Told::default() })
        }
    };
    match action {
        Action::Delayed => told.delay = true,
        _ => told.at_ms = made_ms,
    }
}
