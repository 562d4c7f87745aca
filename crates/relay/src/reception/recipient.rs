//! RCPT: who is this, and do we take mail for them?

use quell_wire::reply::Reply;
use quell_wire::server::{Question, RcptTo};

use super::transaction::Transaction;
use super::{Reception, Refused, RefusedRecipient, World, out_of_order};
use crate::directory::{BadAddress, Lookup, Query, Resolved};

/// A recipient about whom only the domain's next hop can say whether they exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The address to ask for: the one that mail would be sent to.
    pub address: String,
    /// Recipient identity: equal for addresses that differ only in the case of letters.
    pub identity: String,
    /// The client's mail has a null reverse-path, as have the questions of servers that ask us.
    pub from_nobody: bool,
}

/// What the next hop said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It takes the recipient: 250.
    Exists,
    /// It refused the recipient for good: 550 5.1.1.
    Unknown,
    /// It could not be asked, or refused for now: 451 4.4.3.
    CannotTell,
}

/// A recipient that waits for [`Reception::asked`].
pub(super) struct Pending {
    question: Question,
    rcpt: RcptTo,
    resolved: Resolved,
}

/// What a look-up leads to.
enum Found {
    Taken(Vec<Resolved>),
    Ask(Resolved),
    Refused(Reply),
}

impl Reception {
    /// Answers RCPT, unless a next hop must be asked first.
    pub(super) fn recipient(&mut self, question: Question, rcpt: RcptTo, world: &impl World) -> Option<Ask> {
        match self.who_is(&rcpt, world) {
            Found::Taken(resolved) => self.take_recipient(question, resolved, &rcpt, world),
            Found::Refused(reply) => self.answer_recipient(question, reply, &rcpt, world),
            Found::Ask(resolved) => {
                let ask = Ask {
                    address: rcpt.forward_path.address().to_owned(),
                    identity: resolved.identity.clone(),
                    from_nobody: self.transaction.as_ref().is_some_and(Transaction::is_from_nobody),
                };
                self.pending = Some(Pending { question, rcpt, resolved });
                return Some(ask);
            }
        }
        None
    }

    /// The answer to [`super::Want::Ask`].
    pub fn asked(&mut self, asked: Asked, world: &impl World) {
        let Some(Pending { question, rcpt, resolved }) = self.pending.take() else { return };
        match asked {
            Asked::Exists => self.take_recipient(question, vec![resolved], &rcpt, world),
            Asked::Unknown => self.answer_recipient(question, unknown_user(), &rcpt, world),
            Asked::CannotTell => {
                let text = "The server of that domain cannot be asked at the moment; try again later";
                self.answer_recipient(question, Reply::new(451, (4, 3), text), &rcpt, world);
            }
        }
    }

    fn who_is(&self, rcpt: &RcptTo, world: &impl World) -> Found {
        let path = &rcpt.forward_path;
        let query =
            Query { address: path.address(), source_route: path.source_route(), inside: self.source.inside };
        let exists = |domain: &str, local: &str| world.blocking(|| world.exists(domain, local));
        Found::Refused(match self.policy.directory.look_up(&query, &exists) {
            Lookup::Local(resolved) => return Found::Taken(resolved),
            Lookup::Remote(resolved) => return Found::Taken(vec![resolved]),
            Lookup::Ask(resolved) => return Found::Ask(resolved),
            Lookup::UnknownUser => unknown_user(),
            Lookup::CannotTell(_) => Reply::new(451, (3, 0), "Trouble of our own; try again later"),
            Lookup::NotOurs => Reply::new(550, (7, 1), "This server takes no mail for that domain"),
            Lookup::Bad(why) => bad_address(why),
        })
    }

    fn take_recipient(
        &mut self,
        question: Question,
        resolved: Vec<Resolved>,
        rcpt: &RcptTo,
        world: &impl World,
    ) {
        let reply = match &mut self.transaction {
            None => out_of_order(),
            Some(transaction) if transaction.recipients.len() + resolved.len() > self.policy.max_rows => {
                Reply::new(452, (5, 3), "Too many recipients; send the rest in another transaction")
            }
            Some(transaction) => {
                transaction.add(resolved, rcpt, &self.policy);
                Reply::recipient_ok()
            }
        };
        self.answer_recipient(question, reply, rcpt, world);
    }

    fn answer_recipient(&mut self, question: Question, reply: Reply, rcpt: &RcptTo, world: &impl World) {
        if !reply.is_positive() {
            let ours = reply.code() == 451;
            world.refused(if ours { Refused::Trouble } else { Refused::Recipient });
            world.recipient_refused(&RefusedRecipient {
                rcpt: rcpt.forward_path.address(),
                reverse_path: self.transaction.as_ref().map_or("", Transaction::reverse_path),
                source: self.source.address,
                reply: &reply,
            });
        }
        self.session.answer(question, reply);
    }
}

fn unknown_user() -> Reply {
    Reply::new(550, (1, 1), "No such user here")
}

fn bad_address(why: BadAddress) -> Reply {
    match why {
        BadAddress::Malformed => Reply::new(501, (1, 3), "That is not an address"),
        BadAddress::SourceRoute | BadAddress::RoutedLocalPart => {
            Reply::new(550, (7, 1), "Routed addresses are not taken")
        }
        BadAddress::Literal => Reply::new(550, (1, 2), "This server does not send to address literals"),
    }
}
