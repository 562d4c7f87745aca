//! Mail that the server makes itself (alerts, reports), on its way to the door: the null
//! reverse-path, our `Received` in front, quell itself as the source. It passes the door like any
//! other mail.

use quell_mail::id::QueueId;
use quell_mail::key::ExactKey;
use quell_mail::reading::Reader;
use quell_mail::trace::{ReceivedStamp, token};
use quell_queue::clock::Now;
use quell_queue::door::{Bytes, Incoming};
use quell_storm::facts::{Facts, Recipient, Source};
use quell_storm::said::Said;

use crate::directory::Resolved;
use crate::reception::{Policy, Spoken};

/// One mail of our own.
#[derive(Debug)]
pub struct OwnMail<'a> {
    /// The message: CRLF lines, with a Message-ID and a Date of our making.
    pub bytes: Vec<u8>,
    /// Its Message-ID, with angle brackets.
    pub message_id: String,
    /// The address it is for, as written.
    pub to: &'a str,
    /// Who gets it ([`crate::directory::Directory::own_mail_to`]).
    pub found: Vec<Resolved>,
    /// It is to be sent with SMTPUTF8.
    pub smtputf8: bool,
}

impl OwnMail<'_> {
    /// As an arrival with the id `queue_id`, for [`quell_queue::door::Door::accept`].
    pub fn into_incoming(self, policy: &Policy, queue_id: QueueId, now: &Now) -> Incoming {
        let exact_key = exact_key(&self.bytes, now);
        let stamp = ReceivedStamp {
            helo: "",
            client_ip: None,
            client_name: None,
            account: None,
            tls: None,
            by: &policy.hostname,
            with: Spoken { esmtp: true, ..Spoken::default() }.protocol(self.smtputf8),
            queue_id,
            token: token(&policy.secret, queue_id, exact_key.as_ref()),
            for_: Some(self.to),
            ms: now.wall_ms,
        };
        let front = stamp.field().into_bytes();
        let recipients = self.found.into_iter().map(|r| Recipient {
            identity: r.identity,
            as_given: r.goes_out.unwrap_or_else(|| self.to.to_owned()),
            is_ours: policy.directory.is_ours(&r.domain),
            tenant: r.tenant,
            notify: None,
            orcpt: None,
        });
        let facts = Facts {
            queue_id,
            received_ms: now.ms,
            source: Source::own(),
            reverse_path: String::new(),
            reports_to: None,
            envid: None,
            ret_full: None,
            smtputf8: self.smtputf8,
            size_bytes: self.bytes.len() as u64,
            exact_key,
            message_id: Some(self.message_id),
            hops: 0,
            tokens: Vec::new(),
            recipients: recipients.collect(),
            is_author_ours: true,
            is_to_us: false,
            said: Said::default(),
        };
        Incoming { facts, front, bytes: Bytes::Small(self.bytes), header: Vec::new(), settles: None }
    }
}

fn exact_key(bytes: &[u8], now: &Now) -> Option<ExactKey> {
    // A header is never larger than the whole.
    let mut reader = Reader::new(bytes.len());
    reader.push(bytes).ok()?;
    reader.finish(now.wall_ms).exact_key.ok()
}
