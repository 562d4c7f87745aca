//! Verdicts, one per recipient, each with a reason.

use std::fmt;

use crate::exceptions::LetPass;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::signs::Suspicion;

/// The right to be stored. Only this crate's judge can make one, and it cannot be copied.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit(Reach);

/// How far what is stored may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Anywhere,
    House,
}

impl Permit {
    /// What an arrival gets: collected mail may be delivered in the house, and nowhere else, whatever it
    /// says of itself.
    pub(crate) fn of(facts: &Facts) -> Self {
        Self(if facts.source.pickup.is_some() { Reach::House } else { Reach::Anywhere })
    }

    /// It is a right to be delivered to a mailbox or a next hop of one of our domains only.
    pub fn is_for_the_house(&self) -> bool {
        self.0 == Reach::House
    }
}

/// What happens with one recipient of one arrival.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Stored and delivered.
    Pass(Permit, Reason),
    /// Counted, not stored again: the recipient provably has it, or has it waiting here.
    Absorb(Reason),
    /// Stored, and kept for a person.
    Hold(Permit, Reason),
    /// Refused with the reason's reply.
    Refuse(Reason),
}

impl Verdict {
    /// The reason, whatever the verdict.
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Pass(_, r) | Self::Absorb(r) | Self::Hold(_, r) | Self::Refuse(r) => r,
        }
    }

    /// `pass`, `absorb`, `hold`, `refuse`: for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pass(..) => "pass",
            Self::Absorb(_) => "absorb",
            Self::Hold(..) => "hold",
            Self::Refuse(_) => "refuse",
        }
    }
}

/// Classes of storms and of verdicts (DESIGN.md, "The judge").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Nothing unusual.
    New,
    /// The same exact key again.
    Copies,
    /// The same from the same source after an answer that was late or lost.
    Retry,
    /// Passed here already.
    Loop,
    /// The same content with a new identity or changed bytes, by another way than the first.
    Resent,
    /// Outgoing, by an author from outside, to people who stand in its To and Cc.
    Reinjected,
    /// Many replies to all in one conversation.
    ReplyAll,
    /// Machines answering each other.
    AutoReply,
    /// A flood of reports for one recipient or of one message.
    Bounces,
    /// Unusual volume of a source against its own past.
    Flood,
    /// More than a user who has signed in may send.
    UserLimit,
}

impl Class {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::New,
        Self::Copies,
        Self::Retry,
        Self::Loop,
        Self::Resent,
        Self::Reinjected,
        Self::ReplyAll,
        Self::AutoReply,
        Self::Bounces,
        Self::Flood,
        Self::UserLimit,
    ];

    /// The class of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// Whether it compares a message with others that came lately, by thresholds: what it says is a
    /// suspicion. Storms of such a class open with the first message suspected.
    pub fn suspects(self) -> bool {
        !matches!(self, Self::New | Self::Copies | Self::Retry | Self::Loop)
    }

    /// Whether its storms are copies of one message, which a trace can be made of.
    pub fn is_of_one_message(self) -> bool {
        !matches!(self, Self::ReplyAll | Self::AutoReply | Self::Bounces | Self::Flood | Self::UserLimit)
    }

    /// The name in configuration, logs, API and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Copies => "copies",
            Self::Retry => "retry",
            Self::Loop => "loop",
            Self::Resent => "resent",
            Self::Reinjected => "reinjected",
            Self::ReplyAll => "reply_all",
            Self::AutoReply => "auto_reply",
            Self::Bounces => "bounces",
            Self::Flood => "flood",
            Self::UserLimit => "user_limit",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why: a closed set, each with its numbers. A test produces every one, and each has a sentence
/// for the operator and, if it refuses, one for the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No row for this recipient.
    FirstArrival,
    /// No exact key, so it is never compared.
    NoExactKey,
    /// Token of ours, but no row for this recipient.
    TokenWithoutRow,
    /// A person released it from this rule.
    Exempt(String),
    /// The row is waiting here, or claimed.
    CopyOfWaiting(Copies),
    /// The recipient has it, or a next hop took it.
    CopyOfDelivered(Copies),
    /// Held, and the copy is from the same source.
    CopyOfHeld(Copies),
    /// Held, but this one is from another source and judged on its own.
    OtherSourceThanHeld,
    /// Sent, outcome not known.
    CopyOfUnknown(Copies),
    /// Thrown away while the storm is open, or less than 24 h after its end.
    CopyOfDiscarded(Copies),
    /// Failed about the recipient less than 30 min ago, same source.
    FailedJustNow,
    /// Failed earlier: a new life.
    NewLife {
        /// Which one today.
        life: u32,
    },
    /// Failed, and its new lives of the day are used up.
    NoMoreLives {
        /// The limit.
        limit: u32,
    },
    /// Discarded long ago or by `queue remove`: as new.
    NewAfterDiscard,
    /// Went round: the recipient has it.
    LoopDelivered,
    /// Went round: sent on, outcome elsewhere.
    LoopSent,
    /// As many `Received` fields as are refused, or more.
    TooManyHops {
        /// How many there are.
        hops: usize,
        /// The limit.
        limit: usize,
    },
    /// One of the classes that look at what else came lately is over its threshold.
    Suspect(Suspicion, Policy),
    /// One of them is, and it passes all the same: the operator wants that.
    Excepted(Suspicion, LetPass),
}

/// The numbers of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copies {
    /// [`Class::Copies`] or [`Class::Retry`].
    pub class: Class,
    /// Copies for this recipient in 24 h, this one included.
    pub of_recipient: u32,
    /// Copies over all recipients in 24 h, this one's included.
    pub of_key: u32,
}
