//! Mailboxes: made for names in the configuration and by `quell mailbox add`, never by mail.

use quell_relay::directory::CannotTell;

use super::*;

/// A mailbox that exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mailbox {
    /// Domain, as its folder is named.
    pub domain: String,
    /// Local part, unescaped.
    pub local: String,
    /// Its folder.
    pub path: PathBuf,
}

/// What `add` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It was made.
    Made,
    /// It was there.
    WasThere,
}

/// What `remove` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Gone,
    /// There was none.
    WasNotThere,
    /// There is something in it, and `force` was not given: it stays.
    NotEmpty,
}

impl MaildirStore {
    /// Makes the mailbox if it is missing (folders 0700), durable once this returns.
    pub fn ensure(&self, domain: &str, local: &str) -> io::Result<Added> {
        let path = self.path(domain, local);
        let was_there = ["tmp", "new", "cur"].iter().all(|name| path.join(name).is_dir());
        for name in ["tmp", "cur", "new"].iter().filter(|_| !was_there) {
            DirBuilder::new().recursive(true).mode(0o700).create(path.join(name))?;
        }
        // Also where it was there: whoever made it may have been killed before this.
        for folder in path.ancestors().take(4) {
            sync_dir(folder)?;
        }
        Ok(if was_there { Added::WasThere } else { Added::Made })
    }

    /// True if the mailbox exists. One look at the file system, so `mailbox add` works at once.
    ///
    /// # Errors
    /// It cannot be said: the file system fails, or the domain's folder itself is not there, which
    /// [`MaildirStore::ensure_domain`] has made: then a disk is not mounted, more likely than that
    /// all mailboxes have gone.
    pub fn exists(&self, domain: &str, local: &str) -> io::Result<bool> {
        let mailbox = self.path(domain, local);
        match fs::metadata(mailbox.join("new")) {
            Err(e) if is_missing(&e) => {}
            found => return Ok(found?.is_dir()),
        }
        if fs::symlink_metadata(&mailbox).is_ok_and(|meta| meta.is_symlink()) {
            // A link whose target is away.
            fs::metadata(&mailbox)?;
        }
        match fs::metadata(self.domain_path(domain)) {
            Ok(folder) if folder.is_dir() => Ok(false),
            Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
            Err(e) => Err(io::Error::new(e.kind(), format!("the folder of the domain {domain}: {e}"))),
        }
    }

    /// As [`MaildirStore::exists`], for the directory; the log says why it cannot be said.
    ///
    /// # Errors
    /// [`CannotTell`].
    pub fn told_exists(&self, domain: &str, local: &str) -> Result<bool, CannotTell> {
        self.exists(domain, local).map_err(|why| {
            tracing::warn!(event = "mailbox_unknown", reason = %why, "whether a mailbox exists cannot be said");
            CannotTell(why.to_string())
        })
    }

    /// Makes the domain's folder (0700) if it is missing, durable once this returns.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn ensure_domain(&self, domain: &str) -> io::Result<()> {
        let path = self.domain_path(domain);
        if path.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        path.ancestors().skip(1).take(2).try_for_each(sync_dir)
    }

    /// All mailboxes, sorted. A missing root is an empty list.
    pub fn list(&self) -> io::Result<Vec<Mailbox>> {
        let mut all = Vec::new();
        for domain in folders(&self.root)? {
            for path in folders(&domain)?.into_iter().filter(|p| p.join("new").is_dir()) {
                let (domain, local) = (unescaped(&domain), unescaped(&path));
                all.push(Mailbox { domain, local, path });
            }
        }
        all.sort_unstable();
        Ok(all)
    }

    /// Number of messages in `new/` and `cur/`.
    pub fn count(&self, mailbox: &Mailbox) -> io::Result<usize> {
        let new = fs::read_dir(mailbox.path.join("new"))?.count();
        Ok(new + fs::read_dir(mailbox.path.join("cur"))?.count())
    }

    /// Deletes the mailbox, with everything in it if `force`.
    pub fn remove(&self, domain: &str, local: &str, force: bool) -> io::Result<Removed> {
        let path = self.path(domain, local);
        if !path.is_dir() {
            return Ok(Removed::WasNotThere);
        }
        if force {
            fs::remove_dir_all(&path)?;
        } else if !remove_empty(&path)? {
            self.ensure(domain, local)?;
            return Ok(Removed::NotEmpty);
        }
        self.lock().remove(&path);
        path.parent().map_or(Ok(()), sync_dir)?;
        Ok(Removed::Gone)
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Only `rmdir`, so a delivery that comes in between is never deleted: false if something is there.
/// Looked at first: a mailbox that stays must not be away for a moment, in which mail would fail.
fn remove_empty(path: &Path) -> io::Result<bool> {
    let parts = ["new", "cur", "tmp"].map(|name| path.join(name));
    for entry in fs::read_dir(path)? {
        let entry = entry?.path();
        if !parts.contains(&entry) || fs::read_dir(&entry)?.next().is_some() {
            return Ok(false);
        }
    }
    for part in parts.iter().map(PathBuf::as_path).chain([path]) {
        match fs::remove_dir(part) {
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(false),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(true)
}

fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    Ok(paths.collect::<io::Result<Vec<_>>>()?.into_iter().filter(|p| p.is_dir()).collect())
}

/// The name behind `maildir_name`; of a shortened one, what is left of it.
fn unescaped(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut parts = name.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => bytes.extend_from_slice(part.as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use quell_mail::maildir::maildir_name;

    #[test]
    fn escapes_by_the_book() {
        for (name, path) in [
            ("jane", "jane"),
            ("Jane.Doe+x_y-1", "jane.doe+x_y-1"),
            ("../../x", "%2E.%2F..%2Fx"),
            (".", "%2E"),
            ("..", "%2E."),
            ("a b/c", "a%20b%2Fc"),
            ("müller", "m%C3%BCller"),
            ("100%", "100%25"),
        ] {
            assert_eq!(maildir_name(name), path);
            assert_eq!(unescaped(Path::new(path)), name.to_lowercase());
        }
    }

    proptest! {
        #[test]
        fn one_component_and_back(name in "\\PC{0,15}") {
            let path = maildir_name(&name);
            prop_assert!(!path.is_empty() && !path.contains('/') && !path.starts_with('.'));
            if !name.is_empty() {
                prop_assert_eq!(unescaped(Path::new(&path)), name.to_lowercase());
            }
        }
    }
}
