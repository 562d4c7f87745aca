//! Reading the log back.

use crate::format::{HEAD_BYTES, Head, Kind, MAGIC};
use crate::states::{States, mix};
use crate::world::{Model, World};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Largest log that is read; beyond it [`Recording::finish`](crate::Recording::finish)
/// fails: the test is to write less.
pub const LOG_MAX_BYTES: u64 = 1 << 30;

/// Why a log could not be read, or a state not be rebuilt.
#[derive(Debug)]
pub enum Error {
    /// Reading or writing a file of ours failed.
    Io(PathBuf, std::io::Error),
    /// The log is longer than [`LOG_MAX_BYTES`].
    TooLong(u64),
    /// The program recorded nothing: was the library loaded, is the root canonical?
    Empty,
    /// The program did something at this record that the model cannot follow.
    Unsupported(usize, String),
    /// The library for `LD_PRELOAD` could not be built.
    Build(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Io(path, error) => write!(out, "{}: {error}", path.display()),
            Error::TooLong(bytes) => {
                write!(out, "the log has {bytes} bytes, at most {LOG_MAX_BYTES} are read")
            }
            Error::Empty => write!(out, "the program recorded nothing below the root"),
            Error::Unsupported(at, what) => write!(out, "record {at}: {what}"),
            Error::Build(what) => write!(out, "building the recorder: {what}"),
        }
    }
}

impl std::error::Error for Error {}

/// What was written: zeros are not kept as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Bytes(Vec<u8>),
    Zeros(u64),
}

impl Data {
    fn new(bytes: &[u8]) -> Self {
        if bytes.len() > 512 && bytes.iter().all(|byte| *byte == 0) {
            Data::Zeros(bytes.len() as u64)
        } else {
            Data::Bytes(bytes.to_vec())
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Data::Bytes(bytes) => bytes.len() as u64,
            Data::Zeros(len) => *len,
        }
    }
}

/// One record.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub head: Head,
    pub data: Data,
    pub second: Vec<u8>,
}

impl Event {
    /// Piece 1 as a path or text.
    pub(crate) fn first(&self) -> &[u8] {
        match &self.data {
            Data::Bytes(bytes) => bytes,
            Data::Zeros(_) => b"",
        }
    }

    /// Whether a power cut after it can leave something else than one before it.
    fn changes_anything(&self) -> bool {
        !matches!(self.head.kind, Kind::Open | Kind::Close | Kind::Dup | Kind::SyncBegin)
    }
}

/// Records found in `bytes`, and how many were left unfinished by a killed process.
pub(crate) fn parse(bytes: &[u8]) -> (Vec<Event>, usize) {
    let (mut events, mut torn, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        if let Some((event, end)) = one(bytes, at) {
            events.push(event);
            at = end;
        } else {
            torn += 1;
            let next = (at + 1..bytes.len()).find(|at| head(bytes, *at).is_some());
            at = next.unwrap_or(bytes.len());
        }
    }
    (events, torn)
}

fn head(bytes: &[u8], at: usize) -> Option<Head> {
    Head::decode(bytes.get(at..)?.first_chunk::<HEAD_BYTES>()?)
}

/// The record at `at`: whole only if the log ends after it, or another record, itself
/// whole or not, begins there.
fn one(bytes: &[u8], at: usize) -> Option<(Event, usize)> {
    let head_at = head(bytes, at)?;
    let middle = at + HEAD_BYTES + head_at.len1 as usize;
    let end = middle + head_at.len2 as usize;
    let next = bytes.get(end..)?;
    let magic = MAGIC.to_le_bytes();
    if !magic.starts_with(&next[..next.len().min(magic.len())]) {
        return None;
    }
    let data = Data::new(bytes.get(at + HEAD_BYTES..middle)?);
    let second = bytes.get(middle..end)?.to_vec();
    Some((Event { head: head_at, data, second }, end))
}

/// A recording that has been read: the files as they were, and what was done to them.
pub struct Log {
    pub(crate) events: Vec<Event>,
    pub(crate) start: World,
    pub(crate) torn: usize,
}

impl Log {
    /// Number of records; a cut is a number from 0 to this.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Records that a killed process left unfinished (at most one for each of its threads).
    #[must_use]
    pub fn torn(&self) -> usize {
        self.torn
    }

    /// All marks with the first cut that comes after each.
    pub fn marks(&self) -> impl Iterator<Item = (usize, String)> + '_ {
        self.events
            .iter()
            .enumerate()
            .filter(|(_, event)| event.head.kind == Kind::Mark)
            .map(|(at, event)| (at + 1, String::from_utf8_lossy(event.first()).into_owned()))
    }

    /// At most `max` cuts in ascending order, the last one always among them: up to half
    /// of them just after a mark, where a promise has just been made, the rest after
    /// anything that changes what a power cut may leave.
    #[must_use]
    pub fn cut_points(&self, max: usize, seed: u64) -> Vec<usize> {
        let marks: Vec<usize> = self.marks().map(|(cut, _)| cut).collect();
        let all: Vec<usize> = (self.events.iter().enumerate())
            .filter(|(_, event)| event.changes_anything())
            .map(|(at, _)| at + 1)
            .collect();
        let mut chosen = BTreeSet::from([self.len()]);
        chosen.extend(sample(&marks, max / 2, seed));
        let left = max.saturating_sub(chosen.len());
        chosen.extend(sample(&all, left, mix(seed, 1, 0)));
        chosen.into_iter().collect()
    }

    /// The states that a power cut after each of `cuts` may leave: with nothing of what
    /// was not synced, with all of it, with names but no data, data but no names, lengths
    /// but no data, and `random` mixtures drawn from `seed`. Equal choices are left out.
    /// Stops after the first error.
    pub fn states(&self, model: Model, cuts: &[usize], seed: u64, random: usize) -> States<'_> {
        States::new(self, model, cuts, seed, random)
    }
}

/// At most `max` of `from`, one at random from each of as many equal stretches.
fn sample(from: &[usize], max: usize, seed: u64) -> Vec<usize> {
    if from.len() <= max {
        return from.to_vec();
    }
    (0..max)
        .map(|stretch| {
            let start = stretch * from.len() / max;
            let end = ((stretch + 1) * from.len() / max).max(start + 1);
            from[start + (mix(seed, stretch as u64, 0) as usize) % (end - start)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(kind: Kind, piece: &[u8]) -> Vec<u8> {
        let len1 = piece.len() as u32;
        let head = Head { kind, pid: 1, tid: 2, fd: -1, a: 3, b: 4, len1, len2: 0 };
        [&head.encode()[..], piece].concat()
    }

    #[test]
    fn a_torn_record_is_counted_and_the_next_one_found() {
        let whole = record(Kind::Write, b"a message that was cut");
        let mark = record(Kind::Mark, b"answered 1");
        let log = [&whole[..], &whole[..whole.len() - 3], &mark, &mark[..20]].concat();
        let (events, torn) = parse(&log);
        let kinds: Vec<Kind> = events.iter().map(|event| event.head.kind).collect();
        assert_eq!((kinds, torn), (vec![Kind::Write, Kind::Mark], 2));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, cut in 0..200_usize) {
            let good = record(Kind::Rename, b"/a");
            parse(&bytes);
            let log = [&good[..good.len().min(cut)], &bytes, &good].concat();
            prop_assert!(!parse(&log).0.is_empty());
        }

        #[test]
        fn heads_come_back(number in 1..19_u32, a: u64, b: u64, fd: i32, len1 in 0..1000_u32) {
            let kind = Kind::from_number(number).expect("a kind");
            let head = Head { kind, pid: 7, tid: 8, fd, a, b, len1, len2: 0 };
            prop_assert_eq!(Head::decode(&head.encode()), Some(head));
        }
    }
}
