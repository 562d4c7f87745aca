//! Who else may read or write what lies in the data directory, and in a TLS key.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use super::{DataError, Paths, closed_to_others};

/// Most dot logs that are looked at: there are two, and a file with room for the next.
const MAX_DOT_LOGS: usize = 16;

/// What in the data directory others may read or write. `quell serve` refuses to start where it is the
/// directory (write), the secret, the token, the users or the pickups (read or write); the rest it warns
/// of. Nothing where there is no directory yet. What cannot be looked at is left out: whoever opens it
/// says why.
pub fn open_to_others(paths: &Paths, secret_file: &Path) -> Vec<DataError> {
    let mut found = Vec::new();
    let mut look = |path: &Path, bits, what, fix| {
        let Ok(meta) = fs::metadata(path) else { return };
        found.extend(closed_to_others(path, &meta, bits, what, fix).err());
    };
    // One word for the directory: whoever may write in it may read it, too.
    let dir = paths.dir();
    let written = fs::metadata(dir).is_ok_and(|meta| meta.mode() & 0o022 != 0);
    look(dir, 0o077, if written { "write in it" } else { "look into it" }, "700");
    for private in [secret_file.to_owned(), paths.token()] {
        look(&private, 0o077, "read or write it", "600");
    }
    for file in files_of_the_store(paths) {
        look(&file, 0o077, "read or write it", "600");
    }
    look(&paths.spool(), 0o077, "look into it", "700");
    look(&paths.acme(), 0o077, "look into it", "700");
    // An IMAP server may read there, if the operator lets it.
    look(&paths.mail(), 0o022, "write in it", "go-w");
    found
}

fn files_of_the_store(paths: &Paths) -> Vec<PathBuf> {
    let mut files = vec![paths.control(), paths.lock(), paths.users()];
    for logged in [paths.ledger(), paths.pickups()] {
        files.extend(["db", "db-wal", "db-shm"].map(|end| logged.with_extension(end)));
    }
    let entries = fs::read_dir(paths.dir()).into_iter().flatten().flatten();
    let dots = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("dots-"));
    files.extend(dots.take(MAX_DOT_LOGS).map(|entry| entry.path()));
    files
}

/// The data directory belongs to another user than the one that serves, `us`. None where there is no
/// directory yet.
pub fn belongs_to_another(dir: &Path, us: Uid) -> Option<DataError> {
    let owner = Uid::from_raw(fs::metadata(dir).ok()?.uid());
    let foreign = || DataError::Foreign { path: dir.to_owned(), owner: name_of(owner), us: name_of(us) };
    (owner != us).then(foreign)
}

/// The user's name, or its number where it has none.
fn name_of(uid: Uid) -> String {
    let user = User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// Whether the private key of a certificate is everybody's to read, or another's to write. A group may
/// read it: Debian's `ssl-cert` is made for that.
///
/// # Errors
/// [`DataError::Open`]; those of the system.
pub fn check_key_mode(key: &Path) -> Result<(), DataError> {
    let meta = fs::metadata(key).map_err(|e| DataError::Io(key.to_owned(), e))?;
    closed_to_others(key, &meta, 0o007, "read or write it", "640")?;
    closed_to_others(key, &meta, 0o020, "write it", "640")
}
