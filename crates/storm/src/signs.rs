//! What the tables of the classes say of an arrival, and what a class makes of it.

use crate::rhythm::Flood;
use crate::verdict::Class;

/// What is known of one recipient of an arrival, this arrival included. What is not known is None, and no
/// class acts upon it: a table that is full lets mail pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs {
    /// The same content came before for this recipient.
    pub again: Option<Again>,
    /// It leaves the house, and its author is from outside.
    pub leaving: Option<Leaving>,
    /// It is a reply to many.
    pub replies: Option<Replies>,
    /// Sender and recipient take turns.
    pub turns: Option<Turns>,
    /// It is a report.
    pub reports: Option<Reports>,
    /// Its source brings more than is usual.
    pub flood: Option<Flood>,
    /// A user who has signed in sends it.
    pub sent: Option<Sent>,
    /// What its source brings is known from before.
    pub is_counted: bool,
    /// Classes whose storm a person has released.
    pub released: ClassSet,
}

impl Signs {
    /// The classes that had something to decide on, whatever they decided.
    pub fn opportunities(&self) -> ClassSet {
        let mut classes = ClassSet::default();
        let had = [
            (Class::Resent, self.again.is_some()),
            (Class::Reinjected, self.leaving.is_some()),
            (Class::ReplyAll, self.replies.is_some()),
            (Class::AutoReply, self.turns.is_some_and(|t| t.turns > 1 && t.by_machines > 0)),
            (Class::Bounces, self.reports.is_some()),
            (Class::Flood, self.is_counted),
            (Class::UserLimit, self.sent.is_some()),
        ];
        had.into_iter().filter(|(_, had)| *had).for_each(|(class, _)| classes.add(class));
        classes
    }
}

/// The same content for the same recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    /// Arrivals by another way than the author's, this one included, and one if it came by that.
    pub arrivals: u32,
    /// This one came by another way than the author's: by a house that his own did not pass.
    pub other_way: bool,
    /// Its network has brought this recipient a copy by another way before.
    pub same_source: bool,
    /// It has a mark of re-injection.
    pub marked: bool,
    /// Words of the content.
    pub words: u32,
    /// How often its author has sent this content, by his own way: so many times as many may come by others.
    pub sendings: u32,
}

/// A message that leaves the house, by an author from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaving {
    /// Its content came in before.
    pub came_in: bool,
    /// It was taken from a mailbox, beyond doubt; or it has a lesser mark, and was written to us, too.
    pub marked: bool,
    /// This recipient stands in its To and Cc.
    pub stands: bool,
    /// This recipient has had its content before.
    pub had: bool,
    /// Distinct recipients outside who stand in its To and Cc, those of earlier arrivals of the content
    /// included.
    pub addressed: u32,
}

/// A conversation of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replies {
    /// How many people it reaches.
    pub people: u32,
    /// Replies to all within the window.
    pub replies: u32,
    /// Authors of these.
    pub authors: u32,
    /// It came through a mailing list.
    pub list: bool,
}

/// Two addresses that write to each other in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turns {
    /// Messages in turn, without a pause longer than the window.
    pub turns: u32,
    /// So many of the last of these a machine wrote, without a person's between: they say that they are
    /// automatic answers, or say what their sender had said before.
    pub by_machines: u32,
}

/// Reports for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reports {
    /// For this recipient within an hour, of messages that did not go out here.
    pub of_recipient: u32,
    /// So many went out here to others from its address: so many reports that do not say of which message
    /// they are may be theirs.
    pub sent: u32,
    /// Of one message within a day; 0: it does not say of which.
    pub of_message: u32,
    /// So many recipients that message had, if it went out here; else 0.
    pub message_sent: u32,
    /// What went out in the last day is known: mail has gone out here for longer than that.
    pub is_settled: bool,
}

/// What a user has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Messages within an hour.
    pub hour: u32,
    /// Messages within a day.
    pub day: u32,
    /// Recipients within a day who are new to them, up to this one; None: this one is not.
    pub new_recipients: Option<u32>,
    /// It is known whom they write to: the server has counted for long enough.
    pub is_settled: bool,
}

/// What a user has sent too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentWithin {
    /// Messages within an hour.
    Hour,
    /// Messages within a day.
    Day,
    /// Messages to new recipients within a day.
    NewRecipients,
}

/// A set of classes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassSet(u16);

impl ClassSet {
    /// Puts one in.
    pub fn add(&mut self, class: Class) {
        self.0 |= 1 << class as u16;
    }

    /// All that are in either.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it is in it.
    pub fn has(self, class: Class) -> bool {
        self.0 & (1 << class as u16) != 0
    }
}

/// Why a class suspects a message, with the numbers and the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// The same content by another way, again.
    Resent {
        /// What was counted.
        again: Again,
        /// So many pass.
        limit: u32,
    },
    /// The fault at its source.
    Reinjected(Leaving),
    /// A reply to all, one of many.
    ReplyAll {
        /// What was counted.
        replies: Replies,
        /// So many pass within the window.
        limit: u32,
    },
    /// An answer of a machine to a machine.
    AutoReply {
        /// What was counted.
        turns: Turns,
        /// So many pass.
        limit: u32,
    },
    /// One report of very many.
    Bounces {
        /// What was counted.
        reports: Reports,
        /// Those of one message are too many, not those for the recipient.
        of_message: bool,
        /// So many pass.
        limit: u32,
    },
    /// Volume.
    Flood(Flood),
    /// More than a user may send.
    UserLimit {
        /// What was counted.
        sent: Sent,
        /// Which of it is too much.
        within: SentWithin,
        /// So many pass.
        limit: u32,
    },
}

impl Suspicion {
    /// Its class.
    pub fn class(&self) -> Class {
        match self {
            Self::Resent { .. } => Class::Resent,
            Self::Reinjected(_) => Class::Reinjected,
            Self::ReplyAll { .. } => Class::ReplyAll,
            Self::AutoReply { .. } => Class::AutoReply,
            Self::Bounces { .. } => Class::Bounces,
            Self::Flood(_) => Class::Flood,
            Self::UserLimit { .. } => Class::UserLimit,
        }
    }
}
