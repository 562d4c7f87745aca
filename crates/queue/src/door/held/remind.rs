//! Reminders: a storm has held mail for some hours, and nobody has decided.
//!
//! No list of those given is kept on the disk. Held rows are read in the order of their times, once for
//! each reminder, and the first of a storm that has come of age gives it; those that had by the time
//! an earlier life ended were told by that one. (One is missing if the clock has jumped past it, and the
//! server has ended before it was to be trusted again.)

use std::collections::{BTreeMap, HashSet};

use quell_storm::facts::{Ms, RowState};
use quell_storm::tell::Alert;

use super::walk::{behind, start};
use super::{Door, HoldRules, LOOKED_AT};
use crate::clock::Now;
use crate::door::Effect;
use crate::store::{Reader, Row, RowId, StoreError};

/// How often it is looked whether a reminder is due.
const LOOK_EVERY_MS: u64 = 60_000;
/// The stored mark lies 20 s ahead of the time that it was written at, at most, and a reminder may be a
/// look late: one that fell due shortly before an end may come twice, but is not missing.
const MARK_AHEAD_MS: Ms = 90_000;
/// Reminders remembered; all are forgotten when one more comes, and some may then come again.
const MAX_REMEMBERED: usize = 10_000;

/// What was looked at, and whom it was told of.
#[derive(Debug)]
pub(super) struct Reminders {
    /// For each time after which a reminder is due.
    places: BTreeMap<Ms, Place>,
    given: HashSet<(Option<String>, Ms)>,
    lived_until_ms: Ms,
    next_look_ms: u64,
}

/// How far the rows were looked at.
#[derive(Debug, Clone)]
struct Place {
    from: (Ms, RowId),
    /// What came of age by then is not told.
    told_until_ms: Ms,
}

impl Reminders {
    pub fn new(lived_until_ms: Ms) -> Self {
        let lived_until_ms = lived_until_ms.saturating_sub(MARK_AHEAD_MS);
        Self { places: BTreeMap::new(), given: HashSet::new(), lived_until_ms, next_look_ms: 0 }
    }

    /// The place of the reminder `after`; of one that is new in the configuration nothing is told that
    /// has come of age before.
    fn place(&mut self, after: Ms, now: &Now) -> Place {
        let first = self.next_look_ms == 0;
        let told_until_ms = if first { self.lived_until_ms } else { now.ms };
        self.places.entry(after).or_insert_with(|| Place { from: start(), told_until_ms }).clone()
    }

    /// True if this is the first of its storm.
    fn is_first(&mut self, row: &Row, after: Ms) -> bool {
        if self.given.len() >= MAX_REMEMBERED {
            self.given.clear();
        }
        self.given.insert((row.extra.storm.clone(), after))
    }
}

impl<R: Reader, T> Door<R, T> {
    pub(super) fn remind(&mut self, rules: &HoldRules<'_>, now: &Now) -> Result<(), StoreError> {
        if !now.may_expire || now.mono_ms < self.ends.reminders.next_look_ms {
            return Ok(());
        }
        let mut more = false;
        for after in rules.remind_ms {
            more |= self.remind_after(*after, rules, now)?;
        }
        self.ends.reminders.places.retain(|after, _| rules.remind_ms.contains(after));
        self.ends.reminders.next_look_ms = now.mono_ms + if more { 1 } else { LOOK_EVERY_MS };
        Ok(())
    }

    /// True: there may be more.
    fn remind_after(&mut self, after: Ms, rules: &HoldRules<'_>, now: &Now) -> Result<bool, StoreError> {
        let mut place = self.ends.reminders.place(after, now);
        let page = self.reader()?.held_from(place.from.clone(), LOOKED_AT)?;
        let of_age = |row: &Row| now.ms - row.since_ms >= after;
        let more = page.len() == LOOKED_AT && page.last().is_some_and(of_age);
        let mut due: Vec<Row> = Vec::new();
        for row in page.into_iter().take_while(of_age) {
            place.from = behind(&row);
            let is_told = row.since_ms + after <= place.told_until_ms;
            let newer = self.rows.get(&row.id);
            let held = newer.is_none_or(|row| row.is_some_and(|row| row.state == RowState::Held));
            if held && self.ends.reminders.is_first(&row, after) && !is_told {
                due.push(row);
            }
        }
        self.ends.reminders.places.insert(after, place);
        for row in due {
            self.remind_of(&row, after, rules, now);
        }
        Ok(more)
    }

    fn remind_of(&mut self, row: &Row, after: Ms, rules: &HoldRules<'_>, now: &Now) {
        let about = row.extra.storm.as_deref();
        let storm = about.map(|id| self.known_storm(id)).transpose();
        let Some(storm) = self.check(storm) else { return };
        let left_ms = (row.since_ms + rules.keep_ms - now.ms).max(0);
        let queue_id = row.queue_id.to_string();
        let alert = Alert::held(about, &queue_id, storm.flatten().as_ref(), after, left_ms);
        self.effects.push(Effect::Tell(Box::new(alert)));
        self.ends.counts.reminders += 1;
    }
}
