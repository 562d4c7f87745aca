//! Recipients whose mail goes on to another server: the others of our domains with a next hop, and
//! other domains.

use std::net::{IpAddr, Ipv6Addr};

use quell_mail::address;

use super::{
    BadAddress, CannotTell, Directory, DomainPlan, Exists, Lookup, Name, Population, Query, Resolved,
    resolved,
};

/// Why mail that the server makes itself finds no recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnMailError {
    /// Nobody of that name in one of our domains.
    #[error("there is no such mailbox")]
    Nobody,
    /// It cannot be sent to as it is written.
    #[error(transparent)]
    Bad(#[from] BadAddress),
    /// Nobody can say at the moment.
    #[error("the mailbox cannot be looked at: {0}")]
    CannotTell(#[from] CannotTell),
}

impl Directory {
    /// Who gets mail for `address` that the server makes itself (alerts, reports): as RCPT from one
    /// of our own machines would have it, but a next hop is not asked: if it refuses the recipient,
    /// it will say so when the mail is sent.
    ///
    /// # Errors
    /// [`OwnMailError`].
    pub fn own_mail_to(&self, address: &str, exists: &Exists<'_>) -> Result<Vec<Resolved>, OwnMailError> {
        let query = Query { address, source_route: false, inside: true };
        match self.look_up(&query, exists) {
            Lookup::Local(found) => Ok(found),
            Lookup::Ask(found) | Lookup::Remote(found) => Ok(vec![found]),
            Lookup::Bad(why) => Err(why.into()),
            Lookup::CannotTell(why) => Err(why.into()),
            Lookup::UnknownUser | Lookup::NotOurs => Err(OwnMailError::Nobody),
        }
    }

    /// Neither an alias nor named nor listed, with or without its detail. What goes on to a next hop
    /// keeps its whole local part in its identity: whether that hop ignores details is not known
    /// here, and two recipients taken for one would cost one of them its mail.
    pub(super) fn look_up_others(&self, (local, domain): &Name, plan: &DomainPlan) -> Lookup {
        if plan.population == Population::Asked {
            return Lookup::Ask(resolved(local, domain));
        }
        if plan.takes_others && !plan.maildir {
            return Lookup::Local(vec![resolved(local, domain)]);
        }
        self.catch_all(domain).map_or(Lookup::UnknownUser, |to| Lookup::Local(to.to_vec()))
    }

    /// `local` as given, `domain` in normal form.
    pub(super) fn look_up_remote(&self, local: &str, domain: String) -> Lookup {
        if domain.starts_with('[') {
            match literal_address(&domain) {
                None => return Lookup::Bad(BadAddress::Malformed),
                Some(_) if !self.address_literals => return Lookup::Bad(BadAddress::Literal),
                Some(_) => {}
            }
        }
        remote(local, domain).map_or(Lookup::Bad(BadAddress::Malformed), Lookup::Remote)
    }
}

/// The final address of a recipient elsewhere: the local part means what its own server makes of
/// it, so its case stays (RFC 5321 §2.4). Quotes that it does not need say nothing (§4.1.2) and go.
fn remote(local: &str, domain: String) -> Option<Resolved> {
    let local = address::normal_local(local).ok()?.into_owned();
    Some(Resolved {
        identity: format!("{local}@{domain}"),
        tenant: domain.clone(),
        domain,
        mailbox: local,
        goes_out: None,
    })
}

/// The address of a literal in lower case, brackets included (RFC 5321 §4.1.3).
fn literal_address(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    match inner.strip_prefix("ipv6:") {
        Some(address) => address.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => inner.parse().ok().filter(IpAddr::is_ipv4),
    }
}
