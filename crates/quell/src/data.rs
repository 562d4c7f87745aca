//! The data directory: who may have it, and the small files of its own: lock, secret, token.
//!
//! ```text
//! <data>/lock          held with flock(2) by whoever has the store: the server, or a command
//! <data>/secret        `1 ` and 64 hex digits: keys the ledger (0600)
//! <data>/token         64 hex digits: the console's Bearer token (0600)
//! <data>/ledger.db     the ledger (0600; its -wal and -shm follow its mode)
//! <data>/users.db      who may sign in (0600)
//! <data>/pickup.db     what was collected from accounts at providers (0600; its -wal and -shm as well)
//! <data>/acme/         account and certificate by ACME (0700)
//! <data>/control.sock  where the running server takes commands (0600)
//! <data>/spool/        bodies
//! <data>/mail/         Maildirs
//! ```

mod modes;
mod private;
#[cfg(test)]
mod tests;

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use quell_mail::key::Secret;

pub use self::modes::{belongs_to_another, check_key_mode, open_to_others};
pub use self::private::random_bytes;
pub(crate) use self::private::{make_private, read_private};

/// The id of the secret, as rows carry it, until secrets can be rotated.
const SECRET_ID: u8 = 1;

/// What is wrong with the data directory.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// There is none, and the caller only wanted to look.
    #[error("{}: there is no such data directory; `quell serve` makes it at its first start", .0.display())]
    Missing(PathBuf),
    /// Another process has it.
    #[error("{}: in use by {holder}", .path.display())]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// `process N`, where it is known.
        holder: String,
    },
    /// Others may change or read what only we may.
    #[error("{}: mode {mode:04o} lets others {what}; run `chmod {fix} {}`", .path.display(), .path.display())]
    Open {
        /// What is open.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What others may do with it.
        what: &'static str,
        /// What to give to chmod(1).
        fix: &'static str,
    },
    /// The directory is another user's.
    #[error(
        "{}: belongs to the user {owner}, and the server runs as {us}; run `chown -R {us} {}`",
        .path.display(), .path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: String,
        /// Who serves.
        us: String,
    },
    /// The ledger is there, and the secret it was keyed with is not.
    #[error(
        "{}: the secret is gone, but the ledger beside it was keyed with it, and would know no \
         message again; put it back from a backup (or move the ledger away and lose it)", .0.display()
    )]
    SecretGone(PathBuf),
    /// Bodies are there, and the ledger that knows whose they are is not.
    #[error(
        "{}: the ledger is gone, but stored messages lie in {}, and a new ledger would delete them; \
         put it back from a backup, with its -wal file if there is one (or move {} away to start \
         anew without those messages)", .ledger.display(), .spool.display(), .spool.display()
    )]
    LedgerGone {
        /// Where the ledger should be.
        ledger: PathBuf,
        /// Where the bodies are.
        spool: PathBuf,
    },
    /// A file that does not hold what it should.
    #[error("{}: {}", .0.display(), .1)]
    Damaged(PathBuf, &'static str),
    /// The system.
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, #[source] io::Error),
}

/// Where things lie; needs no lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    dir: PathBuf,
}

impl Paths {
    /// The places in `dir`.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The lock's file.
    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// The secret, unless `secret_file` says otherwise.
    pub fn secret(&self) -> PathBuf {
        self.dir.join("secret")
    }

    /// The console's token.
    pub fn token(&self) -> PathBuf {
        self.dir.join("token")
    }

    /// The ledger.
    pub fn ledger(&self) -> PathBuf {
        self.dir.join("ledger.db")
    }

    /// The users.
    pub fn users(&self) -> PathBuf {
        self.dir.join("users.db")
    }

    /// What was collected from accounts at providers.
    pub fn pickups(&self) -> PathBuf {
        self.dir.join("pickup.db")
    }

    /// Account and certificate that came by ACME.
    pub fn acme(&self) -> PathBuf {
        self.dir.join("acme")
    }

    /// The control socket.
    pub fn control(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    /// The bodies.
    pub fn spool(&self) -> PathBuf {
        self.dir.join("spool")
    }

    /// The Maildirs.
    pub fn mail(&self) -> PathBuf {
        self.dir.join("mail")
    }
}

/// The data directory, and the right to change what is in it: held as long as this lives.
#[derive(Debug)]
pub struct Data {
    paths: Paths,
    _lock: Flock<File>,
}

impl Data {
    /// Makes the directory (0700) if there is none, checks that nobody else may write in it, and
    /// takes its lock.
    ///
    /// # Errors
    /// [`DataError::Locked`] at once if another process has it.
    pub fn open(dir: &Path) -> Result<Self, DataError> {
        make_durable(dir).map_err(|e| DataError::Io(dir.to_owned(), e))?;
        Self::open_existing(dir)
    }

    /// As [`Data::open`], for commands: makes no directory.
    ///
    /// # Errors
    /// [`DataError::Missing`] where there is none.
    pub fn open_existing(dir: &Path) -> Result<Self, DataError> {
        check_dir(dir)?;
        let paths = Paths::new(dir);
        let lock = take_lock(&paths.lock())?;
        Ok(Self { paths, _lock: lock })
    }

    /// Where things lie.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The secret of `secret_file`, or `<data>/secret`, which is made if neither it nor a ledger is
    /// there yet. A `secret_file` elsewhere is never made: its siblings have it.
    ///
    /// # Errors
    /// [`DataError::SecretGone`]; a file that others may read, or that holds no secret.
    pub fn secret(&self, secret_file: Option<&Path>) -> Result<Secret, DataError> {
        let own = self.paths.secret();
        let path = secret_file.map_or_else(|| own.clone(), Path::to_owned);
        if path == own && !path.exists() {
            let ledger = fs::metadata(self.paths.ledger());
            if ledger.is_ok_and(|meta| meta.len() > 0) {
                return Err(DataError::SecretGone(path));
            }
            // Before anything is made: the ledger that is put back goes with the old secret.
            self.check_ledger()?;
            let text = format!("{SECRET_ID} {}\n", hex(&random_bytes::<32>()?));
            make_private(&path, text.as_bytes())?;
        }
        let bytes = read_private(&path)?;
        parse_secret(&bytes).ok_or(DataError::Damaged(path, "it should hold `1 ` and 64 hex digits"))
    }

    /// The console's token, made at the first start.
    ///
    /// # Errors
    /// A file that others may read, or that holds no token.
    pub fn token(&self) -> Result<Token, DataError> {
        let path = self.paths.token();
        if !path.exists() {
            make_private(&path, format!("{}\n", hex(&random_bytes::<32>()?)).as_bytes())?;
        }
        let bytes = read_private(&path)?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
        Token::new(text).ok_or(DataError::Damaged(path, "it should hold a token of 32 characters or more"))
    }

    /// The ledger's path, its file made with mode 0600 if it was not there: SQLite gives its side
    /// files the same mode.
    ///
    /// # Errors
    /// [`DataError::LedgerGone`], and those of the system.
    pub fn ledger(&self) -> Result<PathBuf, DataError> {
        self.check_ledger()?;
        let path = self.paths.ledger();
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        opened.map_err(|e| DataError::Io(path.clone(), e))?;
        Ok(path)
    }

    /// The path of the users' file, which is made with mode 0600 if it was not there.
    ///
    /// # Errors
    /// Those of the system; a file that others may read.
    pub fn users(&self) -> Result<PathBuf, DataError> {
        own_file(self.paths.users())
    }

    /// The path of the pickups' file, which is made with mode 0600 if it was not there. Not to be asked
    /// for while this process has the file open: closing it again lets go of SQLite's locks (fcntl(2)).
    ///
    /// # Errors
    /// Those of the system; a file that others may read.
    pub fn pickups(&self) -> Result<PathBuf, DataError> {
        own_file(self.paths.pickups())
    }

    /// Opening the spool deletes every body that the ledger does not name: a ledger with nothing
    /// in it beside bodies means that the ledger was lost. The first start makes the ledger,
    /// durably, before the first body.
    fn check_ledger(&self) -> Result<(), DataError> {
        let (ledger, spool) = (self.paths.ledger(), self.paths.spool());
        // A log alone does not count: SQLite deletes one whose file is empty. A file that was being
        // written anew does.
        for path in &[ledger.clone(), ledger.with_extension("rewritten")] {
            match fs::metadata(path) {
                Ok(meta) if meta.len() > 0 => return Ok(()),
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(DataError::Io(path.clone(), e)),
                _ => {}
            }
        }
        match holds_bodies(&spool) {
            Ok(false) => Ok(()),
            Ok(true) => Err(DataError::LedgerGone { ledger, spool }),
            Err(e) => Err(DataError::Io(spool, e)),
        }
    }
}

/// Makes a file that nobody else may read, or checks that it is one.
fn own_file(path: PathBuf) -> Result<PathBuf, DataError> {
    let io = |e| DataError::Io(path.clone(), e);
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(io)?;
    closed_to_others(&path, &opened.metadata().map_err(io)?, 0o077, "read or write it", "600")?;
    Ok(path)
}

/// Whether there is anything but the file `numbers`, which the spool makes when it is opened.
fn holds_bodies(spool: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(spool) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name() != "numbers" {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The console's token. It shows itself to nobody.
#[derive(Clone)]
pub struct Token(blake3::Hash);

impl Token {
    /// A token of 32 to 256 visible ASCII characters.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (32..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(blake3::hash(text.as_bytes())))
    }

    /// Whether `given` is the token; takes the same time wherever they differ.
    pub fn is(&self, given: &[u8]) -> bool {
        // blake3 compares hashes in constant time, and their lengths are always equal.
        self.0 == blake3::hash(given)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The secret in a file's bytes: its id, a space, 64 hex digits, and a line end; or 32 bytes as they
/// are, whose id is 1.
pub fn parse_secret(bytes: &[u8]) -> Option<Secret> {
    if let Ok(raw) = <[u8; 32]>::try_from(bytes) {
        return Some(Secret::new(SECRET_ID, raw));
    }
    let (id, digits) = std::str::from_utf8(bytes).ok()?.trim_ascii_end().split_once(' ')?;
    Some(Secret::new(id.parse().ok()?, unhex(digits)?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(digits: &str) -> Option<[u8; 32]> {
    let digits = digits.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Makes the directory, and those above it, with names that outlive a power cut: all that is kept
/// lies below them.
fn make_durable(dir: &Path) -> io::Result<()> {
    let is_there = |path: &Path| path.as_os_str().is_empty() || path.exists();
    let missing: Vec<&Path> = dir.ancestors().take_while(|path| !is_there(path)).collect();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let sync_above = |path: &Path| match path.parent() {
        Some(above) if above.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(above) => File::open(above)?.sync_all(),
        None => Ok(()),
    };
    match (missing.is_empty(), sync_above(dir)) {
        // Made by an earlier life, which may have been killed here; or by the operator, where we
        // may not even look.
        (true, Err(e)) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        (_, synced) => synced.and_then(|()| missing.iter().try_for_each(|made| sync_above(made))),
    }
}

/// Others may look into the directory (an IMAP server reads `mail/`), but not write in it.
fn check_dir(dir: &Path) -> Result<(), DataError> {
    let meta = match fs::metadata(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(DataError::Missing(dir.to_owned())),
        other => other.map_err(|e| DataError::Io(dir.to_owned(), e))?,
    };
    if !meta.is_dir() {
        return Err(DataError::Damaged(dir.to_owned(), "the data directory is no directory"));
    }
    closed_to_others(dir, &meta, 0o022, "write in it", "go-w")
}

fn closed_to_others(
    path: &Path,
    meta: &Metadata,
    bits: u32,
    what: &'static str,
    fix: &'static str,
) -> Result<(), DataError> {
    let mode = meta.mode() & 0o7777;
    if mode & bits == 0 {
        return Ok(());
    }
    Err(DataError::Open { path: path.to_owned(), mode, what, fix })
}

fn take_lock(path: &Path) -> Result<Flock<File>, DataError> {
    let io = |e: io::Error| DataError::Io(path.to_owned(), e);
    let mut options = OpenOptions::new();
    let file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(io)?;
    let mut lock =
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(file, errno)| match errno {
            nix::errno::Errno::EWOULDBLOCK => {
                DataError::Locked { path: path.to_owned(), holder: holder(file) }
            }
            other => io(other.into()),
        })?;
    // Only for the message that another process shows.
    lock.set_len(0).and_then(|()| lock.rewind()).map_err(io)?;
    writeln!(lock, "{}", std::process::id()).map_err(io)?;
    Ok(lock)
}

fn holder(file: File) -> String {
    let mut text = String::new();
    let pid = file.take(16).read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok());
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
