//! Who gets a collected message: found in the configuration and in the provider's stamp, and among our own
//! people only.

use std::collections::VecDeque;

use super::stamps::Stamped;
use super::{Account, Whose};
use crate::directory::{Directory, Exists, Lookup, Query, Resolved};
use crate::reception::{Ask, Asked};

/// It cannot be said who gets it; in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotPlace {
    /// Somebody who is configured is not there: a person has to mend it.
    #[error("{0}")]
    Nobody(String),
    /// It cannot be said at the moment.
    #[error("{0}")]
    NotNow(String),
}

/// Why somebody gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The configuration names them.
    Configured,
    /// The provider's stamp does.
    Stamped,
    /// None of the provider's hosts has stamped it.
    NotByHost,
    /// The stamp names nobody.
    NoStamp,
    /// Nobody whom the stamp names is one of ours.
    NotOurs,
}

impl How {
    /// In words for the operator.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Configured => "as configured",
            Self::Stamped => "as the provider stamped it",
            Self::NotByHost => "not stamped by any of the hosts in `stamped_by`",
            Self::NoStamp => "the provider's stamp names nobody",
            Self::NotOurs => "the provider's stamp names nobody of ours",
        }
    }
}

/// Who gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// At least one, each once, all in our domains.
    pub recipients: Vec<Resolved>,
    /// Why they do.
    pub how: How,
    /// Who is told of a failure.
    pub reports_to: Option<String>,
}

/// On the way to that: some may have to be asked of a next hop.
#[derive(Debug)]
pub struct Placing {
    found: Vec<Resolved>,
    to_ask: VecDeque<Resolved>,
    how: How,
    unplaced: Vec<Resolved>,
    max: usize,
    too_many: bool,
}

impl Placing {
    /// Of what is configured and stamped.
    pub(super) fn of(
        account: &Account,
        stamped: &Stamped,
        directory: &Directory,
        max: usize,
        exists: &Exists<'_>,
    ) -> Result<Self, CannotPlace> {
        let (addresses, how): (&[String], How) = match (&account.whose, stamped) {
            (Whose::These(these), _) => (these, How::Configured),
            (Whose::Stamped(_), Stamped::For(these)) => (these, How::Stamped),
            (Whose::Stamped(_), Stamped::Nobody) => (&[], How::NoStamp),
            (Whose::Stamped(_), Stamped::NotByHost) => (&[], How::NotByHost),
        };
        let unplaced = unplaced(account, directory, exists)?;
        let (found, to_ask) = (Vec::new(), VecDeque::new());
        let mut placing = Self { found, to_ask, how, unplaced, max, too_many: false };
        for address in addresses {
            match look_up(address, directory, exists)? {
                Lookup::Local(these) => placing.add(these, directory),
                // Who stands in the configuration is there; if not, the next hop says so.
                Lookup::Ask(this) if how == How::Configured => placing.add(vec![this], directory),
                Lookup::Ask(this) => placing.to_ask.push_back(this),
                // It stays where it is until that is mended: somebody's mail is nobody else's.
                _ if how == How::Configured => {
                    let why = format!(
                        "nobody here has the address {address}: `quell mailbox add {address}` makes a mailbox, or correct `to`"
                    );
                    return Err(CannotPlace::Nobody(why));
                }
                _ => {}
            }
        }
        Ok(placing)
    }

    fn add(&mut self, these: Vec<Resolved>, directory: &Directory) {
        for this in these {
            let is_new = directory.is_ours(&this.domain) && !self.found.contains(&this);
            if is_new {
                self.push(this);
            }
        }
    }

    /// Nobody is left out in silence.
    fn push(&mut self, this: Resolved) {
        match self.found.len() < self.max {
            true => self.found.push(this),
            false => self.too_many = true,
        }
    }

    /// Whom a next hop has to be asked about, with the answer to [`Placing::asked`].
    pub fn to_ask(&self) -> Option<Ask> {
        let this = self.to_ask.front()?;
        let (address, identity) = (this.identity.clone(), this.identity.clone());
        Some(Ask { address, identity, from_nobody: true })
    }

    /// What the next hop said of the one that is [`Placing::to_ask`].
    ///
    /// # Errors
    /// It cannot be said at the moment.
    pub fn asked(&mut self, asked: Asked) -> Result<(), CannotPlace> {
        let Some(this) = self.to_ask.pop_front() else { return Ok(()) };
        match asked {
            Asked::Exists if !self.found.contains(&this) => self.push(this),
            Asked::Exists | Asked::Unknown => {}
            Asked::CannotTell => {
                let why = format!("the server of {} cannot be asked about {}", this.domain, this.identity);
                return Err(CannotPlace::NotNow(why));
            }
        }
        Ok(())
    }

    /// Who gets it: if nobody else, whoever gets what cannot be placed.
    ///
    /// # Errors
    /// There is no such mailbox either, or there are more people than one message may be for.
    pub fn placed(self) -> Result<Placed, CannotPlace> {
        if self.too_many {
            let why = format!("it is for more than {} ([smtp] max_recipients)", self.max);
            return Err(CannotPlace::Nobody(why));
        }
        let Self { found, unplaced, how, .. } = self;
        let reports_to = unplaced.first().map(|first| first.identity.clone());
        let (recipients, how) = match (found.is_empty(), how) {
            (false, how) => (found, how),
            (true, How::Configured | How::Stamped) => (unplaced, How::NotOurs),
            (true, how) => (unplaced, how),
        };
        if recipients.is_empty() {
            let why = "there is no mailbox for what cannot be placed: set `unplaced`, or [server] postmaster";
            return Err(CannotPlace::Nobody(why.to_owned()));
        }
        Ok(Placed { recipients, how, reports_to })
    }
}

/// As a server outside would be answered: nobody else's domain, no routes.
fn look_up(address: &str, directory: &Directory, exists: &Exists<'_>) -> Result<Lookup, CannotPlace> {
    let query = Query { address, source_route: false, inside: false };
    match directory.look_up(&query, exists) {
        Lookup::CannotTell(why) => Err(CannotPlace::NotNow(why.to_string())),
        found => Ok(found),
    }
}

fn unplaced(
    account: &Account,
    directory: &Directory,
    exists: &Exists<'_>,
) -> Result<Vec<Resolved>, CannotPlace> {
    let ours = |these: Vec<Resolved>| -> Vec<Resolved> {
        these.into_iter().filter(|this| directory.is_ours(&this.domain)).collect()
    };
    let postmaster = || ours(directory.postmaster().to_vec());
    let Some(address) = &account.unplaced else { return Ok(postmaster()) };
    Ok(match look_up(address, directory, exists)? {
        Lookup::Local(these) if !these.is_empty() => ours(these),
        Lookup::Ask(this) => vec![this],
        // It was there when the configuration was read.
        _ => postmaster(),
    })
}
