//! Between the commit and the 250: nothing is claimed before its answer was handed to the socket.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use quell_mail::id::QueueId;
use quell_storm::facts::{Answered, RowState, SourceId};

use super::Door;
use super::turns::Place;
use crate::clock::Now;
use crate::ledger;
use crate::store::{Reader, Row, RowId};

/// Rows of an arrival whose answer is not out yet. One for each transaction under way.
pub(super) struct Unanswered {
    pub kid: QueueId,
    pub source: SourceId,
    pub rcpts: Vec<String>,
    /// Rows that a copy from another arrival was absorbed by, and rows that were held before: they
    /// stay, whatever becomes of this arrival's answer.
    pub joined: HashSet<String>,
    /// Rows that had failed or were discarded before this arrival gave them a new life.
    pub former: HashMap<String, Arc<Row>>,
    /// Committed.
    pub durable: bool,
    /// The client had its answer, or was given up, before the commit: the rows may be claimed as
    /// soon as they are durable.
    pub settled: bool,
}

/// A row that an arrival has made or taken.
pub(super) struct Kept {
    pub rcpt: String,
    /// The row as it was before: failed, discarded, or held.
    pub former: Option<Arc<Row>>,
}

impl Unanswered {
    pub fn new(kid: QueueId, source: SourceId, kept: Vec<Kept>) -> Self {
        let (mut joined, mut former) = (HashSet::new(), HashMap::new());
        let take = |kept: Kept| {
            match kept.former {
                // The body it was held with has been let go.
                Some(row) if ledger::needs_body(row.state) => drop(joined.insert(kept.rcpt.clone())),
                Some(row) => drop(former.insert(kept.rcpt.clone(), row)),
                None => {}
            }
            kept.rcpt
        };
        let rcpts = kept.into_iter().map(take).collect();
        Self { kid, source, rcpts, joined, former, durable: false, settled: false }
    }
}

impl<R: Reader, T> Door<R, T> {
    /// The answer to `queue_id` is out, or the client was gone: its rows may be claimed now, or
    /// once they are durable. `how` says what is known of the answer; the sender's next try is
    /// judged by it.
    pub fn answered(&mut self, queue_id: &QueueId, how: Answered, now: &Now) {
        let Some(waits) = self.unanswered.get_mut(queue_id) else { return };
        waits.settled = true;
        let kid = waits.kid;
        self.hand_over(queue_id, now);
        self.note_answer(&kid, queue_id, how);
    }

    /// The rows of an arrival that is durable and answered wait for their turn.
    fn hand_over(&mut self, queue_id: &QueueId, now: &Now) {
        if !self.unanswered.get(queue_id).is_some_and(|w| w.durable && w.settled) {
            return;
        }
        let Some(waits) = self.unanswered.remove(queue_id) else { return };
        for rcpt in waits.rcpts {
            let place = Place {
                destination: (self.destination_of)(&rcpt),
                source: waits.source.clone(),
                queue_id: *queue_id,
                sent: false,
            };
            self.turns.add(RowId { kid: waits.kid, rcpt }, place, now.ms, now.ms);
        }
    }

    /// The commit that holds the arrival has returned.
    pub(super) fn now_durable(&mut self, queue_id: &QueueId, now: &Now) {
        if let Some(waits) = self.unanswered.get_mut(queue_id) {
            waits.durable = true;
            self.hand_over(queue_id, now);
        }
    }

    /// What became of an answer turned out later: the client closed without another word. Of an
    /// arrival that was absorbed nothing is noted.
    pub fn answer_lost(&mut self, queue_id: &QueueId) {
        let waits = self.unanswered.get(queue_id).map(|w| Ok(Some(w.kid)));
        let find = || Ok(self.reader()?.find_arrival(queue_id)?.map(|a| a.kid));
        let found = waits.unwrap_or_else(find);
        if self.is_shut() {
            return;
        }
        if let Some(Some(kid)) = self.check(found) {
            self.note_answer(&kid, queue_id, Answered::Lost);
        }
    }

    fn note_answer(&mut self, kid: &QueueId, queue_id: &QueueId, how: Answered) {
        if how == Answered::Fine || self.is_shut() {
            return;
        }
        let found = self.arrival(kid, queue_id);
        if let Some(Some(arrival)) = self.check(found)
            && arrival.answered != how
        {
            let mut arrival = Arc::unwrap_or_clone(arrival);
            arrival.answered = how;
            self.put_arrival(arrival);
        }
    }

    /// The arrival was answered 451 because its commit came too late: its rows are withdrawn,
    /// except those that another arrival has joined; what had failed before has failed again. With the store away nothing is withdrawn:
    /// the sender's next try is absorbed.
    pub fn withdraw(&mut self, queue_id: &QueueId, now: &Now) {
        let Some(waits) = self.unanswered.get_mut(queue_id) else { return };
        let kid = waits.kid;
        let rcpts = std::mem::take(&mut waits.rcpts);
        let (stay, go): (Vec<_>, Vec<_>) = rcpts.into_iter().partition(|r| waits.joined.contains(r));
        waits.rcpts = stay;
        let mut former = std::mem::take(&mut waits.former);
        waits.settled = true;
        for rcpt in go {
            if !self.is_shut() {
                let former = former.remove(&rcpt);
                self.withdraw_row(RowId { kid, rcpt }, former, queue_id, now);
            }
        }
        self.hand_over(queue_id, now);
    }

    fn withdraw_row(&mut self, id: RowId, former: Option<Arc<Row>>, queue_id: &QueueId, now: &Now) {
        let found = self.row(&id);
        let Some(Some(row)) = self.check(found) else { return };
        if row.state != RowState::Waiting || row.queue_id != *queue_id {
            return;
        }
        self.let_body_go(&id.kid, queue_id, None, now.ms);
        if let Some(former) = former {
            return self.put_row(Some(row.state), Arc::unwrap_or_clone(former));
        }
        if let Some(n) = self.open_rows.get_mut(&row.state) {
            *n = n.saturating_sub(1);
        }
        self.rows.put(id, None, self.gathering.number);
    }
}
