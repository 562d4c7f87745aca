//! A file that is open for reading.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;

/// An open file of an archive.
pub(super) enum Source<'a> {
    /// Opened for this reading.
    Own(File),
    /// Kept open since the archive was opened, because it has no name.
    Kept(&'a File),
}

impl Source<'_> {
    /// Reads at `offset`, as much as there is; 0 at the end.
    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = match self {
            Self::Own(file) => file,
            Self::Kept(file) => file,
        };
        loop {
            match file.read_at(buf, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// Opens a regular file. What became a pipe meanwhile is refused, and not waited for.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("no regular file any more"));
    }
    Ok(file)
}

/// A source from some place on, one behind the other.
pub(super) struct FromHere<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) at: u64,
    /// No further than here.
    pub(super) end: u64,
}

impl Read for FromHere<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(buf.len());
        let count = self.source.read_at(&mut buf[..most], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Fills `buf` as far as the stream goes; an error counts as its end and is handed back beside.
pub(super) fn fill(stream: &mut dyn Read, buf: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < buf.len() {
        match stream.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (filled, Some(e)),
        }
    }
    (filled, None)
}
