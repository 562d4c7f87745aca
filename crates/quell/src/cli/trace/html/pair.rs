//! Two copies side by side, and what can be seen in them, explained.

use quell_storm::storm::Culprit;
use quell_storm::trace::report::{Comparison, Side, Stamp};

use super::super::words;
use super::svg::colour;

/// Stamps shown of a copy; a message that has passed more goes round.
const MAX_STAMPS: usize = 60;

/// A comparison, ready to be shown.
pub struct PairView {
    pub letter: String,
    pub colour: String,
    pub name: String,
    pub what: String,
    pub recipient: String,
    pub left: SideView,
    pub right: SideView,
    /// What both have.
    pub same: Vec<StampView>,
    /// What each has from there on.
    pub parted: Vec<(Option<StampView>, Option<StampView>)>,
    /// What to see in it.
    pub explained: Vec<String>,
}

/// Which message a side is.
pub struct SideView {
    pub message_id: Option<String>,
    pub place: Option<String>,
}

/// A stamp.
pub struct StampView {
    pub number: usize,
    pub time: String,
    pub from: Option<String>,
    pub by: Option<String>,
    pub id: Option<String>,
    pub text: String,
    pub other_time: bool,
    pub other_id: bool,
}

impl PairView {
    pub fn new(pair: &Comparison, culprit: &Culprit) -> Self {
        let stamps = |side: &Side| side.stamps.iter().take(MAX_STAMPS).cloned().collect::<Vec<_>>();
        let (left, right) = (stamps(&pair.left), stamps(&pair.right));
        let shared = pair.shared.min(left.len()).min(right.len());
        let parted = (shared..left.len().max(right.len())).map(|n| {
            let (a, b) = (left.get(n), right.get(n));
            (a.map(|stamp| StampView::new(n, stamp, b)), b.map(|stamp| StampView::new(n, stamp, a)))
        });
        Self {
            letter: words::letter(pair.culprit),
            colour: colour(pair.culprit),
            name: words::name(culprit),
            what: pair.what.clone(),
            recipient: pair.recipient.clone(),
            left: SideView::new(&pair.left),
            right: SideView::new(&pair.right),
            same: left.iter().take(shared).enumerate().map(|(n, s)| StampView::new(n, s, Some(s))).collect(),
            parted: parted.collect(),
            explained: explained(shared, (&left, &right), &words::name(culprit)),
        }
    }
}

impl SideView {
    fn new(side: &Side) -> Self {
        let offset = side.offset.map(|offset| format!("byte {}", words::number(offset)));
        let place: Vec<_> = [side.file.clone(), offset].into_iter().flatten().collect();
        Self {
            message_id: side.message_id.clone(),
            place: Some(place.join(", ")).filter(|place| !place.is_empty()),
        }
    }
}

impl StampView {
    fn new(index: usize, stamp: &Stamp, other: Option<&Stamp>) -> Self {
        let address = stamp.ip.map(|ip| ip.to_string());
        let from = match (stamp.from.clone(), address) {
            (Some(name), Some(ip)) if !name.contains(&ip) => Some(format!("{name} [{ip}]")),
            (Some(name), _) => Some(name),
            (None, Some(ip)) => Some(format!("[{ip}]")),
            (None, None) => None,
        };
        Self {
            number: index + 1,
            time: stamp
                .at_ms
                .map_or_else(|| "no time".to_owned(), |ms| format!("{} UTC", words::stamp_time(ms))),
            from,
            by: stamp.by.clone(),
            id: stamp.id.clone(),
            text: stamp.text.clone(),
            other_time: other.is_some_and(|other| other.at_ms != stamp.at_ms),
            other_id: other.is_some_and(|other| other.id != stamp.id),
        }
    }
}

fn explained(shared: usize, (left, right): (&[Stamp], &[Stamp]), name: &str) -> Vec<String> {
    let mut said = Vec::new();
    said.push(match shared {
        0 => "No line is the same in both: each copy begins anew, as if it were a message of its own. Up to \
              where the copies are one message can therefore not be seen here."
            .to_owned(),
        1 => "Line 1 is the same in both, down to ids and times: it is one and the same message up to here.".to_owned(),
        n => format!("Lines 1 to {n} are the same in both, down to ids and times: it is one and the same message up to here."),
    });
    let next = shared + 1;
    match (left.get(shared), right.get(shared)) {
        (Some(a), Some(b)) if shared > 0 => said.push(format!(
            "Line {next} differs: {}. So {name} had one message and passed it on twice.",
            difference(a, b)
        )),
        (None, None) => {
            said.push("All lines of both are the same: the copies differ in something else.".to_owned())
        }
        (None, Some(_)) | (Some(_), None) => {
            said.push(format!("From line {next} on, one copy went further and the other did not."));
        }
        _ => {}
    }
    if left.len().max(right.len()) > next && shared > 0 {
        said.push(
            "The lines after that differ too, because from there on two messages were on their way."
                .to_owned(),
        );
    }
    said
}

fn difference(a: &Stamp, b: &Stamp) -> String {
    let time = |stamp: &Stamp| stamp.at_ms.map(words::stamp_time);
    let times = match (time(a), time(b)) {
        (Some(a), Some(b)) if a != b => {
            Some(format!("the first copy was stamped at {a}, the second at {b} UTC"))
        }
        _ => None,
    };
    let ids = match (&a.id, &b.id) {
        (Some(a), Some(b)) if a != b => Some(format!("the first got the number {a}, the second {b}")),
        _ => None,
    };
    let parts: Vec<_> = [times, ids].into_iter().flatten().collect();
    if parts.is_empty() { "it is not written alike".to_owned() } else { parts.join("; ") }
}
