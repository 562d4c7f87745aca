//! The committer: one thread that owns the body store and the ledger's writer. One batch: bodies
//! written, bodies synced, ledger committed. A failed sync is final: both are closed, reopened,
//! and what they hold is written into new, synced files before the next batch.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use quell_mail::id::QueueId;
use quell_queue::body::{BodyRef, Spool, SpoolError};
use quell_queue::door::{Bytes, NewBody, Work};
use quell_queue::reserve::{Reserve, Room};
use quell_queue::store::sqlite::{SqliteReader, SqliteStore};
use quell_queue::store::{KeptBody, Reader, Retention, RowWrite, Store, StoreError};
use quell_storm::facts::Ms;
use tracing::{error, info, warn};

/// Batches that may wait: the desk gathers while one is written, so one is enough.
const QUEUED: usize = 16;
/// The pause before each try to reopen while the disk is unwell.
const REOPEN_AFTER: Duration = Duration::from_millis(500);
/// Bodies moved in one step of compaction.
const COMPACT_AT_ONCE: usize = 64;

/// What the committer is asked for.
pub enum Job {
    /// Make a batch durable.
    Write(Box<Work>),
    /// Nobody needs these bodies any more.
    Release(Vec<BodyRef>),
    /// A bounded step of upkeep, if there is nothing else to do.
    Upkeep(Ms),
    /// Close, reopen, recover. The desk's reader is closed already.
    Reopen,
}

/// What it answers.
pub enum Done {
    /// The batch is durable, and its bodies lie there.
    Committed(Vec<(QueueId, BodyRef)>),
    /// The batch is lost.
    Failed(StoreError),
    /// It works again.
    Reopened(SqliteReader),
    /// Upkeep did a step; true: there is more.
    Kept(bool),
    /// Bytes that the body store takes on the disk.
    SpoolBytes(u64),
}

/// How long things are kept, at the moment: a reload changes it.
pub type RetentionNow = Box<dyn Fn() -> Retention + Send>;

/// What the committer owns.
pub struct Committer {
    store: Option<SqliteStore>,
    spool: Spool,
    reserve: Reserve,
    room: Room,
    path: PathBuf,
    data: PathBuf,
    retention: RetentionNow,
    /// Bodies of batches that failed after these were written. Whether a row names one is known only
    /// once the ledger can be read again.
    doubtful: Vec<BodyRef>,
    /// What failed makes it uncertain what is on the disk: nothing of the old files is trusted.
    distrust: bool,
}

impl Committer {
    /// A committer on an open store and spool.
    pub fn new(
        store: SqliteStore,
        spool: Spool,
        reserve: Reserve,
        room: Room,
        data: PathBuf,
        retention: RetentionNow,
    ) -> Self {
        let path = store.path().to_owned();
        Self {
            store: Some(store),
            spool,
            reserve,
            room,
            path,
            data,
            retention,
            doubtful: Vec::new(),
            distrust: false,
        }
    }

    /// Starts the thread. `done` is called on it with every answer.
    ///
    /// # Errors
    /// No thread could be had.
    pub fn start(
        mut self,
        done: impl Fn(Done) + Send + 'static,
    ) -> std::io::Result<(SyncSender<Job>, std::thread::JoinHandle<()>)> {
        let (tx, jobs) = sync_channel(QUEUED);
        let run = move || self.run(&jobs, &done);
        let thread = super::vital_thread("committer".to_owned(), run)?;
        Ok((tx, thread))
    }

    fn run(&mut self, jobs: &Receiver<Job>, done: &impl Fn(Done)) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Write(work) => done(self.write(*work).map_or_else(Done::Failed, Done::Committed)),
                Job::Release(bodies) => self.release(&bodies),
                Job::Upkeep(now) => {
                    done(self.upkeep(now).map_or_else(Done::Failed, Done::Kept));
                    done(Done::SpoolBytes(self.spool.disk_bytes()));
                }
                Job::Reopen => match self.reopen_until_it_works(jobs) {
                    Some(reader) => done(Done::Reopened(reader)),
                    None => return,
                },
            }
        }
    }

    fn write(&mut self, work: Work) -> Result<Vec<(QueueId, BodyRef)>, StoreError> {
        let Work { number, mut batch, bodies } = work;
        let places = self.write_bodies(bodies)?;
        let mut work = Work { number, batch: std::mem::take(&mut batch), bodies: Vec::new() };
        work.placed(&places);
        if let Err(why) = self.commit_with_reserve(&mut work) {
            self.doubtful.extend(places.iter().map(|(_, body)| *body));
            return Err(self.judged(why));
        }
        Ok(places)
    }

    /// Lack of room breaks nothing. After anything else that the ledger could not write, nobody
    /// knows what is on the disk.
    fn judged(&mut self, why: StoreError) -> StoreError {
        self.distrust |= !matches!(why, StoreError::Full(_));
        why
    }

    /// A body that could not be written concerns nobody else; a sync that failed concerns all.
    fn spool_judged(&mut self, why: &SpoolError) -> StoreError {
        self.distrust |= matches!(why, SpoolError::SyncFailed(_));
        spool_error(why)
    }

    /// Outcomes and deletions must find room: that is what the reserve is for. New mail must not
    /// use it up: a batch that brings some fails, and the outcomes in it come again by themselves.
    fn commit_with_reserve(&mut self, work: &mut Work) -> Result<(), StoreError> {
        let brings_mail = work.batch.rows.iter().any(|row| matches!(row, RowWrite::ByPermit(..)));
        match self.commit(work) {
            Err(StoreError::Full(why)) if !brings_mail => {
                warn!(event = "disk_full", reason = why, "the disk is full: the reserve is spent");
                self.reserve.spend().map_err(|e| StoreError::Full(e.to_string()))?;
                self.commit(work)
            }
            other => other,
        }
    }

    /// A step on a row that is gone must not take the others with it.
    fn commit(&mut self, work: &mut Work) -> Result<(), StoreError> {
        let Some(store) = &mut self.store else {
            return Err(StoreError::Broken("the store is being reopened".to_owned()));
        };
        loop {
            match store.commit(&work.batch) {
                Err(StoreError::NoRow(id)) => {
                    error!(event = "row_missing", id = %id.kid, rcpt = id.rcpt, "a ledger row to be changed is not there");
                    let before = work.batch.rows.len();
                    work.batch.rows.retain(|w| !matches!(w, RowWrite::Step(row) if row.id == id));
                    if work.batch.rows.len() == before {
                        return Err(StoreError::NoRow(id));
                    }
                }
                other => return other,
            }
        }
    }

    fn write_bodies(&mut self, bodies: Vec<NewBody>) -> Result<Vec<(QueueId, BodyRef)>, StoreError> {
        let mut places = Vec::with_capacity(bodies.len());
        for NewBody { queue_id, front, bytes } in bodies {
            let body = match bytes {
                Bytes::Small(bytes) => self.spool.append(&queue_id, &[&front, &bytes]),
                Bytes::Large(large) => self.spool.append_large(large),
            };
            match body {
                Ok(body) => places.push((queue_id, body)),
                Err(why) => {
                    places.iter().for_each(|(_, body)| self.release(&[*body]));
                    return Err(self.spool_judged(&why));
                }
            }
        }
        if !places.is_empty()
            && let Err(why) = self.spool.sync()
        {
            self.doubtful.extend(places.iter().map(|(_, body)| *body));
            return Err(self.spool_judged(&why));
        }
        Ok(places)
    }

    fn release(&mut self, bodies: &[BodyRef]) {
        for body in bodies {
            not_deleted(self.spool.release(body));
        }
    }

    /// A bounded step. Full disks are left for later; any other failure to write is final here as
    /// it is for mail.
    fn upkeep(&mut self, now: Ms) -> Result<bool, StoreError> {
        if !self.reserve.is_held() && self.room.enough(&self.data, 0).unwrap_or(false) {
            match self.reserve.restore() {
                Ok(true) => {
                    info!(event = "reserve_restored", "there is room again: the reserve is set aside")
                }
                Ok(false) => {}
                Err(why) => warn!(event = "reserve_failed", reason = %why, "the reserve cannot be set aside"),
            }
        }
        let Some(store) = &mut self.store else { return Ok(false) };
        let done = match store.upkeep(now, &(self.retention)()) {
            Ok(true) => Ok(true),
            Ok(false) => self.compact(),
            Err(why) => Err(self.judged(why)),
        };
        match done {
            Err(why) if !self.distrust => {
                warn!(event = "upkeep_failed", reason = %why, "upkeep failed; it is tried again");
                Ok(false)
            }
            done => done,
        }
    }

    /// Moves the few bodies that keep an old segment alive, so that it can be deleted. A segment
    /// that cannot be emptied (a damaged body) does not stand before the others.
    fn compact(&mut self) -> Result<bool, StoreError> {
        let candidates = self.spool.compact_candidates();
        let Some(store) = self.store.as_ref().filter(|_| !candidates.is_empty()) else { return Ok(false) };
        let kept = store.reader()?.bodies()?;
        let places: HashSet<BodyRef> = kept.iter().map(|k| k.body).collect();
        self.release_doubtful(places.iter().copied());
        for file in candidates {
            let live = self.spool.live_in(file);
            let some = live.into_iter().filter(|body| places.contains(body)).take(COMPACT_AT_ONCE);
            let some: HashSet<BodyRef> = some.collect();
            let moves = self.copy_synced(kept.iter().filter(|k| some.contains(&k.body)).cloned())?;
            let Some(store) = &mut self.store else { return Ok(false) };
            if let Err(why) = store.move_bodies(&moves) {
                self.doubtful.extend(moves.iter().map(|(_, to)| *to));
                return Err(self.judged(why));
            }
            if self.leave(&moves) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes bodies once more. One that is damaged stays where it is: who wants to read it says so.
    fn copy_synced(
        &mut self,
        kept: impl Iterator<Item = KeptBody>,
    ) -> Result<Vec<(KeptBody, BodyRef)>, StoreError> {
        let mut moves = Vec::new();
        for kept in kept {
            match self.spool.copy(&kept.body) {
                Ok(to) => moves.push((kept, to)),
                Err(SpoolError::Damaged { .. } | SpoolError::Missing { .. }) => {}
                Err(why) => {
                    moves.iter().for_each(|(_, to)| self.release(&[*to]));
                    return Err(self.spool_judged(&why));
                }
            }
        }
        if let Err(why) = self.spool.sync() {
            self.doubtful.extend(moves.iter().map(|(_, to)| *to));
            return Err(self.spool_judged(&why));
        }
        Ok(moves)
    }

    /// The old places of moved bodies are given up. True: there were any.
    fn leave(&mut self, moves: &[(KeptBody, BodyRef)]) -> bool {
        moves.iter().for_each(|(kept, to)| not_deleted(self.spool.moved(&kept.body, *to)));
        !moves.is_empty()
    }

    /// Lets go of what was written for batches that were lost.
    fn release_doubtful(&mut self, kept: impl Iterator<Item = BodyRef>) {
        let kept: HashSet<BodyRef> = kept.collect();
        let mut doubtful = std::mem::take(&mut self.doubtful);
        doubtful.retain(|body| !kept.contains(body));
        self.release(&doubtful);
    }

    /// Not at once: what has just failed may need a moment, and must not be tried in a tight loop.
    /// None: the server stops meanwhile. What was not written then was not answered 250.
    fn reopen_until_it_works(&mut self, jobs: &Receiver<Job>) -> Option<SqliteReader> {
        loop {
            std::thread::sleep(REOPEN_AFTER);
            // While the door is shut the desk hands over nothing but bodies to release: what of
            // them is lost here is deleted at the next start.
            while let Some(job) = match jobs.try_recv() {
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => None,
                Ok(job) => Some(job),
            } {
                if let Job::Release(bodies) = job {
                    self.release(&bodies);
                }
            }
            let reopened = if self.distrust { self.reopen() } else { self.read_again() };
            match reopened {
                Ok(reader) => return Some(reader),
                Err(why) => {
                    error!(event = "reopen_failed", reason = %why, "the store cannot be reopened; it is tried again");
                }
            }
        }
    }

    /// A full disk has broken nothing: what was not committed is not there, what was is.
    fn read_again(&mut self) -> Result<SqliteReader, StoreError> {
        let Some(store) = &self.store else { return self.reopen() };
        let reader = store.reader()?;
        if !self.doubtful.is_empty() {
            let kept = reader.bodies()?;
            self.release_doubtful(kept.iter().map(|k| k.body));
        }
        Ok(reader)
    }

    fn reopen(&mut self) -> Result<SqliteReader, StoreError> {
        self.store = None;
        let mut store = SqliteStore::rewrite(&self.path)?;
        let reader = store.reader()?;
        let kept = reader.bodies()?;
        let rescued = self.spool.rescue(kept.iter().map(|k| k.body)).map_err(|why| spool_error(&why))?;
        for (body, why) in &rescued.lost {
            error!(event = "body_lost", file = body.file, offset = body.offset, reason = %why, "a body cannot be read back");
        }
        let places: HashMap<_, _> = rescued.moved.into_iter().collect();
        let moves: Vec<_> =
            kept.into_iter().filter_map(|k| places.get(&k.body).copied().map(|new| (k, new))).collect();
        if let Err(why) = store.move_bodies(&moves) {
            self.doubtful.extend(moves.iter().map(|(_, to)| *to));
            return Err(why);
        }
        info!(event = "store_reopened", bodies = moves.len(), "the store was reopened and rewritten");
        self.leave(&moves);
        self.release_doubtful(
            moves.iter().map(|(_, to)| *to).chain(rescued.lost.iter().map(|(body, _)| *body)),
        );
        self.store = Some(store);
        self.distrust = false;
        Ok(reader)
    }
}

fn not_deleted(released: Result<(), SpoolError>) {
    if let Err(why) = released {
        warn!(event = "release_failed", reason = %why, "a body's file could not be deleted; the next start does it");
    }
}

fn spool_error(why: &SpoolError) -> StoreError {
    if why.is_full() { StoreError::Full(why.to_string()) } else { StoreError::Broken(why.to_string()) }
}
