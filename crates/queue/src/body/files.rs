//! The spool's directory: names, numbers, making and deleting files.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::moved::Moved;
use super::record::{self, Kind};
use super::{BodyRef, SpoolError, SpoolSettings};

/// Numbers are taken from the stored mark this many at a time.
const NUMBERS_AT_ONCE: u64 = 1024;
const NUMBERS_FILE: &str = "numbers";
const NUMBERS_MAGIC: [u8; 8] = *b"QUELLNUM";
/// The mark is written to two places in turn, so that a torn write leaves the other.
const NUMBERS_SLOT_BYTES: u64 = 4096;

/// What all threads of one spool share.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    /// Open as long as this lives: a sync must not fail for want of a descriptor.
    dir_itself: File,
    pub(super) settings: SpoolSettings,
    numbers: Mutex<Numbers>,
    /// Bytes of large files that are being written.
    pub(super) unfinished_bytes: AtomicU64,
    moved: Mutex<Moved>,
}

#[derive(Debug)]
struct Numbers {
    file: File,
    next: u64,
    /// All numbers below may be taken; it is durable.
    mark: u64,
}

impl Files {
    /// Opens the directory, makes it if need be, and lets numbers begin above all used before.
    pub(super) fn open(
        dir: &Path,
        highest: impl FnOnce(&Path) -> io::Result<u64>,
        settings: SpoolSettings,
    ) -> Result<Self, SpoolError> {
        let failed = |doing| move |e| SpoolError::io(doing, NUMBERS_FILE, e);
        make_dir(dir).map_err(|e| SpoolError::io("make", &dir.display().to_string(), e))?;
        let highest = highest(dir).map_err(|e| SpoolError::io("list", ".", e))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(dir.join(NUMBERS_FILE)).map_err(failed("open"))?;
        let slots = [0, 1].map(|slot| read_slot(&file, slot));
        let seen = (highest / 2).saturating_add(1);
        let mut next = slots.into_iter().flatten().max().unwrap_or(0).max(seen);
        if slots.contains(&None) {
            // The slot that cannot be read may have held the higher mark.
            next = next.saturating_add(NUMBERS_AT_ONCE);
        }
        let mut numbers = Numbers { file, next, mark: next };
        numbers.raise()?;
        let numbers = Mutex::new(numbers);
        let dir_itself = File::open(dir).map_err(|e| SpoolError::io("open", ".", e))?;
        let files = Self {
            dir: dir.to_owned(),
            dir_itself,
            settings,
            numbers,
            unfinished_bytes: 0.into(),
            moved: Mutex::default(),
        };
        files.sync_dir()?;
        Ok(files)
    }

    pub(super) fn path(&self, file: u64) -> PathBuf {
        self.dir.join(record::file_name(file))
    }

    /// Makes a new file of `kind`, for its owner only, with nothing in it.
    pub(super) fn create(&self, kind: Kind) -> Result<(u64, File), SpoolError> {
        let number = self.numbers.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let number = number * 2 + u64::from(kind == Kind::Large);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let made = options.open(self.path(number));
        let file = made.map_err(|e| SpoolError::io("make", &record::file_name(number), e))?;
        Ok((number, file))
    }

    /// Deletes a file; one that is gone already is no error.
    pub(super) fn remove(&self, file: u64) -> Result<(), SpoolError> {
        match std::fs::remove_file(self.path(file)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(SpoolError::io("delete", &record::file_name(file), e))
            }
            _ => Ok(()),
        }
    }

    /// Makes names of new files durable.
    pub(super) fn sync_dir(&self) -> Result<(), SpoolError> {
        self.dir_itself.sync_all().map_err(|e| SpoolError::SyncFailed(format!("{}: {e}", self.dir.display())))
    }

    /// Where a body lies now.
    pub(super) fn place(&self, body: &BodyRef) -> BodyRef {
        self.moved().place(body)
    }

    pub(super) fn moved(&self) -> MutexGuard<'_, Moved> {
        // Each change is two inserts or removals; a thread that dies between them harms no body.
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count_unfinished(&self, bytes: u64) {
        self.unfinished_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn uncount_unfinished(&self, bytes: u64) {
        self.unfinished_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Numbers {
    fn take(&mut self) -> Result<u64, SpoolError> {
        if self.next >= self.mark {
            self.raise()?;
        }
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Stores a higher mark before any number below it is used.
    fn raise(&mut self) -> Result<(), SpoolError> {
        // Rounded, so that marks fall on both slots in turn.
        let mark = (self.mark / NUMBERS_AT_ONCE).saturating_add(1) * NUMBERS_AT_ONCE;
        let slot = mark / NUMBERS_AT_ONCE % 2;
        let written = self.file.write_all_at(&slot_bytes(mark), slot * NUMBERS_SLOT_BYTES);
        written.map_err(|e| SpoolError::io("write", NUMBERS_FILE, e))?;
        let synced = self.file.sync_data();
        synced.map_err(|e| SpoolError::SyncFailed(format!("{NUMBERS_FILE}: {e}")))?;
        self.mark = mark;
        Ok(())
    }
}

fn slot_bytes(mark: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&NUMBERS_MAGIC);
    bytes[8..16].copy_from_slice(&mark.to_le_bytes());
    let sum = blake3::hash(&bytes[..16]);
    bytes[16..].copy_from_slice(&sum.as_bytes()[..16]);
    bytes
}

fn read_slot(file: &File, slot: u64) -> Option<u64> {
    let mut bytes = [0; 32];
    file.read_exact_at(&mut bytes, slot * NUMBERS_SLOT_BYTES).ok()?;
    let mark = u64::from_le_bytes(*bytes[8..].first_chunk()?);
    (bytes == slot_bytes(mark) && mark < u64::MAX / 4).then_some(mark)
}

/// Makes `dir` for its owner only, and its name durable: also if it is there already, since an
/// earlier life may have been killed before it could see to that.
fn make_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists || !dir.is_dir() => return Err(e),
        _ => {}
    }
    let parent = dir.parent().filter(|p| !p.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
