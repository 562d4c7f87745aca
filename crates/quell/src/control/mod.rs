//! The control socket: `<data>/control.sock`, one JSON request on each line, one JSON answer on
//! each. Only the server's own user and root may use it.

mod client;
mod link;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Client, ClientError};
pub use link::{Link, LinkError};
pub use server::{bind, read_request, serve};

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Longest request, its line end included. A longer one is answered with an error, and the
/// connection is closed.
pub const MAX_REQUEST_BYTES: usize = 1 << 20;
/// Longest answer that a client reads; [`crate::ops::SLICE`] keeps answers far below it, but for a
/// storm's evidence (200 header sets of 64 KiB).
pub const MAX_ANSWER_BYTES: u64 = 64 << 20;
/// Longest path that fits into a socket's address (unix(7): 108 bytes with the end).
const MAX_SOCKET_PATH: usize = 100;

/// A name for the socket at `path` that fits into an address: where the path is too long, the
/// directory is reached by its open descriptor, which lives as long as the second part.
fn short_name(path: &Path) -> io::Result<(PathBuf, Option<std::fs::File>)> {
    if path.as_os_str().len() <= MAX_SOCKET_PATH {
        return Ok((path.to_owned(), None));
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidFilename));
    };
    let dir = std::fs::File::open(dir)?;
    let short = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name);
    Ok((short, Some(dir)))
}
