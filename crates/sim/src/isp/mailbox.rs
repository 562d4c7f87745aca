//! The mailboxes of an ISP, in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::content::Content;
use crate::host::Conn;

/// Recipients whose arrivals are counted singly; further ones are counted with their mailbox only.
const MAX_COUNTED_RECIPIENTS: usize = 100_000;

/// A mailbox that takes everything for one domain, as firms had that collected their mail by POP3.
#[derive(Debug, Clone)]
pub struct MailboxSettings {
    /// By which it is signed in to.
    pub user: Arc<str>,
    /// By which it is signed in to.
    pub password: String,
    /// All addresses of this domain, in lower case, are in it.
    pub domain: String,
}

/// A message in a mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// For UIDL; never used again in this mailbox.
    pub uid: u64,
    pub content: Content,
    pub bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Mailbox {
    pub user: Arc<str>,
    password: String,
    messages: VecDeque<Stored>,
    last_uid: u64,
    /// RFC 1939 §4: one session at a time has the maildrop.
    used_by: Option<Conn>,
}

/// What is in the way of signing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// User or password are wrong.
    Credentials,
    /// Another session has it.
    InUse,
}

/// All of them, and what came in.
#[derive(Debug)]
pub(crate) struct Mailboxes {
    all: Vec<Mailbox>,
    by_domain: BTreeMap<String, usize>,
    by_user: BTreeMap<Arc<str>, usize>,
    max_messages: usize,
    arrivals: BTreeMap<Arc<str>, u64>,
}

impl Mailboxes {
    pub fn new(settings: Vec<MailboxSettings>, max_messages: usize) -> Self {
        let mut mailboxes = Self {
            all: Vec::with_capacity(settings.len()),
            by_domain: BTreeMap::new(),
            by_user: BTreeMap::new(),
            max_messages,
            arrivals: BTreeMap::new(),
        };
        for (place, MailboxSettings { user, password, domain }) in settings.into_iter().enumerate() {
            mailboxes.by_domain.insert(domain, place);
            mailboxes.by_user.insert(user.clone(), place);
            let (messages, last_uid, used_by) = (VecDeque::new(), 0, None);
            mailboxes.all.push(Mailbox { user, password, messages, last_uid, used_by });
        }
        mailboxes
    }

    /// The mailbox of an address, by its domain in lower case.
    pub fn of_domain(&self, domain: &str) -> Option<usize> {
        self.by_domain.get(domain).copied()
    }

    /// Whether one more message would be kept.
    pub fn has_room(&self, mailbox: usize) -> bool {
        self.all.get(mailbox).is_some_and(|found| found.messages.len() < self.max_messages)
    }

    /// Puts a message into a mailbox; its user, and the recipient as it is counted.
    pub fn put(&mut self, mailbox: usize, recipient: &str, content: Content) -> Option<(Arc<str>, Arc<str>)> {
        if !self.has_room(mailbox) {
            return None;
        }
        let counted = self.count(recipient);
        let found = self.all.get_mut(mailbox)?;
        found.last_uid += 1;
        let bytes = content.bytes();
        found.messages.push_back(Stored { uid: found.last_uid, content, bytes });
        Some((found.user.clone(), counted))
    }

    fn count(&mut self, recipient: &str) -> Arc<str> {
        if let Some((known, _)) = self.arrivals.get_key_value(recipient) {
            let known = known.clone();
            *self.arrivals.entry(known.clone()).or_default() += 1;
            return known;
        }
        let new: Arc<str> = Arc::from(recipient);
        if self.arrivals.len() < MAX_COUNTED_RECIPIENTS {
            self.arrivals.insert(new.clone(), 1);
        }
        new
    }

    /// How much came in for each recipient.
    pub fn arrivals(&self) -> &BTreeMap<Arc<str>, u64> {
        &self.arrivals
    }

    /// Signs in.
    pub fn open(&mut self, user: &str, password: &[u8], session: Conn) -> Result<usize, NotOpened> {
        let place = self.by_user.get(user).copied().ok_or(NotOpened::Credentials)?;
        let mailbox = self.all.get_mut(place).ok_or(NotOpened::Credentials)?;
        match mailbox.used_by {
            _ if mailbox.password.as_bytes() != password => Err(NotOpened::Credentials),
            Some(_) => Err(NotOpened::InUse),
            None => {
                mailbox.used_by = Some(session);
                Ok(place)
            }
        }
    }

    /// The session is over.
    pub fn close(&mut self, session: Conn) {
        let theirs = self.all.iter_mut().filter(|mailbox| mailbox.used_by == Some(session));
        theirs.for_each(|mailbox| mailbox.used_by = None);
    }

    /// The first messages of a mailbox, `most` of them.
    pub fn first(&self, mailbox: usize, most: usize) -> Vec<Stored> {
        self.all
            .get(mailbox)
            .map(|found| found.messages.iter().take(most).cloned().collect())
            .unwrap_or_default()
    }

    /// All messages of a user.
    pub fn messages(&self, user: &str) -> Vec<Vec<u8>> {
        let mailbox = self.by_user.get(user).and_then(|place| self.all.get(*place));
        mailbox
            .into_iter()
            .flat_map(|found| found.messages.iter().map(|stored| stored.content.to_vec()))
            .collect()
    }

    /// Takes messages out, by their uids in rising order.
    pub fn remove(&mut self, mailbox: usize, uids: &[u64]) {
        if let Some(found) = self.all.get_mut(mailbox) {
            found.messages.retain(|message| uids.binary_search(&message.uid).is_err());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailboxes(max_messages: usize) -> Mailboxes {
        let settings = |name: &str| MailboxSettings {
            user: Arc::from(name),
            password: "secret".to_owned(),
            domain: format!("{name}.example"),
        };
        Mailboxes::new(vec![settings("one"), settings("two")], max_messages)
    }

    fn content() -> Content {
        Content::from(b"A: b\r\n\r\nc\r\n".to_vec())
    }

    #[test]
    fn everything_for_a_domain_is_in_its_mailbox_until_it_is_full() {
        let mut mailboxes = mailboxes(3);
        let two = mailboxes.of_domain("two.example").unwrap();
        for recipient in ["a@two.example", "b@two.example", "a@two.example"] {
            assert!(mailboxes.put(two, recipient, content()).is_some());
        }
        assert!(!mailboxes.has_room(two) && mailboxes.put(two, "a@two.example", content()).is_none());
        assert_eq!(mailboxes.arrivals().get("a@two.example"), Some(&2));
        mailboxes.remove(two, &[1, 3]);
        assert_eq!(mailboxes.first(two, 9).iter().map(|stored| stored.uid).collect::<Vec<_>>(), [2]);
        mailboxes.put(two, "a@two.example", content());
        assert_eq!(mailboxes.first(two, 9)[1].uid, 4, "a uid is used once");
        assert_eq!(mailboxes.of_domain("three.example"), None);
        assert!(mailboxes.first(0, 9).is_empty());
    }

    #[test]
    fn one_session_at_a_time() {
        let mut mailboxes = mailboxes(3);
        let (first, second) = (Conn::accepted(1), Conn::accepted(2));
        assert_eq!(mailboxes.open("one", b"guess", first), Err(NotOpened::Credentials));
        assert_eq!(mailboxes.open("six", b"secret", first), Err(NotOpened::Credentials));
        assert_eq!(mailboxes.open("one", b"secret", first), Ok(0));
        assert_eq!(mailboxes.open("one", b"secret", second), Err(NotOpened::InUse));
        assert_eq!(mailboxes.open("two", b"secret", second), Ok(1));
        mailboxes.close(first);
        assert_eq!(mailboxes.open("one", b"secret", second), Ok(0));
    }
}
