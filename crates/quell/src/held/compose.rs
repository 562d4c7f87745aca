//! A digest: who gets it, and what is in it.

use std::collections::HashMap;
use std::io::{self, Read};

use quell_mail::digest::{Digest, Entry, Frame, Reader};
use quell_mail::id::QueueId;
use quell_queue::body::SpoolReader;
use quell_queue::clock::Now;
use quell_queue::door::{DigestFor, DigestJob, HeldMessage, Incoming};
use quell_queue::ledger::KEEP_DISCARDED_MS;
use quell_relay::directory::{Exists, Resolved, normal_domain};
use quell_relay::own_mail::OwnMail;
use quell_relay::reception::Policy;
use quell_storm::verdict::Class;
use tracing::warn;

/// Of a message that is not attached so much is read, for its header.
const HEADER_BYTES: u64 = 16 << 10;
/// Our own `Received`, at most.
const FRONT_BYTES: u64 = 4 << 10;
/// Recipients of one message that are named.
const NAMED: usize = 10;
const DAY_MS: i64 = 86_400_000;

/// A held message, and the recipients it is held for.
type Message<'a> = (&'a HeldMessage, Vec<&'a str>);

/// Who gets a digest.
#[derive(Debug)]
pub struct Whom {
    /// As which of them it is written.
    reader: Reader,
    /// Addresses for `To`.
    to: Vec<String>,
    found: Vec<Resolved>,
}

/// True for an address in one of our domains.
pub fn is_ours(policy: &Policy, address: &str) -> bool {
    let domain = address.rsplit_once('@').and_then(|(_, domain)| normal_domain(domain));
    domain.is_some_and(|domain| policy.directory.is_ours(&domain))
}

/// Who gets the digest for `to`: where the recipient or the sender is nobody any more, the operator
/// does, that is `[tell] mail` or the postmaster. None: nobody can be found, or told apart, now.
pub fn whom(to: &DigestFor, policy: &Policy, operator: Option<&str>, exists: &Exists<'_>) -> Option<Whom> {
    let find = |address: &str| policy.directory.own_mail_to(address, exists).ok().filter(|f| !f.is_empty());
    let operator = operator.map_or_else(|| format!("postmaster@{}", policy.hostname), str::to_owned);
    let mut whom = match to {
        DigestFor::Recipient(address) => {
            find(address).map(|found| Whom { reader: Reader::Recipient, to: vec![address.clone()], found })
        }
        DigestFor::Sender(address) => {
            find(address).map(|found| Whom { reader: Reader::Sender, to: vec![address.clone()], found })
        }
        DigestFor::Operator => None,
    };
    if let Some(whom) = whom.as_mut().filter(|whom| whom.reader == Reader::Sender) {
        whom.found.extend(find(&operator).unwrap_or_default());
        whom.to.push(operator.clone());
    }
    whom.or_else(|| find(&operator).map(|found| Whom { reader: Reader::Operator, to: vec![operator], found }))
}

/// The digest of `job`, ready for the door.
pub fn compose(
    job: DigestJob,
    whom: Whom,
    policy: &Policy,
    bodies: &SpoolReader,
    queue_id: QueueId,
    now: &Now,
) -> Incoming {
    let message_id = format!("<{queue_id}@{}>", policy.hostname);
    let to: Vec<&str> = whom.to.iter().map(String::as_str).collect();
    let why = why(&job);
    let mut digest = Digest::new(Frame {
        host: &policy.hostname,
        to: &to,
        message_id: &message_id,
        date_ms: now.wall_ms,
        reader: whom.reader,
        storm: job.storm.as_deref(),
        why: &why,
        kept_days: KEEP_DISCARDED_MS / DAY_MS,
    });
    for message in by_message(&job.messages) {
        add(&mut digest, &message, bodies);
    }
    let bytes = digest.finish();
    let first = to.first().copied().unwrap_or_default();
    let smtputf8 = !first.is_ascii();
    let mail = OwnMail { bytes, message_id: message_id.clone(), to: first, found: whom.found, smtputf8 };
    Incoming { settles: Some(job.token), ..mail.into_incoming(policy, queue_id, now) }
}

/// One message for many is told once, with those it was for.
fn by_message(rows: &[HeldMessage]) -> Vec<Message<'_>> {
    let mut places: HashMap<QueueId, usize> = HashMap::new();
    let mut messages: Vec<Message<'_>> = Vec::new();
    for row in rows {
        match places.get(&row.queue_id).and_then(|n| messages.get_mut(*n)) {
            Some((_, recipients)) => recipients.push(&row.recipient),
            None => {
                places.insert(row.queue_id, messages.len());
                messages.push((row, vec![&row.recipient]));
            }
        }
    }
    messages
}

fn add(digest: &mut Digest<'_>, (message, recipients): &Message<'_>, bodies: &SpoolReader) {
    let more = recipients.len().saturating_sub(NAMED);
    let mut recipient = recipients[..recipients.len().min(NAMED)].join(", ");
    if more > 0 {
        recipient.push_str(&format!(" and {more} more"));
    }
    let whole = message.size_bytes <= digest.room() as u64;
    let limit = if whole { message.size_bytes + FRONT_BYTES } else { HEADER_BYTES };
    let (bytes, whole) = match read(message, bodies, limit) {
        Ok(bytes) => (bytes, whole),
        Err(why) => {
            warn!(event = "held_unreadable", id = %message.queue_id, reason = %why, "the digest goes without it");
            (Vec::new(), false)
        }
    };
    digest.add(&Entry {
        queue_id: &message.queue_id.to_string(),
        sender: &message.sender,
        recipient: &recipient,
        received_ms: message.received_ms,
        size_bytes: message.size_bytes,
        bytes: &bytes,
        whole: whole && (bytes.len() as u64) < limit,
    });
}

/// At most `limit` bytes. Of what ends before that the checksum was right.
fn read(message: &HeldMessage, bodies: &SpoolReader, limit: u64) -> io::Result<Vec<u8>> {
    let Some(body) = &message.body else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    bodies.open(body).map_err(io::Error::other)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why the messages were held, as a sentence.
fn why(job: &DigestJob) -> String {
    said_why(job.class, &mut job.messages.iter().map(|m| m.reason.as_str()).collect())
}

fn said_why(class: Option<Class>, reasons: &mut Vec<&str>) -> String {
    reasons.sort_unstable();
    reasons.dedup();
    let class = class.map_or("unknown", |class| class.name());
    // Reasons are named after their class, but for those of rows that another version held.
    let reasons = if *reasons == [class] { String::new() } else { format!(": {}", reasons.join(", ")) };
    format!("Held because it looked like a part of a mail storm (class {class}{reasons}).")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use quell_mail::key::Secret;
    use quell_relay::directory::CannotTell;
    use quell_relay::reception::Memory;

    use super::*;
    use crate::config::Config;

    fn policy() -> Policy {
        let text = "[server]\nhostname = \"mx.firm.example\"\npostmaster = \"jane@firm.example\"\n\
                    [domains.\"firm.example\"]\nrecipients = [\"jane\", \"bob\"]\n\
                    [domains.\"moved.example\"]\ndeliver = \"smtp://10.0.0.2:25\"\n";
        let config = Config::parse(Path::new("quell.toml"), text, "m.example").unwrap();
        Policy {
            hostname: config.hostname.clone(),
            secret: Secret::new(1, [1; 32]),
            directory: config.directory,
            max_header_bytes: 1 << 20,
            spill_bytes: 1 << 20,
            max_rows: 100,
            memory: Memory::new(1 << 20),
        }
    }

    fn exists(_: &str, _: &str) -> Result<bool, CannotTell> {
        Ok(false)
    }

    fn of(to: DigestFor, operator: Option<&str>) -> Option<(Reader, Vec<String>, Vec<String>)> {
        let whom = whom(&to, &policy(), operator, &exists)?;
        Some((whom.reader, whom.to, whom.found.into_iter().map(|found| found.identity).collect()))
    }

    fn found(reader: Reader, to: &[&str], got_by: &[&str]) -> Option<(Reader, Vec<String>, Vec<String>)> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Some((reader, owned(to), owned(got_by)))
    }

    #[test]
    fn each_digest_finds_somebody() {
        let (jane, bob, operator) = ("jane@firm.example", "bob@firm.example", "postmaster@mx.firm.example");
        let recipient = |address: &str| DigestFor::Recipient(address.to_owned());
        let sender = |address: &str| DigestFor::Sender(address.to_owned());
        assert_eq!(of(recipient(bob), None), found(Reader::Recipient, &[bob], &[bob]));
        let elsewhere = "x@moved.example";
        assert_eq!(of(recipient(elsewhere), None), found(Reader::Recipient, &[elsewhere], &[elsewhere]));
        assert_eq!(of(DigestFor::Operator, None), found(Reader::Operator, &[operator], &[jane]));
        assert_eq!(of(DigestFor::Operator, Some(bob)), found(Reader::Operator, &[bob], &[bob]));
        assert_eq!(of(sender(bob), None), found(Reader::Sender, &[bob, operator], &[bob, jane]));
        // Who is gone is spoken for by the operator.
        let gone = "gone@firm.example";
        assert_eq!(of(recipient(gone), None), found(Reader::Operator, &[operator], &[jane]));
        assert_eq!(of(sender(gone), Some(bob)), found(Reader::Operator, &[bob], &[bob]));
        assert_eq!(of(recipient(gone), Some(gone)), None, "nobody is there");
    }

    fn row(n: u8, to: &str) -> HeldMessage {
        HeldMessage {
            kid: QueueId::from_bytes([n; 10]),
            queue_id: QueueId::from_bytes([n; 10]),
            recipient: to.to_owned(),
            sender: String::new(),
            reason: String::new(),
            received_ms: 0,
            since_ms: 0,
            size_bytes: 1,
            body: None,
        }
    }

    #[test]
    fn a_reason_that_is_the_class_is_said_once() {
        let said = |reason: &str| said_why(Some(Class::ReplyAll), &mut vec![reason, reason]);
        assert_eq!(
            said("reply_all"),
            "Held because it looked like a part of a mail storm (class reply_all)."
        );
        assert!(said("other").ends_with("(class reply_all: other)."), "{}", said("other"));
    }

    #[test]
    fn one_message_for_many_is_told_once() {
        let rows = [row(1, "a@x"), row(2, "a@x"), row(1, "b@x")];
        let told = by_message(&rows);
        let told: Vec<_> = told.iter().map(|(m, to)| (m.queue_id, to.clone())).collect();
        assert_eq!(told, [(rows[0].queue_id, vec!["a@x", "b@x"]), (rows[1].queue_id, vec!["a@x"])]);
        assert!(is_ours(&policy(), "X@Firm.Example") && !is_ours(&policy(), "x@other.example"));
        assert!(!is_ours(&policy(), ""));
    }
}
