//! Which held rows belong into which digest: a walk over all that are held, the longest held first, a
//! part in each call.
//!
//! A digest that is due takes along what the same storm has held for the same person since: else a storm
//! that goes on would bring a digest for each of its messages.

use std::collections::{BTreeMap, HashMap};

use quell_mail::id::QueueId;
use quell_storm::facts::{Ms, RowState};

use super::{
    DigestFor, Door, FOR_OPERATOR_ONLY, HoldRules, LOOK_EVERY_MS, LOOKED_AT, MAX_ROWS_PER_DIGEST, Wish,
    class_of,
};
use crate::clock::Now;
use crate::store::{Reader, Row, RowId, StoreError};

/// Digests of one walk; what is due beyond that comes with the next.
const MAX_GROUPS: usize = 256;
/// Rows of one walk, likewise.
const MAX_ROWS: usize = 50_000;
/// Storms whose class is remembered in a walk.
const MAX_CLASSES: usize = 10_000;

/// A storm, and whom its digest is for.
pub(super) type Group = (Option<String>, DigestFor);

/// A digest that a walk has found to be due.
#[derive(Debug)]
pub(super) struct Found {
    pub group: Group,
    pub rows: Vec<RowId>,
    /// A person wants it; else its time is over.
    wished: bool,
}

impl Found {
    /// What to ask for if it is not made.
    pub fn wish(&self) -> Option<Wish> {
        let (Some(storm), to) = &self.group else { return None };
        let recipient = match to {
            DigestFor::Recipient(identity) => Some(identity.clone()),
            DigestFor::Sender(_) | DigestFor::Operator => None,
        };
        self.wished.then(|| Wish { storm: storm.clone(), recipient })
    }
}

/// A walk that is under way.
#[derive(Debug)]
pub(super) struct Walk {
    /// What persons had asked for when it began.
    pub wishes: Vec<Wish>,
    from: (Ms, RowId),
    groups: BTreeMap<Group, Rows>,
    rows: usize,
    /// Something that is due found no room.
    left_over: bool,
    for_operator: HashMap<String, bool>,
}

/// Rows of one digest.
#[derive(Debug, Default)]
struct Rows {
    ids: Vec<RowId>,
    /// Its time is over: it takes along what is held since. Else a person wants it, and it has what
    /// that person has named.
    takes_all: bool,
}

impl Walk {
    fn new(wishes: Vec<Wish>) -> Self {
        Self {
            wishes,
            from: start(),
            groups: BTreeMap::new(),
            rows: 0,
            left_over: false,
            for_operator: HashMap::new(),
        }
    }

    fn add(&mut self, group: Group, id: RowId, due: bool, wished: bool) {
        let full = self.groups.len() >= MAX_GROUPS;
        let there = match self.groups.get_mut(&group) {
            Some(there) => there,
            None if !due && !wished => return,
            None if full || self.rows >= MAX_ROWS => return self.left_over = true,
            None => self.groups.entry(group).or_default(),
        };
        there.takes_all |= due;
        if !there.takes_all && !wished {
            return;
        }
        if there.ids.len() >= MAX_ROWS_PER_DIGEST || self.rows >= MAX_ROWS {
            self.left_over |= due || wished;
            return;
        }
        there.ids.push(id);
        self.rows += 1;
    }
}

pub(super) fn start() -> (Ms, RowId) {
    (Ms::MIN, RowId { kid: QueueId::from_bytes([0; 10]), rcpt: String::new() })
}

/// The place behind `row` among those held.
pub(super) fn behind(row: &Row) -> (Ms, RowId) {
    (row.since_ms, RowId { kid: row.id.kid, rcpt: format!("{}\0", row.id.rcpt) })
}

impl<R: Reader, T> Door<R, T> {
    /// Goes on with the walk, or begins one if it is time to; what it has found when it ends is ready.
    pub(super) fn walk_on(&mut self, rules: &HoldRules<'_>, now: &Now) -> Result<(), StoreError> {
        let mut walk = match self.ends.walk.take() {
            Some(walk) => walk,
            None if now.mono_ms < self.ends.next_look_ms => return Ok(()),
            None => Walk::new(std::mem::take(&mut self.ends.wishes)),
        };
        let page = self.reader()?.held_from(walk.from.clone(), LOOKED_AT)?;
        let mut over = page.len() < LOOKED_AT;
        if let Some(last) = page.last() {
            walk.from = behind(last);
        }
        for row in page {
            let due = now.may_expire && now.ms - row.since_ms >= rules.keep_ms;
            if !due && walk.wishes.is_empty() && walk.groups.is_empty() {
                // Those behind it are held for a shorter time.
                over = true;
                break;
            }
            self.look_at_held(row, due, &mut walk, rules)?;
        }
        if over {
            self.walk_over(walk, now);
        } else {
            self.ends.walk = Some(walk);
        }
        Ok(())
    }

    fn walk_over(&mut self, walk: Walk, now: &Now) {
        if walk.left_over {
            self.ends.wishes.extend(walk.wishes);
        }
        // What was left over is looked for once these are out of the way.
        self.ends.next_look_ms = if walk.left_over { 0 } else { now.mono_ms + LOOK_EVERY_MS };
        let groups = walk.groups.into_iter().filter(|(_, rows)| !rows.ids.is_empty());
        let found = |(group, rows): (Group, Rows)| Found { group, rows: rows.ids, wished: !rows.takes_all };
        self.ends.ready.extend(groups.map(found));
    }

    fn look_at_held(
        &mut self,
        row: Row,
        due: bool,
        walk: &mut Walk,
        rules: &HoldRules<'_>,
    ) -> Result<(), StoreError> {
        // What is not durable yet may say otherwise.
        let row = self.rows.get(&row.id).map_or(Some(row), |newer| newer.map(|row| row.as_ref().clone()));
        let Some(row) = row.filter(|row| row.state == RowState::Held) else { return Ok(()) };
        let wished = walk.wishes.iter().any(|wish| wish.means(&row));
        if due || wished || !walk.groups.is_empty() {
            let to = self.digest_for(&row, walk, rules)?;
            walk.add((row.extra.storm.clone(), to), row.id, due, wished);
        }
        Ok(())
    }

    fn digest_for(
        &mut self,
        row: &Row,
        walk: &mut Walk,
        rules: &HoldRules<'_>,
    ) -> Result<DigestFor, StoreError> {
        let for_operator = match class_of(row) {
            Some(class) => FOR_OPERATOR_ONLY.contains(&class),
            None => self.is_for_operator(row.extra.storm.as_deref(), walk)?,
        };
        if for_operator {
            return Ok(DigestFor::Operator);
        }
        if (rules.is_ours)(&row.id.rcpt) {
            return Ok(DigestFor::Recipient(row.id.rcpt.clone()));
        }
        let arrival = self.arrival(&row.id.kid, &row.queue_id)?;
        let sender = arrival.map(|a| a.reverse_path.clone()).filter(|path| (rules.is_ours)(path));
        Ok(sender.map_or(DigestFor::Operator, DigestFor::Sender))
    }

    fn is_for_operator(&self, storm: Option<&str>, walk: &mut Walk) -> Result<bool, StoreError> {
        let Some(id) = storm else { return Ok(false) };
        if let Some(known) = walk.for_operator.get(id) {
            return Ok(*known);
        }
        let class = self.storm_class(id)?;
        let only = class.is_some_and(|class| FOR_OPERATOR_ONLY.contains(&class));
        if walk.for_operator.len() < MAX_CLASSES {
            walk.for_operator.insert(id.to_owned(), only);
        }
        Ok(only)
    }
}

impl Wish {
    fn means(&self, row: &Row) -> bool {
        row.extra.storm.as_deref() == Some(self.storm.as_str())
            && self.recipient.as_ref().is_none_or(|rcpt| row.id.rcpt == *rcpt)
    }
}
