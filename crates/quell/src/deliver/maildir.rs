//! Delivery into Maildirs: written to `tmp/`, synced, linked to `new/`, the directory synced ([`together`]).
//!
//! **Once only.** The file's name is made from queue id and recipient, so a second delivery of the
//! same row meets the first one's name: that counts as delivered. A reader renames what lies in
//! `new/` to `cur/` and adds flags; after a restart ([`Delivery::search_first`]) both are therefore
//! searched for the name up to `:` or `,`. What a user has moved to another folder meanwhile may
//! come once more.
//!
//! **Line ends** are written as LF, as Postfix, Exim and OpenSMTPD do, since grep, mutt and
//! procmail expect local line ends and Dovecot takes both. Nothing is lost by it: arrivals carry
//! CRLF only, so every LF stands for one CRLF and the signed bytes can be made again.
//!
//! **The top** of the file: `Return-Path` (RFC 5321 §4.4), `Delivered-To`, then the message as the
//! body store has it, with our own `Received` at its head and without other Return-Path fields. Of a collected
//! message the provider has done the final delivery: its Return-Path stays, and is the only one.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use quell_mail::id::QueueId;
use quell_mail::maildir::maildir_name;
use quell_mail::trace::{delivered_to, return_path_and_delivered_to};

use super::filter::Filter;

mod boxes;
mod error;
mod together;

pub use boxes::{Added, Mailbox, Removed};
pub use error::{DeliverError, Kind};

/// Files in `tmp/` older than this are left over from a crash (as maildir(5) has it).
const TMP_MAX_AGE: Duration = Duration::from_secs(36 * 3600);
/// Bytes read and written at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// Names kept for searches after a restart, over all mailboxes (up to 32 MiB). With more, those of
/// other mailboxes are forgotten; a mailbox with more than that is read anew for each row.
const MAX_LISTED_NAMES: usize = 500_000;
/// Listings kept: empty ones take room too.
const MAX_LISTINGS: usize = 1_024;

/// All Maildirs below one folder: `<root>/<domain>/<escaped local part>/{tmp,new,cur}`.
#[derive(Debug)]
pub struct MaildirStore {
    root: PathBuf,
    hostname: String,
    listings: Mutex<HashMap<PathBuf, Arc<HashSet<Stem>>>>,
    max_listed_names: usize,
}

/// One row to be delivered.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The arrival whose body it is.
    pub queue_id: QueueId,
    /// Recipient identity: with the queue id it makes the file's name.
    pub recipient: &'a str,
    /// What `Delivered-To` says: the final address.
    pub delivered_to: &'a str,
    /// Lower-case A-label.
    pub domain: &'a str,
    /// Local part of the mailbox, not escaped.
    pub mailbox: &'a str,
    /// Empty for `<>`. None: the message was collected, and the Return-Path that the provider wrote stays.
    pub reverse_path: Option<&'a str>,
    /// The row may have been delivered before: it was found after a restart, or an earlier attempt
    /// ended in an error with [`DeliverError::search_first`].
    pub search_first: bool,
}

/// The message lies in the mailbox, synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// By this call.
    Now,
    /// By an earlier one.
    Before,
}

/// Queue id and hash of the recipient: what a file's name says of its row.
type Stem = (QueueId, u64);

impl MaildirStore {
    /// The Maildirs below `root` (`<data>/mail`). `hostname` ends every file name.
    pub fn new(root: impl Into<PathBuf>, hostname: &str) -> Self {
        // maildir(5): `/` and `:` cannot stand in a name; `,` would end ours.
        let hostname = hostname.replace(['/', ':', ',', '\0'], "_");
        let max_listed_names = MAX_LISTED_NAMES;
        Self { root: root.into(), hostname, listings: Mutex::default(), max_listed_names }
    }

    /// Where the mailbox lies, whether it exists or not. Always below the root.
    pub fn path(&self, domain: &str, local: &str) -> PathBuf {
        self.domain_path(domain).join(maildir_name(local))
    }

    fn domain_path(&self, domain: &str) -> PathBuf {
        self.root.join(maildir_name(domain))
    }

    /// Deletes what crashed deliveries left in `tmp/` more than 36 hours before `now`; returns how
    /// many files. Errors of single mailboxes and files are passed over: the next start tries again.
    ///
    /// # Errors
    /// The mailboxes cannot be listed.
    pub fn clean_tmp(&self, now: SystemTime) -> io::Result<usize> {
        let mut cleaned = 0;
        for mailbox in self.list()? {
            let tmp = mailbox.path.join("tmp");
            match clean_one(&tmp, now) {
                Ok(files) => cleaned += files,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let folder = tmp.display();
                    tracing::warn!(event = "tmp_not_cleaned", %folder, %error, "old files stay in it");
                }
            }
        }
        Ok(cleaned)
    }

    /// Forgets the listings that searches after a restart have read.
    pub fn forget_listings(&self) {
        self.lock().clear();
    }

    /// `<seconds>.Q<queue id>R<hash of recipient>.<hostname>`: equal for every try of a row.
    fn file_name(&self, row: &Delivery<'_>) -> String {
        let (id, hash) = stem(row);
        format!("{}.Q{id}R{hash:016x}.{}", id.ms() / 1_000, self.hostname)
    }

    fn was_delivered(&self, mailbox: &Path, row: &Delivery<'_>) -> Result<bool, DeliverError> {
        let wanted = stem(row);
        let known = self.lock().get(mailbox).map(Arc::clone);
        match known {
            Some(listing) => Ok(listing.contains(&wanted)),
            None => self.search(mailbox, wanted),
        }
    }

    /// Whether it lies in `new/` or `cur/`; what else lies there is kept for the next search. Both
    /// are synced, since an entry may be there that the killed process had not synced yet.
    fn search(&self, mailbox: &Path, wanted: Stem) -> Result<bool, DeliverError> {
        let mut found = Found { wanted, seen: false, all: Some(HashSet::new()) };
        // `new` first: a reader moves files from there to `cur`, never back.
        for folder in ["new", "cur"].map(|name| mailbox.join(name)) {
            found.read(&folder, self.max_listed_names).map_err(|e| DeliverError::at("search", e))?;
            sync_dir(&folder).map_err(|e| DeliverError::at("sync before search", e))?;
        }
        if let Some(all) = found.all {
            self.keep(mailbox, all);
        }
        Ok(found.seen)
    }

    fn keep(&self, mailbox: &Path, all: HashSet<Stem>) {
        let mut listings = self.lock();
        let names: usize = listings.values().map(|listing| listing.len()).sum();
        if listings.len() >= MAX_LISTINGS || names + all.len() > self.max_listed_names {
            listings.clear();
        }
        listings.insert(mailbox.to_owned(), Arc::new(all));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Arc<HashSet<Stem>>>> {
        // A panic elsewhere cannot leave the map half-changed.
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stem(row: &Delivery<'_>) -> Stem {
    let hash = blake3::hash(row.recipient.as_bytes());
    let first = hash.as_bytes().iter().take(8).fold(0, |n, byte| n << 8 | u64::from(*byte));
    (row.queue_id, first)
}

/// The stem of a file of ours, whatever host name and flags follow it.
fn stem_of(name: &str) -> Option<Stem> {
    let name = name.split([':', ',']).next()?;
    let (id, hash) = name.split('.').nth(1)?.strip_prefix('Q')?.split_once('R')?;
    Some((id.parse().ok()?, u64::from_str_radix(hash, 16).ok()?))
}

/// What a search has met so far.
struct Found {
    wanted: Stem,
    seen: bool,
    /// None once there were too many.
    all: Option<HashSet<Stem>>,
}

impl Found {
    fn read(&mut self, folder: &Path, most: usize) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let Some(stem) = entry?.file_name().to_str().and_then(stem_of) else { continue };
            self.seen = self.seen || stem == self.wanted;
            if let Some(all) = &mut self.all {
                all.insert(stem);
            }
            self.all.take_if(|all| all.len() > most);
        }
        Ok(())
    }
}

/// The file, written and not synced.
fn write(tmp: &Path, row: &Delivery<'_>, body: &mut impl Read) -> Result<File, DeliverError> {
    let mut file = create(tmp).map_err(|e| DeliverError::at("create in tmp", e))?;
    let mut out = top(row).into_bytes();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut filter = Filter::new(row.reverse_path.is_none());
    loop {
        let read = match body.read(&mut chunk) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(DeliverError::body(e)),
            Ok(read) => read,
        };
        match read {
            0 => filter.finish(&mut out),
            _ => filter.push(&chunk[..read], &mut out),
        }
        file.write_all(&out).map_err(|e| DeliverError::at("write", e))?;
        out.clear();
        if read == 0 {
            return Ok(file);
        }
    }
}

/// A file of that name in `tmp/` is what a crash left of an earlier try: only the holder of the
/// row's claim writes it.
fn create(tmp: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    match options.open(tmp) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(tmp)?;
            options.open(tmp)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound && make_tmp(tmp)? => options.open(tmp),
        result => result,
    }
}

/// Makes the folder that `tmp` is to lie in, if the mailbox is there and only this is missing: some
/// clean-up has taken it away, since it was empty. True if it was made.
fn make_tmp(tmp: &Path) -> io::Result<bool> {
    let Some(folder) = tmp.parent().filter(|folder| folder.with_file_name("new").is_dir()) else {
        return Ok(false);
    };
    match DirBuilder::new().mode(0o700).create(folder) {
        // Another worker was faster; or it is a link to nowhere.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(true),
        made => made.map(|()| true),
    }
}

fn top(row: &Delivery<'_>) -> String {
    let fields = match row.reverse_path {
        Some(path) => return_path_and_delivered_to(path, row.delivered_to),
        None => delivered_to(row.delivered_to),
    };
    fields.replace("\r\n", "\n")
}

fn clean_one(tmp: &Path, now: SystemTime) -> io::Result<usize> {
    let mut cleaned = 0;
    for entry in fs::read_dir(tmp)?.flatten() {
        let age = entry.metadata().and_then(|m| m.modified()).map(|t| now.duration_since(t));
        if matches!(age, Ok(Ok(age)) if age > TMP_MAX_AGE) {
            cleaned += usize::from(fs::remove_file(entry.path()).is_ok());
        }
    }
    Ok(cleaned)
}

/// What stays of it is cleaned later: see [`MaildirStore::clean_tmp`].
fn drop_tmp(tmp: &Path) {
    if let Err(error) = fs::remove_file(tmp)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(event = "tmp_left", %error, "a temporary file could not be removed");
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests;
