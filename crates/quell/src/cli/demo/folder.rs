//! A folder that is gone when the demonstration is over, and what lies in one.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Names tried before it is given up.
const MAX_NAMES: u32 = 100;
/// Deepest folder looked into by [`disk_bytes`]; what lies deeper is not counted.
const MAX_DEPTH: u32 = 16;

/// A folder of our own below the system's folder for temporary files. Dropping it removes it with all
/// that is in it.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one that nobody else can look into.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new() -> io::Result<Self> {
        let parent = std::env::temp_dir();
        for number in 0..MAX_NAMES {
            let path = parent.join(format!("quell-demo-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(why) if why.kind() == ErrorKind::AlreadyExists => continue,
                Err(why) => {
                    return Err(io::Error::new(why.kind(), format!("cannot make {}: {why}", path.display())));
                }
                Ok(()) => return Ok(Self(path)),
            }
        }
        Err(io::Error::new(ErrorKind::AlreadyExists, format!("{} is full of them", parent.display())))
    }

    /// A folder in it, made if it is not there.
    ///
    /// # Errors
    /// Those of the system.
    pub fn make(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody is left who could be told, and the system clears such folders in the end.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Bytes that the files below `folder` take on the disk, those that `counts` says yes to. What
/// disappears meanwhile is not counted.
pub fn disk_bytes(folder: &Path, counts: &dyn Fn(&str) -> bool) -> u64 {
    below(folder, counts, MAX_DEPTH)
}

fn below(folder: &Path, counts: &dyn Fn(&str) -> bool, depth: u32) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() && depth > 0 => below(&entry.path(), counts, depth - 1),
        // stat(2): blocks are of 512 bytes, whatever the file system's are.
        Ok(found) if counts(&entry.file_name().to_string_lossy()) => found.blocks() * 512,
        _ => 0,
    };
    entries.flatten().map(bytes).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn leaves_nothing_behind() {
        let folder = Folder::new().unwrap();
        let inner = folder.make("a").unwrap();
        fs::write(inner.join("b"), vec![1; 10_000]).unwrap();
        let path = folder.0.clone();
        let all = disk_bytes(&path, &|_| true);
        assert!(all >= 10_000 && disk_bytes(&path, &|name| name == "b") <= all);
        assert_eq!(disk_bytes(&inner, &|name| name != "b"), 0);
        assert_ne!(Folder::new().unwrap().0, path);
        drop(folder);
        assert!(!path.exists());
        assert_eq!(disk_bytes(&path, &|_| true), 0);
    }
}
