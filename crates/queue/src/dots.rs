//! The dot log: which rows' terminators went out and are not answered yet, in a way that survives a
//! killed process.
//!
//! Records are written with one plain write and no sync (DESIGN.md, "The ledger"): what a killed
//! process has written, the next one reads. A power cut may lose records; then a sending that had no
//! answer may be repeated once, which the second promise allows.
//!
//! A file takes no more records than fit into [`FILE_BYTES`]; one whose records are all over is kept
//! as the next, or deleted. Room for the file in use and for the next is set aside, so that a full
//! disk does not stop what goes out.

mod record;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use quell_mail::id::QueueId;
use quell_storm::facts::Ms;

pub use self::record::{End, fuzz, read, written};
use self::record::{HEADER_BYTES, MAX_RCPT_BYTES, bytes_of, file_header, put};
use crate::reserve::{is_full, preallocate, write_zeros};
use crate::store::RowId;

/// A file that has no room below so many bytes is succeeded by another; one write larger than that
/// still goes into one file.
pub const FILE_BYTES: u64 = 1 << 20;
/// Records that are not over yet; more are not taken, and nothing may be sent for them. (Sessions and
/// the recipients of each are limited far below that.)
pub const MAX_RECORDS: usize = 1_000_000;
/// Of a file no more than this is read: what is longer was not written by us.
const MAX_READ_BYTES: u64 = 256 << 20;
/// The file that will be the next.
const SPARE: &str = "dots-spare";

/// One row at the dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DotRecord {
    /// Which row.
    pub row: RowId,
    /// The arrival whose body goes out.
    pub queue_id: QueueId,
    /// Attempts of the row before this one: a row that has more of them has an outcome of this one.
    pub attempts: u32,
    /// When its terminator was about to go out.
    pub at_ms: Ms,
}

/// The dot log of a data directory, for one process.
#[derive(Debug)]
pub struct DotLog {
    dir: PathBuf,
    current: Option<Current>,
    next_file: u64,
    /// Records that are not over, by file. A file without any is in no need.
    open: BTreeMap<u64, usize>,
    /// In which files a row has records.
    rows: HashMap<RowId, Vec<u64>>,
    records: usize,
    damaged: Vec<String>,
}

#[derive(Debug)]
struct Current {
    number: u64,
    file: File,
    end: u64,
}

impl DotLog {
    /// Opens the log in `dir` (nothing may be there yet) and reads what an earlier process has left:
    /// also records that were over and stand in one file with others.
    ///
    /// # Errors
    /// Those of the file system, and [`ErrorKind::Unsupported`] for a file of a newer quell.
    pub fn open(dir: &Path) -> io::Result<(Self, Vec<DotRecord>)> {
        let mut log = Self {
            dir: dir.to_owned(),
            current: None,
            next_file: 0,
            open: BTreeMap::new(),
            rows: HashMap::new(),
            records: 0,
            damaged: Vec::new(),
        };
        let mut all = Vec::new();
        for number in numbers(dir)? {
            all.extend(log.read_file(number)?);
            log.next_file = number + 1;
        }
        match log.succeed() {
            // A server starts on a full disk too; nothing is sent before there is room again.
            Err(e) if is_full(&e) => {}
            begun => begun?,
        }
        Ok((log, all))
    }

    fn read_file(&mut self, number: u64) -> io::Result<Vec<DotRecord>> {
        let (path, mut bytes) = (self.path(number), Vec::new());
        File::open(&path)?.take(MAX_READ_BYTES).read_to_end(&mut bytes)?;
        let (records, end) = read(number, &bytes);
        match end {
            End::Whole => {}
            End::Damaged(at) => self.damaged.push(format!("{} from byte {at}", name(number))),
            End::Newer(version) => {
                let what =
                    format!("{} has format {version}: use the newer quell that wrote it", name(number));
                return Err(io::Error::new(ErrorKind::Unsupported, what));
            }
        }
        if records.is_empty() {
            std::fs::remove_file(path)?;
        }
        records.iter().for_each(|r| self.note(number, &r.row));
        Ok(records)
    }

    /// Where files left by an earlier process were torn or damaged: "file from byte N", for the log.
    pub fn damaged(&self) -> &[String] {
        &self.damaged
    }

    /// Records that are not over.
    pub fn open_records(&self) -> usize {
        self.records
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(name(number))
    }

    fn note(&mut self, number: u64, row: &RowId) {
        *self.open.entry(number).or_insert(0) += 1;
        self.rows.entry(row.clone()).or_default().push(number);
        self.records += 1;
    }

    /// Writes records, all with one write. When it returns Ok they survive the process.
    ///
    /// # Errors
    /// Those of the file system; [`ErrorKind::InvalidInput`] for a recipient identity over 4096
    /// bytes; [`ErrorKind::QuotaExceeded`] over [`MAX_RECORDS`]. Nothing may then be sent; what of
    /// them is in the file nevertheless is of no account once their attempts have an outcome.
    pub fn append(&mut self, records: &[DotRecord]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        if records.iter().any(|r| r.row.rcpt.len() > MAX_RCPT_BYTES) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a recipient identity of over 4096 bytes"));
        }
        if self.records + records.len() > MAX_RECORDS {
            return Err(io::Error::new(ErrorKind::QuotaExceeded, "a million messages await their answers"));
        }
        let len = records.iter().map(bytes_of).sum::<usize>() as u64;
        let fits = |c: &Current| c.end == HEADER_BYTES as u64 || c.end + len <= FILE_BYTES;
        if !self.current.as_ref().is_some_and(fits) {
            self.succeed()?;
        }
        let Some(mut current) = self.current.take() else { return Err(ErrorKind::NotFound.into()) };
        let mut bytes = Vec::new();
        records.iter().for_each(|record| put(&mut bytes, current.number, record));
        // On failure the file takes no more: half a record would hide those behind it.
        current.file.write_all_at(&bytes, current.end)?;
        current.end += bytes.len() as u64;
        let number = current.number;
        self.current = Some(current);
        records.iter().for_each(|r| self.note(number, &r.row));
        Ok(())
    }

    /// The outcomes of these rows are durable: their records are over. Rows without any are ignored.
    pub fn over(&mut self, rows: &[RowId]) {
        for row in rows {
            for number in self.rows.remove(row).unwrap_or_default() {
                self.records -= 1;
                if let Some(left) = self.open.get_mut(&number) {
                    *left -= 1;
                    if *left == 0 {
                        self.open.remove(&number);
                        self.free(number);
                    }
                }
            }
        }
    }

    /// Nobody needs the file: it is the next, or goes. One that will not go does no harm: a restart
    /// finds its records over.
    fn free(&self, number: u64) {
        if self.current.as_ref().is_some_and(|c| c.number == number) {
            return;
        }
        let (path, spare) = (self.path(number), self.dir.join(SPARE));
        let done = if spare.exists() { std::fs::remove_file(path) } else { std::fs::rename(path, spare) };
        drop(done);
    }

    /// Begins the next file, with the one set aside for it if there is one, and sets the one after
    /// it aside. A full disk is no error as long as there is a next one.
    fn succeed(&mut self) -> io::Result<()> {
        let (spare, path) = (self.dir.join(SPARE), self.path(self.next_file));
        if !spare.exists() {
            make(&spare)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(&spare)?;
        let len = file.metadata()?.len();
        write_zeros(&file, len.max(FILE_BYTES))?;
        file.write_all_at(&file_header(self.next_file), 0)?;
        std::fs::rename(&spare, &path)?;
        let before = self.current.replace(Current { number: self.next_file, file, end: HEADER_BYTES as u64 });
        self.next_file += 1;
        if let Some(before) = before.filter(|b| !self.open.contains_key(&b.number)) {
            self.free(before.number);
        }
        if spare.exists() {
            return Ok(());
        }
        match make(&spare) {
            Err(e) if is_full(&e) => Ok(()),
            made => made,
        }
    }
}

/// Makes a file with room for [`FILE_BYTES`], or none.
fn make(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let made = preallocate(&file, FILE_BYTES);
    if made.is_err() {
        std::fs::remove_file(path)?;
    }
    made
}

fn name(number: u64) -> String {
    format!("dots-{number}")
}

/// The numbers of the files in `dir`, ascending.
fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let file = entry?.file_name();
        let number = file.to_str().and_then(|f| f.strip_prefix("dots-")).and_then(|n| n.parse().ok());
        // Only what we would write so ourselves.
        found.extend(number.filter(|n| file.to_str() == Some(&name(*n))));
    }
    found.sort_unstable();
    Ok(found)
}
