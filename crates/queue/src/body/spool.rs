//! The spool: what is kept, what is live, when it is durable.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use quell_mail::id::QueueId;

use super::files::Files;
use super::large::{FinishedLarge, LargeWriter};
use super::read::SpoolReader;
use super::record::{self, FILE_HEADER_BYTES, Kind, RECORD_HEADER_BYTES};
use super::segment::{Segment, total_bytes};
use super::{BodyRef, SpoolError, SpoolSettings};

/// Most full segments that wait for a sync while bodies are rescued: their files are open.
const RESCUE_FILES: usize = 16;
/// A segment of which less than one part in this many lives is worth emptying.
const SPARSE: u64 = 4;
/// Largest segment, and smallest: the file header and a record of some use.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 4 << 10..=1 << 30;

/// Keeps bodies. Belongs to the thread that commits; others read through [`Spool::reader`] and
/// write large bodies with [`Spool::large_writers`].
#[derive(Debug)]
pub struct Spool {
    files: Arc<Files>,
    kept: BTreeMap<u64, Kept>,
    current: Option<Segment>,
    /// Segments that became full since the last sync.
    full: Vec<File>,
    /// A name was made since the last sync.
    new_names: bool,
    failed: Option<String>,
    missing: Vec<u64>,
    buffer: Vec<u8>,
}

/// One file, and what lives in it: offset and length of each body. A set, not a count, so that
/// releasing a body twice cannot take another one's place away.
#[derive(Debug, Default)]
struct Kept {
    bodies: HashMap<u64, u64>,
    live_bytes: u64,
    disk_bytes: u64,
}

/// What [`Spool::rescue`] achieved.
#[derive(Debug, Default)]
pub struct Rescued {
    /// Where each body lay, and where it lies now, durable. The old place is still kept: call
    /// [`Spool::moved`] once the ledger has the new one.
    pub moved: Vec<(BodyRef, BodyRef)>,
    /// What could not be read back, and why: for the operator.
    pub lost: Vec<(BodyRef, SpoolError)>,
}

/// A way to hand out [`LargeWriter`]s on any thread.
#[derive(Debug, Clone)]
pub struct LargeWriters(Arc<Files>);

impl LargeWriters {
    /// Begins a large body, in a file of its own.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Full`], [`SpoolError::Io`], [`SpoolError::SyncFailed`].
    pub fn begin(&self) -> Result<LargeWriter, SpoolError> {
        LargeWriter::create(&self.0, self.0.settings.max_body_bytes)
    }
}

impl Spool {
    /// Opens the spool in `dir`, which is made if it is not there (0700). `live` names every body
    /// that a row still needs, and must be complete: **all other bodies are deleted.** The time
    /// taken is linear in `live` and the number of files. Old segments are never written again.
    ///
    /// # Errors
    ///
    /// Trouble with the directory. Live bodies in files that are not there are no error here: see
    /// [`Spool::missing`].
    pub fn open(
        dir: &Path,
        live: impl IntoIterator<Item = BodyRef>,
        mut settings: SpoolSettings,
    ) -> Result<Self, SpoolError> {
        let sizes = (*SEGMENT_BYTES.start(), *SEGMENT_BYTES.end());
        settings.segment_bytes = settings.segment_bytes.clamp(sizes.0, sizes.1);
        let mut kept = BTreeMap::<u64, Kept>::new();
        live.into_iter().for_each(|body| kept.entry(body.file).or_default().add(&body));
        let mut found = Vec::new();
        let highest = |dir: &Path| {
            found = list(dir)?;
            let seen = found.iter().map(|(file, _)| *file).chain(kept.keys().copied());
            Ok(seen.max().unwrap_or(0))
        };
        let files = Arc::new(Files::open(dir, highest, settings)?);
        let missing = reconcile(&files, &mut kept, &found)?;
        Ok(Self {
            files,
            kept,
            current: None,
            full: Vec::new(),
            new_names: false,
            failed: None,
            missing,
            buffer: Vec::new(),
        })
    }

    /// Files that live bodies should be in and that are not there: mail was lost outside our care,
    /// the operator must know.
    pub fn missing(&self) -> &[u64] {
        &self.missing
    }

    /// Writes a body, given in parts so that a trace header can stand in front. It is durable only
    /// after the next [`Spool::sync`].
    ///
    /// # Errors
    ///
    /// [`SpoolError::TooLarge`], [`SpoolError::Full`], [`SpoolError::Io`]: this body is not kept,
    /// others are not concerned. [`SpoolError::SyncFailed`] after a failed sync.
    pub fn append(&mut self, id: &QueueId, parts: &[&[u8]]) -> Result<BodyRef, SpoolError> {
        let (bytes, limit) = (total_bytes(parts), self.files.settings.max_body_bytes);
        if bytes > limit {
            return Err(SpoolError::TooLarge { bytes, limit });
        }
        self.append_any(id, parts)
    }

    fn append_any(&mut self, id: &QueueId, parts: &[&[u8]]) -> Result<BodyRef, SpoolError> {
        self.check_failed()?;
        let len = total_bytes(parts);
        if !self.is_small(len) {
            let mut writer = LargeWriter::create(&self.files, len)?;
            parts.iter().try_for_each(|part| writer.write(part))?;
            return self.append_large(writer.finish(id, &[])?);
        }
        self.make_room(len)?;
        let Some(segment) = &mut self.current else {
            return Err(SpoolError::SyncFailed("no segment".to_owned()));
        };
        let body = segment.append(id, parts, &mut self.buffer)?;
        self.kept.entry(body.file).or_default().add(&body);
        Ok(body)
    }

    fn is_small(&self, len: u64) -> bool {
        let settings = &self.files.settings;
        let most = settings.segment_bytes - FILE_HEADER_BYTES;
        len <= settings.small_body_bytes && record::record_bytes(len) <= most
    }

    /// Sees to it that there is a segment with room for `len` bytes.
    fn make_room(&mut self, len: u64) -> Result<(), SpoolError> {
        if self.current.as_ref().is_some_and(|segment| segment.has_room(len)) {
            return Ok(());
        }
        let segment = Segment::create(&self.files)?;
        self.new_names = true;
        self.kept.insert(segment.number, Kept { disk_bytes: segment.bytes, ..Kept::default() });
        if let Some(old) = self.current.replace(segment) {
            self.retire(old)?;
        }
        Ok(())
    }

    /// A segment that is full: it may be empty of life already.
    fn retire(&mut self, old: Segment) -> Result<(), SpoolError> {
        if old.dirty {
            self.full.push(old.file);
        }
        self.delete_if_dead(old.number)
    }

    /// Where receiving threads get their [`LargeWriter`]s.
    pub fn large_writers(&self) -> LargeWriters {
        LargeWriters(Arc::clone(&self.files))
    }

    /// Begins a large body, for use on any thread.
    ///
    /// # Errors
    ///
    /// As [`LargeWriters::begin`].
    pub fn begin_large(&self) -> Result<LargeWriter, SpoolError> {
        self.large_writers().begin()
    }

    /// Takes a finished large body. Its name is durable after the next [`Spool::sync`].
    ///
    /// # Errors
    ///
    /// [`SpoolError::SyncFailed`] after a failed sync; [`SpoolError::Foreign`] if it was begun
    /// before this spool was opened. The body is deleted then.
    pub fn append_large(&mut self, large: FinishedLarge) -> Result<BodyRef, SpoolError> {
        self.check_failed()?;
        let (body, disk_bytes) = large.keep(&self.files)?;
        self.new_names = true;
        let kept = self.kept.entry(body.file).or_default();
        kept.disk_bytes = disk_bytes;
        kept.add(&body);
        Ok(body)
    }

    /// Makes all appended bodies durable: one `fdatasync` per touched file, and a sync of the
    /// directory if there are new files. Nothing touched: no call.
    ///
    /// # Errors
    ///
    /// [`SpoolError::SyncFailed`]: final. What was appended since the last sync must be answered
    /// 451, and what is live be rescued.
    pub fn sync(&mut self) -> Result<(), SpoolError> {
        self.check_failed()?;
        self.try_sync().inspect_err(|e| self.failed = Some(e.to_string()))
    }

    fn try_sync(&mut self) -> Result<(), SpoolError> {
        let failed = |e: io::Error| SpoolError::SyncFailed(format!("segment: {e}"));
        self.full.iter().try_for_each(File::sync_data).map_err(failed)?;
        self.full.clear();
        if let Some(segment) = self.current.as_mut().filter(|segment| segment.dirty) {
            segment.file.sync_data().map_err(failed)?;
            segment.dirty = false;
        }
        if self.new_names {
            self.files.sync_dir()?;
            self.new_names = false;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn full_for_test(&mut self) -> &mut Vec<File> {
        &mut self.full
    }

    fn check_failed(&self) -> Result<(), SpoolError> {
        match &self.failed {
            Some(why) => Err(SpoolError::SyncFailed(why.clone())),
            None => Ok(()),
        }
    }

    /// Opens bodies, on any thread.
    pub fn reader(&self) -> SpoolReader {
        SpoolReader::new(&self.files)
    }

    /// Reads a whole body to see that it is undamaged.
    ///
    /// # Errors
    ///
    /// As [`SpoolReader::open`].
    pub fn verify(&self, body: &BodyRef) -> Result<(), SpoolError> {
        self.reader().verify(body)
    }

    /// Lets go of a body, once the ledger's commit that no longer names it is durable. A file
    /// without life is deleted; the segment in use stays. Released before: nothing happens. It may
    /// be named by a place that it has left.
    ///
    /// # Errors
    ///
    /// The file could not be deleted; the next open does it.
    pub fn release(&mut self, body: &BodyRef) -> Result<(), SpoolError> {
        let place = self.files.place(body);
        self.files.moved().forget(&place);
        self.give_up(&place)
    }

    /// The durable ledger names `new` instead of `old`, whose place is given up. Whoever has read
    /// `old` in the ledger before can go on using it: to open the body, and to release it.
    ///
    /// # Errors
    ///
    /// As [`Spool::release`].
    pub fn moved(&mut self, old: &BodyRef, new: BodyRef) -> Result<(), SpoolError> {
        self.files.moved().note(*old, new);
        self.give_up(old)
    }

    fn give_up(&mut self, body: &BodyRef) -> Result<(), SpoolError> {
        match self.kept.get_mut(&body.file).map(|kept| kept.remove(body)) {
            Some(true) => self.delete_if_dead(body.file),
            _ => Ok(()),
        }
    }

    fn delete_if_dead(&mut self, file: u64) -> Result<(), SpoolError> {
        let current = self.current.as_ref().is_some_and(|segment| segment.number == file);
        let dead = self.kept.get(&file).is_some_and(|kept| kept.bodies.is_empty());
        if current || !dead {
            return Ok(());
        }
        self.files.remove(file)?;
        self.kept.remove(&file);
        Ok(())
    }

    /// Bytes on the disk: segments whole, large bodies, unfinished ones too.
    pub fn disk_bytes(&self) -> u64 {
        let kept: u64 = self.kept.values().map(|kept| kept.disk_bytes).sum();
        kept + self.files.unfinished_bytes.load(Ordering::Relaxed)
    }

    /// Bodies that are kept.
    pub fn bodies(&self) -> usize {
        self.kept.values().map(|kept| kept.bodies.len()).sum()
    }

    /// Segments, not the one in use, of which less than a quarter lives. Their bodies can be
    /// moved: [`Spool::live_in`], [`Spool::copy`], sync, commit, [`Spool::moved`].
    pub fn compact_candidates(&self) -> Vec<u64> {
        let current = self.current.as_ref().map(|segment| segment.number);
        let sparse = |kept: &Kept| kept.live_bytes < kept.disk_bytes / SPARSE;
        self.kept
            .iter()
            .filter(|(file, _)| Kind::of(**file) == Kind::Segment && Some(**file) != current)
            .filter(|(_, kept)| sparse(kept))
            .map(|(file, _)| *file)
            .collect()
    }

    /// The live bodies of a file, in order of place.
    pub fn live_in(&self, file: u64) -> Vec<BodyRef> {
        let bodies = self.kept.get(&file).into_iter().flat_map(|kept| &kept.bodies);
        let mut live: Vec<_> =
            bodies.map(|(offset, len)| BodyRef { file, offset: *offset, len: *len }).collect();
        live.sort_unstable();
        live
    }

    /// Writes a body once more, checked, under the same queue id; durable after the next sync.
    ///
    /// # Errors
    ///
    /// Those of reading and of appending; nothing is copied then.
    pub fn copy(&mut self, body: &BodyRef) -> Result<BodyRef, SpoolError> {
        self.check_failed()?;
        let mut reader = self.reader().open(body)?;
        let id = *reader.queue_id();
        if self.is_small(body.len) {
            let mut bytes = vec![0; body.len as usize];
            let mut at = 0;
            loop {
                match reader.next_bytes(&mut bytes[at..])? {
                    0 => break,
                    n => at += n,
                }
            }
            return self.append_any(&id, &[&bytes]);
        }
        let mut writer = LargeWriter::create(&self.files, body.len)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reader.next_bytes(&mut buffer)? {
                0 => break,
                n => writer.write(&buffer[..n])?,
            }
        }
        self.append_large(writer.finish(&id, &[])?)
    }

    /// After a failed sync: reads back every body in `live` and writes it to new files, synced.
    /// Then the spool takes bodies again. Memory: one small body, and what is returned; disk: as
    /// much again as lives. What was appended but is not in `live` stays until it is released.
    ///
    /// # Errors
    ///
    /// Trouble in writing. The copies made are deleted, and the spool still takes nothing.
    pub fn rescue(&mut self, live: impl IntoIterator<Item = BodyRef>) -> Result<Rescued, SpoolError> {
        self.abandon_written()?;
        let mut rescued = Rescued::default();
        let done = self.rescue_all(live, &mut rescued).and_then(|()| self.sync());
        if let Err(e) = done {
            self.failed.get_or_insert_with(|| e.to_string());
            rescued.moved.iter().try_for_each(|(_, new)| self.release(new))?;
            return Err(e);
        }
        Ok(rescued)
    }

    /// Forgets what waits for a sync: its pages may be gone, and no later sync would say so.
    fn abandon_written(&mut self) -> Result<(), SpoolError> {
        self.full.clear();
        self.failed = None;
        match self.current.take() {
            Some(segment) => self.delete_if_dead(segment.number),
            None => Ok(()),
        }
    }

    fn rescue_all(
        &mut self,
        live: impl IntoIterator<Item = BodyRef>,
        rescued: &mut Rescued,
    ) -> Result<(), SpoolError> {
        for old in live {
            // Read first, so that what fails below is a failure to write.
            if let Err(why) = self.verify(&old) {
                rescued.lost.push((old, why));
                continue;
            }
            rescued.moved.push((old, self.copy(&old)?));
            if self.full.len() >= RESCUE_FILES {
                self.sync()?;
            }
        }
        Ok(())
    }
}

impl Kept {
    fn add(&mut self, body: &BodyRef) {
        if self.bodies.insert(body.offset, body.len).is_none() {
            self.live_bytes += record_bytes(body);
        }
    }

    /// False if it was not there.
    fn remove(&mut self, body: &BodyRef) -> bool {
        let there = self.bodies.remove(&body.offset).is_some();
        if there {
            self.live_bytes = self.live_bytes.saturating_sub(record_bytes(body));
        }
        there
    }
}

fn record_bytes(body: &BodyRef) -> u64 {
    // A reference from damaged rows may name any length.
    record::record_bytes(body.len).min(u64::from(u32::MAX) + RECORD_HEADER_BYTES)
}

/// All files of ours in `dir`, with their sizes.
fn list(dir: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if let Some(file) = entry.file_name().to_str().and_then(record::file_number) {
            found.push((file, entry.metadata()?.len()));
        }
    }
    Ok(found)
}

/// Deletes the files nothing lives in; returns those that are missing.
fn reconcile(
    files: &Files,
    kept: &mut BTreeMap<u64, Kept>,
    found: &[(u64, u64)],
) -> Result<Vec<u64>, SpoolError> {
    for (file, bytes) in found {
        match kept.get_mut(file) {
            Some(kept) => kept.disk_bytes = *bytes,
            None => files.remove(*file)?,
        }
    }
    // No file of ours is empty: what has no size now was not found.
    let missing: Vec<u64> =
        kept.iter().filter(|(_, kept)| kept.disk_bytes == 0).map(|(file, _)| *file).collect();
    Ok(missing)
}
