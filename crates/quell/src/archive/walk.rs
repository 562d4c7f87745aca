//! From paths to files.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::files::mailbox_of_maildir;
use super::spool::spool;
use super::{ArchiveError, Damage, Damages, Limits, What};

/// A file that may be mail.
pub(super) struct Found {
    pub(super) folder: Arc<Path>,
    pub(super) name: Box<OsStr>,
    pub(super) bytes: u64,
    /// Of the Maildir it lies in.
    pub(super) mailbox: Option<Arc<str>>,
    pub(super) how: How,
}

/// How a file came to be looked at.
pub(super) enum How {
    /// It was named.
    Named,
    /// It was named or standard input, and could be read once only.
    Piped(File),
    /// It lies below a folder.
    Below,
    /// It lies in a Maildir's `cur` or `new`, and so is a message.
    Maildir,
}

/// Walks paths and folders.
pub(super) struct Walk<'a> {
    pub(super) limits: &'a Limits,
    pub(super) found: Vec<Found>,
    pub(super) damages: Damages,
    /// Device and inode of folders that were entered: each is, once, however many links lead there.
    folders: HashSet<(u64, u64)>,
    /// The same of files with one name. More names may be one message for several recipients.
    files: HashSet<(u64, u64)>,
}

struct Folder {
    path: PathBuf,
    depth: usize,
    /// Whose Maildir it lies in.
    mailbox: Option<Arc<str>>,
}

type Entries = Vec<(OsString, FileType)>;

impl<'a> Walk<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            found: vec![],
            damages: Damages::default(),
            folders: HashSet::new(),
            files: HashSet::new(),
        }
    }

    /// What a path names; `-` is `stdin`.
    pub(super) fn named(&mut self, path: &Path, stdin: &mut dyn Read) -> Result<(), ArchiveError> {
        if path == Path::new("-") {
            return self.piped(path, stdin);
        }
        let open = |source| ArchiveError::Open { path: path.to_owned(), source };
        let meta = fs::metadata(path).map_err(open)?;
        let kind = meta.file_type();
        if kind.is_dir() {
            fs::read_dir(path).map_err(open)?;
            return self.folder(path, &meta);
        }
        if kind.is_file() {
            let (folder, name) = (path.parent().unwrap_or(Path::new("")), path.file_name());
            let name = name.unwrap_or(path.as_os_str());
            return self.file(&Arc::from(folder), name, &meta, None, How::Named);
        }
        if kind.is_fifo() {
            return self.piped(path, &mut open_pipe(path).map_err(open)?);
        }
        Err(ArchiveError::NoFile { path: path.to_owned() })
    }

    fn piped(&mut self, path: &Path, source: &mut dyn Read) -> Result<(), ArchiveError> {
        let (file, bytes) = spool(path, source, self.limits.spool_bytes)?;
        let (folder, name) = (Arc::from(Path::new("")), path.as_os_str().into());
        self.found.push(Found { folder, name, bytes, mailbox: None, how: How::Piped(file) });
        Ok(())
    }

    fn file(
        &mut self,
        folder: &Arc<Path>,
        name: &OsStr,
        meta: &Metadata,
        mailbox: Option<Arc<str>>,
        how: How,
    ) -> Result<(), ArchiveError> {
        if meta.nlink() == 1 && !self.files.insert((meta.dev(), meta.ino())) {
            return Ok(());
        }
        if self.found.len() >= self.limits.files {
            return Err(ArchiveError::TooMany { path: folder.to_path_buf(), limit: self.limits.files });
        }
        let (folder, name) = (Arc::clone(folder), name.into());
        self.found.push(Found { folder, name, bytes: meta.len(), mailbox, how });
        Ok(())
    }

    fn folder(&mut self, path: &Path, meta: &Metadata) -> Result<(), ArchiveError> {
        if !self.folders.insert((meta.dev(), meta.ino())) {
            return Ok(());
        }
        let mut folders = vec![Folder { path: path.to_owned(), depth: 0, mailbox: None }];
        while let Some(folder) = folders.pop() {
            let Some(entries) = self.entries(&folder.path) else { continue };
            let has = |name| entries.iter().any(|(entry, kind)| entry == name && kind.is_dir());
            let below = if has("cur") && has("new") {
                self.maildir(&folder, entries)?
            } else {
                self.plain_folder(&folder, entries)?
            };
            // The last is walked first.
            folders.extend(below.into_iter().rev());
        }
        Ok(())
    }

    /// The messages of a Maildir, and the folders in it. Its other files are the server's own.
    fn maildir(&mut self, folder: &Folder, entries: Entries) -> Result<Vec<Folder>, ArchiveError> {
        let mailbox = folder.mailbox.clone().or_else(|| mailbox_of_maildir(&folder.path));
        for part in ["cur", "new"] {
            let path: Arc<Path> = Arc::from(folder.path.join(part));
            let Some(messages) = self.entries(&path) else { continue };
            for (name, kind) in messages.iter().filter(|(name, _)| !name.as_encoded_bytes().starts_with(b"."))
            {
                if let Some(meta) = self.followed(&path.join(name), *kind).filter(Metadata::is_file) {
                    self.file(&path, name, &meta, mailbox.clone(), How::Maildir)?;
                }
            }
        }
        let mut below = vec![];
        for (name, kind) in entries {
            if !["cur", "new", "tmp"].iter().any(|part| name == *part) {
                let path = folder.path.join(name);
                if let Some(meta) = self.followed(&path, kind).filter(Metadata::is_dir) {
                    below.extend(self.enter(folder, path, &meta, mailbox.clone()));
                }
            }
        }
        Ok(below)
    }

    fn plain_folder(&mut self, folder: &Folder, entries: Entries) -> Result<Vec<Folder>, ArchiveError> {
        let (shared, mut below) = (Arc::from(folder.path.as_path()), vec![]);
        for (name, kind) in entries {
            let path = folder.path.join(&name);
            let Some(meta) = self.followed(&path, kind) else { continue };
            if meta.is_dir() {
                below.extend(self.enter(folder, path, &meta, folder.mailbox.clone()));
            } else if meta.is_file() {
                self.file(&shared, &name, &meta, folder.mailbox.clone(), How::Below)?;
            }
        }
        Ok(below)
    }

    fn enter(
        &mut self,
        above: &Folder,
        path: PathBuf,
        meta: &Metadata,
        mailbox: Option<Arc<str>>,
    ) -> Option<Folder> {
        if !self.folders.insert((meta.dev(), meta.ino())) {
            return None;
        }
        let depth = above.depth + 1;
        if depth > self.limits.folder_depth {
            self.damage(path, What::TooDeep);
            return None;
        }
        Some(Folder { path, depth, mailbox })
    }

    /// What an entry is, or what its link leads to. Pipes and sockets are not asked, so that nothing
    /// waits for them.
    fn followed(&mut self, path: &Path, kind: FileType) -> Option<Metadata> {
        if !(kind.is_file() || kind.is_dir() || kind.is_symlink()) {
            return None;
        }
        match fs::metadata(path) {
            Ok(meta) => Some(meta),
            // A link that leads nowhere, or a message that was moved meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => {
                self.damage(path.to_owned(), What::Unreadable(e.to_string()));
                None
            }
        }
    }

    /// A folder's entries by name, so that the same folder is always read in the same order.
    fn entries(&mut self, path: &Path) -> Option<Entries> {
        let read = || -> io::Result<Entries> {
            let mut entries = vec![];
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                entries.push((entry.file_name(), entry.file_type()?));
            }
            Ok(entries)
        };
        match read() {
            Ok(mut entries) => {
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                Some(entries)
            }
            Err(e) => {
                self.damage(path.to_owned(), What::Unreadable(e.to_string()));
                None
            }
        }
    }

    fn damage(&mut self, path: PathBuf, what: What) {
        self.damages.add(|| Damage { file: None, offset: 0, path, what });
    }
}

/// Opens a pipe for reading without waiting for a writer; reading then waits for the one there is.
fn open_pipe(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(file)
}
