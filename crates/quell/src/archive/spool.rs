//! What comes through a pipe, kept so that it can be read again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc;

use super::ArchiveError;

/// All of `source` in a file without a name: it is gone when the program is. Its size in bytes.
pub(super) fn spool(path: &Path, source: &mut dyn Read, limit: u64) -> Result<(File, u64), ArchiveError> {
    let folder = std::env::temp_dir();
    let copy = || -> io::Result<(File, u64)> {
        let mut file = nameless(&folder)?;
        let bytes = io::copy(&mut source.take(limit.saturating_add(1)), &mut file)?;
        if bytes > limit {
            return Err(io::Error::other(format!(
                "more than {limit} bytes: put it into a file and name that"
            )));
        }
        Ok((file, bytes))
    };
    let mut copy = copy;
    copy().map_err(|source| ArchiveError::Spool { path: path.to_owned(), folder: folder.clone(), source })
}

/// A file that nobody else can open. Some file systems know no files without a name; there it has one
/// for a moment.
fn nameless(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    if let Ok(file) = options.clone().custom_flags(libc::O_TMPFILE).open(folder) {
        return Ok(file);
    }
    let mut number = 0_u32;
    loop {
        let path: PathBuf = folder.join(format!("quell-spool-{}-{number}", std::process::id()));
        match options.create_new(true).open(&path) {
            Ok(file) => return fs::remove_file(&path).map(|()| file),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && number < 1000 => number += 1,
            Err(e) => return Err(e),
        }
    }
}
