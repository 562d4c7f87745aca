//! The time mark on its way to the store.

use quell_storm::facts::Ms;

use super::time::Timekeeper;

/// Which mark waits for the next batch, and which is being written.
#[derive(Debug, Default)]
pub(super) struct Mark {
    noted: Option<Ms>,
    writing: Option<Ms>,
    /// It is that of the end.
    is_last: bool,
}

impl Mark {
    /// The mark to write with the next batch, if it is time and none is under way.
    pub fn due(&mut self, time: &Timekeeper) -> Option<Ms> {
        if self.noted.is_some() || self.writing.is_some() || self.is_last {
            return None;
        }
        self.noted = time.mark_due();
        self.noted
    }

    /// What waited goes with the batch that is handed over now.
    pub fn handed_over(&mut self) {
        self.writing = self.noted.take();
    }

    /// That batch is durable.
    pub fn durable(&mut self, time: &Timekeeper) {
        if let Some(mark) = self.writing.take().filter(|_| !self.is_last) {
            time.stored(mark);
        }
    }

    /// It is not, and never will be.
    pub fn lost(&mut self) {
        (self.noted, self.writing) = (None, None);
    }

    /// The mark of a clean end ([`Timekeeper::end`]); None: that was given before.
    pub fn last(&mut self, time: &Timekeeper) -> Option<Ms> {
        (!std::mem::replace(&mut self.is_last, true)).then(|| time.end())
    }

    /// True once [`Mark::last`] has been asked.
    pub fn is_last(&self) -> bool {
        self.is_last
    }
}
