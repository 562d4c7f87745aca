//! What is known of an account's messages: in memory while it is looked at, and durable in
//! `<data>/pickup.db`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use quell_mail::id::QueueId;
use quell_queue::pickups::{Fate, Mark, PickupError, Pickups, Remembered};
use quell_relay::collect::Digest;
use quell_storm::facts::Ms;

use super::trouble::{Kind, Trouble};

const DAY_MS: Ms = 86_400_000;
/// So long the ledger surely knows an exact key (its rows live 14 days): a copy within that time goes to the door, which
/// absorbs and counts it. An older one is only in our memory.
const LEDGER_KNOWS_MS: Ms = 13 * DAY_MS;
/// What a server has not listed for so long is forgotten. Until then a provider may lose its listing, or restore a
/// backup.
const UNSEEN_MS: Ms = 30 * DAY_MS;
/// What could not be taken is tried again after so long.
const REFUSED_MS: Ms = DAY_MS;
/// A message at which the session breaks off so often, one after the other, is refused.
const MOST_BREAKS: u32 = 3;

/// The store that all accounts share.
pub type Store = Arc<Mutex<dyn Pickups>>;

/// What became of a message that a server lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing is known of it, or what is known is of another message of that name.
    No,
    /// It was taken, then.
    Taken(Ms),
    /// It could not be taken, a short time ago.
    Refused {
        /// The server gave it, and it was we who did not want it.
        was_read: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    size_bytes: u64,
    digest: [u8; 16],
    fate: Now,
    at_ms: Ms,
    seen_ms: Ms,
    /// It could not be written down: nothing is deleted for what stands here alone.
    is_unsaved: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    Taking,
    Taken,
    Refused,
}

/// What is known of one account.
pub struct Memory {
    store: Store,
    account: String,
    by_uid: HashMap<String, Entry>,
    /// When what has this digest was taken last.
    by_digest: HashMap<[u8; 16], Ms>,
    /// Why those stay that cannot be taken.
    refused: HashMap<String, String>,
    /// Of these the ones that nobody was told of.
    news: Vec<(String, String)>,
    /// What the server said it would delete, and when.
    deleted: HashMap<String, Ms>,
    /// The message at which the session broke off, and how often one after the other.
    broke_off: Option<(String, u32)>,
    /// What is known of the account as a whole.
    pub mark: Mark,
}

impl Memory {
    /// Reads it. What was about to be handed in when the last life ended comes second: the ledger has to say whether it
    /// was ([`Memory::was_taken`]).
    ///
    /// # Errors
    /// [`Kind::Here`].
    pub fn load(store: Store, account: &str) -> Result<(Self, Vec<(String, QueueId)>), Trouble> {
        let (remembered, mark) = {
            let store = store.lock().unwrap_or_else(PoisonError::into_inner);
            (store.remembered(account).map_err(here)?, store.mark(account).map_err(here)?)
        };
        let account = account.to_owned();
        let mut memory = Self {
            store,
            account,
            by_uid: HashMap::new(),
            by_digest: HashMap::new(),
            deleted: HashMap::new(),
            refused: HashMap::new(),
            news: Vec::new(),
            broke_off: None,
            mark,
        };
        let mut taking = Vec::new();
        for message in remembered {
            if let Fate::Taking(id) = message.fate {
                taking.push((message.uid.clone(), id));
            }
            memory.learn(&message);
        }
        Ok((memory, taking))
    }

    fn learn(&mut self, message: &Remembered) {
        let fate = match message.fate {
            Fate::Taking(_) => Now::Taking,
            Fate::Taken => Now::Taken,
            Fate::Refused(_) => Now::Refused,
        };
        if fate == Now::Taken {
            let at = self.by_digest.entry(message.digest).or_insert(message.at_ms);
            *at = message.at_ms.max(*at);
        }
        match &message.fate {
            Fate::Refused(why) => drop(self.refused.insert(message.uid.clone(), why.clone())),
            Fate::Taking(_) | Fate::Taken => drop(self.refused.remove(&message.uid)),
        }
        let Remembered { size_bytes, digest, at_ms, seen_ms, .. } = *message;
        self.by_uid.insert(
            message.uid.clone(),
            Entry { size_bytes, digest, fate, at_ms, seen_ms, is_unsaved: false },
        );
    }

    /// The ledger has said whether what is being taken was.
    ///
    /// # Errors
    /// [`Kind::Here`].
    pub fn was_taken(&mut self, uid: &str, was: bool, now: Ms) -> Result<(), Trouble> {
        let Some(entry) = self.by_uid.get(uid).copied() else { return Ok(()) };
        if !was {
            self.by_uid.remove(uid);
            return Ok(());
        }
        let Entry { size_bytes, digest, .. } = entry;
        let uid = uid.to_owned();
        self.note(&[Remembered { uid, size_bytes, digest, fate: Fate::Taken, at_ms: now, seen_ms: now }])
    }

    /// What is known of a message by its name and size; by its name alone where names last, and some servers
    /// correct a size once they have sent the message.
    pub fn of(&self, uid: &str, size_bytes: Option<u64>, now: Ms) -> Known {
        let is_it = |entry: &&Entry| size_bytes.is_none_or(|size_bytes| size_bytes == entry.size_bytes);
        match self.by_uid.get(uid).filter(is_it).filter(|entry| !entry.is_unsaved) {
            Some(Entry { fate: Now::Taken, at_ms, .. }) => Known::Taken(*at_ms),
            Some(Entry { fate: Now::Refused, at_ms, digest, .. }) if now - at_ms < REFUSED_MS => {
                Known::Refused { was_read: *digest != [0; 16] }
            }
            _ => Known::No,
        }
    }

    /// When the message was taken, if it was, now that it is read: by its name, size and digest; by the digest alone where that
    /// tells, and the ledger may know no more of it.
    pub fn taken(&self, uid: Option<&str>, size_bytes: u64, digest: &Digest, now: Ms) -> Option<Ms> {
        let same = uid.and_then(|uid| self.by_uid.get(uid)).filter(|entry| {
            entry.fate == Now::Taken && entry.size_bytes == size_bytes && entry.digest == digest.bytes
        });
        let by_digest = || {
            let at = *self.by_digest.get(&digest.bytes).filter(|_| digest.tells)?;
            (!digest.is_exact || now - at > LEDGER_KNOWS_MS).then_some(at)
        };
        same.map(|entry| entry.at_ms).or_else(by_digest)
    }

    /// The session broke off when this was to be sent. True: once too often.
    pub fn broke_off_at(&mut self, uid: &str) -> bool {
        let times = match self.broke_off.take() {
            Some((at, times)) if at == uid => times + 1,
            _ => 1,
        };
        if times < MOST_BREAKS {
            self.broke_off = Some((uid.to_owned(), times));
        }
        times >= MOST_BREAKS
    }

    /// The server has said that it deletes these, or that it does not.
    pub fn deleted(&mut self, uids: impl Iterator<Item = String>, now: Ms) {
        self.deleted.retain(|_, at| now - *at < DAY_MS);
        self.deleted.extend(uids.map(|uid| (uid, now)));
    }

    /// Whether the server said so of this within a day: if it is listed all the same, to fetch it over and over would
    /// not help.
    pub fn was_deleted(&self, uid: &str, now: Ms) -> bool {
        self.deleted.get(uid).is_some_and(|at| now - at < DAY_MS)
    }

    /// Why it cannot be taken, if that was said already.
    pub fn refused(&self, uid: &str) -> Option<&str> {
        self.refused.get(uid).map(String::as_str)
    }

    /// Those that cannot be taken and of which nobody was told, with why.
    pub fn take_news(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.news)
    }

    /// How many stay there since they cannot be taken, as far as is known.
    pub fn stay(&self) -> u64 {
        self.refused.len() as u64
    }

    /// Remembers these. When it returns, they are durable; if they cannot be, they are known until the next start once they
    /// are read again ([`Memory::taken`]), and then written down.
    ///
    /// # Errors
    /// [`Kind::Here`].
    pub fn note(&mut self, messages: &[Remembered]) -> Result<(), Trouble> {
        if messages.is_empty() {
            return Ok(());
        }
        for message in messages {
            if let Fate::Refused(why) = &message.fate
                && !self.refused.contains_key(&message.uid)
            {
                self.news.push((message.uid.clone(), why.clone()));
            }
        }
        messages.iter().for_each(|message| self.learn(message));
        let noted = self.with(|store, account| store.note(account, messages));
        if noted.is_err() {
            for message in messages {
                self.by_uid.entry(message.uid.clone()).and_modify(|entry| entry.is_unsaved = true);
            }
        }
        noted
    }

    /// The server has listed these, and nothing else.
    ///
    /// # Errors
    /// [`Kind::Here`].
    pub fn listed(&mut self, uids: &[String], now: Ms) -> Result<(), Trouble> {
        // What is gone there stays no more.
        let there: HashSet<&String> = uids.iter().collect();
        self.refused.retain(|uid, _| there.contains(uid) || uid.starts_with('-'));
        let mut stale = Vec::new();
        for uid in uids {
            if let Some(entry) = self.by_uid.get_mut(uid).filter(|entry| now - entry.seen_ms > DAY_MS) {
                entry.seen_ms = now;
                stale.push(uid.as_str());
            }
        }
        if !stale.is_empty() {
            self.with(|store, account| store.seen(account, &stale, now))?;
        }
        let before = now - UNSEEN_MS;
        if self.by_uid.values().any(|entry| entry.seen_ms < before) {
            self.with(|store, account| store.forget_unseen(account, before))?;
            self.by_uid.retain(|_, entry| entry.seen_ms >= before || entry.fate == Now::Taking);
            self.refused.retain(|uid, _| self.by_uid.contains_key(uid));
            let stay: HashSet<[u8; 16]> = self.by_uid.values().map(|entry| entry.digest).collect();
            self.by_digest.retain(|digest, _| stay.contains(digest));
        }
        Ok(())
    }

    /// Changes what is known of the account as a whole.
    ///
    /// # Errors
    /// [`Kind::Here`].
    pub fn set_mark(&mut self, change: impl FnOnce(&mut Mark)) -> Result<(), Trouble> {
        let mut mark = self.mark.clone();
        change(&mut mark);
        if mark == self.mark {
            return Ok(());
        }
        self.mark = mark.clone();
        self.with(|store, account| store.set_mark(account, &mark))
    }

    fn with<V>(
        &self,
        change: impl FnOnce(&mut dyn Pickups, &str) -> Result<V, PickupError>,
    ) -> Result<V, Trouble> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut *store, &self.account).map_err(here)
    }
}

fn here(why: PickupError) -> Trouble {
    Trouble::new(Kind::Here, format!("what was collected cannot be remembered: {why}"))
}
