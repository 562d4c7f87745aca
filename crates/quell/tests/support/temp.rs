//! Directories and ports of one test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A directory of one test, removed at its end, kept if the test fails.
pub struct TempDir(PathBuf);

impl TempDir {
    /// On the disk, where syncs cost what they cost.
    pub fn new(name: &str) -> Self {
        Self::below(&std::env::temp_dir(), name)
    }

    /// In memory if there is `/dev/shm`: for what writes many files and needs no disk.
    pub fn in_memory(name: &str) -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::below(memory, name) } else { Self::new(name) }
    }

    fn below(parent: &Path, name: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("quell-{name}-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory");
        // Peers that drop their privileges pass through it.
        make_passable(&path);
        TempDir(path.canonicalize().expect("a path"))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

fn make_passable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, mode).expect("permissions");
}

/// A port of 127.0.0.1 that was free a moment ago. Below those that the system gives to
/// clients, which would take it between two lives of a server. Another program may take it
/// before ours does; a server that then fails to start says so.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    (0..PORTS)
        .map(|_| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 97;
            FIRST_PORT + (number % PORTS) as u16
        })
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

const FIRST_PORT: u16 = 10_240;
const PORTS: u32 = 22_000;
