//! Simulated offices: all mail that passes an office's border, of which is known what is real and what belongs
//! to a storm.
//!
//! A seed makes an office of 5 to 250 people, those with whom they write, and their servers; [`Office`] gives
//! the mail in the order in which it reaches quell. What is real is made to look like a storm wherever honest
//! mail does: busy threads, machines that answer, equal reports, many bounces after a mailing. Texts are made of
//! few words, so that they differ as real ones do.

mod cast;
mod dsn;
mod hours;
mod kinds;
mod letter;
mod office;
mod reactions;
mod storms;
#[cfg(test)]
mod tests;
mod way;
mod words;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use office::Office;

/// What kind of office, and how long it is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// How many work there; none: 5 to 250 by the seed, small ones being as frequent as large ones.
    pub people: Option<usize>,
    /// Days that are watched.
    pub days: u32,
    /// Which storms may come.
    pub storms: Vec<StormKind>,
    /// Days from one storm to the next, on average; 0: there are none.
    pub days_per_storm: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self { people: None, days: 28, storms: StormKind::ALL.to_vec(), days_per_storm: 2 }
    }
}

/// One message on its way through the border.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// When it reaches quell; ms since 1970.
    pub ms: i64,
    /// The client's address.
    pub source: IpAddr,
    /// What the client calls itself.
    pub helo: String,
    /// The client is a machine of the house: outgoing or internal mail.
    pub inside: bool,
    /// Empty for `<>`.
    pub reverse_path: String,
    /// As RCPT gives them; aliases are not resolved ([`Office::aliases`]).
    pub recipients: Vec<String>,
    /// The message; its lines end in CRLF.
    pub message: Vec<u8>,
    /// What it is.
    pub truth: Truth,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// Its recipients should have it. (Once: where its exact key came before, it may be absorbed.)
    Real(Kind),
    /// It is part of a storm.
    Storm {
        /// Which kind.
        kind: StormKind,
        /// Which one of this office, from 1.
        storm: u32,
        /// How many of its messages one recipient may get before it is held, as DESIGN.md says; none where that
        /// is left to the settings. (What comes before a storm and is real is not counted.)
        may_pass: Option<u32>,
    },
}

macro_rules! names {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $item:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $item,)* }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$item,)*];

            /// What it is called in tables.
            pub fn name(self) -> &'static str {
                match self { $(Self::$item => $text,)* }
            }
        }
    };
}

names! {
    /// Kinds of real mail.
    Kind {
        /// One writes to another or a few; some are answered.
        Person = "person",
        /// Several people talk to all.
        Thread = "thread",
        /// Up to twelve answers to all within an hour, and invitations with quick answers.
        BusyThread = "busy thread",
        /// Two people write to and fro within minutes.
        Chat = "chat",
        /// Answers of those who are away.
        OutOfOffice = "out of office",
        /// A help desk, and who asks it.
        Ticket = "ticket",
        /// Two help desks with one ticket.
        TwoDesks = "two help desks",
        /// Programs that watch other programs.
        Monitoring = "monitoring",
        /// Reports of every day and month, and of cron.
        Report = "report",
        /// Newsletters from elsewhere.
        Newsletter = "newsletter",
        /// Our own newsletters and invoices.
        Bulk = "own bulk",
        /// Reports of mail that did not arrive.
        Bounce = "bounce",
        /// Mailing lists: posts, cross-posts, digests.
        List = "mailing list",
        /// The same once more, by hand; and tests.
        Again = "sent again by hand",
        /// Passed on to one address by a rule.
        Redirect = "redirect",
        /// Sent to two addresses of one person, one of which leads to the other.
        TwoAddresses = "two addresses",
        /// Sent again by a server that had no answer: the same message.
        Retry = "retry",
        /// One text for many, with other names.
        FormLetter = "form letter",
        /// Patches, the second version of which differs little.
        Patch = "patch",
        /// Invitations, their answers, receipts.
        Calendar = "calendar",
        /// The first day of somebody new.
        Staff = "new colleague",
    }
}

names! {
    /// Kinds of storms.
    StormKind {
        /// As in 2005: new identities, with the marks of being put in again.
        Resent = "resent",
        /// The same without the marks.
        ResentUnmarked = "resent, no mark",
        /// As in 2005: the trace piles up, all else is kept.
        ResentTrace = "resent, same identity",
        /// Our own server sends on what came in; one transaction.
        Reinjected = "reinjected",
        /// The same with a transaction for each recipient.
        ReinjectedSingly = "reinjected singly",
        /// Answers to all among twelve people.
        ReplyAll12 = "reply-all of 12",
        /// Answers to all among fifty people.
        ReplyAll50 = "reply-all of 50",
        /// Answers to all among two hundred people.
        ReplyAll200 = "reply-all of 200",
        /// Two machines answer each other and say that they are machines.
        AutoReply = "auto-reply",
        /// Two machines answer each other and do not say so: subjects grow.
        AutoReplyPlain = "auto-reply, not marked",
        /// Two help desks: numbers in subject and text, which change.
        AutoReplyDesks = "auto-reply, help desks",
        /// Bounces of mail that we never sent, for one address.
        BouncesOfAddress = "bounces for an address",
        /// Bounces of one message.
        BouncesOfMessage = "bounces of a message",
        /// Far more than ever from one source.
        Flood = "flood",
    }
}

/// Our addresses that stand for several, with whom they stand for.
pub type Aliases = BTreeMap<String, Vec<String>>;
