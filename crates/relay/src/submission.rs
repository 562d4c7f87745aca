//! What submission asks of whoever has signed in (RFC 6409 §6, §8): that they write under their own
//! addresses, and a Message-ID and a Date where their program has put none.
//!
//! Bound to the user are the reverse-path, every mailbox in From, and Sender. Both fields are read
//! strictly ([`mailboxes`]): what one reader passes over, another takes for the author. Resent- fields are
//! not looked at, and count for nothing: whoever sends a stranger's message on must do it under their own
//! name. Bcc stays as it is; to leave it out is the program's business (RFC 5322 §3.6.3).
//!
//! A message that gets a Message-ID or a Date has the exact key of the message *with* them: what
//! other servers make of it later is known as its copy. Both are of this arrival, so the same message
//! handed in once more by a program that puts none in is another one, and no copy.

#[cfg(test)]
mod tests;

use quell_mail::address::{Mailbox, lower_local, normal_domain, strip_detail};
use quell_mail::date;
use quell_mail::header::{Field, fields};
use quell_mail::id::QueueId;
use quell_mail::mailbox_list::{Unclear, mailboxes};
use quell_mail::reading::Missing;
use quell_wire::path::Path;
use quell_wire::reply::Reply;

/// Characters of an address that a refusal says.
const MAX_SHOWN_CHARS: usize = 320;

/// Somebody who has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name by which they are counted.
    pub name: String,
    /// The addresses they write under; `*@domain` for all of a domain. One that is no address is
    /// nobody's.
    pub addresses: Vec<String>,
}

impl User {
    /// Whether they may write as `address`: in any case of letters, however the domain is written,
    /// and with any `+detail`.
    pub fn may_use(&self, address: &str) -> bool {
        let Ok(Mailbox { local, domain }) = Mailbox::parse(address) else { return false };
        let local = lower_local(&local);
        self.addresses.iter().any(|own| match own.strip_prefix("*@") {
            Some(own) => normal_domain(own).is_ok_and(|own| own == domain),
            None => Mailbox::parse(own).is_ok_and(|own| {
                let own_local = lower_local(&own.local);
                own.domain == domain && (own_local == local || own_local == strip_detail(&local))
            }),
        })
    }
}

/// Whether the user may give this reverse-path. The null one may be given by anybody: a program that
/// confirms that a message was read has to (RFC 8098 §3), and From is bound all the same.
pub(crate) fn check_reverse_path(user: &User, path: &Path) -> Result<(), Reply> {
    if path.is_null() || user.may_use(path.address()) {
        Ok(())
    } else {
        Err(not_yours("MAIL FROM", path.address()))
    }
}

/// Whether the user may send a message with this header.
pub(crate) fn check_header(user: &User, header: &[u8]) -> Result<(), Reply> {
    match check_field(user, header, "From")? {
        0 => Err(no_author("it has no From")),
        _ => check_field(user, header, "Sender").map(drop),
    }
}

/// Checks the one field of that name: how many there are.
fn check_field(user: &User, header: &[u8], name: &'static str) -> Result<usize, Reply> {
    let mut found = fields(header).filter(|field| field.is(name));
    let Some(Field { value, .. }) = found.next() else { return Ok(0) };
    if found.next().is_some() {
        return Err(no_author(&format!("it has more than one {name}")));
    }
    for address in mailboxes(value).map_err(|why| unclear(name, why))? {
        if !user.may_use(address) {
            return Err(not_yours(name, address));
        }
    }
    Ok(1)
}

/// The fields that a message gets if it has none, for an arrival at `wall_ms`.
pub(crate) fn missing(queue_id: QueueId, hostname: &str, wall_ms: i64) -> Missing {
    Missing { message_id: format!("<{queue_id}@{hostname}>"), date: date::print(wall_ms) }
}

fn not_yours(place: &str, address: &str) -> Reply {
    let shown: String = address.trim().chars().filter(|c| !c.is_control()).take(MAX_SHOWN_CHARS).collect();
    let text = format!(
        "<{shown}> in {place} is not yours: write under one of your own addresses, or have the postmaster add this one to them"
    );
    Reply::new(550, (7, 1), text)
}

fn unclear(name: &str, why: Unclear) -> Reply {
    let text = format!(
        "{name} cannot be read: {why}; write it as Jane Doe <jane@example.org>, a name with special characters in quotes, a comma between two (RFC 5322 3.4)"
    );
    Reply::new(550, (6, 0), text)
}

/// RFC 6409 §8.1 lets us add a From, but nobody knows under which of their addresses they write.
fn no_author(what: &str) -> Reply {
    Reply::new(550, (6, 0), format!("The message does not say who wrote it: {what} (RFC 5322 3.6)"))
}
