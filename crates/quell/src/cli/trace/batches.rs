//! The copies once more, so many groups at a time that their traces have room in memory.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use quell_mail::key::ExactKey;
use quell_storm::trace::report::{Finding, Group, Timeline, Tree};
use quell_storm::trace::{Bounds, Seen, Trace, grouping, id_of, whole};

use super::mails::{Mails, Plain, file_name, mailbox, place_of};
use super::passes::{Reading, add};
use crate::archive::progress::Drawing;
use crate::archive::{Archive, Damages, Place, Progress, joined, portions};

/// What the traces of a batch may take, by estimate; a larger group is a batch of its own.
const BATCH_BYTES: usize = 96 << 20;
/// What a copy takes in a trace: mostly its stamps.
const COPY_BYTES: usize = 2 << 10;
/// Copies that one trace keeps at most.
const MOST_COPIES: usize = 2 * Bounds::ARCHIVE.copies;
/// Workers that may keep copies of one group.
const MOST_READERS: usize = BATCH_BYTES / (MOST_COPIES * COPY_BYTES);
/// Groups whose pictures and sentences are kept, the first of the report; of others there are the
/// figures, the culprits and their evidence. A page shows fewer.
pub(super) const MAX_PICTURES: usize = 1_000;

/// The groups traced, in no order.
pub(super) struct Done {
    pub(super) groups: Vec<Group>,
    pub(super) members: Vec<(String, Vec<usize>)>,
    pub(super) damages: Damages,
}

/// Traces `groups`, each the indices of its messages.
pub(super) fn trace(archive: &Archive, mails: &Mails, groups: Vec<Vec<usize>>, reading: Reading) -> Done {
    let progress = Arc::new(Progress::default());
    let total = groups.iter().flatten().map(|i| mails.bytes(*i)).sum();
    let drawing = Drawing::start("Tracing", Arc::clone(&progress), Some(total), reading.quiet);
    let mut done = Done { groups: Vec::new(), members: Vec::new(), damages: Damages::default() };
    let work = Work { archive, mails, group_of: group_of(mails, &groups), groups, progress };
    let mut keys = Vec::with_capacity(work.groups.len());
    for batch in batches(&work.groups, reading.threads) {
        let (traces, damages) = work.read(batch.clone(), reading.threads);
        add(&mut done.damages, damages);
        for traces in in_slices(traces) {
            for (number, group) in work.judge(&traces, reading.threads) {
                keys.push((number, group.key.clone()));
                done.groups.push(group);
            }
            forget_pictures(&mut done.groups);
        }
    }
    drop(drawing);
    let mut groups = work.groups;
    done.members = keys.into_iter().map(|(n, key)| (key, std::mem::take(&mut groups[n as usize]))).collect();
    done
}

/// Which groups are read together: neighbours, so that their messages are too.
fn batches(groups: &[Vec<usize>], threads: usize) -> Vec<Range<usize>> {
    let most = MOST_COPIES * threads.min(MOST_READERS);
    portions(groups.iter().map(|group| (group.len().min(most) * COPY_BYTES) as u64), BATCH_BYTES as u64)
}

/// No group.
const NONE: u32 = u32::MAX;

/// The group of each message.
fn group_of(mails: &Mails, groups: &[Vec<usize>]) -> Vec<u32> {
    // Nothing is a copy: then nobody asks.
    let mut of = vec![NONE; if groups.is_empty() { 0 } else { mails.len() }];
    for (n, group) in (0..).zip(groups) {
        group.iter().for_each(|i| of[*i] = n);
    }
    of
}

/// What one worker has of a batch, by group.
type Part = HashMap<u32, (Option<ExactKey>, Trace)>;

struct Work<'a> {
    archive: &'a Archive,
    mails: &'a Mails,
    groups: Vec<Vec<usize>>,
    group_of: Vec<u32>,
    progress: Arc<Progress>,
}

impl Work<'_> {
    fn read(&self, batch: Range<usize>, threads: usize) -> (Part, Damages) {
        let places: Vec<_> = self.groups[batch].iter().flatten().map(|i| self.mails.place(*i)).collect();
        let threads = threads.clamp(1, MOST_READERS);
        let (parts, damages) =
            self.archive.read(&places, threads, &self.progress, Part::new, |part, message| {
                let plain = Plain::of(self.archive, message.place.file(), message.bytes);
                self.take(part, message.place, &plain);
            });
        let mut all = Part::new();
        for (n, (key, trace)) in parts.into_iter().flatten() {
            match all.get_mut(&n) {
                Some(known) => {
                    known.0 = known.0.or(key);
                    known.1.merge(&trace);
                }
                None => {
                    all.insert(n, (key, trace));
                }
            }
        }
        (all, damages)
    }

    fn take(&self, part: &mut Part, place: Place, plain: &Plain<'_>) {
        let Some(i) = self.mails.at(place) else { return };
        let n = self.group_of[i];
        let Some(group) = self.groups.get(n as usize) else { return };
        let (key, trace) = part.entry(n).or_insert_with(|| (None, Trace::new(Bounds::ARCHIVE)));
        if group.first() == Some(&i) {
            *key = Some(whole::key_of(&plain.whole()));
        }
        let recipient = grouping::recipient(plain.header, &mailbox(self.archive, place.file()));
        let place = place_of(place);
        trace.add(&Seen {
            header: plain.header,
            own_stamp: None,
            recipient: &recipient,
            arrived_ms: None,
            id: id_of(place),
            place: Some(place),
        });
    }

    /// What the traces say.
    fn judge(&self, traces: &[Whole], threads: usize) -> Vec<(u32, Group)> {
        let file = |file| file_name(self.archive, file);
        let judge = |part: &[Whole]| {
            part.iter().map(|(n, key, trace)| (*n, trace.group(key, &file))).collect::<Vec<_>>()
        };
        let each = traces.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let parts: Vec<_> = traces.chunks(each).map(|part| scope.spawn(move || judge(part))).collect();
            parts.into_iter().flat_map(joined).collect()
        })
    }
}

/// A group's number, key and trace.
type Whole = (u32, ExactKey, Trace);

/// So many at a time as have pictures in the end. A group whose first message was not found again, or of
/// which fewer than two were, has lost its file meanwhile and is left out; the damages tell of it.
fn in_slices(traces: Part) -> impl Iterator<Item = Vec<Whole>> {
    let known = |(n, (key, trace)): (u32, (Option<ExactKey>, Trace))| {
        Some((n, key?, trace)).filter(|(_, _, trace)| trace.messages() > 1)
    };
    let mut whole: Vec<Whole> = traces.into_iter().filter_map(known).collect();
    // The last first: slices are cut off at the end.
    whole.sort_by_key(|(n, ..)| std::cmp::Reverse(*n));
    std::iter::from_fn(move || {
        let slice = whole.split_off(whole.len().saturating_sub(MAX_PICTURES));
        Some(slice).filter(|slice| !slice.is_empty())
    })
}

/// Keeps pictures and sentences of the first groups only. Done while they come: there may be very many.
pub(super) fn forget_pictures(groups: &mut [Group]) {
    if groups.len() <= MAX_PICTURES {
        return;
    }
    whole::sort(groups);
    for group in &mut groups[MAX_PICTURES..] {
        group.tree = Tree::default();
        group.timeline = Timeline::default();
        group.comparisons = Vec::new();
        if group.culprits.is_empty() && group.finding != Finding::CannotTell {
            group.words = Vec::new();
        }
    }
}
