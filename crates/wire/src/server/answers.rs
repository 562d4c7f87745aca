//! The answers to content: one in SMTP, one for each accepted recipient in LMTP (RFC 2033 §4.2).

use super::session::{FLUSH_AT_BYTES, Session, State};
use super::{Closing, Question, session::Asked};
use crate::reply::Reply;

/// Replies to content that are not in the output yet: so many recipients may be waited for that
/// their replies do not go into it at once.
#[derive(Debug)]
pub(super) struct Owed {
    given: std::vec::IntoIter<Reply>,
    /// For those that `given` is too short for.
    rest: Reply,
    left: u32,
    closes: bool,
}

impl Owed {
    fn take(&mut self) -> Option<Reply> {
        self.left = self.left.checked_sub(1)?;
        let reply = self.given.next().unwrap_or_else(|| self.rest.clone());
        self.closes |= reply.closes();
        Some(reply)
    }
}

impl Session {
    /// Answers a question like [`Session::answer`], and content in LMTP for each accepted recipient,
    /// in the order of their RCPT commands. Replies that are too many are dropped; a recipient
    /// without one is told `451 4.3.0`, which is worth a retry. If one of them is 421 or 521, all
    /// are said and the session closes. SMTP, and every other question, has one answer, the first.
    pub fn answer_each(&mut self, question: Question, replies: Vec<Reply>) {
        if self.settings.lmtp && matches!(self.state, State::Asked(Asked::End)) {
            self.state = State::Command;
            return self.content_answered(replies, no_answer());
        }
        self.answer(question, replies.into_iter().next().unwrap_or_else(no_answer));
    }

    /// The answers to content: those `given`, and `rest` for the others.
    pub(super) fn content_answered(&mut self, given: Vec<Reply>, rest: Reply) {
        let recipients = self.transaction.as_ref().map_or(0, |transaction| transaction.accepted);
        let left = if self.settings.lmtp { recipients } else { 1 };
        let mut all = given.iter().chain(std::iter::repeat(&rest)).take(left as usize);
        if all.any(Reply::is_positive) {
            // Whoever brings mail may bring as much as there is.
            self.commands = 0;
        }
        self.end_transaction();
        self.state = State::Owing(Owed { given: given.into_iter(), rest, left, closes: false });
        self.pay();
    }

    /// The answer to content that we refuse.
    pub(super) fn content_refused(&mut self, reply: Reply) {
        self.content_answered(Vec::new(), reply);
    }

    /// Says what is owed until much output has gathered.
    pub(super) fn pay(&mut self) {
        self.pay_up_to(FLUSH_AT_BYTES);
    }

    /// Says all that is owed, since nothing can be said later.
    pub(super) fn pay_all(&mut self) {
        self.pay_up_to(usize::MAX);
    }

    fn pay_up_to(&mut self, most_bytes: usize) {
        while let State::Owing(owed) = &mut self.state {
            // At least one: the only answer of SMTP stands in the output when it has been given.
            if let Some(reply) = owed.take() {
                reply.write(&mut self.output);
            }
            if owed.left == 0 {
                self.state = if owed.closes { State::Closed(Closing::Caller) } else { State::Command };
            } else if self.output.len() > most_bytes {
                return;
            }
        }
    }
}

fn no_answer() -> Reply {
    Reply::new(451, (3, 0), "no answer for this recipient")
}
