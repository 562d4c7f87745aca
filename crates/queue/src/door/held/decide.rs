//! What a person decides about held mail, and the class that it is about.

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

    /// True while the storm that a row was held for has not ended.
    pub(in crate::door) fn is_storm_on(&self, row: &Row) -> bool {
        let id = row.extra.storm.as_deref().and_then(|id| id.parse().ok());
        id.is_some_and(|id| self.book.get(&id).is_some())
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

    /// A person throws away a whole storm: what it holds is the caller's business. False: it has
    /// ended, or there is none.
    pub fn discard_storm(&mut self, id: &StormId) -> bool {
        self.book.discard(id)
    }

    /// A person lets a whole storm go: what it holds is the caller's business, what comes of it from now
    /// on passes. False: it has ended, or there is none.
    pub fn release_storm(&mut self, id: &StormId) -> bool {
        self.book.release(id)
    }
}

/// The class that the row was held by: its reason is named after it.
pub(super) fn class_of(row: &Row) -> Option<Class> {
    let reason = row.extra.held_for.as_deref()?;
    Class::ALL.into_iter().find(|class| class.name() == reason)
}
