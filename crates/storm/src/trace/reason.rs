//! Why a machine is suspected.

use crate::facts::Ms;

/// Why a machine is suspected, for words and for confidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// Several ways on from one stamp, to one recipient.
    Parting {
        /// The stamps in common.
        depth: usize,
    },
    /// A line of its pickup folder stands above older stamps.
    PickupLine,
    /// It was collected from a mailbox before.
    Collected,
    /// The copies have a Message-ID and a Date of their own.
    NewIdentity,
    /// That Message-ID's domain is an inner name.
    InnerId,
    /// The address of a collector's pickup folder stands in it.
    PickupAddress,
    /// Lines that a mail service adds to what it takes from a folder.
    ExchangeLines,
    /// It had been delivered to somebody else before.
    OtherRecipient,
    /// The recipient has the original, and it came another way.
    HasOriginal,
    /// Its trace begins anew.
    LostTrace,
    /// Again and again to the same next server.
    SameNextHop,
    /// The next server answered late: its own two stamps lie so far apart.
    SlowAnswer {
        /// The longest such delay.
        ms: Ms,
    },
    /// At once, within so long.
    AtOnce {
        /// From the first to the last.
        ms: Ms,
    },
    /// There is no stamp in common.
    NoCommonStamp,
    /// Its copies bring stamps along that nobody vouches for.
    Hearsay,
    /// It has been at the same server before.
    Round,
}

/// Each kind of reason once: of several partings and delays those that say most.
pub(super) fn fold(all: impl Iterator<Item = Reason>) -> Vec<Reason> {
    let mut once: Vec<Reason> = Vec::new();
    for reason in all {
        match once.iter_mut().find(|known| std::mem::discriminant(*known) == std::mem::discriminant(&reason))
        {
            Some(known) => *known = (*known).max(reason),
            None => once.push(reason),
        }
    }
    once.sort();
    once
}
