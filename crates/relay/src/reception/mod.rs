//! One SMTP connection on its way in: session events become one [`Incoming`] for the door.
//!
//! No socket, no clock, no thread: the caller feeds bytes, writes what [`Reception::output`] holds,
//! hands each [`Want::Submit`] to the door, asks next hops about recipients ([`Want::Ask`]), and says
//! who signs in ([`Want::SignIn`]).
//! What only the world knows ([`World`]) is asked for.

mod memory;
mod recipient;
mod sign_in;
mod spoken;
#[cfg(test)]
mod tests;
mod transaction;

use std::net::IpAddr;
use std::sync::Arc;

use quell_mail::id::QueueId;
use quell_mail::key::Secret;
use quell_mail::trace::Tls;
use quell_queue::body::{LargeWriter, SpoolError};
use quell_queue::clock::Now;
use quell_queue::door::Answer;
use quell_storm::facts::Source;
use quell_wire::reply::Reply;
use quell_wire::sasl::Credentials;
use quell_wire::server::{Closing, Question, Session, Settings, Step};

pub use self::memory::{FREE_BYTES, Memory, Share};
use self::recipient::Pending;
pub use self::recipient::{Ask, Asked};
pub use self::sign_in::NotSignedIn;
pub(crate) use self::spoken::Spoken;
pub use self::transaction::Submission;
pub(crate) use self::transaction::{FromMailbox, Transaction};
use crate::directory::{CannotTell, Directory};
use crate::submission::User;

/// What does not change from one connection to the next.
#[derive(Debug)]
pub struct Policy {
    /// Our name.
    pub hostname: String,
    /// For the token in our `Received`.
    pub secret: Secret,
    /// Who is who.
    pub directory: Directory,
    /// Largest header, in bytes.
    pub max_header_bytes: usize,
    /// A longer message streams to the body store.
    pub spill_bytes: usize,
    /// Ledger rows one transaction may make: aliases can multiply its recipients.
    pub max_rows: usize,
    /// What all transactions may hold in memory; the same before and after a reload.
    pub memory: Arc<Memory>,
}

/// What was refused, for those who count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A recipient.
    Recipient,
    /// A message, for lack of room.
    Room,
    /// A message, for what it is: too large, too much header, every recipient refused.
    Message,
    /// A message or a recipient, for trouble of our own.
    Trouble,
}

impl Refused {
    /// What a reply to a message means.
    pub fn by(reply: &Reply) -> Self {
        match reply.code() {
            452 => Self::Room,
            451 => Self::Trouble,
            _ => Self::Message,
        }
    }
}

/// A recipient that was refused, for the log.
#[derive(Debug, Clone, Copy)]
pub struct RefusedRecipient<'a> {
    /// As RCPT gave it.
    pub rcpt: &'a str,
    /// The reverse-path of the transaction; empty: the null reverse-path.
    pub reverse_path: &'a str,
    /// Where the client is.
    pub source: Option<IpAddr>,
    /// What it was told.
    pub reply: &'a Reply,
}

/// What a user who has signed in was refused, for the log.
#[derive(Debug, Clone, Copy)]
pub struct NotTheirs<'a> {
    /// The user.
    pub user: &'a str,
    /// Where they are.
    pub source: Option<IpAddr>,
    /// What they were told: it names the address.
    pub reply: &'a Reply,
}

/// What only the world outside can say.
pub trait World {
    /// True if a mailbox of that name is there.
    ///
    /// # Errors
    /// It cannot be said: the recipient is then answered 451.
    fn exists(&self, domain: &str, local: &str) -> Result<bool, CannotTell>;
    /// Is there room for a message of `declared_bytes`, beside the reserve? Asked for every message.
    fn room(&self, declared_bytes: Option<u64>) -> bool;
    /// The time of this moment.
    fn now(&self) -> Now;
    /// A new queue id; None if there is none to be had.
    fn queue_id(&self, now: &Now) -> Option<QueueId>;
    /// A file for a large body.
    ///
    /// # Errors
    /// Those of the body store.
    fn begin_large(&self) -> Result<LargeWriter, SpoolError>;
    /// Something was refused.
    fn refused(&self, what: Refused);
    /// A recipient was refused, which is counted by [`World::refused`] too. Clients can make this
    /// happen as often as they like.
    fn recipient_refused(&self, refused: &RefusedRecipient<'_>);
    /// A user who has signed in wrote under somebody else's address, and was refused: the sign of a stolen
    /// password, or of a mistake. Clients can make this happen as often as they like.
    fn not_theirs(&self, _refused: &NotTheirs<'_>) {}
    /// Runs file work that may block: a server with few threads lets others take over meanwhile.
    fn blocking<V>(&self, work: impl FnOnce() -> V) -> V {
        work()
    }
}

/// What the caller has to do next.
#[derive(Debug)]
pub enum Want {
    /// Write the output, then read.
    Input,
    /// Write the output, then go on.
    Flush,
    /// Complete it, give it to the door, and the answer to [`Reception::answered`] or
    /// [`Reception::replied`].
    Submit(Box<Submission>),
    /// Write the output, ask the domain's next hop whether it takes the recipient, and give the
    /// answer to [`Reception::asked`]. Commands that the client has sent already wait meanwhile.
    Ask(Ask),
    /// Write the output, throw away what has been read, negotiate TLS, and say so to
    /// [`Reception::secured`]; if it fails, close.
    StartTls,
    /// Write the output, find out whether these are right, and say so to [`Reception::signed_in`] or
    /// [`Reception::not_signed_in`]. Every attempt comes here once, a wrong proof by SCRAM too, which
    /// is refused whatever the answer: here they are counted and slowed. What the client has sent
    /// already waits meanwhile.
    SignIn(Credentials),
    /// Write the output, and give what is stored of this user's password to [`Reception::scram`].
    ScramFor(String),
    /// Write the output, then close.
    Close(Closing),
}

/// One connection.
pub struct Reception {
    session: Session,
    policy: Arc<Policy>,
    source: Source,
    esmtp: bool,
    tls: Option<Tls>,
    /// Nobody sends mail here without having signed in.
    submission: bool,
    user: Option<Arc<User>>,
    /// A question about a sign-in.
    sign_in: Option<Question>,
    transaction: Option<Transaction>,
    /// What waits for the door's answer, and what its bytes take until then.
    waiting: Option<(Question, Share)>,
    /// A recipient that waits for its next hop's answer.
    pending: Option<Pending>,
    bare_newlines: u64,
}

impl Reception {
    /// A connection from `address` (IPv4-mapped ones unmapped); `inside` says whether it is in
    /// `[relay] from`. The greeting waits in the output.
    pub fn new(policy: Arc<Policy>, settings: Arc<Settings>, address: IpAddr, inside: bool) -> Self {
        let source = Source { address: Some(address), helo: String::new(), inside, user: None, pickup: None };
        let session = Session::new(settings);
        Self {
            session,
            policy,
            source,
            esmtp: false,
            tls: None,
            submission: false,
            user: None,
            sign_in: None,
            transaction: None,
            waiting: None,
            pending: None,
            bare_newlines: 0,
        }
    }

    /// Where the client is, in words for the log.
    pub fn address(&self) -> String {
        self.source.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
    }

    /// Replies to be written; the caller takes them out.
    pub fn output(&mut self) -> &mut Vec<u8> {
        self.session.output()
    }

    /// Ends the session with a last reply.
    pub fn shut_down(&mut self, reply: &Reply) {
        self.session.shut_down(reply);
    }

    /// The connection is protected by TLS from its next byte on, as negotiated: after
    /// [`Want::StartTls`], or from its beginning. What the client said before is forgotten.
    pub fn secured(&mut self, tls: Tls) {
        self.session.secured();
        self.tls = Some(tls);
        self.source.helo.clear();
        self.esmtp = false;
    }

    /// True while content is being received.
    pub fn is_receiving(&self) -> bool {
        self.transaction.as_ref().is_some_and(|t| t.begun())
    }

    /// Bare newlines made CRLF so far, in content and commands.
    pub fn bare_newlines(&self) -> u64 {
        self.bare_newlines + self.session.bare_newlines_in_commands()
    }

    /// Takes input up to the next thing that the caller has to do: how many bytes, and what.
    pub fn advance(&mut self, input: &[u8], world: &impl World) -> (usize, Want) {
        let mut taken = 0;
        loop {
            let (n, step) = self.session.next(&input[taken..]);
            taken += n;
            let want = match step {
                Step::NeedInput => Some(Want::Input),
                Step::Flush | Step::NeedAnswer => Some(Want::Flush),
                Step::Data(bytes) => self.data(bytes, world),
                Step::StartTls => {
                    self.transaction = None;
                    Some(Want::StartTls)
                }
                Step::Closed(why) => {
                    self.transaction = None;
                    Some(Want::Close(why))
                }
                Step::SignIn(question, credentials) => Some(self.ask_who(question, credentials)),
                Step::StoredFor(question, user) => Some(self.ask_stored(question, user)),
                Step::End { question, bare_newlines, .. } => self.end(question, bare_newlines, world),
                other => self.command(other, world),
            };
            if let Some(want) = want {
                return (taken, want);
            }
        }
    }

    fn command(&mut self, step: Step<'_>, world: &impl World) -> Option<Want> {
        match step {
            Step::Hello { name, esmtp } => {
                self.source.helo = name;
                self.esmtp = esmtp;
                self.transaction = None;
            }
            Step::Mail(question, mail) => self.mail(question, mail, world),
            Step::Rcpt(question, rcpt) => return self.recipient(question, rcpt, world).map(Want::Ask),
            Step::Begin { question, declared_bytes, .. } => {
                let reply = self.begin(declared_bytes, world);
                if !reply.is_positive() {
                    world.refused(Refused::Room);
                }
                self.session.answer(question, reply);
            }
            _ => self.transaction = None,
        }
        None
    }

    fn begin(&mut self, declared_bytes: Option<u64>, world: &impl World) -> Reply {
        let Some(transaction) = &mut self.transaction else { return out_of_order() };
        if !world.room(declared_bytes) {
            return Reply::new(452, (3, 1), "No room at the moment; try again later");
        }
        transaction.begin(&self.policy, world)
    }

    fn data(&mut self, bytes: &[u8], world: &impl World) -> Option<Want> {
        if let Some(transaction) = &mut self.transaction {
            transaction.take(bytes, &self.policy, world);
        }
        None
    }

    fn end(&mut self, question: Question, bare_newlines: u64, world: &impl World) -> Option<Want> {
        self.bare_newlines += bare_newlines;
        let Some(transaction) = self.transaction.take() else {
            self.session.answer(question, out_of_order());
            return None;
        };
        match transaction.finish(&self.policy, &self.source, self.spoken(), world) {
            Ok((submission, share)) => {
                self.waiting = Some((question, share));
                Some(Want::Submit(Box::new(submission)))
            }
            Err(reply) => {
                world.refused(Refused::by(&reply));
                self.tell_not_theirs(&reply, world);
                self.session.answer(question, reply);
                None
            }
        }
    }

    /// How the message came.
    fn spoken(&self) -> Spoken {
        let signed_in = self.user.is_some();
        Spoken { lmtp: self.session.is_lmtp(), esmtp: self.esmtp, tls: self.tls, signed_in, pickup: None }
    }

    /// The door's answer to what was submitted.
    pub fn answered(&mut self, answer: &Answer) {
        self.replied(reply_to(answer));
    }

    /// What was submitted could not be completed.
    pub fn replied(&mut self, reply: Reply) {
        if let Some((question, _share)) = self.waiting.take() {
            self.session.answer(question, reply);
        }
    }
}

/// What the client is told: one and the same text whether stored, absorbed or held.
fn reply_to(answer: &Answer) -> Reply {
    match answer {
        Answer::Accepted(id) => Reply::new(250, (0, 0), format!("Ok: queued as {id}")),
        Answer::Refused(reason) => match reason.sender_reply() {
            Some((code, status, text)) => Reply::new(code, status_numbers(status), text),
            None => Reply::new(554, (0, 0), "Refused"),
        },
        Answer::NoRoom(_) => Reply::new(452, (3, 1), "No room at the moment; try again later"),
        Answer::Trouble(_) => Reply::new(451, (3, 0), "Trouble of our own; try again later"),
    }
}

/// `5.4.6` → (4, 6): the class comes from the reply code.
fn status_numbers(status: &str) -> (u16, u16) {
    let mut numbers = status.split('.').skip(1).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn out_of_order() -> Reply {
    Reply::new(503, (5, 1), "Commands out of order")
}
