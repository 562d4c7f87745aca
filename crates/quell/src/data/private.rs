//! Small files that nobody else may read.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{DataError, closed_to_others};

/// Longest such file; a longer one is cut, and then holds nothing we know.
const MAX_BYTES: u64 = 4096;

/// Random bytes from the system.
///
/// # Errors
/// The system has no `/dev/urandom`, as in a bare chroot.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], DataError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; N];
    File::open(path)
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|e| DataError::Io(path.to_owned(), e))?;
    Ok(bytes)
}

/// Writes a new file, all of it or nothing, durable when this returns. The caller has the lock.
pub(crate) fn make_private(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let io = |e| DataError::Io(path.to_owned(), e);
    let fresh = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(io)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io)?;
    fs::rename(&fresh, path).map_err(io)?;
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|d| d.sync_all()).map_err(io)
}

/// Reads a file, and refuses one that others may read or write.
pub(crate) fn read_private(path: &Path) -> Result<Vec<u8>, DataError> {
    let io = |e| DataError::Io(path.to_owned(), e);
    let file = File::open(path).map_err(io)?;
    closed_to_others(path, &file.metadata().map_err(io)?, 0o077, "read or write it", "600")?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}
