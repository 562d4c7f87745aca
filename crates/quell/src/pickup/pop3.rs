//! One session with a POP3 server: moves bytes between [`Session`], which knows the protocol, the server and
//! the door.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::Duration;

use quell_queue::pickups::MAX_UID_BYTES;
use quell_relay::collect::Collecting;
use quell_wire::pop3::Password;
use quell_wire::pop3::client::{
    At, Code, Deletions, Ending, Lost, NotTaken, Refusal, Request, Session, SignIn, Step, Wait, Why,
};
use tokio::time::{Instant, timeout};

use super::account::{Account, Keep, Secret, Server};
use super::hand_in::{Became, HandIn, Ready, Settled};
use super::listing::Listed;
use super::round::{Look, max_size_words};
use super::talk::Talk;
use super::task::Done;
use super::trouble::{Kind, Trouble};

/// Messages that are asked for and have not come.
const ASKED: usize = 64;
/// Of those and what is under way at the door together.
const UNDER_WAY: usize = 256;
/// Messages of one session, and their bytes; then QUIT makes the deletions true, and the next begins.
const SESSION_MESSAGES: u64 = 5_000;
const SESSION_BYTES: u64 = 1 << 30;
/// Bytes read at a time.
const READ_BYTES: usize = 64 << 10;
/// A message comes at this rate at least, over a minute.
const LEAST_BYTES_PER_MINUTE: u64 = 4_096;
const MINUTE: Duration = Duration::from_secs(60);

/// Looks at the mailbox once.
///
/// # Errors
/// [`Trouble`]; what was taken until then stays taken.
pub async fn collect(look: &Look) -> Result<Done, Trouble> {
    let (sign_in, secret) = sign_in(&look.account).await?;
    let link = look.link().await?;
    let talk = Talk::new(link, &look.account, look.max_message_bytes, sign_in);
    let hand_in = look.hand_in();
    let mut pop3 = Pop3 {
        look,
        talk,
        hand_in,
        todo: VecDeque::new(),
        asked: HashMap::new(),
        coming: None,
        deletes: Vec::new(),
        deleting: HashMap::new(),
        marked: Vec::new(),
        later: None,
        leaves: false,
        more: false,
        fetched: (0, 0),
        rate: (Instant::now(), 0),
    };
    let ended = pop3.drive().await;
    pop3.finish(ended).await.map_err(|trouble| trouble.without(&secret))
}

/// What is shown to the server, and what of it nobody else is to see.
///
/// # Errors
/// [`Kind::Secret`].
pub async fn sign_in(account: &Account) -> Result<(SignIn, Password), Trouble> {
    let secret = account.secret.ask().await?;
    let bad = |why: String| Trouble::new(Kind::Secret, why);
    let shown = secret.clone();
    let sign_in = match &account.secret {
        Secret::Token(_, mechanism) => {
            let (host, port) = (account.server.host(), account.server.port);
            SignIn::bearer(&account.user, shown, *mechanism, &host, port).map_err(|why| bad(why.to_string()))
        }
        _ => SignIn::new(&account.user, shown).map_err(|why| bad(why.to_string())),
    };
    Ok((sign_in?, secret))
}

struct Pop3<'a> {
    look: &'a Look,
    talk: Talk,
    hand_in: HandIn,
    /// To be fetched.
    todo: VecDeque<Listed>,
    /// Asked for, and not there yet.
    asked: HashMap<u32, Listed>,
    /// The one that comes.
    coming: Option<Collecting>,
    /// That may be deleted, and of which the session could not be told yet.
    deletes: Vec<u32>,
    /// That the session was told to delete, and what they are called for good.
    deleting: HashMap<u32, String>,
    /// Marked for deletion by the server.
    marked: Vec<u32>,
    /// Why something was left there.
    later: Option<Trouble>,
    /// Something was fetched that is not here.
    leaves: bool,
    more: bool,
    /// Messages and bytes of this session.
    fetched: (u64, u64),
    /// Since when a minute is counted, and its bytes.
    rate: (Instant, u64),
}

impl Pop3<'_> {
    async fn drive(&mut self) -> Result<Ending, Trouble> {
        let mut buffer = vec![0; READ_BYTES];
        let (mut start, mut end) = (0, 0);
        loop {
            self.ask();
            let (taken, step) = self.talk.session.next(&buffer[start..end]);
            start += taken;
            match step {
                Step::NeedInput(wait) => (start, end) = (0, self.input(&mut buffer, wait).await?),
                Step::StartTls => {
                    (start, end) = (0, 0);
                    self.talk.secure().await?;
                }
                Step::Listed => self.listed()?,
                Step::Begin { .. } => {
                    self.rate = (Instant::now(), 0);
                    self.coming = Some(self.look.begin());
                }
                Step::Content(bytes) => {
                    self.look.status.set(|status| status.counts.bytes += bytes.len() as u64);
                    self.fetched.1 += bytes.len() as u64;
                    if let Some(coming) = &mut self.coming {
                        coming.take(bytes, &self.look.around());
                    }
                }
                Step::End { number, .. } => self.whole(number).await,
                Step::TooBig { number } => {
                    (self.coming, self.leaves) = (None, true);
                    self.stays(number, max_size_words(self.look.max_message_bytes));
                }
                Step::Deleted { number } => self.marked.push(number),
                Step::Refused { request, refusal } => self.refused(request, &refusal),
                Step::Idle => self.idle().await,
                Step::Closed(ending) => {
                    // Out of politeness: a server that refuses may be gone, and what it said counts.
                    let _gone = self.talk.flush().await;
                    return Ok(ending);
                }
            }
        }
    }

    /// Asks for what there is room for.
    fn ask(&mut self) {
        self.deletes.retain(|number| {
            matches!(self.talk.session.request(Request::Delete(*number)), Err(NotTaken::Full))
        });
        while self.asked.len() < ASKED && self.asked.len() + self.hand_in.under_way() < UNDER_WAY {
            if self.todo.is_empty() || !self.goes_on() {
                return;
            }
            let Some(message) = self.todo.pop_front() else { return };
            let number = message.number;
            match self.talk.session.request(Request::Retrieve(number)) {
                Ok(()) => drop(self.asked.insert(number, message)),
                Err(NotTaken::TooBig) => {
                    self.look.refused(&message, max_size_words(self.look.max_message_bytes));
                }
                Err(NotTaken::NoSuchMessage) => {}
                Err(NotTaken::Full | NotTaken::NotNow) => return self.todo.push_front(message),
            }
        }
    }

    /// Whether more is fetched in this session.
    fn goes_on(&mut self) -> bool {
        let is_over = |later: &Trouble| matches!(later.kind, Kind::Here | Kind::Stopping);
        let trouble = self.look.why_not().or_else(|| self.later.clone().filter(is_over));
        let is_full = self.fetched.0 >= SESSION_MESSAGES || self.fetched.1 >= SESSION_BYTES;
        self.more |= is_full && trouble.is_none();
        if trouble.is_none() && !is_full {
            return true;
        }
        self.later = self.later.take().or(trouble);
        self.todo.clear();
        false
    }

    fn listed(&mut self) -> Result<(), Trouble> {
        let keeps = self.look.account.keep != Keep::No;
        let listing = self.talk.session.listing();
        let has_uidl =
            self.talk.session.offer().uidl && listing.entries.iter().all(|entry| entry.uidl.is_some());
        if !has_uidl && keeps {
            // One that knows no CAPA may refuse UIDL, others have none for some messages: those are left alone.
            let why = "the server has no UIDL, so what stays there cannot be told from what is new: set keep = false";
            self.later = Some(Trouble::new(Kind::Mailbox, why));
        }
        if listing.listed > listing.entries.len() as u64 && keeps {
            let why = format!(
                "the mailbox has {} messages, and more than {} that stay there are not looked through: delete some, or set keep = false",
                listing.listed,
                listing.entries.len()
            );
            self.later = Some(Trouble::new(Kind::Mailbox, why));
        }
        let mut messages = messages(&self.talk.session);
        if keeps {
            tell_apart(&mut messages);
        }
        let listed = self.talk.session.listing().listed;
        self.todo = self.look.listed(messages, listed)?.fetch.into();
        self.todo.retain(|message| message.uid.is_some() || !keeps);
        Ok(())
    }

    /// A message is there.
    async fn whole(&mut self, number: u32) {
        self.fetched.0 += 1;
        let (Some(coming), Some(message)) = (self.coming.take(), self.asked.remove(&number)) else { return };
        self.look.status.set(|status| status.fetched += 1);
        match self.look.finish(coming, message.size_bytes, self.talk.link.address, self.talk.link.tls).await {
            Ok(collected) => {
                let Listed { number, uid, size_bytes } = message;
                self.hand_in.put(Ready { number, uid, listed_bytes: size_bytes, collected }).await;
            }
            Err(Became::Refused(why)) => {
                self.leaves = true;
                self.look.refused(&message, why);
            }
            Err(Became::Later(trouble)) => self.left(trouble),
            Err(Became::Taken | Became::Known(_)) => {}
        }
    }

    fn stays(&mut self, number: u32, why: String) {
        if let Some(message) = self.asked.remove(&number) {
            self.look.refused(&message, why);
        }
    }

    fn refused(&mut self, request: Request, refusal: &Refusal) {
        match request {
            Request::Retrieve(number) | Request::Top(number) => {
                self.stays(number, format!("the server does not give it: {refusal}"));
            }
            Request::Delete(number) => {
                let account = self.look.account.name();
                tracing::info!(event = "pickup_not_deleted", account, number, reason = %refusal, "it is tried again a day later");
                let uid = self.deleting.remove(&number).filter(|uid| !uid.is_empty());
                uid.into_iter().for_each(|uid| self.look.not_deleted(uid));
            }
        }
    }

    fn left(&mut self, trouble: Trouble) {
        self.leaves = true;
        self.later.get_or_insert(trouble);
    }

    /// Nothing is under way with the server.
    async fn idle(&mut self) {
        if !self.deletes.is_empty()
            || !self.todo.is_empty() && self.asked.is_empty() && self.hand_in.under_way() == 0
        {
            return;
        }
        match self.hand_in.next().await {
            Some(settled) => {
                self.settled(&settled);
                self.hear().await;
            }
            // RFC 2449 §6.7: at QUIT it deletes whatever was fetched.
            None if self.leaves && self.talk.session.offer().expire_days == Some(0) => {
                let why = "it would delete what could not be taken (EXPIRE 0): nothing is deleted this time";
                self.talk.session.lost(Lost::Ours(why.to_owned()));
            }
            None => self.talk.session.quit(),
        }
    }

    fn settled(&mut self, settled: &Settled) {
        if self.look.settled(settled) {
            self.deletes.push(settled.number);
            let name = settled.uid.clone().unwrap_or_default();
            self.deleting.insert(settled.number, name);
        }
        match &settled.fate {
            Became::Later(trouble) => self.left(trouble.clone()),
            Became::Refused(_) => self.leaves = true,
            Became::Taken | Became::Known(_) => {}
        }
    }

    /// Reads, or hears of what was handed in: then nothing was read.
    async fn input(&mut self, buffer: &mut [u8], wait: Wait) -> Result<usize, Trouble> {
        self.talk.flush().await?;
        let within = Duration::from_secs(wait.secs());
        let has_news = self.hand_in.under_way() > 0;
        tokio::select! {
            biased;
            read = timeout(within, self.talk.link.read(buffer)) => self.read(read, wait),
            settled = self.hand_in.next(), if has_news => {
                if let Some(settled) = settled {
                    self.settled(&settled);
                }
                self.hear().await;
                Ok(0)
            }
        }
    }

    /// What is known by now, so that the server is told in one go.
    async fn hear(&mut self) {
        while self.hand_in.has_news()
            && let Some(settled) = self.hand_in.next().await
        {
            self.settled(&settled);
        }
    }

    fn read(
        &mut self,
        read: Result<io::Result<usize>, tokio::time::error::Elapsed>,
        wait: Wait,
    ) -> Result<usize, Trouble> {
        match read {
            Ok(Ok(0)) => self.talk.session.lost(Lost::Closed),
            Ok(Ok(n)) => {
                self.rate.1 += n as u64;
                if wait == Wait::Content && self.is_too_slow() {
                    self.talk.session.lost(Lost::Broken("it sends too slowly".to_owned()));
                }
                return Ok(n);
            }
            Ok(Err(why)) => self.talk.session.lost(Lost::Broken(why.to_string())),
            Err(_) => self.talk.session.lost(Lost::TimedOut),
        }
        Ok(0)
    }

    fn is_too_slow(&mut self) -> bool {
        let (since, bytes) = self.rate;
        if since.elapsed() < MINUTE {
            return false;
        }
        self.rate = (Instant::now(), 0);
        bytes < LEAST_BYTES_PER_MINUTE
    }

    /// Whatever the end: what is at the door is waited for, and remembered.
    async fn finish(self, ended: Result<Ending, Trouble>) -> Result<Done, Trouble> {
        let Self {
            look,
            talk: Talk { link, session },
            hand_in,
            later,
            more,
            marked,
            asked,
            mut deleting,
            ..
        } = self;
        // What was asked for comes in this order.
        look.suspects(asked.values().min_by_key(|message| message.number));
        let mut later = later;
        for settled in hand_in.finish().await {
            look.settled(&settled);
            if let Became::Later(trouble) = settled.fate {
                later.get_or_insert(trouble);
            }
        }
        link.close().await;
        let ending = ended?;
        if ending.deletions == Deletions::Done {
            look.said_deleted(marked.iter().filter_map(|number| deleting.remove(number)).collect());
        }
        if ending.why != Why::Quit {
            return Err(of_ending(&ending.why, &look.account.server));
        }
        match later {
            Some(trouble) => Err(trouble),
            None => {
                let delay = session.offer().login_delay_secs.unwrap_or(0);
                Ok(Done { more, least_pause: Duration::from_secs(delay.into()) })
            }
        }
    }
}

/// The messages that the server lists.
pub fn messages(session: &Session) -> Vec<Listed> {
    let entries = session.listing().entries.iter();
    entries
        .map(|entry| Listed {
            number: entry.number,
            uid: entry.uidl.as_ref().map(|uidl| uidl.as_str().to_owned()),
            size_bytes: entry.bytes,
        })
        .collect()
}

/// Where a server gives one name to several messages that stay there, each is remembered by its size as well: by that name alone
/// they would be taken for each other, and fetched over and over.
pub fn tell_apart(messages: &mut [Listed]) {
    let mut times: HashMap<String, u32> = HashMap::new();
    for uid in messages.iter().filter_map(|message| message.uid.clone()) {
        *times.entry(uid).or_default() += 1;
    }
    for message in messages {
        let size_bytes = message.size_bytes;
        if let Some(uid) = message.uid.as_mut().filter(|uid| times.get(*uid).is_some_and(|times| *times > 1))
        {
            uid.truncate(MAX_UID_BYTES - 17);
            *uid += &format!("#{size_bytes:x}");
        }
    }
}

/// Why a session has ended that did not end well.
pub fn of_ending(why: &Why, server: &Server) -> Trouble {
    match why {
        Why::Quit => Trouble::new(Kind::Server, "it has ended"),
        Why::NoTls => {
            let help = "with tls = \"never\" the password would cross the network in the clear";
            Trouble::new(Kind::Tls, format!("{server} offers no STLS; nothing was said to it ({help})"))
        }
        Why::NoMechanism => Trouble::new(
            Kind::SignIn,
            format!("{server} offers no sign-in by a token (XOAUTH2, OAUTHBEARER)"),
        ),
        Why::Refused(at, refusal) => of_refusal(*at, refusal, server),
        Why::Fault(fault) => Trouble::new(Kind::Server, format!("{server} sends {fault}")),
        Why::Lost(Lost::Closed) => Trouble::new(Kind::Net, format!("{server} has closed the connection")),
        Why::Lost(Lost::TimedOut) => Trouble::new(Kind::Net, format!("{server} does not answer in time")),
        Why::Lost(Lost::Broken(why) | Lost::Ours(why)) => Trouble::new(Kind::Net, format!("{server}: {why}")),
    }
}

fn of_refusal(at: At, refusal: &Refusal, server: &Server) -> Trouble {
    let kind = match (at, refusal.code) {
        (_, Some(Code::InUse | Code::LoginDelay | Code::SysTemp)) => Kind::Busy,
        (_, Some(Code::SysPerm)) => Kind::Server,
        (At::SignIn, _) => Kind::SignIn,
        (At::Greeting, _) => Kind::Busy,
        (At::Listing | At::Quit, _) => Kind::Server,
    };
    let what = match at {
        At::Greeting => "greets with",
        At::SignIn => "refuses the sign-in",
        At::Listing => "does not list the mailbox",
        At::Quit => "may not have deleted all that was taken",
    };
    Trouble::new(kind, format!("{server} {what}: {refusal}"))
}
