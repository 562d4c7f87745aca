//! Files that are there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::interrupt::Leftovers;
use crate::archive::Archive;
use crate::cli::Failure;

/// A file that is being written: beside its place until it is whole.
pub(super) struct Output {
    path: PathBuf,
    /// None: what is there is no file, but a device or a pipe, and is written to at once.
    beside: Option<PathBuf>,
    file: BufWriter<File>,
    leftovers: Leftovers,
}

impl Output {
    /// Begins to write `path`. It may hold people's mail: only its owner may read it.
    pub(super) fn begin(path: &Path, leftovers: &Leftovers) -> Result<Self, Failure> {
        let failed =
            |why: &dyn std::fmt::Display| Failure::Failed(format!("cannot write {}: {why}", path.display()));
        // A link stays a link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let beside = match fs::metadata(&path) {
            Ok(there) if there.is_dir() => return Err(failed(&"it is a folder; name a file in it")),
            Ok(there) if !there.is_file() => None,
            _ => Some(beside(&path)),
        };
        let file = match &beside {
            None => OpenOptions::new().write(true).open(&path),
            Some(beside) => {
                leftovers.add(beside);
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)
            }
        };
        let file = BufWriter::new(file.map_err(|why| failed(&why))?);
        Ok(Self { path, beside, file, leftovers: leftovers.clone() })
    }

    /// Refuses to replace a file that is read.
    pub(super) fn refuse_input(&self, archive: &Archive) -> Result<(), Failure> {
        let id = |path: &Path| fs::metadata(path).ok().map(|there| (there.dev(), there.ino()));
        let Some(ours) = id(&self.path).filter(|_| self.beside.is_some()) else { return Ok(()) };
        match archive.files().iter().any(|info| id(&info.path()) == Some(ours)) {
            true => Err(Failure::Usage(format!(
                "{} is among what is to be read: write to another file",
                self.path.display()
            ))),
            false => Ok(()),
        }
    }

    /// Puts it into its place.
    pub(super) fn finish(mut self) -> Result<PathBuf, Failure> {
        let done = self.file.flush().and_then(|()| match self.beside.take() {
            Some(beside) => {
                let renamed = fs::rename(&beside, &self.path);
                if renamed.is_err() {
                    self.beside = Some(beside);
                } else {
                    self.leftovers.forget(&beside);
                }
                renamed
            }
            None => Ok(()),
        });
        done.map_err(|why| self.failed(&why))?;
        Ok(std::mem::take(&mut self.path))
    }

    /// Says that it cannot be written.
    pub(super) fn failed(&self, why: &io::Error) -> Failure {
        Failure::Failed(format!("cannot write {}: {why}", self.path.display()))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(beside) = self.beside.take() {
            let _removed = fs::remove_file(&beside);
            self.leftovers.forget(&beside);
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.quell-{}", std::process::id()))
}
