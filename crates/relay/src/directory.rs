//! Who a recipient is: domains, mailboxes, aliases, postmaster, compiled once from the
//! configuration and asked at every RCPT. Holds no file and no socket: whether a mailbox exists
//! is answered by the caller.

use std::collections::{BTreeMap, HashMap, HashSet};

mod compile;
mod names;
mod others;

pub use others::OwnMailError;

use names::{joined, normal};

/// Most final addresses that one alias may expand to; more is an error of the configuration.
pub const MAX_ALIAS_TARGETS: usize = 1_000;
/// Most aliases one behind the other; more is an error of the configuration.
pub const MAX_ALIAS_DEPTH: usize = 50;

/// Who exists in a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Population {
    /// Those listed (local parts in normal form).
    Listed(HashSet<String>),
    /// Whoever has a mailbox; the caller of [`Directory::look_up`] says who.
    Existing,
    /// Whomever the domain's next hop takes: it is asked.
    Asked,
}

/// One of our domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainPlan {
    /// Lower-case A-label.
    pub name: String,
    /// Its mail is kept here, in Maildirs; otherwise it goes on to a next hop.
    pub maildir: bool,
    /// Who exists. [`Population::Existing`] is for Maildirs, [`Population::Asked`] for a next hop.
    pub population: Population,
    /// `"*"` is listed: all others are taken too.
    pub takes_others: bool,
    /// Where the others' mail goes: an address; None: where the postmaster's goes. With a next hop
    /// it goes on as it is, and this is None.
    pub catch_all: Option<String>,
}

/// What a directory is made from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The server's own name: the postmaster's domain where there is no other.
    pub hostname: String,
    /// Our domains, in the order of the configuration: the first is the postmaster's.
    pub domains: Vec<DomainPlan>,
    /// Where postmaster@ any of our domains goes; None: a mailbox of that name in the first domain.
    pub postmaster: Option<String>,
    /// Alias address → addresses that get its mail.
    pub aliases: BTreeMap<String, Vec<String>>,
    /// Our own machines may send to `user@[192.0.2.1]`.
    pub address_literals: bool,
}

/// A fault of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// An address that is none.
    #[error("\"{address}\" is not an address in one of our domains")]
    NotLocal {
        /// Where it stands.
        place: Place,
        /// As written.
        address: String,
    },
    /// Nobody of that name exists.
    #[error("nobody has the address \"{address}\": list it among the domain's recipients")]
    Nobody {
        /// Where it stands.
        place: Place,
        /// As written.
        address: String,
    },
    /// An alias that leads back to itself.
    #[error("the alias leads back to itself through \"{address}\"")]
    AliasLoop {
        /// Where it stands.
        place: Place,
        /// Where the circle closes.
        address: String,
    },
    /// Over [`MAX_ALIAS_DEPTH`] or [`MAX_ALIAS_TARGETS`].
    #[error("the alias is too large: at most {MAX_ALIAS_TARGETS} addresses, {MAX_ALIAS_DEPTH} aliases deep")]
    AliasTooLarge {
        /// Where it stands.
        place: Place,
    },
}

/// The part of the plan in which a fault lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `[server] postmaster`.
    Postmaster,
    /// `catch_all` of this domain.
    CatchAll(String),
    /// The alias of this address, as written.
    Alias(String),
}

/// A final address: one ledger row, one mailbox, here or elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resolved {
    /// Recipient identity (DESIGN.md, "Words").
    pub identity: String,
    /// Whom its row is counted for: the domain.
    pub tenant: String,
    /// Lower-case A-label, or an address literal in lower case.
    pub domain: String,
    /// Local part of the mailbox: in our domains in lower case, unquoted, not yet escaped for a path;
    /// in others as it was given.
    pub mailbox: String,
    /// The address that is sent to, if it is not the one that was given. None for what is kept here.
    pub goes_out: Option<String>,
}

/// Why an address is refused whoever it may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// No domain, or one that is none.
    #[error("not an address")]
    Malformed,
    /// RFC 5321 §4.1.1.3 and appendix C: a route, given from outside.
    #[error("source routes are not taken")]
    SourceRoute,
    /// Unquoted `@`, `%` or `!` in the local part, given from outside.
    #[error("routes in the local part are not taken")]
    RoutedLocalPart,
    /// `user@[192.0.2.1]` from our own machines, which the configuration does not allow.
    #[error("address literals are not sent to")]
    Literal,
}

/// The answer to RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// Ours: these get it, each once; more than one only by an alias.
    Local(Vec<Resolved>),
    /// Ours, if the domain's next hop takes it: it has to be asked.
    Ask(Resolved),
    /// Another domain, from one of our own machines: it is sent on.
    Remote(Resolved),
    /// Our domain, but nobody of that name: 550 5.1.1.
    UnknownUser,
    /// Another domain, from outside: 550 5.7.1.
    NotOurs,
    /// Refused as it is written.
    Bad(BadAddress),
    /// Nobody can say at the moment: 451, since "no such user" would be final.
    CannotTell(CannotTell),
}

/// Why it cannot be said whether a mailbox exists: in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CannotTell(pub String);

/// A recipient as RCPT gave it.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The address without angle brackets and route.
    pub address: &'a str,
    /// There was a source route before it.
    pub source_route: bool,
    /// The client is in `[relay] from`.
    pub inside: bool,
}

/// The compiled answer to "who is this recipient".
#[derive(Debug, Clone, Default)]
pub struct Directory {
    domains: HashMap<String, DomainPlan>,
    order: Vec<String>,
    postmaster: Vec<Resolved>,
    catch_all: HashMap<String, Vec<Resolved>>,
    aliases: HashMap<Name, Vec<Resolved>>,
    /// Mailboxes that the configuration names outside of lists.
    named: HashSet<Name>,
    address_literals: bool,
    /// Lower-case A-label.
    hostname: String,
}

/// `(domain, local)`: is a mailbox of that name there?
pub type Exists<'a> = dyn Fn(&str, &str) -> Result<bool, CannotTell> + 'a;

/// A local part (unquoted, lower case) and a domain (lower-case A-label).
type Name = (String, String);

impl Directory {
    /// Compiles `plan`; all faults are returned, not the first alone.
    pub fn new(plan: &Plan) -> Result<Self, Vec<PlanError>> {
        compile::compile(plan)
    }

    /// Who `query` is. `exists(domain, local)` says whether a mailbox of that name is there; it is
    /// asked only for domains without a list.
    pub fn look_up(&self, query: &Query<'_>, exists: &Exists<'_>) -> Lookup {
        if query.address.eq_ignore_ascii_case("postmaster") {
            return self.postmaster_answer();
        }
        if query.source_route && !query.inside {
            return Lookup::Bad(BadAddress::SourceRoute);
        }
        let Some((raw_local, domain)) = names::split(query.address) else {
            return Lookup::Bad(BadAddress::Malformed);
        };
        if !query.inside && names::local_is_risky_from_outside(raw_local) {
            return Lookup::Bad(BadAddress::RoutedLocalPart);
        }
        let Some(name) = normal(raw_local, domain) else {
            return Lookup::Bad(BadAddress::Malformed);
        };
        match self.domains.get(&name.1) {
            Some(domain) => self.look_up_local(&name, domain, exists),
            // Reports and alerts come from there, and are answered by people.
            None if name.0 == "postmaster" && name.1 == self.hostname => self.postmaster_answer(),
            None if query.inside => self.look_up_remote(raw_local, name.1),
            None => Lookup::NotOurs,
        }
    }

    /// True if mail for `domain` (lower-case A-label) is taken here.
    pub fn is_ours(&self, domain: &str) -> bool {
        self.domains.contains_key(domain)
    }

    /// The domain of that name (lower-case A-label), if it is ours.
    pub fn domain(&self, name: &str) -> Option<&DomainPlan> {
        self.domains.get(name)
    }

    /// True if mail for `domain` (lower-case A-label) is kept here.
    pub fn has_maildirs(&self, domain: &str) -> bool {
        self.domains.get(domain).is_some_and(|domain| domain.maildir)
    }

    /// Our domains, in the order of the configuration.
    pub fn domains(&self) -> impl Iterator<Item = &DomainPlan> {
        self.order.iter().filter_map(|name| self.domains.get(name))
    }

    /// Who gets the postmaster's mail.
    pub fn postmaster(&self) -> &[Resolved] {
        &self.postmaster
    }

    /// Who gets the mail of an alias; aliases in no particular order.
    pub fn aliases(&self) -> impl Iterator<Item = (String, &[Resolved])> {
        self.aliases.iter().map(|((local, domain), to)| (joined(local, domain), to.as_slice()))
    }

    /// Who gets the mail for all others in `domain`; None if they are refused, or go on to the next
    /// hop each under their own address.
    pub fn catch_all(&self, domain: &str) -> Option<&[Resolved]> {
        let plan = self.domains.get(domain)?;
        (plan.takes_others && plan.maildir)
            .then(|| self.catch_all.get(domain).unwrap_or(&self.postmaster).as_slice())
    }

    /// Every mailbox that the configuration names in a domain with Maildirs, sorted: these are made
    /// at the start.
    pub fn named_mailboxes(&self) -> Vec<Resolved> {
        let here = self.named.iter().filter(|(_, domain)| self.has_maildirs(domain));
        let mut all: Vec<_> = here.map(|(l, d)| resolved(l, d)).collect();
        for domain in self.domains().filter(|domain| domain.maildir) {
            if let Population::Listed(locals) = &domain.population {
                all.extend(locals.iter().map(|local| resolved(local, &domain.name)));
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// True if the configuration names this mailbox: it should be there.
    pub fn names(&self, mailbox: &Resolved) -> bool {
        let listed = self.domains.get(&mailbox.domain).map(|domain| &domain.population);
        matches!(listed, Some(Population::Listed(locals)) if locals.contains(&mailbox.mailbox))
            || self.named.contains(&(mailbox.mailbox.clone(), mailbox.domain.clone()))
    }

    fn look_up_local(&self, name: &Name, plan: &DomainPlan, exists: &Exists<'_>) -> Lookup {
        let (whole, domain) = name;
        for local in [whole.as_str(), names::strip_detail(whole)] {
            if let Some(targets) = self.aliases.get(&(local.to_owned(), domain.clone())) {
                return Lookup::Local(targets.clone());
            }
            if local == "postmaster" {
                return self.postmaster_answer();
            }
            let found = match &plan.population {
                // What its next hop makes of a detail is not known: it is asked for all of it.
                Population::Asked if local != whole => Ok(false),
                _ if self.named.contains(&(local.to_owned(), domain.clone())) => Ok(true),
                Population::Listed(locals) => Ok(locals.contains(local)),
                Population::Existing => exists(domain, local),
                Population::Asked => Ok(false),
            };
            match found {
                Ok(true) => return Lookup::Local(vec![resolved(local, domain)]),
                Ok(false) => {}
                Err(why) => return Lookup::CannotTell(why),
            }
        }
        self.look_up_others(name, plan)
    }

    fn postmaster_answer(&self) -> Lookup {
        Lookup::Local(self.postmaster.clone())
    }
}

/// The mailbox of a recipient identity. Aliases were followed when the mail arrived, so they are not
/// looked at again: what they say now is for later mail. None for what is no address.
pub fn mailbox_of(identity: &str) -> Option<Resolved> {
    let (local, domain) = names::split(identity)?;
    let (local, domain) = normal(local, domain)?;
    Some(resolved(&local, &domain))
}

/// The final address of a mailbox, met under its own name.
fn resolved(local: &str, domain: &str) -> Resolved {
    Resolved {
        identity: joined(local, domain),
        tenant: domain.to_owned(),
        domain: domain.to_owned(),
        mailbox: local.to_owned(),
        goes_out: None,
    }
}

/// A local part in normal form: unquoted, lower case. None if it is none.
pub fn normal_local(local: &str) -> Option<String> {
    names::normal_local(local)
}

/// A domain in normal form: lower-case A-label. None if it is none.
pub fn normal_domain(domain: &str) -> Option<String> {
    names::normal_domain(domain)
}

#[cfg(test)]
mod tests;
