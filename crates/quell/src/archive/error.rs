//! Why an archive is not opened.

use std::io;
use std::path::PathBuf;

/// Why, with the path and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A path that was named cannot be opened.
    #[error("cannot read {}: {source}", path.display())]
    Open {
        /// As given.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that was named is neither an mbox nor a message.
    #[error(
        "{} holds no mail: it begins neither like an mbox (\"From sender date\") nor like a message \
         (\"Name: value\"). Leave it out, or name its folder: there such files are passed over",
        path.display()
    )]
    NotMail {
        /// As given.
        path: PathBuf,
    },
    /// Of a compressed file that was named not even the beginning can be read.
    #[error("{} is compressed, and it is damaged or ends too early: nothing of it can be read ({why})", path.display())]
    Broken {
        /// As given.
        path: PathBuf,
        /// What the decompressor says.
        why: String,
    },
    /// A path that was named is a socket or a device.
    #[error("{} is no file, folder or pipe: name an mbox, a Maildir, a folder of messages, or - for standard input", path.display())]
    NoFile {
        /// As given.
        path: PathBuf,
    },
    /// There is nothing to read.
    #[error(
        "no mail in {}: name mbox files, Maildirs, folders of messages, or - for standard input",
        named(paths)
    )]
    Nothing {
        /// As given.
        paths: Vec<PathBuf>,
    },
    /// More files than the limit.
    #[error("more than {limit} files below {}: name fewer folders at a time", path.display())]
    TooMany {
        /// Where the limit was reached.
        path: PathBuf,
        /// Of files.
        limit: usize,
    },
    /// Standard input or a pipe could not be kept for the second reading.
    #[error("cannot keep what comes from {} in {}: {source}", path.display(), folder.display())]
    Spool {
        /// Where it comes from.
        path: PathBuf,
        /// The folder for temporary files (`TMPDIR`).
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn named(paths: &[PathBuf]) -> String {
    let all: Vec<String> = paths.iter().take(3).map(|path| path.display().to_string()).collect();
    let more = if paths.len() > all.len() { " and others" } else { "" };
    if all.is_empty() { "nothing".to_owned() } else { format!("{}{more}", all.join(", ")) }
}
