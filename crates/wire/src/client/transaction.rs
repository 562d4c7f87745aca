//! Who has an outcome, and who is in the transaction under way.

use std::collections::VecDeque;

use super::Step;
use super::outcome::Outcome;

/// The recipients of an envelope.
#[derive(Debug, Default)]
pub(super) struct Recipients {
    settled: Vec<bool>,
    /// Not in a transaction yet, or to be tried in another one. Never more than there are.
    todo: VecDeque<usize>,
    /// Outcomes that the caller has not taken yet: at most one for each.
    outcomes: VecDeque<Step>,
}

impl Recipients {
    pub fn new(count: usize) -> Self {
        Self { settled: vec![false; count], todo: (0..count).collect(), outcomes: VecDeque::new() }
    }

    /// The first outcome counts, a second one is none.
    pub fn settle(&mut self, recipient: usize, outcome: Outcome) {
        if !std::mem::replace(&mut self.settled[recipient], true) {
            self.outcomes.push_back(Step::Outcome { recipient, outcome });
        }
    }

    /// All that have none.
    pub fn settle_rest(&mut self, outcome: &Outcome) {
        for recipient in 0..self.settled.len() {
            if !self.settled[recipient] {
                self.settle(recipient, outcome.clone());
            }
        }
        self.todo.clear();
    }

    /// To be tried in the next transaction.
    pub fn again(&mut self, recipient: usize) {
        self.todo.push_back(recipient);
    }

    pub fn next_outcome(&mut self) -> Option<Step> {
        self.outcomes.pop_front()
    }

    /// At most `most` that are to be tried.
    pub fn take(&mut self, most: usize) -> Vec<usize> {
        let count = self.todo.len().min(most.max(1));
        self.todo.drain(..count).collect()
    }

    pub fn nothing_to_do(&self) -> bool {
        self.todo.is_empty()
    }
}

/// What of a transaction is to be sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The transaction has not begun.
    Mail,
    /// RCPT for this member.
    Rcpt(usize),
    /// Nothing: DATA has been sent.
    Nothing,
}

/// From MAIL to the answer to the content.
#[derive(Debug)]
pub(super) struct Transaction {
    pub members: Vec<usize>,
    pub accepted: Vec<usize>,
    /// MAIL says SMTPUTF8.
    pub smtputf8: bool,
    pub next: Next,
    /// How many were accepted when the first was told that it is one too many.
    pub full_at: Option<usize>,
    /// MAIL was accepted: without its content sent, RSET ends it.
    pub open: bool,
    pub mail_refused: bool,
    /// A RCPT was accepted after MAIL had been refused: the next hop does not know what it does.
    pub confused: bool,
}

impl Transaction {
    pub fn new(members: Vec<usize>, smtputf8: bool) -> Self {
        Self {
            members,
            accepted: Vec::new(),
            smtputf8,
            next: Next::Mail,
            full_at: None,
            open: false,
            mail_refused: false,
            confused: false,
        }
    }
}
