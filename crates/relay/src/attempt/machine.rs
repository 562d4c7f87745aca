//! The machine that joins way, session and claims.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use quell_wire::client::{Lost, Outcome, Session, Settings, Status, Step as SessionStep};

use super::job::{By, Job, Said, Verdict};
use super::way::{Need, Way};
use super::{Address, Content, Reached, Sending, Step, Target};
use crate::route::{Cleared, DnsError, NextHop};

mod protect;

/// Messages for one destination, one after the other on one connection at a time; most often one.
///
/// Ask it with [`Attempt::next`] what to do, and do it, until it says [`Step::Done`] or
/// [`Step::Over`]. Memory is bounded by the claims, [`super::MAX_TARGETS`] and what
/// [`Session`] holds.
#[derive(Debug)]
pub struct Attempt {
    sending: Arc<Sending>,
    next_hop: NextHop,
    random: u64,
    way: Way,
    job: Job,
    link: Link,
    /// A host has answered the present message, after it had accepted our name.
    reached: bool,
    /// The last trouble with a host that did not get so far.
    unreached: Option<Status>,
    /// A host was not tried, for a reason of our own.
    declined: bool,
    /// The time for the present message is over: no other host is tried.
    late: bool,
    /// All that could be tried was, and what was found is for good.
    nowhere: bool,
    /// The caller ends it: no other host is tried.
    ended: Option<Said>,
    /// It has nothing to do with the message: who was not answered was not tried.
    interrupted: bool,
    /// Where opportunistic TLS has failed: the last ones, at most [`super::MAX_TARGETS`].
    without_tls: VecDeque<Address>,
}

/// The connection.
#[derive(Debug)]
enum Link {
    /// There is none: the way says how to get one.
    None,
    /// There is one.
    Up(Box<Up>),
    /// The caller shall close it.
    Down,
}

/// A connection and the session on it.
#[derive(Debug)]
struct Up {
    session: Session,
    target: Target,
    /// What protects it.
    tls: Option<String>,
    /// For each recipient of the session its place in the job.
    places: Vec<usize>,
    second_choice: bool,
    /// It was made for an earlier message.
    kept: bool,
    /// It was kept, and is of no use for this message: it has ended before it answered anything, or
    /// its host does not offer what is needed. The way begins anew, also to hosts passed on it before.
    stale: bool,
    /// The session waits for another message.
    done: bool,
}

impl Up {
    /// Its host.
    fn by(&self) -> By {
        By { name: self.target.to_string(), tls: self.tls.clone(), takes_dsn: self.session.takes_dsn() }
    }
}

impl Attempt {
    /// An attempt for claims of one arrival and one destination. `random` decides among equal hosts.
    pub fn new(
        sending: Arc<Sending>,
        next_hop: NextHop,
        claims: Vec<Cleared>,
        content: Content,
        random: u64,
    ) -> Self {
        Self {
            way: Way::new(&next_hop, &sending, random),
            job: Job::new(claims, &content, &next_hop.to_string()),
            sending,
            next_hop,
            random,
            link: Link::None,
            reached: false,
            unreached: None,
            declined: false,
            late: false,
            nowhere: false,
            ended: None,
            interrupted: false,
            without_tls: VecDeque::new(),
        }
    }

    /// Another message for the same destination, after [`Step::Done`]; at another time its claims
    /// are given back. If the connection turns out to have ended meanwhile, the message takes the
    /// way from its beginning.
    pub fn begin(&mut self, claims: Vec<Cleared>, content: Content, random: u64) -> Result<(), Vec<Cleared>> {
        let Link::Up(up) = &mut self.link else { return Err(claims) };
        if !up.done || self.ended.is_some() {
            return Err(claims);
        }
        self.job = Job::new(claims, &content, &self.next_hop.to_string());
        (self.random, self.reached, self.unreached) = (random, false, None);
        (self.declined, self.nowhere, self.late) = (false, false, false);
        self.way.renew();
        let places = self.job.open();
        if let Some(envelope) = self.job.envelope(&places) {
            (up.places, up.kept, up.done) = (places, true, false);
            if up.session.begin(envelope).is_err() {
                up.stale = true;
                self.hung_up();
            }
        }
        Ok(())
    }

    /// What to do next.
    #[allow(clippy::should_implement_trait)] // It has no end: it waits.
    pub fn next(&mut self) -> Step {
        loop {
            if let Some(settled) = self.job.next_settled() {
                return settled;
            }
            let step = match self.link {
                Link::Up(_) => self.talk(),
                Link::None => self.walk(),
                Link::Down => {
                    self.link = Link::None;
                    Some(Step::Disconnect)
                }
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// What DNS says to [`Step::FindMx`]: preferences and names.
    pub fn found_mx(&mut self, answer: Result<Vec<(u16, String)>, DnsError>) {
        self.way.found_mx(answer, &self.sending);
    }

    /// What DNS says to [`Step::FindAddresses`].
    pub fn found_addresses(&mut self, answer: Result<Vec<IpAddr>, DnsError>) {
        self.way.found_addresses(answer, &self.sending);
    }

    /// The connection of [`Step::Connect`] is made.
    pub fn connected(&mut self) {
        if let Some(target) = self.take_target() {
            self.link_up(target);
        }
    }

    /// It cannot be made: why, in words for the operator.
    pub fn connect_failed(&mut self, why: &str) {
        if let Some((status, by)) = self.not_connected(why) {
            self.job.note_temporary_for_all(&Said { status: status.clone(), by: By::us(&by) });
            self.unreached = Some(status);
        }
    }

    /// We do not connect, for a reason of our own (too many connections to that address): the
    /// destination does not count as down for it, and who hears nothing of any other host is given
    /// back.
    pub fn connect_declined(&mut self, why: &str) {
        if let Some((status, _)) = self.not_connected(why) {
            self.job.note_declined_for_all(&status);
            self.declined = true;
        }
    }

    fn not_connected(&mut self, why: &str) -> Option<(Status, String)> {
        let target = self.take_target()?;
        Some((Status::new((4, 4, 1), None, &format!("no connection: {why}")), target.to_string()))
    }

    /// Takes what was read.
    pub fn input(&mut self, bytes: &[u8]) {
        if let Link::Up(up) = &mut self.link {
            up.session.input(bytes);
        }
    }

    /// How many replies were read on the present connection, as [`Session::replies`].
    pub fn replies(&self) -> u64 {
        match &self.link {
            Link::Up(up) => up.session.replies(),
            _ => 0,
        }
    }

    /// The connection is of no more use. [`Lost::Ours`] ends the whole attempt, at whatever step:
    /// nobody else is asked, and who is not at the dot waits for another attempt.
    pub fn lost(&mut self, why: Lost) {
        if let Lost::Ours(text) = &why {
            let status = Status::new((4, 3, 0), None, text);
            self.ended.get_or_insert(Said { status, by: By::us(&self.next_hop.to_string()) });
        }
        if let Link::Up(up) = &mut self.link {
            up.done = false;
            up.session.lost(why);
        }
    }

    /// Trouble of our own that has nothing to do with the message (the server stops, the dot cannot be
    /// written down): ends the whole attempt, at whatever step, as [`Lost::Ours`] does, but it counts
    /// as none for those whom nobody has answered and who are not at the dot: they are given back.
    pub fn interrupt(&mut self, why: &str) {
        self.interrupted = true;
        self.lost(Lost::Ours(why.to_owned()));
    }

    /// Encodes the beginning of a piece of the message, as [`Session::body`].
    pub fn body<'a>(&mut self, piece: &'a [u8]) -> (usize, &'a [u8]) {
        match &mut self.link {
            Link::Up(up) => up.session.body(piece),
            _ => (piece.len(), b""),
        }
    }

    /// The message is complete.
    pub fn body_end(&mut self) {
        if let Link::Up(up) = &mut self.link {
            up.session.body_end();
        }
    }

    /// What [`Step::Dot`] asked for is done: the end of the message may go out.
    pub fn dot_recorded(&mut self) {
        if let Link::Up(up) = &mut self.link {
            up.session.dot_recorded();
        }
    }

    /// The time that the message may take up to its dot is over: the connection, if there is one, is
    /// of no more use, and no other host is tried. Whoever is not at the dot waits for another attempt,
    /// with what the hosts have said.
    pub fn out_of_time(&mut self) {
        self.late = true;
        self.lost(Lost::TimedOut);
    }

    /// The connection was made after another host, or another address, had been passed over: one that
    /// is preferred may be back.
    pub fn is_second_choice(&self) -> bool {
        matches!(&self.link, Link::Up(up) if up.second_choice)
    }

    /// How many recipients the connected host takes in one transaction, as far as is known; 0 where
    /// there is no connection.
    pub fn takes_recipients(&self) -> usize {
        match &self.link {
            Link::Up(up) => up.session.takes_recipients(),
            Link::None | Link::Down => 0,
        }
    }

    /// Says QUIT, after [`Step::Done`]; at another time nothing happens.
    pub fn quit(&mut self) {
        if let Link::Up(up) = &mut self.link {
            up.done = false;
            up.session.quit();
        }
    }

    /// Whether the destination was reached with the present message. What it says is certain at
    /// [`Step::Done`] and [`Step::Over`], and at a [`Step::Settle`] with a temporary outcome: these
    /// come last.
    pub fn reached(&self) -> Reached {
        match &self.unreached {
            _ if self.reached => Reached::Yes,
            _ if self.ended.is_some() => Reached::Unclear,
            Some(status) => Reached::No(status.to_string()),
            None if self.nowhere && !self.declined => Reached::Yes,
            None => Reached::Unclear,
        }
    }

    /// There is no connection: to the next host, if somebody still needs one.
    fn walk(&mut self) -> Option<Step> {
        if self.job.is_over() {
            return Some(Step::Over);
        }
        if let Some(said) = self.ended.as_ref().filter(|_| self.interrupted) {
            self.job.give_back_rest(&said.status);
            return None;
        }
        if let Some(said) = &self.ended {
            self.job.settle_rest(&Verdict { said: said.clone(), permanent: false, all_tried: false });
            return None;
        }
        if self.late {
            let status = Status::new((4, 4, 2), None, "the time for one attempt is over");
            let said = Said { status, by: By::us(&self.next_hop.to_string()) };
            // Hosts were left out that may take it.
            self.job.settle_rest(&Verdict { said, permanent: false, all_tried: false });
            return None;
        }
        match self.way.need() {
            Need::Policy(domain) => Some(Step::FindPolicy(domain)),
            Need::Tlsa { domain, host } => Some(Step::FindTlsa { domain, host }),
            Need::Mx(domain) => Some(Step::FindMx(domain)),
            Need::Addresses(host) => Some(Step::FindAddresses(host)),
            Need::Connection(target) => Some(Step::Connect(target)),
            Need::Nothing => {
                self.give_up();
                None
            }
        }
    }

    /// Nowhere is left to go.
    fn give_up(&mut self) {
        let verdict = self.way.verdict(&self.next_hop.to_string());
        if !verdict.all_tried {
            self.unreached.get_or_insert(verdict.said.status.clone());
        }
        self.nowhere = true;
        self.job.settle_rest(&verdict);
    }

    /// The target of [`Step::Connect`], if that is what the caller was told.
    fn take_target(&mut self) -> Option<Target> {
        let waits = matches!(self.link, Link::None) && self.ended.is_none() && !self.job.is_over();
        if waits { self.way.take_target() } else { None }
    }

    fn link_up(&mut self, target: Target) {
        let places = self.job.open();
        let Some(envelope) = self.job.envelope(&places) else { return };
        let settings = Settings {
            lmtp: target.lmtp,
            starttls: self.starttls(&target),
            secure: target.tls.implicit,
            eightbit: self.sending.eightbit,
            max_recipients: self.sending.max_recipients,
            configured: self.next_hop.is_configured(),
            ..Settings::new(self.sending.our_name.clone())
        };
        let session = Session::new(settings, envelope);
        let second_choice = self.way.is_second_choice();
        let (kept, stale, done) = (false, false, false);
        let tls = None;
        self.link = Link::Up(Box::new(Up { session, target, tls, places, second_choice, kept, stale, done }));
    }

    /// There is a connection: what its session says.
    fn talk(&mut self) -> Option<Step> {
        let Link::Up(up) = &mut self.link else { return None };
        match up.session.next() {
            SessionStep::Write(bytes) => Some(Step::Write(bytes)),
            SessionStep::NeedInput(wait) => Some(Step::NeedInput(wait)),
            SessionStep::StartTls => Some(Step::StartTls),
            SessionStep::SendBody => Some(Step::SendBody),
            SessionStep::Dot(recipients) => {
                let places = recipients.into_iter().filter_map(|recipient| up.places.get(recipient).copied());
                Some(Step::Dot(self.job.dot(places)))
            }
            SessionStep::Outcome { recipient, outcome } => {
                self.outcome(recipient, outcome);
                None
            }
            SessionStep::Done => self.talked(),
            SessionStep::Closed => {
                self.hung_up();
                None
            }
        }
    }

    /// What the session says of a recipient: for good, or to be heard and tried elsewhere.
    fn outcome(&mut self, recipient: usize, outcome: Outcome) {
        let Link::Up(up) = &mut self.link else { return };
        let Some(place) = up.places.get(recipient).copied() else { return };
        let (is_ready, answered) = (up.session.is_ready(), up.session.has_answered());
        self.reached |= is_ready && answered;
        let may_go_on = !self.job.is_dotted(place) && self.ended.is_none();
        match outcome {
            Outcome::Temporary(_) if may_go_on && up.kept && !answered => up.stale = true,
            Outcome::Failed { status, .. } if may_go_on && up.kept && is_about_offer(&status) => {
                up.stale = true;
            }
            Outcome::Temporary(status) if may_go_on => {
                if !is_ready {
                    self.unreached = Some(status.clone());
                }
                self.job.note_temporary(place, Said { status, by: up.by() });
            }
            Outcome::Failed { status, .. } if may_go_on && (!is_ready || is_about_offer(&status)) => {
                self.job.note_refused(place, Said { status, by: up.by() });
            }
            Outcome::Temporary(status) if self.interrupted && status.reply_code.is_none() => {
                self.job.give_back(place, status);
            }
            certain => self.job.settle(place, certain, &up.by()),
        }
    }

    /// The session is done with those it was given. Whoever it could not help goes on, and if there
    /// is nowhere to go, the connection is kept.
    fn talked(&mut self) -> Option<Step> {
        let stale = matches!(&self.link, Link::Up(up) if up.stale);
        if !self.job.is_over() && !stale && self.way.need() == Need::Nothing {
            self.give_up();
            return None;
        }
        let Link::Up(up) = &mut self.link else { return None };
        if self.job.is_over() {
            up.done = true;
            return Some(Step::Done);
        }
        up.session.quit();
        None
    }

    /// The session has ended.
    fn hung_up(&mut self) {
        let stale = matches!(&self.link, Link::Up(up) if up.stale);
        if stale {
            // Hosts that lie behind were not asked for this message.
            self.way = Way::new(&self.next_hop, &self.sending, self.random);
        }
        self.link = Link::Down;
    }
}

/// A refusal that nobody said: the host does not offer what the message needs (8BITMIME, SMTPUTF8).
/// Another may.
fn is_about_offer(status: &Status) -> bool {
    status.reply_code.is_none() && matches!(status.enhanced, (5, 6, 3 | 7))
}
