//! One look at an account: what POP3 and IMAP have in common.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quell_mail::trace::Tls as Negotiated;
use quell_queue::pickups::{Fate, Remembered};
use quell_relay::collect::{CannotPlace, Collected, Collecting, NotTaken, Placed, Server, Whose, who};
use quell_relay::reception::{Asked, Policy, World};
use tokio::sync::watch;
use tokio::time::timeout;

use super::account::{Account, Keep};
use super::hand_in::{Became, HandIn, Remembers, Settled};
use super::keeper::Means;
use super::link::Link;
use super::listing::{Listed, What, is_over, what};
use super::status::{Phase, Shown};
use super::trouble::{Kind, Trouble};
use super::world::Around;

/// A next hop that is asked about a recipient answers by then.
const ASK_WITHIN: Duration = Duration::from_secs(25);

/// What a look has to do with.
pub struct Look {
    /// The account.
    pub account: Arc<Account>,
    /// The rest of the server.
    pub means: Arc<Means>,
    /// What is known of its messages.
    pub memory: Remembers,
    /// For people.
    pub status: Shown,
    /// Who is who.
    pub policy: Arc<Policy>,
    /// Largest message that is taken.
    pub max_message_bytes: u64,
    /// It is to end.
    pub stop: watch::Receiver<bool>,
    /// A person wants what could not be taken to be tried again.
    pub again: bool,
    /// The message that the server is to send next.
    pub suspect: Mutex<Option<Listed>>,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ToDo {
    /// Fetched.
    pub fetch: Vec<Listed>,
    /// Deleted without being fetched again.
    pub delete: Vec<Listed>,
}

impl Look {
    /// Whoever is configured is there: else nothing is fetched.
    ///
    /// # Errors
    /// [`Kind::Mailbox`].
    pub fn recipients_are_there(&self) -> Result<(), Trouble> {
        if !matches!(self.account.mail.whose, Whose::These(_)) {
            return Ok(());
        }
        let around = self.around();
        let exists = |domain: &str, local: &str| tokio::task::block_in_place(|| around.exists(domain, local));
        let placing = who(b"", &self.account.mail, &self.policy.directory, &exists);
        placing.map(drop).map_err(|why| of_place(&why))
    }

    /// A connection to the server.
    ///
    /// # Errors
    /// [`Kind::Net`], [`Kind::Tls`].
    pub async fn link(&self) -> Result<Link, Trouble> {
        Link::open(&self.account, &(self.means.resolver)()).await
    }

    /// The way to the door.
    pub fn hand_in(&self) -> HandIn {
        HandIn::start(Arc::clone(&self.means.outer), Arc::clone(&self.memory))
    }

    /// The world, for a message.
    pub fn around(&self) -> Around<'_> {
        Around { outer: &self.means.outer, max_message_bytes: self.max_message_bytes }
    }

    /// A message begins.
    pub fn begin(&self) -> Collecting {
        Collecting::new(Arc::clone(&self.policy), Arc::clone(&self.account.mail), &self.around())
    }

    /// It is whole: whom it is for is found out, and it is made ready for the door.
    ///
    /// # Errors
    /// What became of it instead.
    pub async fn finish(
        &self,
        mut coming: Collecting,
        listed_bytes: u64,
        address: IpAddr,
        tls: Option<Negotiated>,
    ) -> Result<Collected, Became> {
        let placed = self.place(&mut coming).await.map_err(|why| Became::Later(of_place(&why)))?;
        let server = &self.account.server;
        let from = Server { host: server.host(), address, tls, protocol: server.with() };
        let collected = coming.finish(placed, &from, &self.around()).map_err(|why| match why {
            NotTaken::Never(why) => Became::Refused(why),
            NotTaken::Now(why) => Became::Later(Trouble::new(Kind::Here, why)),
        })?;
        if collected.size_bytes == 0 && listed_bytes > 0 {
            // It would be deleted there.
            return Err(Became::Refused("the server gives nothing of it".to_owned()));
        }
        Ok(collected)
    }

    async fn place(&self, coming: &mut Collecting) -> Result<Placed, CannotPlace> {
        let mut placing = coming.place(&self.around())?;
        while let Some(ask) = placing.to_ask() {
            let answer = timeout(ASK_WITHIN, self.means.outer.verifier.ask(&ask)).await;
            placing.asked(answer.map_or(Asked::CannotTell, |answer| answer.asked))?;
        }
        placing.placed()
    }

    /// The server has listed these, of `all` that there are: what is to be done.
    ///
    /// # Errors
    /// [`Kind::Here`].
    pub fn listed(&self, messages: Vec<Listed>, all: u64) -> Result<ToDo, Trouble> {
        // Names that are wanted and not there say nothing of what is gone.
        let are_named = self.account.keep == Keep::No || messages.iter().all(|message| message.uid.is_some());
        if messages.len() as u64 == all && are_named {
            let uids: Vec<String> = messages.iter().filter_map(|message| message.uid.clone()).collect();
            self.all_listed(&uids)?;
        }
        Ok(self.to_do(messages, all, false))
    }

    /// These are all that there are.
    ///
    /// # Errors
    /// [`Kind::Here`].
    pub fn all_listed(&self, uids: &[String]) -> Result<(), Trouble> {
        let now = self.means.outer.time.now().ms;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        tokio::task::block_in_place(|| memory.listed(uids, now))
    }

    /// What is to be done with some of the messages, of which there are `all`. `names_last`: the server never gives a name twice.
    pub fn to_do(&self, messages: Vec<Listed>, all: u64, names_last: bool) -> ToDo {
        let now = self.means.outer.time.now().ms;
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut todo = ToDo::default();
        for message in messages {
            match what(&message, &memory, self.account.keep, (names_last, self.again), now) {
                What::Nothing => {}
                What::Fetch => todo.fetch.push(message),
                What::Delete => todo.delete.push(message),
            }
        }
        self.status.set(|status| {
            status.phase = Phase::Collecting;
            status.listed += all;
            status.to_fetch += todo.fetch.len() as u64;
        });
        todo
    }

    /// A message cannot be taken: it stays there, and is said once.
    pub fn refused(&self, message: &Listed, why: String) {
        self.status.set(|status| status.counts.refused += 1);
        let became = Became::Refused(why.clone());
        self.means.outer.metrics.collected(&became);
        let uid =
            message.uid.clone().unwrap_or_else(|| format!("-{}-{}", message.number, message.size_bytes));
        let now = self.means.outer.time.now().ms;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let size_bytes = message.size_bytes;
        let fate = Fate::Refused(why);
        let noted = Remembered { uid, size_bytes, digest: [0; 16], fate, at_ms: now, seen_ms: now };
        // If it cannot be remembered, it is said once more.
        let _said_again = tokio::task::block_in_place(|| memory.note(&[noted]));
    }

    /// The server is to send this next.
    pub fn suspects(&self, message: Option<&Listed>) {
        *self.suspect.lock().unwrap_or_else(PoisonError::into_inner) = message.cloned();
    }

    /// The session broke off. A message at which that happens again and again must not keep those behind it waiting.
    pub fn broke_off(&self) {
        let suspect = self.suspect.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((message, uid)) = suspect.and_then(|one| one.uid.clone().map(|uid| (one, uid))) else {
            return;
        };
        let is_it = self.memory.lock().unwrap_or_else(PoisonError::into_inner).broke_off_at(&uid);
        if is_it {
            self.refused(&message, "the server breaks off whenever it is to send it".to_owned());
        }
    }

    /// What became of a message. True: it may be deleted on the server.
    pub fn settled(&self, settled: &Settled) -> bool {
        let now = self.means.outer.time.now().ms;
        self.status.set(|status| match settled.fate {
            Became::Taken => {
                status.counts.taken += 1;
                status.taken_ever += 1;
                status.bytes_ever += settled.bytes;
            }
            Became::Known(_) => status.counts.known += 1,
            Became::Refused(_) => status.counts.refused += 1,
            Became::Later(_) => {}
        });
        self.means.outer.metrics.collected(&settled.fate);
        match settled.fate {
            Became::Taken => is_over(self.account.keep, now, now),
            Became::Known(at) => is_over(self.account.keep, at, now),
            Became::Refused(_) | Became::Later(_) => false,
        }
    }

    /// So many were deleted on the server.
    pub fn deleted(&self, messages: u64) {
        self.status.set(|status| status.counts.deleted += messages);
    }

    /// The server says that it has deleted these.
    pub fn said_deleted(&self, uids: Vec<String>) {
        self.deleted(uids.len() as u64);
        let now = self.means.outer.time.now().ms;
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).deleted(uids.into_iter(), now);
    }

    /// The server says that it does not delete this: what is taken is not fetched over and over to be deleted.
    pub fn not_deleted(&self, uid: String) {
        let now = self.means.outer.time.now().ms;
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).deleted(std::iter::once(uid), now);
    }

    /// Why no further message may be fetched now; None: it may.
    pub fn why_not(&self) -> Option<Trouble> {
        if *self.stop.borrow() {
            return Some(Trouble::stopping());
        }
        let has_room = self.means.outer.room.enough(self.max_message_bytes);
        (!has_room).then(|| Trouble::new(Kind::Here, "the disk has no room for more mail"))
    }
}

fn of_place(why: &CannotPlace) -> Trouble {
    let kind = match why {
        CannotPlace::Nobody(_) => Kind::Mailbox,
        CannotPlace::NotNow(_) => Kind::Busy,
    };
    Trouble::new(kind, format!("it cannot be said who gets the mail: {why}"))
}

/// Why a message stays that is too large.
pub fn max_size_words(max_message_bytes: u64) -> String {
    format!("it is larger than [smtp] max_message_bytes ({max_message_bytes})")
}
