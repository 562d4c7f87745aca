//! Starting a recording, noting marks, reading it back.

use crate::format::{Head, Kind};
use crate::log::{Error, LOG_MAX_BYTES, Log, parse};
use crate::sparse::Sparse;
use crate::world::{Node, ROOT, World};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which calls on files below the root are to fail, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No room (`ENOSPC`): writing, creating, linking, allocating.
    Full,
    /// A read-only disk (`EROFS`): every change.
    ReadOnly,
    /// A broken disk (`EIO`): every `fsync` and `fdatasync`.
    Sync,
}

impl Fault {
    /// Class and `errno` as the library wants them.
    fn words(self) -> &'static str {
        match self {
            Fault::Full => "space 28",
            Fault::ReadOnly => "change 30",
            Fault::Sync => "sync 5",
        }
    }
}

/// A recording under way.
pub struct Recording {
    root: PathBuf,
    log: PathBuf,
    start: World,
}

impl Recording {
    /// Begins: empties the log, and takes what is below `root` now as on disk for
    /// certain. `root` must exist; `log` must not be below it.
    ///
    /// # Errors
    /// [`Error::Io`] if one of them cannot be read or made.
    pub fn begin(root: &Path, log: &Path) -> Result<Self, Error> {
        let root = root.canonicalize().map_err(|error| Error::Io(root.to_path_buf(), error))?;
        File::create(log).map_err(|error| Error::Io(log.to_path_buf(), error))?;
        let log = log.canonicalize().map_err(|error| Error::Io(log.to_path_buf(), error))?;
        let mut start = World::new(&root);
        capture(&mut start, ROOT, &root)?;
        Ok(Recording { root, log, start })
    }

    /// The root as a canonical path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The environment that makes a program record itself. Builds the library if need be.
    ///
    /// # Errors
    /// [`Error::Build`] if the library cannot be built.
    pub fn environment(&self) -> Result<Vec<(&'static str, OsString)>, Error> {
        Ok(vec![
            ("LD_PRELOAD", preload_library()?.into()),
            ("POWERCUT_ROOT", self.root.clone().into()),
            ("POWERCUT_LOG", self.log.clone().into()),
            ("POWERCUT_FAULT", self.fault().into()),
            ("POWERCUT_CLOCK", self.clock().into()),
        ])
    }

    /// Lets calls of the program fail from now on, after the next `after` that would have
    /// failed too; with `once` only one of them.
    ///
    /// # Errors
    /// [`Error::Io`] if the file that tells the library cannot be written.
    pub fn fail(&self, fault: Fault, after: u64, once: bool) -> Result<(), Error> {
        self.heal()?;
        let new = self.log.with_extension("fault-new");
        let text = format!("{} {after} {}\n", fault.words(), u8::from(once));
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, self.fault()))
            .map_err(|error| Error::Io(new, error))
    }

    /// Ends the faults.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be removed.
    pub fn heal(&self) -> Result<(), Error> {
        match fs::remove_file(self.fault()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::Io(self.fault(), error)),
            _ => Ok(()),
        }
    }

    /// Lets the program's wall clock be so many seconds ahead from now on; behind, if negative.
    /// Its monotonic clock and the times of files stay as they are.
    ///
    /// # Errors
    /// [`Error::Io`] if the file that tells the library cannot be written.
    pub fn set_clock(&self, ahead_secs: i64) -> Result<(), Error> {
        let new = self.log.with_extension("clock-new");
        fs::write(&new, ahead_secs.to_string())
            .and_then(|()| fs::rename(&new, self.clock()))
            .map_err(|error| Error::Io(new, error))
    }

    fn clock(&self) -> PathBuf {
        self.log.with_extension("clock")
    }

    fn fault(&self) -> PathBuf {
        self.log.with_extension("fault")
    }

    /// Notes a remark of the test, such as what was promised, in the order of the log:
    /// after all that the program did before it made the promise.
    ///
    /// # Errors
    /// [`Error::Io`] if the log cannot be written.
    pub fn mark(&self, text: &str) -> Result<(), Error> {
        let len1 = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let pid = std::process::id();
        let head = Head { kind: Kind::Mark, pid, tid: 0, fd: -1, a: 0, b: 0, len1, len2: 0 };
        // One append, so that it never mixes with a record of the program.
        let record = [&head.encode()[..], text.as_bytes()].concat();
        let log = fs::OpenOptions::new().append(true).open(&self.log);
        log.and_then(|mut log| log.write_all(&record)).map_err(|error| Error::Io(self.log.clone(), error))
    }

    /// Reads the log. The program must have ended: of a record still being written
    /// nothing is seen.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::TooLong`]; [`Error::Empty`] if only marks are there.
    pub fn finish(self) -> Result<Log, Error> {
        let io = |error| Error::Io(self.log.clone(), error);
        let bytes = fs::metadata(&self.log).map_err(io)?.len();
        if bytes > LOG_MAX_BYTES {
            return Err(Error::TooLong(bytes));
        }
        let (events, torn) = parse(&fs::read(&self.log).map_err(io)?);
        if events.iter().all(|event| event.head.kind == Kind::Mark) {
            return Err(Error::Empty);
        }
        Ok(Log { events, start: self.start, torn })
    }
}

/// Adds what is in `path`; sockets and the like are left out.
fn capture(world: &mut World, directory: Node, path: &Path) -> Result<(), Error> {
    let io = |error| Error::Io(path.to_path_buf(), error);
    for entry in fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?;
        let kind = entry.file_type().map_err(io)?;
        let name = entry.file_name().into_vec();
        if kind.is_dir() {
            let node = world.add(directory, name, None);
            capture(world, node, &entry.path())?;
        } else if kind.is_file() {
            let file = File::open(entry.path()).map_err(io)?;
            world.add(directory, name, Some(Sparse::read_from(&file).map_err(io)?));
        }
    }
    Ok(())
}

/// Builds the library for `LD_PRELOAD` and returns its path.
///
/// It is built into a target directory of its own (`powercut` inside the usual one):
/// Cargo holds a lock on the usual one, and a dependent's `cargo test -p …` would not
/// build it there. The first time takes seconds, later ones a fraction of one.
///
/// # Errors
/// [`Error::Build`] with what Cargo said.
pub fn preload_library() -> Result<PathBuf, Error> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A relative one is relative to where Cargo was called, which we do not know.
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map(PathBuf::from)
        .filter(|target| target.is_absolute())
        .unwrap_or_else(|| package.join("../../target"))
        .join("powercut");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(package)
        .args(["build", "--quiet", "--offline", "-p", "quell-powercut-preload"])
        .arg("--target-dir")
        .arg(&target)
        // A build within a test must not record itself, nor use the caller's wrappers.
        .env_remove("LD_PRELOAD")
        .output()
        .map_err(|error| Error::Build(error.to_string()))?;
    if !output.status.success() {
        return Err(Error::Build(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let library = target.join("debug/libpowercut_preload.so");
    library.canonicalize().map_err(|error| Error::Io(library, error))
}
