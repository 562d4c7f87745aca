//! Archives of mail: mbox files, Maildirs, folders of messages, single messages, standard input, each
//! also compressed. They are read in blocks by several threads, and never a whole file at once.
//!
//! `open` walks the paths and looks what each file is; `scan` hands on every message once; `read` hands
//! on chosen ones again. What is damaged is counted with its place, and the rest goes on.

mod damage;
mod error;
mod files;
mod limits;
mod look;
mod place;
mod portions;
pub mod progress;
mod read;
mod scan;
mod single;
mod sink;
mod source;
mod spool;
mod stream;
#[cfg(test)]
pub(crate) mod tests;
mod unpack;
mod walk;
mod work;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

pub use damage::{Damage, Damages, MAX_EXAMPLES, What};
pub use error::ArchiveError;
pub use files::{FileInfo, Kind, Packing};
pub use limits::Limits;
pub use place::{Message, Place};
pub(crate) use portions::portions;
pub use progress::Progress;
pub(crate) use work::joined;

use files::mailbox_of_mbox;
use look::{Look, look};
use source::{Source, open_file};
use walk::{Found, How, Walk};

/// Files with mail.
#[derive(Debug)]
pub struct Archive {
    files: Vec<FileInfo>,
    /// Files that have no name, by their index.
    kept: BTreeMap<u32, File>,
    passed_over: u64,
    damages: Damages,
    limits: Limits,
}

impl Archive {
    /// Walks `paths` and looks what each file is. `-`, and a pipe that is named, are read to their end
    /// and kept.
    ///
    /// # Errors
    /// A path that was named is not there, not readable or no mail; or no mail is anywhere. What is
    /// wrong below folders is no error but damage.
    pub fn open(paths: &[PathBuf], limits: Limits) -> Result<Self, ArchiveError> {
        Self::open_with(paths, limits, &mut io::stdin().lock())
    }

    fn open_with(paths: &[PathBuf], limits: Limits, stdin: &mut dyn Read) -> Result<Self, ArchiveError> {
        let limits = limits.sane();
        let mut walk = Walk::new(&limits);
        for path in paths {
            walk.named(path, stdin)?;
        }
        let Walk { mut found, damages, .. } = walk;
        let looks = look_at_all(&found, &limits);
        let mut archive = Self { files: vec![], kept: BTreeMap::new(), passed_over: 0, damages, limits };
        for (found, look) in found.drain(..).zip(looks) {
            archive.take(found, look)?;
        }
        if archive.files.is_empty() && archive.damages.count == 0 {
            return Err(ArchiveError::Nothing { paths: paths.to_vec() });
        }
        Ok(archive)
    }

    /// Keeps a file if it is mail.
    fn take(&mut self, found: Found, look: io::Result<Look>) -> Result<(), ArchiveError> {
        let Found { folder, name, bytes, mailbox, how } = found;
        let path = if folder.as_os_str().is_empty() { PathBuf::from(&*name) } else { folder.join(&*name) };
        let named = matches!(how, How::Named | How::Piped(_));
        let look = match look {
            Ok(look) => look,
            Err(source) if named => return Err(ArchiveError::Open { path, source }),
            Err(e) => {
                let what = What::Unreadable(e.to_string());
                self.damages.add(|| Damage { file: None, offset: 0, path, what });
                return Ok(());
            }
        };
        let (kind, start) = match look.kind {
            Some(kind) => kind,
            // An mbox without messages is one.
            None if named && look.empty => (Kind::Mbox(quell_mail::mbox::Dialect::Mboxo), 0),
            None if named && look.broken.is_some() => {
                let why = look.broken.unwrap_or_default();
                return Err(ArchiveError::Broken { path, why });
            }
            None if named => return Err(ArchiveError::NotMail { path }),
            None if look.broken.is_some() => {
                let what = What::Packing(look.broken.unwrap_or_default());
                self.damages.add(|| Damage { file: None, offset: 0, path, what });
                return Ok(());
            }
            None => {
                self.passed_over += 1;
                return Ok(());
            }
        };
        let mailbox = mailbox.or_else(|| match kind {
            Kind::Mbox(_) => mailbox_of_mbox(&name),
            Kind::Message => None,
        });
        if let (How::Piped(file), Ok(index)) = (how, u32::try_from(self.files.len())) {
            self.kept.insert(index, file);
        }
        self.files.push(FileInfo { folder, name, mailbox, kind, packing: look.packing, bytes, start });
        Ok(())
    }

    /// Its files, in the order they are read.
    pub fn files(&self) -> &[FileInfo] {
        &self.files
    }

    /// The size of all files on the disk: what `Progress` counts up to in a scan.
    pub fn bytes_total(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// How many files below folders were no mail.
    pub const fn passed_over(&self) -> u64 {
        self.passed_over
    }

    fn source(&self, index: u32) -> io::Result<Source<'_>> {
        if let Some(file) = self.kept.get(&index) {
            return Ok(Source::Kept(file));
        }
        open_file(&self.file(index).map(FileInfo::path).unwrap_or_default()).map(Source::Own)
    }

    fn file(&self, index: u32) -> Option<&FileInfo> {
        self.files.get(usize::try_from(index).ok()?)
    }
}

/// As many threads as this process may use at once.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// Looks at files, several at a time: there may be many small ones.
fn look_at_all(found: &[Found], limits: &Limits) -> Vec<io::Result<Look>> {
    let each = found.len().div_ceil(threads()).max(64);
    std::thread::scope(|scope| {
        let parts: Vec<_> = found
            .chunks(each)
            .map(|part| scope.spawn(|| part.iter().map(|found| look_at(found, limits)).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(joined).collect()
    })
}

fn look_at(found: &Found, limits: &Limits) -> io::Result<Look> {
    let source = match &found.how {
        How::Maildir => {
            return Ok(Look {
                packing: Packing::Plain,
                kind: Some((Kind::Message, 0)),
                empty: false,
                broken: None,
            });
        }
        How::Piped(file) => Source::Kept(file),
        How::Named | How::Below => Source::Own(open_file(&found.folder.join(&*found.name))?),
    };
    look(&source, found.bytes, limits)
}
