//! A message collected from a mailbox at a provider, on its way to the door.
//!
//! **Nobody is found in what its writer wrote.** Who gets it stands in the configuration; for a mailbox
//! that takes a whole domain's mail it is what the provider's own server has stamped ([`stamps`]), and only
//! people of ours. To, Cc and Bcc are never read for that, and there is no function here that does.
//!
//! **It stays in the house.** Its source names the account, so the judge gives it a permit for the
//! house only, and [`crate::route::Routes::clear`] lets its claims pass to the next hops of our own domains and
//! nowhere else. Its reverse-path is null: no report of it goes to a stranger. A failure is told to whoever
//! gets what cannot be placed.

mod placing;
mod seen;
pub mod stamps;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use quell_mail::trace::Tls;
use quell_storm::facts::{Recipient, Source};
use quell_wire::reply::Reply;
use quell_wire::server::MailFrom;

pub use self::placing::{CannotPlace, How, Placed, Placing};
use self::seen::Seen;
pub use self::stamps::{Stamp, Stamped};
use crate::directory::{Directory, Exists};
use crate::reception::{FromMailbox, Policy, Share, Spoken, Submission, Transaction, World};

/// Whose the mail of an account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// That of these addresses in our domains.
    These(Vec<String>),
    /// Of whomever the provider's server has stamped.
    Stamped(Stamp),
}

/// An account at a provider, as far as its mail is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name: letters, digits, `._@+-`.
    pub name: String,
    /// Whose its mail is.
    pub whose: Whose,
    /// Who gets what cannot be placed; None: the postmaster.
    pub unplaced: Option<String>,
}

/// Where the message comes from, for our `Received`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name, as configured.
    pub host: String,
    /// Its address.
    pub address: IpAddr,
    /// What protects the connection.
    pub tls: Option<Tls>,
    /// `POP3`, `POP3S`, `IMAP` or `IMAPS`.
    pub protocol: &'static str,
}

/// What a message is told again by: for one with an exact key that key, for others all that they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// Keyed with the installation's secret.
    pub bytes: [u8; 16],
    /// It is of an exact key: the ledger knows the message by it.
    pub is_exact: bool,
    /// Equal digests are one message: it has an exact key, or a trace, which no two transmissions share.
    /// Without both, two messages may be equal.
    pub tells: bool,
}

/// Why a message was not made ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It never will be: too much header, or too long.
    #[error("{0}")]
    Never(String),
    /// There is no room, or some trouble of our own: later.
    #[error("{0}")]
    Now(String),
}

/// A message that comes in.
pub struct Collecting {
    policy: Arc<Policy>,
    account: Arc<Account>,
    transaction: Transaction,
    seen: Option<Seen>,
    body: blake3::Hasher,
}

/// A message, read whole.
pub struct Collected {
    /// For the door, once it is completed.
    pub submission: Box<Submission>,
    /// What it is told again by.
    pub digest: Digest,
    /// Who gets it, and why.
    pub placed: Placed,
    /// Its bytes, as the provider gave it.
    pub size_bytes: u64,
    /// What it takes of the memory for messages, until it is answered.
    pub share: Share,
}

impl Collecting {
    /// A message of `account` begins.
    pub fn new(policy: Arc<Policy>, account: Arc<Account>, world: &impl World) -> Self {
        let mut transaction = Transaction::new(MailFrom::from_nobody(), &policy, None);
        transaction.begin(&policy, world);
        Self { policy, account, transaction, seen: None, body: blake3::Hasher::new() }
    }

    /// A piece of it: CRLF line ends, no dot-stuffing. What cannot be kept is told at the end.
    pub fn take(&mut self, bytes: &[u8], world: &impl World) {
        let Some(body) = self.transaction.read(bytes) else { return };
        if body.is_some() && self.seen.is_none() {
            self.see_header();
        }
        self.body.update(body.unwrap_or_default());
        self.transaction.keep(bytes, &self.policy, world);
    }

    /// Whom it is for. To be asked at its end; a header that has not ended by then is all there is.
    ///
    /// # Errors
    /// It cannot be said at the moment.
    pub fn place(&mut self, world: &impl World) -> Result<Placing, CannotPlace> {
        let (account, policy) = (Arc::clone(&self.account), Arc::clone(&self.policy));
        let exists = |domain: &str, local: &str| world.blocking(|| world.exists(domain, local));
        Placing::of(&account, &self.see_header().stamped, &policy.directory, policy.max_rows, &exists)
    }

    fn see_header(&mut self) -> &Seen {
        if self.seen.is_none() {
            let seen = Seen::of(self.transaction.header(), &self.account.whose);
            self.transaction.set_return_path(&seen.return_path);
            self.seen = Some(seen);
        }
        self.seen.get_or_insert_default()
    }

    /// Makes it ready for the door.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn finish(
        mut self,
        placed: Placed,
        server: &Server,
        world: &impl World,
    ) -> Result<Collected, NotTaken> {
        self.see_header();
        let policy = Arc::clone(&self.policy);
        let seen = self.seen.take().unwrap_or_default();
        let from = FromMailbox {
            host: &server.host,
            address: server.address,
            account: &self.account.name,
            for_: placed.recipients.first().map(|first| first.identity.as_str()),
            reports_to: placed.reports_to.clone(),
            delivered_here: &seen.delivered_here,
        };
        self.transaction.recipients = placed.recipients.iter().map(recipient).collect();
        let (address, helo) = seen.brought_by.clone().unwrap_or((server.address, String::new()));
        let pickup = Some(self.account.name.clone());
        let source = Source { address: Some(address), helo, inside: false, user: None, pickup };
        let spoken = Spoken { pickup: Some(server.protocol), tls: server.tls, ..Spoken::default() };
        let finished = self.transaction.finish_from(&policy, &source, spoken, Some(&from), world);
        let (submission, share) = finished.map_err(|reply| not_taken(&reply))?;
        let size_bytes = submission.size_bytes();
        let digest = match submission.exact_key() {
            Some(key) => digest(&policy, b"pickup exact", &key.0, true),
            None => {
                let whole = [seen.stable, *self.body.finalize().as_bytes()].concat();
                Digest { is_exact: false, ..digest(&policy, b"pickup content", &whole, seen.has_trace) }
            }
        };
        Ok(Collected { submission: Box::new(submission), digest, placed, size_bytes, share })
    }
}

/// Whom a message with this header would be for, before it is fetched.
///
/// # Errors
/// It cannot be said at the moment.
pub fn who(
    header: &[u8],
    account: &Account,
    directory: &Directory,
    exists: &Exists<'_>,
) -> Result<Placing, CannotPlace> {
    let stamped = match &account.whose {
        Whose::These(_) => Stamped::default(),
        Whose::Stamped(stamp) => stamp.read(header),
    };
    Placing::of(account, &stamped, directory, usize::MAX, exists)
}

fn digest(policy: &Policy, what: &[u8], of: &[u8], tells: bool) -> Digest {
    Digest { bytes: policy.secret.mac(what, of), is_exact: true, tells }
}

/// It goes out, if at all, to the house's own server: as its final address, after aliases.
fn recipient(resolved: &crate::directory::Resolved) -> Recipient {
    Recipient {
        identity: resolved.identity.clone(),
        as_given: resolved.identity.clone(),
        tenant: resolved.tenant.clone(),
        is_ours: true,
        notify: None,
        orcpt: None,
    }
}

fn not_taken(reply: &Reply) -> NotTaken {
    match reply.code() {
        450..=459 => NotTaken::Now(reply.text().to_owned()),
        _ => NotTaken::Never(reply.text().to_owned()),
    }
}
