//! `ledger forget`: deliveries that a restored mailbox has lost are made possible again.

use quell_mail::address::{normal_domain, normal_local, split};
use quell_queue::door::Door;
use quell_queue::store::{Reader, Row, RowId};
use quell_storm::facts::{Ms, RowState};

use super::answer::{away, bad};
use super::queue::{row_id, row_ref, slice};
use super::{Failure, Forgotten, RowRef, SLICE, State};

/// Whose rows are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// Local part in lower case, and domain.
    Address(String, String),
    /// All of a domain.
    Domain(String),
}

impl To {
    /// Reads an address or a domain; the domain is brought to its lower-case A-label.
    ///
    /// # Errors
    /// In words, what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{} is neither an address nor a domain", super::shown(text));
        if !text.contains('@') {
            return Ok(Self::Domain(normal_domain(text).map_err(|_| wrong())?));
        }
        let (local, domain) = split(text).ok_or_else(wrong)?;
        normal_local(local).map_err(|_| wrong())?;
        Ok(Self::Address(local.to_lowercase(), normal_domain(domain).map_err(|_| wrong())?))
    }

    /// Whether the address is meant; letter case does not matter.
    pub fn means(&self, address: &str) -> bool {
        let Some((local, domain)) = split(address) else { return false };
        let is = |wanted: &str| {
            domain.eq_ignore_ascii_case(wanted) || normal_domain(domain).is_ok_and(|d| d == wanted)
        };
        match self {
            Self::Domain(wanted) => is(wanted),
            Self::Address(wanted, of) => local.to_lowercase() == *wanted && is(of),
        }
    }

    /// Whether the row's recipient, or the address it was given, is meant.
    pub fn means_row(&self, row: &Row) -> bool {
        self.means(&row.id.rcpt) || row.extra.as_given.as_deref().is_some_and(|given| self.means(given))
    }
}

pub(super) fn forget<R: Reader, T>(
    door: &mut Door<R, T>,
    to: &str,
    since: Ms,
    after: Option<&RowRef>,
) -> Result<Forgotten, Failure> {
    let to = To::parse(to).map_err(bad)?;
    let after = after.map(row_id).transpose()?;
    let rows = slice(door, &[State::Delivered, State::Relayed], after.as_ref())?;
    let next = (rows.len() == SLICE).then(|| rows.last().map(|row| row_ref(&row.id))).flatten();
    let sent = |row: &&Row| matches!(row.state, RowState::Delivered | RowState::Relayed);
    let examined = rows.iter().filter(sent).count() as u64;
    let meant: Vec<RowId> = rows.iter().filter(|row| to.means_row(row)).map(|row| row.id.clone()).collect();
    let forgotten = door.forget(&meant, since).map_err(away)? as u64;
    Ok(Forgotten { forgotten, examined, next })
}
