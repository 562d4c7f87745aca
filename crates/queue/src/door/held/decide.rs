//! What a person decides about held mail, and the class that it is about.

use quell_storm::facts::{Ms, RowState};
use quell_storm::stored::StoredStorm;
use quell_storm::storm::Storm;
use quell_storm::storm_id::StormId;
use quell_storm::verdict::Class;

use super::Door;
use crate::clock::Now;
use crate::door::Refusal;
use crate::door::storms::read_storm;
use crate::store::{Reader, Row, RowId, StoreError};

impl<R: Reader, T> Door<R, T> {
    /// The class of a storm, also of one that has ended. None: it is no longer known.
    ///
    /// # Errors
    /// Those of the store.
    pub fn storm_class(&self, id: &str) -> Result<Option<Class>, StoreError> {
        let open = id.parse().ok().and_then(|id| self.book.get(&id));
        match open {
            Some(storm) => Ok(Some(storm.class())),
            None => Ok(self.known_storm(id)?.map(|storm| storm.class())),
        }
    }

    /// A storm as it was last seen, also one that has ended.
    pub(super) fn known_storm(&self, id: &str) -> Result<Option<Storm>, StoreError> {
        let Ok(id) = id.parse::<StormId>() else { return Ok(None) };
        if let Some(storm) = self.book.get(&id) {
            return Ok(Some(storm.clone()));
        }
        let reader = self.reader()?;
        let stored = reader.storm(id.as_str())?;
        Ok(stored.map(|stored| read_storm(reader, &stored)).transpose()?.flatten())
    }

    /// Lets a row go on that is held, or was and is discarded, as [`Door::release`]; it is exempt from
    /// the class of its storm from then on.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn release_held(&mut self, id: &RowId, now: &Now) -> Result<(), Refusal> {
        let row = self.row(id)?.ok_or_else(|| Refusal::NoRow(id.clone()))?;
        let class = match (class_of(&row), &row.extra.storm) {
            (None, Some(storm)) => self.storm_class(storm)?,
            (class, _) => class,
        };
        let rule = class.map(|class| class.name().to_owned()).or_else(|| row.extra.held_for.clone());
        let rule = rule.unwrap_or_default();
        self.release(id, &rule, now)?;
        self.ends.counts.released += 1;
        Ok(())
    }

    /// From when on a discarded row stops absorbing, but for the window after it: when its storm ended, or
    /// it was discarded, whichever is later. None: its storm has not ended. `key_ended`: when the last storm of
    /// its key did.
    pub(in crate::door) fn discarded_from(
        &self,
        row: &Row,
        key_ended: Option<Ms>,
        now: &Now,
    ) -> Result<Option<Ms>, StoreError> {
        let id = row.extra.storm.as_deref().and_then(|id| id.parse::<StormId>().ok());
        let Some(id) = id else { return Ok(key_ended.max(Some(row.since_ms))) };
        if self.book.get(&id).is_some() {
            return Ok(None);
        }
        let latest = key_ended.max(Some(row.since_ms));
        let window_ms = self.settings.limits.discarded_window_ms;
        let is_fresh = latest.is_some_and(|at| now.ms.saturating_sub(at) < window_ms);
        if row.state != RowState::Discarded || row.extra.removed || is_fresh {
            return Ok(latest);
        }
        // The key knows of storms of its copies only: when that of a class ended stands with the storm.
        Ok(latest.max(self.storm_ended_ms(&id)?))
    }

    /// Of one that has ended. While its end is being written the store has the time it was last seen.
    fn storm_ended_ms(&self, id: &StormId) -> Result<Option<Ms>, StoreError> {
        let Some(stored) = self.reader()?.storm(id.as_str())? else { return Ok(None) };
        let closed_ms = serde_json::from_str::<StoredStorm>(&stored.json).ok().and_then(|s| s.closed_ms());
        Ok(closed_ms.or(Some(stored.last_seen_ms)))
    }

    /// Throws a held row away, as [`Door::discard`].
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn discard_held(&mut self, id: &RowId, now: &Now) -> Result<(), Refusal> {
        self.discard(id, now)?;
        self.ends.counts.discarded += 1;
        Ok(())
    }

    /// A person throws away a whole storm: what it holds is the caller's business. It is written with the
    /// next batch. False: it has ended, or there is none.
    pub fn discard_storm(&mut self, id: &StormId, now: &Now) -> bool {
        let done = self.book.discard(id);
        self.persist_storm(id, now);
        done
    }

    /// A person lets a whole storm go: what it holds is the caller's business, what comes of it from now
    /// on passes. It is written with the next batch. False: it has ended, or there is none.
    pub fn release_storm(&mut self, id: &StormId, now: &Now) -> bool {
        let done = self.book.release(id);
        self.persist_storm(id, now);
        done
    }

    /// A storm that has not ended. None: it has, or there never was one.
    pub fn open_storm(&self, id: &StormId) -> Option<&Storm> {
        self.book.get(id)
    }
}

/// The class that the row was held by: its reason is named after it.
pub(super) fn class_of(row: &Row) -> Option<Class> {
    let reason = row.extra.held_for.as_deref()?;
    Class::ALL.into_iter().find(|class| class.name() == reason)
}
