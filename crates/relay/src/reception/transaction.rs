//! One transaction: envelope, content, facts.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use quell_mail::header;
use quell_mail::id::QueueId;
use quell_mail::key::ExactKey;
use quell_mail::letter::domain_hash;
use quell_mail::reading::{Reader, Reading};
use quell_mail::trace::{ReceivedStamp, token, verify};
use quell_queue::body::{LargeWriter, SpoolError};
use quell_queue::door::{Bytes, Incoming};
use quell_storm::facts::{Facts, Notify, OwnToken, Recipient, Source};
use quell_storm::said::Said;
use quell_wire::reply::Reply;
use quell_wire::server::{MailFrom, RcptTo, Ret};

use super::{Policy, Share, Spoken, World};
use crate::directory::{Resolved, normal_domain};
use crate::submission::{self, User};

/// Bytes gathered before a large body is written on.
const WRITE_BYTES: usize = 256 << 10;
/// Of a body that is too large for memory so much is compared with others. Less than is gathered before it
/// goes to the disk, so that it does not depend on how the bytes came.
const BEGINNING_BYTES: usize = 64 << 10;
/// Bytes of a header set kept for evidence (the storm book cuts at the same).
const EVIDENCE_BYTES: usize = 64 << 10;

/// From MAIL to the final dot; or a message that is collected.
pub(crate) struct Transaction {
    mail: MailFrom,
    pub recipients: Vec<Recipient>,
    /// The first recipient as RCPT gave it, for our `Received`.
    first_given: Option<String>,
    /// Whoever has signed in, until the header has been checked.
    user: Option<Arc<User>>,
    /// Of collected mail: what the sender's server gave as reverse-path, for the judge's eyes only.
    return_path: Option<String>,
    /// Drawn early where the message may need it as a Message-ID.
    queue_id: Option<QueueId>,
    reader: Option<Reader>,
    bytes: Vec<u8>,
    size_bytes: u64,
    large: Option<LargeWriter>,
    /// What a message says that went to the disk before its end; one that went for lack of memory
    /// is compared with nothing.
    said: Option<Said>,
    /// Of the memory that all transactions may hold.
    share: Share,
    /// Why the content will be refused; the rest of it is only read.
    refused: Option<Reply>,
}

impl Transaction {
    pub fn new(mail: MailFrom, policy: &Policy, user: Option<Arc<User>>) -> Self {
        let (recipients, bytes, share) = (Vec::new(), Vec::new(), policy.memory.share());
        Self {
            mail,
            recipients,
            first_given: None,
            user,
            return_path: None,
            queue_id: None,
            reader: None,
            bytes,
            size_bytes: 0,
            large: None,
            said: None,
            share,
            refused: None,
        }
    }

    pub fn begun(&self) -> bool {
        self.reader.is_some()
    }

    pub fn reverse_path(&self) -> &str {
        self.mail.reverse_path.address()
    }

    pub fn is_from_nobody(&self) -> bool {
        self.mail.reverse_path.is_null()
    }

    pub fn add(&mut self, resolved: Vec<Resolved>, rcpt: &RcptTo, policy: &Policy) {
        let given = rcpt.forward_path.address();
        self.first_given.get_or_insert_with(|| given.to_owned());
        let notify = rcpt.notify.map(|n| Notify {
            never: n.never,
            success: n.success,
            failure: n.failure,
            delay: n.delay,
        });
        self.recipients.extend(resolved.into_iter().map(|r| Recipient {
            identity: r.identity,
            as_given: r.goes_out.unwrap_or_else(|| given.to_owned()),
            is_ours: policy.directory.is_ours(&r.domain),
            tenant: r.tenant,
            notify,
            orcpt: rcpt.orcpt.clone(),
        }));
    }

    /// Content is announced: whether it may come.
    pub fn begin(&mut self, policy: &Policy, world: &impl World) -> Reply {
        let mut reader = Reader::new(policy.max_header_bytes);
        if self.user.is_some() {
            let now = world.now();
            let Some(queue_id) = world.queue_id(&now) else { return trouble() };
            self.queue_id = Some(queue_id);
            reader = reader.adding(submission::missing(queue_id, &policy.hostname, now.wall_ms));
        }
        self.reader.get_or_insert(reader);
        Reply::go_ahead()
    }

    /// Content. What cannot be kept is refused at the end, when the client listens again.
    pub fn take(&mut self, bytes: &[u8], policy: &Policy, world: &impl World) {
        if self.read(bytes).is_none() {
            return;
        }
        if let Some(reader) = self.reader.as_ref().filter(|reader| reader.header_ended())
            && let Some(user) = self.user.take()
            && let Err(reply) = submission::check_header(&user, reader.header())
        {
            return self.refuse(reply);
        }
        self.keep(bytes, policy, world);
    }

    /// Reads content, which is to be kept then ([`Transaction::keep`]): once its header has ended what of it is body.
    /// None: it is refused, and not to be kept.
    pub fn read<'a>(&mut self, bytes: &'a [u8]) -> Option<Option<&'a [u8]>> {
        self.size_bytes += bytes.len() as u64;
        let reader = self.reader.as_mut().filter(|_| self.refused.is_none())?;
        let before = reader.body_bytes();
        if let Err(why) = reader.push(bytes) {
            self.refuse(Reply::new(552, (3, 4), why.to_string()));
            return None;
        }
        let body = usize::try_from(reader.body_bytes() - before).unwrap_or(bytes.len());
        Some(reader.header_ended().then(|| &bytes[bytes.len() - body..]))
    }

    /// The header so far; later its beginning.
    pub fn header(&self) -> &[u8] {
        self.reader.as_ref().map_or(&[], Reader::header)
    }

    /// What a collected message's Return-Path says: the judge reads the message by it.
    pub fn set_return_path(&mut self, address: &str) {
        self.return_path = Some(address.to_owned());
    }

    /// Keeps what was read.
    pub fn keep(&mut self, bytes: &[u8], policy: &Policy, world: &impl World) {
        let Some(reader) = self.reader.as_mut().filter(|_| self.refused.is_none()) else { return };
        reader.cut_header(EVIDENCE_BYTES);
        let header_bytes = reader.header_memory_bytes();
        self.bytes.extend_from_slice(bytes);
        let fits = self.share.hold(header_bytes + self.bytes.capacity());
        if !fits && !self.share.hold(header_bytes) {
            return self.refuse(Reply::new(452, (3, 1), "Not enough memory at the moment; try again later"));
        }
        let limit = if self.large.is_some() { WRITE_BYTES } else { policy.spill_bytes };
        if self.large.is_none() && self.bytes.len() > limit {
            let added = self.reader.as_ref().map_or_else(Vec::new, |reader| reader.added().to_vec());
            self.said = Some(self.said(&added, BEGINNING_BYTES));
        }
        if self.bytes.len() > limit || !fits {
            let spilled = world.blocking(|| self.spill(world));
            spilled.unwrap_or_else(|why| self.refuse(no_room(&why)));
        }
        if !fits {
            // On the disk by now: the buffer was too large for what others have left.
            self.bytes = Vec::new();
        }
    }

    /// What the message says, with what is put before its header; of the body up to `max_body_bytes`: all copies of
    /// a large one are cut at the same place.
    fn said(&self, added: &[u8], max_body_bytes: usize) -> Said {
        let (header, body) = header::split(&self.bytes);
        let header = if added.is_empty() { Cow::Borrowed(header) } else { [added, header].concat().into() };
        let reverse_path = self.return_path.as_deref().unwrap_or_else(|| self.reverse_path());
        Said::read(&header, &body[..body.len().min(max_body_bytes)], reverse_path)
    }

    fn spill(&mut self, world: &impl World) -> Result<(), SpoolError> {
        if self.large.is_none() {
            self.large = Some(world.begin_large()?);
        }
        if let Some(large) = &mut self.large {
            large.write(&self.bytes)?;
        }
        self.bytes.clear();
        Ok(())
    }

    fn refuse(&mut self, reply: Reply) {
        self.refused = Some(reply);
        self.large = None;
        self.bytes = Vec::new();
        self.reader = Some(Reader::new(0));
        self.share.shrink(0);
    }

    /// What it really has in memory, beside recipients.
    #[cfg(test)]
    pub fn memory_bytes(&self) -> usize {
        self.reader.as_ref().map_or(0, Reader::header_memory_bytes) + self.bytes.capacity()
    }

    /// The final dot was read: the facts and the bytes for the door, and what of the memory they
    /// take; or the refusal.
    pub fn finish(
        self,
        policy: &Policy,
        source: &Source,
        spoken: Spoken,
        world: &impl World,
    ) -> Result<(Submission, Share), Reply> {
        self.finish_from(policy, source, spoken, None, world)
    }

    /// The same, of a message that was collected, if `mailbox` says where.
    pub fn finish_from(
        mut self,
        policy: &Policy,
        source: &Source,
        spoken: Spoken,
        mailbox: Option<&FromMailbox<'_>>,
        world: &impl World,
    ) -> Result<(Submission, Share), Reply> {
        if let Some(reply) = self.refused.take() {
            return Err(reply);
        }
        let now = world.now();
        let Some(queue_id) = self.queue_id.or_else(|| world.queue_id(&now)) else {
            return Err(trouble());
        };
        let reader = self.reader.take().unwrap_or_else(|| Reader::new(policy.max_header_bytes));
        let reading = reader.finish(now.wall_ms);
        if let Some(user) = self.user.take() {
            // It has no end, so it has not been checked.
            submission::check_header(&user, &reading.header)?;
        }
        let key = reading.exact_key.as_ref().ok();
        let first_given = mailbox.and_then(|m| m.for_.map(str::to_owned)).or_else(|| self.first_given.take());
        let for_ = first_given.filter(|_| self.recipients.len() == 1);
        let stamp = ReceivedStamp {
            helo: mailbox.map_or(&source.helo, |m| m.host),
            client_ip: mailbox.map_or(source.address, |m| Some(m.address)),
            client_name: None,
            account: mailbox.map(|m| m.account),
            tls: spoken.tls,
            by: &policy.hostname,
            with: spoken.protocol(self.mail.smtputf8),
            queue_id,
            token: token(&policy.secret, queue_id, key),
            for_: for_.as_deref(),
            ms: now.wall_ms,
        };
        let front = [stamp.field().as_bytes(), &reading.added].concat();
        let header = reading.header[..reading.header.len().min(EVIDENCE_BYTES)].to_vec();
        let said = match (self.said.take(), &self.large) {
            (Some(said), _) => said,
            (None, None) => self.said(&reading.added, usize::MAX),
            (None, Some(_)) => Said::default(),
        };
        let (large, bytes) = (self.large.take(), std::mem::take(&mut self.bytes));
        let mut share = std::mem::replace(&mut self.share, policy.memory.share());
        let facts = self.facts(policy, source, reading, said, mailbox, (queue_id, now.ms));
        share.shrink(bytes.capacity());
        Ok((Submission { facts, front, header, large, bytes }, share))
    }

    fn facts(
        self,
        policy: &Policy,
        source: &Source,
        reading: Reading,
        said: Said,
        mailbox: Option<&FromMailbox<'_>>,
        (queue_id, received_ms): (QueueId, i64),
    ) -> Facts {
        let exact_key = reading.exact_key.ok();
        let own = |seen: &quell_mail::trace::SeenToken| {
            exact_key.as_ref().is_some_and(|key| verify(&policy.secret, seen, key))
        };
        let tokens = reading
            .tokens
            .into_iter()
            .enumerate()
            .map(|(i, mut seen)| {
                if let Some(mailbox) = mailbox {
                    seen.delivered_to_above = mailbox.delivered_here.get(i).cloned().unwrap_or_default();
                }
                seen
            })
            .filter(|seen| own(seen))
            .map(|seen| OwnToken { queue_id: seen.queue_id, delivered_to_above: seen.delivered_to_above });
        Facts {
            queue_id,
            received_ms,
            source: source.clone(),
            reverse_path: self.mail.reverse_path.into_address(),
            reports_to: mailbox.and_then(|m| m.reports_to.clone()),
            envid: self.mail.envid,
            ret_full: self.mail.ret.map(|ret| ret == Ret::Full),
            smtputf8: self.mail.smtputf8,
            size_bytes: self.size_bytes,
            exact_key,
            message_id: reading.message_id,
            hops: reading.hops,
            tokens: tokens.collect(),
            recipients: self.recipients,
            is_author_ours: is_ours(policy, said.letter.author.as_deref()),
            is_to_us: is_to_us(policy, &said.letter.domains),
            said,
        }
    }
}

fn is_ours(policy: &Policy, author: Option<&str>) -> bool {
    let domain = author.and_then(|author| author.rsplit_once('@')).map(|(_, domain)| domain);
    domain.and_then(normal_domain).is_some_and(|domain| policy.directory.is_ours(&domain))
}

/// Whether one of our domains stands among these (as hashes, sorted).
fn is_to_us(policy: &Policy, domains: &[u64]) -> bool {
    policy.directory.domains().any(|domain| domains.binary_search(&domain_hash(&domain.name)).is_ok())
}

/// Where a collected message comes from, and what that changes.
#[derive(Debug)]
pub(crate) struct FromMailbox<'a> {
    /// The provider's server.
    pub host: &'a str,
    /// Its address.
    pub address: IpAddr,
    /// The account's name.
    pub account: &'a str,
    /// The recipient, for our `Received`, if there is only one.
    pub for_: Option<&'a str>,
    /// Who is told of a failure.
    pub reports_to: Option<String>,
    /// What our own delivery put above our tokens ([`Reading::tokens`]), each in its place.
    pub delivered_here: &'a [Vec<String>],
}

/// An arrival, read whole, whose large body may still have to be brought to an end.
#[derive(Debug)]
pub struct Submission {
    facts: Facts,
    front: Vec<u8>,
    header: Vec<u8>,
    large: Option<LargeWriter>,
    /// The message, or what of a large one is not yet written.
    bytes: Vec<u8>,
}

impl Submission {
    /// Its id.
    pub fn queue_id(&self) -> QueueId {
        self.facts.queue_id
    }

    /// Bytes of the message as received.
    pub fn size_bytes(&self) -> u64 {
        self.facts.size_bytes
    }

    /// Its exact key, if it has one.
    pub fn exact_key(&self) -> Option<&ExactKey> {
        self.facts.exact_key.as_ref()
    }

    /// Who gets it, and where it comes from: what the judge will know.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// True if [`Submission::complete`] waits for the disk.
    pub fn must_sync(&self) -> bool {
        self.large.is_some()
    }

    /// Writes and syncs the rest of a large body, which may take as long as the disk takes: the
    /// caller minds the time in which the final dot is answered.
    ///
    /// # Errors
    /// The reply for the client.
    pub fn complete(self) -> Result<Incoming, Reply> {
        let Self { facts, front, header, large, bytes } = self;
        let Some(mut large) = large else {
            return Ok(Incoming { facts, front, bytes: Bytes::Small(bytes), header, settles: None });
        };
        let written = if bytes.is_empty() { Ok(()) } else { large.write(&bytes) };
        let finished = written.and_then(|()| large.finish(&facts.queue_id, &[&front]));
        let bytes = Bytes::Large(finished.map_err(|why| no_room(&why))?);
        Ok(Incoming { facts, front, bytes, header, settles: None })
    }
}

/// 452 for lack of room, 552 for what is too large, 451 for other trouble of our own.
fn no_room(why: &SpoolError) -> Reply {
    match why {
        SpoolError::TooLarge { .. } => Reply::new(552, (3, 4), "The message is too large"),
        why if why.is_full() => Reply::new(452, (3, 1), "No room at the moment; try again later"),
        _ => trouble(),
    }
}

fn trouble() -> Reply {
    Reply::new(451, (3, 0), "Trouble of our own; try again later")
}
