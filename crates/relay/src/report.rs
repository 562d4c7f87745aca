//! Reports (DSNs): a job of the door and the original become a message for the door.

use quell_mail::automatic::automatic;
use quell_mail::dsn::{Action, Original, Report, Told};
use quell_mail::header;
use quell_mail::id::QueueId;
use quell_queue::clock::Now;
use quell_queue::door::{Incoming, ReportJob, ReportToken, ReportedRow};

use crate::directory::{Exists, OwnMailError};
use crate::own_mail::OwnMail;
use crate::reception::Policy;

/// Why no report is made of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Only a delay was to be told, and the message is bulk or automatic mail, or nobody can say
    /// since its header is gone.
    #[error("of bulk and automatic mail no delay is told")]
    Automatic,
    /// The reverse-path is nobody's, or cannot be sent to.
    #[error("the sender cannot be told: {0}")]
    NoRecipient(#[from] OwnMailError),
}

/// A job of which no report is made, given back.
#[derive(Debug, PartialEq, Eq)]
pub struct NotMade {
    /// For [`quell_queue::door::Door::report_later`] if [`NotMade::is_for_now`], else for
    /// [`quell_queue::door::Door::report_dropped`].
    pub token: ReportToken,
    /// Why.
    pub why: Why,
}

impl NotMade {
    /// True if it may be made later.
    pub fn is_for_now(&self) -> bool {
        matches!(self.why, Why::NoRecipient(OwnMailError::CannotTell(_)))
    }
}

/// Makes the report of `job`, with the id `queue_id`. `original` is the message as stored (empty: no
/// longer there); what of it is returned is decided here.
///
/// # Errors
/// [`NotMade`]: nothing is to be told, or nobody to be told it.
pub fn make(
    job: ReportJob,
    original: Original<'_>,
    policy: &Policy,
    exists: &Exists<'_>,
    queue_id: QueueId,
    now: &Now,
) -> Result<Incoming, NotMade> {
    let rows = worth_telling(&job, original.bytes);
    if rows.is_empty() {
        return Err(NotMade { token: job.token, why: Why::Automatic });
    }
    let found = match policy.directory.own_mail_to(&job.reverse_path, exists) {
        Ok(found) => found,
        Err(why) => return Err(NotMade { token: job.token, why: why.into() }),
    };
    let message_id = format!("<{queue_id}@{}>", policy.hostname);
    let kept = job.queue_id.to_string();
    let told: Vec<_> = rows.into_iter().map(told).collect();
    let report = Report {
        host: &policy.hostname,
        to: &job.reverse_path,
        message_id: &message_id,
        date_ms: now.wall_ms,
        arrival_ms: job.received_ms,
        envid: job.envid.as_deref(),
        ret_full: job.ret_full,
        smtputf8: job.smtputf8,
        told: &told,
        collected: job.collected.then_some(&*kept),
        original,
    };
    let composed = report.compose();
    let (bytes, smtputf8) = (composed.bytes, composed.smtputf8);
    let mail = OwnMail { bytes, message_id, to: &job.reverse_path, found, smtputf8 };
    Ok(Incoming { settles: Some(job.token), ..mail.into_incoming(policy, queue_id, now) })
}

/// Of bulk and automatic mail no delay is told, nor of a message whose header is gone.
fn worth_telling<'a>(job: &'a ReportJob, original: &[u8]) -> Vec<&'a ReportedRow> {
    let header = header::split(original).0;
    let by_a_person = !header.is_empty() && automatic(header, &job.reverse_path).is_none();
    job.rows.iter().filter(|row| by_a_person || row.action != Action::Delayed).collect()
}

fn told(row: &ReportedRow) -> Told<'_> {
    Told {
        // What is behind an alias is nobody's business (RFC 3464 §4.2): where mail goes on to another
        // server, this is the address that went out.
        final_recipient: &row.as_given,
        as_given: &row.as_given,
        orcpt: row.orcpt.as_deref(),
        action: row.action,
        status: &row.status,
        remote_mta: None,
        maybe_delivered: row.maybe_delivered,
        last_attempt_ms: row.last_attempt_ms,
        will_retry_until_ms: row.will_retry_until_ms,
    }
}

#[cfg(test)]
mod tests;
