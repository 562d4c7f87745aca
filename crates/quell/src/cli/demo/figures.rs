//! What was measured: the members of `quell demo --json`, documented in the manual.

use serde::Serialize;
use serde_json::Value;

use super::args::Shape;

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Of quell.
    pub version: &'static str,
    /// By which the world was made.
    pub seed: u64,
    /// Firms in it.
    pub firms: u32,
    /// Recipients of the newsletter.
    pub recipients: u64,
    /// Servers that re-send.
    pub faulty_servers: u64,
    /// A run is cut off when so many copies have been sent …
    pub copies_limit: u64,
    /// … or after this time.
    pub seconds_limit: u64,
    /// Each shape without quell, then with it.
    pub runs: Vec<Run>,
    /// Whether with quell each recipient had exactly one, in each shape that was run.
    pub one_each: bool,
}

/// What stands at the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The plain relay: "without quell".
    Relay,
    /// quell.
    Quell,
}

impl Kind {
    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Relay => "without quell",
            Self::Quell => "with quell",
        }
    }
}

/// Why the faulty servers were stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// They had sent as many copies as were asked for.
    Copies,
    /// The time was over.
    Time,
}

/// One shape with one gateway.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// How the copies look.
    pub shape: Shape,
    /// What stood at the gateway.
    pub gateway: Kind,
    /// Why the faulty servers were stopped.
    pub ended_by: Ended,
    /// From the start of the hosts until then.
    pub storm_ms: u64,
    /// Copies that the gateway took from the faulty servers: one for each recipient of each sending;
    /// at the cut-off also without an answer, as far as it is seen.
    pub copies_sent: u64,
    /// Messages in which they were sent.
    pub sendings: u64,
    /// Recipients that the gateway answered with a refusal.
    pub refused: u64,
    /// Copies and originals that arrived in mailboxes.
    pub arrived: u64,
    /// How many of them a recipient of the newsletter had in the end.
    pub mail_at_recipient: Spread,
    /// Copies that the gateway absorbed; null for the relay, which cannot.
    pub absorbed: Option<u64>,
    /// Messages that the gateway held, one for each recipient; null for the relay.
    pub held: Option<u64>,
    /// Copies that the judge refused, as mail that came round while its original was on its last step
    /// into the mailbox; null for the relay. Where others of the same message passed, its sender was
    /// answered 250.
    pub judged_refused: Option<u64>,
    /// Bytes of the mail in all mailboxes.
    pub mailbox_bytes: u64,
    /// What the gateway took on the disk; null for the relay: its queue is in memory.
    pub disk: Option<Disk>,
    /// Most resident memory of the gateway; null if the system does not say.
    pub memory_peak_bytes: Option<u64>,
    /// How the mail of others fared meanwhile.
    pub other_mail: OtherMail,
    /// The storms as quell saw them, as `GET /api/v1/storms` gives them.
    pub storms: Vec<Value>,
    /// The run over time.
    pub timeline: Vec<Sample>,
}

/// Bytes on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// In all.
    pub bytes: u64,
    /// Of these, in files of a fixed size that are made before they are needed.
    pub set_aside_bytes: u64,
}

/// Numbers of several, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// The largest.
    pub most: u64,
    /// The one in the middle: the upper of two.
    pub median: u64,
    /// The smallest.
    pub least: u64,
}

impl Spread {
    /// Of these numbers; `None` if there are none.
    pub fn of(mut numbers: Vec<u64>) -> Option<Self> {
        numbers.sort_unstable();
        let (least, most) = (*numbers.first()?, *numbers.last()?);
        Some(Self { most, median: *numbers.get(numbers.len() / 2)?, least })
    }
}

/// Mail that has nothing to do with the storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OtherMail {
    /// Messages that the gateway took while the storm ran.
    pub sent: u64,
    /// Of these, in their mailbox when the run was over.
    pub arrived: u64,
    /// From one to the other; null if none arrived.
    pub delay_ms: Option<Spread>,
}

/// How far it was at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Since the start of the hosts.
    pub ms: u64,
    /// See [`Run`].
    pub copies_sent: u64,
    /// See [`Run`].
    pub arrived: u64,
    /// See [`Run`].
    pub absorbed: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_in_short() {
        assert_eq!(Spread::of(Vec::new()), None);
        assert_eq!(Spread::of(vec![3]), Some(Spread { most: 3, median: 3, least: 3 }));
        assert_eq!(Spread::of(vec![9, 1, 2, 5]), Some(Spread { most: 9, median: 5, least: 1 }));
    }
}
