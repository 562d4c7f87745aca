//! Directories for tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that is gone when dropped.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("quell-queue-{}-{n}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A small disk, to be filled: a tmpfs.
pub(crate) struct Tmpfs(TempDir);

impl Tmpfs {
    /// Of `mib` MiB; None, and a loud word, where this user may not mount.
    pub(crate) fn mount(mib: u32) -> Option<Self> {
        let dir = TempDir::new();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]).arg(dir.path());
        if command.status().is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        assert!(std::env::var_os("CI").is_none(), "CI must be able to mount a tmpfs");
        skipped();
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skipped() {
    eprintln!("SKIPPED: the test of a full disk needs the right to mount a tmpfs");
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(self.path()).status().unwrap().success());
    }
}
