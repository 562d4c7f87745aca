//! All that the judge may know of an arrival and of the rows it meets.

use std::net::IpAddr;

use quell_mail::id::QueueId;
use quell_mail::key::ExactKey;

use crate::said::Said;
use crate::signs::Signs;

/// Milliseconds since 1970, UTC, never running backwards (the door's clock sees to that).
pub type Ms = i64;

/// Who brought an arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The client's address, IPv4-mapped ones unmapped. None: quell itself.
    pub address: Option<IpAddr>,
    /// The name it gave in EHLO or HELO.
    pub helo: String,
    /// True for an address in `[relay] from`, and for whoever has signed in.
    pub inside: bool,
    /// The user who has signed in, by the name they have here.
    pub user: Option<String>,
    /// The account that it was collected from. `address` and `helo` are then what the provider's own
    /// server has noted of who brought it there, as far as it has.
    pub pickup: Option<String>,
}

impl Source {
    /// quell's own mail: alerts, digests, reports.
    pub fn own() -> Self {
        Self { address: None, helo: String::new(), inside: true, user: None, pickup: None }
    }

    /// What "the same source" means: the user, wherever they are; the account that was collected from; else the
    /// IPv4 address, the /64 of an IPv6 address, or quell itself.
    pub fn id(&self) -> SourceId {
        if let Some(account) = &self.pickup {
            return SourceId(format!("pickup {account}"));
        }
        if let Some(user) = &self.user {
            return SourceId(format!("user {user}"));
        }
        SourceId(match self.address {
            None => "self".to_owned(),
            Some(IpAddr::V4(v4)) => v4.to_string(),
            Some(IpAddr::V6(v6)) => {
                let s = v6.segments();
                format!("{:x}:{:x}:{:x}:{:x}::/64", s[0], s[1], s[2], s[3])
            }
        })
    }
}

/// A source as it is counted and stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SourceId(pub String);

/// When a sender wants reports (RFC 3461 §4.1). `never` excludes the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notify {
    /// NOTIFY=NEVER.
    pub never: bool,
    /// NOTIFY=SUCCESS.
    pub success: bool,
    /// NOTIFY=FAILURE.
    pub failure: bool,
    /// NOTIFY=DELAY.
    pub delay: bool,
}

/// One recipient of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Recipient identity (DESIGN.md, "Words"): for our domains the final address, lower case.
    pub identity: String,
    /// The address as the client gave it.
    pub as_given: String,
    /// The tenant the row is counted for: the identity's domain.
    pub tenant: String,
    /// The identity is in one of our domains.
    pub is_ours: bool,
    /// NOTIFY, as given; None if absent.
    pub notify: Option<Notify>,
    /// ORCPT, as given.
    pub orcpt: Option<String>,
}

/// A token of ours in a `Received` field whose MAC fits this message's exact key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnToken {
    /// The queue id it carries.
    pub queue_id: QueueId,
    /// `Delivered-To` addresses (lower case) that stand above it, i.e. were added later.
    pub delivered_to_above: Vec<String>,
}

/// All the judge may know of one arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The id this arrival was given.
    pub queue_id: QueueId,
    /// When the final dot was read.
    pub received_ms: Ms,
    /// Who brought it.
    pub source: Source,
    /// Reverse-path; empty for `<>`.
    pub reverse_path: String,
    /// Who is told of a failure in the place of the reverse-path: the postmaster, of collected mail.
    pub reports_to: Option<String>,
    /// ENVID, as given.
    pub envid: Option<String>,
    /// RET (RFC 3461 §4.3): a report of a failure returns the message (FULL: true), or its header
    /// (HDRS: false). None: not given.
    pub ret_full: Option<bool>,
    /// MAIL had SMTPUTF8 (RFC 6531 §3.4).
    pub smtputf8: bool,
    /// Bytes of the message as received.
    pub size_bytes: u64,
    /// None: no absorbing, and no loop by token.
    pub exact_key: Option<ExactKey>,
    /// The Message-ID as written, for people only.
    pub message_id: Option<String>,
    /// Number of `Received` fields.
    pub hops: usize,
    /// Our own tokens, newest first; at most 128.
    pub tokens: Vec<OwnToken>,
    /// The recipients, in the order of the transaction.
    pub recipients: Vec<Recipient>,
    /// The author's address is in one of our domains.
    pub is_author_ours: bool,
    /// An address in one of our domains stands in To or Cc.
    pub is_to_us: bool,
    /// What the message itself says.
    pub said: Said,
}

/// States of a ledger row (DESIGN.md, "The ledger").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowState {
    /// To be delivered.
    Waiting,
    /// Claimed, and the terminator is about to go out: a crash now leaves Unknown.
    Dot,
    /// Lies in a Maildir, or an LMTP server answered 250.
    Delivered,
    /// A next hop answered 250.
    Relayed,
    /// Given up.
    Failed,
    /// Kept for a person to decide.
    Held,
    /// Sent, and the answer is not known.
    Unknown,
    /// Thrown away by a person or at the end of its time.
    Discarded,
}

/// How the answer to the arrival that made a row reached its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answered {
    /// In time, and the client went on, or nothing is known against it.
    #[default]
    Fine,
    /// Later than `late_answer_ms`.
    Late,
    /// It could not be written, or the client was gone before it said another word.
    Lost,
}

/// A row as the judge sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowView {
    /// Its state. A row claimed but not yet at the dot shows as Waiting.
    pub state: RowState,
    /// When it came into that state.
    pub since_ms: Ms,
    /// The arrival whose body it has.
    pub queue_id: QueueId,
    /// Who brought that arrival.
    pub source: SourceId,
    /// How that arrival was answered.
    pub answered: Answered,
    /// That arrival carried one of our tokens: the row was made by a redirect.
    pub by_redirect: bool,
    /// Failed for good, and about the recipient (5.1.x, 5.2.x).
    pub failed_recipient: bool,
    /// New lives begun within the last 24 hours.
    pub lives_in_day: u32,
    /// For Discarded: when its storm closed; None while that storm is open.
    /// A row discarded without a storm counts as closed when it was discarded.
    pub storm_closed_ms: Option<Ms>,
    /// Discarded by `queue remove`: the next copy is new.
    pub removed: bool,
    /// Name of the class a person exempted it from.
    pub exempt: Option<String>,
}

/// Numbers counted in sliding windows, this arrival included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Copies of the key, over all recipients, in 24 h.
    pub key_copies: u32,
    /// Copies for each recipient of the transaction, in its order, in 24 h.
    pub rcpt_copies: Vec<u32>,
    /// What the tables of the classes say of each recipient, in the same order; empty: they were not asked.
    pub signs: Vec<Signs>,
}
