//! Room on the disk: when acceptance stops, and what is set aside for outcomes and deletions.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

/// What [`Reserve::open`] sets aside by default.
pub const RESERVE_BYTES: u64 = 16 << 20;
/// Acceptance stops below this much free room, unless two largest messages are more.
pub const LEAST_FREE_BYTES: u64 = 256 << 20;

const FILE_NAME: &str = "reserve";

/// A file that takes up room so that it can be given back when the disk is full: outcomes and
/// deletions then still find place. Nothing is ever read from it, so it needs no sync.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    bytes: u64,
    held: bool,
}

impl Reserve {
    /// Sets `bytes` aside in `dir`, or finds them set aside already. Where the disk is full
    /// already the reserve is just not held: a server must be able to start then.
    ///
    /// # Errors
    ///
    /// Whatever the file system says, lack of room excepted.
    pub fn open(dir: &Path, bytes: u64) -> io::Result<Self> {
        let mut reserve = Self { path: dir.join(FILE_NAME), bytes, held: false };
        reserve.held = match std::fs::symlink_metadata(&reserve.path) {
            // Blocks, not size: a crash while it was made may have left it sparse.
            Ok(found) => found.len() == bytes && found.blocks().saturating_mul(512) >= bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => false,
            Err(e) => return Err(e),
        };
        reserve.restore()?;
        Ok(reserve)
    }

    /// True while the room is set aside.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Gives the room back; false if it was given back before. Some file systems free it only
    /// with their next commit: try the failed write again for some seconds.
    ///
    /// # Errors
    ///
    /// The file could not be deleted.
    pub fn spend(&mut self) -> io::Result<bool> {
        let was_held = std::mem::take(&mut self.held);
        match std::fs::remove_file(&self.path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(was_held),
        }
    }

    /// Sets the room aside again; false if there is not enough yet. Call it only when
    /// [`Room::enough`] says so, lest it takes what outcomes need.
    ///
    /// # Errors
    ///
    /// Whatever the file system says, lack of room excepted.
    pub fn restore(&mut self) -> io::Result<bool> {
        if self.held {
            return Ok(true);
        }
        match self.make() {
            Ok(()) => self.held = true,
            Err(e) => {
                self.spend()?;
                if !is_full(&e) {
                    return Err(e);
                }
            }
        }
        Ok(self.held)
    }

    fn make(&self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        preallocate(&options.open(&self.path)?, self.bytes)
    }
}

/// When there is room enough to accept mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Free room needed in any case, in bytes.
    pub least_free_bytes: u64,
}

impl Default for Room {
    fn default() -> Self {
        Self { least_free_bytes: LEAST_FREE_BYTES }
    }
}

impl Room {
    /// Bytes that this user can still write below `dir`.
    ///
    /// # Errors
    ///
    /// `statvfs` failed.
    pub fn free_bytes(dir: &Path) -> io::Result<u64> {
        let found = nix::sys::statvfs::statvfs(dir)?;
        Ok(found.blocks_available().saturating_mul(found.fragment_size()))
    }

    /// True if mail may be accepted: at least the least room is free, and twice
    /// `largest_message_bytes`. False is answered 452 (RFC 5321 §4.2.3).
    ///
    /// # Errors
    ///
    /// As [`Room::free_bytes`].
    pub fn enough(&self, dir: &Path, largest_message_bytes: u64) -> io::Result<bool> {
        let needed = self.least_free_bytes.max(largest_message_bytes.saturating_mul(2));
        Ok(Self::free_bytes(dir)? >= needed)
    }
}

/// True if room is what lacks: the disk's, the quota's, or the largest file's.
pub(crate) fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// Gives `file` room for `bytes`, as zeros.
///
/// Not `posix_fallocate`: where the file system cannot, that writes one byte per block behind
/// our back.
pub(crate) fn preallocate(file: &File, bytes: u64) -> io::Result<()> {
    let length = i64::try_from(bytes).map_err(|_| ErrorKind::FileTooLarge)?;
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, length) {
            Ok(()) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return write_zeros(file, bytes),
            Err(e) => return Err(e.into()),
        }
    }
}

pub(crate) fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
    let zeros = [0; 16 << 10];
    let mut at = 0;
    while at < bytes {
        let piece = usize::try_from(bytes - at).unwrap_or(zeros.len()).min(zeros.len());
        file.write_all_at(&zeros[..piece], at)?;
        at += piece as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::testing::{TempDir, Tmpfs};

    #[test]
    fn takes_up_room_until_spent() {
        let dir = TempDir::new();
        let mut reserve = Reserve::open(dir.path(), 1 << 20).unwrap();
        let file = dir.path().join(FILE_NAME);
        assert!(reserve.is_held());
        assert!(file.metadata().unwrap().blocks() * 512 >= 1 << 20);
        assert!(Reserve::open(dir.path(), 1 << 20).unwrap().is_held());
        assert!(reserve.spend().unwrap());
        assert!(!file.exists() && !reserve.is_held());
        assert!(!reserve.spend().unwrap());
        assert!(reserve.restore().unwrap() && file.exists());
    }

    #[test]
    fn a_sparse_reserve_is_made_again() {
        let dir = TempDir::new();
        let file = File::create(dir.path().join(FILE_NAME)).unwrap();
        file.set_len(1 << 20).unwrap();
        Reserve::open(dir.path(), 1 << 20).unwrap();
        assert!(dir.path().join(FILE_NAME).metadata().unwrap().blocks() * 512 >= 1 << 20);
    }

    #[test]
    fn zeros_fill_where_the_file_system_cannot_preallocate() {
        let dir = TempDir::new();
        let path = dir.path().join("zeros");
        write_zeros(&File::create(&path).unwrap(), 40_000).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), vec![0; 40_000]);
    }

    #[test]
    fn room_is_the_larger_of_both_needs() {
        let dir = TempDir::new();
        let room = Room { least_free_bytes: 0 };
        assert!(room.enough(dir.path(), 1).unwrap());
        assert!(!room.enough(dir.path(), u64::MAX / 2).unwrap());
        assert!(!Room { least_free_bytes: u64::MAX }.enough(dir.path(), 1).unwrap());
        assert!(Room::free_bytes(&dir.path().join("none")).is_err());
    }

    #[test]
    fn on_a_full_disk_it_makes_room() {
        let Some(disk) = Tmpfs::mount(1) else { return };
        let mut reserve = Reserve::open(disk.path(), 512 << 10).unwrap();
        assert!(reserve.is_held());
        let file = File::create(disk.path().join("other")).unwrap();
        assert!(is_full(&write_zeros(&file, 1 << 20).unwrap_err()));
        let outcome = || write_zeros(&File::create(disk.path().join("outcome"))?, 4096);
        assert!(outcome().is_err());
        assert!(reserve.spend().unwrap());
        outcome().unwrap();
        write_zeros(&file, 900 << 10).unwrap();
        assert!(!reserve.restore().unwrap(), "no room for it");
        assert!(!disk.path().join(FILE_NAME).exists());
        file.set_len(0).unwrap();
        assert!(reserve.restore().unwrap());
        // A server starts on a full disk too.
        reserve.spend().unwrap();
        assert!(is_full(&write_zeros(&file, 1 << 20).unwrap_err()));
        assert!(!Reserve::open(disk.path(), 512 << 10).unwrap().is_held());
    }
}
