//! The claims of one message: to whom it is sent, who has an outcome, and what the hosts have said
//! so far to those who have none.

use std::collections::VecDeque;

use quell_queue::claim::Claim;
use quell_queue::ledger;
use quell_queue::store::RowId;
use quell_storm::facts;
use quell_wire::client::{Envelope, Outcome, Status};
use quell_wire::path::Path;
use quell_wire::server::{MailFrom, Notify, RcptTo, Ret};

use super::{Content, GivenBack, Settled, Step};
use crate::route::Cleared;

/// The claims of one message.
#[derive(Debug)]
pub(super) struct Job {
    mail: Option<MailFrom>,
    members: Vec<Member>,
    /// Settlements, and what is given back, that the caller has not taken: at most one for each
    /// member.
    settled: VecDeque<Step>,
}

/// One recipient.
#[derive(Debug)]
struct Member {
    /// None: settled.
    claim: Option<Claim>,
    rcpt: RcptTo,
    /// It stood at the dot: from here on what comes is certain, or Unknown.
    dotted: bool,
    /// What a host said last that may pass.
    temporary: Option<Said>,
    /// Why a host was not tried, for a reason of our own.
    declined: Option<Status>,
    /// Why a host was passed over that cannot take the message at all.
    refused: Option<Said>,
}

/// A status and who it comes from.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub status: Status,
    pub by: By,
}

/// Who a status comes from.
#[derive(Debug, Clone)]
pub(super) struct By {
    /// Name, address and port of the host; the destination where there was none.
    pub name: String,
    /// What protected the connection.
    pub tls: Option<String>,
    /// It takes the parameters of RFC 3461.
    pub takes_dsn: bool,
}

impl By {
    /// No host: we, of a destination.
    pub fn us(destination: &str) -> Self {
        Self { name: destination.to_owned(), tls: None, takes_dsn: false }
    }
}

impl Said {
    /// A host has answered, and it was not only we that found something.
    fn is_answer(&self) -> bool {
        self.status.reply_code.is_some()
    }
}

/// What is said where no host has said anything.
#[derive(Debug)]
pub(super) struct Verdict {
    pub said: Said,
    pub permanent: bool,
    /// No host was left out that may be there.
    pub all_tried: bool,
}

impl Job {
    /// Claims of one arrival. Those whose address cannot stand in a command fail at once, `by` us.
    pub fn new(claims: Vec<Cleared>, content: &Content, by: &str) -> Self {
        let claims: Vec<Claim> = claims.into_iter().map(Cleared::into_claim).collect();
        let mail = claims.first().and_then(|claim| mail_from(claim, content));
        let mut job = Self { mail, members: Vec::new(), settled: VecDeque::new() };
        for claim in claims {
            let bad = match (&job.mail, rcpt_to(&claim)) {
                (Some(_), Some(rcpt)) => {
                    job.members.push(Member::new(claim, rcpt));
                    continue;
                }
                (None, _) => Status::new((5, 1, 7), None, "the reverse-path is no address"),
                (_, None) => Status::new((5, 1, 3), None, "the recipient is no address"),
            };
            let outcome = Outcome::Failed { status: bad, about_recipient: false };
            job.settled.push_back(settled(claim, outcome, &By::us(by)));
        }
        job
    }

    /// Places of those who have no outcome.
    pub fn open(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|place| self.members[*place].claim.is_some()).collect()
    }

    /// All have their outcome.
    pub fn is_over(&self) -> bool {
        self.members.iter().all(|member| member.claim.is_none())
    }

    /// The envelope of those at `places`. None if there is nobody.
    pub fn envelope(&self, places: &[usize]) -> Option<Envelope> {
        let recipients: Vec<RcptTo> = places.iter().map(|place| self.members[*place].rcpt.clone()).collect();
        let mail = self.mail.clone().filter(|_| !recipients.is_empty())?;
        Some(Envelope { mail, recipients })
    }

    /// The rows at `places`, which stand at the dot from here on.
    pub fn dot(&mut self, places: impl Iterator<Item = usize>) -> Vec<RowId> {
        let mut rows = Vec::new();
        for place in places {
            let member = &mut self.members[place];
            member.dotted = true;
            rows.extend(member.claim.as_ref().map(|claim| claim.row().clone()));
        }
        rows
    }

    /// It stood at the dot.
    pub fn is_dotted(&self, place: usize) -> bool {
        self.members[place].dotted
    }

    /// What may pass; another host is asked first.
    pub fn note_temporary(&mut self, place: usize, said: Said) {
        self.members[place].temporary = Some(said);
    }

    /// The same for all without an outcome.
    pub fn note_temporary_for_all(&mut self, said: &Said) {
        self.open().into_iter().for_each(|place| self.note_temporary(place, said.clone()));
    }

    /// We did not connect to a host, for all without an outcome.
    pub fn note_declined_for_all(&mut self, status: &Status) {
        self.open().into_iter().for_each(|place| self.members[place].declined = Some(status.clone()));
    }

    /// What will not pass, but is about the host; another is asked first.
    pub fn note_refused(&mut self, place: usize, said: Said) {
        self.members[place].refused = Some(said);
    }

    /// The outcome of one, which is certain.
    pub fn settle(&mut self, place: usize, outcome: Outcome, by: &By) {
        if let Some(claim) = self.members[place].claim.take() {
            self.settled.push_back(settled(claim, outcome, by));
        }
    }

    /// We do not go on with one: if a host has answered, that counts, else it was not tried.
    pub fn give_back(&mut self, place: usize, status: Status) {
        if let Some(said) = self.members[place].temporary.take().filter(Said::is_answer) {
            return self.settle(place, Outcome::Temporary(said.status), &said.by);
        }
        if let Some(claim) = self.members[place].claim.take() {
            self.settled.push_back(Step::GiveBack(Box::new(GivenBack { claim, status })));
        }
    }

    /// The same for all without an outcome.
    pub fn give_back_rest(&mut self, status: &Status) {
        self.open().into_iter().for_each(|place| self.give_back(place, status.clone()));
    }

    /// No host is left: the rest is settled with what the hosts said, or with `verdict`. A host that
    /// may answer otherwise tomorrow counts for more than one that will not; where that is one to
    /// which we did not connect, nobody has told.
    pub fn settle_rest(&mut self, verdict: &Verdict) {
        for place in self.open() {
            let member = &mut self.members[place];
            let (temporary, refused) = (member.temporary.take(), member.refused.take());
            if let (None, Some(status)) = (&temporary, member.declined.take()) {
                self.give_back(place, status);
                continue;
            }
            let (said, permanent) = match (temporary, refused) {
                (Some(said), _) => (said, false),
                (None, Some(said)) if verdict.all_tried => (said, true),
                (None, _) => (verdict.said.clone(), verdict.permanent),
            };
            let outcome = match permanent {
                true => Outcome::Failed { status: said.status, about_recipient: false },
                false => Outcome::Temporary(said.status),
            };
            self.settle(place, outcome, &said.by);
        }
    }

    pub fn next_settled(&mut self) -> Option<Step> {
        self.settled.pop_front()
    }
}

impl Member {
    fn new(claim: Claim, rcpt: RcptTo) -> Self {
        Self { claim: Some(claim), rcpt, dotted: false, temporary: None, declined: None, refused: None }
    }
}

fn settled(claim: Claim, outcome: Outcome, by: &By) -> Step {
    let status = outcome.status().clone();
    let text = || status.to_string();
    let outcome = match outcome {
        Outcome::Delivered(_) => ledger::Outcome::Delivered,
        Outcome::Relayed(_) => ledger::Outcome::Relayed { reports: by.takes_dsn },
        Outcome::Failed { about_recipient, .. } => {
            ledger::Outcome::Failed { status: text(), about_recipient }
        }
        Outcome::Temporary(_) => ledger::Outcome::Temporary { status: text() },
        Outcome::Unknown(_) => ledger::Outcome::Unknown { status: text() },
    };
    let (next_hop, tls) = (by.name.clone(), by.tls.clone());
    Step::Settle(Box::new(Settled { claim, outcome, next_hop, tls, status }))
}

/// MAIL for a claim, and so for all of its arrival. None: its reverse-path is no path.
fn mail_from(claim: &Claim, content: &Content) -> Option<MailFrom> {
    Some(MailFrom {
        reverse_path: path(claim.reverse_path())?,
        size_bytes: Some(content.size_bytes),
        // RFC 6531 §3.4: what came with SMTPUTF8 and does not need it goes on without. Whether an
        // address needs it, the session sees.
        smtputf8: claim.smtputf8() && content.header_non_ascii,
        eight_bit: content.eight_bit,
        ret: claim.ret_full().map(|full| if full { Ret::Full } else { Ret::Headers }),
        envid: claim.envid().map(str::to_owned),
    })
}

/// RCPT for a claim. None: its address is no path.
fn rcpt_to(claim: &Claim) -> Option<RcptTo> {
    let forward_path = path(claim.as_given()).filter(|path| !path.is_null())?;
    let notify = |facts::Notify { never, success, failure, delay }| Notify { never, success, failure, delay };
    Some(RcptTo { forward_path, notify: claim.notify().map(notify), orcpt: claim.orcpt().map(str::to_owned) })
}

/// The address in brackets, if it is no more and no less.
fn path(address: &str) -> Option<Path> {
    let text = format!("<{address}>");
    let (path, rest) = Path::parse(text.as_bytes()).ok()?;
    (rest.is_empty() && path.address() == address).then_some(path)
}
