//! Between the commit and the 250: nothing is claimed before its answer was handed to the socket.

use std::collections::HashSet;

use quell_mail::id::QueueId;
use quell_storm::facts::{Answered, RowState, SourceId};

use super::Door;
use crate::clock::Now;
use crate::store::{Reader, RowId};

/// Rows of an arrival whose answer is not out yet. One for each transaction under way.
pub(super) struct Unanswered {
    pub kid: QueueId,
    pub source: SourceId,
    pub rcpts: Vec<String>,
    /// Rows that a copy from another arrival was absorbed by: they stay, whatever becomes of this
    /// arrival's answer.
    pub joined: HashSet<String>,
    /// Committed.
    pub durable: bool,
}

impl Unanswered {
    pub fn new(kid: QueueId, source: SourceId, rcpts: Vec<String>) -> Self {
        Self { kid, source, rcpts, joined: HashSet::new(), durable: false }
    }
}

impl<R: Reader, T> Door<R, T> {
    /// The answer to `queue_id` is out, or the client was gone: its rows may be claimed now.
    /// `how` says what is known of the answer; the sender's next try is judged by it.
    pub fn answered(&mut self, queue_id: &QueueId, how: Answered, now: &Now) {
        if let Some(waits) = self.unanswered.remove(queue_id) {
            for rcpt in waits.rcpts {
                let row = RowId { kid: waits.kid, rcpt };
                self.turns.add(row, waits.source.clone(), now.ms, now.ms);
            }
            self.note_answer(&waits.kid, queue_id, how);
        }
    }

    /// What became of an answer turned out later: the client closed without another word.
    pub fn answer_lost(&mut self, kid: &QueueId, queue_id: &QueueId) {
        self.note_answer(kid, queue_id, Answered::Lost);
    }

    fn note_answer(&mut self, kid: &QueueId, queue_id: &QueueId, how: Answered) {
        if how == Answered::Fine || self.is_shut() {
            return;
        }
        let found = self.arrival(kid, queue_id);
        if let Some(Some(mut arrival)) = self.check(found) {
            arrival.answered = how;
            self.put_arrival(arrival);
        }
    }

    /// The arrival was answered 451 because its commit came too late: its rows are withdrawn,
    /// except those that another arrival has joined.
    pub fn withdraw(&mut self, queue_id: &QueueId, now: &Now) {
        let Some(waits) = self.unanswered.remove(queue_id) else { return };
        for rcpt in waits.rcpts {
            let id = RowId { kid: waits.kid, rcpt };
            if waits.joined.contains(&id.rcpt) {
                self.turns.add(id, waits.source.clone(), now.ms, now.ms);
            } else {
                self.withdraw_row(id, queue_id);
            }
        }
    }

    fn withdraw_row(&mut self, id: RowId, queue_id: &QueueId) {
        let found = self.row(&id);
        let Some(Some(row)) = self.check(found) else { return };
        if row.state != RowState::Waiting || row.queue_id != *queue_id {
            return;
        }
        self.let_body_go(&id.kid, queue_id);
        if let Some(n) = self.open_rows.get_mut(&row.state) {
            *n = n.saturating_sub(1);
        }
        self.rows.put(id, None, self.gathering.number);
    }
}
